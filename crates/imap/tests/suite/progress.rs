//! INPROGRESS (RFC 9585): what is told during a command, by a server that tells at every moment.

use crate::common::Setup;
use async_trait::async_trait;
use bytes::Bytes;
use imap::Limits;
use std::sync::Arc;
use std::time::Duration;
use storage::{
    Batch, Commit, Health, Link, MemoryMeta, MetaStore, Page, Scan, StorageError, Watch,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use types::{AccountId, BlobHash};

/// A store that has to be waited for, as one on a disk has.
struct Slow(MemoryMeta);

#[async_trait]
impl MetaStore for Slow {
    fn backend(&self) -> &'static str {
        self.0.backend()
    }

    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        tokio::task::yield_now().await;
        self.0.get(account, key).await
    }

    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError> {
        tokio::task::yield_now().await;
        self.0.scan(account, scan).await
    }

    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError> {
        tokio::task::yield_now().await;
        self.0.commit(account, batch).await
    }

    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        self.0.links(blob, limit).await
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.0.accounts(after, limit).await
    }

    fn watch(&self, account: AccountId) -> Watch {
        self.0.watch(account)
    }

    fn is_exclusive(&self) -> bool {
        self.0.is_exclusive()
    }

    fn generation(&self) -> u64 {
        self.0.generation()
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.0.close().await
    }
}

/// The numbers of `* OK [INPROGRESS ("tag" done goal)] text`; `None` where there are none.
fn told(line: &str, tag: &str) -> Option<Option<(u64, u64)>> {
    let state = line
        .strip_prefix("* OK [INPROGRESS (")?
        .strip_suffix(")] still at work")?;
    let state = state.strip_prefix(&format!("\"{tag}\" "));
    let (done, goal) = state.expect("the tag").split_once(' ').expect("two");
    if (done, goal) == ("NIL", "NIL") {
        return Some(None);
    }
    let number = |text: &str| text.parse::<u64>().expect("a number");
    Some(Some((number(done), number(goal))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_commands_tell_how_far_they_are() {
    let server = Setup {
        meta: Arc::new(Slow(MemoryMeta::new())),
        limits: Limits {
            progress: Duration::ZERO,
            ..Limits::default()
        },
        ..Setup::default()
    }
    .start()
    .await;
    let tcp = TcpStream::connect(server.address)
        .await
        .expect("a listener");
    let mut tcp = BufReader::new(tcp);
    let mut lines = async |tag: &str, command: &str| {
        let sent = format!("{tag} {command}\r\n");
        tcp.write_all(sent.as_bytes()).await.expect("sent");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(tcp.read_line(&mut line).await.expect("a line"), 0);
            let line = line.trim_end().to_owned();
            if line.starts_with(&format!("{tag} ")) {
                assert!(line.starts_with(&format!("{tag} OK ")), "{line}");
                return lines;
            }
            lines.push(line);
        }
    };
    lines("l", "LOGIN alice secret").await;
    let body = format!("Subject: x\r\n\r\n{}\r\n", "some words ".repeat(8000));
    for n in 0..30 {
        let append = format!("APPEND INBOX {{{}+}}\r\n{body}", body.len());
        lines(&format!("p{n}"), &append).await;
    }
    lines("s", "SELECT INBOX").await;
    for (tag, command, counts) in [
        ("a", "SEARCH BODY nowhere", true),
        ("b", "SORT (SUBJECT) UTF-8 BODY word", true),
        ("c", "THREAD REFS UTF-8 TEXT word", true),
        ("d", "FETCH 1:* FLAGS", true),
        ("e", "COPY 1:* Trash", false),
        ("f", "MOVE 1:9 Drafts", false),
        ("g", "STORE 1 FLAGS (\\Deleted)", false),
        ("h", "EXPUNGE", false),
    ] {
        let lines = lines(tag, command).await;
        let states: Vec<_> = lines.iter().filter_map(|line| told(line, tag)).collect();
        // STORE says what it did at once.
        assert_eq!(states.is_empty(), tag == "g", "{command}: {lines:?}");
        let counted: Vec<_> = states.iter().flatten().collect();
        assert_eq!(!counted.is_empty(), counts, "{command}: {states:?}");
        // RFC 9585 4: below the goal.
        for (done, goal) in counted {
            assert!(done < goal && *goal == 30, "{command}: {states:?}");
        }
        // All else is as it ever was, and last.
        let rest = lines.iter().filter(|line| told(line, tag).is_none());
        let words: Vec<_> = rest.map(|line| line.split(' ').nth(1)).collect();
        assert!(!words.is_empty() || tag == "e", "{command}: {lines:?}");
    }
    // RFC 9585 4: a tag that would end the code is left out.
    let lines = lines("z]", "SEARCH BODY nowhere").await;
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("* OK [INPROGRESS (NIL "))
    );
    assert_eq!(server.problems().await, Vec::<String>::new());
}
