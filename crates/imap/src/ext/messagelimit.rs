//! MESSAGELIMIT and SAVELIMIT (RFC 9738): how many messages one command works on, at most. The
//! newest come first; the response code says where a command has stopped.
//!
//! What a command does about it stands in the command: FETCH, STORE, MOVE, UID EXPUNGE and SEARCH
//! do the newest, COPY and APPEND, which are atomic, and SORT and THREAD do nothing.

use super::*;
use crate::cmd::search::{Candidate, Cost, Key, SearchKey};
use crate::view::Selection;
use bytes::BytesMut;
use std::num::NonZeroU32;
use types::{Flags, Uid, UidSet};

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 9738",
    file: file!(),
    capabilities: &[
        Capability {
            name: "MESSAGELIMIT=",
            when: When::WithMessageLimit,
        },
        Capability {
            name: "SAVELIMIT=",
            when: When::WithSaveLimit,
        },
    ],
    search_keys: &[KEYS],
    ..Extension::EMPTY
};

/// RFC 9738 3.2: what lies on one side of a uid.
static KEYS: &[SearchKey] = &[
    SearchKey {
        name: "UIDAFTER",
        rfc: "RFC 9738 3.2",
        parse: |c, _| {
            let first = uid(c)?.next();
            Ok(Box::new(Side(first.map(|first| (first, Uid::MAX)))))
        },
    },
    SearchKey {
        name: "UIDBEFORE",
        rfc: "RFC 9738 3.2",
        parse: |c, _| {
            let last = Uid::new(uid(c)?.get() - 1);
            Ok(Box::new(Side(last.map(|last| (Uid::FIRST, last)))))
        },
    },
];

/// `SP uniqueid`
fn uid(c: &mut Cursor<'_>) -> Parsed<Uid> {
    c.sp()?;
    Uid::new(c.nz_number()?).ok_or(BadSyntax("expected a uid"))
}

/// A range of uids, both ends included; `None` for no uid at all.
struct Side(Option<(Uid, Uid)>);

impl Key for Side {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        let (uid, range) = (m.row.uid, self.0);
        Some(range.is_some_and(|(first, last)| (first..=last).contains(&uid)))
    }

    fn within(&self, _: &Selection) -> Option<UidSet> {
        let range = self.0.map(|(first, last)| UidSet::range(first, last));
        Some(range.unwrap_or_default())
    }
}

const TEXT: &str = "only the newest messages, repeat it for the others";

/// Where a command has stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    limit: NonZeroU32,
    /// The lowest uid it worked on.
    last: Uid,
}

impl Cut {
    /// When a command works on the newest of many only, down to `last`.
    pub(crate) fn at(limit: NonZeroU32, last: Option<Uid>) -> Option<Self> {
        last.map(|last| Self { limit, last })
    }

    /// For what does nothing rather than a part.
    pub(crate) fn refusal(self) -> Refusal {
        too_many(self.limit, None)
    }

    /// Untagged, when the tagged answer says something else.
    pub(crate) fn warn(self, out: &mut BytesMut) {
        out.raw(b"* NO ");
        self.code().write(out);
        out.text(TEXT).crlf();
    }

    fn code(self) -> Code {
        Code::MessageLimit(self.limit, Some(self.last))
    }
}

/// RFC 9738 3.1: those of `uids` that a command may work on, the newest, and where it stops then.
pub(crate) fn newest(uids: UidSet, cx: &mut Session) -> Result<(UidSet, Option<Cut>), Refusal> {
    let Some(limit) = cx.deps.limits.message_limit else {
        return Ok((uids, None));
    };
    let cut = cx.state.selection()?.newest(&uids, limit.get() as usize);
    Ok(match cut {
        Some((newest, last)) => (newest, Cut::at(limit, Some(last))),
        None => (uids, None),
    })
}

/// The same for UID EXPUNGE, of which only messages with `\Deleted` count.
pub(crate) fn newest_deleted(
    uids: UidSet,
    cx: &mut Session,
) -> Result<(UidSet, Option<Cut>), Refusal> {
    let limit = cx.deps.limits.message_limit;
    let Some(limit) = limit else {
        return Ok((uids, None));
    };
    let view = cx.state.selection()?.mailbox().view();
    if view.len() <= limit.get() as usize {
        return Ok((uids, None));
    }
    let rows = view.rows_in(&uids).map(|(_, row)| row);
    let deleted: Vec<Uid> = rows
        .filter(|row| row.flags.contains(Flags::DELETED))
        .map(|row| row.uid)
        .collect();
    Ok(match deleted.len().checked_sub(limit.get() as usize) {
        None | Some(0) => (uids, None),
        Some(first) => {
            let last = deleted.get(first).copied();
            let newest = UidSet::range(last.unwrap_or(Uid::FIRST), Uid::MAX);
            (uids.intersection(&newest), Cut::at(limit, last))
        }
    })
}

/// RFC 9738 3.1: an atomic command works on all of `uids` or on none.
pub(crate) fn all_or_none(uids: &UidSet, cx: &mut Session) -> Result<(), Refusal> {
    let Some(limit) = cx.deps.limits.saved_at_once() else {
        return Ok(());
    };
    let cut = cx.state.selection()?.newest(uids, limit.get() as usize);
    match cut {
        Some((_, last)) => Err(too_many(limit, Some(last))),
        None => Ok(()),
    }
}

/// What a command answers that does nothing for more than `limit` messages.
pub(crate) fn too_many(limit: NonZeroU32, last: Option<Uid>) -> Refusal {
    Refusal::no(
        Code::MessageLimit(limit, last),
        "too many messages for one command",
    )
}

/// The answer of a command that has stopped at `cut`.
pub(crate) fn answer(
    cut: Option<Cut>,
    answer: Result<Done, Refusal>,
    cx: &mut Session,
) -> Result<Done, Refusal> {
    let Some(cut) = cut else {
        return answer;
    };
    match answer {
        Ok(done) if done.code.is_none() => Ok(Done {
            code: Some(cut.code()),
            text: TEXT,
            ..done
        }),
        // RFC 9738 3.1: another code has the tagged answer for itself.
        other => {
            cut.warn(cx.wire.buffer());
            other
        }
    }
}
