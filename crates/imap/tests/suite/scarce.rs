//! While others hold all the memory there may be, long messages go in small pieces: clients see no
//! difference (RFC 9051 6.4.5).

use crate::common::{Server, Setup};
use imap::Memory;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// All lines to the last tagged answer.
fn talk(address: SocketAddr, commands: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a listener");
    let mut writer = stream.try_clone().expect("a second handle");
    let (mut said, commands) = (Vec::new(), commands.to_vec());
    // A client that sends much reads meanwhile.
    let sender = std::thread::spawn(move || writer.write_all(&commands).expect("sent"));
    stream.read_to_end(&mut said).expect("read to the end");
    sender.join().expect("a sender that is done");
    said
}

/// A long text with a header of its own, in two parts, the second one in base64.
fn message() -> Vec<u8> {
    let head = "From: a@example.org\r\nSubject: long\r\nX-Own: 1\r\nMIME-Version: 1.0\r\n\
                Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let mut text = format!("{head}--b\r\nContent-Type: text/plain\r\n\r\n");
    for line in 0..20_000 {
        text += &format!("This is line {line} of a long text.\r\n");
    }
    text += "--b\r\nContent-Type: application/octet-stream\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n";
    text += &"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2\r\n".repeat(6_000);
    text += "--b--\r\n";
    text.into_bytes()
}

const FETCHES: &[u8] = b"\
    c UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n\
    d FETCH 1:* (RFC822.SIZE BODY.PEEK[TEXT] BODY.PEEK[HEADER] ENVELOPE)\r\n\
    e FETCH 1:* (BODY.PEEK[1] BODY.PEEK[2] BODY.PEEK[2.MIME] BODY.PEEK[3])\r\n\
    f FETCH 1:* (BODY.PEEK[]<7.600000> BODY.PEEK[]<99999999.5> BODY.PEEK[TEXT]<400000.100000>)\r\n\
    g FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject X-Own)] BODY.PEEK[] BODYSTRUCTURE)\r\n\
    h FETCH 1:* (BODY.PEEK[1]<0.300000> PREVIEW)\r\n\
    i FETCH 1:* RFC822\r\n\
    j LOGOUT\r\n";

async fn fetched(memory: Memory) -> String {
    let setup = Setup {
        memory,
        max_message_bytes: 10 << 20,
        ..Setup::default()
    };
    let server = setup.start().await;
    server.account("alice").await;
    let mut commands = b"a LOGIN alice secret\r\n".to_vec();
    let date = r#""25-Nov-2026 09:00:00 +0000""#;
    for message in [
        b"Subject: short\r\n\r\nHello\r\n".to_vec(),
        message(),
        message(),
    ] {
        let head = format!("b APPEND INBOX {date} {{{}+}}\r\n", message.len());
        commands.extend_from_slice(head.as_bytes());
        commands.extend_from_slice(&message);
        commands.extend_from_slice(b"\r\n");
    }
    commands.extend_from_slice(b"b SELECT INBOX\r\n");
    commands.extend_from_slice(FETCHES);
    let address = server.address;
    let said = tokio::task::spawn_blocking(move || talk(address, &commands)).await;
    let said = String::from_utf8(said.expect("a client that is done")).expect("ASCII");
    // What differs between two servers.
    said.split_inclusive("\r\n")
        .filter(|line| !line.contains("UIDVALIDITY") && !line.contains("APPENDUID"))
        .filter(|line| !line.contains("MAILBOXID"))
        .collect()
}

#[tokio::test]
async fn long_messages_are_the_same_in_pieces() {
    let plenty = fetched(Memory::default()).await;
    let memory = Memory::new(20 << 20);
    let mut others = memory.sending.share();
    assert!(others.grow_to(5 << 20));
    let scarce = fetched(memory).await;
    let long = String::from_utf8(message()).expect("ASCII");
    assert_eq!(plenty.matches(&long).count(), 6);
    for tag in 'c'..='i' {
        assert!(plenty.contains(&format!("\r\n{tag} OK")), "{tag}");
    }
    for (line, (a, b)) in plenty.lines().zip(scarce.lines()).enumerate() {
        assert_eq!(a, b, "line {line}");
    }
    assert_eq!(plenty.len(), scarce.len());
}

#[tokio::test]
async fn what_cannot_go_in_pieces_waits_for_memory() {
    let memory = Memory::new(20 << 20);
    let mut others = memory.sending.share();
    assert!(others.grow_to(5 << 20));
    let setup = Setup {
        memory,
        max_message_bytes: 10 << 20,
        ..Setup::default()
    };
    let server = setup.start().await;
    server.account("alice").await;
    let message = message();
    let mut commands = format!(
        "a LOGIN alice secret\r\nb APPEND INBOX {{{}+}}\r\n",
        message.len()
    );
    commands += &String::from_utf8(message).expect("ASCII");
    commands += "\r\nb SELECT INBOX\r\nc FETCH 1 BINARY.PEEK[1]\r\nd NOOP\r\nj LOGOUT\r\n";
    let address = server.address;
    let said = tokio::task::spawn_blocking(move || talk(address, commands.as_bytes())).await;
    let said = String::from_utf8(said.expect("a client that is done")).expect("ASCII");
    assert!(said.contains("\r\nc NO [UNAVAILABLE]"), "{said}");
    assert!(said.contains("\r\nd OK"), "{said}");
}

/// Logs in, talks, logs out; what was said.
async fn said(address: SocketAddr, commands: &str) -> String {
    let commands = format!("a LOGIN alice secret\r\n{commands}j LOGOUT\r\n");
    let said = tokio::task::spawn_blocking(move || talk(address, commands.as_bytes())).await;
    String::from_utf8(said.expect("a client that is done")).expect("ASCII")
}

async fn with_a_long_message(memory: Memory) -> Server {
    let setup = Setup {
        memory,
        max_message_bytes: 10 << 20,
        ..Setup::default()
    };
    let server = setup.start().await;
    server.account("alice").await;
    let message = String::from_utf8(message()).expect("ASCII");
    let append = format!("b APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len());
    let told = said(server.address, &append).await;
    assert!(told.contains("\r\nb OK"), "{told}");
    server
}

/// RFC 4467 7, RFC 5524 3.
#[tokio::test]
async fn what_urls_name_goes_in_pieces_or_waits_for_memory() {
    let memory = Memory::new(20 << 20);
    let server = with_a_long_message(memory.clone()).await;
    let url =
        |section| format!("\"imap://alice@h/INBOX/;uid=1{section};urlauth=anonymous\" INTERNAL");
    let urls = [
        "",
        "/;section=1",
        "/;section=2",
        "/;section=1/;partial=5.300000",
    ]
    .map(url);
    let told = said(
        server.address,
        &format!("b GENURLAUTH {}\r\n", urls.join(" ")),
    )
    .await;
    let urls: Vec<&str> = told
        .split('"')
        .filter(|word| word.starts_with("imap:"))
        .collect();
    let [all, text, base64, part] = urls[..] else {
        panic!("{told}")
    };
    let fetch = format!(
        "c URLFETCH \"{all}\" \"{part}\"\r\n\
         d URLFETCH (\"{text}\" BODY BODYPARTSTRUCTURE) (\"{base64}\" BODYPARTSTRUCTURE)\r\n"
    );
    let decoded = format!("e URLFETCH (\"{base64}\" BINARY) \"{part}\"\r\n");
    let plenty = said(server.address, &format!("{fetch}{decoded}")).await;
    assert!(plenty.contains("\r\ne OK"));

    let mut others = memory.sending.share();
    assert!(others.grow_to(5 << 20));
    let scarce = said(server.address, &fetch).await;
    let (same, _) = plenty.split_once("\r\nd OK").expect("d");
    assert!(same.contains(std::str::from_utf8(&message()).expect("ASCII")));
    assert!(scarce.starts_with(same), "they differ");
    // It would have to be held whole. What can be told is.
    let scarce = said(server.address, &decoded).await;
    assert!(scarce.contains(&format!("\"{base64}\" NIL \"{part}\" {{300000}}\r\n")));
    assert!(scarce.contains("\r\ne NO [UNAVAILABLE]"), "{scarce}");
    drop(others);
    let again = said(server.address, &decoded).await;
    assert!(again.contains("\r\ne OK"));
    // All of it was given back.
    assert!(memory.sending.share().grow_to(5 << 20));
}

/// RFC 4469 3.
#[tokio::test]
async fn what_is_put_together_takes_of_the_memory_for_what_comes_in() {
    let memory = Memory::new(20 << 20);
    let server = with_a_long_message(memory.clone()).await;
    let long = "c APPEND INBOX CATENATE (TEXT {14+}\r\nSubject: new\r\n \
                URL \"/INBOX/;uid=1/;section=TEXT\")\r\n";
    let short =
        "d APPEND INBOX CATENATE (URL \"/INBOX/;uid=1/;section=HEADER\" TEXT {3+}\r\nHi.)\r\n";
    let count = "e STATUS INBOX (MESSAGES)\r\n";
    let mut others = memory.receiving.share();
    assert!(others.grow_to((20 << 20) - (100 << 10)));
    let told = said(server.address, &format!("{long}{short}{count}")).await;
    assert!(told.contains("\r\nc NO [UNAVAILABLE]"), "{told}");
    assert!(told.contains("\r\nd OK"), "{told}");
    assert!(told.contains("(MESSAGES 2)"), "{told}");
    assert!(memory.receiving.is_short());
    // Three times its size is enough: what is read, and the message.
    others.shrink_to((20 << 20) - 3 * message().len());
    let told = said(server.address, &format!("{long}{count}")).await;
    assert!(told.contains("\r\nc OK"), "{told}");
    assert!(told.contains("(MESSAGES 3)"), "{told}");
    drop(others);
    assert!(memory.receiving.share().grow_to(20 << 20));
}
