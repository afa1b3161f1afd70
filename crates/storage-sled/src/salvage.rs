//! Making a store of what can still be read of a damaged one, for `gatepost recover`: what it was
//! at one moment, as late as can be. Nothing behind damage is used: batches build upon each other.

use crate::export::Export;
use crate::options::Options;
use crate::rebuild::{Sources, set_aside};
use crate::recent::Index;
use crate::startup::{Known, Layout};
use crate::tail::{self, Tail};
use storage::StorageError;

/// The index brought up to the last moment that can be told, and the log cut there. `sources` names
/// the exports; `promised` is what the index must know, where it is one to be trusted.
///
/// # Errors
/// `Corrupt` when there is nothing to begin with. A damaged export was set aside then: it is worth
/// another try.
pub(crate) fn bring_up(
    layout: &Layout,
    options: &Options,
    sources: Sources<'_>,
    promised: u64,
) -> Result<(Tail, Index), StorageError> {
    if let Some(done) = from_index(layout, options, &sources, promised)? {
        return Ok(done);
    }
    let (tail, exports) = from_exports(layout, &sources)?;
    let sources = Sources {
        exports,
        ..sources.with(&tail)
    };
    let index = sources.rebuild(&layout.index, options)?;
    Ok((tail, index))
}

/// The index that is there, if it is that of one moment: alone, or with the log that follows it.
fn from_index(
    layout: &Layout,
    options: &Options,
    sources: &Sources<'_>,
    promised: u64,
) -> Result<Option<(Tail, Index)>, StorageError> {
    if !layout.index.exists() {
        return Ok(None);
    }
    let aside = |reason: String| {
        tracing::warn!(reason, "the index cannot be used");
        set_aside(&layout.index).map_err(|e| StorageError::io("set the index aside", &e))
    };
    let known = match Known::read(&layout.index, options, sources.store, promised) {
        Ok(known) => known,
        Err(reason) => return aside(reason).map(|()| None),
    };
    let Known { index, low, ahead } = known;
    let mut tail = tail::find_up_to_damage(&layout.log, sources.store, low)?;
    let follows = leads_on(&tail, low) && low < tail.next;
    let end = if follows { tail.next - 1 } else { low };
    if ahead > end {
        drop(index);
        let reason = format!("the index knows record {ahead}, the log ends at {end}");
        return aside(reason).map(|()| None);
    }
    if !follows {
        tail = tail::give_up(&layout.log, low + 1)?;
    }
    let sources = sources.with(&tail);
    sources.replay(&index, low)?;
    sources.complete(&index)?;
    Ok(Some((tail, index)))
}

/// The end of a log that is damaged somewhere, and the exports from which it can be reached with
/// all that lies between.
fn from_exports<'a>(
    layout: &Layout,
    sources: &Sources<'a>,
) -> Result<(Tail, &'a [Export]), StorageError> {
    let store = sources.store;
    for (i, export) in sources.exports.iter().enumerate() {
        let reaches = export.reaches(store);
        let reaches =
            reaches.map_err(|e| StorageError::io(format!("read {}", export.path.display()), &e))?;
        let Some(reaches) = reaches else { continue };
        let tail = tail::find_up_to_damage(&layout.log, store, export.from)?;
        if leads_on(&tail, export.from) && reaches < tail.next {
            return Ok((tail, &sources.exports[i..]));
        }
        if reaches == export.from {
            // Nothing was committed while it was written: it needs no log, and none fits to it.
            let tail = tail::give_up(&layout.log, export.from + 1)?;
            return Ok((tail, &sources.exports[i..]));
        }
    }
    Ok((tail::find_up_to_damage(&layout.log, store, 0)?, &[]))
}

/// Whether the log goes on where something ends that knows everything up to `known`.
fn leads_on(tail: &Tail, known: u64) -> bool {
    tail.segments
        .first()
        .map_or(tail.next, |segment| segment.first)
        <= known + 1
}
