//! FETCH of mail that breaks careless parsers: every item, every section, every edge of a partial.

use crate::common::{Server, Setup};
use bytes::Bytes;
use mail::{NewMessage, Provenance};
use std::sync::Arc;
use storage::MemoryBlobs;
use testkit::{ImapClient, Value, nasty};
use types::{BlobHash, Flags, MailboxName};

const PREFIX: &[u8] = b"Return-Path: <x@example.org>\r\nDelivered-To: alice\r\n";

/// FETCHes `items` of a message and returns their values in the order asked for.
fn fetch(client: &mut ImapClient, seq: usize, items: &[&str]) -> Vec<Value> {
    let answer = client.ok(&format!("FETCH {seq} ({})", items.join(" ")));
    assert_eq!(answer.len(), 1, "{seq} {items:?}");
    let got = answer[0].items();
    assert_eq!(got.len(), items.len(), "{items:?}");
    for ((name, _), item) in got.iter().zip(items) {
        let asked = item.replace(".PEEK", "");
        let asked = match asked.rsplit_once('.') {
            Some((head, _)) if asked.ends_with('>') => format!("{head}>"),
            _ => asked,
        };
        assert_eq!(*name, asked);
    }
    got.into_iter().map(|(_, value)| value).collect()
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        other => panic!("{other:?} is no string"),
    }
}

/// Appends messages with per-recipient lines of their own, as LMTP does.
async fn deliver(server: &Server, messages: &[(&[u8], Vec<u8>)]) {
    let account = server.account("alice").await;
    let inbox = account
        .tree()
        .find(&MailboxName::inbox())
        .expect("INBOX")
        .id;
    for (prefix, body) in messages {
        let origin = Provenance {
            owners: vec![(account.id(), "INBOX".to_owned())],
            internal_date: 837_596_665,
            ..Provenance::default()
        };
        let content = server
            .mail
            .ingest(body.clone().into(), &origin)
            .await
            .expect("stored");
        let message = NewMessage {
            content,
            prefix: Bytes::copy_from_slice(prefix),
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: Some(origin.internal_date),
        };
        account
            .append(inbox, vec![message])
            .await
            .expect("appended");
    }
}

/// Where the bytes of the message at `index` are.
async fn blob_of(server: &Server, index: usize) -> BlobHash {
    let account = server.account("alice").await;
    let inbox = account
        .tree()
        .find(&MailboxName::inbox())
        .expect("INBOX")
        .id;
    let view = account.select(inbox).await.expect("a mailbox").view();
    let row = view.get(index).expect("a message");
    let emails = account.emails(&[row.email]).await.expect("records");
    emails[0].as_ref().expect("a record").blob.hash
}

async fn nasty_server() -> (Server, Vec<Vec<u8>>) {
    let setup = Setup {
        max_message_bytes: 4 << 20,
        ..Setup::default()
    };
    let server = setup.start().await;
    // Each as it is and with lines in front.
    let messages: Vec<(&[u8], Vec<u8>)> = nasty::all()
        .into_iter()
        .flat_map(|nasty| [(&b""[..], nasty.bytes.clone()), (PREFIX, nasty.bytes)])
        .collect();
    deliver(&server, &messages).await;
    let whole = messages
        .iter()
        .map(|(prefix, body)| [*prefix, body].concat())
        .collect();
    (server, whole)
}

/// Runs blocking client code beside the server.
async fn with_client(server: &Server, work: impl FnOnce(&mut ImapClient) + Send + 'static) {
    let address = server.address;
    let task = tokio::task::spawn_blocking(move || {
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("EXAMINE INBOX (CONDSTORE)");
        work(&mut client);
    });
    task.await.expect("the client");
    assert_eq!(server.problems().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_of_nasty_mail_is_well_formed_and_agrees_with_the_others() {
    let (server, messages) = nasty_server().await;
    with_client(&server, move |client| {
        for (seq, message) in (1..).zip(&messages) {
            one_message(client, seq, message);
        }
    })
    .await;
}

fn one_message(client: &mut ImapClient, seq: usize, message: &[u8]) {
    let values = fetch(
        client,
        seq,
        &[
            "BODY.PEEK[]",
            "RFC822.SIZE",
            "BODY.PEEK[HEADER]",
            "BODY.PEEK[TEXT]",
            "RFC822",
            "RFC822.HEADER",
            "RFC822.TEXT",
            "ENVELOPE",
            "BODY",
            "BODYSTRUCTURE",
            "FLAGS",
            "INTERNALDATE",
            "UID",
            "MODSEQ",
        ],
    );
    let [
        whole,
        size,
        header,
        text,
        rfc822,
        rfc822_header,
        rfc822_text,
        envelope,
        body,
        structure,
        ..,
    ] = values.as_slice()
    else {
        panic!("{} values", values.len())
    };
    assert_eq!(bytes(whole), message, "{seq}");
    assert_eq!(*size, Value::Word(message.len().to_string()));
    assert_eq!([bytes(header), bytes(text)].concat(), message, "{seq}");
    assert_eq!(rfc822, whole);
    assert_eq!(rfc822_header, header);
    assert_eq!(rfc822_text, text);
    is_envelope(envelope);
    is_body(body, false);
    is_body(structure, true);
    // Where the stored header begins with a fold, the lines in front of it seem to go on.
    if message
        .strip_prefix(PREFIX)
        .is_none_or(|rest| !rest.starts_with(b" "))
    {
        fields_partition(client, seq, bytes(header));
    }
    let values = fetch(client, seq, &["BODY.PEEK[1]", "BODY.PEEK[1.MIME]"]);
    assert!(values.iter().all(|value| matches!(value, Value::Bytes(_))));
    for value in fetch(
        client,
        seq,
        &[
            "BODY.PEEK[9999]",
            "BODY.PEEK[1.9999.1]",
            "BODY.PEEK[9999.MIME]<3.4>",
        ],
    ) {
        // The only message with that many parts has fewer.
        assert_eq!(value, Value::Nil);
    }
}

/// RFC 3501 7.4.2: ten values; addresses are lists of four.
fn is_envelope(value: &Value) {
    let Value::List(values) = value else {
        panic!("{value:?}")
    };
    assert_eq!(values.len(), 10);
    for value in &values[2..8] {
        let Value::List(addresses) = value else {
            assert_eq!(*value, Value::Nil);
            continue;
        };
        assert!(!addresses.is_empty());
        for address in addresses {
            let Value::List(parts) = address else {
                panic!("{address:?}")
            };
            assert_eq!(parts.len(), 4, "{address:?}");
        }
    }
}

/// `body`: a multipart is a list of bodies and a subtype; what follows a leaf depends on its type.
fn is_body(value: &Value, extended: bool) {
    // 500 levels deep: on a stack of its own.
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        let Value::List(values) = value else {
            panic!("{value:?}")
        };
        let parts = values
            .iter()
            .take_while(|value| matches!(value, Value::List(_)))
            .count();
        if parts > 0 {
            waiting.extend(&values[..parts]);
            assert!(matches!(values[parts], Value::Bytes(_)));
            assert_eq!(values.len(), parts + if extended { 5 } else { 1 });
            continue;
        }
        let is = |at: usize, name: &str| bytes(&values[at]).eq_ignore_ascii_case(name.as_bytes());
        let mut expected = 7;
        if is(0, "text") {
            expected = 8;
        } else if is(0, "message") && is(1, "rfc822") {
            is_envelope(&values[7]);
            waiting.push(&values[8]);
            expected = 10;
        }
        assert_eq!(
            values.len(),
            expected + if extended { 4 } else { 0 },
            "{value:?}"
        );
    }
}

/// HEADER.FIELDS and HEADER.FIELDS.NOT of the same names hold every line of the header once.
fn fields_partition(client: &mut ImapClient, seq: usize, header: &[u8]) {
    // One set of names digests know, and one they do not.
    for names in [
        "Subject From Return-Path",
        "Subject X-Nope X-1 Delivered-To",
    ] {
        let values = fetch(
            client,
            seq,
            &[
                &format!("BODY.PEEK[HEADER.FIELDS ({names})]"),
                &format!("BODY.PEEK[HEADER.FIELDS.NOT ({names})]"),
            ],
        );
        let [with, without] = values.as_slice() else {
            panic!("two values")
        };
        let mut lines = sorted_fields(&[bytes(with), bytes(without)]);
        let mut all = sorted_fields(&[header]);
        lines.sort_unstable();
        all.sort_unstable();
        assert!(lines == all, "{seq} {names}");
        for subset in [with, without].map(bytes) {
            assert!(subset.is_empty() || subset.ends_with(b"\r\n"), "{seq}");
        }
    }
}

fn sorted_fields<'a>(headers: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let fields = headers.iter().flat_map(|header| message::fields(header));
    fields.map(|field| field.raw.trim_ascii_end()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partials_are_cut_at_every_edge() {
    let (server, messages) = nasty_server().await;
    with_client(&server, move |client| {
        for (seq, message) in (1..).zip(&messages) {
            if message.len() > 3000 {
                continue;
            }
            for section in [
                "",
                "HEADER",
                "TEXT",
                "1",
                "1.MIME",
                "HEADER.FIELDS (Subject Return-Path)",
                "HEADER.FIELDS.NOT (Subject)",
            ] {
                let whole = fetch(client, seq, &[&format!("BODY.PEEK[{section}]")]);
                partials(client, seq, section, bytes(&whole[0]));
            }
        }
    })
    .await;
}

fn partials(client: &mut ImapClient, seq: usize, section: &str, whole: &[u8]) {
    let (len, prefix) = (whole.len(), PREFIX.len());
    let edges = [
        0,
        1,
        prefix - 1,
        prefix,
        prefix + 1,
        len.saturating_sub(1),
        len,
        len + 1,
    ];
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for start in edges {
        for count in [
            1,
            prefix,
            len.saturating_sub(start),
            len + 7,
            u32::MAX as usize,
        ] {
            if count > 0 && !cuts.iter().any(|&(first, _)| first == start && count == 1) {
                cuts.push((start, count));
            }
        }
    }
    cuts.push((u32::MAX as usize, u32::MAX as usize));
    for (start, count) in cuts {
        let item = format!("BODY.PEEK[{section}]<{start}.{count}>");
        let got = fetch(client, seq, &[&item]);
        let from = start.min(len);
        let to = start.saturating_add(count).min(len);
        assert_eq!(bytes(&got[0]), &whole[from..to], "{seq} {item}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_said_and_everything_else_served() {
    let blobs = Arc::new(MemoryBlobs::new());
    let setup = Setup {
        blobs: blobs.clone(),
        ..Setup::default()
    };
    let server = setup.start().await;
    let messages: Vec<(&[u8], Vec<u8>)> = (1..=3)
        .map(|n| {
            let text = format!("Subject: number {n}\r\nX-Number: {n}\r\n\r\nbody {n}\r\n");
            (PREFIX, text.into_bytes())
        })
        .collect();
    deliver(&server, &messages).await;
    assert!(blobs.damage(&blob_of(&server, 1).await));
    let address = server.address;
    let client = move || {
        let mut client = ImapClient::login(address, "alice", "secret");
        client.ok("SELECT INBOX");
        for items in ["BODY[]", "BODY.PEEK[TEXT]", "RFC822.SIZE BODY.PEEK[1]<2.3>"] {
            let (answers, tagged) = client.command(&format!("FETCH 1:3 ({items})"));
            assert_eq!(answers.len(), 2, "{items}");
            assert!(answers[0].text.starts_with("* 1 FETCH"));
            assert!(answers[1].text.starts_with("* 3 FETCH"));
            assert!(tagged.starts_with("NO [CONTACTADMIN] "), "{tagged}");
        }
        let (answers, tagged) = client.command("UID FETCH 2 (RFC822)");
        assert!(answers.is_empty() && tagged.starts_with("NO [CONTACTADMIN] "));
        // What was read at delivery is there.
        let answers = client
            .ok("FETCH 1:3 (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject)])");
        assert_eq!(answers.len(), 3);
        search_warns(&mut client);
    };
    tokio::task::spawn_blocking(client)
        .await
        .expect("the client");
}

fn search_warns(client: &mut ImapClient) {
    const WARNING: &str = "* NO [CONTACTADMIN] some messages cannot be read and were not searched";
    for (search, found) in [
        ("BODY body", "* SEARCH 1 3"),
        ("NOT BODY \"body 3\"", "* SEARCH 1"),
        ("HEADER X-Number \"\"", "* SEARCH 1 3"),
        ("OR TEXT number SUBJECT \"number 2\"", "* SEARCH 1 2 3"),
    ] {
        let answers = client.ok(&format!("SEARCH {search}"));
        let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        match search.contains("SUBJECT") {
            // Decided without reading the damaged bytes.
            true => assert_eq!(texts, [found], "{search}"),
            false => assert_eq!(texts, [WARNING, found], "{search}"),
        }
    }
    for (search, found) in [
        ("SUBJECT number", "* SEARCH 1 2 3"),
        ("BODY body 1", "* SEARCH 1"),
    ] {
        let answers = client.ok(&format!("SEARCH {search}"));
        assert_eq!(answers.len(), 1, "{search}");
        assert_eq!(answers[0].text, found);
    }
}
