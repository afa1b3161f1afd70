//! What the engine's tests share.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use bytes::Bytes;
use mail::{Account, Mail, NewMessage, Options};
use std::sync::Arc;
use storage::{BlobStore, MemoryBlobs, MemoryMeta, MetaStore, Provenance};
use types::{Flags, Keyword, MailboxId, MailboxName, Uid};

/// A small deterministic generator (SplitMix64): seeds are printed, so failures can be repeated.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

pub(crate) async fn open(
    meta: Arc<dyn MetaStore>,
    blobs: Arc<dyn BlobStore>,
    options: Options,
) -> Mail {
    Mail::open(meta, blobs, options).await.unwrap()
}

pub(crate) async fn fresh() -> (Mail, Account) {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let mail = open(meta, blobs, Options::default()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    (mail, account)
}

pub(crate) fn text(subject: &str) -> Bytes {
    format!("From: a@example.org\r\nSubject: {subject}\r\n\r\nBody of {subject}.\r\n").into()
}

pub(crate) async fn message(mail: &Mail, bytes: Bytes) -> NewMessage {
    NewMessage {
        content: mail.ingest(bytes, &Provenance::default()).await.unwrap(),
        prefix: Bytes::new(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: Some(1_700_000_000),
    }
}

pub(crate) fn name(s: &str) -> MailboxName {
    MailboxName::new(s).unwrap()
}

pub(crate) fn id_of(account: &Account, s: &str) -> MailboxId {
    account.tree().find(&name(s)).unwrap().id
}

pub(crate) fn uid(v: u32) -> Uid {
    Uid::new(v).unwrap()
}

pub(crate) fn keyword(s: &str) -> Keyword {
    Keyword::new(s).unwrap()
}

pub(crate) async fn assert_sound(mail: &Mail) {
    let problems = mail.check(true).await.unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
}
