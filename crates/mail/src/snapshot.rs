//! A view on disk: its chunks, and the journal entries since. Opening a cold mailbox reads both.

use crate::chunk::Chunk;
use crate::codec::{Decoder, Encoder};
use crate::journal::{Assembler, JournalEntry, decode_uids, encode_uids, parts};
use crate::{Boxed, MailError, View, keys};
use bytes::Bytes;
use std::sync::Arc;
use storage::{Batch, MetaStore, Scan};
use types::{AccountId, Keyword, MailboxId, ModSeq, UidSet, UidValidity};

const VERSION: u8 = 1;
/// Entries of a first page. Most ranges are empty or short, a POP3 login looks through one, and a
/// store reads so few entries at once: the way to a thread that may block costs more.
const FIRST_PAGE: usize = 8;

/// What a snapshot header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Header {
    modseq: u64,
    uid_next: u32,
    keywords: Vec<Keyword>,
    /// Expunges up to this modseq have been forgotten.
    floor: u64,
}

impl Header {
    fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        e.uint(self.modseq);
        e.uint(self.uid_next.into());
        e.uint(self.floor);
        e.uint(self.keywords.len() as u64);
        for keyword in &self.keywords {
            e.bytes(keyword.as_str().as_bytes());
        }
        e.0.into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "snapshot header");
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        let (modseq, uid_next, floor) = (d.uint()?, d.u32()?, d.uint()?);
        let keywords = (0..d.count()?)
            .map(|_| Keyword::new(d.str()?).map_err(|_| d.damaged()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            modseq,
            uid_next,
            keywords,
            floor,
        })
    }
}

/// A chunk as it lies on disk, by the uid in its key.
pub(crate) type Saved = Vec<(u32, Arc<Chunk>)>;

/// A mailbox read from disk.
pub(crate) struct Loaded {
    pub(crate) view: View,
    pub(crate) saved: Saved,
    /// Bytes of journal behind the snapshot.
    pub(crate) journal_bytes: usize,
}

/// How often a mailbox is read again because a snapshot was written meanwhile.
const READS: usize = 64;

/// Reads a mailbox: its snapshot and the journal behind it, up to the newest entry.
pub(crate) fn load(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    uid_validity: UidValidity,
) -> Boxed<'_, Loaded> {
    Box::pin(async move {
        for _ in 0..READS {
            let header = meta.get(account, &keys::snapshot(mailbox)).await?;
            let loaded = load_once(meta, account, mailbox, uid_validity, header.as_ref()).await;
            // A snapshot written meanwhile has moved chunks and journal under our hands.
            if meta.get(account, &keys::snapshot(mailbox)).await? == header {
                return loaded;
            }
        }
        Err(crate::messages::contention())
    })
}

async fn load_once(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    uid_validity: UidValidity,
    header: Option<&Bytes>,
) -> Result<Loaded, MailError> {
    let mut view = View::empty(uid_validity);
    let mut saved = Saved::new();
    if let Some(bytes) = header {
        let header = Header::decode(bytes)?;
        let damaged = || MailError::corrupt("damaged snapshot header");
        view.modseq = ModSeq::new(header.modseq).ok_or_else(damaged)?;
        view.uid_next = header.uid_next;
        view.keywords = Arc::new(header.keywords);
        each(meta, account, keys::chunks(mailbox), |(key, value)| {
            let first = key.get(9..13).and_then(|k| k.first_chunk().copied());
            let first = u32::from_be_bytes(first.ok_or_else(damaged)?);
            let chunk = Arc::new(decode_chunk(value)?);
            saved.push((first, chunk.clone()));
            view.chunks.push(chunk);
            Ok(())
        })
        .await?;
        view.recount();
    }
    let since = view.modseq.get();
    let journal_bytes = replay(meta, account, mailbox, since, |modseq, entry| {
        view.apply(modseq, &entry.change)
    })
    .await?;
    Ok(Loaded {
        view,
        saved,
        journal_bytes,
    })
}

/// Calls `f` for each journal entry after `since`, in order. Returns the bytes read.
pub(crate) async fn replay(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    since: u64,
    mut f: impl FnMut(ModSeq, JournalEntry) -> Result<(), MailError>,
) -> Result<usize, MailError> {
    let (mut assembler, mut bytes) = (Assembler::default(), 0);
    each(
        meta,
        account,
        keys::journal_after(mailbox, since),
        |entry| {
            bytes += entry.1.len();
            match assembler.feed(entry)? {
                Some((modseq, whole)) => f(modseq, JournalEntry::decode(&whole, modseq)?),
                None => Ok(()),
            }
        },
    )
    .await?;
    Ok(bytes)
}

/// Calls `f` for each entry of a range, page by page; the first page is a short one.
pub(crate) async fn each(
    meta: &dyn MetaStore,
    account: AccountId,
    mut scan: Scan,
    mut f: impl FnMut(&storage::Entry) -> Result<(), MailError>,
) -> Result<(), MailError> {
    let page = scan.limit;
    scan.limit = page.min(FIRST_PAGE);
    loop {
        let read = meta.scan(account, scan.clone()).await?;
        read.entries.iter().try_for_each(&mut f)?;
        match read.entries.last() {
            Some((last, _)) if read.more => scan.start = after(last),
            _ => return Ok(()),
        }
        scan.limit = page;
    }
}

/// The least key above `key`.
pub(crate) fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// Writes `view` as the mailbox's snapshot: the chunks that differ from what lies on disk, and
/// moves the journal it covers out of the way. Returns what lies on disk now.
///
/// # Errors
/// `Unavailable` with a conflict when another process wrote a snapshot first; nothing is lost then.
pub(crate) async fn save(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    view: &View,
    saved: &Saved,
    keep_expunges_since: i64,
) -> Result<Saved, MailError> {
    let mut batch = Batch::new();
    let key = keys::snapshot(mailbox);
    let mut floor = 0;
    match meta.get(account, &key).await? {
        Some(old) => {
            floor = Header::decode(&old)?.floor;
            batch.require(key.clone(), old);
        }
        None => {
            batch.require_absent(key.clone());
        }
    }
    let now: Saved = view
        .chunks
        .iter()
        .filter_map(|chunk| Some((chunk.first()?.get(), chunk.clone())))
        .collect();
    for (first, chunk) in saved {
        if now.binary_search_by_key(first, |(f, _)| *f).is_err() && !chunk.is_empty() {
            batch.delete(keys::chunk(mailbox, *first));
        }
    }
    for (first, chunk) in &now {
        let on_disk = saved.binary_search_by_key(first, |(f, _)| *f);
        if !on_disk.is_ok_and(|i| Arc::ptr_eq(&saved[i].1, chunk)) {
            batch.put(keys::chunk(mailbox, *first), encode_chunk(chunk));
        }
    }
    retire_journal(meta, account, mailbox, view.modseq.get(), &mut batch).await?;
    floor = forget(
        meta,
        account,
        mailbox,
        keep_expunges_since,
        floor,
        &mut batch,
    )
    .await?;
    let keywords = view.keywords.to_vec();
    let header = Header {
        modseq: view.modseq.get(),
        uid_next: view.uid_next,
        keywords,
        floor,
    };
    batch.put(key, header.encode());
    meta.commit(account, batch).await?.durable().await?;
    Ok(now)
}

/// Removes journal entries that a snapshot covers; what they expunged moves to the `v` keys.
async fn retire_journal(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    covered: u64,
    batch: &mut Batch,
) -> Result<(), MailError> {
    let mut scan = keys::journal_after(mailbox, 0);
    scan.end = Some(keys::journal(mailbox, covered.saturating_add(1), 0));
    let mut assembler = Assembler::default();
    each(meta, account, scan, |entry| {
        batch.delete(entry.0.clone());
        if let Some((modseq, whole)) = assembler.feed(entry)? {
            let entry = JournalEntry::decode(&whole, modseq)?;
            if let Some(uids) = entry.change.gone() {
                let mut e = Encoder::default();
                e.int(entry.at);
                encode_uids(&mut e, uids);
                for (part, key) in parts(&e.0, |part| keys::vanished(mailbox, modseq.get(), part)) {
                    batch.put(key, part);
                }
            }
        }
        Ok(())
    })
    .await
}

/// Drops vanished uids recorded before `keep_since` (seconds since 1970). Returns the new floor.
async fn forget(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    keep_since: i64,
    mut floor: u64,
    batch: &mut Batch,
) -> Result<u64, MailError> {
    // One page at a time is enough: old entries go a page with every snapshot.
    let page = meta.scan(account, keys::vanished_after(mailbox, 0)).await?;
    let (mut assembler, mut parts) = (Assembler::default(), Vec::new());
    for entry in &page.entries {
        parts.push(entry.0.clone());
        if let Some((modseq, whole)) = assembler.feed(entry)? {
            if Decoder::new(&whole, "vanished entry").int()? >= keep_since {
                break;
            }
            floor = modseq.get();
            for key in parts.drain(..) {
                batch.delete(key);
            }
        }
    }
    Ok(floor)
}

/// The uids expunged after `since`; `None` when that is further back than the mailbox remembers.
pub(crate) async fn vanished_since(
    meta: &dyn MetaStore,
    account: AccountId,
    mailbox: MailboxId,
    since: u64,
) -> Result<Option<UidSet>, MailError> {
    if let Some(bytes) = meta.get(account, &keys::snapshot(mailbox)).await?
        && since < Header::decode(&bytes)?.floor
    {
        return Ok(None);
    }
    let mut ranges = Vec::new();
    // The journal first: a snapshot written meanwhile moves expunges from there to the other keys.
    replay(meta, account, mailbox, since, |_, entry| {
        ranges.extend(entry.change.gone().into_iter().flat_map(UidSet::ranges));
        Ok(())
    })
    .await?;
    let mut assembler = Assembler::default();
    each(
        meta,
        account,
        keys::vanished_after(mailbox, since),
        |entry| {
            if let Some((_, whole)) = assembler.feed(entry)? {
                let mut d = Decoder::new(&whole, "vanished entry");
                d.int()?;
                ranges.extend(decode_uids(&mut d)?.ranges());
            }
            Ok(())
        },
    )
    .await?;
    Ok(Some(UidSet::from_ranges(ranges)))
}

fn encode_chunk(chunk: &Chunk) -> Bytes {
    let mut e = Encoder(Vec::with_capacity(chunk.len() * 14));
    e.byte(VERSION);
    chunk.encode(&mut e);
    e.0.into()
}

fn decode_chunk(bytes: &[u8]) -> Result<Chunk, MailError> {
    let mut d = Decoder::new(bytes, "snapshot chunk");
    if d.byte()? != VERSION {
        return Err(d.damaged());
    }
    Chunk::decode(&mut d)
}
