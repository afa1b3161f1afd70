//! I18NLEVEL=2 and COMPARATOR (RFC 5255 4): which collation SEARCH, SORT and THREAD compare by.
// RFC 5255 4.3: a server that offers level 2 does not announce level 1.

use super::*;
use message::Collation;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5255",
    file: file!(),
    capabilities: &[Capability::always("I18NLEVEL=2")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

static SPEC: Spec = Spec {
    name: "COMPARATOR",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 5255 4.7"],
    parse,
};

/// Longest name of a collation (RFC 4790 3.1), wildcards included.
const MAX_NAME: usize = 254;

/// `collation-selected = ["+" / "-"] collation-id`
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Comparator {
    /// By what texts are compared.
    pub collation: Collation,
    /// Whether order is the other way round (RFC 4790 3.3).
    pub inverted: bool,
}

/// `collation-order = ["+" / "-"] collation-wild`
struct Order {
    inverted: bool,
    pattern: String,
}

/// What the client wants, most wanted first.
struct Choose(Vec<Order>);

/// `comparator-cmd = "COMPARATOR" *(SP comp-order-quoted)`
fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut orders = Vec::new();
    while c.eat(b" ") {
        let order = Order::parse(&c.astring()?);
        orders.push(order.ok_or(BadSyntax("not a comparator"))?);
    }
    Ok(Box::new(Choose(orders)))
}

impl Order {
    /// `collation-wild = ("*" / (ALPHA ["*"])) *(collation-char ["*"])`
    fn parse(text: &[u8]) -> Option<Self> {
        let (inverted, wild) = match text {
            [b'-', wild @ ..] => (true, wild),
            [b'+', wild @ ..] | wild => (false, wild),
        };
        let is_char = |&b: &u8| b.is_ascii_alphanumeric() || b"-;=.*".contains(&b);
        let begins = wild
            .first()
            .is_some_and(|&b| b.is_ascii_alphabetic() || b == b'*');
        let fits = begins
            && wild.len() <= MAX_NAME
            && wild.iter().all(is_char)
            && memchr::memmem::find(wild, b"**").is_none();
        let pattern = String::from_utf8(wild.to_ascii_lowercase()).ok()?;
        fits.then_some(Self { inverted, pattern })
    }

    fn matches(&self, collation: Collation) -> bool {
        // RFC 5255 4.7: `default` is the server's default comparator.
        self.pattern == "default" && collation == Collation::default()
            || is_like(&self.pattern, collation.name())
    }
}

/// Whether `*` in the pattern can stand for something that makes it the name.
fn is_like(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Run for Choose {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let matching = |order: &Order| Collation::ALL.into_iter().find(|c| order.matches(*c));
        let mut chosen = self.0.iter().filter_map(|order| {
            Some(Comparator {
                collation: matching(order)?,
                inverted: order.inverted,
            })
        });
        match chosen.next() {
            Some(comparator) => cx.comparator = comparator,
            None if self.0.is_empty() => {}
            None => {
                return Err(Refusal::no(
                    Code::Word("BADCOMPARATOR"),
                    "no such comparator",
                ));
            }
        }
        let Comparator {
            collation,
            inverted,
        } = cx.comparator;
        let out = cx.wire.buffer();
        out.raw(b"* COMPARATOR ");
        out.raw(if inverted { b"-" } else { b"" })
            .text(collation.name());
        // RFC 5255 4.8: all that match, if there are several.
        let all = Collation::ALL.map(|c| {
            self.0
                .iter()
                .any(|order| order.matches(c))
                .then(|| c.name())
        });
        let names: Vec<_> = all.into_iter().flatten().collect();
        if names.len() > 1 {
            out.raw(b" (").text(&names.join(" ")).raw(b")");
        }
        out.crlf();
        Done::ok("compared by that")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_orders_are_refused() {
        for text in [
            "", "+", "-", "--a", "1", ";", "a**", "a b", "a\"", "\u{e9}", "a,b",
        ] {
            assert!(Order::parse(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(Order::parse(&[b'a'; MAX_NAME]).is_some());
        assert!(Order::parse(&[b'a'; MAX_NAME + 1]).is_none());
    }

    #[test]
    fn wildcards_match_zero_or_more() {
        for (order, unicode, ascii) in [
            ("*", true, true),
            ("i;*", true, true),
            ("+I;Unicode-CaseMap", true, false),
            ("-i;ascii-casemap", false, true),
            ("i;unicode-casemap*", true, false),
            ("*a*c*casemap", false, true),
            ("*unicode-*-casemap", false, false),
            ("default", true, false),
            ("default*", false, false),
            ("i;octet", false, false),
            ("i;unicode", false, false),
        ] {
            let parsed = Order::parse(order.as_bytes()).unwrap();
            let got =
                [Collation::UnicodeCasemap, Collation::AsciiCasemap].map(|c| parsed.matches(c));
            assert_eq!(got, [unicode, ascii], "{order}");
        }
    }
}
