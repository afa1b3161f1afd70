//! One scenario after the other.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::talk::Talk;
use super::usage::Usage;
use super::{Mib, USERS, Wait, crowd};
use crate::corpus::{Chance, Corpus};
use crate::{ImapClient, LmtpClient, PASSWORD, Server, Settings};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Connections in IDLE.
    pub idle: usize,
    /// Connections with a command a second.
    pub active: usize,
    /// Connections that stop reading within an answer.
    pub slow: usize,
    /// Messages of one mailbox.
    pub mailbox: usize,
    /// Octets of one message.
    pub message: usize,
    /// Folders of one account.
    pub folders: usize,
    /// What messages on their way may take.
    pub memory: u64,
    /// How long the bystander looks.
    pub watch: Duration,
}

impl Size {
    /// What is promised.
    pub const FULL: Self = Self {
        idle: 10_000,
        active: 2_000,
        slow: 200,
        mailbox: 1_000_000,
        message: 100 << 20,
        folders: 10_000,
        memory: 256 << 20,
        watch: Duration::from_secs(10),
    };
    /// What a test can do in seconds.
    pub const SHORT: Self = Self {
        idle: 500,
        active: 100,
        slow: 20,
        mailbox: 20_000,
        message: 20 << 20,
        folders: 500,
        memory: 32 << 20,
        watch: Duration::from_millis(300),
    };
}

/// Nothing takes longer, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(300);
/// Index and views.
const CACHES: u64 = 32 << 20;
/// What a connection may take beside: DESIGN 10 wants 16 KiB of an idle one.
const CONNECTION: u64 = 32 << 10;
/// What a client that stops reading may take: the pieces of mail that always find room, one being
/// sent and one ahead, and what waits to be sent.
const SLOW: u64 = 512 << 10;
/// An open mailbox: 48 octets a message (DESIGN 10), and as much while it changes.
const MESSAGE: u64 = 100;
/// What the process takes for itself, what one long command takes, and what the allocator keeps.
const PROCESS: u64 = 96 << 20;

/// A server with a small budget.
#[must_use]
pub fn server(binary: impl AsRef<Path>, size: &Size) -> Server {
    let own = (0..USERS).map(crowd::user);
    let names = ["alice", "bob", "carol"].into_iter().map(str::to_owned);
    let memory = format!("memory_bytes = {}\n", size.memory);
    let half = CACHES / 2;
    Server::with(
        binary,
        Settings {
            accounts: names
                .chain(own)
                .map(|name| (name, PASSWORD.to_owned()))
                .collect(),
            imap: memory.clone(),
            pop3: memory.clone(),
            lmtp: memory,
            extra: format!(
                "[storage]\ncache_bytes = {half}\n\
                 [mail]\nview_cache_bytes = {half}\nmax_message_bytes = {}\n",
                size.message + (1 << 20)
            ),
            ..Settings::default()
        },
    )
}

/// What was seen of one scenario.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which it is.
    pub what: String,
    /// What the process held meanwhile.
    pub usage: Usage,
    /// What it may hold, by what is configured.
    pub allowed: u64,
    /// How long a bystander waited for a NOOP.
    pub wait: Wait,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, allowed) = (Mib(self.usage.memory), Mib(self.allowed));
        let (what, wait, open) = (&self.what, self.wait, self.usage.descriptors);
        write!(f, "| {what} | {memory} | {allowed} | {open} | {wait} |")
    }
}

/// The scenarios on one server.
struct Run<'a> {
    server: &'a Server,
    size: Size,
    runtime: Runtime,
    /// Connections of the crowd that are open.
    open: usize,
    seen: Vec<Seen>,
}

/// Runs all scenarios; what is wrong with an answer panics.
///
/// # Errors
/// A client lost its connection, or was refused.
pub fn run(server: &Server, size: Size) -> io::Result<Vec<Seen>> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).on_thread_start(give_way);
    let runtime = runtime.enable_all().build()?;
    let mut run = Run {
        server,
        size,
        runtime,
        open: 0,
        seen: Vec::new(),
    };
    run.prepare();
    run.look("nobody", 0);
    run.crowds()?;
    run.long_message()?;
    run.folders()?;
    run.long_mailbox()?;
    run.open = 0;
    run.look(
        "nobody any more",
        (MESSAGE * size.mailbox as u64).min(CACHES / 2),
    );
    Ok(run.seen)
}

/// A crowd has machines of its own in life: here its threads must not keep the server, nor who
/// measures it, from the processors. Without the right to it they do.
fn give_way() {
    let _ = rustix::process::setpriority_process(None, 10);
}

impl Run<'_> {
    /// What a crowd does, which must not take for ever.
    fn wait<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let limited = async { tokio::time::timeout(PATIENCE, work).await };
        self.runtime.block_on(limited)?
    }

    /// Mail for everybody.
    fn prepare(&self) {
        let mut lmtp = LmtpClient::connect(self.server.lmtp());
        let users: Vec<String> = (0..USERS).map(crowd::user).collect();
        let names: Vec<&str> = users.iter().map(String::as_str).chain(["bob"]).collect();
        for message in Corpus::new(8).take(50) {
            for reply in lmtp.deliver(&names, &message) {
                assert!(reply.starts_with("250"), "{reply}");
            }
        }
        for message in Corpus::new(9).take(400) {
            lmtp.deliver_ok("alice", &message);
        }
    }

    /// `more`: what this scenario may take beside what is configured.
    fn look(&mut self, what: &str, more: u64) {
        let wait = Wait::watch(self.server, self.size.watch);
        let seen = Seen {
            what: what.to_owned(),
            usage: Usage::of(self.server.pid()),
            allowed: PROCESS
                + CACHES
                + self.size.memory * 5 / 4
                + CONNECTION * self.open as u64
                + more,
            wait,
        };
        println!("{seen}");
        self.seen.push(seen);
    }

    /// Idle ones, busy ones beside them, slow ones beside both.
    fn crowds(&mut self) -> io::Result<()> {
        let (to, size) = (self.server.imap(), self.size);
        let mut idle = self.wait(crowd::idle(to, size.idle))?;
        self.open = size.idle;
        self.look(&format!("{} idle", size.idle), 0);
        // They are served: the first and the last hear of new mail.
        let mut lmtp = LmtpClient::connect(self.server.lmtp());
        for number in [0, size.idle - 1] {
            lmtp.deliver_ok(&crowd::user(number), b"Subject: new\r\n\r\nHello\r\n");
            self.wait(idle[number].until("* 51 EXISTS"))?;
        }
        let busy = crowd::Busy::start(to, size.idle, size.active);
        let busy = self.wait(busy)?;
        self.open += size.active;
        self.look(&format!("{} busy beside them", size.active), 0);
        let first = size.idle + size.active;
        let slow = crowd::slow(to, first, size.slow, "INBOX");
        let mut slow = self.wait(slow)?;
        self.open += size.slow;
        let more = SLOW * size.slow as u64;
        self.look(
            &format!("{} that stop reading beside both", size.slow),
            more,
        );
        let answered = self.wait(busy.end())?;
        assert!(answered > 0, "nobody was served");
        // Who reads on gets what is left.
        let (_, end) = self.wait(slow[0].finish())?;
        assert!(end.starts_with("OK"), "{end}");
        drop((idle, slow));
        self.open = 0;
        Ok(())
    }

    /// A long message comes, is read, and is asked for by many who stop reading.
    fn long_message(&mut self) -> io::Result<()> {
        let (to, size) = (self.server.imap(), self.size);
        let message = long(size.message);
        let mut imap = ImapClient::login(to, "alice", PASSWORD);
        imap.ok("CREATE Long");
        let appended = imap.append("Long", "", &message);
        assert!(appended.starts_with("OK"), "{appended}");
        imap.ok("SELECT Long");
        assert!(imap.body(1) == message, "the long message is another one");
        let began = Instant::now();
        let slow = crowd::slow(to, 0, size.slow, "Long");
        let slow = self.wait(slow);
        println!("slow readers of a long message: {:?}", began.elapsed());
        let mut slow = slow?;
        self.open = size.slow;
        let more = SLOW * size.slow as u64;
        let what = format!(
            "{} that stop reading within {}",
            size.slow,
            Mib(size.message as u64)
        );
        self.look(&what, more);
        let (octets, _) = self.wait(slow[0].finish())?;
        assert_eq!(octets, message.len() as u64);
        drop(slow);
        self.open = 0;
        Ok(())
    }

    fn folders(&mut self) -> io::Result<()> {
        let size = self.size;
        let mut imap = ImapClient::login(self.server.imap(), "carol", PASSWORD);
        for number in 0..size.folders {
            imap.ok(&format!("CREATE Folders/{}/{number}", number % 100));
        }
        let began = Instant::now();
        let listed = imap
            .ok("LIST \"\" Folders/* RETURN (STATUS (MESSAGES UIDNEXT))")
            .len();
        println!("LIST with STATUS of {listed} lines: {:?}", began.elapsed());
        assert!(listed >= size.folders * 2, "{listed} lines");
        self.look(&format!("{} folders", size.folders), 0);
        Ok(())
    }

    fn long_mailbox(&mut self) -> io::Result<()> {
        let size = self.size;
        let mut imap = ImapClient::login(self.server.imap(), "carol", PASSWORD);
        let began = Instant::now();
        self.wait(fill(self.server, size.mailbox.min(20_000)))?;
        imap.ok("SELECT Million");
        let mut length = imap.count("Million");
        while length < size.mailbox {
            imap.ok(&format!(
                "COPY 1:{} Million",
                length.min(size.mailbox - length)
            ));
            length = imap.count("Million");
        }
        assert_eq!(length, size.mailbox);
        println!(
            "a mailbox of {length} messages filled: {:?}",
            began.elapsed()
        );
        let mut talk = self.wait(Talk::login(self.server.imap(), 0, "carol"))?;
        for command in ["SELECT Million", "FETCH 1:* (UID FLAGS)", "SEARCH UNSEEN"] {
            let began = Instant::now();
            self.wait(talk.ok(command))?;
            println!("{command}: {:?}", began.elapsed());
        }
        let more = MESSAGE * size.mailbox as u64;
        self.look(&format!("a mailbox of {} open", size.mailbox), more);
        Ok(())
    }
}

/// `count` small messages in one command, for carol.
async fn fill(server: &Server, count: usize) -> io::Result<()> {
    let mut talk = Talk::login(server.imap(), 0, "carol").await?;
    talk.ok("CREATE Million").await?;
    let mut text = b"APPEND Million".to_vec();
    for number in 0..count {
        let message = format!("Subject: number {number}\r\n\r\nBody\r\n");
        text.extend_from_slice(format!(" {{{}+}}\r\n{message}", message.len()).as_bytes());
    }
    talk.start(&String::from_utf8_lossy(&text)).await?;
    let (_, answer) = talk.finish().await?;
    match answer.starts_with("OK") {
        true => Ok(()),
        false => Err(io::Error::other(answer)),
    }
}

/// A message of about so many octets.
fn long(octets: usize) -> Vec<u8> {
    let mut chance = Chance::new(3);
    let mut message = b"Subject: long\r\n\r\n".to_vec();
    let line = chance.base64(76 * 1024);
    while message.len() + 78 * 1024 < octets {
        for line in line.as_bytes().chunks(76) {
            message.extend_from_slice(line);
            message.extend_from_slice(b"\r\n");
        }
    }
    message
}
