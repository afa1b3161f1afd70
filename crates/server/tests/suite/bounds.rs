//! Memory, descriptors and disk stay within bounds whatever clients do, and the others are served.
//!
//! A short form here; `cargo xtask torture --only bounds` and `--only soak` with the full figures.
//! `GATEPOST_BINARY` measures another build of the server than the tests' own.

use crate::support::{BINARY, http};
use std::time::{Duration, Instant};
use testkit::bounds::{self, Mib, Sample, Seen, Size, Soak, Usage, soak_server};
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server, Settings};

fn binary() -> String {
    std::env::var("GATEPOST_BINARY").unwrap_or_else(|_| BINARY.to_owned())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the scenarios. Time is told and not judged: other tests run beside it.
fn run(size: Size) -> Vec<Seen> {
    // A crowd is many descriptors, here as in the server.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let server = bounds::server(binary(), &size);
    let seen = bounds::run(&server, size).unwrap();
    println!("| scenario | memory | allowed | descriptors | NOOP p50 / p99 |");
    println!("|---|---|---|---|---|");
    for seen in &seen {
        println!("{seen}");
    }
    for seen in &seen {
        assert!(seen.usage.memory < seen.allowed, "{seen}");
    }
    let (first, last) = (&seen[0], &seen[seen.len() - 1]);
    let (first, last) = (first.usage.descriptors, last.usage.descriptors);
    assert!(last <= first + 8, "{first} descriptors, {last} after all");
    seen
}

#[test]
fn memory_and_descriptors_stay_within_bounds() {
    run(Size::SHORT);
}

/// Part of issue 5's faults: no room for mail on its way.
#[test]
fn want_of_memory_is_a_temporary_error_and_passes() {
    let memory = "memory_bytes = 1048576\n".to_owned();
    let settings = Settings {
        imap: memory.clone(),
        lmtp: memory,
        ..Settings::default()
    };
    let server = Server::with(BINARY, settings);
    let small = b"Subject: small\r\n\r\nHello\r\n";
    let large = [&small[..], &b"0123456789\r\n".repeat(200_000)].concat();
    let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    let health = || http(server.http(), "/health/ready");
    assert!(!health().contains("memory_bytes"), "{}", health());
    let tag = imap.start(&format!("APPEND INBOX {{{}}}", large.len()));
    let (_, answer) = imap.finish(&tag);
    assert!(answer.starts_with("NO [UNAVAILABLE]"), "{answer}");
    // One that is on its way already is read to its end.
    imap.send(format!("a APPEND INBOX {{{}+}}\r\n", large.len()).as_bytes());
    imap.send(&large);
    imap.send(b"\r\n");
    let (_, answer) = imap.finish("a");
    assert!(answer.starts_with("NO [UNAVAILABLE]"), "{answer}");
    assert!(lmtp.deliver(&["alice"], &large)[0].starts_with("452 4."));
    let told = health();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    for door in ["imap", "lmtp"] {
        assert!(
            told.contains(&format!("memory_bytes of [{door}]")),
            "{told}"
        );
    }
    // Others are served meanwhile, and what fits comes in.
    assert!(imap.append("INBOX", "", small).starts_with("OK"));
    lmtp.deliver_ok("alice", small);
    imap.ok("SELECT INBOX");
    assert_eq!(imap.body(1), small);
    assert_eq!(imap.count("INBOX"), 2);
    // What a client that hung up had taken is there again.
    let half = vec![b'x'; 900_000];
    for _ in 0..3 {
        let mut gone = ImapClient::login(server.imap(), "bob", PASSWORD);
        gone.send(format!("a APPEND INBOX {{{}+}}\r\n", half.len()).as_bytes());
        gone.send(&half[..half.len() / 2]);
    }
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let tag = imap.start(&format!("APPEND INBOX {{{}+}}", half.len()));
        imap.send(&half);
        imap.send(b"\r\n");
        if imap.finish(&tag).1.starts_with("OK") {
            break;
        }
        assert!(Instant::now() < until, "what was taken is not given back");
    }
}

/// Who stops reading within a long message holds little of it, and nobody else waits for that.
#[test]
fn pop3_clients_that_stop_reading_share_the_memory_there_is() {
    const BUDGET: u64 = 4 << 20;
    const READERS: u64 = 40;
    let settings = Settings {
        pop3: format!("memory_bytes = {BUDGET}\n"),
        ..Settings::default()
    };
    let server = Server::with(binary(), settings);
    // More than the kernel takes off the server's hands.
    let long = [
        &b"Subject: long\r\n\r\n"[..],
        &b"0123456789\r\n".repeat(1 << 20),
    ]
    .concat();
    let mut lmtp = LmtpClient::connect(server.lmtp());
    lmtp.deliver_ok("carol", &long);
    lmtp.deliver_ok("carol", &long[..600_000]);
    let long = crate::support::delivered("carol", &long);
    let mut bystander = Pop3Client::login(server.pop3(), "carol", PASSWORD);
    assert!(bystander.retr(1) == long);
    let health = || http(server.http(), "/health/ready");
    assert!(!health().contains("memory_bytes"), "{}", health());
    let before = Usage::of(server.pid()).memory;
    let slow = |number: u64| {
        let mut client = Pop3Client::login(server.pop3(), "carol", PASSWORD);
        client.ok(if number.is_multiple_of(2) {
            "RETR 1"
        } else {
            "TOP 1 9999999"
        });
        client
    };
    let slow: Vec<Pop3Client> = (0..READERS).map(slow).collect();
    // A share of 64 KiB always finds room; as much waits in the connection.
    let allowed = before + BUDGET + READERS * (160 << 10) + (4 << 20);
    assert!(bystander.retr(1) == long);
    assert!(bystander.retr(2).len() > 600_000);
    assert_eq!(bystander.multi("TOP 1 0").len(), long.len() - (12 << 20));
    let most = Usage::of(server.pid()).memory;
    println!(
        "{} before, {} meanwhile, {} allowed",
        Mib(before),
        Mib(most),
        Mib(allowed)
    );
    assert!(most < allowed, "{} of {}", Mib(most), Mib(allowed));
    assert!(health().contains("memory_bytes of [pop3]"), "{}", health());
    assert!(health().starts_with("HTTP/1.1 200"));
    drop(slow);
    bystander.quit();
}

#[test]
#[ignore = "cargo xtask torture --only bounds runs it"]
fn bounds_in_full() {
    let seen = run(Size::FULL);
    let alone = seen[0].wait.p99;
    for seen in &seen {
        let times = seen.wait.p99.as_secs_f64() / alone.as_secs_f64();
        println!(
            "{}: p99 is {times:.1} times that of a server nobody uses",
            seen.what
        );
    }
}

#[test]
#[ignore = "cargo xtask torture --only soak runs it"]
fn soak() {
    let minutes = number("SOAK_MINUTES").unwrap_or(30);
    let server = soak_server(binary());
    let length = Duration::from_secs(minutes * 60);
    let soak = Soak::run(&server, length, Duration::from_secs(10));
    let tenth = soak.samples.len().div_ceil(10);
    // What is reserved and cached in the first tenth is there for good.
    let early = &soak.samples[tenth..tenth * 2];
    let late = &soak.samples[soak.samples.len() - tenth..];
    let most = |samples: &[Sample]| {
        let memory = samples.iter().map(|s| s.usage.memory).max().unwrap();
        (memory, samples.iter().map(|s| s.disk).max().unwrap())
    };
    let (early, late) = (most(early), most(late));
    println!(
        "soak of {minutes} minutes: {} messages delivered, {} sessions; memory {} -> {}, disk {} -> {}; \
         without clients {} -> {}",
        soak.delivered,
        soak.sessions,
        Mib(early.0),
        Mib(late.0),
        Mib(early.1),
        Mib(late.1),
        soak.idle[0],
        soak.idle[1],
    );
    assert!(late.0 < early.0 * 5 / 4 + (8 << 20), "memory grows");
    assert!(late.1 < early.1 * 5 / 4 + (8 << 20), "disk use grows");
    let [before, after] = soak.idle;
    assert!(after.sockets <= before.sockets, "connections stay");
    // Packs, log segments and exports there are, and 64 packs are held open at most.
    assert!(
        after.descriptors <= before.descriptors + 32,
        "descriptors are not closed"
    );
}
