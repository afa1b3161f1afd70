//! Properties of any bytes, and of bytes that look like mail.

use std::ops::ControlFlow;

use message::{
    Digest, FieldSet, MAX_DEPTH, Needle, Part, Section, TextFilter, addresses, base_subject,
    body_texts, decode_params, decode_words, digest, fields, filter_header, header_contains,
    header_len, message_ids, sent_date,
};
use proptest::prelude::*;

use crate::imap::with_digest;

const NAMES: [&str; 9] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "References",
    "Content-Type",
    "Sender",
];

/// Pieces that mail is made of, whole and broken.
const PIECES: [&[u8]; 52] = [
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\n\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"From: ",
    b"To: ",
    b"Subject: ",
    b"Date: ",
    b"Sender: ",
    b"References: ",
    b"Message-ID: ",
    b"Content-Type: text/html; charset=koi8-r\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: multipart/mixed; boundary=a\r\n",
    b"Content-Type: multipart/digest; boundary=\"ab\"\r\n",
    b"Content-Type: ",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename*0*=a''%20",
    b"Content-Language: en, de",
    b"--a\r\n",
    b"--a--\r\n",
    b"--ab\r\n",
    b"--ab--",
    b"--a",
    b"-",
    b"Joe ",
    b"a@b",
    b"<a@b>",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"(",
    b")",
    b",",
    b";",
    b":",
    b"=?utf-8?Q?=C3=A9?=",
    b"=?",
    b"Mon, 1 Jan 2001 10:00:00 +0100",
    b"SGVsbG8=",
    b"=3D=\r\n",
    b"Re: [x] ",
    b"word",
];

fn mail() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

fn check(message: &[u8]) {
    with_digest(message, |digest| {
        let size = message.len() as u32;
        assert_eq!(digest.size(), size);
        assert_eq!(digest.header_len() as usize, header_len(message));
        assert_eq!(
            digest.crlf_extra() as usize,
            crlf(message).len() - message.len()
        );
        assert!(digest.preview().chars().count() <= 200);
        check_sections(digest, size);
        check_kept(digest, message);
        check_search(digest, message);
    });
    check_fields(message);
}

/// What POP3 sends.
fn crlf(message: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for line in message.split_inclusive(|&b| b == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let ended = content.len() < line.len();
        out.extend(if ended {
            content.strip_suffix(b"\r").unwrap_or(content)
        } else {
            content
        });
        out.extend(b"\r\n");
    }
    out
}

/// Every section lies within the section around it.
fn check_sections(digest: &Digest<'_>, size: u32) {
    let range = |path: &[u32], part| {
        Some(
            digest
                .locate(&Section {
                    path: path.to_vec(),
                    part,
                })?
                .range,
        )
    };
    assert_eq!(range(&[], Part::Whole), Some(0..size));
    assert_eq!(range(&[], Part::Header), Some(0..digest.header_len()));
    assert_eq!(range(&[], Part::Text), Some(digest.header_len()..size));
    let mut open = vec![(Vec::new(), 0..size)];
    while let Some((path, around)) = open.pop() {
        assert!(path.len() <= 2 * MAX_DEPTH);
        for number in 1.. {
            let path = [&path[..], &[number]].concat();
            let Some(whole) = range(&path, Part::Whole) else {
                break;
            };
            assert!(
                around.start <= whole.start && whole.start <= whole.end && whole.end <= around.end
            );
            let mime = range(&path, Part::Mime).unwrap();
            assert!(mime.start <= mime.end && mime.end == whole.start);
            if let Some(header) = range(&path, Part::Header) {
                let text = range(&path, Part::Text).unwrap();
                assert_eq!(
                    (header.start, header.end, text.end),
                    (whole.start, text.start, whole.end)
                );
            }
            open.push((path, whole));
        }
    }
}

fn check_kept(digest: &Digest<'_>, message: &[u8]) {
    for names in [&NAMES[..], &NAMES[..1], &NAMES[3..5], &[]] {
        let mut kept = Vec::new();
        if digest
            .header_fields(FieldSet::resolve(names).unwrap(), &mut kept)
            .is_none()
        {
            continue;
        }
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let mut filtered = Vec::new();
        filter_header(&message[..header_len(message)], &names, true, &mut filtered);
        assert_eq!(
            kept.escape_ascii().to_string(),
            filtered.escape_ascii().to_string()
        );
    }
}

fn slice(message: &[u8], len: u32) -> &[u8] {
    &message[..len as usize]
}

fn check_search(digest: &Digest<'_>, message: &[u8]) {
    let mut pieces = Vec::new();
    body_texts(message, &mut |text| {
        pieces.push(text.to_owned());
        ControlFlow::Continue(())
    });
    let inside = pieces
        .last()
        .map(|piece| piece.chars().rev().take(4).collect::<Vec<_>>());
    let inside: String = inside.unwrap_or_default().into_iter().rev().collect();
    for text in [&inside, "word", "É", "a", "zzzz", ""] {
        let needle = Needle::new(text);
        let found = pieces.iter().any(|piece| needle.is_in(piece));
        assert_eq!(digest.body_contains(message, &needle), found, "{text:?}");
        let looked_at = slice(message, digest.searched_len());
        assert_eq!(digest.body_contains(looked_at, &needle), found, "{text:?}");
        let in_header = header_contains(slice(message, digest.header_len()), &needle);
        let filter = TextFilter::new(b"X: prefix\r\n", digest, looked_at);
        assert!(
            !filter.rules_out(&needle) || !found && !in_header,
            "{text:?}"
        );
    }
}

/// The fields and what is no field make up the header.
fn check_fields(message: &[u8]) {
    let raw: usize = fields(message).map(|field| field.raw.len()).sum();
    assert!(raw <= header_len(message) && header_len(message) <= raw + 2);
    for field in fields(message) {
        let text = decode_words(field.value);
        let (base, _) = base_subject(&text);
        assert!(base.len() <= text.len());
        decode_params(field.value);
        addresses(field.value);
        message_ids(field.value);
        sent_date(field.value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes(message in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&message);
    }

    #[test]
    fn bytes_like_mail(message in mail()) {
        check(&message);
    }

    #[test]
    fn damaged_digests(
        message in mail(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut encoded = digest(&message);
        let at = at.index(encoded.len());
        if cut {
            encoded.truncate(at);
            prop_assert_eq!(Digest::parse(&encoded), None);
        } else if let Some(b) = encoded.get_mut(at) {
            *b = with;
            read_all(&encoded, &message);
        }
    }

    #[test]
    fn needles(text in "\\PC{0,40}", needle in "\\PC{0,4}") {
        let lower = text.to_lowercase();
        if lower.is_ascii() && needle.is_ascii() {
            let found = lower.contains(&needle.to_lowercase());
            prop_assert_eq!(Needle::new(&needle).is_in(&text), found);
        }
        let inside: String = text.chars().skip(3).take(5).collect();
        prop_assert!(Needle::new(&inside).is_in(&text));
    }
}

/// Reads everything; what comes does not matter.
fn read_all(encoded: &[u8], message: &[u8]) {
    let Some(digest) = Digest::parse(encoded) else {
        return;
    };
    let _ = (
        digest.envelope(),
        digest.body(),
        digest.bodystructure(),
        digest.preview(),
    );
    let _ = (
        digest.subject(),
        digest.base_subject(),
        digest.message_id(),
        digest.sent_date(),
    );
    digest
        .references()
        .chain(digest.in_reply_to())
        .for_each(drop);
    let set = FieldSet::resolve(NAMES).unwrap();
    digest.header_fields(set, &mut Vec::new());
    digest.each_field(set, |_| {});
    for path in [&[][..], &[1], &[2], &[1, 1], &[1, 1, 1]] {
        for part in [Part::Whole, Part::Header, Part::Text, Part::Mime] {
            digest.locate(&Section {
                path: path.to_vec(),
                part,
            });
        }
    }
    digest.body_contains(message, &Needle::new("x"));
}
