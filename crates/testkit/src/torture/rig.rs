//! Lives of a server that end again and again: load, a cut at a random moment, a start on what the
//! cut left, a comparison with what clients were told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use super::knowledge::Knowledge;
use super::ledger::Ledger;
use super::load;
use crate::corpus::Chance;
use crate::disk::{BlockDisk, FuseDisk, Shelf, Works};
use crate::{ImapClient, PASSWORD, Server, Settings, Signal, programs};

/// Rounds before a life ends and another begins, with other settings on an empty store.
const ROUNDS: u64 = 25;
/// How long a server may try to live with little memory.
const STARVED: Duration = Duration::from_secs(3);
/// No client waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How lives end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The power goes under ext4.
    BlockCut,
    /// The power goes under a disk that keeps what was synced, and chance.
    FuseCut,
    /// `kill -9`.
    Kill,
    /// The server may have hardly more memory than it has, until it ends by itself, or for a while.
    Memory,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often the power went, or the server was killed, under load.
    pub ends: u64,
    /// The same while the server was starting after an end.
    pub in_starts: u64,
    /// How often the server ended by itself, for want of memory.
    pub aborted: u64,
    /// Messages whose arrival was acknowledged.
    pub acknowledged: u64,
    /// Every contradiction, in a line with its seed.
    pub wrong: Vec<String>,
}

/// What all lives of one run share.
pub struct Rig {
    binary: PathBuf,
    end: End,
    works: Option<Works>,
    // Last: what lies on it is let go of before.
    shelf: Shelf,
    disks: u64,
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Disk {
    Block(BlockDisk),
    Fuse(FuseDisk),
    Plain(PathBuf),
}

impl Disk {
    fn data_dir(&self) -> PathBuf {
        match self {
            Self::Block(disk) => disk.dir().join("data"),
            Self::Fuse(disk) => disk.dir().join("data"),
            Self::Plain(dir) => dir.join("data"),
        }
    }

    /// Copies the files as the cut left them, before a server was started on them.
    fn dump(&self, to: &Path) -> std::io::Result<()> {
        match self {
            Self::Block(disk) => disk.dump(to),
            Self::Fuse(disk) => disk.dump(to),
            Self::Plain(_) => Ok(()),
        }
    }
}

/// One store from its beginning to its last cut.
struct Life<'a> {
    rig: &'a mut Rig,
    seed: u64,
    chance: Chance,
    // Before the disk: a disk in use cannot be unmounted.
    server: Server,
    disk: Disk,
    known: Knowledge,
    commands: u64,
    aborted: u64,
    /// How the last cut treated the disk, for messages.
    how: String,
    boots: u64,
    /// How long a start takes.
    start: Duration,
}

impl Rig {
    /// A rig for the server's binary.
    ///
    /// # Panics
    /// When disks cannot be made here: see [`crate::disk::unavailable`].
    #[must_use]
    pub fn new(binary: impl AsRef<Path>, end: End) -> Self {
        collect_panics();
        let shelf = Shelf::new().expect("a directory for disks");
        let works = (end == End::BlockCut).then(|| Works::new(shelf.dir()).expect("file systems"));
        Self {
            binary: binary.as_ref().to_owned(),
            end,
            works,
            shelf,
            disks: 0,
        }
    }

    /// Lives until `enough` says so (asked after every end). Contradictions end a life, not the
    /// run.
    pub fn run(&mut self, seed: u64, enough: &dyn Fn(&Tally) -> bool) -> Tally {
        let mut chance = Chance::new(seed);
        let mut tally = Tally::default();
        while !enough(&tally) {
            let seed = chance.next();
            let lived = catch_unwind(AssertUnwindSafe(|| {
                Life::begin(self, seed).live(&mut tally, enough);
            }));
            if lived.is_err() {
                let told = panics();
                tally
                    .wrong
                    .push(format!("{:?} seed {seed}: {told:?}", self.end));
            }
        }
        tally
    }

    fn place(&mut self) -> PathBuf {
        self.disks += 1;
        self.shelf.dir().join(format!("d{}", self.disks))
    }

    fn disk(&mut self, chance: &mut Chance) -> Disk {
        let place = self.place();
        match (self.end, &self.works) {
            (End::BlockCut, Some(works)) => {
                let disk = works.disk(&place, chance).expect("a disk");
                disk.mount().expect("a mounted disk");
                Disk::Block(disk)
            }
            (End::FuseCut, _) => Disk::Fuse(FuseDisk::new(&place).expect("a disk")),
            _ => {
                std::fs::create_dir_all(&place).expect("a directory");
                Disk::Plain(place)
            }
        }
    }
}

/// Settings that make everything happen often.
fn settings(chance: &mut Chance, data_dir: PathBuf, strict: bool) -> Settings {
    let log = chance.pick(&[64 << 10, 256 << 10, 64 << 20]);
    let export = chance.pick(&[128 << 10, 1 << 20, 256 << 20]);
    let checkpoint = chance.pick(&[16 << 10, 128 << 10, 64 << 20]);
    let pack = chance.pick(&[256 << 10, 2 << 20, 1 << 30]);
    let keep = chance.pick(&[0, 0, 7]);
    let grace = chance.pick(&[0, 0, 24]);
    let policy = chance.pick(&["", "", "policy = \"trash\"\n"]);
    Settings {
        data_dir: Some(data_dir),
        head: if strict {
            "durability = \"strict\""
        } else {
            ""
        }
        .to_owned(),
        pop3: policy.to_owned(),
        extra: format!(
            "[storage]\nlog_segment_bytes = {log}\nexport_bytes = {export}\n\
             checkpoint_bytes = {checkpoint}\npack_bytes = {pack}\nsweep_seconds = 1\n\
             [mail]\nundelete_days = {keep}\ngrace_hours = {grace}\n"
        ),
        ..Settings::default()
    }
}

impl<'a> Life<'a> {
    fn begin(rig: &'a mut Rig, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let disk = rig.disk(&mut chance);
        let strict = chance.below(3) == 0;
        let settings = settings(&mut chance, disk.data_dir(), strict);
        let began = Instant::now();
        let server = Server::with(&rig.binary, settings);
        let start = began.elapsed();
        let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
        for mailbox in ["Work", "Filed", "Copies"] {
            imap.ok(&format!("CREATE {mailbox}"));
        }
        Self {
            rig,
            seed,
            chance,
            server,
            disk,
            known: Knowledge {
                strict,
                ..Knowledge::default()
            },
            commands: 0,
            aborted: 0,
            how: String::new(),
            boots: 0,
            start,
        }
    }

    fn live(mut self, tally: &mut Tally, enough: &dyn Fn(&Tally) -> bool) {
        for round in 0..ROUNDS {
            let before = self.known.acknowledged;
            let cut = self.round();
            tally.ends += 1;
            tally.aborted += std::mem::take(&mut self.aborted);
            while self.chance.below(3) == 0 {
                self.end_in_start();
                tally.in_starts += 1;
            }
            self.perhaps_change_clock();
            let wrong = self.judge(cut);
            tally.acknowledged += self.known.acknowledged - before;
            if !wrong.is_empty() {
                tally.wrong.push(self.report(round, &wrong));
                return;
            }
            if enough(tally) {
                return;
            }
        }
    }

    /// Load, and its end. When the cut began.
    fn round(&mut self) -> Instant {
        let ledger = Ledger::new(std::mem::take(&mut self.known), self.commands);
        let moment = self.chance.between(1, 150);
        let (disk, cut) = std::thread::scope(|scope| {
            let scarce = self.rig.end == End::Memory;
            let (clients, answers) =
                load::start(scope, &self.server, &ledger, &mut self.chance, scarce);
            let mut silent = false;
            for _ in 0..moment {
                silent = answers.recv_timeout(PATIENCE).is_err();
                if silent || clients.iter().any(|client| client.is_finished()) {
                    break;
                }
            }
            // Not only right after an answer.
            std::thread::sleep(Duration::from_micros(self.chance.below(3000)));
            let early = clients.iter().any(|client| client.is_finished());
            let cut = match scarce {
                true => self.starve(&answers),
                false => self.perhaps_stop(),
            };
            let known = ledger.moment();
            let disk = self.cut();
            if disk.is_some() {
                self.known = ledger.after_cut(known);
                self.server.kill();
            } else {
                self.server.kill();
                self.known = ledger.after_cut(known);
            }
            for client in clients {
                let _ = client.join();
            }
            let told = panics();
            if silent {
                let what = format!("no client had an answer for {PATIENCE:?}");
                self.known.wrong.push(what);
            }
            if early {
                // A client that ended while the server lived was told something wrong.
                self.known.wrong.extend(told.into_iter().take(1));
            } else if scarce {
                let odd = told.into_iter().filter(|told| !is_of_need(told));
                self.known.wrong.extend(odd);
            }
            (disk, cut)
        });
        self.commands = ledger.commands();
        self.change_disk(disk);
        cut
    }

    /// Until the server ends by itself, or is able to live with what it has. Answers when it was
    /// alive for certain.
    fn starve(&mut self, answers: &Receiver<()>) -> Instant {
        let mut alive = Instant::now();
        let until = alive + STARVED;
        let more = self.chance.pick(&[0, 256 << 10, 2 << 20, 6 << 20]);
        self.server.limit_memory(more);
        loop {
            let now = Instant::now();
            if !self.server.is_running() {
                self.aborted += 1;
                return alive;
            }
            alive = now;
            let heard = answers.recv_timeout(Duration::from_millis(20));
            if now > until || heard == Err(RecvTimeoutError::Disconnected) {
                return alive;
            }
        }
    }

    /// Now and then the server was stopped, or is just stopping, when the power goes.
    fn perhaps_stop(&mut self) -> Instant {
        match self.chance.below(12) {
            0 => assert!(self.server.terminate().success(), "{}", self.server.log()),
            1 => {
                self.server.signal(Signal::TERM);
                std::thread::sleep(Duration::from_micros(self.chance.below(60_000)));
            }
            _ => {}
        }
        Instant::now()
    }

    /// The power goes under a server that is starting after it went.
    fn end_in_start(&mut self) {
        self.server.spawn();
        let most = self.start.as_micros() as u64;
        std::thread::sleep(Duration::from_micros(self.chance.below(most.max(1))));
        let disk = self.cut();
        self.server.kill();
        self.change_disk(disk);
    }

    /// What the cut leaves; `None` where nothing but the process ends.
    fn cut(&mut self) -> Option<Disk> {
        let place = self.rig.place();
        match (&self.disk, &self.rig.works) {
            (Disk::Block(disk), Some(works)) => {
                let cut = works.cut(disk, &place, &mut self.chance).expect("a clone");
                cut.options().clone_into(&mut self.how);
                Some(Disk::Block(cut))
            }
            (Disk::Fuse(disk), _) => {
                let (cut, how) = disk.cut(&place, &mut self.chance).expect("a cut disk");
                self.how = how;
                Some(Disk::Fuse(cut))
            }
            _ => None,
        }
    }

    fn change_disk(&mut self, disk: Option<Disk>) {
        let Some(disk) = disk else {
            return;
        };
        if let Disk::Block(disk) = &disk {
            disk.mount().expect("ext4 replays its journal");
        }
        self.server.set_data_dir(disk.data_dir());
        self.disk = disk;
        self.boots += 1;
        self.server
            .set_environment("GATEPOST_BOOT", &self.boots.to_string());
    }

    /// Now and then the clock is wrong from the next start on, by up to a year either way.
    fn perhaps_change_clock(&mut self) {
        if self.chance.below(5) == 0 {
            let offsets = ["-365d", "-1d", "-60s", "+0s", "+0s", "+365d"];
            self.server.set_clock(self.chance.pick(&offsets));
        }
    }

    fn judge(&mut self, cut: Instant) -> Vec<String> {
        let began = Instant::now();
        if let Err(why) = self.server.try_start_again() {
            return vec![format!("the server does not start: {why}")];
        }
        self.start = began.elapsed();
        let settled = catch_unwind(AssertUnwindSafe(|| {
            let mut wrong = self.known.settle(&self.server, cut);
            let output = self.server.cli(&["verify", "--contents"], "");
            let said = programs::said(&output);
            if !output.status.success() || !said.contains("everything is as it should be") {
                wrong.push(format!("verify: {said}"));
            }
            wrong
        }));
        settled.unwrap_or_else(|_| panics())
    }

    /// Keeps what whoever looks for the cause needs.
    fn report(&mut self, round: u64, wrong: &[String]) -> String {
        let (end, seed) = (self.rig.end, self.seed);
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/torture");
        let home = home.join(format!("{end:?}-{seed}-{round}"));
        let _ = std::fs::remove_dir_all(&home);
        let log = self.server.log();
        self.server.kill();
        let kept = std::fs::create_dir_all(&home).and_then(|()| {
            std::fs::write(home.join("log"), &log)?;
            std::fs::write(home.join("wrong"), wrong.join("\n"))?;
            std::fs::copy(self.server.config(), home.join("gatepost.toml"))?;
            self.disk.dump(&home.join("disk"))
        });
        let shown: Vec<String> = wrong
            .iter()
            .take(8)
            .map(|w| w.chars().take(600).collect())
            .collect();
        format!(
            "{end:?}, life of seed {seed}, round {round}, {}; kept ({kept:?}) in {}:\n  {}",
            self.how,
            home.display(),
            shown.join("\n  ")
        )
    }
}

/// Whether a client ended because its server was gone, or said that it cannot now.
fn is_of_need(told: &str) -> bool {
    let gone = ["connect to ", "send: ", "no line from", "no response: "];
    let not_now = ["[UNAVAILABLE]", "[SYS/TEMP]", "\"451 ", "\"452 ", "\"421 "];
    gone.iter().chain(&not_now).any(|what| told.contains(what))
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Panics of clients, which end when their server does, are kept and not printed.
fn collect_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let client = thread
                .name()
                .is_some_and(|name| name.starts_with("client "));
            let said = format!("{}: {panic}", thread.name().unwrap_or_default());
            PANICS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(said);
            if !client {
                hook(panic);
            }
        }));
    });
}

/// What was collected since.
fn panics() -> Vec<String> {
    std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}
