//! Half an hour of everything, with no more mail at its end than at its beginning.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::usage::{Mib, Usage, disk};
use crate::corpus::{Chance, Corpus};
use crate::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

/// A server on whose calendar a day passes in a minute: what is removed today is forgotten, and its
/// space given back, a few minutes later. Its caches are full soon, so that what grows after that
/// is not one of them.
#[must_use]
pub fn server(binary: impl AsRef<Path>) -> Server {
    let settings = Settings {
        extra: "[storage]\ncache_bytes = 8388608\nlog_segment_bytes = 1048576\nexport_bytes = 4194304\n\
                checkpoint_bytes = 1048576\npack_bytes = 8388608\nsweep_seconds = 5\n\
                [mail]\nview_cache_bytes = 4194304\nemail_cache_bytes = 4194304\n\
                search_cache_bytes = 1048576\n\
                undelete_days = 1\ngrace_hours = 1\nremember_expunged_days = 3\n\
                history_days = 3\nhistory_entries = 1000\n"
            .to_owned(),
        ..Settings::default()
    };
    let mut server = Server::with(binary, settings);
    assert!(server.terminate().success(), "{}", server.log());
    server.set_clock("+0 x1440");
    server.start_again();
    server
}

/// One look at the server.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the beginning.
    pub at: Duration,
    /// What the process holds.
    pub usage: Usage,
    /// What its files take.
    pub disk: u64,
    /// What the mail in all mailboxes takes.
    pub mail: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Soak {
    /// In the order of time.
    pub samples: Vec<Sample>,
    /// Before the first client and after the last.
    pub idle: [Usage; 2],
    /// Messages delivered.
    pub delivered: u64,
    /// Sessions begun.
    pub sessions: u64,
}

/// What the clients share.
#[derive(Default)]
struct State {
    stop: AtomicBool,
    /// The one who waits for mail has left: from now on there need be none.
    left: AtomicBool,
    delivered: AtomicU64,
    sessions: AtomicU64,
}

impl State {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps until `pause` after `began`: a client that comes now and then.
    fn pace(began: Instant, pause: Duration) {
        thread::sleep(pause.saturating_sub(began.elapsed()));
    }

    fn imap(&self, server: &Server, user: &str) -> ImapClient {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        ImapClient::login(server.imap(), user, PASSWORD)
    }

    /// `work` every `pause`, each time with its number.
    fn often(&self, pause: Duration, mut work: impl FnMut(u64)) {
        for round in 0.. {
            let began = Instant::now();
            if !self.goes_on() {
                return;
            }
            work(round);
            Self::pace(began, pause);
        }
    }
}

/// A mailbox a client keeps small holds so many messages.
const KEPT: usize = 50;

impl Soak {
    /// Runs for so long, looking every `every`.
    #[must_use]
    pub fn run(server: &Server, length: Duration, every: Duration) -> Self {
        let state = State::default();
        let mut soak = Self::default();
        let mut control = ImapClient::login(server.imap(), "alice", PASSWORD);
        let _ = control.command("CREATE Filed");
        drop(control);
        soak.idle[0] = Usage::of(server.pid());
        thread::scope(|scope| {
            start(scope, server, &state);
            let began = Instant::now();
            let _stop = Stop(&state);
            while began.elapsed() < length {
                thread::sleep(every.min(length.saturating_sub(began.elapsed())));
                let sample = Sample::take(server, began.elapsed());
                println!("{sample}");
                soak.samples.push(sample);
            }
        });
        soak.delivered = state.delivered.load(Ordering::Relaxed);
        soak.sessions = state.sessions.load(Ordering::Relaxed);
        soak.idle[1] = settled(server, soak.idle[0].sockets);
        soak
    }
}

/// Also when the one who looks panics.
struct Stop<'a>(&'a State);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// The server once its last connection is closed: it lingers a moment with each.
fn settled(server: &Server, sockets: usize) -> Usage {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let usage = Usage::of(server.pid());
        if usage.sockets <= sockets || Instant::now() > until {
            return usage;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

impl Sample {
    fn take(server: &Server, at: Duration) -> Self {
        let mut mail = 0;
        for user in ["alice", "bob", "carol"] {
            let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
            for line in imap.ok("LIST \"\" * RETURN (STATUS (SIZE))") {
                let size = line.text.rsplit_once("(SIZE ");
                let size = size.and_then(|(_, size)| size.trim_end_matches(')').parse().ok());
                mail += size.unwrap_or(0u64);
            }
        }
        Self {
            at,
            usage: Usage::of(server.pid()),
            disk: disk(&server.data_dir()),
            mail,
        }
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, usage) = (self.at.as_secs(), self.usage);
        let (disk, mail) = (Mib(self.disk), Mib(self.mail));
        write!(f, "{seconds} s: {usage}; {disk} on disk for {mail} of mail")
    }
}

fn start<'scope>(scope: &'scope Scope<'scope, '_>, server: &'scope Server, state: &'scope State) {
    let every = Duration::from_millis;
    scope.spawn(move || deliver(server, state));
    scope.spawn(move || state.often(every(500), |round| work(server, state, round)));
    scope.spawn(move || state.often(every(1000), |_| poll(server, state)));
    scope.spawn(move || state.often(every(700), |round| folders(server, state, round)));
    scope.spawn(move || state.often(every(2000), |_| stop_reading(server, state)));
    scope.spawn(move || state.often(every(1500), |round| strangers(server, state, round)));
    scope.spawn(move || idle(server, state));
}

/// Mail for everybody, twenty a second.
fn deliver(server: &Server, state: &State) {
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let mut corpus = Corpus::new(5);
    for round in 0.. {
        let began = Instant::now();
        if state.left.load(Ordering::Relaxed) {
            return;
        }
        let message = corpus.next().unwrap_or_default();
        let to: &[&str] = match round % 3 {
            0 => &["alice"],
            1 => &["bob", "alice"],
            _ => &["carol"],
        };
        for reply in lmtp.deliver(to, &message) {
            assert!(reply.starts_with("250"), "{reply}");
        }
        state
            .delivered
            .fetch_add(to.len() as u64, Ordering::Relaxed);
        if round % 500 == 499 {
            lmtp = LmtpClient::connect(server.lmtp());
        }
        State::pace(began, Duration::from_millis(50));
    }
}

/// Alice reads, marks, files and removes; carol only removes.
fn work(server: &Server, state: &State, round: u64) {
    let mut imap = state.imap(server, "alice");
    imap.ok("SELECT INBOX");
    imap.ok("FETCH * (FLAGS ENVELOPE BODYSTRUCTURE)");
    imap.ok("FETCH 1:* (UID FLAGS)");
    imap.ok("STORE * +FLAGS (\\Seen $Round)");
    imap.ok("SEARCH SUBJECT meeting");
    if round.is_multiple_of(4) {
        imap.ok("UID FETCH 1:* (BODY.PEEK[])");
    }
    let length = imap.count("INBOX");
    if length > KEPT {
        imap.ok(&format!("COPY 1:{} Filed", (length - KEPT).min(5)));
        imap.ok(&format!("STORE 1:{} +FLAGS (\\Deleted)", length - KEPT));
        imap.ok("EXPUNGE");
    }
    for (user, mailbox) in [("alice", "Filed"), ("carol", "INBOX")] {
        let mut imap = state.imap(server, user);
        imap.ok(&format!("SELECT {mailbox}"));
        let length = imap.count(mailbox);
        if length > KEPT {
            imap.ok(&format!("STORE 1:{} +FLAGS (\\Deleted)", length - KEPT));
            imap.ok("CLOSE");
        }
        imap.ok("LOGOUT");
    }
}

/// Bob takes everything by POP3.
fn poll(server: &Server, state: &State) {
    state.sessions.fetch_add(1, Ordering::Relaxed);
    let mut pop3 = Pop3Client::login(server.pop3(), "bob", PASSWORD);
    let (count, _) = pop3.stat();
    pop3.rows("UIDL");
    for number in 1..=count {
        pop3.retr(number);
        pop3.ok(&format!("DELE {number}"));
    }
    pop3.quit();
}

/// Folders come, are filled and go.
fn folders(server: &Server, state: &State, round: u64) {
    let mut imap = state.imap(server, "carol");
    let name = format!("Folder {}", round % 20);
    imap.ok(&format!("CREATE \"{name}\""));
    imap.ok(&format!("SUBSCRIBE \"{name}\""));
    let message = format!("Subject: {round}\r\n\r\nBody {round}\r\n");
    let appended = imap.append(&format!("\"{name}\""), "\\Flagged", message.as_bytes());
    assert!(appended.starts_with("OK"), "{appended}");
    imap.ok(&format!("RENAME \"{name}\" \"{name} renamed\""));
    imap.ok(&format!("UNSUBSCRIBE \"{name}\""));
    imap.ok(&format!("DELETE \"{name} renamed\""));
    // No LOGOUT: many clients just go.
}

/// A client that asks for everything, stops reading and goes away.
fn stop_reading(server: &Server, state: &State) {
    let mut imap = state.imap(server, "alice");
    imap.ok("EXAMINE INBOX");
    imap.start("UID FETCH 1:* (BODY.PEEK[])");
    let _ = imap.try_response();
}

/// Those who cannot get in, and those who do not know how to talk.
fn strangers(server: &Server, state: &State, round: u64) {
    state.sessions.fetch_add(2, Ordering::Relaxed);
    let mut imap = ImapClient::connect(server.imap());
    let nobody = Chance::new(round).next();
    let (_, answer) = imap.command(&format!("LOGIN nobody{nobody} wrong"));
    assert!(answer.starts_with("NO"), "{answer}");
    let mut pop3 = Pop3Client::connect(server.pop3());
    assert!(pop3.command("GET / HTTP/1.1").is_err());
}

/// Somebody who waits, and is told.
fn idle(server: &Server, state: &State) {
    state.often(Duration::from_millis(100), |_| {
        let mut imap = state.imap(server, "alice");
        imap.ok("SELECT INBOX");
        imap.idle();
        imap.wait_for("EXISTS", Duration::from_secs(60));
        imap.done();
    });
    state.left.store(true, Ordering::Relaxed);
}
