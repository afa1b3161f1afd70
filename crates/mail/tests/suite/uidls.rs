//! Unique ids taken over from another server.

use crate::common::{assert_sound, fresh, id_of, message, open};
use bytes::{Bytes, BytesMut};
use mail::{MailErrorKind, Options, Selected, UniqueId, Wanted};
use std::sync::Arc;
use storage::{MemoryBlobs, MemoryMeta};
use types::{Uid, UidSet};

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn id(text: &str) -> UniqueId {
    UniqueId::new(text.as_bytes()).unwrap()
}

async fn texts(mailbox: &Selected) -> Vec<String> {
    let ids = mailbox.unique_ids().await.unwrap();
    let view = mailbox.view();
    let text = |row: mail::Row| {
        let mut out = BytesMut::new();
        ids.write(&row, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    view.rows().map(text).collect()
}

#[tokio::test]
async fn what_is_taken_over_is_unique_stays_with_the_message_and_is_not_copied() {
    let meta = Arc::new(MemoryMeta::new());
    let engine = open(
        meta.clone(),
        Arc::new(MemoryBlobs::new()),
        Options::default(),
    )
    .await;
    let info = engine.create_account("u", None).await.unwrap();
    let account = engine.account(info.id).await.unwrap();
    let (inbox, trash) = (id_of(&account, "INBOX"), id_of(&account, "Trash"));
    for n in 0..4 {
        let new = message(&engine, Bytes::from(format!("Subject: {n}\r\n\r\n"))).await;
        account.append(inbox, vec![new]).await.unwrap();
    }
    let mailbox = account.select(inbox).await.unwrap();
    let native = texts(&mailbox).await;

    // Two messages with one id: nothing changes.
    for twice in [
        vec![(uid(1), id("old-1")), (uid(2), id("old-1"))],
        vec![(uid(1), id(&native[1]))],
    ] {
        let error = mailbox.adopt_unique_ids(&twice).await.unwrap_err();
        assert_eq!(error.kind, MailErrorKind::Exists);
        assert_eq!(texts(&mailbox).await, native);
    }
    // One that is gone is left out.
    let some = [
        (uid(1), id("old-1")),
        (uid(3), id("old-3")),
        (uid(9), id("old-9")),
    ];
    for _ in 0..2 {
        mailbox.adopt_unique_ids(&some).await.unwrap();
        assert_eq!(
            texts(&mailbox).await,
            ["old-1", &native[1], "old-3", &native[3]]
        );
    }
    // DESIGN 5.5: a move out and back keeps it, a copy gets one of its own.
    let bin = account.select(trash).await.unwrap();
    let one = UidSet::range(uid(1), uid(1));
    account.move_messages(&mailbox, &one, trash).await.unwrap();
    assert_eq!(texts(&bin).await, ["old-1"]);
    let back = UidSet::range(Uid::FIRST, Uid::MAX);
    account.move_messages(&bin, &back, inbox).await.unwrap();
    let copied = UidSet::range(uid(3), uid(3));
    account.copy(&mailbox, &copied, inbox).await.unwrap();
    let now = texts(&mailbox).await;
    assert_eq!(now[..4], [&native[1], "old-3", &native[3], "old-1"]);
    assert!(!now[..4].contains(&now[4]), "{now:?}");
    assert_sound(&engine).await;

    // Operators name a message by either id.
    let ids = account.unique_ids().await.unwrap();
    let number = ids.number_of("old-1").unwrap();
    assert_eq!(ids.number_of(&native[0]), Some(number));
    assert_eq!(
        account.find_uidl(number).await.unwrap(),
        Some((inbox, uid(5)))
    );
    assert_eq!(ids.number_of("old-9"), None);

    // It is written down.
    drop((mailbox, bin, account));
    let again = open(meta, Arc::new(MemoryBlobs::new()), Options::default()).await;
    let account = again.account(info.id).await.unwrap();
    assert_eq!(texts(&account.select(inbox).await.unwrap()).await, now);
}

/// A migration that is done again after a client has deleted what the first one brought.
#[tokio::test]
async fn what_comes_back_has_its_id_where_no_other_message_took_it_over() {
    let (engine, account) = fresh().await;
    let inbox = id_of(&account, "INBOX");
    let new = async |n: u32| message(&engine, Bytes::from(format!("Subject: {n}\r\n\r\n"))).await;
    for n in 0..3 {
        account.append(inbox, vec![new(n).await]).await.unwrap();
    }
    let mailbox = account.select(inbox).await.unwrap();
    let native = texts(&mailbox).await;
    let first = [(uid(1), id("old-1")), (uid(2), id("old-2"))];
    mailbox.adopt_unique_ids(&first).await.unwrap();
    let all = UidSet::range(Uid::FIRST, Uid::MAX);
    mailbox.expunge(&all).await.unwrap();

    let again = account.append(inbox, vec![new(0).await, new(9).await]);
    assert_eq!(again.await.unwrap().uids.len(), 2);
    // The second one has the native id of one that is gone, as a server like this one would give.
    let second = [(uid(4), id("old-1")), (uid(5), id(&native[2]))];
    mailbox.adopt_unique_ids(&second).await.unwrap();
    let restored = account.undelete(&Wanted::default()).await.unwrap();
    assert_eq!(restored.messages, [("INBOX".to_owned(), 3)]);
    let now = texts(&mailbox).await;
    assert_eq!(now.len(), 5);
    assert_eq!([&*now[0], &*now[1]], ["old-1", &*native[2]]);
    assert_eq!(now[3], "old-2", "it is free");
    let mut distinct = now.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 5, "{now:?}");
    assert_sound(&engine).await;

    // What is removed again comes back with what it has now.
    mailbox.expunge(&all).await.unwrap();
    account.undelete(&Wanted::default()).await.unwrap();
    assert_eq!(texts(&mailbox).await, now);
    assert_sound(&engine).await;
}
