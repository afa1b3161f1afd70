//! Many clients: idle ones, busy ones, and those that stop reading.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use super::USERS;
use super::talk::Talk;
use crate::corpus::Chance;

/// Connections opened at the same time.
const AT_ONCE: usize = 64;

/// The user of a number.
pub(super) fn user(number: usize) -> String {
    format!("user{}", number % USERS)
}

/// Opens `count` connections, in an order, the first with number `first`.
async fn open(to: SocketAddr, first: usize, count: usize) -> io::Result<Vec<Talk>> {
    let mut all = Vec::with_capacity(count);
    for start in (first..first + count).step_by(AT_ONCE) {
        let mut some = JoinSet::new();
        for number in start..(start + AT_ONCE).min(first + count) {
            some.spawn(async move {
                let talk = Talk::login(to, number, &user(number)).await;
                Ok::<_, io::Error>((number, talk?))
            });
        }
        while let Some(talk) = some.join_next().await {
            all.push(talk.map_err(io::Error::other)??);
        }
    }
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, talk)| talk).collect())
}

/// Clients in IDLE.
pub(super) async fn idle(to: SocketAddr, count: usize) -> io::Result<Vec<Talk>> {
    let mut all = open(to, 0, count).await?;
    for talk in &mut all {
        talk.ok("SELECT INBOX").await?;
        talk.start("IDLE").await?;
        talk.until("+").await?;
    }
    Ok(all)
}

/// Clients that do something every second or so.
pub(super) struct Busy {
    stop: Arc<AtomicBool>,
    commands: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl Busy {
    pub(super) async fn start(to: SocketAddr, first: usize, count: usize) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let commands = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::with_capacity(count);
        for (number, mut talk) in open(to, first, count).await?.into_iter().enumerate() {
            talk.ok("SELECT INBOX").await?;
            let (stop, commands) = (stop.clone(), commands.clone());
            tasks.push(tokio::spawn(async move {
                let mut chance = Chance::new(number as u64);
                while !stop.load(Ordering::Relaxed) {
                    let pause = chance.between(500, 1500) as u64;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    talk.ok(chance.pick(&COMMANDS)).await?;
                    commands.fetch_add(1, Ordering::Relaxed);
                }
                talk.ok("LOGOUT").await.map(drop)
            }));
        }
        Ok(Self {
            stop,
            commands,
            tasks,
        })
    }

    /// Ends them; how many commands were answered.
    pub(super) async fn end(self) -> io::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(self.commands.load(Ordering::Relaxed))
    }
}

/// What busy clients do.
const COMMANDS: [&str; 8] = [
    "NOOP",
    "CHECK",
    "FETCH * (FLAGS ENVELOPE BODYSTRUCTURE)",
    "FETCH 1:* (UID FLAGS)",
    "FETCH * BODY.PEEK[]",
    "STORE * +FLAGS (\\Seen)",
    "SEARCH SUBJECT meeting",
    "STATUS Sent (MESSAGES UNSEEN)",
];

/// Clients that ask for all of a mailbox, read its beginning and then nothing.
pub(super) async fn slow(
    to: SocketAddr,
    first: usize,
    count: usize,
    mailbox: &str,
) -> io::Result<Vec<Talk>> {
    let mut all = Vec::with_capacity(count);
    for number in first..first + count {
        let mut talk = Talk::login(to, number, "alice").await?;
        talk.ok(&format!("EXAMINE {mailbox}")).await?;
        talk.start("FETCH 1:* (BODY.PEEK[])").await?;
        talk.until("* 1 FETCH").await?;
        all.push(talk);
    }
    Ok(all)
}
