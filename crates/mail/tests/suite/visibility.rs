//! DESIGN 3.4: appends and expunges are shown once they are durable, flag changes at once; two
//! processes on one store keep each other right; a power loss never makes a number mean two things.

use crate::common::{assert_sound, id_of, message, name, open, text, uid};
use async_trait::async_trait;
use bytes::Bytes;
use mail::{FlagChange, Grantee, Identifier, MailErrorKind, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::{
    Batch, Commit, Health, Link, MemoryBlobs, MemoryMeta, MetaStore, Page, Scan, StorageError,
    Watch,
};
use tokio::sync::watch;
use types::{AccountId, BlobHash, FlagOp, Flags, Rights, UidSet};

/// A store whose disk is as slow, and whose power as unreliable, as the test wants.
struct Slow {
    inner: MemoryMeta,
    gate: watch::Sender<Gate>,
    exclusive: bool,
    generation: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Shut,
    Broken,
}

impl Slow {
    fn new(exclusive: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryMeta::new(),
            gate: watch::Sender::new(Gate::Open),
            exclusive,
            generation: AtomicU64::new(0),
        })
    }
}

#[async_trait]
impl MetaStore for Slow {
    fn backend(&self) -> &'static str {
        "slow"
    }
    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get(account, key).await
    }
    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError> {
        self.inner.scan(account, scan).await
    }
    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError> {
        let commit = self.inner.commit(account, batch).await?;
        let mut gate = self.gate.subscribe();
        if !self.exclusive {
            return Ok(commit);
        }
        Ok(Commit::pending(async move {
            let state = *gate.wait_for(|g| *g != Gate::Shut).await.unwrap();
            match state {
                Gate::Broken => Err(StorageError::unavailable("fsync failed")),
                _ => Ok(()),
            }
        }))
    }
    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        self.inner.links(blob, limit).await
    }
    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.inner.accounts(after, limit).await
    }
    fn watch(&self, account: AccountId) -> Watch {
        self.inner.watch(account)
    }
    fn is_exclusive(&self) -> bool {
        self.exclusive
    }
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
    fn health(&self) -> Health {
        Health::Ready
    }
    async fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

fn seen() -> FlagChange {
    FlagChange {
        op: FlagOp::Add,
        flags: Flags::SEEN,
        keywords: vec![],
    }
}

#[tokio::test]
async fn an_append_is_shown_only_once_durable_and_flags_at_once() {
    let store = Slow::new(true);
    let mail = open(
        store.clone(),
        Arc::new(MemoryBlobs::new()),
        Options::default(),
    )
    .await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let one = message(&mail, text("1")).await;
    account.append(inbox, vec![one.clone()]).await.unwrap();
    let session = account.select(inbox).await.unwrap();

    let flagged_uids = UidSet::range(uid(1), uid(9));
    store.gate.send_replace(Gate::Shut);
    session
        .store(&UidSet::range(uid(1), uid(1)), &seen(), None)
        .await
        .unwrap();
    assert_eq!(session.view().find(uid(1)).unwrap().flags, Flags::SEEN);

    let append = tokio::spawn({
        let (account, one) = (account.clone(), one.clone());
        async move { account.append(inbox, vec![one]).await }
    });
    // The second append claims uid 3 behind the first; neither may be seen.
    let second = tokio::spawn({
        let account = account.clone();
        async move { account.append(inbox, vec![one]).await }
    });
    // A flag change behind them cannot be shown before them.
    let flagged = FlagChange {
        flags: Flags::FLAGGED,
        ..seen()
    };
    let store_behind = session.store(&flagged_uids, &flagged, None);
    tokio::pin!(store_behind);
    for _ in 0..50 {
        tokio::task::yield_now().await;
        assert!(futures::poll!(&mut store_behind).is_pending());
        assert_eq!(session.view().len(), 1);
        assert_eq!(account.summary(inbox).unwrap().messages, 1);
    }
    assert!(!append.is_finished() && !second.is_finished());
    let mut watch = session.watch();
    watch.mark_unchanged();
    store.gate.send_replace(Gate::Open);
    store_behind.await.unwrap();
    append.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(session.view().len(), 3);
    assert_sound(&mail).await;
}

/// A connection may end while the disk works.
#[tokio::test]
async fn what_nobody_waits_for_any_more_is_shown_once_durable() {
    let store = Slow::new(true);
    let mail = open(
        store.clone(),
        Arc::new(MemoryBlobs::new()),
        Options::default(),
    )
    .await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let one = message(&mail, text("1")).await;
    let session = account.select(inbox).await.unwrap();
    let mut watch = session.watch();
    store.gate.send_replace(Gate::Shut);
    {
        let append = account.append(inbox, vec![one]);
        tokio::pin!(append);
        assert!(futures::poll!(append).is_pending());
    }
    assert_eq!(session.view().len(), 0);
    store.gate.send_replace(Gate::Open);
    while session.view().is_empty() {
        let told = tokio::time::timeout(Duration::from_secs(30), watch.changed());
        told.await.expect("the mailbox is told").unwrap();
    }
    assert_sound(&mail).await;
}

#[tokio::test]
async fn what_cannot_be_made_durable_is_never_acknowledged_nor_shown() {
    let store = Slow::new(true);
    let mail = open(
        store.clone(),
        Arc::new(MemoryBlobs::new()),
        Options::default(),
    )
    .await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let one = message(&mail, text("1")).await;
    account.append(inbox, vec![one.clone()]).await.unwrap();
    let session = account.select(inbox).await.unwrap();
    store.gate.send_replace(Gate::Broken);
    let error = account.append(inbox, vec![one]).await.unwrap_err();
    assert_eq!(error.kind, MailErrorKind::Unavailable);
    let error = session
        .expunge(&UidSet::range(uid(1), uid(9)))
        .await
        .unwrap_err();
    assert_eq!(error.kind, MailErrorKind::Unavailable);
    assert_eq!(session.view().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_store_keep_each_other_right() {
    let store = Slow::new(false);
    let blobs = Arc::new(MemoryBlobs::new());
    let a = open(store.clone(), blobs.clone(), Options::default()).await;
    let info = a.create_account("u", None).await.unwrap();
    let first = a.account(info.id).await.unwrap();
    let b = open(store.clone(), blobs, Options::default()).await;
    let second = b.account(info.id).await.unwrap();
    let inbox = id_of(&first, "INBOX");
    assert_eq!(inbox, id_of(&second, "INBOX"));
    let mut tasks = Vec::new();
    for (mail, account) in [(&a, &first), (&b, &second)] {
        let (mail, account) = (mail.clone(), account.clone());
        tasks.push(tokio::spawn(async move {
            let session = account.select(inbox).await.unwrap();
            for i in 0..50 {
                let one = message(&mail, text(&i.to_string())).await;
                let got = account.append(inbox, vec![one]).await.unwrap();
                session.store(&got.uids, &seen(), None).await.unwrap();
                if i % 3 == 0 {
                    session.expunge(&got.uids).await.unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    second
        .create(&name("made by the second"), None)
        .await
        .unwrap();
    let session = first.select(inbox).await.unwrap();
    let mut watch = session.watch();
    while session.view().len() != 66 || first.tree().find(&name("made by the second")).is_none() {
        tokio::select! {
            _ = watch.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    assert_eq!(session.view().uid_next(), 101);
    assert_sound(&a).await;
    assert_sound(&b).await;
}

#[tokio::test]
async fn rights_given_and_taken_in_one_process_count_in_the_other() {
    let store = Slow::new(false);
    let blobs = Arc::new(MemoryBlobs::new());
    let a = open(store.clone(), blobs.clone(), Options::default()).await;
    let owner = a.create_account("owner", None).await.unwrap().id;
    let guest = a.create_account("guest", None).await.unwrap().id;
    let here = a.account(owner).await.unwrap();
    let b = open(store.clone(), blobs, Options::default()).await;
    let there = b.account(owner).await.unwrap().for_guest(guest);
    let (inbox, mut tree) = (id_of(&here, "INBOX"), there.watch_tree());
    let named = Identifier {
        grantee: Grantee::Account(guest),
        negative: false,
    };
    let lr = Rights::LOOKUP.and(Rights::READ);
    here.set_acl(inbox, named, |_| lr).await.unwrap();
    while there.rights(inbox) != lr {
        tree.changed().await.unwrap();
    }
    assert_eq!(b.sharers(guest).await.unwrap().len(), 1);
    let session = there.select(inbox).await.unwrap();
    let mut watch = session.watch();
    here.set_acl(inbox, named, |_| Rights::NONE).await.unwrap();
    // Whoever has it open is told, though no message changes.
    while session.rights() != Rights::NONE {
        watch.changed().await.unwrap();
    }
    // Both change the list, and neither change is lost.
    let anyone = Identifier {
        grantee: Grantee::Anyone,
        negative: false,
    };
    let owner_there = b.account(owner).await.unwrap();
    let (one, other) = tokio::join!(
        here.set_acl(inbox, named, |_| lr),
        owner_there.set_acl(inbox, anyone, |_| Rights::POST)
    );
    one.and(other).unwrap();
    let mut tree_here = here.watch_tree();
    while here.acl(inbox).unwrap().entries().count() != 2 {
        tree_here.changed().await.unwrap();
    }
    while there.rights(inbox) != lr.and(Rights::POST) {
        tree.changed().await.unwrap();
    }
    assert_sound(&a).await;
    assert_sound(&b).await;
}

#[tokio::test]
async fn after_a_power_loss_modseqs_jump_past_what_may_have_been_announced() {
    let store = Slow::new(true);
    let blobs = Arc::new(MemoryBlobs::new());
    let mail = open(store.clone(), blobs.clone(), Options::default()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let one = message(&mail, text("1")).await;
    account.append(inbox, vec![one]).await.unwrap();
    let before = account.summary(inbox).unwrap().modseq.get();
    drop((account, mail));

    store.generation.store(1, Ordering::Relaxed);
    let mail = open(store, blobs, Options::default()).await;
    let account = mail.account(info.id).await.unwrap();
    let session = account.select(inbox).await.unwrap();
    // A client that was told of flag changes that are gone is told everything again.
    assert_eq!(session.effective_since(before + 3), 0);
    assert_eq!(session.effective_since(before), before);
    let stored = session
        .store(&UidSet::range(uid(1), uid(1)), &seen(), None)
        .await
        .unwrap();
    assert!(stored.modseq.get() > before + 100_000);
    assert_eq!(session.effective_since(before + 3), 0);
    assert_eq!(
        session.effective_since(stored.modseq.get()),
        stored.modseq.get()
    );
    assert_sound(&mail).await;
}

#[tokio::test]
async fn what_is_expunged_is_swept_and_its_bytes_released() {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let options = Options {
        grace_seconds: 0,
        undelete_seconds: 0,
        ..Options::default()
    };
    let mail = open(meta, blobs.clone(), options).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let session = account.select(inbox).await.unwrap();
    // The account's note stays as long as the account.
    let note = blobs.count();
    // Each round is a new expunge after a sweep that left nothing to do.
    for round in 0..3 {
        let one = message(&mail, text(&round.to_string())).await;
        let uids = account.append(inbox, vec![one]).await.unwrap().uids;
        assert_eq!(mail.sweep().await.unwrap(), 0);
        session.expunge(&uids).await.unwrap();
        assert_eq!(mail.sweep().await.unwrap(), 1);
        assert_eq!(mail.sweep().await.unwrap(), 0);
        blobs.collect();
        assert_eq!(blobs.count(), note);
    }
    assert_sound(&mail).await;
}

#[tokio::test]
async fn a_watch_is_told_what_is_shown_and_of_deleted_mailboxes_nothing() {
    let slow = Slow::new(true);
    let blobs = Arc::new(MemoryBlobs::new());
    let mail = open(slow.clone(), blobs, Options::default()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let other = account.create(&name("a"), None).await.unwrap();
    let mut watch = account.watch_mailboxes();
    slow.gate.send_replace(Gate::Shut);
    let new = message(&mail, text("x")).await;
    let appending = tokio::spawn({
        let account = account.clone();
        async move { account.append(inbox, vec![new]).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(watch.take(), []);
    slow.gate.send_replace(Gate::Open);
    watch.changed().await;
    let told = |mailbox, messages, unseen, once| mail::Changed {
        mailbox,
        messages,
        unseen,
        once,
    };
    assert_eq!(watch.take(), [told(inbox, true, true, true)]);
    appending.await.unwrap().unwrap();
    // Flags: with \Seen, then without.
    let selected = account.select(inbox).await.unwrap();
    let all = UidSet::range(uid(1), uid(9));
    for (flag, unseen) in [(Flags::FLAGGED, false), (Flags::SEEN, true)] {
        let change = FlagChange {
            op: FlagOp::Add,
            flags: flag,
            keywords: Vec::new(),
        };
        selected.store(&all, &change, None).await.unwrap();
        assert_eq!(watch.take(), [told(inbox, false, unseen, true)]);
        // What changes nothing is no change.
        selected.store(&all, &change, None).await.unwrap();
        assert_eq!(watch.take(), []);
    }
    account.rename(&name("a"), &name("b")).await.unwrap();
    assert_eq!(watch.take(), []);
    assert_eq!(account.name_of(other), Some(name("b")));
    account.move_messages(&selected, &all, other).await.unwrap();
    assert_eq!(watch.take().len(), 2);
    account
        .move_messages(&account.select(other).await.unwrap(), &all, inbox)
        .await
        .unwrap();
    account.delete(&name("b")).await.unwrap();
    assert_eq!(watch.take(), [told(inbox, true, false, true)]);
    assert_eq!(account.name_of(other), None);
}
