//! A relay with a long queue, and a server that is killed while it takes it in: every message
//! arrives, and none more often than the crashes explain.

use crate::support::postfix::Postfix;
use crate::support::{BINARY, verify};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use testkit::corpus::Chance;
use testkit::{ImapClient, PASSWORD, Server, Settings};

const ACCOUNTS: u64 = 50;
/// How often the server is killed.
const KILLS: usize = 3;

/// The relay tries again within seconds, and one recipient at a time fails alone.
const EAGER: &str = "minimal_backoff_time = 1s\n\
                     maximal_backoff_time = 2s\n\
                     queue_run_delay = 1s\n\
                     in_flow_delay = 0\n\
                     transport_retry_time = 1s\n\
                     default_destination_concurrency_failed_cohort_limit = 0\n\
                     smtpd_delay_open_until_valid_rcpt = no\n";

/// `RELAY_MESSAGES=5000 cargo nextest run -p server --test suite relay` for the whole of it.
fn messages() -> u64 {
    let wanted = std::env::var("RELAY_MESSAGES").map(|n| n.parse().unwrap());
    wanted.unwrap_or(400)
}

fn server(duplicate_days: u16) -> Server {
    let accounts = (0..ACCOUNTS).map(|n| (format!("u{n}"), PASSWORD.to_owned()));
    Server::with(
        BINARY,
        Settings {
            accounts: accounts.collect(),
            lmtp: format!("socket_mode = \"0666\"\nduplicate_days = {duplicate_days}"),
            ..Settings::default()
        },
    )
}

/// For each account the numbers of the messages sent to it.
type Sent = HashMap<u64, Vec<u64>>;

/// Fills the queue: each message to one, two or three accounts.
fn fill(postfix: &Postfix, chance: &mut Chance) -> Sent {
    let mut smtp = postfix.smtp();
    let mut sent = Sent::new();
    for number in 0..messages() {
        let first = chance.below(ACCOUNTS);
        let to: Vec<u64> = (0..=chance.below(3))
            .map(|n| (first + n) % ACCOUNTS)
            .collect();
        let addresses: Vec<String> = to
            .iter()
            .map(|user| format!("u{user}@mail.example.org"))
            .collect();
        let length = chance.between(200, 4_000);
        let mut text = format!("Subject: {number}\r\nMessage-ID: <{number}@example.org>\r\n\r\n");
        for line in chance.base64(length).as_bytes().chunks(76) {
            text += std::str::from_utf8(line).unwrap();
            text += "\r\n";
        }
        smtp.send(&addresses, &text);
        for user in to {
            sent.entry(user).or_default().push(number);
        }
    }
    sent
}

/// How many messages are in all mailboxes.
fn arrived(server: &Server) -> u64 {
    let count = |user: u64| -> u64 {
        let mut client = ImapClient::login(server.imap(), &format!("u{user}"), PASSWORD);
        let answers = client.ok("STATUS INBOX (MESSAGES)");
        let text = answers[0].text.split("MESSAGES ").nth(1).unwrap();
        text.trim_end_matches(')').parse().unwrap()
    };
    (0..ACCOUNTS).map(count).sum()
}

/// The numbers of the messages in a mailbox, repetitions included.
fn found(server: &Server, user: u64) -> Vec<u64> {
    let mut client = ImapClient::login(server.imap(), &format!("u{user}"), PASSWORD);
    let bodies = client.bodies("INBOX");
    let number = |body: &Vec<u8>| -> u64 {
        let text = String::from_utf8_lossy(body);
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
        subject.unwrap().parse().unwrap()
    };
    bodies.iter().map(number).collect()
}

/// Delivers all of it with kills and stops in the middle; how many copies there are too many.
fn run(duplicate_days: u16, seed: u64) -> u64 {
    let mut server = server(duplicate_days);
    let mut chance = Chance::new(seed);
    let postfix = Postfix::start(&server, EAGER);
    server.kill();
    let sent = fill(&postfix, &mut chance);
    let total: u64 = sent.values().map(|all| all.len() as u64).sum();
    server.start_again();
    for kill in 1..=KILLS as u64 {
        let until = total * kill / (KILLS as u64 + 2);
        wait(|| arrived(&server) >= until);
        server.kill();
        if kill == 2 {
            postfix.control("stop");
            postfix.control("start");
        }
        server.start_again();
    }
    wait(|| {
        postfix.control("flush");
        postfix.is_empty()
    });
    let mut surplus = 0;
    for (user, numbers) in &sent {
        let found = found(&server, *user);
        for number in numbers {
            let copies = found.iter().filter(|n| *n == number).count() as u64;
            assert!(
                copies > 0,
                "message {number} for u{user} is lost (seed {seed})"
            );
            // One more for a kill between the commit and the reply.
            assert!(copies <= 2, "message {number} for u{user}: {copies} copies");
            surplus += copies - 1;
        }
        let strangers = found.iter().filter(|n| !numbers.contains(n)).count();
        assert_eq!(strangers, 0, "u{user} has mail of others");
    }
    eprintln!("{total} deliveries, {KILLS} kills, {surplus} copies too many");
    verify(&server);
    surplus
}

fn wait(mut until: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(240);
    while !until() {
        assert!(Instant::now() < deadline, "it takes too long");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_queue_survives_kills_of_the_server_and_a_stop_of_the_relay() {
    run(0, 71);
}

#[test]
fn with_duplicate_days_every_message_is_there_exactly_once() {
    assert_eq!(run(3, 72), 0);
}
