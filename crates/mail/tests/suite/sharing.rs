//! Mailboxes used by others than their owner (RFC 4314): what a guest has no right to cannot be
//! done through the engine, whichever front forgets to ask.

use crate::common::{assert_sound, id_of, keyword, message, name, open, text, uid};
use mail::{
    Account, Annotation, AnnotationOwner, FlagChange, Grantee, Identifier, Mail, MailError,
    MailErrorKind, Options, QuotaLimits,
};
use std::sync::Arc;
use storage::{Batch, MemoryBlobs, MemoryMeta, MetaStore};
use types::{AccountId, FlagOp, Flags, Keyword, Rights, Role, UidSet};

struct World {
    meta: Arc<MemoryMeta>,
    blobs: Arc<MemoryBlobs>,
    mail: Mail,
    owner: Account,
    guest: Account,
}

async fn world() -> World {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
    let owner = account(&mail, "owner").await;
    let guest = account(&mail, "guest").await;
    owner.create(&name("box"), None).await.unwrap();
    World {
        meta,
        blobs,
        mail,
        owner,
        guest,
    }
}

async fn account(mail: &Mail, name: &str) -> Account {
    let info = mail.ensure_account(name).await.unwrap();
    mail.account(info.id).await.unwrap()
}

fn rights(letters: &str) -> Rights {
    Rights::from_letters(letters).unwrap()
}

fn to(grantee: Grantee, negative: bool) -> Identifier {
    Identifier { grantee, negative }
}

impl World {
    fn named(&self) -> Identifier {
        to(Grantee::Account(self.guest.id()), false)
    }

    async fn grant(&self, mailbox: &str, letters: &str) {
        let id = id_of(&self.owner, mailbox);
        self.owner
            .set_acl(id, self.named(), |_| rights(letters))
            .await
            .unwrap();
    }

    /// The owner's account as the guest has it.
    fn visited(&self) -> Account {
        self.owner.for_guest(self.guest.id())
    }

    async fn put(&self, account: &Account, mailbox: &str, flags: Flags, words: &[&str]) {
        let mut message = message(&self.mail, text(mailbox)).await;
        message.flags = flags;
        message.keywords = words.iter().map(|word| keyword(word)).collect();
        let id = id_of(account, mailbox);
        account.append(id, vec![message]).await.unwrap();
    }

    async fn flags(&self, mailbox: &str) -> Vec<(Flags, Vec<Keyword>)> {
        let selected = self.owner.select(id_of(&self.owner, mailbox)).await;
        let view = selected.unwrap().view();
        let row = |row: mail::Row| {
            let keywords = view.keywords_of(row.keywords).cloned().collect();
            (row.flags, keywords)
        };
        view.rows().map(row).collect()
    }
}

fn change(op: FlagOp, flags: Flags, words: &[&str]) -> FlagChange {
    FlagChange {
        op,
        flags,
        keywords: words.iter().map(|word| keyword(word)).collect(),
    }
}

fn kind<T>(result: Result<T, MailError>) -> Option<MailErrorKind> {
    result.err().map(|error| error.kind)
}

fn all() -> UidSet {
    UidSet::range(uid(1), uid(u32::MAX))
}

/// Every operation with the right it takes; done in a world of its own each time.
async fn attempt(operation: &str, letters: &str) -> Option<MailErrorKind> {
    let w = world().await;
    w.put(&w.owner, "box", Flags::DELETED, &[]).await;
    w.put(&w.guest, "INBOX", Flags::NONE, &[]).await;
    w.grant("box", letters).await;
    let (visited, id) = (w.visited(), id_of(&w.owner, "box"));
    let own = id_of(&w.guest, "INBOX");
    let note = |owner| {
        vec![Annotation {
            owner,
            name: "/comment".to_owned(),
            value: Some("x".into()),
        }]
    };
    let result = match operation {
        "select" => kind(visited.select(id).await),
        "summary" => kind(visited.summary(id)),
        "append" => {
            let message = message(&w.mail, text("new")).await;
            kind(visited.append(id, vec![message]).await)
        }
        "copy in" => {
            let from = w.guest.select(own).await.unwrap();
            kind(visited.copy(&from, &all(), id).await)
        }
        "move in" => {
            let from = w.guest.select(own).await.unwrap();
            kind(visited.move_messages(&from, &all(), id).await)
        }
        "move out" => match visited.select(id).await {
            Ok(from) => kind(w.guest.move_messages(&from, &all(), own).await),
            Err(error) => Some(error.kind),
        },
        "expunge" => match visited.select(id).await {
            Ok(selected) => kind(selected.expunge_deleted(None).await),
            Err(error) => Some(error.kind),
        },
        "create" => kind(visited.create(&name("box/new"), None).await),
        "create with a use" => kind(visited.create(&name("box/new"), Some(Role::All)).await),
        "create at the top" => kind(visited.create(&name("new"), None).await),
        "delete" => kind(visited.delete(&name("box")).await),
        "acl" => kind(visited.acl(id)),
        "set acl" => {
            let identifier = to(Grantee::Anyone, false);
            kind(visited.set_acl(id, identifier, |_| Rights::READ).await)
        }
        "annotations" => {
            let owner = AnnotationOwner::Shared;
            kind(visited.annotations(Some(id), owner, "").await)
        }
        "annotate" => {
            let owner = AnnotationOwner::Private(w.guest.id());
            kind(visited.annotate(Some(id), &note(owner), None, 0).await)
        }
        "annotate for all" => {
            let notes = note(AnnotationOwner::Shared);
            kind(visited.annotate(Some(id), &notes, None, 0).await)
        }
        "use" => kind(visited.annotate(Some(id), &[], Some(None), 0).await),
        _ => unreachable!("{operation}"),
    };
    assert_sound(&w.mail).await;
    result
}

#[tokio::test]
async fn every_operation_takes_its_rights_and_no_other() {
    let operations = [
        ("select", "r"),
        ("summary", "r"),
        ("append", "i"),
        ("copy in", "i"),
        ("move in", "i"),
        ("move out", "rte"),
        ("expunge", "re"),
        ("create", "k"),
        ("delete", "x"),
        ("acl", "a"),
        ("set acl", "a"),
        ("annotations", "lr"),
        ("annotations", "lp"),
        ("annotate", "lr"),
        ("annotate for all", "lw"),
    ];
    for (operation, needed) in operations {
        assert_eq!(attempt(operation, needed).await, None, "{operation}");
        for right in rights(needed).each() {
            // Everything else, with and without the right to know of it.
            let rest = Rights::ALL.without(match operation {
                "annotations" | "annotate" if right != Rights::LOOKUP => rights("rswip"),
                _ => right,
            });
            // Who has it open knows of it.
            let is_open = matches!(operation, "expunge" | "move out") && right != Rights::READ;
            let seen = rest.contains(Rights::LOOKUP);
            let letters = rest.to_string().replace(['c', 'd'], "");
            let expected = match seen {
                true => MailErrorKind::Denied,
                false => MailErrorKind::NotFound,
            };
            let refused = attempt(operation, &letters).await;
            assert_eq!(refused, Some(expected), "{operation} with {letters}");
            let letters = rest
                .without(Rights::LOOKUP)
                .to_string()
                .replace(['c', 'd'], "");
            let refused = attempt(operation, &letters).await;
            let expected = match is_open {
                true => MailErrorKind::Denied,
                false => MailErrorKind::NotFound,
            };
            assert_eq!(refused, Some(expected), "{operation} with {letters}");
        }
    }
}

#[tokio::test]
async fn some_things_are_for_the_owner_alone() {
    for operation in ["create with a use", "use"] {
        let refused = attempt(operation, "lrswipkxtea").await;
        assert_eq!(refused, Some(MailErrorKind::Denied), "{operation}");
    }
    // There is nothing above it that could give the right.
    let refused = attempt("create at the top", "lrswipkxtea").await;
    assert_eq!(refused, Some(MailErrorKind::NotFound));
    let w = world().await;
    w.grant("INBOX", "lrswipkxtea").await;
    let inbox = w.visited().rename(&name("INBOX"), &name("INBOX/x")).await;
    assert_eq!(kind(inbox), Some(MailErrorKind::Denied));
    let subscribed = w.visited().subscribe(&name("box"), true).await;
    assert_eq!(kind(subscribed), Some(MailErrorKind::Denied));
    let deleted = w.visited().delete(&name("INBOX")).await;
    assert_eq!(kind(deleted), Some(MailErrorKind::NotAllowed));
    // And the owner can never be shut out.
    let id = id_of(&w.owner, "box");
    let named = to(Grantee::Account(w.owner.id()), false);
    w.owner.set_acl(id, named, |_| Rights::ALL).await.unwrap();
    let refused = w.owner.set_acl(id, named, |_| Rights::NONE).await;
    assert_eq!(kind(refused), Some(MailErrorKind::NotAllowed));
    let (id, owner) = (
        id_of(&w.owner, "box"),
        to(Grantee::Account(w.owner.id()), true),
    );
    let refused = w.owner.set_acl(id, owner, |_| Rights::ALL).await;
    assert_eq!(kind(refused), Some(MailErrorKind::NotAllowed));
    let anyone = to(Grantee::Anyone, true);
    w.owner.set_acl(id, anyone, |_| Rights::ALL).await.unwrap();
    assert_eq!(w.owner.rights(id), Rights::ALL);
    w.owner.select(id).await.unwrap();
}

#[tokio::test]
async fn a_guest_moves_a_mailbox_where_mailboxes_may_be_made() {
    let w = world().await;
    w.owner.create(&name("box/a/b"), None).await.unwrap();
    w.owner.create(&name("other"), None).await.unwrap();
    w.grant("box/a", "lrx").await;
    w.grant("other", "lrk").await;
    let visited = w.visited();
    let moved = visited.rename(&name("box/a"), &name("other/a")).await;
    moved.unwrap();
    // What lies below goes with it, and lists do not change.
    let b = id_of(&w.owner, "other/a/b");
    assert_eq!(visited.rights(b), Rights::NONE);
    assert_eq!(visited.rights(id_of(&w.owner, "other/a")), rights("lrx"));
    let back = visited.rename(&name("other/a"), &name("box/a")).await;
    assert_eq!(kind(back), Some(MailErrorKind::NotFound));
    assert_sound(&w.mail).await;
}

#[tokio::test]
async fn flags_without_their_right_are_left_out() {
    let every = Flags::ALL;
    let others = every.without(Flags::SEEN.union(Flags::DELETED));
    for (letters, flags, word) in [
        ("lri", Flags::NONE, false),
        ("lris", Flags::SEEN, false),
        ("lrit", Flags::DELETED, false),
        ("lriw", others, true),
        ("lriswt", every, true),
    ] {
        let w = world().await;
        w.owner.create(&name("from"), None).await.unwrap();
        w.put(&w.owner, "from", every, &["word"]).await;
        w.put(&w.guest, "INBOX", every, &["word"]).await;
        w.grant("box", letters).await;
        w.grant("from", "lrte").await;
        let (visited, id) = (w.visited(), id_of(&w.owner, "box"));
        let mut message = message(&w.mail, text("appended")).await;
        message.flags = every;
        message.keywords = vec![keyword("word")];
        visited.append(id, vec![message]).await.unwrap();
        let within = visited.select(id_of(&w.owner, "from")).await.unwrap();
        visited.copy(&within, &all(), id).await.unwrap();
        visited.move_messages(&within, &all(), id).await.unwrap();
        let own = w.guest.select(id_of(&w.guest, "INBOX")).await.unwrap();
        visited.copy(&own, &all(), id).await.unwrap();
        let words = if word {
            vec![keyword("word")]
        } else {
            Vec::new()
        };
        assert_eq!(w.flags("box").await, vec![(flags, words); 4], "{letters}");
        assert_sound(&w.mail).await;
    }
}

#[tokio::test]
async fn store_changes_what_it_may() {
    let w = world().await;
    let (seen, deleted) = (Flags::SEEN, Flags::DELETED);
    let flagged = Flags::FLAGGED;
    let start = flagged.union(Flags::DRAFT);
    let id = id_of(&w.owner, "box");
    w.put(&w.owner, "box", start, &["old"]).await;
    let one = UidSet::range(uid(1), uid(1));
    let steps = [
        (
            "lrs",
            FlagOp::Add,
            seen.union(deleted),
            vec!["new"],
            start.union(seen),
            vec!["old"],
        ),
        (
            "lrs",
            FlagOp::Replace,
            Flags::NONE,
            vec![],
            start,
            vec!["old"],
        ),
        (
            "lrt",
            FlagOp::Replace,
            deleted,
            vec!["x"],
            start.union(deleted),
            vec!["old"],
        ),
        (
            "lrw",
            FlagOp::Replace,
            flagged,
            vec!["new"],
            flagged.union(deleted),
            vec!["new"],
        ),
        (
            "lrw",
            FlagOp::Remove,
            flagged.union(deleted),
            vec!["new"],
            deleted,
            vec![],
        ),
        (
            "lrswt",
            FlagOp::Replace,
            seen,
            vec!["new"],
            seen,
            vec!["new"],
        ),
    ];
    for (letters, op, flags, words, left, left_words) in steps {
        w.grant("box", letters).await;
        let selected = w.visited().select(id).await.unwrap();
        let before = selected.view().modseq();
        let stored = selected
            .store(&one, &change(op, flags, &words), None)
            .await
            .unwrap();
        assert_eq!(stored.stored, one);
        assert!(stored.modseq > before);
        let left_words: Vec<Keyword> = left_words.into_iter().map(keyword).collect();
        assert_eq!(
            w.flags("box").await,
            [(left, left_words)],
            "{letters} {op:?}"
        );
    }
    // Of nothing that may be changed nothing can be made.
    for (letters, op, flags) in [
        ("lr", FlagOp::Replace, Flags::NONE),
        ("lr", FlagOp::Add, seen),
        ("lrs", FlagOp::Add, deleted),
        ("lrs", FlagOp::Remove, flagged),
    ] {
        w.grant("box", letters).await;
        let selected = w.visited().select(id).await.unwrap();
        let refused = selected.store(&one, &change(op, flags, &[]), None).await;
        assert_eq!(
            kind(refused),
            Some(MailErrorKind::Denied),
            "{letters} {op:?}"
        );
        let nothing = change(FlagOp::Add, Flags::NONE, &[]);
        selected.store(&one, &nothing, None).await.unwrap();
    }
    // UNCHANGEDSINCE covers both halves of a change.
    w.grant("box", "lrs").await;
    let selected = w.visited().select(id).await.unwrap();
    let all_gone = change(FlagOp::Replace, Flags::NONE, &[]);
    let stored = selected.store(&one, &all_gone, Some(1)).await.unwrap();
    assert_eq!((stored.modified, stored.stored), (one, UidSet::new()));
    assert_eq!(w.flags("box").await, [(seen, vec![keyword("new")])]);
    assert_sound(&w.mail).await;
}

#[tokio::test]
async fn lists_are_inherited_kept_and_dropped() {
    let w = world().await;
    w.grant("box", "lrk").await;
    let visited = w.visited();
    visited.create(&name("box/a/b"), None).await.unwrap();
    for made in ["box/a", "box/a/b"] {
        assert_eq!(
            visited.rights(id_of(&w.owner, made)),
            rights("lrk"),
            "{made}"
        );
    }
    w.owner
        .rename(&name("box/a"), &name("moved"))
        .await
        .unwrap();
    assert_eq!(visited.rights(id_of(&w.owner, "moved/b")), rights("lrk"));
    // What is made elsewhere is nobody else's.
    w.owner.create(&name("new"), None).await.unwrap();
    assert_eq!(visited.rights(id_of(&w.owner, "new")), Rights::NONE);
    w.owner.delete(&name("moved")).await.unwrap();
    w.owner.create(&name("moved"), None).await.unwrap();
    assert_eq!(visited.rights(id_of(&w.owner, "moved")), Rights::NONE);
    w.grant("box", "").await;
    assert!(
        w.owner
            .acl(id_of(&w.owner, "box"))
            .unwrap()
            .entries()
            .next()
            .is_none()
    );
    assert_sound(&w.mail).await;

    // All of it is on disk.
    let again = open(w.meta.clone(), w.blobs.clone(), Options::default()).await;
    let visited = account(&again, "owner").await.for_guest(w.guest.id());
    assert_eq!(visited.rights(id_of(&visited, "moved/b")), rights("lrk"));
    assert_eq!(visited.rights(id_of(&visited, "box")), Rights::NONE);
    assert_sound(&again).await;
}

#[tokio::test]
async fn who_shares_is_found_without_looking_through_all() {
    let w = world().await;
    let others = account(&w.mail, "third").await;
    let owner = (w.owner.id(), "owner".to_owned());
    assert_eq!(w.mail.sharers(w.guest.id()).await.unwrap(), []);
    w.grant("box", "lr").await;
    assert_eq!(
        w.mail.sharers(w.guest.id()).await.unwrap(),
        std::slice::from_ref(&owner)
    );
    assert_eq!(w.mail.sharers(others.id()).await.unwrap(), []);
    let (id, anyone) = (id_of(&w.owner, "box"), to(Grantee::Anyone, false));
    w.owner
        .set_acl(id, anyone, |_| Rights::LOOKUP)
        .await
        .unwrap();
    assert_eq!(w.mail.sharers(others.id()).await.unwrap(), [owner]);
    assert_eq!(w.mail.sharers(w.owner.id()).await.unwrap(), []);

    // A hint that is missing is a broken invariant.
    let mut key = vec![b'o'];
    key.extend(w.owner.id().0.to_be_bytes());
    let mut batch = Batch::new();
    batch.delete(key.clone());
    let partition = w.guest.id();
    let commit = w.meta.commit(partition, batch).await.unwrap();
    commit.durable().await.unwrap();
    let problems = w.mail.check(false).await.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    w.grant("box", "lrs").await;
    assert_sound(&w.mail).await;

    // The hints of an owner who is gone go too, and a new account of a name has no rights of the
    // old one.
    w.mail.remove_account("guest").await.unwrap();
    let newcomer = account(&w.mail, "guest").await;
    let visited = w.owner.for_guest(newcomer.id());
    assert_eq!(visited.rights(id), Rights::LOOKUP);
    assert_sound(&w.mail).await;
    w.mail.remove_account("owner").await.unwrap();
    assert_eq!(w.mail.sharers(newcomer.id()).await.unwrap(), []);
    let hint = w.meta.get(AccountId::SYSTEM, &key).await.unwrap();
    assert_eq!(hint, None);
}

#[tokio::test]
async fn a_list_is_bounded() {
    let w = world().await;
    let id = id_of(&w.owner, "box");
    let grant = async |account: AccountId| {
        let identifier = to(Grantee::Account(account), false);
        w.owner.set_acl(id, identifier, |_| Rights::READ).await
    };
    let count = || w.owner.acl(id).unwrap().entries().count();
    for n in 0..256 {
        let friend = account(&w.mail, &format!("friend{n}")).await;
        grant(friend.id()).await.unwrap();
    }
    assert_eq!(kind(grant(w.guest.id()).await), Some(MailErrorKind::Limit));
    assert_eq!(count(), 256);
    // Those who are no more do not take up room.
    for n in [3, 7] {
        let gone = format!("friend{n}");
        w.mail.remove_account(&gone).await.unwrap();
    }
    grant(w.guest.id()).await.unwrap();
    assert_eq!(count(), 255);
    assert_sound(&w.mail).await;
}

#[tokio::test]
async fn messages_go_from_account_to_account_whole() {
    let w = world().await;
    let id = id_of(&w.owner, "box");
    for n in 0..3 {
        let mut message = message(&w.mail, text(&format!("number {n}"))).await;
        message.prefix = "Delivered-To: guest\r\n".into();
        message.flags = Flags::FLAGGED;
        message.keywords = vec![keyword("k")];
        w.guest
            .append(id_of(&w.guest, "INBOX"), vec![message])
            .await
            .unwrap();
    }
    w.grant("box", "lriswte").await;
    let visited = w.visited();
    let inbox = w.guest.select(id_of(&w.guest, "INBOX")).await.unwrap();
    let two = UidSet::range(uid(2), uid(9));
    let copied = visited.copy(&inbox, &two, id).await.unwrap();
    assert_eq!(copied.from.to_string(), "2:3");
    assert_eq!(copied.to.to_string(), "1:2");
    let moved = visited.move_messages(&inbox, &all(), id).await.unwrap();
    assert_eq!(
        (moved.from.to_string(), moved.to.to_string()),
        ("1:3".into(), "3:5".into())
    );
    assert_eq!(inbox.view().len(), 0);
    let shared = w.owner.select(id).await.unwrap();
    let mut subjects = Vec::new();
    for row in shared.view().rows() {
        assert_eq!(row.flags, Flags::FLAGGED);
        assert_eq!(row.internal_date, 1_700_000_000);
        let emails = w.owner.emails(&[row.email]).await.unwrap();
        let email = emails[0].as_ref().unwrap();
        assert_eq!(&email.prefix()[..], b"Delivered-To: guest\r\n");
        let bytes = w.mail.contents(&[email]).await.remove(0).unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        subjects.push(text.lines().nth(1).unwrap().to_owned());
    }
    let numbers = [1, 2, 0, 1, 2].map(|n| format!("Subject: number {n}"));
    assert_eq!(subjects, numbers);
    assert_sound(&w.mail).await;
    // The owner's quota counts.
    let full = w.owner.usage().messages;
    let limit = |limits: &mut QuotaLimits| limits.messages = Some(full);
    w.mail.change_limits("owner", limit).await.unwrap();
    w.put(&w.guest, "INBOX", Flags::NONE, &[]).await;
    for refused in [
        visited.copy(&inbox, &all(), id).await,
        visited.move_messages(&inbox, &all(), id).await,
    ] {
        assert_eq!(kind(refused), Some(MailErrorKind::OverQuota));
    }
    assert_eq!(inbox.view().len(), 1);
    // Nothing is nothing, and what is not there is not found.
    let none = UidSet::range(uid(100), uid(200));
    assert!(visited.copy(&inbox, &none, id).await.unwrap().to.is_empty());
    w.owner.delete(&name("box")).await.unwrap();
    let gone = visited.copy(&inbox, &all(), id).await;
    assert_eq!(kind(gone), Some(MailErrorKind::NotFound));
    assert_sound(&w.mail).await;
}

#[tokio::test]
async fn who_has_it_open_hears_that_rights_are_taken() {
    let w = world().await;
    w.grant("box", "lr").await;
    let selected = w.visited().select(id_of(&w.owner, "box")).await.unwrap();
    let mut watch = selected.watch();
    let mut tree = w.guest.watch_tree();
    watch.mark_unchanged();
    tree.mark_unchanged();
    w.grant("box", "l").await;
    assert!(watch.has_changed().unwrap() && tree.has_changed().unwrap());
    assert_eq!(selected.rights(), Rights::LOOKUP);
    let refused = selected.expunge_deleted(None).await;
    assert_eq!(kind(refused), Some(MailErrorKind::Denied));
    w.owner.delete(&name("box")).await.unwrap();
    assert_eq!(selected.rights(), Rights::NONE);
}
