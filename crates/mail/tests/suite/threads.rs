//! Conversations (RFC 8474 5.2): told at delivery, for ever, and forgotten with the last email.

use crate::common::{assert_sound, id_of, message, open};
use bytes::Bytes;
use mail::{Account, Mail, NewMessage, Options};
use std::sync::Arc;
use storage::{MemoryBlobs, MemoryMeta, MetaStore, Scan};
use types::{ThreadId, Uid, UidSet};

async fn mail(bytes: &str, mail: &Mail) -> NewMessage {
    message(mail, Bytes::copy_from_slice(bytes.as_bytes())).await
}

async fn deliver(engine: &Mail, account: &Account, messages: &[&str]) -> Vec<ThreadId> {
    let inbox = id_of(account, "INBOX");
    let mut new = Vec::new();
    for text in messages {
        new.push(mail(text, engine).await);
    }
    let appended = account.append(inbox, new).await.unwrap();
    let view = account.select(inbox).await.unwrap().view();
    let ids: Vec<_> = view
        .rows_in(&appended.uids)
        .map(|(_, row)| row.email)
        .collect();
    let emails = account.emails(&ids).await.unwrap();
    emails
        .into_iter()
        .map(|email| email.unwrap().thread())
        .collect()
}

async fn fresh() -> (Arc<MemoryMeta>, Mail, Account) {
    let meta = Arc::new(MemoryMeta::new());
    let options = Options {
        grace_seconds: 0,
        undelete_seconds: 0,
        ..Options::default()
    };
    let engine = open(meta.clone(), Arc::new(MemoryBlobs::new()), options).await;
    let info = engine.create_account("u", None).await.unwrap();
    let account = engine.account(info.id).await.unwrap();
    (meta, engine, account)
}

const FIRST: &str = "Message-ID: <1@x>\r\n\r\nfirst\r\n";
const ANSWER: &str = "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\nsecond\r\n";
/// Names its parent alone: only the index knows the beginning.
const THIRD: &str = "Message-ID: <3@x>\r\nIn-Reply-To: <2@x>\r\n\r\nthird\r\n";
const OTHER: &str = "Message-ID: <9@x>\r\nSubject: Re: first\r\n\r\nother\r\n";

#[tokio::test]
async fn messages_of_one_command_find_each_other() {
    let (_, engine, account) = fresh().await;
    let threads = deliver(&engine, &account, &[FIRST, ANSWER, THIRD, OTHER]).await;
    assert_eq!(threads[0], threads[1]);
    assert_eq!(threads[0], threads[2]);
    assert_ne!(threads[0], threads[3]);
    assert_sound(&engine).await;
}

#[tokio::test]
async fn an_answer_that_comes_first_is_joined_by_what_it_answers() {
    let (_, engine, account) = fresh().await;
    let third = deliver(&engine, &account, &[THIRD]).await;
    let answer = deliver(&engine, &account, &[ANSWER]).await;
    let first = deliver(&engine, &account, &[FIRST]).await;
    assert_eq!((&answer, &first), (&third, &third));
    assert_sound(&engine).await;
}

#[tokio::test]
async fn the_same_content_stays_in_its_conversation() {
    let (_, engine, account) = fresh().await;
    // Without a Message-ID, and with a parent that becomes known in between.
    let nameless = "References: <7@x> <2@x>\r\n\r\nnameless\r\n";
    let before = deliver(&engine, &account, &[nameless]).await;
    deliver(&engine, &account, &[FIRST, ANSWER]).await;
    assert_eq!(deliver(&engine, &account, &[nameless]).await, before);
}

#[tokio::test]
async fn the_index_goes_with_the_emails() {
    let (meta, engine, account) = fresh().await;
    deliver(&engine, &account, &[FIRST, ANSWER, THIRD, OTHER]).await;
    let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
    inbox
        .expunge(&UidSet::range(Uid::FIRST, Uid::new(3).unwrap()))
        .await
        .unwrap();
    assert_eq!(engine.sweep().await.unwrap(), 3);
    assert_sound(&engine).await;
    let rows = meta.scan(account.id(), Scan::prefix(&b"h"[..], 100)).await;
    assert_eq!(rows.unwrap().entries.len(), 1);
}
