//! imap-codec as a second opinion: whether a server's responses are IMAP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::response::{Code, Response, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What of responses imap-codec 2.0.0-alpha.10 cannot read although it is right.
struct Gap {
    /// What it is, and the rule that makes it right.
    #[expect(dead_code, reason = "for who reads the list")]
    what: &'static str,
    /// Whether a response, literals included, is of this kind.
    is: fn(&[u8]) -> bool,
}

const GAPS: &[Gap] = &[
    Gap {
        what: "ESEARCH: RFC 4466 2.6.2, and what RFC 7162, 9394 and 5267 add",
        is: |r| r.starts_with(b"* ESEARCH"),
    },
    Gap {
        what: "UIDFETCH: RFC 9586 3.3",
        is: |r| has(r, b" UIDFETCH (") && after_number(r).starts_with(b"UIDFETCH ("),
    },
    Gap {
        what: "GENURLAUTH and URLFETCH: RFC 4467 9",
        is: |r| r.starts_with(b"* GENURLAUTH \"") || r.starts_with(b"* URLFETCH \""),
    },
    Gap {
        what: "UIDBATCHES: RFC 10022 3.2",
        is: |r| r.starts_with(b"* UIDBATCHES (TAG "),
    },
    Gap {
        what: "COMPARATOR and LANGUAGE: RFC 5255 4.8 and 3.3",
        is: |r| r.starts_with(b"* COMPARATOR ") || r.starts_with(b"* LANGUAGE ("),
    },
    Gap {
        what: "ACL, LISTRIGHTS and MYRIGHTS: RFC 4314 3.6 to 3.8",
        is: |r| {
            let words: [&[u8]; 3] = [b"* ACL ", b"* LISTRIGHTS ", b"* MYRIGHTS "];
            words.iter().any(|word| r.starts_with(word))
        },
    },
    Gap {
        what: "UTF-8 in quoted strings, once it is enabled: RFC 9051 9, RFC 6855 3",
        is: |r| !r.is_ascii() && std::str::from_utf8(r).is_ok(),
    },
    Gap {
        what: "BINARY with a partial: RFC 3516 7, `msg-att-static`",
        is: |r| is_fetch(r) && has(r, b"BINARY[") && has(r, b"]<"),
    },
    Gap {
        what: "EMAILID and THREADID in FETCH: RFC 8474 5",
        is: |r| is_fetch(r) && (has(r, b"EMAILID (M") || has(r, b"THREADID ")),
    },
    Gap {
        what: "PREVIEW in FETCH: RFC 8970 3.2",
        is: |r| is_fetch(r) && has(r, b"PREVIEW "),
    },
    Gap {
        what: "SAVEDATE in FETCH: RFC 8514 4.3",
        is: |r| is_fetch(r) && has(r, b"SAVEDATE "),
    },
    Gap {
        what: "MAILBOXID in STATUS: RFC 8474 4.3",
        is: |r| r.starts_with(b"* STATUS ") && has(r, b"MAILBOXID (F"),
    },
    Gap {
        what: "APPENDLIMIT in STATUS: RFC 7889 4",
        is: |r| r.starts_with(b"* STATUS ") && has(r, b"APPENDLIMIT "),
    },
    Gap {
        what: "OLDNAME and CHILDINFO in LIST: RFC 5258 6, RFC 5465 5.4",
        is: |r| r.starts_with(b"* LIST ") && r.ends_with(b"))\r\n"),
    },
    Gap {
        // RFC 9208 5 wants one resource at least; what it replaced had a list that may be empty,
        // and it is what servers send of a root that limits nothing.
        what: "QUOTA of a root without limits: RFC 9208 5, `quota-list`, against its letter",
        is: |r| r.starts_with(b"* QUOTA ") && r.ends_with(b" ()\r\n"),
    },
    Gap {
        // RFC 3501 9 has no NUL in a literal. Bytes out are bytes in all the same: decision 0002.
        what: "NUL in a literal: RFC 3501 9, `CHAR8`, but RFC 3516 is not asked for",
        is: |r| is_fetch(r) && r.contains(&0),
    },
    Gap {
        // It reads no deeper than 8 levels.
        what: "BODY and BODYSTRUCTURE of deeply nested mail: RFC 3501 9, `body-type-mpart`",
        is: |r| is_fetch(r) && (has(r, b"BODY (") || has(r, b"BODYSTRUCTURE (")) && depth(r) > 8,
    },
];

/// Response codes that imap-codec takes for any other.
const CODES: &[&str] = &[
    // RFC 5530 3.
    "ALREADYEXISTS",
    "AUTHENTICATIONFAILED",
    "AUTHORIZATIONFAILED",
    "CANNOT",
    "CLIENTBUG",
    "CONTACTADMIN",
    "CORRUPTION",
    "EXPIRED",
    "EXPUNGEISSUED",
    "INUSE",
    "LIMIT",
    "NONEXISTENT",
    "NOPERM",
    "PRIVACYREQUIRED",
    "SERVERBUG",
    "UNAVAILABLE",
    // RFC 4315 4: it knows no `append-uid` that is a set.
    "APPENDUID",
    // RFC 4467 9 and 4469 4.
    "BADURL",
    "URLMECH",
    // RFC 5267 5.
    "NOUPDATE",
    // RFC 5466 3.1.
    "UNDEFINED-FILTER",
    // RFC 9051 7.1.
    "HASCHILDREN",
    "NOTSAVED",
    // RFC 5255 4.9.
    "BADCOMPARATOR",
    // RFC 5465 5.8 and 8.
    "BADEVENT",
    "NOTIFICATIONOVERFLOW",
    // RFC 8474 4.1 and 4.2.
    "MAILBOXID",
    // RFC 9738 6.
    "MESSAGELIMIT",
    "SAVELIMIT",
    // RFC 10022.
    "TOOFEW",
    // RFC 9586 3.
    "UIDREQUIRED",
    // RFC 6154 3.
    "USEATTR",
];

fn has(response: &[u8], what: &[u8]) -> bool {
    response.windows(what.len()).any(|at| at == what)
}

/// What follows `* n `.
fn after_number(response: &[u8]) -> &[u8] {
    let mut words = response.splitn(3, |&byte| byte == b' ');
    words.nth(2).unwrap_or_default()
}

fn is_fetch(response: &[u8]) -> bool {
    after_number(response).starts_with(b"FETCH (")
}

/// How many parentheses are open at once at most.
fn depth(response: &[u8]) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in response {
        match byte {
            b'(' => open += 1,
            b')' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Reads one whole response, its last CRLF included.
///
/// # Errors
/// What is wrong with it, or that it is of a kind nobody has listed above.
pub fn check(response: &[u8]) -> Result<(), String> {
    let shown = || String::from_utf8_lossy(&response[..response.len().min(400)]).into_owned();
    match ResponseCodec::default().decode(response) {
        Ok(([], parsed)) => match other_code(&parsed) {
            None => Ok(()),
            Some(word) => match CODES.contains(&&*word) {
                true => Ok(()),
                false => Err(format!(
                    "imap-codec does not know the code {word}: {}",
                    shown()
                )),
            },
        },
        Ok((rest, _)) => Err(format!("{} octets follow: {}", rest.len(), shown())),
        // What is right by a rule it does not know.
        Err(_) if GAPS.iter().any(|gap| (gap.is)(response)) => Ok(()),
        Err(error) => Err(format!(
            "imap-codec: {error:?}; if it is right, add it to GAPS of testkit/src/grammar.rs: {}",
            shown()
        )),
    }
}

/// The word of a response code without a meaning of its own.
fn other_code(response: &Response<'_>) -> Option<String> {
    let code = match response {
        Response::Status(Status::Untagged(body)) => body.code.as_ref(),
        Response::Status(Status::Tagged(tagged)) => tagged.body.code.as_ref(),
        Response::Status(Status::Bye(bye)) => bye.code.as_ref(),
        _ => None,
    };
    let Some(Code::Other(other)) = code else {
        return None;
    };
    let text = String::from_utf8_lossy(other.inner()).into_owned();
    Some(text.split(' ').next().unwrap_or_default().to_owned())
}

/// The length of the literal that a line announces at its end.
pub(crate) fn literal_length(line: &[u8]) -> Option<usize> {
    let rest = line.strip_suffix(b"}")?;
    let open = rest.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(rest.get(open + 1..)?)
        .ok()?
        .parse()
        .ok()
}

/// The first whole response in `bytes`: how long it is.
fn whole(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = at + bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        let end = line + 2;
        // RFC 3501 7: text for people may end in what looks like a literal.
        match literal_length(&bytes[at..line]).filter(|_| is_data(bytes)) {
            Some(length) => at = end.checked_add(length)?,
            None => return Some(end),
        }
    }
}

/// Whether a response is data, as opposed to a status and its text.
fn is_data(response: &[u8]) -> bool {
    let status = ["OK ", "NO ", "BAD ", "BYE ", "PREAUTH "];
    let rest = response.strip_prefix(b"* ");
    rest.is_some_and(|rest| !status.iter().any(|word| rest.starts_with(word.as_bytes())))
}

/// A connection on which every response that is read is checked; one that is wrong is an error of
/// the connection.
pub struct Checked<S> {
    inner: S,
    heard: Vec<u8>,
}

impl<S> Checked<S> {
    /// Checks what comes from `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            heard: Vec::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.heard.extend_from_slice(&buf.filled()[before..]);
        while let Some(length) = whole(&self.heard) {
            let response: Vec<u8> = self.heard.drain(..length).collect();
            if let Err(wrong) = check(&response) {
                return Poll::Ready(Err(io::Error::other(wrong)));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{check, literal_length, whole};

    #[test]
    fn only_a_trailing_number_in_braces_is_a_literal() {
        assert_eq!(literal_length(b"* 1 FETCH (BODY[] {12}"), Some(12));
        assert_eq!(literal_length(b"* OK {12} there"), None);
        assert_eq!(literal_length(b"* OK {x}"), None);
        assert_eq!(literal_length(b"}"), None);
    }

    #[test]
    fn responses_end_behind_their_literals() {
        assert_eq!(whole(b"* OK {3}\r\nabc"), Some(10));
        assert_eq!(whole(b"* LIST () NIL {3}\r\na\r\n\r\n+ "), Some(24));
        assert_eq!(whole(b"* LIST () NIL {3}\r\na\r\n"), None);
    }

    #[test]
    fn what_is_no_imap_is_refused() {
        assert_eq!(check(b"* 3 EXISTS\r\n"), Ok(()));
        for wrong in [
            &b"* 0 EXPUNGE\r\n"[..],
            b"* 3 EXISTS \r\n",
            b"* LIST \"/\" () x\r\n",
            b"* SEARCH 1  2\r\n",
            b"* OK [NOBODYKNOWS] x\r\n",
            b"* 1 FETCH (FLAGS (\\Seen)UID 3)\r\n",
            b"* 1 FETCH (ENVELOPE (NIL NIL NIL))\r\n",
        ] {
            assert!(check(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
