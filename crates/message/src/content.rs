//! Content-Type, Content-Disposition and the other MIME fields (RFC 2045, 2183, 3282).

use std::borrow::Cow;

use crate::lex::{Lex, is_space};
use crate::params::{Param, extended, params};

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

    /// RFC 2045 5.2: what a message or part is that does not say, or says it in a way nobody can
    /// read.
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

    /// The value of a parameter, also when it is written in extended form.
    pub(crate) fn param(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let is = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        if let Some(param) = self.params.iter().find(|param| is(&param.name)) {
            return Some(Cow::Borrowed(&param.value));
        }
        let mut starred = self
            .params
            .iter()
            .filter(|param| param.name.strip_suffix(b"*").is_some_and(is));
        starred
            .next()
            .map(|param| Cow::Owned(extended(&param.value).1))
    }

    /// The charset of a text.
    pub(crate) fn charset(&self) -> Option<Cow<'_, [u8]>> {
        self.param("charset")
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

fn is_type_end(b: u8) -> bool {
    is_space(b) || matches!(b, b'/' | b';' | b'(' | b'"' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn types() {
        for (value, kind, subtype, charset) in [
            ("text/plain", "text", "plain", None),
            (
                "Text / (c) HTML ;CHARSET = utf-8;;x",
                "Text",
                "HTML",
                Some("utf-8"),
            ),
            ("text; charset=koi8-r", "text", "plain", Some("koi8-r")),
            ("a/b; charset*=us-ascii'en'utf%2D8", "a", "b", Some("utf-8")),
            ("a/b; charset*0=ut; charset*1=f-8", "a", "b", Some("utf-8")),
        ] {
            let got = MediaType::parse(value.as_bytes());
            assert_eq!(
                (got.kind, got.subtype),
                (kind.as_bytes(), subtype.as_bytes()),
                "{value}"
            );
            assert_eq!(
                got.charset().as_deref(),
                charset.map(str::as_bytes),
                "{value}"
            );
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
