//! Accounts and mailboxes put back from a store as it was: an interruption at any place leaves
//! nothing, or something that can be gone on with.

use crate::common::{assert_sound, fresh, id_of, message, name, open, text, uid};
use mail::{Account, Mail, MailError, MailErrorKind, Options};
use std::sync::Arc;
use storage::{
    Batch, Call, ErrorKind, FaultBlobs, FaultMeta, Faults, MemoryBlobs, MemoryMeta, MetaStore, Scan,
};
use types::{AccountId, UidSet};

/// The clock when the backup was taken: an hour ago.
fn taken() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap() - 3600
}

const DEAF: &(dyn Fn(u64, u64) -> Result<(), MailError> + Sync) = &|_, _| Ok(());

async fn filled(count: usize) -> (Mail, Account) {
    let (mail, account) = fresh().await;
    for i in 0..count {
        let one = message(&mail, text(&format!("message {i}"))).await;
        let home = if i % 3 == 0 { "Archive" } else { "INBOX" };
        account
            .append(id_of(&account, home), vec![one])
            .await
            .unwrap();
    }
    (mail, account)
}

/// Uid, POP3 id, email of every message of a mailbox.
async fn rows(account: &Account, mailbox: &str) -> Vec<(u32, u64, u64)> {
    let selected = account.select(id_of(account, mailbox)).await.unwrap();
    let view = selected.view();
    view.rows()
        .map(|row| (row.uid.get(), row.uidl, row.email.0))
        .collect()
}

#[tokio::test]
async fn an_account_is_there_whole_or_not_at_all_wherever_the_store_fails() {
    let (backup, source) = filled(30).await;
    let mut completed = 0;
    for (call, step) in [
        (Call::Commit, 1),
        (Call::Durable, 1),
        (Call::BlobPut, 7),
        (Call::Scan, 3),
    ] {
        for after in 0.. {
            let faults = Faults::new();
            let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
            let blobs = Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone()));
            let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
            faults.fail_nth(call, after * step + 1, ErrorKind::Unavailable);
            let done = mail.restore_account(&backup, "u", "v", taken(), DEAF).await;
            faults.heal();
            // As after a crash: nothing is remembered.
            let mail = open(meta.clone(), blobs, Options::default()).await;
            mail.sweep().await.unwrap();
            assert_sound(&mail).await;
            let Some(info) = mail.find_account("v").await.unwrap() else {
                assert!(done.is_err());
                let left = meta.accounts(None, 10).await.unwrap();
                assert!(
                    left.iter().all(|id| id.0 == 0),
                    "{call:?} {after}: {left:?}"
                );
                continue;
            };
            let account = mail.account(info.id).await.unwrap();
            for mailbox in ["INBOX", "Archive"] {
                assert_eq!(rows(&account, mailbox).await, rows(&source, mailbox).await);
            }
            if let Ok(restored) = done {
                assert_eq!((restored.emails, restored.damaged), (30, vec![]));
                completed += 1;
                break;
            }
        }
    }
    assert_eq!(completed, 4);
}

/// More than one commit removes.
#[tokio::test]
async fn what_an_interrupted_restore_left_goes_however_often_that_is_interrupted() {
    const LEFT: AccountId = AccountId(7);
    for after in 1.. {
        let faults = Faults::new();
        let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
        let blobs = Arc::new(MemoryBlobs::new());
        let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
        let mut batch = Batch::new();
        // The mark, in the middle of everything else.
        batch.put(&b"X"[..], &b""[..]);
        for n in 0..3000u32 {
            let kind = if n % 2 == 0 { b'H' } else { b'j' };
            batch.put([&[kind][..], &n.to_be_bytes()].concat(), &b"left"[..]);
        }
        meta.commit(LEFT, batch)
            .await
            .unwrap()
            .durable()
            .await
            .unwrap();
        faults.fail_nth(Call::Commit, after, ErrorKind::Unavailable);
        let swept = mail.sweep().await;
        faults.heal();
        let mail = open(meta.clone(), blobs, Options::default()).await;
        mail.sweep().await.unwrap();
        let left = meta.accounts(None, 10).await.unwrap();
        assert!(!left.contains(&LEFT), "{after}");
        if swept.is_ok() {
            assert!(after > 4, "{after}");
            return;
        }
    }
}

#[tokio::test]
async fn a_name_that_is_taken_meanwhile_is_not_taken_away() {
    let (backup, _) = filled(3).await;
    let (mail, _) = fresh().await;
    let refused = mail.restore_account(&backup, "u", "U", taken(), DEAF).await;
    assert_eq!(refused.unwrap_err().kind, MailErrorKind::Exists);
    let refused = mail
        .restore_account(&backup, "nobody", "w", taken(), DEAF)
        .await;
    assert_eq!(refused.unwrap_err().kind, MailErrorKind::NotFound);
    let racer = mail.clone();
    let taken_meanwhile = move |_, _| {
        let racer = racer.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime
                .block_on(racer.create_account("w", Some("other")))
                .unwrap();
        })
        .join()
        .unwrap();
        Ok(())
    };
    let refused = mail
        .restore_account(&backup, "u", "w", taken(), &taken_meanwhile)
        .await;
    assert_eq!(refused.unwrap_err().kind, MailErrorKind::Exists);
    let other = mail.find_account("w").await.unwrap().unwrap();
    assert_eq!(other.password.as_deref(), Some("other"));
    assert_sound(&mail).await;
}

#[tokio::test]
async fn an_account_that_is_being_put_back_is_left_alone_by_the_sweep() {
    let (backup, _) = filled(600).await;
    let (mail, _) = fresh().await;
    let sweeper = mail.clone();
    let sweeping = move |_, _| {
        let sweeper = sweeper.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(sweeper.sweep()).unwrap();
        })
        .join()
        .unwrap();
        Ok(())
    };
    mail.restore_account(&backup, "u", "v", taken(), &sweeping)
        .await
        .unwrap();
    let info = mail.find_account("v").await.unwrap().unwrap();
    let account = mail.account(info.id).await.unwrap();
    assert_eq!(account.usage().messages, 600);
    assert_sound(&mail).await;
}

#[tokio::test]
async fn a_mailbox_that_was_interrupted_is_gone_on_with() {
    let (backup, source) = filled(900).await;
    let (mail, account) = fresh().await;
    let inbox = name("INBOX");
    let enough = |done: u64, _| match done > 20_000 {
        true => Err(MailError::new(MailErrorKind::Unavailable, "enough")),
        false => Ok(()),
    };
    let stopped = account
        .restore_mailbox(&source, &inbox, &inbox, false, &enough)
        .await;
    assert_eq!(stopped.unwrap_err().text, "enough");
    let first = account.usage().messages;
    assert!((1..600).contains(&first), "{first}");
    let rest = account
        .restore_mailbox(&source, &inbox, &inbox, false, DEAF)
        .await
        .unwrap();
    assert_eq!((rest.added + first, rest.there), (600, first));
    // Two of the same are two.
    let twice = message(&backup, text("message 1")).await;
    source
        .append(id_of(&source, "INBOX"), vec![twice])
        .await
        .unwrap();
    let again = account
        .restore_mailbox(&source, &inbox, &inbox, false, DEAF)
        .await
        .unwrap();
    assert_eq!((again.added, again.there), (1, 600));
    assert_sound(&mail).await;
}

#[tokio::test]
async fn uids_that_may_have_been_given_have_vanished_also_behind_a_snapshot() {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let again = || open(meta.clone(), blobs.clone(), Options::default());
    let mail = again().await;
    let id = mail.create_account("u", None).await.unwrap().id;
    let account = mail.account(id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let one = message(&mail, text("one")).await;
    account.append(inbox, vec![one.clone(); 3]).await.unwrap();
    let before = account.summary(inbox).unwrap();

    let mail = again().await;
    mail.resume_restored(taken()).await.unwrap();
    let account = mail.account(id).await.unwrap();
    let after = account.summary(inbox).unwrap();
    assert_eq!(after.uid_validity, before.uid_validity);
    assert!(after.uid_next >= before.uid_next + (1 << 20) + 360_000);
    assert_sound(&mail).await;
    let lost = UidSet::range(uid(before.uid_next), uid(after.uid_next - 1));
    let selected = account.select(inbox).await.unwrap();
    let vanished = || selected.vanished_since(before.modseq.get());
    assert_eq!(vanished().await.unwrap(), Some(lost.clone()));
    // A snapshot is written in the background once the journal is long enough.
    loop {
        account.append(inbox, vec![one.clone(); 100]).await.unwrap();
        let moved = meta.scan(id, Scan::prefix(&b"v"[..], 1)).await.unwrap();
        if !moved.entries.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(vanished().await.unwrap(), Some(lost));
    let told = before.modseq.get() + 5;
    assert_eq!(selected.effective_since(told), 0);
    assert_sound(&mail).await;
}
