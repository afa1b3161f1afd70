//! `UTF8` and `LANG` (RFC 6856).

use bytes::Bytes;
use memchr::memmem;

use crate::refusal::Refusal;
use crate::registry::Arguments;
use crate::session::{Answer, Session};
use crate::texts::{Language, Text};

/// `UTF8` (RFC 6856 2.1): messages whose header is in UTF-8 may be sent.
pub(crate) async fn utf8(session: &mut Session, _: Arguments<'_>) -> Answer {
    session.utf8 = true;
    let said = Text::Utf8Enabled.say(session.language);
    session.wire.write(format!("+OK {said}\r\n").as_bytes());
    Ok(())
}

/// `LANG [range]` (RFC 6856 3.2): chooses the language of texts, or lists what there is.
pub(crate) async fn lang(session: &mut Session, arguments: Arguments<'_>) -> Answer {
    let Some(range) = arguments.first() else {
        let mut list = String::from("+OK\r\n");
        for language in Language::ALL {
            list.push_str(&format!("{} {}\r\n", language.tag(), language.name()));
        }
        list.push_str(".\r\n");
        session.wire.write(list.as_bytes());
        return Ok(());
    };
    session.language = match range {
        // The one the administrator prefers.
        b"*" => session.front.deps.settings.language,
        range => std::str::from_utf8(range)
            .ok()
            .and_then(Language::find)
            .ok_or(Refusal::NO_LANGUAGE)?,
    };
    let language = session.language;
    let answer = format!(
        "+OK {} {}\r\n",
        language.tag(),
        Text::LanguageIs.say(language)
    );
    session.wire.write(answer.as_bytes());
    Ok(())
}

impl Session {
    /// Whether a message with UTF-8 in its header may be sent as it is.
    pub(crate) fn may_send_utf8(&self) -> bool {
        self.utf8 || !self.front.deps.settings.refuse_utf8
    }
}

/// Whether a message needs UTF8: its header, as far as it lies in these pieces, is UTF-8 and not
/// ASCII (RFC 6532). Octets that are no UTF-8 are of older times and need nothing.
pub(crate) fn needs_utf8(prefix: &Bytes, first: &Bytes) -> bool {
    let end = memmem::find(first, b"\n\r\n").into_iter();
    let end = end.chain(memmem::find(first, b"\n\n")).min();
    let header = end.map_or(&first[..], |end| &first[..end]);
    [&prefix[..], header].iter().any(|piece| {
        !piece.is_ascii()
            && match std::str::from_utf8(piece) {
                Ok(_) => true,
                // Cut in the middle of a character.
                Err(error) => error.error_len().is_none(),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6532_only_a_header_in_utf8_needs_utf8() {
        let table: [(&str, &[u8], bool); 8] = [
            ("", b"Subject: a\r\n\r\nb\r\n", false),
            ("", "Subject: a\r\n\r\né\r\n".as_bytes(), false),
            ("", "Subject: a\n\né\n".as_bytes(), false),
            ("", "Subject: é\r\n\r\nb\r\n".as_bytes(), true),
            ("", "Subject: é\n\nb\n".as_bytes(), true),
            ("", b"Subject: \xe9\r\n\r\nb\r\n", false),
            ("Return-Path: <\u{e9}@x>\r\n", b"a: b\r\n\r\n", true),
            ("", b"Subject: long\xc3", true),
        ];
        for (prefix, bytes, want) in table {
            let prefix = Bytes::copy_from_slice(prefix.as_bytes());
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(needs_utf8(&prefix, &bytes), want, "{bytes:?}");
        }
    }
}
