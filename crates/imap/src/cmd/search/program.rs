//! Keys joined by AND, OR and NOT: reading them without recursion, deciding with what is known.

use super::key::{Binding, Candidate, Cost, Key};
use super::{Charset, Cursor, Parsed};
use crate::grammar::BadSyntax;
use crate::refusal::Refusal;
use crate::registry;
use crate::view::{Rows, Selection};
use types::{Uid, UidSet};

/// Keys of one SEARCH.
pub(crate) const MAX_KEYS: usize = 2048;
/// How deeply AND, OR and NOT may alternate; chains of one kind count once.
const MAX_DEPTH: u32 = 64;

/// What is looked for.
pub(crate) struct Program {
    pub(crate) query: Query,
    /// Whether FUZZY was said (RFC 6203), even of keys that are always exact.
    pub(crate) fuzzy: bool,
}

/// Search keys and how they are joined.
pub(crate) enum Query {
    /// A single key.
    Key(Box<dyn Key>),
    /// All of them, cheap ones first.
    And(Vec<Self>),
    /// One of them at least, cheap ones first.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
}

/// What is read and waits for what follows.
enum Open {
    Not,
    Fuzzy,
    /// The first alternative, once it is there.
    Or(Option<Query>),
    Group(Vec<Query>),
}

/// `search-key *(SP search-key)`: a message must match them all.
pub(crate) fn parse(c: &mut Cursor<'_>, charset: &Charset) -> Parsed<Program> {
    let mut fuzzy = false;
    let mut open = vec![Open::Group(Vec::new())];
    let mut count = 0;
    loop {
        count += 1;
        if count > MAX_KEYS {
            return Err(BadSyntax("too many search keys"));
        }
        if c.eat(b"(") {
            open.push(Open::Group(Vec::new()));
            continue;
        }
        if c.eat_word(b"NOT") {
            c.sp()?;
            open.push(Open::Not);
            continue;
        }
        // RFC 6203 7: `search-key =/ "FUZZY" SP search-key`.
        if c.eat_word(b"FUZZY") {
            c.sp()?;
            open.push(Open::Fuzzy);
            fuzzy = true;
            continue;
        }
        if c.eat_word(b"OR") {
            c.sp()?;
            open.push(Open::Or(None));
            continue;
        }
        let mut done = Query::Key(key(c, charset)?);
        // What was waiting for this key may be complete now, and what waited for that.
        loop {
            match open.pop() {
                Some(Open::Not) => done = Query::not(done),
                Some(Open::Fuzzy) => done = done.into_fuzzy(),
                Some(Open::Or(Some(first))) => done = Query::or(first, done),
                Some(Open::Or(None)) => {
                    c.sp()?;
                    open.push(Open::Or(Some(done)));
                    break;
                }
                Some(Open::Group(mut keys)) => {
                    keys.push(done);
                    if c.eat(b" ") {
                        open.push(Open::Group(keys));
                        break;
                    }
                    done = Query::and(keys);
                    if open.is_empty() {
                        done.check_depth()?;
                        return Ok(Program { query: done, fuzzy });
                    }
                    c.expect(b")", "expected a space or a closing parenthesis")?;
                }
                None => return Err(BadSyntax("unexpected end of the search")),
            }
        }
    }
}

fn key(c: &mut Cursor<'_>, charset: &Charset) -> Parsed<Box<dyn Key>> {
    let is_set = |b: u8| b.is_ascii_digit() || matches!(b, b'*' | b'$');
    if c.peek().is_some_and(is_set) {
        return super::sets::message_set(c);
    }
    let name = c.take_while1(|b| b.is_ascii_alphanumeric(), "expected a search key")?;
    let row = registry::search_key(name).ok_or(BadSyntax("unknown search key"))?;
    (row.parse)(c, charset)
}

impl Query {
    fn not(inner: Self) -> Self {
        match inner {
            Self::Not(inner) => *inner,
            inner => Self::Not(Box::new(inner)),
        }
    }

    fn or(first: Self, second: Self) -> Self {
        let mut all = Vec::new();
        for query in [first, second] {
            match query {
                Self::Or(more) => all.extend(more),
                query => all.push(query),
            }
        }
        Self::Or(all)
    }

    fn and(keys: Vec<Self>) -> Self {
        let mut all = Vec::with_capacity(keys.len());
        for query in keys {
            match query {
                Self::And(more) => all.extend(more),
                query => all.push(query),
            }
        }
        match (all.len(), all.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                all.extend(last);
                Self::And(all)
            }
        }
    }

    /// The same with fuzzy keys, but for those under NOT: what is to be left out is left out
    /// exactly.
    pub(crate) fn into_fuzzy(self) -> Self {
        match self {
            Self::Key(key) => Self::Key(key.to_fuzzy().unwrap_or(key)),
            Self::Not(inner) => Self::Not(inner),
            Self::And(all) => Self::And(all.into_iter().map(Self::into_fuzzy).collect()),
            Self::Or(all) => Self::Or(all.into_iter().map(Self::into_fuzzy).collect()),
        }
    }

    /// The recursions below are as deep as this allows; this one counts on a stack of its own.
    pub(crate) fn check_depth(&self) -> Parsed<()> {
        let mut waiting = vec![(self, 0)];
        while let Some((query, depth)) = waiting.pop() {
            if depth > MAX_DEPTH {
                return Err(BadSyntax("search keys are nested too deeply"));
            }
            match query {
                Self::Key(_) => {}
                Self::Not(inner) => waiting.push((inner, depth + 1)),
                Self::And(all) | Self::Or(all) => {
                    waiting.extend(all.iter().map(|query| (query, depth + 1)));
                }
            }
        }
        Ok(())
    }

    /// The same with other queries in place of the keys.
    ///
    /// # Errors
    /// The first that `with` gives.
    pub(crate) fn replace(
        self,
        with: &mut dyn FnMut(Box<dyn Key>) -> Result<Self, Refusal>,
    ) -> Result<Self, Refusal> {
        Ok(match self {
            Self::Key(key) => with(key)?,
            Self::Not(inner) => Self::not(inner.replace(with)?),
            Self::And(all) => {
                let all: Result<_, _> = all.into_iter().map(|one| one.replace(with)).collect();
                Self::and(all?)
            }
            Self::Or(all) => {
                let mut flat = Vec::with_capacity(all.len());
                for one in all {
                    match one.replace(with)? {
                        Self::Or(more) => flat.extend(more),
                        one => flat.push(one),
                    }
                }
                Self::Or(flat)
            }
        })
    }

    /// Binds all keys, and puts those first that cost least.
    pub(crate) fn bind(&mut self, to: &Binding<'_>) {
        match self {
            Self::Key(key) => key.bind(to),
            Self::Not(inner) => inner.bind(to),
            Self::And(all) | Self::Or(all) => {
                all.sort_by_key(Self::cost);
                all.iter_mut().for_each(|query| query.bind(to));
            }
        }
    }

    /// See [`Key::rebind`].
    pub(crate) fn rebind(&mut self, to: &Binding<'_>, affected: &mut UidSet) {
        match self {
            Self::Key(key) => key.rebind(to, affected),
            Self::Not(inner) => inner.rebind(to, affected),
            Self::And(all) | Self::Or(all) => {
                all.iter_mut().for_each(|query| query.rebind(to, affected));
            }
        }
    }

    /// What deciding may take.
    pub(crate) fn cost(&self) -> Cost {
        match self {
            Self::Key(key) => key.cost(),
            Self::Not(inner) => inner.cost(),
            Self::And(all) | Self::Or(all) => all.iter().map(Self::cost).max().unwrap_or(Cost::Row),
        }
    }

    /// Whether the message matches; `None` when that takes more than what is loaded.
    pub(crate) fn test(&self, m: &Candidate<'_>) -> Option<bool> {
        match self {
            Self::Key(key) => key.test(m),
            Self::Not(inner) => inner.test(m).map(|matches| !matches),
            Self::And(all) => decide(all, m, false),
            Self::Or(all) => decide(all, m, true),
        }
    }

    /// How well a message that matches does so: the mean of all keys that must match, the best of
    /// alternatives; see [`Key::score`].
    pub(crate) fn score(&self, m: &Candidate<'_>) -> Option<Option<u8>> {
        match self {
            Self::Key(key) => key.score(m),
            Self::Not(_) => Some(None),
            Self::And(all) => {
                let (mut sum, mut count) = (0u32, 0u32);
                for query in all {
                    if let Some(score) = query.score(m)? {
                        sum += u32::from(score);
                        count += 1;
                    }
                }
                let mean = sum.checked_div(count).map(u8::try_from);
                Some(mean.and_then(Result::ok))
            }
            Self::Or(all) => {
                let mut best = None;
                for query in all {
                    if query.test(m)? {
                        best = best.max(query.score(m)?);
                    }
                }
                Some(best)
            }
        }
    }

    /// Whether one of the keys is such a one.
    pub(crate) fn any(&self, such: &dyn Fn(&dyn Key) -> bool) -> bool {
        match self {
            Self::Key(key) => such(&**key),
            Self::Not(inner) => inner.any(such),
            Self::And(all) | Self::Or(all) => all.iter().any(|query| query.any(such)),
        }
    }

    /// Calls `f` with all keys.
    pub(crate) fn each(&self, f: &mut dyn FnMut(&dyn Key)) {
        match self {
            Self::Key(key) => f(&**key),
            Self::Not(inner) => inner.each(f),
            Self::And(all) | Self::Or(all) => all.iter().for_each(|query| query.each(f)),
        }
    }

    /// The messages that are worth a look.
    pub(crate) fn candidates(&self, selection: &Selection) -> Rows {
        let mut uids = UidSet::range(Uid::FIRST, Uid::MAX);
        let keys = match self {
            Self::And(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        for query in keys {
            if let Self::Key(key) = query
                && let Some(within) = key.within(selection)
            {
                uids = uids.intersection(&within);
            }
        }
        selection.rows(&uids)
    }
}

/// `settles` as soon as one of the queries says so; the opposite when all others do.
fn decide(all: &[Query], m: &Candidate<'_>, settles: bool) -> Option<bool> {
    let mut known = true;
    for query in all {
        match query.test(m) {
            Some(result) if result == settles => return Some(settles),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!settles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed<String> {
        let mut c = Cursor::of(text.as_bytes());
        let program = parse(&mut c, &Charset::default())?;
        c.end()?;
        Ok(shape(&program.query))
    }

    /// Keys as their cost: r(ow), d(igest), h(eader), b(ody).
    fn shape(query: &Query) -> String {
        let join = |all: &[Query], with: &str| {
            let shapes: Vec<String> = all.iter().map(shape).collect();
            format!("({})", shapes.join(with))
        };
        match query {
            Query::Key(key) => match key.cost() {
                Cost::Row => "r",
                Cost::Digest => "d",
                Cost::Header => "h",
                Cost::Body => "b",
            }
            .to_owned(),
            Query::And(all) => join(all, "&"),
            Query::Or(all) => join(all, "|"),
            Query::Not(inner) => format!("!{}", shape(inner)),
        }
    }

    #[test]
    fn malformed_searches_are_refused() {
        for text in [
            "",
            " ",
            "(",
            ")",
            "()",
            "(SEEN",
            "SEEN)",
            "SEEN  SEEN",
            "SEEN ",
            "( SEEN)",
            "(SEEN )",
            "NOT",
            "NOT ",
            "NOT NOT",
            "OR",
            "OR SEEN",
            "OR SEEN ",
            "OR(SEEN) SEEN",
            "ORSEEN SEEN",
            "SEENX",
            "KEYWORD",
            "KEYWORD (x)",
            "UID",
            "UID 0",
            "1:",
            "LARGER",
            "LARGER -1",
            "SMALLER 4294967296",
            "BEFORE",
            "BEFORE 1-Foo-2020",
            "ON \"1-Jan-2020",
            "OLDER 0",
            "MODSEQ x",
            "MODSEQ \"/flags/x\" 1",
            "SUBJECT",
            "SUBJECT ",
            "SUBJECT \"",
            "HEADER x",
            "HEADER \"\" x",
            "FUZZY",
            "FUZZY ",
            "FUZZYSEEN",
            "FUZZY (SEEN",
            "RETURN (ALL) SEEN",
            "CHARSET utf-8 SEEN",
        ] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn keys_are_joined_as_written_and_chains_are_flat() {
        for (text, expected) in [
            ("SEEN", "r"),
            ("((SEEN))", "r"),
            ("seen SUBJECT x", "(r&d)"),
            ("SEEN (BODY x (FROM x UID 1))", "(r&b&d&r)"),
            ("OR SEEN BODY x", "(r|b)"),
            ("OR OR SEEN BODY x OR 1 TEXT x", "(r|b|r|b)"),
            ("OR (SEEN 1) NOT (SEEN 2)", "((r&r)|!(r&r))"),
            ("NOT NOT NOT HEADER X-Other x", "!h"),
            ("NOT OR SEEN SEEN SEEN", "(!(r|r)&r)"),
            (
                "FUZZY FUZZY (SUBJECT x SEEN) OR 1 FUZZY TEXT x",
                "(d&r&(r|b))",
            ),
            ("HEADER Subject x 1:5,* BODY \"\"", "(d&r&r)"),
        ] {
            assert_eq!(parsed(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_unknown_stays_open_until_it_matters() {
        struct Fixed(Option<bool>);
        impl Key for Fixed {
            fn cost(&self) -> Cost {
                Cost::Row
            }
            fn test(&self, _: &Candidate<'_>) -> Option<bool> {
                self.0
            }
        }
        let cases = [
            (Some(true), Some(true), Some(true), Some(true)),
            (Some(true), Some(false), Some(false), Some(true)),
            (Some(false), Some(false), Some(false), Some(false)),
            (Some(true), None, None, Some(true)),
            (Some(false), None, Some(false), None),
            (None, None, None, None),
        ];
        let row = mail::Row {
            uid: Uid::FIRST,
            flags: types::Flags::NONE,
            keywords: 0,
            modseq: types::ModSeq::FIRST,
            size: 0,
            crlf_extra: 0,
            internal_date: 0,
            saved: 0,
            email: types::EmailId(1),
            uidl: 1,
            hidden: mail::Hidden::NO,
        };
        let message = Candidate {
            row: &row,
            recent: false,
            gist: None,
            email: None,
            content: None,
        };
        let key = |value| Query::Key(Box::new(Fixed(value)));
        for (a, b, and, or) in cases {
            for (a, b) in [(a, b), (b, a)] {
                let both = Query::and(vec![key(a), key(b)]);
                assert_eq!(both.test(&message), and, "{a:?} and {b:?}");
                let either = Query::or(key(a), key(b));
                assert_eq!(either.test(&message), or, "{a:?} or {b:?}");
                let not = and.map(|matches| !matches);
                assert_eq!(Query::not(both).test(&message), not);
            }
        }
    }
}
