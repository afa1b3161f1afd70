//! Keys that look at flags: ANSWERED ... UNSEEN, NEW OLD RECENT, KEYWORD UNKEYWORD.

use super::key::{Binding, Candidate, Cost, Key};
use super::{Cursor, Parsed, SearchKey};
use crate::grammar::BadSyntax;
use types::{Flags, Keyword, UidSet};

/// A row for a key that asks whether one system flag is there or not.
macro_rules! flag {
    ($name:literal, $flag:ident, $set:literal) => {
        SearchKey {
            name: $name,
            rfc: "RFC 3501 6.4.4",
            parse: |_, _| {
                Ok(Box::new(Flag {
                    flag: Flags::$flag,
                    set: $set,
                }))
            },
        }
    };
}

pub(crate) static KEYS: &[SearchKey] = &[
    flag!("ANSWERED", ANSWERED, true),
    flag!("DELETED", DELETED, true),
    flag!("DRAFT", DRAFT, true),
    flag!("FLAGGED", FLAGGED, true),
    flag!("SEEN", SEEN, true),
    flag!("UNANSWERED", ANSWERED, false),
    flag!("UNDELETED", DELETED, false),
    flag!("UNDRAFT", DRAFT, false),
    flag!("UNFLAGGED", FLAGGED, false),
    flag!("UNSEEN", SEEN, false),
    SearchKey {
        name: "RECENT",
        rfc: "RFC 3501 6.4.4",
        parse: |_, _| Ok(Box::new(Recent(|recent, _| recent))),
    },
    SearchKey {
        name: "OLD",
        rfc: "RFC 3501 6.4.4",
        parse: |_, _| Ok(Box::new(Recent(|recent, _| !recent))),
    },
    SearchKey {
        name: "NEW",
        rfc: "RFC 3501 6.4.4",
        parse: |_, _| {
            Ok(Box::new(Recent(|recent, flags| {
                recent && !flags.contains(Flags::SEEN)
            })))
        },
    },
    SearchKey {
        name: "KEYWORD",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| keyword(c, true),
    },
    SearchKey {
        name: "UNKEYWORD",
        rfc: "RFC 3501 6.4.4",
        parse: |c, _| keyword(c, false),
    },
];

/// `"KEYWORD" SP flag-keyword`
fn keyword(c: &mut Cursor<'_>, set: bool) -> Parsed<Box<dyn Key>> {
    c.sp()?;
    let atom = c.atom()?;
    let keyword = std::str::from_utf8(atom)
        .ok()
        .and_then(|name| Keyword::new(name).ok())
        .ok_or(BadSyntax("not a keyword"))?;
    Ok(Box::new(HasKeyword {
        keyword,
        set,
        bit: 0,
    }))
}

struct Flag {
    flag: Flags,
    set: bool,
}

impl Key for Flag {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some(m.row.flags.contains(self.flag) == self.set)
    }
}

struct Recent(fn(bool, Flags) -> bool);

impl Key for Recent {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some((self.0)(m.recent, m.row.flags))
    }
}

struct HasKeyword {
    keyword: Keyword,
    set: bool,
    /// 0 when no message has it.
    bit: u64,
}

impl Key for HasKeyword {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn bind(&mut self, to: &Binding<'_>) {
        self.bit = to.view.keyword_bit(&self.keyword).unwrap_or(0);
    }

    fn rebind(&mut self, to: &Binding<'_>, _: &mut UidSet) {
        self.bit = to.view.keyword_bit(&self.keyword).unwrap_or(0);
    }

    fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        Some((m.row.keywords & self.bit != 0) == self.set)
    }
}
