//! Long APPENDs (RFC 3502) and quota, beyond what a dialogue can say.

use crate::common::{Server, Setup, dialogue};
use imap::Limits;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use storage::{Call, ErrorKind, FaultBlobs, Faults, MemoryBlobs};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use types::MailboxName;

struct Client(BufReader<TcpStream>);

impl Client {
    async fn login(server: &Server) -> Self {
        let tcp = TcpStream::connect(server.address)
            .await
            .expect("a listener");
        let mut client = Self(BufReader::new(tcp));
        client.line().await;
        assert!(
            client
                .ask(b"a LOGIN alice secret\r\n")
                .await
                .starts_with("a OK")
        );
        client
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        read.expect("in time").expect("read");
        line.trim_end().to_owned()
    }

    /// Sends all of `text`, and the next line.
    async fn ask(&mut self, text: &[u8]) -> String {
        self.0.write_all(text).await.expect("sent");
        self.line().await
    }
}

/// An APPEND of so many messages that does not wait, each of at least so many octets.
fn long_append(messages: usize, octets: usize) -> Vec<u8> {
    let mut text = "b APPEND INBOX".to_owned();
    for n in 0..messages {
        let message = format!("Subject: {n}\r\n\r\n{}\r\n", "x".repeat(octets));
        write!(
            text,
            " (\\Seen $Work) \"17-Jul-1996 02:44:25 -0700\" {{{}+}}\r\n{message}",
            message.len()
        )
        .expect("text");
    }
    (text + "\r\n").into()
}

async fn messages(server: &Server) -> u32 {
    let account = server.account("alice").await;
    let inbox = account
        .tree()
        .find(&MailboxName::inbox())
        .expect("INBOX")
        .id;
    account.summary(inbox).expect("INBOX").messages
}

#[tokio::test]
async fn ten_thousand_messages_are_one_change() {
    let server = Setup::default().start().await;
    let mut client = Client::login(&server).await;
    let answer = client.ask(&long_append(10_000, 10)).await;
    assert!(answer.starts_with("b OK [APPENDUID "), "{answer}");
    assert!(answer.contains(" 1:10000]"), "{answer}");
    assert_eq!(messages(&server).await, 10_000);
    let answer = client.ask(b"c STATUS INBOX (HIGHESTMODSEQ)\r\n").await;
    assert_eq!(answer, "* STATUS INBOX (HIGHESTMODSEQ 2)");
    assert!(server.problems().await.is_empty());
}

#[tokio::test]
async fn the_sum_of_the_messages_has_no_bound() {
    let server = Setup::default().start().await;
    let mut client = Client::login(&server).await;
    // A hundred times what one message may have.
    let answer = client.ask(&long_append(120, 90_000)).await;
    assert!(answer.starts_with("b OK [APPENDUID "), "{answer}");
    assert_eq!(messages(&server).await, 120);
}

#[tokio::test]
async fn too_many_messages_are_refused_and_the_session_goes_on() {
    let limits = Limits {
        messages: 100,
        ..Limits::default()
    };
    let server = Setup {
        limits,
        ..Setup::default()
    }
    .start()
    .await;
    let mut client = Client::login(&server).await;
    let answer = client.ask(&long_append(101, 10)).await;
    assert_eq!(answer, "b NO [LIMIT] too many messages at once");
    assert_eq!(messages(&server).await, 0);
    let answer = client.ask(&long_append(100, 10)).await;
    assert!(answer.contains(" 1:100]"), "{answer}");
}

#[tokio::test]
async fn a_client_that_dies_inside_leaves_nothing() {
    let server = Setup::default().start().await;
    let text = long_append(500, 10_000);
    for part in [3, 5] {
        let mut client = Client::login(&server).await;
        let cut = text.len() / 7 * part;
        client.0.write_all(&text[..cut]).await.expect("sent");
    }
    // Another session gets its turn behind them, whatever they are at.
    let mut client = Client::login(&server).await;
    assert!(client.ask(b"c NOOP\r\n").await.starts_with("c OK"));
    assert_eq!(messages(&server).await, 0);
    assert!(server.problems().await.is_empty());
}

#[tokio::test]
async fn a_store_that_fails_inside_keeps_nothing() {
    let faults = Faults::default();
    let setup = Setup {
        blobs: Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone())),
        ..Setup::default()
    };
    let server = setup.start().await;
    let mut client = Client::login(&server).await;
    let text = long_append(200, 10_000);
    faults.fail_nth(Call::BlobPut, 150, ErrorKind::Unavailable);
    let answer = client.ask(&text).await;
    assert!(answer.starts_with("b NO [UNAVAILABLE]"), "{answer}");
    assert_eq!(messages(&server).await, 0);
    let answer = client.ask(&text).await;
    assert!(answer.contains(" 1:200]"), "{answer}");
}

#[tokio::test]
async fn all_messages_of_a_command_count_against_the_quota() {
    let mut server = Setup {
        quota: Some(100),
        ..Setup::default()
    }
    .start()
    .await;
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 APPEND INBOX {40+}\n\
         C: 0123456789012345678901234567890123456789 {40}\n\
         S: + OK\n\
         C: 0123456789012345678901234567890123456789 {21}\n\
         S: a2 NO [OVERQUOTA] {{.*}}\n\
         C: a3 APPEND INBOX {60+}\n\
         C: 012345678901234567890123456789012345678901234567890123456789 {41+}\n\
         C: 01234567890123456789012345678901234567890 {1+}\n\
         C: x\n\
         S: a3 NO [OVERQUOTA] {{.*}}\n\
         C: a4 APPEND INBOX {60+}\n\
         C: 012345678901234567890123456789012345678901234567890123456789 {20+}\n\
         C: 01234567890123456789\n\
         S: a4 OK [APPENDUID {{\\d+}} 1:2] appended\n",
    )
    .await;
}

#[tokio::test]
async fn what_is_replaced_makes_room() {
    let mut server = Setup {
        quota: Some(100),
        ..Setup::default()
    }
    .start()
    .await;
    // RFC 8508 3.4: "only the net quota consumption is considered".
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 APPEND INBOX {60+}\n\
         C: 012345678901234567890123456789012345678901234567890123456789 {20+}\n\
         C: 01234567890123456789\n\
         S: a2 OK [APPENDUID {{\\d+}} 1:2] appended\n\
         C: a3 SELECT INBOX\n\
         S*: a3 OK {{.*}}\n\
         C: a4 REPLACE 1 INBOX {81}\n\
         S: a4 NO [OVERQUOTA] {{.*}}\n\
         C: a5 REPLACE 1 Drafts {70}\n\
         S: + OK\n\
         C: 0123456789012345678901234567890123456789012345678901234567890123456789\n\
         S: * OK [APPENDUID {{\\d+}} 1] {{.*}}\n\
         S: * 1 EXPUNGE\n\
         S: a5 OK replaced\n\
         C: a6 REPLACE 1 INBOX {31+}\n\
         C: 0123456789012345678901234567890\n\
         S: a6 NO [OVERQUOTA] {{.*}}\n",
    )
    .await;
}
