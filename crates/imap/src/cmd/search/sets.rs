//! Keys that name messages: ALL, sequence numbers, UID, and MODSEQ.

use super::key::{Binding, Candidate, Cost, Key};
use super::{Charset, Cursor, Parsed, SearchKey};
use crate::grammar::{BadSyntax, MessageSet};
use crate::view::Selection;
use types::UidSet;

pub(crate) static KEYS: &[SearchKey] = &[
    SearchKey {
        name: "ALL",
        rfc: "RFC 3501 6.4.4",
        parse: |_, _| Ok(all()),
    },
    SearchKey {
        name: "UID",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| {
            c.sp()?;
            Ok(Set::boxed(c.message_set(true)?))
        },
    },
    SearchKey {
        name: "MODSEQ",
        rfc: "RFC 7162 3.1.5",
        parse: modseq,
    },
];

/// Every message.
pub(crate) fn all() -> Box<dyn Key> {
    Box::new(All)
}

/// `sequence-set`
pub(crate) fn message_set(c: &mut Cursor<'_>) -> Parsed<Box<dyn Key>> {
    Ok(Set::boxed(c.message_set(false)?))
}

/// `search-modsequence = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer`
fn modseq(c: &mut Cursor<'_>, _: &Charset) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    // RFC 7162 3.1.5: a server with one mod-sequence for all metadata ignores the entry.
    if let Some(entry) = c.try_quoted()? {
        if !entry.to_ascii_lowercase().starts_with(b"/flags/") {
            return Err(BadSyntax("unknown metadata entry"));
        }
        c.sp()?;
        if ![b"shared", b"priv".as_slice(), b"all"]
            .iter()
            .any(|kind| c.eat_word(kind))
        {
            return Err(BadSyntax("expected shared, priv or all"));
        }
        c.sp()?;
    }
    let from = c.number64()?;
    let than = from.saturating_sub(1);
    Ok(Box::new(ModSeq { than, after: than }))
}

struct All;

impl Key for All {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, _: &Candidate<'_>) -> Option<bool> {
        Some(true)
    }
}

struct Set {
    set: MessageSet,
    uids: UidSet,
}

impl Set {
    fn boxed(set: MessageSet) -> Box<dyn Key> {
        Box::new(Self {
            set,
            uids: UidSet::new(),
        })
    }
}

impl Key for Set {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn bind(&mut self, to: &Binding<'_>) {
        self.uids = to.selection.resolve_within(&self.set);
    }

    fn rebind(&mut self, to: &Binding<'_>, affected: &mut UidSet) {
        // RFC 5267 4.3: sequence numbers mean what they meant when the command came. So does `$`.
        let MessageSet::Uid(_) = &self.set else {
            return;
        };
        let uids = to.selection.resolve_within(&self.set);
        let changed = self
            .uids
            .difference(&uids)
            .union(&uids.difference(&self.uids));
        *affected = affected.union(&changed);
        self.uids = uids;
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some(self.uids.contains(m.row.uid))
    }

    fn within(&self, selection: &Selection) -> Option<UidSet> {
        Some(selection.resolve_within(&self.set))
    }

    fn is_by_number(&self) -> bool {
        matches!(self.set, MessageSet::Seq(_))
    }
}

struct ModSeq {
    /// As the client said it.
    than: u64,
    /// What that means in the mailbox.
    after: u64,
}

impl Key for ModSeq {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn bind(&mut self, to: &Binding<'_>) {
        self.after = to.selection.mailbox().effective_since(self.than);
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some(m.row.modseq.get() > self.after)
    }

    fn is_modseq(&self) -> bool {
        true
    }
}
