//! Accounts that are removed: an interruption at any place leaves the whole account, or nothing.

use crate::common::{assert_sound, id_of, message, name, open, text};
use mail::{Account, Mail, Options};
use std::sync::Arc;
use storage::{
    Call, ErrorKind, FaultBlobs, FaultMeta, Faults, MemoryBlobs, MemoryMeta, MetaStore, Scan,
};
use types::AccountId;

struct Rig {
    meta: Arc<FaultMeta<MemoryMeta>>,
    blobs: Arc<FaultBlobs<MemoryBlobs>>,
    faults: Faults,
    mail: Mail,
    account: Account,
}

impl Rig {
    /// An account with more keys than one commit removes, and another that has the same mail.
    async fn new(messages: usize) -> Self {
        let faults = Faults::new();
        let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
        let blobs = Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone()));
        let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
        let info = mail.create_account("u", Some("secret")).await.unwrap();
        let account = mail.account(info.id).await.unwrap();
        let other = mail.create_account("other", None).await.unwrap();
        let other = mail.account(other.id).await.unwrap();
        let one = message(&mail, text("one")).await;
        for account in [&account, &other] {
            let inbox = id_of(account, "INBOX");
            let all = vec![one.clone(); messages];
            account.append(inbox, all).await.unwrap();
        }
        Self {
            meta,
            blobs,
            faults,
            mail,
            account,
        }
    }

    /// As after a crash: nothing is remembered.
    async fn again(&self) -> Mail {
        self.faults.heal();
        open(self.meta.clone(), self.blobs.clone(), Options::default()).await
    }

    async fn keys(&self, id: AccountId) -> usize {
        let page = self.meta.scan(id, Scan::prefix(&b""[..], 10_000));
        page.await.unwrap().entries.len()
    }
}

#[tokio::test]
async fn a_removal_that_is_interrupted_anywhere_is_finished_by_the_sweep() {
    let mut completed = 0;
    for call in [
        Call::Commit,
        Call::Durable,
        Call::Scan,
        Call::Get,
        Call::Links,
        Call::BlobPut,
        Call::BlobRelease,
    ] {
        for after in 1.. {
            let rig = Rig::new(1500).await;
            let id = rig.account.id();
            let whole = rig.keys(id).await;
            rig.faults.fail_nth(call, after, ErrorKind::Unavailable);
            let removed = rig.mail.remove_account("u").await;
            let mail = rig.again().await;
            let known = mail.find_account("u").await.unwrap();
            mail.sweep().await.unwrap();
            match known {
                Some(info) => {
                    assert!(removed.is_err(), "{call:?} {after}");
                    assert_eq!((info.id, rig.keys(id).await), (id, whole));
                }
                None => assert_eq!(rig.keys(id).await, 0, "{call:?} {after}"),
            }
            assert_sound(&mail).await;
            if removed.is_ok() {
                completed += 1;
                break;
            }
        }
    }
    assert_eq!(completed, 7);
}

#[tokio::test]
async fn what_an_open_session_writes_into_a_removed_account_goes_too() {
    let rig = Rig::new(3).await;
    let id = rig.account.id();
    rig.mail.remove_account("u").await.unwrap();
    assert_eq!(rig.keys(id).await, 0);
    // It does not matter whether that is refused.
    let _ = rig.account.create(&name("Late"), None).await;
    rig.mail.sweep().await.unwrap();
    assert_eq!(rig.keys(id).await, 0);
    // The name is free, and the number is not given again.
    let again = rig.mail.create_account("u", None).await.unwrap();
    assert!(again.id > id);
    let account = rig.mail.account(again.id).await.unwrap();
    assert_eq!(account.tree().folders.len(), 6);
    rig.mail.sweep().await.unwrap();
    assert!(rig.mail.find_account("u").await.unwrap().is_some());
    assert_sound(&rig.mail).await;
}
