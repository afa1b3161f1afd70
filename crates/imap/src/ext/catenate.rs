//! CATENATE (RFC 4469): a message is put together of literals and of what URLs name, on the server.
//! Whatever takes a message takes such a one: APPEND, each message of a MULTIAPPEND, and REPLACE.

use super::*;
use crate::cmd::append::TOOBIG;
use crate::session::Found;
use bytes::Bytes;
use net::Share;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 4469",
    file: file!(),
    capabilities: &[Capability::always("CATENATE")],
    ..Extension::EMPTY
};

/// `cat-part`.
#[derive(Debug)]
pub(crate) enum Piece {
    /// `"TEXT" SP literal` or `utf8-literal`.
    Text(Bytes),
    /// `"URL" SP astring`.
    Url(Bytes),
}

impl Piece {
    /// What it takes in memory.
    fn octets(&self) -> usize {
        match self {
            Self::Text(octets) | Self::Url(octets) => octets.len(),
        }
    }
}

/// The pieces of a message, and whether one of them was a `literal8`.
#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
    pub(crate) binary: bool,
}

impl Pieces {
    /// `"CATENATE" SP "(" cat-part *(SP cat-part) ")"`, if that word is next.
    pub(crate) fn try_parse(c: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        if !c.eat_word(b"CATENATE") {
            return Ok(None);
        }
        c.sp()?;
        let mut binary = false;
        let pieces = c.list(false, |c| {
            if c.eat_word(b"TEXT") {
                c.sp()?;
                let (octets, is_binary) = c.literal_or_literal8()?;
                binary |= is_binary;
                return Ok(Piece::Text(octets));
            }
            if let Some(octets) = utf8::try_literal(c)? {
                binary = true;
                return Ok(Piece::Text(octets));
            }
            if c.eat_word(b"URL") {
                c.sp()?;
                return Ok(Piece::Url(Bytes::copy_from_slice(&c.astring()?)));
            }
            Err(BadSyntax("expected TEXT, UTF8 or URL"))
        })?;
        Ok(Some(Self { pieces, binary }))
    }

    /// All octets, in order. `share` gets what they and the pieces take, beside `other` octets.
    ///
    /// # Errors
    /// BADURL with the first URL that names nothing here, TOOBIG, UNAVAILABLE, the store.
    pub(crate) async fn join(
        self,
        cx: &Session,
        share: &mut Share,
        other: usize,
    ) -> Result<Bytes, Refusal> {
        let max = cx.deps.mail.options().max_message_bytes as usize;
        let texts = self.pieces.iter().map(Piece::octets).sum::<usize>();
        let mut message = Vec::new();
        for piece in self.pieces {
            // RFC 4469 4.2: one has to be defensive.
            let left = max.saturating_sub(message.len());
            let held = other.saturating_add(texts).saturating_add(message.len());
            let mut admit = |octets: usize, copies: usize| {
                if octets > left {
                    return Err(TOOBIG);
                }
                match share.grow_to(held.saturating_add(octets.saturating_mul(copies))) {
                    true => Ok(()),
                    false => Err(Refusal::NO_ROOM),
                }
            };
            let octets = match piece {
                Piece::Text(octets) => {
                    admit(octets.len(), 1)?;
                    octets
                }
                Piece::Url(url) => {
                    let found = named(&url, cx).await?;
                    // What is read, and its copy in the message.
                    admit(found.octets(), 2)?;
                    let octets = found.read().await?.ok_or_else(|| bad_url(&url))?;
                    admit(octets.len(), 2)?;
                    octets
                }
            };
            message.reserve_exact(octets.len());
            message.extend_from_slice(&octets);
        }
        Ok(message.into())
    }
}

/// What a URL names: octets as they are, and no `\Seen` for it (RFC 4469 3).
async fn named(url: &[u8], cx: &Session) -> Result<Found, Refusal> {
    let found = match cx.source(url).await {
        Some(source) => source.find().await?,
        None => None,
    };
    found.ok_or_else(|| bad_url(url))
}

fn bad_url(url: &[u8]) -> Refusal {
    let code = Code::BadUrl(printable(url));
    Refusal::no(code, "there is nothing of that URL")
}

/// `url-resp-text`, without octets that the text of a response cannot have.
fn printable(url: &[u8]) -> String {
    let fits = |c: &u8| (0x20..0x7f).contains(c) && !matches!(c, b']' | b'\\');
    url.iter()
        .map(|c| if fits(c) { char::from(*c) } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_pieces_are_refused() {
        for text in [
            "CATENATE",
            "CATENATE ",
            "CATENATE ()",
            "CATENATE (URL)",
            "CATENATE (URL a",
            "CATENATE (URL a  URL b)",
            "CATENATE (TEXT \"a\")",
            "CATENATE (TEXT a)",
            "CATENATE (FILE a)",
            "CATENATE URL a",
        ] {
            let mut c = Cursor::of(text.as_bytes());
            assert!(Pieces::try_parse(&mut c).is_err(), "{text}");
        }
        for text in ["CATENATEX (URL a)", "{3}", "\"CATENATE\""] {
            let mut c = Cursor::of(text.as_bytes());
            assert!(matches!(Pieces::try_parse(&mut c), Ok(None)), "{text}");
        }
        let mut c = Cursor::of(b"catenate (url /a/;uid=1 URL \"b c\")");
        let pieces = Pieces::try_parse(&mut c).unwrap().unwrap();
        assert_eq!((pieces.pieces.len(), pieces.binary), (2, false));
    }

    #[test]
    fn a_url_is_shown_without_what_would_end_the_code() {
        assert_eq!(printable(b"/a];uid=1\r\n\xfc"), "/a?;uid=1???");
    }
}
