//! FILTERS (RFC 5466): stored searches. A filter is a private or shared annotation of the server;
//! FILTER in a search stands for it, as if it were written there in parentheses.

use super::metadata::{Entry, Scope};
use super::uidonly::UIDREQUIRED;
use super::*;
use crate::cmd::search::{
    BADCHARSET, Candidate, Charset, Cost, Key, MAX_KEYS, Program, Query, SearchKey, parse_keys,
};
use crate::grammar::cursor::is_atom_char;
use crate::grammar::{Assembler, Bounds, Command, Names, Next};
use bytes::Bytes;
use mail::{MAX_ANNOTATION, MAX_ANNOTATION_NAME};
use std::collections::BTreeMap;

/// `search-key =/ "FILTER" SP filter-name`
pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5466",
    file: file!(),
    capabilities: &[Capability::always("FILTERS")],
    search_keys: &[&[SearchKey {
        name: "FILTER",
        rfc: "RFC 5466 3.1",
        parse: |c, _| {
            c.sp()?;
            Ok(Box::new(Reference {
                name: FilterName::parse(c)?,
                fuzzy: false,
            }))
        },
    }]],
    ..Extension::EMPTY
};

/// Different filters one search may need.
const MAX_FILTERS: usize = 64;
/// How deeply filters may name each other. RFC 5466 3.1 wants at least 3.
const MAX_NESTING: usize = 8;
/// Where filters are among the annotations of the server (RFC 5466 3.2).
const VALUES: &str = "/filters/values/";

/// `filter-name = 1*<any ATOM-CHAR except "/">`, as the client wrote it.
#[derive(Clone, Debug)]
pub struct FilterName(String);

impl FilterName {
    fn parse(c: &mut Cursor<'_>) -> Parsed<Self> {
        let name = c.take_while1(|b| is_atom_char(b) && b != b'/', "expected a filter's name")?;
        let text =
            String::from_utf8(name.to_vec()).map_err(|_| BadSyntax("not a filter's name"))?;
        if text.len() + VALUES.len() > MAX_ANNOTATION_NAME {
            return Err(BadSyntax("a filter's name is too long"));
        }
        Ok(Self(text))
    }

    /// What filters are told apart by: names of annotations do not depend on letter case (RFC 5464
    /// 3.2).
    fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    fn undefined(&self, why: &'static str) -> Refusal {
        Refusal::no(Code::UndefinedFilter(self.0.clone()), why)
    }
}

/// A key that stands for a filter.
struct Reference {
    name: FilterName,
    /// FUZZY stands before it (RFC 6203).
    fuzzy: bool,
}

impl Key for Reference {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, _: &Candidate<'_>) -> Option<bool> {
        // The filter was put in its place long before.
        Some(false)
    }

    fn refers_to(&self) -> Option<&FilterName> {
        Some(&self.name)
    }

    fn to_fuzzy(&self) -> Option<Box<dyn Key>> {
        Some(Box::new(Self {
            name: self.name.clone(),
            fuzzy: true,
        }))
    }

    fn is_fuzzy(&self) -> bool {
        self.fuzzy
    }
}

/// A filter that was looked up.
struct Filter {
    text: Command,
}

impl Filter {
    /// RFC 5466 3.2: `search-criteria`, in UTF-8. It may have literals.
    fn read(value: &Bytes) -> Option<Self> {
        std::str::from_utf8(value).ok()?;
        let mut assembler = Assembler::new(Bounds {
            line: MAX_ANNOTATION,
            literals: MAX_ANNOTATION as u64,
            skip: 0,
        });
        let mut rest = value.clone();
        loop {
            let end = memchr::memmem::find(&rest, b"\r\n");
            let line = rest.split_to(end.unwrap_or(rest.len()));
            match (assembler.line(line), end) {
                (Next::Done(text), None) => return Some(Self { text }),
                (Next::Literal { len, .. }, Some(_)) if len + 2 <= rest.len() => {
                    let _crlf = rest.split_to(2);
                    assembler.literal(rest.split_to(len));
                }
                _ => return None,
            }
        }
    }

    /// What it looks for, and whether it names messages by sequence number.
    fn parse(&self) -> Parsed<(Program, bool)> {
        let mut c = Cursor::new(&self.text, Names::Utf8);
        let program = parse_keys(&mut c, &Charset::utf8())?;
        c.end()?;
        Ok((program, c.names_numbers()))
    }
}

/// The filters a search needs, by [`FilterName::key`].
type Filters = BTreeMap<String, Filter>;

/// Puts the filters of the session's account into a search.
///
/// # Errors
/// UNDEFINED-FILTER, BADCHARSET, more keys than a search may have, the store.
pub(crate) async fn put_in(
    program: Program,
    charset: &Charset,
    cx: &Session,
) -> Result<Program, Refusal> {
    let Program { query, mut fuzzy } = program;
    let mut names = names_in(&query);
    if names.is_empty() {
        return Ok(Program { query, fuzzy });
    }
    if !charset.is_utf8() {
        // RFC 5466 3.1: BAD, not NO.
        return Err(Refusal::BadWith(BADCHARSET, "filters are in UTF-8"));
    }
    let mut filters = Filters::new();
    while let Some(name) = names.pop() {
        if filters.contains_key(&name.key()) {
            continue;
        }
        if filters.len() >= MAX_FILTERS {
            return Err(Refusal::no(Code::Word("LIMIT"), "too many filters"));
        }
        let value = look_up(&name, cx).await?;
        let value = value.ok_or_else(|| name.undefined("there is no such filter"))?;
        let filter = Filter::read(&value);
        let filter = filter.and_then(|filter| Some((filter.parse().ok()?, filter)));
        // RFC 5466 3.1: each must be a full and correct search.
        let ((inner, by_number), filter) =
            filter.ok_or_else(|| name.undefined("the filter is not a search"))?;
        if by_number && cx.enabled.uid_only {
            return Err(UIDREQUIRED);
        }
        fuzzy |= inner.fuzzy;
        names.extend(names_in(&inner.query));
        filters.insert(name.key(), filter);
    }
    let mut budget = MAX_KEYS;
    let query = expand(query, &filters, &mut Vec::new(), &mut budget)?;
    query.check_depth()?;
    Ok(Program { query, fuzzy })
}

fn names_in(query: &Query) -> Vec<FilterName> {
    let mut names = Vec::new();
    query.each(&mut |key| names.extend(key.refers_to().cloned()));
    names
}

/// RFC 5466 3.1: the private one, else the shared one.
async fn look_up(name: &FilterName, cx: &Session) -> Result<Option<Bytes>, Refusal> {
    let own = cx.state.account()?;
    let entry = format!("{VALUES}{}", name.key());
    let private = Scope::Private.owner(own.id());
    match own.annotation(None, private, &entry).await? {
        Some(value) => Ok(Some(value)),
        None => Ok(own.mail().server_annotation(&entry).await?),
    }
}

/// `path`: the filters this is within. `budget`: keys there may still be.
fn expand(
    query: Query,
    filters: &Filters,
    path: &mut Vec<String>,
    budget: &mut usize,
) -> Result<Query, Refusal> {
    query.replace(&mut |key| {
        *budget = budget
            .checked_sub(1)
            .ok_or(Refusal::no(Code::Word("LIMIT"), "too many search keys"))?;
        let Some(name) = key.refers_to() else {
            return Ok(Query::Key(key));
        };
        let id = name.key();
        // RFC 5466 3.1: one that contains itself is as good as none.
        if path.contains(&id) || path.len() >= MAX_NESTING {
            return Err(name.undefined("filters contain each other"));
        }
        let filter = filters.get(&id);
        let filter = filter.ok_or_else(|| name.undefined("there is no such filter"))?;
        let (inner, _) = filter.parse()?;
        path.push(id);
        let inner = expand(inner.query, filters, path, budget)?;
        path.pop();
        Ok(match key.is_fuzzy() {
            true => inner.into_fuzzy(),
            false => inner,
        })
    })
}

/// Whether a value may be stored (RFC 5466 3.2: servers should verify it).
///
/// # Errors
/// CANNOT, when the annotation would be a filter that is none.
pub(crate) fn check(entry: &Entry, value: &Bytes) -> Result<(), Refusal> {
    let Some(name) = entry.name.strip_prefix(VALUES) else {
        return Ok(());
    };
    let mut c = Cursor::of(name.as_bytes());
    if FilterName::parse(&mut c).and_then(|_| c.end()).is_err() {
        return Err(Refusal::no(Code::CANNOT, "a filter cannot be called that"));
    }
    match Filter::read(value).map(|filter| filter.parse()) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Refusal::no(Code::CANNOT, "the value is not a search")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &'static [u8]) -> Option<bool> {
        let filter = Filter::read(&Bytes::from_static(text))?;
        filter.parse().ok().map(|(_, by_number)| by_number)
    }

    #[test]
    fn what_is_not_a_search_is_no_filter() {
        for text in [
            b"".as_slice(),
            b" ",
            b"OR SMALLER 5000",
            b"SEEN\r\n",
            b"SEEN\r\nSEEN",
            b"SEEN)",
            b"RETURN (ALL) SEEN",
            b"CHARSET UTF-8 SEEN",
            b"SUBJECT {5}\r\nhell",
            b"SUBJECT {5}",
            b"SUBJECT {99999999}\r\nhello",
            b"SUBJECT {5}\r\nhello)",
            b"SUBJECT \xe9",
            b"SUBJECT \"\0\"",
            b"FILTER",
            b"FILTER a/b",
            b"FILTER \"a\"",
        ] {
            assert_eq!(filter(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn filters_are_whole_searches() {
        for (text, by_number) in [
            (
                b"OR SMALLER 5000 FROM \"boss@example.com\"".as_slice(),
                false,
            ),
            (b"SUBJECT {5}\r\nhello OR (BODY {2+}\r\nab) SEEN", false),
            ("SUBJECT \"\u{e9}\"".as_bytes(), false),
            (b"FILTER other 1:5", true),
        ] {
            assert_eq!(filter(text), Some(by_number));
        }
    }
}
