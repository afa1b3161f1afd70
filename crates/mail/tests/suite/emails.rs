//! Emails read many at once stay in memory, and only as long as their records are there.

use crate::common::*;
use mail::Options;
use std::sync::Arc;
use storage::{Call, FaultMeta, Faults, MemoryBlobs, MemoryMeta};
use types::{EmailId, UidSet};

#[tokio::test]
async fn emails_read_together_are_read_once_and_gone_when_their_records_are() {
    let faults = Faults::new();
    let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
    let options = Options {
        grace_seconds: 0,
        undelete_seconds: 0,
        ..Options::default()
    };
    let mail = open(meta, Arc::new(MemoryBlobs::new()), options).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let mut messages = Vec::new();
    for n in 0..100 {
        messages.push(message(&mail, text(&n.to_string())).await);
    }
    account.append(inbox, messages).await.unwrap();
    let session = account.select(inbox).await.unwrap();
    let ids: Vec<EmailId> = session.view().rows().map(|row| row.email).collect();

    let subjects = async || {
        let emails = account.emails(&ids).await.unwrap();
        let subject = |email: &mail::Email| email.digest().unwrap().subject().to_owned();
        let subjects: Vec<Option<String>> = emails
            .iter()
            .map(|email| email.as_ref().map(subject))
            .collect();
        subjects
    };
    let all: Vec<Option<String>> = (0..100).map(|n| Some(n.to_string())).collect();
    assert_eq!(
        (mail.email_cache_bytes(), subjects().await),
        (0, all.clone())
    );
    // What is read a second time is kept.
    assert_eq!(
        (mail.email_cache_bytes(), subjects().await),
        (0, all.clone())
    );
    let reads = || faults.calls(Call::Scan) + faults.calls(Call::Get);
    let before = reads();
    assert_eq!((subjects().await, reads()), (all.clone(), before));
    assert!(mail.email_cache_bytes() > 10_000);

    session
        .expunge(&UidSet::range(uid(31), uid(40)))
        .await
        .unwrap();
    assert_eq!(mail.sweep().await.unwrap(), 10);
    let mut rest = all;
    rest[30..40].fill(None);
    assert_eq!(subjects().await, rest);
    assert_eq!(subjects().await, rest);
    assert_sound(&mail).await;
}
