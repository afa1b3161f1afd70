//! One seeded list of operations against the engine and against a naive reference, with reopens in
//! between; what a client could see must be equal after every step.

use crate::common::{Rng, assert_sound, fresh, id_of, keyword, message, name, open, text, uid};
use mail::{Account, FlagChange, Mail, Options, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::{MemoryBlobs, MemoryMeta};
use types::{FlagOp, Flags, Keyword, MailboxId, UidSet};

#[derive(Clone, Debug, PartialEq)]
struct Message {
    uid: u32,
    flags: u8,
    keywords: Vec<String>,
    /// 0 until the engine has given one.
    uidl: u64,
    body: Vec<u8>,
}

/// Messages removed together.
struct Removal {
    mailbox: MailboxId,
    name: String,
    messages: Vec<Message>,
}

/// The reference: vectors and linear search.
#[derive(Clone, Debug, Default)]
struct Model {
    boxes: BTreeMap<String, (u32, Vec<Message>)>,
}

const KEYWORDS: [&str; 4] = ["$Forwarded", "work", "$MDNSent", "later"];

fn flag(m: &mut Message, op: FlagOp, flags: u8, keywords: &[String]) {
    match op {
        FlagOp::Add => {
            m.flags |= flags;
            m.keywords.extend(keywords.iter().cloned());
        }
        FlagOp::Remove => {
            m.flags &= !flags;
            m.keywords.retain(|k| !keywords.contains(k));
        }
        FlagOp::Replace => {
            m.flags = flags;
            m.keywords = keywords.to_vec();
        }
    }
    m.keywords.sort();
    m.keywords.dedup();
}

impl Model {
    fn put(&mut self, to: &str, mut m: Message) {
        let (next, messages) = self.boxes.get_mut(to).unwrap();
        m.uid = *next;
        *next += 1;
        messages.push(m);
    }

    /// Fresh messages get the POP3 ids the engine gave them.
    fn learn_uidls(&mut self, seen: &Self) {
        for (name, (_, messages)) in &mut self.boxes {
            let known = &seen.boxes[name].1;
            for (m, seen) in messages.iter_mut().zip(known) {
                if m.uidl == 0 {
                    m.uidl = seen.uidl;
                }
            }
        }
    }

    fn take(&mut self, from: &str, uids: &UidSet) -> Vec<Message> {
        let (_, messages) = self.boxes.get_mut(from).unwrap();
        let (gone, kept) = messages.drain(..).partition(|m| uids.contains(uid(m.uid)));
        *messages = kept;
        gone
    }
}

async fn seen_by_a_client(mail: &Mail, account: &Account) -> Model {
    let mut model = Model::default();
    for (mailbox, folder) in &account.tree().folders {
        let selected = account.select(folder.id).await.unwrap();
        let view = selected.view();
        let ids: Vec<_> = view.rows().map(|row| row.email).collect();
        let emails = account.emails(&ids).await.unwrap();
        let mut messages = Vec::new();
        for (row, email) in view.rows().zip(emails) {
            let email = email.unwrap();
            let content = mail.contents(&[&email]).await.remove(0).unwrap();
            let mut keywords: Vec<String> = view
                .keywords_of(row.keywords)
                .map(Keyword::to_string)
                .collect();
            keywords.sort();
            let body = [&email.prefix()[..], &content].concat();
            assert_eq!(body.len(), row.size as usize);
            messages.push(Message {
                uid: row.uid.get(),
                flags: row.flags.0,
                keywords,
                uidl: row.uidl,
                body,
            });
        }
        for (i, row) in view.rows().enumerate() {
            assert_eq!(view.index_of(row.uid), Some(i));
            assert_eq!(view.get(i), Some(row));
        }
        model
            .boxes
            .insert(mailbox.to_string(), (view.uid_next(), messages));
    }
    model
}

fn some_uids(rng: &mut Rng, messages: &[Message]) -> UidSet {
    match rng.below(4) {
        0 => UidSet::range(uid(1), uid(u32::MAX)),
        1 => UidSet::range(uid(1 + rng.below(40) as u32), uid(1 + rng.below(40) as u32)),
        _ if messages.is_empty() => UidSet::new(),
        _ => (0..rng.below(4))
            .map(|_| uid(rng.pick(messages).uid))
            .collect(),
    }
}

/// Brings back one removal or a part of it; with undelete turned off there is none.
async fn undelete(rng: &mut Rng, account: &Account, model: &mut Model, removed: &mut Vec<Removal>) {
    let can = account.mail().options().undelete_seconds > 0;
    let waiting: usize = removed.iter().map(|one| one.messages.len()).sum();
    let counted = account.recoverable().await.unwrap();
    assert_eq!(counted.messages, if can { waiting as u64 } else { 0 });
    if removed.is_empty() {
        return;
    }
    let at = rng.below(removed.len() as u64) as usize;
    let some = rng.below(2) == 0;
    let mut n = 0;
    let (back, left): (Vec<_>, Vec<_>) = removed[at].messages.drain(..).partition(|_| {
        n += 1;
        !some || n % 2 == 0
    });
    let wanted = Wanted {
        uidls: Some(back.iter().map(|m| m.uidl).collect()),
        ..Wanted::default()
    };
    let restored = account.undelete(&wanted).await.unwrap();
    let count: u64 = restored.messages.iter().map(|(_, count)| count).sum();
    if !can {
        assert_eq!(count, 0);
        removed.clear();
        return;
    }
    assert_eq!(count, back.len() as u64);
    if !back.is_empty() {
        let home = account.name_of(removed[at].mailbox);
        let home = home.map_or_else(|| removed[at].name.clone(), |name| name.to_string());
        model.boxes.entry(home.clone()).or_insert((1, Vec::new()));
        for mut m in back {
            m.flags &= !Flags::DELETED.0;
            model.put(&home, m);
        }
    }
    removed[at].messages = left;
}

async fn run(seed: u64, steps: usize) {
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let options = Options {
        default_mailboxes: vec![],
        grace_seconds: 0,
        undelete_seconds: [0, 86_400][(seed % 2) as usize],
        ..Options::default()
    };
    let mut removed: Vec<Removal> = Vec::new();
    let mut mail = open(meta.clone(), blobs.clone(), options.clone()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let mut account = mail.account(info.id).await.unwrap();
    let mut model = Model::default();
    model.boxes.insert("INBOX".into(), (1, Vec::new()));
    // Sessions that stay behind: their view plus what changed must always give the newest view.
    let mut behind = Vec::new();
    for step in 0..steps {
        let names: Vec<String> = model.boxes.keys().cloned().collect();
        let (from, to) = (rng.pick(&names).clone(), rng.pick(&names).clone());
        let source = account.select(id_of(&account, &from)).await.unwrap();
        let uids = some_uids(&mut rng, &model.boxes[&from].1);
        match rng.below(13) {
            0..=2 => {
                let mut messages = Vec::new();
                for i in 0..=rng.below(3) {
                    let bytes = text(&format!("{step}.{i}"));
                    let mut m = message(&mail, bytes.clone()).await;
                    m.flags = Flags(rng.below(32) as u8);
                    m.prefix = if rng.below(2) == 0 {
                        "X: y\r\n".into()
                    } else {
                        "".into()
                    };
                    let k = *rng.pick(&KEYWORDS);
                    m.keywords = vec![keyword(k)];
                    let body = [&m.prefix[..], &bytes].concat();
                    let (flags, keywords) = (m.flags.0, vec![k.to_string()]);
                    model.put(
                        &from,
                        Message {
                            uid: 0,
                            flags,
                            keywords,
                            uidl: 0,
                            body,
                        },
                    );
                    messages.push(m);
                }
                account.append(source.id(), messages).await.unwrap();
            }
            3..=5 => {
                let op = *rng.pick(&[FlagOp::Add, FlagOp::Remove, FlagOp::Replace]);
                let (flags, k) = (rng.below(32) as u8, rng.pick(&KEYWORDS).to_string());
                for m in &mut model.boxes.get_mut(&from).unwrap().1 {
                    if uids.contains(uid(m.uid)) {
                        flag(m, op, flags, std::slice::from_ref(&k));
                    }
                }
                let change = FlagChange {
                    op,
                    flags: Flags(flags),
                    keywords: vec![keyword(&k)],
                };
                source.store(&uids, &change, None).await.unwrap();
            }
            6 => {
                let before = source.view().modseq();
                let gone = model.take(&from, &uids);
                let expunged = source.expunge(&uids).await.unwrap();
                assert_eq!(expunged.uids.len(), gone.len() as u64);
                let vanished = source.vanished_since(before.get()).await.unwrap().unwrap();
                assert_eq!(vanished, expunged.uids);
                removed.push(Removal {
                    mailbox: source.id(),
                    name: from,
                    messages: gone,
                });
            }
            7 => {
                let copies: Vec<Message> = {
                    let all = &model.boxes[&from].1;
                    all.iter()
                        .filter(|m| uids.contains(uid(m.uid)))
                        .cloned()
                        .collect()
                };
                for m in copies {
                    model.put(&to, Message { uidl: 0, ..m });
                }
                account
                    .copy(&source, &uids, id_of(&account, &to))
                    .await
                    .unwrap();
            }
            8 => {
                let moved = model.take(&from, &uids);
                moved.into_iter().for_each(|m| model.put(&to, m));
                account
                    .move_messages(&source, &uids, id_of(&account, &to))
                    .await
                    .unwrap();
            }
            9 => {
                let new = format!("f{}", rng.below(5));
                let result = account.create(&name(&new), None).await;
                assert_eq!(result.is_ok(), !model.boxes.contains_key(&new));
                model.boxes.entry(new).or_insert((1, Vec::new()));
            }
            10 if from != "INBOX" => {
                if rng.below(2) == 0 {
                    account.delete(&name(&from)).await.unwrap();
                    let (_, messages) = model.boxes.remove(&from).unwrap();
                    assert!(source.is_gone());
                    removed.push(Removal {
                        mailbox: source.id(),
                        name: from,
                        messages,
                    });
                } else {
                    let new = format!("r{step}");
                    account.rename(&name(&from), &name(&new)).await.unwrap();
                    let moved = model.boxes.remove(&from).unwrap();
                    model.boxes.insert(new, moved);
                }
            }
            11 => undelete(&mut rng, &account, &mut model, &mut removed).await,
            _ => {
                drop(source);
                behind.clear();
                mail.sweep().await.unwrap();
                drop(account);
                mail = open(meta.clone(), blobs.clone(), options.clone()).await;
                account = mail.account(info.id).await.unwrap();
            }
        }
        if rng.below(4) == 0 && behind.len() < 8 {
            let selected = account.select(id_of(&account, "INBOX")).await.unwrap();
            let view = selected.view();
            behind.push((selected, view));
        }
        for (selected, old) in &behind {
            let (new, mut have): (_, Vec<u32>) = (
                selected.view(),
                old.rows().map(|row| row.uid.get()).collect(),
            );
            let changes = new.changes_since(old);
            have.retain(|u| !changes.expunged.contains(uid(*u)));
            have.extend(changes.added.iter().map(|u| u.get()));
            assert_eq!(
                have,
                new.rows().map(|row| row.uid.get()).collect::<Vec<_>>()
            );
            let flagged = new.rows().filter(|row| {
                old.find(row.uid)
                    .is_some_and(|before| before.modseq != row.modseq)
            });
            assert_eq!(changes.flagged, flagged.map(|row| row.uid).collect());
        }
        let seen = seen_by_a_client(&mail, &account).await;
        model.learn_uidls(&seen);
        assert_eq!(seen.boxes, model.boxes, "seed {seed}, step {step}");
    }
    assert_sound(&mail).await;
}

#[tokio::test]
async fn engine_equals_the_reference() {
    for seed in 0..24 {
        run(seed, 120).await;
    }
}

#[tokio::test]
async fn large_mailbox_survives_chunks_snapshots_and_reopen() {
    let (meta, blobs) = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
    let mail = open(meta.clone(), blobs.clone(), Options::default()).await;
    let info = mail.create_account("u", None).await.unwrap();
    let account = mail.account(info.id).await.unwrap();
    let inbox = id_of(&account, "INBOX");
    let one = message(&mail, text("x")).await;
    let selected = account.select(inbox).await.unwrap();
    let mut vanished = UidSet::new();
    for round in 0..4 {
        for _ in 0..10 {
            account.append(inbox, vec![one.clone(); 700]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let first = round * 7000;
        let odd: UidSet = (first + 1..=first + 7000)
            .filter(|n| n % 2 == 1)
            .map(uid)
            .collect();
        selected.expunge(&odd).await.unwrap();
        vanished = vanished.union(&odd);
        // Snapshots are written by tasks of their own.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    let all = UidSet::range(uid(1), uid(u32::MAX));
    for n in 0..40 {
        let flags = if n % 2 == 0 {
            Flags::SEEN
        } else {
            Flags::FLAGGED
        };
        let change = FlagChange {
            op: FlagOp::Replace,
            flags,
            keywords: vec![keyword("k")],
        };
        selected.store(&all, &change, None).await.unwrap();
    }
    assert_eq!(selected.view().len(), 14_000);
    assert_sound(&mail).await;
    let again = open(meta, blobs, Options::default()).await;
    let account = again.account(info.id).await.unwrap();
    let reopened = account.select(inbox).await.unwrap();
    assert!(reopened.view().rows().eq(selected.view().rows()));
    assert_eq!(reopened.vanished_since(1).await.unwrap().unwrap(), vanished);
    assert_sound(&again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_leave_a_sound_account() {
    let (mail, account) = fresh().await;
    let (inbox, archive) = (id_of(&account, "INBOX"), id_of(&account, "Archive"));
    let mut tasks = Vec::new();
    for task in 0..8u64 {
        let (mail, account) = (mail.clone(), account.clone());
        tasks.push(tokio::spawn(async move {
            let mut rng = Rng(task);
            let selected = account.select(inbox).await.unwrap();
            let (mut appended, mut removed) = (0u64, 0u64);
            for i in 0..60 {
                let m = message(&mail, text(&format!("{task}/{i}"))).await;
                let got = account.append(inbox, vec![m]).await.unwrap();
                appended += 1;
                // What was acknowledged is shown.
                assert!(got.uids.last().unwrap().get() < selected.view().uid_next());
                let first = UidSet::range(uid(1), uid(1 + rng.below(200) as u32));
                let one: UidSet = selected.view().existing(&first).iter().take(1).collect();
                match rng.below(4) {
                    0 => {
                        let change = FlagChange {
                            op: FlagOp::Add,
                            flags: Flags::SEEN,
                            keywords: vec![],
                        };
                        selected.store(&first, &change, None).await.unwrap();
                    }
                    1 => removed += selected.expunge(&one).await.unwrap().uids.len(),
                    2 => {
                        let moved = account
                            .move_messages(&selected, &one, archive)
                            .await
                            .unwrap();
                        removed += moved.from.len();
                    }
                    _ => {
                        account.copy(&selected, &one, archive).await.unwrap();
                    }
                }
            }
            (appended, removed)
        }));
    }
    let (mut appended, mut removed) = (0, 0);
    for task in tasks {
        let (a, r) = task.await.unwrap();
        appended += a;
        removed += r;
    }
    let summary = account.summary(inbox).unwrap();
    assert_eq!(u64::from(summary.messages), appended - removed);
    assert_eq!(summary.uid_next, 1 + appended as u32);
    assert_sound(&mail).await;
}
