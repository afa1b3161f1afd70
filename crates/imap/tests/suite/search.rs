//! SEARCH against a naive reading of the same mail: many messages, so that batches and threads
//! matter.

use crate::common::{Server, Setup};
use bytes::Bytes;
use mail::{NewMessage, Provenance};
use message::{Needle, body_texts, header_texts};
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::{Call, FaultBlobs, Faults, MemoryBlobs};
use testkit::corpus::Corpus;
use testkit::{ImapClient, nasty};
use types::{Flags, MailboxName};

const PREFIX: &[u8] = b"Delivered-To: alice+quasar@example.org\r\n";

async fn server_with(messages: &[Vec<u8>]) -> Server {
    server_of(messages, Setup::default()).await
}

async fn server_of(messages: &[Vec<u8>], setup: Setup) -> Server {
    let setup = Setup {
        max_message_bytes: 4 << 20,
        ..setup
    };
    let server = setup.start().await;
    deliver(&server, messages).await;
    server
}

async fn deliver(server: &Server, messages: &[Vec<u8>]) {
    let account = server.account("alice").await;
    let inbox = account
        .tree()
        .find(&MailboxName::inbox())
        .expect("INBOX")
        .id;
    let mut batch = Vec::new();
    for (n, body) in messages.iter().enumerate() {
        let origin = Provenance {
            owners: vec![(account.id(), "INBOX".to_owned())],
            internal_date: 86_400 * 9000,
            ..Provenance::default()
        };
        let content = server
            .mail
            .ingest(body.clone().into(), &origin)
            .await
            .expect("stored");
        batch.push(NewMessage {
            content,
            prefix: Bytes::from_static(if n % 2 == 1 { PREFIX } else { b"" }),
            flags: if n % 3 == 0 { Flags::SEEN } else { Flags::NONE },
            keywords: Vec::new(),
            internal_date: Some(origin.internal_date),
        });
    }
    account.append(inbox, batch).await.expect("appended");
}

/// All pieces of text of a message, folded for a simple comparison.
struct Texts {
    subject: String,
    header: Vec<String>,
    body: Vec<String>,
}

impl Texts {
    fn of(n: usize, message: &[u8]) -> Self {
        let mut this = Self {
            subject: String::new(),
            header: Vec::new(),
            body: Vec::new(),
        };
        let header = &message[..message::header_len(message)];
        for header in [if n % 2 == 1 { PREFIX } else { b"" }, header] {
            header_texts(header, &mut |text| {
                this.header.push(text.to_owned());
                ControlFlow::Continue(())
            });
        }
        body_texts(message, &mut |text| {
            this.body.push(text.to_owned());
            ControlFlow::Continue(())
        });
        if let Some(field) = message::fields(header).find(|field| field.is(b"subject")) {
            this.subject = message::decode_words(field.value);
        }
        this
    }

    fn has(pieces: &[String], word: &str) -> bool {
        // RFC 5051: `offe` is in `Offé`.
        let needle = Needle::new(word);
        pieces.iter().any(|piece| needle.is_in(piece))
    }
}

fn search(client: &mut ImapClient, criteria: &str) -> Vec<usize> {
    let answer = client.ok(&format!("SEARCH CHARSET UTF-8 {criteria}"));
    assert_eq!(answer.len(), 1, "{criteria}");
    let numbers = answer[0].text.strip_prefix("* SEARCH").expect("SEARCH");
    numbers
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn matching(texts: &[Texts], such: impl Fn(usize, &Texts) -> bool) -> Vec<usize> {
    (1..=texts.len())
        .filter(|n| such(*n, &texts[n - 1]))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_is_what_is_there() {
    // The second memory holds what searches keep of some of the messages.
    for (count, search_cache_bytes) in [(300, 1 << 20), (60, 20_000)] {
        let setup = Setup {
            search_cache_bytes,
            ..Setup::default()
        };
        let messages = Corpus::messages(7, count);
        let server = server_of(&messages, setup).await;
        find_what_is_there(&server, messages).await;
        let kept = server.mail.search_cache_bytes();
        assert!((15_000..=search_cache_bytes).contains(&kept), "{kept}");
    }
}

async fn find_what_is_there(server: &Server, messages: Vec<Vec<u8>>) {
    let address = server.address;
    let client = move || {
        let texts: Vec<Texts> = (0..)
            .zip(&messages)
            .map(|(n, message)| Texts::of(n, message))
            .collect();
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("SELECT INBOX");
        let mut words: Vec<String> = [
            "e",
            "the",
            "zq-not-there",
            "example.org",
            "=",
            "<p>",
            "\u{e9}",
            "\u{fc}",
            "quasar",
            ": ",
        ]
        .map(str::to_owned)
        .to_vec();
        // Words of the mail itself, and pieces across them.
        for text in texts.iter().step_by(43) {
            let body = text.body.first().map_or("", String::as_str);
            let mut chars = body
                .chars()
                .filter(|c| !c.is_control() && !"\"\\".contains(*c));
            words.push(chars.by_ref().skip(40).take(9).collect());
            words.push(text.subject.chars().take(12).collect());
        }
        for word in words
            .iter()
            .filter(|word| !word.is_empty() && !word.contains(['"', '\\']))
        {
            let quoted = format!("\"{}\"", word.to_uppercase());
            if quoted.to_lowercase() != format!("\"{word}\"") {
                continue;
            }
            let needle = Needle::new(word);
            let in_body = matching(&texts, |_, t| Texts::has(&t.body, word));
            let in_text = matching(&texts, |_, t| {
                Texts::has(&t.body, word) || Texts::has(&t.header, word)
            });
            assert_eq!(
                search(&mut client, &format!("BODY {quoted}")),
                in_body,
                "{word}"
            );
            assert_eq!(
                search(&mut client, &format!("TEXT {quoted}")),
                in_text,
                "{word}"
            );
            let not = matching(&texts, |n, _| !in_body.contains(&n));
            assert_eq!(
                search(&mut client, &format!("NOT BODY {quoted}")),
                not,
                "{word}"
            );
            let subject = matching(&texts, |_, t| needle.is_in(&t.subject));
            assert_eq!(
                search(&mut client, &format!("SUBJECT {quoted}")),
                subject,
                "{word}"
            );
            // Decided at three levels of cost.
            let mixed = matching(&texts, |n, t| {
                n % 3 == 1 || needle.is_in(&t.subject) || in_body.contains(&n)
            });
            let criteria = format!("OR OR BODY {quoted} SEEN SUBJECT {quoted}");
            assert_eq!(search(&mut client, &criteria), mixed, "{word}");
        }
        assert_eq!(
            search(&mut client, "HEADER X-Mailer \"\" HEADER Received \"\"").len(),
            search(&mut client, "HEADER X-Mailer \"\"").len()
        );
        let delivered = matching(&texts, |n, _| n % 2 == 0);
        assert_eq!(search(&mut client, "HEADER Delivered-To QUASAR"), delivered);
        assert_eq!(
            search(&mut client, "HEADER Received \"by \"").len(),
            texts.len()
        );
    };
    tokio::task::spawn_blocking(client)
        .await
        .expect("the client");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_searched_before_are_read_again_only_if_they_may_match() {
    let faults = Faults::default();
    let setup = Setup {
        blobs: Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone())),
        ..Setup::default()
    };
    let message = |n: usize| format!("Subject: number {n}\r\n\r\nHello {n}, caf\u{e9}.\r\n").into();
    let messages: Vec<Vec<u8>> = (1..=50).map(message).collect();
    let server = server_of(&messages, setup).await;
    let reads = |client: &mut ImapClient, criteria: &str, found: &[usize]| {
        let before = faults.calls(Call::BlobGet);
        assert_eq!(search(client, criteria), found, "{criteria}");
        faults.calls(Call::BlobGet) - before
    };
    let address = server.address;
    tokio::task::block_in_place(|| {
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("SELECT INBOX");
        assert_eq!(reads(&mut client, "BODY absent", &[]), 50);
        for (criteria, found, max) in [
            ("BODY nowhere", &[][..], 0),
            ("TEXT \"CAF\u{e9}s\"", &[], 0),
            ("OR TEXT nowhere BODY \"hello 17\"", &[17], 1),
            ("TEXT quasar TEXT \"number 4\"", &[4, 40, 42, 44, 46, 48], 6),
            ("SUBJECT \"number 50\"", &[50], 0),
            ("NOT BODY nowhere 5", &[5], 0),
            // Too short to tell: all are read.
            ("BODY q", &[], 50),
        ] {
            let read = reads(&mut client, criteria, found);
            assert!(read <= max, "{criteria}: {read}");
        }
    });
    deliver(&server, &[b"Subject: new\r\n\r\nnowhere else\r\n".to_vec()]).await;
    tokio::task::block_in_place(|| {
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("SELECT INBOX");
        assert_eq!(reads(&mut client, "BODY nowhere", &[51]), 1);
        assert_eq!(reads(&mut client, "SUBJECT new", &[51]), 0);
    });
    assert_eq!(server.problems().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_at_the_same_time_find_what_each_finds_alone() {
    let setup = Setup {
        search_cache_bytes: 30_000,
        ..Setup::default()
    };
    let messages = Corpus::messages(11, 120);
    let texts: Vec<Texts> = (0..).zip(&messages).map(|(n, m)| Texts::of(n, m)).collect();
    let texts = Arc::new(texts);
    let server = server_of(&messages, setup).await;
    let address = server.address;
    let clients = ["the", "quasar", "absent", "example.org"].map(|word| {
        let texts = Arc::clone(&texts);
        tokio::task::spawn_blocking(move || {
            let found = matching(&texts, |_, t| {
                Texts::has(&t.body, word) || Texts::has(&t.header, word)
            });
            let mut client = ImapClient::login(address, "alice", "secret");
            client.ok("SELECT INBOX");
            for _ in 0..10 {
                assert_eq!(
                    search(&mut client, &format!("TEXT {word}")),
                    found,
                    "{word}"
                );
            }
        })
    });
    for client in clients {
        client.await.expect("a client");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nasty_mail_is_searched_like_any_other() {
    let messages: Vec<Vec<u8>> = nasty::all().into_iter().map(|nasty| nasty.bytes).collect();
    let server = server_with(&messages).await;
    let address = server.address;
    let client = move || {
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("SELECT INBOX");
        for key in [
            "SUBJECT",
            "FROM",
            "TO",
            "CC",
            "BCC",
            "BODY",
            "TEXT",
            "HEADER X-Long",
            "HEADER From",
            "HEADER X-9999",
        ] {
            for text in [
                "\"\"",
                "x",
                "example.org",
                "\"@\"",
                "\"(((\"",
                "=?",
                "caf\u{e9}",
                "\" \"",
            ] {
                let found = search(&mut client, &format!("{key} {}", quoted(text)));
                let not = search(&mut client, &format!("NOT {key} {}", quoted(text)));
                assert_eq!(found.len() + not.len(), messages.len(), "{key} {text}");
            }
        }
        for criteria in [
            "SENTON 1-Jan-1996",
            "SENTSINCE 1-Jan-1970",
            "LARGER 900000",
            "BODY innermost",
        ] {
            search(&mut client, criteria);
        }
        assert_eq!(search(&mut client, "SUBJECT \"after them\"").len(), 1);
        assert_eq!(search(&mut client, "HEADER X-9999 9999").len(), 1);
        assert_eq!(search(&mut client, "HEADER X-Long \"again end\"").len(), 0);
        assert_eq!(search(&mut client, "TO last@example.org").len(), 1);
    };
    tokio::task::spawn_blocking(client)
        .await
        .expect("the client");
}

fn quoted(text: &str) -> String {
    match text.starts_with('"') {
        true => text.to_owned(),
        false => format!("\"{text}\""),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_and_deep_criteria_are_bounded() {
    let server = server_with(&[b"Subject: x\r\n\r\ny\r\n".to_vec()]).await;
    let address = server.address;
    let client = move || {
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("SELECT INBOX");
        // What clients send for many alternatives, written to the left and to the right.
        let left = format!("{}SEEN {}", "OR ".repeat(500), "FLAGGED ".repeat(500));
        let right = "OR HEADER Message-ID <x@y> ".repeat(500) + "SEEN";
        let ids = "OR (HEADER Message-ID <x@y>) (".repeat(50) + "SEEN" + &")".repeat(50);
        for criteria in [
            left.trim_end(),
            &right,
            &ids,
            &("NOT ".repeat(1000) + "SEEN"),
        ] {
            assert_eq!(search(&mut client, criteria), [1], "{criteria}");
        }
        for (criteria, why) in [
            ("(".repeat(60_000), "too many search keys"),
            ("NOT ".repeat(16_000), "too many search keys"),
            ("NOT (SEEN ".repeat(600), "unexpected end of"),
            (
                "NOT (SEEN ".repeat(600) + "SEEN" + &")".repeat(600),
                "nested too deeply",
            ),
            (
                "OR SEEN (FLAGGED ".repeat(100) + "SEEN" + &")".repeat(100),
                "nested too deeply",
            ),
        ] {
            let (_, tagged) = client.command(&format!("SEARCH {criteria}"));
            assert!(
                tagged.starts_with("BAD ")
                    && (tagged.contains(why) || why.starts_with("unexpected")),
                "{tagged}"
            );
        }
        client.ok("NOOP");
    };
    tokio::task::spawn_blocking(client)
        .await
        .expect("the client");
}
