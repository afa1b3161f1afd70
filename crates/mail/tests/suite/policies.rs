//! DESIGN 5.4: what the end of a POP3 session makes of deleted messages, policy by policy.

use crate::common::{assert_sound, fresh, id_of, keyword, message, name, open, text, uid};
use mail::{
    Account, Count, FlagChange, Mail, MailErrorKind, Options, PolicyOf, QuotaLimits, Row,
    Simulation, Update,
};
use std::sync::Arc;
use storage::{Call, ErrorKind, FaultMeta, Faults, MemoryBlobs, MemoryMeta};
use types::{FlagOp, Flags, Pop3Policy, UidSet};

const DAY: i64 = 86_400;

fn policy(text: &str) -> Pop3Policy {
    text.parse().unwrap()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs() as i64
}

fn uids(all: &[u32]) -> UidSet {
    all.iter().map(|n| uid(*n)).collect()
}

async fn fill(mail: &Mail, account: &Account, mailbox: &str, count: usize) {
    let mut all = Vec::new();
    for i in 0..count {
        all.push(message(mail, text(&format!("{mailbox} {i}"))).await);
    }
    account.append(id_of(account, mailbox), all).await.unwrap();
}

async fn rows(account: &Account, mailbox: &str) -> Vec<Row> {
    let selected = account.select(id_of(account, mailbox)).await.unwrap();
    selected.view().rows().collect()
}

/// Ends a session that retrieved and deleted so.
async fn quit(account: &Account, mailbox: &str, seen: &[u32], delete: &[u32], meaning: &str) {
    let selected = account.select(id_of(account, mailbox)).await.unwrap();
    let update = Update {
        seen: &uids(seen),
        delete: &uids(delete),
        policy: &policy(meaning),
    };
    selected.update(update).await.unwrap();
}

/// Uids with `s` for seen and `h` for hidden.
fn shape(rows: &[Row]) -> String {
    let one = |row: &Row| {
        let seen = if row.flags.contains(Flags::SEEN) {
            "s"
        } else {
            ""
        };
        let hidden = if row.hidden.is_hidden() { "h" } else { "" };
        format!("{}{seen}{hidden}", row.uid)
    };
    rows.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_deleted_message_goes_where_the_policy_says_and_keeps_its_unique_id() {
    for (meaning, inbox, target, there) in [
        ("delete", "1s 4", "Trash", ""),
        ("trash", "1s 4", "Trash", "1s 2"),
        ("archive:Archive", "1s 4", "Archive", "1s 2"),
        ("archive:By POP/2026", "1s 4", "By POP/2026", "1s 2"),
        ("keep", "1s 2sh 3h 4", "Trash", ""),
        ("keep-days:30", "1s 2sh 3h 4", "Trash", ""),
    ] {
        let (mail, account) = fresh().await;
        fill(&mail, &account, "INBOX", 4).await;
        let before = rows(&account, "INBOX").await;
        // 9 is gone, or was never there.
        quit(&account, "INBOX", &[1, 2], &[2, 3, 9], meaning).await;
        assert_eq!(shape(&rows(&account, "INBOX").await), inbox, "{meaning}");
        let moved = rows(&account, target).await;
        assert_eq!(shape(&moved), there, "{meaning}");
        for (row, old) in moved.iter().zip(&before[1..]) {
            assert_eq!((row.uidl, row.email), (old.uidl, old.email));
        }
        if target.starts_with("By") {
            let tree = account.tree();
            assert!(tree.find(&name("By POP")).is_some());
            assert!(tree.subscriptions.contains(&name(target)));
        }
        assert_sound(&mail).await;
    }
}

#[tokio::test]
async fn keywords_move_along_and_imap_learns_of_nothing_hidden() {
    let (mail, account) = fresh().await;
    fill(&mail, &account, "INBOX", 3).await;
    let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
    let change = FlagChange {
        op: FlagOp::Add,
        flags: Flags::FLAGGED,
        keywords: vec![keyword("work")],
    };
    inbox.store(&uids(&[1]), &change, None).await.unwrap();
    quit(&account, "INBOX", &[], &[1], "archive:Work").await;
    let work = account
        .select(id_of(&account, "Work"))
        .await
        .unwrap()
        .view();
    let row = work.get(0).unwrap();
    assert!(row.flags.contains(Flags::FLAGGED));
    assert_eq!(
        work.keywords_of(row.keywords).next(),
        Some(&keyword("work"))
    );

    let before = inbox.view();
    quit(&account, "INBOX", &[], &[2], "keep").await;
    let after = inbox.view();
    assert!(after.modseq() > before.modseq());
    assert!(after.changes_since(&before).is_empty());
    assert_eq!(
        after.find(uid(2)).unwrap().modseq,
        before.find(uid(2)).unwrap().modseq
    );
    assert_eq!((after.len(), after.pop3_len()), (2, 1));
    assert_eq!(after.pop3_get(0), after.get(1));
    assert_eq!(after.pop3_octets(), after.get(1).unwrap().pop3_size());
    assert_sound(&mail).await;
}

#[tokio::test]
async fn filing_a_hidden_message_shows_it_again() {
    let (mail, account) = fresh().await;
    fill(&mail, &account, "INBOX", 2).await;
    let uidl = rows(&account, "INBOX").await[0].uidl;
    quit(&account, "INBOX", &[], &[1, 2], "keep-days:1").await;
    let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
    account
        .move_messages(&inbox, &uids(&[1]), id_of(&account, "Archive"))
        .await
        .unwrap();
    let archive = rows(&account, "Archive").await;
    assert_eq!((shape(&archive).as_str(), archive[0].uidl), ("1", uidl));
    // And it is not removed with the others.
    let info = mail.find_account("u").await.unwrap().unwrap();
    assert_eq!(mail.remove_due(info.id, now() + 2 * DAY).await.unwrap(), 1);
    assert_eq!(rows(&account, "Archive").await.len(), 1);
    assert_eq!(rows(&account, "INBOX").await.len(), 0);
    assert_sound(&mail).await;
}

#[tokio::test]
async fn neither_a_full_account_nor_a_missing_trash_keeps_a_message_from_being_deleted() {
    let (mail, account) = fresh().await;
    fill(&mail, &account, "INBOX", 4).await;
    account.delete(&name("Trash")).await.unwrap();
    let full = |limits: &mut QuotaLimits| {
        *limits = QuotaLimits {
            bytes: Some(1),
            messages: Some(1),
            mailboxes: Some(1),
        };
    };
    mail.change_limits("u", full).await.unwrap();
    quit(&account, "INBOX", &[], &[1], "trash").await;
    quit(&account, "INBOX", &[], &[2], "archive:New/Deep").await;
    quit(&account, "INBOX", &[], &[3], "keep").await;
    quit(&account, "INBOX", &[], &[4], "delete").await;
    assert_eq!(shape(&rows(&account, "INBOX").await), "3h");
    assert_eq!(rows(&account, "Trash").await.len(), 1);
    assert_eq!(rows(&account, "New/Deep").await.len(), 1);
    let tree = account.tree();
    assert_eq!(
        tree.with_role(types::Role::Trash).unwrap().0,
        &name("Trash")
    );
    assert_sound(&mail).await;
}

#[tokio::test]
async fn deleting_out_of_the_target_removes_from_trash_and_hides_in_the_archive() {
    let (mail, account) = fresh().await;
    fill(&mail, &account, "Trash", 2).await;
    fill(&mail, &account, "Archive", 2).await;
    quit(&account, "Trash", &[], &[1], "trash").await;
    quit(&account, "Archive", &[], &[1], "archive:Archive").await;
    assert_eq!(shape(&rows(&account, "Trash").await), "2");
    assert_eq!(shape(&rows(&account, "Archive").await), "1h 2");
    assert_sound(&mail).await;
}

#[tokio::test]
async fn a_deleted_mailbox_is_gone_and_an_update_of_nothing_changes_nothing() {
    let (mail, account) = fresh().await;
    account.create(&name("Work"), None).await.unwrap();
    fill(&mail, &account, "Work", 2).await;
    let work = account.select(id_of(&account, "Work")).await.unwrap();
    let before = work.view().modseq();
    quit(&account, "Work", &[7], &[8], "archive:Never").await;
    assert_eq!(work.view().modseq(), before);
    assert!(account.tree().find(&name("Never")).is_none());
    account.delete(&name("Work")).await.unwrap();
    let (seen, delete, keep) = (uids(&[1]), uids(&[2]), policy("keep-days:1"));
    let update = Update {
        seen: &seen,
        delete: &delete,
        policy: &keep,
    };
    assert_eq!(
        work.update(update).await.unwrap_err().kind,
        MailErrorKind::Gone
    );
    assert_sound(&mail).await;
}

#[tokio::test]
async fn kept_days_end_by_a_sweep_that_may_be_cut_short_and_start_again() {
    let faults = Faults::new();
    let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
    let blobs = Arc::new(MemoryBlobs::new());
    let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    fill(&mail, &account, "INBOX", 9000).await;
    let some: Vec<u32> = (1..=8500).collect();
    quit(&account, "INBOX", &[], &some, "keep-days:30").await;
    quit(&account, "INBOX", &[], &[8501, 8502], "keep-days:60").await;
    quit(&account, "INBOX", &[], &[8503], "keep").await;
    // A second DELE, and a shorter time, do not change what was promised.
    quit(&account, "INBOX", &[], &[8502, 8503], "keep-days:1").await;

    assert_eq!(mail.remove_due(info.id, now() + 29 * DAY).await.unwrap(), 0);
    assert_sound(&mail).await;
    // Some batches, then the store fails.
    faults.fail_nth(Call::Commit, 2, ErrorKind::Unavailable);
    assert!(mail.remove_due(info.id, now() + 31 * DAY).await.is_err());
    faults.heal();
    let left = rows(&account, "INBOX").await.len();
    assert!(left < 9000 && left > 500, "{left}");
    assert_sound(&mail).await;
    // Another process goes on.
    drop((account, mail));
    let mail = open(meta, blobs, Options::default()).await;
    let account = mail.account(info.id).await.unwrap();
    let removed = mail.remove_due(info.id, now() + 31 * DAY).await.unwrap();
    assert_eq!(removed as usize, left - 500);
    let inbox = rows(&account, "INBOX").await;
    assert!(shape(&inbox).starts_with("8501h 8502h 8503h 8504 8505"));
    assert_sound(&mail).await;
    assert_eq!(mail.remove_due(info.id, now() + 59 * DAY).await.unwrap(), 0);
    assert_eq!(mail.remove_due(info.id, now() + 61 * DAY).await.unwrap(), 2);
    assert_eq!(mail.remove_due(info.id, i64::MAX).await.unwrap(), 0);
    assert!(shape(&rows(&account, "INBOX").await).starts_with("8503h 8504 "));
    assert_sound(&mail).await;
}

#[tokio::test]
async fn hidden_messages_survive_snapshots_and_restarts() {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    fill(&mail, &account, "INBOX", 1200).await;
    for n in 0..300 {
        quit(&account, "INBOX", &[], &[4 * n + 1], "keep").await;
    }
    let want = rows(&account, "INBOX").await;
    drop((account, mail));
    let mail = open(meta, blobs, Options::default()).await;
    let account = mail.account(info.id).await.unwrap();
    assert_eq!(rows(&account, "INBOX").await, want);
    let view = account
        .select(id_of(&account, "INBOX"))
        .await
        .unwrap()
        .view();
    assert_eq!(view.pop3_len(), 900);
    assert_sound(&mail).await;
}

#[tokio::test]
async fn a_failed_commit_does_nothing() {
    for meaning in ["delete", "trash", "archive:Else", "keep", "keep-days:3"] {
        let faults = Faults::new();
        let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
        let mail = open(meta, Arc::new(MemoryBlobs::new()), Options::default()).await;
        let info = mail.create_account("u", None).await.unwrap();
        let account = mail.account(info.id).await.unwrap();
        fill(&mail, &account, "INBOX", 3).await;
        let inbox = account.select(id_of(&account, "INBOX")).await.unwrap();
        let (seen, delete, meaning) = (uids(&[1]), uids(&[1, 2]), policy(meaning));
        let update = Update {
            seen: &seen,
            delete: &delete,
            policy: &meaning,
        };
        // The mailbox is made by a commit of its own.
        for nth in 1..=2 {
            faults.fail_nth(Call::Commit, nth, ErrorKind::Unavailable);
            let failed = inbox.update(update).await.is_err();
            faults.heal();
            if failed {
                assert_eq!(shape(&rows(&account, "INBOX").await), "1 2 3", "{meaning}");
            }
            assert_sound(&mail).await;
        }
        inbox.update(update).await.unwrap();
        assert_sound(&mail).await;
    }
}

#[tokio::test]
async fn policies_are_stored_and_the_shortest_is_known() {
    let (mail, account) = fresh().await;
    assert_eq!(account.pop3_policy(PolicyOf::Account).await.unwrap(), None);
    assert_eq!(mail.shortest_keep().await.unwrap(), None);
    for (text, shortest) in [
        ("archive:a:b/c", None),
        ("keep-days:30", Some(30)),
        ("keep-days:90", Some(30)),
        ("keep-days:7", Some(7)),
        ("keep", Some(7)),
    ] {
        account
            .set_pop3_policy(PolicyOf::Account, Some(&policy(text)))
            .await
            .unwrap();
        assert_eq!(
            account.pop3_policy(PolicyOf::Account).await.unwrap(),
            Some(policy(text))
        );
        let days = mail.shortest_keep().await.unwrap().map(|days| days.get());
        assert_eq!(days, shortest, "{text}");
    }
    account
        .set_pop3_policy(PolicyOf::Account, None)
        .await
        .unwrap();
    assert_eq!(account.pop3_policy(PolicyOf::Account).await.unwrap(), None);
}

#[tokio::test]
async fn a_simulation_counts_what_was_deleted_under_any_policy() {
    let (mail, account) = fresh().await;
    fill(&mail, &account, "INBOX", 10).await;
    let each = rows(&account, "INBOX").await[0].pop3_size();
    quit(&account, "INBOX", &[], &[1, 2], "delete").await;
    quit(&account, "INBOX", &[], &[3], "keep").await;
    quit(&account, "INBOX", &[1], &[4, 99], "trash").await;
    let all = Count {
        messages: 4,
        octets: 4 * each,
    };
    let simulate = async |text: &str| account.simulate(&policy(text), 30).await.unwrap();
    let base = Simulation {
        deleted: all,
        ..Simulation::default()
    };
    assert_eq!(
        simulate("delete").await,
        Simulation {
            removed: all,
            ..base
        }
    );
    assert_eq!(
        simulate("archive:x").await,
        Simulation { moved: all, ..base }
    );
    assert_eq!(simulate("keep").await, Simulation { kept: all, ..base });
    assert_eq!(
        simulate("keep-days:1").await,
        Simulation { kept: all, ..base }
    );
    assert_sound(&mail).await;
}
