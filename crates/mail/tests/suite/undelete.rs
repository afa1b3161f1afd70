//! What is removed comes back as it was, for a while; and the history knows who did what.

use crate::common::{assert_sound, id_of, keyword, message, name, open, text, uid};
use mail::{
    Account, Actor, Deed, FlagChange, Mail, MailErrorKind, Options, QuotaLimits, Row, Wanted,
};
use std::sync::Arc;
use storage::{Call, ErrorKind, FaultMeta, Faults, MemoryBlobs, MemoryMeta};
use types::{AccountId, CredentialId, Door, FlagOp, Flags, UidSet};

struct Rig {
    meta: Arc<FaultMeta<MemoryMeta>>,
    blobs: Arc<MemoryBlobs>,
    faults: Faults,
    mail: Mail,
    account: Account,
}

impl Rig {
    async fn with(options: Options) -> Self {
        let faults = Faults::new();
        let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
        let blobs = Arc::new(MemoryBlobs::new());
        let mail = open(meta.clone(), blobs.clone(), options).await;
        let info = mail.create_account("u", None).await.unwrap();
        let account = mail.account(info.id).await.unwrap();
        Self {
            meta,
            blobs,
            faults,
            mail,
            account,
        }
    }

    /// The same stores, opened anew with other settings.
    async fn again(&self, options: Options) -> (Mail, Account) {
        let mail = open(self.meta.clone(), self.blobs.clone(), options).await;
        let account = mail.account(self.account.id()).await.unwrap();
        (mail, account)
    }

    async fn fill(&self, mailbox: &str, count: usize) {
        let one = message(&self.mail, text(mailbox)).await;
        let id = id_of(&self.account, mailbox);
        self.account.append(id, vec![one; count]).await.unwrap();
    }
}

fn on_the_phone() -> Arc<Actor> {
    Arc::new(Actor {
        door: Door::Pop3,
        user: Some(AccountId(1)),
        credential: CredentialId(7),
        label: Arc::from("phone"),
        peer: "192.0.2.7".parse().ok(),
    })
}

async fn rows(account: &Account, mailbox: &str) -> Vec<Row> {
    let selected = account.select(id_of(account, mailbox)).await.unwrap();
    selected.view().rows().collect()
}

fn of(mailbox: &str) -> Wanted {
    Wanted {
        mailbox: Some(name(mailbox)),
        ..Wanted::default()
    }
}

#[tokio::test]
async fn what_is_removed_comes_back_with_flags_keywords_and_pop3_id() {
    let rig = Rig::with(Options::default()).await;
    rig.fill("INBOX", 3).await;
    let account = rig.account.acting_as(on_the_phone());
    let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
    let change = FlagChange {
        op: FlagOp::Add,
        flags: Flags::DELETED.union(Flags::FLAGGED),
        keywords: vec![keyword("$Kept")],
    };
    let two: UidSet = [uid(1), uid(3)].into_iter().collect();
    inbox.store(&two, &change, None).await.unwrap();
    let before = rows(&account, "INBOX").await;
    let usage = account.usage();
    inbox.expunge_deleted(None).await.unwrap();

    let waiting = account.recoverable().await.unwrap();
    assert_eq!(waiting.messages, 2);
    assert_eq!(waiting.bytes, usage.bytes - account.usage().bytes);
    assert!(waiting.oldest.is_some());
    let listed = account.removed(&Wanted::default(), 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&*listed[0].by.label, &*listed[0].mailbox),
        ("phone", "INBOX")
    );
    assert_eq!(
        account.removed(&Wanted::default(), 1).await.unwrap().len(),
        1
    );
    assert_eq!(account.removed(&of("Sent"), 10).await.unwrap().len(), 0);
    assert_sound(&rig.mail).await;

    let restored = account.undelete(&of("INBOX")).await.unwrap();
    assert_eq!(restored.messages, [("INBOX".to_owned(), 2)]);
    let after = rows(&account, "INBOX").await;
    assert_eq!(
        after.iter().map(|row| row.uid.get()).collect::<Vec<_>>(),
        [2, 4, 5]
    );
    for (was, is) in [&before[0], &before[2]].into_iter().zip(&after[1..]) {
        assert_eq!((is.uidl, is.internal_date), (was.uidl, was.internal_date));
        assert_eq!((is.email, is.size), (was.email, was.size));
        assert_eq!((is.flags, is.keywords), (Flags::FLAGGED, was.keywords));
    }
    assert_eq!(account.usage(), usage);
    assert_eq!(account.recoverable().await.unwrap(), Default::default());
    let again = account.undelete(&Wanted::default()).await.unwrap();
    assert!(again.messages.is_empty(), "nothing comes back twice");
    assert_sound(&rig.mail).await;
}

#[tokio::test]
async fn a_deleted_mailbox_comes_back_piece_by_piece_and_keeps_its_mail_through_sweeps() {
    let options = Options {
        grace_seconds: 0,
        ..Options::default()
    };
    let rig = Rig::with(options.clone()).await;
    let account = &rig.account;
    rig.fill("Sent", 4).await;
    // Something was expunged from it too.
    let sent = account.select(id_of(account, "Sent")).await.unwrap();
    sent.expunge(&UidSet::range(uid(4), uid(4))).await.unwrap();
    let before = rows(account, "Sent").await;
    drop(sent);
    account.delete(&name("Sent")).await.unwrap();
    assert_eq!(account.recoverable().await.unwrap().messages, 4);
    for _ in 0..2 {
        assert_eq!(rig.mail.sweep().await.unwrap(), 0);
    }
    assert_eq!(rig.mail.recoverable().messages, 4);
    assert_sound(&rig.mail).await;

    let (mail, account) = rig.again(options).await;
    let one = Wanted {
        uidls: Some([before[1].uidl].into()),
        ..Wanted::default()
    };
    account.undelete(&one).await.unwrap();
    let tree = account.tree();
    let folder = tree.find(&name("Sent")).unwrap();
    assert_eq!(folder.role, Some(types::Role::Sent));
    assert_eq!(rows(&account, "Sent").await[0].uidl, before[1].uidl);
    assert_sound(&mail).await;
    mail.sweep().await.unwrap();
    assert_eq!(
        account.undelete(&of("Sent")).await.unwrap().messages,
        [("Sent".to_owned(), 3)]
    );
    assert_eq!(rows(&account, "Sent").await.len(), 4);
    mail.sweep().await.unwrap();
    assert_sound(&mail).await;
}

#[tokio::test]
async fn a_renamed_mailbox_gets_its_own_back() {
    let rig = Rig::with(Options::default()).await;
    rig.fill("Sent", 1).await;
    let sent = rig
        .account
        .select(id_of(&rig.account, "Sent"))
        .await
        .unwrap();
    sent.expunge(&UidSet::range(uid(1), uid(1))).await.unwrap();
    rig.account
        .rename(&name("Sent"), &name("Old/Sent"))
        .await
        .unwrap();
    rig.account.undelete(&of("Sent")).await.unwrap();
    assert_eq!(rows(&rig.account, "Old/Sent").await.len(), 1);
    assert!(rig.account.tree().find(&name("Sent")).is_none());
}

#[tokio::test]
async fn the_window_closes_and_zero_keeps_nothing() {
    let open_window = Options {
        grace_seconds: 0,
        ..Options::default()
    };
    let closed = Options {
        undelete_seconds: 0,
        ..open_window.clone()
    };
    let rig = Rig::with(open_window).await;
    rig.fill("INBOX", 2).await;
    rig.fill("Junk", 3).await;
    let inbox = rig
        .account
        .select(id_of(&rig.account, "INBOX"))
        .await
        .unwrap();
    inbox.expunge(&UidSet::range(uid(1), uid(1))).await.unwrap();
    rig.account.delete(&name("Junk")).await.unwrap();
    assert_eq!(rig.mail.sweep().await.unwrap(), 0);

    let (mail, account) = rig.again(closed).await;
    assert_eq!(
        mail.sweep().await.unwrap(),
        4,
        "the setting counts from now on"
    );
    assert_eq!(account.recoverable().await.unwrap(), Default::default());
    assert_sound(&mail).await;
    let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
    inbox.expunge(&UidSet::range(uid(2), uid(2))).await.unwrap();
    assert_eq!(account.recoverable().await.unwrap(), Default::default());
    assert_eq!(mail.sweep().await.unwrap(), 1);
    assert_sound(&mail).await;
}

#[tokio::test]
async fn what_does_not_fit_stays_removed_and_a_broken_store_changes_nothing() {
    let rig = Rig::with(Options::default()).await;
    rig.fill("INBOX", 2).await;
    let inbox = rig
        .account
        .select(id_of(&rig.account, "INBOX"))
        .await
        .unwrap();
    inbox.expunge(&UidSet::range(uid(1), uid(2))).await.unwrap();
    let limit = |messages| move |limits: &mut QuotaLimits| limits.messages = messages;
    rig.mail.change_limits("u", limit(Some(1))).await.unwrap();
    let error = rig.account.undelete(&Wanted::default()).await.unwrap_err();
    assert_eq!(error.kind, MailErrorKind::OverQuota);
    rig.mail.change_limits("u", limit(None)).await.unwrap();

    rig.faults.fail_every(Call::Commit, ErrorKind::Unavailable);
    let error = rig.account.undelete(&Wanted::default()).await.unwrap_err();
    assert_eq!(error.kind, MailErrorKind::Unavailable);
    rig.faults.heal();
    let (mail, account) = rig.again(Options::default()).await;
    assert_eq!(account.recoverable().await.unwrap().messages, 2);
    assert_sound(&mail).await;
    account.undelete(&Wanted::default()).await.unwrap();
    assert_eq!(rows(&account, "INBOX").await.len(), 2);
    assert_sound(&mail).await;
}

#[tokio::test]
async fn a_hundred_thousand_are_removed_in_one_commit_and_come_back_in_one() {
    let rig = Rig::with(Options::default()).await;
    for _ in 0..10 {
        rig.fill("INBOX", 10_000).await;
    }
    let inbox = rig
        .account
        .select(id_of(&rig.account, "INBOX"))
        .await
        .unwrap();
    let before = inbox.view();
    let all = UidSet::range(uid(1), uid(u32::MAX));
    inbox.expunge(&all).await.unwrap();
    assert_eq!(rig.account.history().await.unwrap().len(), 1);
    rig.account.undelete(&Wanted::default()).await.unwrap();
    let after = inbox.view();
    assert_eq!(after.len(), 100_000);
    let uidls = |view: &mail::View| view.rows().map(|row| row.uidl).collect::<Vec<_>>();
    assert_eq!(uidls(&after), uidls(&before));
}

#[tokio::test]
async fn the_history_names_door_credential_and_address_and_follows_a_message() {
    let rig = Rig::with(Options::default()).await;
    rig.fill("INBOX", 5).await;
    let phone = rig.account.acting_as(on_the_phone());
    let inbox = phone.select(id_of(&phone, "INBOX")).await.unwrap();
    for n in [3, 1, 2] {
        inbox.note_retrieved([uid(n)].into_iter());
    }
    let archive = id_of(&phone, "Archive");
    let two = UidSet::range(uid(2), uid(2));
    phone.move_messages(&inbox, &two, archive).await.unwrap();
    inbox.expunge(&UidSet::range(uid(4), uid(5))).await.unwrap();
    let events = phone.history().await.unwrap();
    let deeds: Vec<_> = events
        .iter()
        .map(|e| (e.deed, e.messages.uids.to_string()))
        .collect();
    for want in [
        (Deed::Retrieved, "1:3"),
        (Deed::Moved, "2"),
        (Deed::Removed, "4:5"),
    ] {
        assert!(deeds.contains(&(want.0, want.1.to_owned())), "{deeds:?}");
    }
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.by == *on_the_phone()));
    let moved = mail::follow(&events, archive, uid(1));
    assert_eq!(moved.len(), 2, "retrieved, then moved here");

    // It survives, it is bounded, and it can be turned off.
    let few = Options {
        history_entries: 2,
        ..Options::default()
    };
    let (mail, account) = rig.again(few).await;
    assert_eq!(account.history().await.unwrap(), events);
    let selected = account.select(archive).await.unwrap();
    selected
        .expunge(&UidSet::range(uid(1), uid(1)))
        .await
        .unwrap();
    mail.sweep().await.unwrap();
    let kept = account.history().await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1].by, Actor::server());
    let off = Options {
        history_seconds: 0,
        ..Options::default()
    };
    let (mail, account) = rig.again(off).await;
    let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
    inbox.note_retrieved([uid(1)].into_iter());
    inbox.expunge(&UidSet::range(uid(1), uid(1))).await.unwrap();
    assert_eq!(account.history().await.unwrap(), kept);
    assert_sound(&mail).await;
}
