//! Everything at once at a fixed rate: mail that comes in, clients in IDLE that hear of it, POP3
//! pollers, and webmail that caches nothing.
//!
//! The loop is open: each operation has a time at which it is due, whether the server has kept up
//! or not, and its latency counts from then. A server that stalls for a second is seen to have kept
//! everybody waiting who came in that second (no "coordinated omission").

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clients::{Door, Lmtp, Pop3};
use crate::imap::Imap;
use crate::peers::{Need, Peer};
use crate::report::aligned;
use crate::run::{Servers, Start, plan, write_json};
use crate::stats::Latency;
use crate::wire::{Result, SMALL};
use crate::workloads::deliver::stuff;

/// Accounts that mail is delivered to and webmail looks at; the others are polled, since a maildrop
/// has one session at a time (RFC 1939 4).
const WATCHED: usize = 16;
const POLLED: usize = 48;
/// What stands in each mailbox before the clock starts.
const BEFORE: usize = 20;
/// How long after the last answer connections in IDLE may hear of a delivery.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    servers: Servers,
    /// How long the load lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Deliveries a second.
    #[arg(long, default_value_t = 40.0)]
    deliveries: f64,
    /// POP3 sessions a second: login, STAT, UIDL, QUIT.
    #[arg(long, default_value_t = 20.0)]
    polls: f64,
    /// Webmail pages a second: login, SELECT, the newest 20 envelopes, one body, LOGOUT.
    #[arg(long, default_value_t = 20.0)]
    pages: f64,
    /// Connections in IDLE, spread over the accounts.
    #[arg(long, default_value_t = 64)]
    idle: usize,
    /// Client threads: more than can be waiting for the server at any time.
    #[arg(long, default_value_t = 64)]
    threads: usize,
    /// Each round starts every server anew and measures one after the other: A B A B.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Write the numbers to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Delivery,
    Poll,
    Page,
    /// From the time a delivery was due to its EXISTS on a connection in IDLE.
    Notice,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Delivery, Self::Notice, Self::Poll, Self::Page];

    fn text(self) -> &'static str {
        match self {
            Self::Delivery => "delivery (LMTP)",
            Self::Notice => "EXISTS in IDLE",
            Self::Poll => "POP3 poll",
            Self::Page => "webmail page",
        }
    }
}

/// One operation, due at a time counted from the start.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Due {
    at: Duration,
    kind: Kind,
    /// Of its kind.
    number: usize,
}

/// What is due when, earliest first.
fn schedule(rates: &[(Kind, f64)], length: Duration) -> VecDeque<Due> {
    let mut all = Vec::new();
    for (kind, rate) in rates {
        if *rate <= 0.0 {
            continue;
        }
        for number in 0.. {
            let at = Duration::from_secs_f64(number as f64 / rate);
            if at >= length {
                break;
            }
            let kind = *kind;
            all.push(Due { at, kind, number });
        }
    }
    all.sort_by_key(|due| (due.at, due.kind));
    all.into()
}

/// One server in one round.
#[derive(Debug, Serialize)]
struct Outcome {
    server: String,
    round: usize,
    latency: BTreeMap<Kind, Latency>,
    /// Operations that failed, with the first reason.
    failures: usize,
    reason: Option<String>,
    /// From the last due time to the last answer: near 0 where the server keeps up.
    behind: f64,
}

/// What the threads share.
struct Load<'a> {
    start: Instant,
    queue: Mutex<VecDeque<Due>>,
    imap: Door,
    pop3: Door,
    lmtp: SocketAddr,
    users: Vec<String>,
    messages: &'a [Vec<u8>],
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    seconds: BTreeMap<Kind, Vec<f64>>,
    failures: usize,
    reason: Option<String>,
    last: Duration,
}

pub(crate) fn run(args: &Args) -> Result<bool> {
    let servers = args.servers.list()?;
    let plan = plan(500, true, BTreeSet::new());
    let mut outcomes = Vec::new();
    for round in 0..args.rounds.max(1) {
        for start in &servers {
            let mut peer = start.start()?;
            let doors = [Need::Imap, Need::Pop3, Need::Lmtp];
            let offered = doors.into_iter().all(|need| peer.offers(need));
            if !offered || peer.receivers() < WATCHED + POLLED {
                return Err(
                    "the mixed workload delivers to 64 accounts: it needs --imap, --pop3, \
                            --lmtp, --may-write, and so many --receivers"
                        .into(),
                );
            }
            eprintln!("== {}", peer.name());
            let outcome = measure(args, peer.as_mut(), &plan.messages, round)?;
            outcomes.push(outcome);
        }
    }
    println!(
        "open loop for {} s: {} deliveries/s, {} POP3 polls/s, {} webmail pages/s, {} connections \
         in IDLE",
        args.seconds, args.deliveries, args.polls, args.pages, args.idle
    );
    println!("{}", table(&outcomes));
    if let Some(path) = &args.json {
        write_json(path, &outcomes)?;
    }
    let ours = |start: &Start| matches!(start, Start::Gatepost(_));
    let failed = outcomes
        .iter()
        .step_by(servers.len())
        .any(|one| one.failures > 0);
    Ok(!(servers.first().is_some_and(ours) && failed))
}

fn measure(
    args: &Args,
    peer: &mut dyn Peer,
    messages: &[Vec<u8>],
    round: usize,
) -> Result<Outcome> {
    let users: Vec<_> = (0..WATCHED + POLLED)
        .map(|index| peer.receiver(index))
        .collect();
    let mut lmtp = Lmtp::connect(peer.lmtp())?;
    for user in &users {
        for (index, message) in messages.iter().take(BEFORE).enumerate() {
            lmtp.deliver(user, &stuff(&format!("before.{index}"), message))?;
        }
    }
    let length = Duration::from_secs(args.seconds);
    let rates = [
        (Kind::Delivery, args.deliveries),
        (Kind::Poll, args.polls),
        (Kind::Page, args.pages),
    ];
    let queue = schedule(&rates, length);
    let last_due = queue.back().map_or(Duration::ZERO, |due| due.at);
    let idle = (0..args.idle)
        .map(|index| Imap::idling(&peer.door(peer.imap()).of(users[index % WATCHED].clone())))
        .collect::<Result<Vec<_>>>()?;
    let expected: Vec<Vec<Duration>> = (0..WATCHED)
        .map(|account| {
            let to = |due: &&Due| due.kind == Kind::Delivery && due.number % WATCHED == account;
            queue.iter().filter(to).map(|due| due.at).collect()
        })
        .collect();
    let load = Load {
        start: Instant::now(),
        queue: Mutex::new(queue),
        imap: peer.door(peer.imap()),
        pop3: peer.door(peer.pop3()),
        lmtp: peer.lmtp(),
        users,
        messages,
        found: Mutex::default(),
    };
    thread::scope(|scope| {
        let mut writers = Vec::new();
        let mut listeners = Vec::new();
        for (index, imap) in idle.into_iter().enumerate() {
            writers.push(imap.wire.writer()?);
            let dues = &expected[index % WATCHED];
            let load = &load;
            listeners.push(scope.spawn(move || listen(load, imap, dues)));
        }
        let workers: Vec<_> = (0..args.threads.max(1))
            .map(|_| scope.spawn(|| work(&load)))
            .collect();
        for worker in workers {
            worker.join().map_err(|_| "a client panicked")?;
        }
        let until = Instant::now() + GRACE;
        while Instant::now() < until && !listeners.iter().all(thread::ScopedJoinHandle::is_finished)
        {
            thread::sleep(Duration::from_millis(10));
        }
        // Whoever has not heard of everything ends here.
        for mut writer in writers {
            let _ = writer.write_all(b"DONE\r\n");
        }
        Result::Ok(())
    })?;
    let found = load
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let latency = found
        .seconds
        .into_iter()
        .filter_map(|(kind, mut seconds)| Some((kind, Latency::of(&mut seconds)?)))
        .collect();
    Ok(Outcome {
        server: peer.name(),
        round,
        latency,
        failures: found.failures,
        reason: found.reason,
        behind: found.last.saturating_sub(last_due).as_secs_f64(),
    })
}

/// Takes what is due next, waits for its time, does it.
fn work(load: &Load<'_>) {
    let mut lmtp = None;
    loop {
        let next = lock(&load.queue).pop_front();
        let Some(due) = next else {
            return;
        };
        thread::sleep(due.at.saturating_sub(load.start.elapsed()));
        let done = match due.kind {
            Kind::Delivery => deliver(load, &mut lmtp, due.number),
            Kind::Poll => poll(load, due.number),
            Kind::Page => page(load, due.number),
            Kind::Notice => Ok(()),
        };
        if done.is_err() {
            lmtp = None;
        }
        load.note(due.kind, due.at, done);
    }
}

impl Load<'_> {
    fn note(&self, kind: Kind, due: Duration, done: Result<()>) {
        let now = self.start.elapsed();
        let mut found = lock(&self.found);
        match done {
            Ok(()) => {
                let seconds = now.saturating_sub(due).as_secs_f64();
                found.seconds.entry(kind).or_default().push(seconds);
            }
            Err(error) => {
                found.failures += 1;
                let reason = || format!("{}: {error}", kind.text());
                found.reason.get_or_insert_with(reason);
            }
        }
        if kind != Kind::Notice {
            found.last = found.last.max(now);
        }
    }

    fn watched(&self, number: usize) -> String {
        self.users[number % WATCHED].clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Through a connection that the thread keeps, as a mail transfer agent does.
fn deliver(load: &Load<'_>, lmtp: &mut Option<Lmtp>, number: usize) -> Result<()> {
    if lmtp.is_none() {
        *lmtp = Some(Lmtp::connect(load.lmtp)?);
    }
    let message = &load.messages[number % load.messages.len()];
    let stuffed = stuff(&format!("mixed.{number}"), message);
    match lmtp {
        Some(lmtp) => lmtp.deliver(&load.watched(number), &stuffed),
        None => Err("no connection".into()),
    }
}

fn poll(load: &Load<'_>, number: usize) -> Result<()> {
    let user = load.users[WATCHED + number % POLLED].clone();
    let mut pop3 = Pop3::login(&load.pop3.of(user), SMALL)?;
    pop3.stat()?;
    pop3.run_multiline("UIDL")?;
    pop3.run("QUIT")
}

fn page(load: &Load<'_>, number: usize) -> Result<()> {
    let mut imap = Imap::login(&load.imap.of(load.watched(number)), SMALL)?;
    let opened = imap.run_noting("SELECT INBOX", " EXISTS")?;
    let exists = opened
        .noted
        .split(' ')
        .nth(1)
        .and_then(|number| number.parse().ok());
    let exists: usize = exists.ok_or("SELECT without EXISTS")?;
    let first = exists.saturating_sub(BEFORE - 1).max(1);
    imap.run(&format!(
        "FETCH {first}:{exists} (UID FLAGS ENVELOPE BODYSTRUCTURE)"
    ))?;
    imap.run(&format!("FETCH {exists} BODY.PEEK[]"))?;
    imap.run("LOGOUT")?;
    Ok(())
}

/// Notes when each delivery to this account is announced. Those that overtake each other are taken
/// in the order in which they were due.
fn listen(load: &Load<'_>, mut imap: Imap, dues: &[Duration]) {
    let mut heard = 0;
    while heard < dues.len() {
        let all = imap.announced();
        let now = match all {
            Ok(Some(exists)) => exists.saturating_sub(BEFORE).min(dues.len()),
            Ok(None) => {
                let missing = format!("{} deliveries were not announced", dues.len() - heard);
                return load.note(Kind::Notice, Duration::ZERO, Err(missing.into()));
            }
            Err(error) => return load.note(Kind::Notice, Duration::ZERO, Err(error)),
        };
        for due in dues.iter().take(now).skip(heard) {
            load.note(Kind::Notice, *due, Ok(()));
        }
        heard = heard.max(now);
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let head = ["client", "server", "count", "p50 ms", "p95", "p99", "max"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for kind in Kind::ALL {
        for outcome in outcomes {
            if let Some(latency) = outcome.latency.get(&kind) {
                let mut line = vec![kind.text().to_owned(), outcome.server.clone()];
                line.extend(latency.cells());
                lines.push(line);
            }
        }
    }
    let mut out = aligned(&lines);
    for outcome in outcomes {
        out.push_str(&format!(
            "{}, round {}: {} failed, {:.3} s behind at the end{}\n",
            outcome.server,
            outcome.round + 1,
            outcome.failures,
            outcome.behind,
            outcome
                .reason
                .as_ref()
                .map_or_else(String::new, |reason| format!("; {reason}")),
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_fixed_in_advance_and_in_order() {
        let rates = [(Kind::Delivery, 10.0), (Kind::Poll, 5.0), (Kind::Page, 0.0)];
        let all = schedule(&rates, Duration::from_secs(2));
        assert_eq!(
            all.iter().filter(|due| due.kind == Kind::Delivery).count(),
            20
        );
        assert_eq!(all.iter().filter(|due| due.kind == Kind::Poll).count(), 10);
        assert!(all.iter().all(|due| due.kind != Kind::Page));
        assert!(
            all.iter()
                .zip(all.iter().skip(1))
                .all(|(a, b)| a.at <= b.at)
        );
        assert_eq!(all[2].at, Duration::from_millis(100));
    }
}
