//! Content-Type, Content-Disposition and their parameters, as RFC 2045 5.1 and RFC 2183 write them;
//! extended parameters (RFC 2231) stay encoded here, see [`crate::decode_params`].

use std::borrow::Cow;

use crate::lex::{Lex, is_space};

/// A parameter: its name as written, its value without quoting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: Cow<'a, [u8]>,
}

/// A parsed Content-Type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType<'a> {
    pub(crate) kind: &'a [u8],
    pub(crate) subtype: &'a [u8],
    pub(crate) params: Vec<Param<'a>>,
}

impl<'a> MediaType<'a> {
    pub(crate) fn new(kind: &'a [u8], subtype: &'a [u8]) -> Self {
        Self {
            kind,
            subtype,
            params: Vec::new(),
        }
    }

    /// RFC 2045 5.2: what a message or part is that does not say, or says it in a way nobody can read.
    pub(crate) fn text_plain() -> Self {
        Self::new(b"text", b"plain")
    }

    /// Reads the raw value of a Content-Type field.
    pub(crate) fn parse(value: &'a [u8]) -> Self {
        let mut lex = Lex::new(value);
        lex.cfws();
        let kind = lex.until(is_type_end);
        lex.cfws();
        let mut subtype = &[][..];
        if lex.eat(b'/') {
            lex.cfws();
            subtype = lex.until(is_type_end);
        }
        let (kind, subtype) = match (kind, subtype) {
            (b"", _) | (_, b"") => (&b"text"[..], &b"plain"[..]),
            both => both,
        };
        Self {
            kind,
            subtype,
            params: params(&mut lex),
        }
    }

    pub(crate) fn is(&self, kind: &str, subtype: &str) -> bool {
        self.is_kind(kind) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    pub(crate) fn is_kind(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
    }

    /// The first parameter of this name.
    pub(crate) fn param(&self, name: &str) -> Option<&[u8]> {
        self.params
            .iter()
            .find(|param| param.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|param| &*param.value)
    }

    /// The charset of a text; also from the extended form `charset*=us-ascii''utf-8`.
    pub(crate) fn charset(&self) -> Option<&[u8]> {
        self.param("charset").or_else(|| {
            let value = self.param("charset*")?;
            value.rsplit(|&b| b == b'\'').next()
        })
    }
}

/// A parsed Content-Disposition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disposition<'a> {
    pub(crate) kind: &'a [u8],
    pub(crate) params: Vec<Param<'a>>,
}

impl<'a> Disposition<'a> {
    /// Reads the raw value of the field; None when it names no disposition.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut lex = Lex::new(value);
        lex.cfws();
        let kind = lex.until(is_type_end);
        (!kind.is_empty()).then(|| Self {
            kind,
            params: params(&mut lex),
        })
    }
}

/// The single token of fields like Content-Transfer-Encoding; None when there is none.
pub(crate) fn token(value: &[u8]) -> Option<&[u8]> {
    let mut lex = Lex::new(value);
    lex.cfws();
    let token = lex.until(|b| is_space(b) || matches!(b, b'(' | b';' | b'"' | b','));
    (!token.is_empty()).then_some(token)
}

/// The language tags of a Content-Language field (RFC 3282).
pub(crate) fn languages(value: &[u8]) -> Vec<&[u8]> {
    let mut lex = Lex::new(value);
    let mut tags = Vec::new();
    while lex.peek().is_some() {
        lex.cfws();
        let tag = lex.until(|b| is_space(b) || matches!(b, b'(' | b','));
        if !tag.is_empty() {
            tags.push(tag);
        }
        lex.cfws();
        lex.eat(b',');
    }
    tags
}

/// `; name=value` until the end. What is not of that form is skipped up to the next semicolon.
pub(crate) fn params<'a>(lex: &mut Lex<'a>) -> Vec<Param<'a>> {
    let mut params = Vec::new();
    loop {
        lex.cfws();
        lex.until(|b| b == b';');
        if !lex.eat(b';') {
            return params;
        }
        lex.cfws();
        let name = lex.until(|b| is_space(b) || matches!(b, b'=' | b';' | b'('));
        lex.cfws();
        if name.is_empty() || !lex.eat(b'=') {
            continue;
        }
        lex.cfws();
        let value = if lex.peek() == Some(b'"') {
            lex.quoted()
        } else {
            bare_value(lex)
        };
        params.push(Param { name, value });
    }
}

/// An unquoted value. Senders forget the quotes around values with spaces (`name=my file.pdf`), so it
/// reaches to the semicolon; a comment (RFC 2045 5.1) or a line break ends it.
fn bare_value<'a>(lex: &mut Lex<'a>) -> Cow<'a, [u8]> {
    let value = lex.until(|b| matches!(b, b';' | b'(' | b'\r' | b'\n'));
    Cow::Borrowed(value.trim_ascii())
}

fn is_type_end(b: u8) -> bool {
    is_space(b) || matches!(b, b'/' | b';' | b'(' | b'"' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(params: &[Param<'_>]) -> String {
        let show = |b: &[u8]| b.escape_ascii().to_string();
        let each = params
            .iter()
            .map(|p| format!("{}={}", show(p.name), show(&p.value)));
        each.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn unreadable_types_are_text_plain() {
        for value in [
            "",
            " ",
            "/",
            "text",
            "/plain",
            ";",
            "(comment)",
            "\"text/html\"",
            "\0",
        ] {
            let got = MediaType::parse(value.as_bytes());
            assert!(got.is("text", "plain"), "{value}");
        }
        assert!(Disposition::parse(b" ; filename=x").is_none());
    }

    #[test]
    fn types_and_parameters() {
        for (value, kind, subtype, expected) in [
            ("text/plain", "text", "plain", ""),
            // RFC 2045 5.1: these two are equivalent.
            (
                "text/plain; charset=us-ascii (Plain text)",
                "text",
                "plain",
                "charset=us-ascii",
            ),
            (
                "text/plain; charset=\"us-ascii\"",
                "text",
                "plain",
                "charset=us-ascii",
            ),
            (
                "Text / (c) HTML ;CHARSET = utf-8;;x",
                "Text",
                "HTML",
                "CHARSET=utf-8",
            ),
            (
                "a/b; name=my file.pdf ; n=\"a;\\\"b\"",
                "a",
                "b",
                "name=my file.pdf|n=a;\\\"b",
            ),
            ("a/b; name=\"open", "a", "b", "name=open"),
            (
                "a/b; boundary=----=_Part/1.2?x",
                "a",
                "b",
                "boundary=----=_Part/1.2?x",
            ),
            // RFC 2231 3: left as written.
            (
                "a/b; t*0*=us-ascii'en'A%20; t*1=\"b\"",
                "a",
                "b",
                "t*0*=us-ascii\\'en\\'A%20|t*1=b",
            ),
            ("text; charset=koi8-r", "text", "plain", "charset=koi8-r"),
            ("a/b; x=; y=1", "a", "b", "x=|y=1"),
        ] {
            let got = MediaType::parse(value.as_bytes());
            assert_eq!(
                (got.kind, got.subtype),
                (kind.as_bytes(), subtype.as_bytes()),
                "{value}"
            );
            assert_eq!(shown(&got.params), expected, "{value}");
        }
    }

    #[test]
    fn tokens_and_languages() {
        assert_eq!(token(b" (x) base64 ; y"), Some(&b"base64"[..]));
        assert_eq!(token(b" (x)"), None);
        assert_eq!(
            languages(b" en (English), de-AT,, fr"),
            [&b"en"[..], b"de-AT", b"fr"]
        );
        assert!(languages(b" , (x),").is_empty());
    }
}
