//! Annotations (RFC 5464): all or none, bounded, gone with their mailbox.

use crate::common::{assert_sound, fresh, id_of, name};
use bytes::Bytes;
use mail::{Annotation, AnnotationOwner, MAX_ANNOTATION, MAX_ANNOTATIONS, MailErrorKind};

fn set(owner: AnnotationOwner, n: usize, size: usize) -> Annotation {
    Annotation {
        owner,
        name: format!("/a{n}"),
        value: Some(Bytes::from(vec![b'x'; size])),
    }
}

#[tokio::test]
async fn what_an_account_keeps_is_bounded_and_freed() {
    let (mail, account) = fresh().await;
    let full = |owner| (0..MAX_ANNOTATIONS).map(move |n| set(owner, n, MAX_ANNOTATION));
    let mut filled = Vec::new();
    let refused = loop {
        let box_name = name(&format!("box{}", filled.len()));
        let id = account.create(&box_name, None).await.unwrap();
        let changes: Vec<_> = full(AnnotationOwner::Shared).collect();
        match account.annotate(Some(id), &changes, None, 0).await {
            Ok(()) => filled.push(box_name),
            Err(error) => break error,
        }
        assert!(filled.len() < 100, "no bound");
    };
    assert_eq!(refused.kind, MailErrorKind::Limit);
    assert_sound(&mail).await;
    // A deleted mailbox makes room, a renamed one keeps what it has.
    account.delete(&filled[0]).await.unwrap();
    account.rename(&filled[1], &name("renamed")).await.unwrap();
    assert_sound(&mail).await;
    let inbox = id_of(&account, "INBOX");
    let changes: Vec<_> = full(AnnotationOwner::Private(account.id())).collect();
    account
        .annotate(Some(inbox), &changes, None, 0)
        .await
        .unwrap();
    let renamed = id_of(&account, "renamed");
    let kept = account
        .annotations(Some(renamed), AnnotationOwner::Shared, "")
        .await;
    assert_eq!(kept.unwrap().len(), MAX_ANNOTATIONS);
    assert_sound(&mail).await;
}

#[tokio::test]
async fn one_that_cannot_be_set_stops_all() {
    let (mail, account) = fresh().await;
    let inbox = Some(id_of(&account, "INBOX"));
    let owner = AnnotationOwner::Shared;
    let changes = [set(owner, 1, 10), set(owner, 2, MAX_ANNOTATION + 1)];
    let error = account
        .annotate(inbox, &changes, None, 0)
        .await
        .unwrap_err();
    assert_eq!(error.kind, MailErrorKind::TooBig);
    assert!(
        account
            .annotations(inbox, owner, "")
            .await
            .unwrap()
            .is_empty()
    );
    // A special use that another mailbox has stops them too.
    let role = Some(Some(types::Role::Trash));
    let error = account
        .annotate(inbox, &changes[..1], role, 0)
        .await
        .unwrap_err();
    assert_eq!(error.kind, MailErrorKind::Exists);
    assert!(
        account
            .annotations(inbox, owner, "")
            .await
            .unwrap()
            .is_empty()
    );
    assert_sound(&mail).await;
}

#[tokio::test]
async fn writers_at_the_same_time_all_succeed() {
    let (mail, _) = fresh().await;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let mail = mail.clone();
        writers.spawn(async move {
            let change = set(AnnotationOwner::Shared, n, 100);
            mail.annotate_server(&[change], 0).await.unwrap();
        });
    }
    writers.join_all().await;
    assert_eq!(mail.server_annotations("/a").await.unwrap().len(), 8);
}
