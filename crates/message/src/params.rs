//! Parameters of MIME fields (RFC 2045 5.1), also cut in pieces or extended (RFC 2231).

use std::borrow::Cow;

use crate::charset;
use crate::lex::{Lex, is_space};
use crate::transfer::hex;
use crate::words::decode_words;

/// A parameter: its value without quoting. The name is as written, but that pieces of one value are
/// joined: `t*0*` and `t*1` become `t*`, whose value is still encoded; `t*0` and `t*1` become `t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) value: Cow<'a, [u8]>,
}

/// A structured value and its parameters, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedParams {
    /// What stands before the first semicolon, in lower case: `attachment`, `text/plain`.
    pub value: String,
    /// Names in lower case, each once; values joined and decoded.
    pub params: Vec<(String, String)>,
}

/// The value and parameters of a raw Content-Type or Content-Disposition field. Continuations and
/// charsets (RFC 2231) are resolved; encoded words in values, which no RFC allows but many senders
/// write, are decoded too.
pub fn decode_params(value: &[u8]) -> DecodedParams {
    let mut lex = Lex::new(value);
    lex.cfws();
    let start = lex.pos();
    lex.until(|b| matches!(b, b';' | b'('));
    let main = charset::guess(lex.since(start).trim_ascii()).to_ascii_lowercase();
    let mut decoded: Vec<(String, bool, String)> = params(&mut lex)
        .iter()
        .map(|Param { name, value }| match name.strip_suffix(b"*") {
            Some(name) => {
                let (label, bytes) = extended(value);
                (
                    lower(name),
                    true,
                    charset::decode(&bytes, Some(label)).into_owned(),
                )
            }
            None => (lower(name), false, decode_words(value)),
        })
        .collect();
    // Senders write `filename` for old readers beside `filename*`, which says more.
    decoded.sort_by(|(a, a_starred, _), (b, b_starred, _)| (a, b_starred).cmp(&(b, a_starred)));
    decoded.dedup_by(|(a, ..), (b, ..)| a == b);
    let params = decoded
        .into_iter()
        .map(|(name, _, value)| (name, value))
        .collect();
    DecodedParams {
        value: main,
        params,
    }
}

/// `; name=value` until the end. What is not of that form is skipped up to the next semicolon.
pub(crate) fn params<'a>(lex: &mut Lex<'a>) -> Vec<Param<'a>> {
    let mut params = Vec::new();
    let mut pieces = Vec::new();
    loop {
        lex.cfws();
        lex.until(|b| b == b';');
        if !lex.eat(b';') {
            break;
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
        match Piece::parse(name, &value) {
            Some(piece) => pieces.push(piece),
            None => params.push(Param {
                name: Cow::Borrowed(name),
                value,
            }),
        }
    }
    params.extend(joined(pieces));
    params
}

/// The charset and the octets of an extended value, `charset'language'percent-encoded`.
pub(crate) fn extended(value: &[u8]) -> (&[u8], Vec<u8>) {
    let mut parts = value.splitn(3, |&b| b == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(label), Some(_), Some(text)) => (label, percent_decode(text)),
        _ => (b"", percent_decode(value)),
    }
}

/// An unquoted value. Senders forget the quotes around values with spaces (`name=my file.pdf`), so
/// it reaches to the semicolon; a comment (RFC 2045 5.1) or a line break ends it.
fn bare_value<'a>(lex: &mut Lex<'a>) -> Cow<'a, [u8]> {
    let value = lex.until(|b| matches!(b, b';' | b'(' | b'\r' | b'\n'));
    Cow::Borrowed(value.trim_ascii())
}

/// One piece of a value: `stem*7=...`, or `stem*7*=...` when it is encoded.
struct Piece<'a> {
    stem: &'a [u8],
    number: u32,
    encoded: bool,
    value: Vec<u8>,
}

impl<'a> Piece<'a> {
    fn parse(name: &'a [u8], value: &[u8]) -> Option<Self> {
        let (numbered, encoded) = match name.strip_suffix(b"*") {
            Some(numbered) => (numbered, true),
            None => (name, false),
        };
        let star = numbered
            .iter()
            .rposition(|&b| b == b'*')
            .filter(|&star| star > 0)?;
        let number = std::str::from_utf8(numbered.get(star + 1..)?)
            .ok()?
            .parse()
            .ok()?;
        Some(Self {
            stem: numbered.get(..star)?,
            number,
            encoded,
            value: value.to_vec(),
        })
    }
}

/// RFC 2231 6: "servers SHOULD decode parameter value continuations when generating the BODY and
/// BODYSTRUCTURE fetch attributes". 3: the order of the pieces in the field does not matter.
fn joined<'a>(mut pieces: Vec<Piece<'a>>) -> Vec<Param<'a>> {
    pieces.sort_by_cached_key(|piece| (piece.stem.to_ascii_lowercase(), piece.number));
    pieces.dedup_by(|b, a| a.number == b.number && a.stem.eq_ignore_ascii_case(b.stem));
    let groups = pieces.chunk_by(|a, b| a.stem.eq_ignore_ascii_case(b.stem));
    groups.filter_map(join).collect()
}

fn join<'a>(group: &[Piece<'a>]) -> Option<Param<'a>> {
    let first = group.first()?;
    if !group.iter().any(|piece| piece.encoded) {
        let value = group
            .iter()
            .flat_map(|piece| piece.value.iter().copied())
            .collect();
        return Some(Param {
            name: Cow::Borrowed(first.stem),
            value,
        });
    }
    let mut value = if first.encoded {
        Vec::new()
    } else {
        b"''".to_vec()
    };
    for piece in group {
        for &b in &piece.value {
            match b {
                b'%' if !piece.encoded => value.extend_from_slice(b"%25"),
                b => value.push(b),
            }
        }
    }
    let mut name = first.stem.to_vec();
    name.push(b'*');
    Some(Param {
        name: Cow::Owned(name),
        value: Cow::Owned(value),
    })
}

fn percent_decode(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    out
}

fn lower(name: &[u8]) -> String {
    charset::guess(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &str) -> String {
        let params = params(&mut Lex::new(value.as_bytes()));
        let show = |b: &[u8]| b.escape_ascii().to_string();
        let each = params
            .iter()
            .map(|p| format!("{}={}", show(&p.name), show(&p.value)));
        each.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn raw_parameters() {
        for (value, expected) in [
            ("", ""),
            (";;;=;x;y=", "y="),
            // RFC 2045 5.1: these two are equivalent.
            ("; charset=us-ascii (Plain text)", "charset=us-ascii"),
            ("; charset=\"us-ascii\"", "charset=us-ascii"),
            (
                "; name=my file.pdf ; n=\"a;\\\"b\"",
                "name=my file.pdf|n=a;\\\"b",
            ),
            ("; name=\"open", "name=open"),
            ("; boundary=----=_Part/1.2?x", "boundary=----=_Part/1.2?x"),
            ("; x=; y=1", "x=|y=1"),
            ("; t*=a'b'%20; u*x=1; *0=2", "t*=a\\'b\\'%20|u*x=1|*0=2"),
            (
                "; b*1=y; A*0*=c''x; B*0=x; a*1=\"50%\"",
                "A*=c\\'\\'x50%25|B=xy",
            ),
            ("; a*1*=%20; a*0=x", "a*=\\'\\'x%20"),
            ("; a*0=x; a*0=y", "a=x"),
        ] {
            assert_eq!(raw(value), expected, "{value}");
        }
    }

    #[test]
    fn rfc_2231_examples() {
        for (value, main, params) in [
            (
                "message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n \
                 URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
                "message/external-body",
                &[
                    ("access-type", "URL"),
                    (
                        "url",
                        "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar",
                    ),
                ][..],
            ),
            (
                "application/x-stuff;\r\n title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
                "application/x-stuff",
                &[("title", "This is ***fun***")],
            ),
            (
                "application/x-stuff;\r\n title*1*=%2A%2A%2Afun%2A%2A%2A%20;\r\n \
                 title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n title*2=\"isn't it!\"",
                "application/x-stuff",
                &[("title", "This is even more ***fun*** isn't it!")],
            ),
            (
                "Attachment; filename*=UTF-8''na%C3%AFve%zz",
                "attachment",
                &[("filename", "naïve%zz")],
            ),
            ("a; filename=x; filename*=''y", "a", &[("filename", "y")]),
            ("a; n=\"=?utf-8?B?w6k=?=\"", "a", &[("n", "é")]),
            ("a; n*99999999999=x", "a", &[("n*99999999999", "x")]),
        ] {
            let got = decode_params(value.as_bytes());
            assert_eq!(got.value, main);
            let got: Vec<_> = got.params.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(got, params, "{value}");
        }
    }
}
