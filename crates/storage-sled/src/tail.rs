//! Finding where the log ends, and telling a torn tail from damage.
//!
//! After a power loss anything may be missing that had not been synced, in any order. After a crash
//! of the process nothing is missing but the end of the last write. Both are cut off. Every record
//! says how far the log was durable when it was written: where a record is unsound although
//! something says that it was durable once, the disk has lost it, and that is reported instead.

use crate::files;
use crate::segment::{HEADER, Reader, Segment, StoreId};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use storage::{ErrorKind, StorageError};

/// Where the log ends.
pub(crate) struct Tail {
    /// The segments, oldest first.
    pub(crate) segments: Vec<Segment>,
    /// The sequence of the next record to be written.
    pub(crate) next: u64,
}

/// Finds the end of the log in `dir`, cuts off what follows it, and makes what is left durable.
/// Segments that hold nothing behind `known` are not read: the caller knows that those are durable.
///
/// # Errors
/// `Corrupt`, naming file and offset, when a record is damaged or gone that was durable once.
pub(crate) fn find(dir: &Path, store: &StoreId, known: u64) -> Result<Tail, StorageError> {
    find_or_give_up(dir, store, known, false)
}

/// The same, taking damage for the end: what was behind it is cut off although it was durable.
pub(crate) fn find_up_to_damage(
    dir: &Path,
    store: &StoreId,
    known: u64,
) -> Result<Tail, StorageError> {
    find_or_give_up(dir, store, known, true)
}

/// No log at all: what is there is removed, and `next` is the first record of a new one.
pub(crate) fn give_up(dir: &Path, next: u64) -> Result<Tail, StorageError> {
    let segments = Segment::list(dir).map_err(|e| StorageError::io("list the log", &e))?;
    drop_behind(dir, &segments, [].iter(), 0, None)
        .map_err(|e| StorageError::io("remove the log", &e))?;
    Ok(Tail {
        segments: Vec::new(),
        next,
    })
}

fn find_or_give_up(
    dir: &Path,
    store: &StoreId,
    known: u64,
    gives_up: bool,
) -> Result<Tail, StorageError> {
    let mut segments = Segment::list(dir).map_err(|e| StorageError::io("list the log", &e))?;
    let Some(newest) = segments.len().checked_sub(1) else {
        return match gives_up {
            true => Ok(Tail {
                segments,
                next: known.saturating_add(1),
            }),
            false => empty(known),
        };
    };
    let start = segments.partition_point(|s| s.first <= known.saturating_add(1));
    let start = start.saturating_sub(1);
    let mut at = start;
    let mut next = segments[at].first;
    let mut end = None;
    // Where the oldest of those segments holds what is not known to be durable.
    let mut unsure = 0;
    loop {
        let segment = &segments[at];
        let Some(header) = segment.header(store)? else {
            refuse_foreign(segment, store)?;
            break;
        };
        if header.first != next {
            // What should be before it was at the end of the segment before.
            break;
        }
        let mut reader = Reader::new(segment, &header)?;
        while reader.record()?.is_some() {
            if at == start && reader.next() <= known.saturating_add(1) {
                unsure = reader.offset();
            }
        }
        next = reader.next();
        let goes_on = segments.get(at + 1).is_some_and(|s| s.first == next);
        end = Some(reader);
        if at == newest || !goes_on {
            break;
        }
        at += 1;
        end = None;
    }
    if !gives_up {
        refuse_damage(&segments[at..], end.as_ref(), store, next, known)?;
    }
    // A segment without a record goes too: the next one will have its name.
    let offset = end.map_or(0, |reader| reader.offset());
    let keep = at + usize::from(offset > HEADER as u64);
    let kept = segments[start..keep].iter();
    let ends = (keep > at).then_some(offset);
    drop_behind(dir, &segments[keep..], kept, unsure, ends)
        .map_err(|e| StorageError::io(format!("cut the log at record {next}"), &e))?;
    segments.truncate(keep);
    Ok(Tail { segments, next })
}

fn empty(known: u64) -> Result<Tail, StorageError> {
    if known > 0 {
        return Err(StorageError::corrupt(format!(
            "the commit log is gone, it held at least {known} records"
        )));
    }
    Ok(Tail {
        segments: Vec::new(),
        next: 1,
    })
}

/// A whole header of another store is no torn tail.
fn refuse_foreign(segment: &Segment, store: &StoreId) -> Result<(), StorageError> {
    match segment.any_header()? {
        Some(header) if header.store != *store => Err(StorageError::new(
            ErrorKind::Incompatible,
            format!("{} belongs to another store", segment.path.display()),
        )),
        _ => Ok(()),
    }
}

/// Fails when something says that record `next` was durable: `known`, or what was written behind
/// it. `rest` begins with the segment the log ends in; `end` stands where its sound records end.
fn refuse_damage(
    rest: &[Segment],
    end: Option<&Reader>,
    store: &StoreId,
    next: u64,
    known: u64,
) -> Result<(), StorageError> {
    let mut durable = known;
    if let Some(reader) = end {
        durable = durable.max(reader.evidence_behind()?);
    }
    for segment in rest.iter().skip(usize::from(end.is_some())) {
        let Some(header) = segment.header(store)? else {
            continue;
        };
        durable = durable.max(header.synced);
        let mut reader = Reader::new(segment, &header)?;
        while let Some((head, _)) = reader.record()? {
            durable = durable.max(head.synced);
        }
        durable = durable.max(reader.evidence_behind()?);
    }
    if durable < next {
        return Ok(());
    }
    let path = rest.first().map(|s| s.path.display().to_string());
    Err(StorageError::corrupt(format!(
        "log segment {} is damaged at offset {}: record {next} is unreadable although everything up to \
         {durable} was durable",
        path.unwrap_or_default(),
        end.map_or(0, Reader::offset),
    )))
}

/// Removes the segments of `gone`, newest first so that no gap can be left, ends the last one of
/// `kept` at `offset`, and makes the result durable, the oldest one from `unsure` on.
fn drop_behind<'a>(
    dir: &Path,
    gone: &[Segment],
    kept: impl DoubleEndedIterator<Item = &'a Segment>,
    unsure: u64,
    mut offset: Option<u64>,
) -> io::Result<()> {
    for segment in gone.iter().rev() {
        files::remove(&segment.path)?;
    }
    let mut kept = kept.rev().peekable();
    while let Some(segment) = kept.next() {
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&segment.path);
        let file = open?;
        if let Some(offset) = offset.take() {
            file.set_len(offset)?;
        }
        // The run before may have ended because a sync failed.
        files::write_anew(&file, if kept.peek().is_none() { unsure } else { 0 })?;
        file.sync_all()?;
    }
    files::sync_dir(dir)
}
