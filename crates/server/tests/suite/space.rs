//! Space really returns to the file system (DESIGN 3.5): after nine of ten messages are deleted,
//! mail takes at most half more than what is left takes compressed.
//!
//! `GATEPOST_SPACE=2048` delivers so many MiB.

use blob_packs::{Options, PackStore};
use bytes::Bytes;
use mail::{Account, Mail, NewMessage, Provenance};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use storage::{BlobStore, MetaStore};
use storage_sled::SledStore;
use testkit::corpus::Corpus;
use types::{Flags, MailboxId, MailboxName, Uid, UidSet};

/// How much is delivered.
struct Form {
    bytes: u64,
    pack_bytes: u64,
}

impl Form {
    fn wanted() -> Self {
        let mib = std::env::var("GATEPOST_SPACE").map_or(8, |mib| mib.parse().unwrap());
        Self {
            bytes: mib << 20,
            // Sixteen packs, or more of the usual size.
            pack_bytes: (mib << 16).min(1 << 30),
        }
    }
}

/// A store whose packs believe in another time.
struct Place {
    mail: Mail,
    meta: Arc<SledStore>,
    packs: Arc<PackStore>,
    ahead: Arc<AtomicU64>,
}

fn packs(dir: &Path, form: &Form, ahead: &Arc<AtomicU64>) -> Arc<PackStore> {
    let ahead = ahead.clone();
    let options = Options {
        pack_bytes: form.pack_bytes,
        now: Arc::new(move || {
            SystemTime::now() + Duration::from_secs(ahead.load(Ordering::SeqCst))
        }),
        ..Options::default()
    };
    PackStore::open(dir, options, |_| {}).unwrap()
}

impl Place {
    async fn open(dir: &Path, form: &Form) -> Self {
        let ahead = Arc::new(AtomicU64::new(0));
        let options = storage_sled::Options {
            bloat_bytes: 1 << 20,
            ..storage_sled::Options::default()
        };
        let meta = SledStore::open(&dir.join("meta"), options, &|_| {}).unwrap();
        let packs = packs(&dir.join("packs"), form, &ahead);
        let options = mail::Options {
            undelete_seconds: 0,
            grace_seconds: 0,
            ..mail::Options::default()
        };
        let mail = Mail::open(meta.clone(), packs.clone(), options).await;
        Self {
            mail: mail.unwrap(),
            meta,
            packs,
            ahead,
        }
    }

    async fn account(&self) -> (Account, MailboxId) {
        let info = self.mail.ensure_account("alice").await.unwrap();
        let account = self.mail.account(info.id).await.unwrap();
        let inbox = account.tree().find(&MailboxName::inbox()).unwrap().id;
        (account, inbox)
    }

    async fn deliver(&self, account: &Account, inbox: MailboxId, message: Vec<u8>) {
        let origin = Provenance {
            owners: vec![(account.id(), "INBOX".to_owned())],
            ..Provenance::default()
        };
        let content = self.mail.ingest(message.into(), &origin).await.unwrap();
        let message = NewMessage {
            content,
            prefix: Bytes::new(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: None,
        };
        account.append(inbox, vec![message]).await.unwrap();
    }

    async fn collect(&self) {
        let meta = self.meta.clone();
        let linked = move |hash| {
            let meta = meta.clone();
            async move { Ok(!meta.links(&hash, 1).await?.is_empty()) }
        };
        self.packs.collect(linked).await.unwrap();
    }
}

/// What the messages take compressed, one by one, as compaction writes them.
async fn compressed(form: &Form, messages: &[Bytes]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let ahead = Arc::new(AtomicU64::new(0));
    let packs = packs(dir.path(), form, &ahead);
    let origin = Provenance::default();
    for messages in messages.chunks(256) {
        let puts = messages
            .iter()
            .map(|message| packs.put(message.clone(), &origin));
        for put in puts {
            put.await.unwrap();
        }
    }
    packs.seal_active().await.unwrap();
    ahead.store(90 * 86_400, Ordering::SeqCst);
    packs.collect(async |_| Ok(true)).await.unwrap();
    let bytes = packs.stats().bytes;
    packs.close().await.unwrap();
    bytes
}

/// Bytes of all files of a directory, without blocks reserved ahead of an end.
fn size(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        sum += match path.is_dir() {
            true => size(&path),
            false => path.metadata().unwrap().len(),
        };
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_gives_its_space_back() {
    let form = Form::wanted();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &form).await;
    let (account, inbox) = place.account().await;
    let (mut kept, mut bytes, mut count) = (Vec::new(), 0, 0u32);
    for message in Corpus::new(1) {
        bytes += message.len() as u64;
        count += 1;
        if count.is_multiple_of(10) {
            kept.push(Bytes::from(message.clone()));
        }
        place.deliver(&account, inbox, message).await;
        if bytes > form.bytes {
            break;
        }
    }
    let full = size(&dir.path().join("packs"));
    let selected = account.select(inbox).await.unwrap();
    let gone = (1..=count).filter(|n| !n.is_multiple_of(10));
    let gone: UidSet = gone.filter_map(Uid::new).collect();
    selected.expunge(&gone).await.unwrap();
    drop(selected);
    place.mail.sweep().await.unwrap();
    place.ahead.store(2 * 86_400, Ordering::SeqCst);

    // While somebody delivers.
    let stop = AtomicBool::new(true);
    let least = if form.bytes > 64 << 20 { 1000 } else { 40 };
    let alone = Pace::measure(&place, &account, inbox, 1, &stop, least).await;
    stop.store(false, Ordering::SeqCst);
    let (compaction, beside) = tokio::join!(
        async {
            let start = Instant::now();
            place.collect().await;
            stop.store(true, Ordering::SeqCst);
            start.elapsed()
        },
        Pace::measure(&place, &account, inbox, 2, &stop, 40)
    );
    println!("the compaction took {compaction:?}; what a client waits for beside it, and alone:");
    beside.tell(&alone);
    for uid in 1..=count {
        if uid.is_multiple_of(10) {
            let row = account
                .select(inbox)
                .await
                .unwrap()
                .view()
                .find(Uid::new(uid).unwrap());
            let email = account
                .emails(&[row.unwrap().email])
                .await
                .unwrap()
                .remove(0)
                .unwrap();
            let body = place.mail.contents(&[&email]).await.remove(0).unwrap();
            assert!(body == kept[uid as usize / 10 - 1], "uid {uid}");
        }
    }
    place.collect().await;
    place.meta.trim().await.unwrap();
    let problems = place.mail.check(true).await.unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
    let left = size(&dir.path().join("packs"));
    let meta = ["log", "export", "index"].map(|part| size(&dir.path().join("meta").join(part)));
    let least = compressed(&form, &kept).await;
    println!(
        "{bytes} bytes delivered, {full} on disk; a tenth is left: {least} bytes compressed, packs \
         take {left}; log, exports and index {meta:?}"
    );
    assert!(left < full / 5, "{full} -> {left}");
    // What was delivered meanwhile is not compressed yet.
    let new: u64 = 64 << 10;
    assert!(left < least * 3 / 2 + new, "{left} for {least}");
    place.mail.close().await.unwrap();
    drop(account);
    let place = Place::open(dir.path(), &form).await;
    let parts = ["log", "export", "index"];
    let after = parts.map(|part| size(&dir.path().join("meta").join(part)));
    println!("after the next start log, exports and index take {after:?}");
    // A small index is left as it is.
    let small = meta[2] < 4 << 20;
    assert!(small || after[2] < meta[2] / 2, "{meta:?} -> {after:?}");
    let problems = place.mail.check(true).await.unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
    place.mail.close().await.unwrap();
}

/// How long a client waits for what it asks, in order.
struct Pace {
    delivery: Vec<Duration>,
    reading: Vec<Duration>,
}

impl Pace {
    /// Delivers and reads in turn, at least `least` times and until `stop`.
    async fn measure(
        place: &Place,
        account: &Account,
        inbox: MailboxId,
        seed: u64,
        stop: &AtomicBool,
        least: usize,
    ) -> Self {
        let (mut delivery, mut reading) = (Vec::new(), Vec::new());
        let selected = account.select(inbox).await.unwrap();
        let rows: Vec<_> = selected.view().rows().map(|row| row.email).collect();
        for n in 0.. {
            let message = format!("Subject: {seed} {n}\r\n\r\nSmall\r\n").into_bytes();
            let start = Instant::now();
            place.deliver(account, inbox, message).await;
            delivery.push(start.elapsed());
            // As FETCH does: twenty messages at once.
            let start = Instant::now();
            let ids: Vec<_> = rows.iter().cycle().skip(n * 20).take(20).copied().collect();
            let emails = account.emails(&ids).await.unwrap();
            let emails: Vec<_> = emails.iter().flatten().collect();
            for content in place.mail.contents(&emails).await {
                content.unwrap();
            }
            reading.push(start.elapsed());
            if delivery.len() >= least && stop.load(Ordering::SeqCst) {
                break;
            }
        }
        delivery.sort_unstable();
        reading.sort_unstable();
        Self { delivery, reading }
    }

    fn tell(&self, alone: &Self) {
        let pairs = [
            ("a delivery", &self.delivery, &alone.delivery),
            ("20 messages", &self.reading, &alone.reading),
        ];
        for (what, beside, alone) in pairs {
            for (name, percent) in [("p50", 50), ("p99", 99)] {
                let of = |times: &[Duration]| times[times.len() * percent / 100];
                let (beside, alone) = (of(beside), of(alone));
                let ratio = beside.as_secs_f64() / alone.as_secs_f64();
                println!("{what}, {name}: {beside:?} beside, {alone:?} alone, {ratio:.2} times");
            }
        }
    }
}
