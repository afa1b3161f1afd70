//! Which flags may be changed with which rights (RFC 4314 4): `\Seen` with s, `\Deleted` with t,
//! all others with w.

use crate::{FlagChange, MailError, MailErrorKind, View};
use types::{FlagOp, Flags, Keyword, Rights};

/// The flags that may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// System flags.
    pub flags: Flags,
    /// Whether keywords may.
    pub keywords: bool,
}

impl Permitted {
    /// What these rights permit.
    pub fn of(rights: Rights) -> Self {
        let others = Flags::ALL.without(Flags::SEEN.union(Flags::DELETED));
        let flags = [
            (Rights::SEEN, Flags::SEEN),
            (Rights::DELETE_MESSAGES, Flags::DELETED),
            (Rights::WRITE, others),
        ];
        Self {
            flags: flags
                .iter()
                .filter(|(right, _)| rights.contains(*right))
                .fold(Flags::NONE, |all, (_, flags)| all.union(*flags)),
            keywords: rights.contains(Rights::WRITE),
        }
    }

    fn are_all(self) -> bool {
        self.keywords && self.flags == Flags::ALL
    }

    /// Takes out of the flags of a new message what may not be set.
    pub(crate) fn keep(self, flags: &mut Flags, keywords: &mut Vec<Keyword>) {
        *flags = self.intersection(*flags);
        if !self.keywords {
            keywords.clear();
        }
    }

    fn intersection(self, flags: Flags) -> Flags {
        Flags(flags.0 & self.flags.0)
    }

    /// What may be made of a change to messages of `view`: one, or two to be made one after the
    /// other. `Denied` when the change is about flags of which none may be changed: with some,
    /// STORE should not fail.
    pub(crate) fn changes(
        self,
        change: &FlagChange,
        view: &View,
    ) -> Result<(FlagChange, Option<FlagChange>), MailError> {
        if self.are_all() {
            return Ok((change.clone(), None));
        }
        let part = |op, flags, keywords: &[Keyword]| {
            let mut part = FlagChange {
                op,
                flags,
                keywords: keywords.to_vec(),
            };
            self.keep(&mut part.flags, &mut part.keywords);
            part
        };
        let is_nothing =
            |change: &FlagChange| change.flags == Flags::NONE && change.keywords.is_empty();
        let (flags, keywords) = (change.flags, &change.keywords);
        let (first, then) = match change.op {
            // What may not be changed is kept.
            FlagOp::Replace => {
                let others: Vec<Keyword> = view
                    .keywords()
                    .iter()
                    .filter(|keyword| !keywords.contains(keyword))
                    .cloned()
                    .collect();
                let others = part(FlagOp::Remove, Flags::ALL.without(flags), &others);
                (part(FlagOp::Add, flags, keywords), Some(others))
            }
            op => (part(op, flags, keywords), None),
        };
        let is_about_something = change.op == FlagOp::Replace || !is_nothing(change);
        if is_about_something && is_nothing(&first) && then.as_ref().is_none_or(is_nothing) {
            return Err(MailError::new(
                MailErrorKind::Denied,
                "you do not have the right to change these flags",
            ));
        }
        Ok((first, then))
    }
}
