//! What can be sorted by.

use super::{BadSyntax, Cursor, Parsed};
use mail::{Facts, Row, Text};

/// A key, by its name.
pub(super) struct SortKey {
    /// Upper case.
    name: &'static str,
    source: Source,
}

/// Where the value of a key comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The mailbox.
    Row(fn(&Row) -> i64),
    /// The message, else the mailbox.
    Facts(fn(&Row, Option<&Facts>) -> i64),
    /// The message.
    Text(Text),
    /// How well the message matches.
    Score,
}

/// `sort-criterion = ["REVERSE" SP] sort-key`
pub(super) struct Criterion {
    key: &'static SortKey,
    /// Descending.
    pub(super) reverse: bool,
}

static KEYS: &[SortKey] = &[
    // RFC 5256 3.
    key("ARRIVAL", Source::Row(|row| row.internal_date)),
    key("CC", Source::Text(Text::Cc)),
    key("DATE", Source::Facts(sent_date)),
    key("FROM", Source::Text(Text::From)),
    key("SIZE", Source::Row(|row| row.size.into())),
    key("SUBJECT", Source::Text(Text::BaseSubject)),
    key("TO", Source::Text(Text::To)),
    // RFC 5957 4.
    key("DISPLAYFROM", Source::Text(Text::DisplayFrom)),
    key("DISPLAYTO", Source::Text(Text::DisplayTo)),
    // RFC 6203 6.
    key("RELEVANCY", Source::Score),
    // Cyrus.
    key(
        "MODSEQ",
        Source::Row(|row| i64::try_from(row.modseq.get()).unwrap_or(i64::MAX)),
    ),
    key("UID", Source::Row(|row| row.uid.get().into())),
];

const fn key(name: &'static str, source: Source) -> SortKey {
    SortKey { name, source }
}

/// `sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"`
pub(super) fn parse(c: &mut Cursor<'_>) -> Parsed<Vec<Criterion>> {
    let mut criteria: Vec<Criterion> = Vec::with_capacity(KEYS.len());
    c.list(false, |c| {
        let reverse = c.eat_word(b"REVERSE");
        if reverse {
            c.sp()?;
        }
        let name = c.atom()?;
        let key = KEYS
            .iter()
            .find(|key| key.name.as_bytes().eq_ignore_ascii_case(name))
            .ok_or(BadSyntax("unknown sort key"))?;
        // Messages that differ in a key have been told apart by it the first time.
        if !criteria.iter().any(|earlier| earlier.key.name == key.name) {
            criteria.push(Criterion { key, reverse });
        }
        Ok(())
    })?;
    Ok(criteria)
}

impl Criterion {
    pub(super) fn source(&self) -> Source {
        self.key.source
    }

    /// Whether it is another for a message whose flags change.
    pub(super) fn is_of_flags(&self) -> bool {
        self.key.name == "MODSEQ" || self.needs_scores()
    }

    /// Whether what the mailbox knows is not enough.
    pub(super) fn needs_facts(&self) -> bool {
        !matches!(self.key.source, Source::Row(_) | Source::Score)
    }

    /// Whether it must be known how well messages match.
    pub(super) fn needs_scores(&self) -> bool {
        matches!(self.key.source, Source::Score)
    }
}

/// RFC 5256 2.2: INTERNALDATE when the Date field cannot be read.
pub(crate) fn sent_date(row: &Row, facts: Option<&Facts>) -> i64 {
    facts
        .and_then(|facts| facts.sent)
        .unwrap_or(row.internal_date)
}
