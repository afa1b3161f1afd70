//! Sections (RFC 3501 6.4.5) and the offsets a digest names.

use message::{Part, Section, TransferEncoding};

use crate::imap::with_digest;

/// The example of RFC 3501 6.4.5.
const MESSAGE: &str = "\
Subject: outer\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\npreamble\r\n\
--A\r\nX: 1\r\n\r\none\r\n\
--A\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n\
--A\r\nContent-Type: message/rfc822\r\nX: 3\r\n\r\n\
Subject: third\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
--B\r\nX: 3.1\r\n\r\nthree one\r\n\
--B\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n--B--\r\n\
\r\n--A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n\
--C\r\nContent-Type: image/gif\r\n\r\nGIF\r\n\
--C\r\nContent-Type: message/rfc822\r\n\r\n\
Content-Type: multipart/mixed; boundary=D\r\n\r\n\
--D\r\n\r\nfour two one\r\n\
--D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n\
--E\r\n\r\nplain\r\n--E\r\nContent-Type: text/richtext\r\n\r\nrich\r\n--E--\r\n\
--D--\r\n--C--\r\n--A--\r\nepilogue\r\n";

fn section(message: &str, path: &[u32], part: Part) -> Option<String> {
    with_digest(message.as_bytes(), |digest| {
        let located = digest.locate(&Section {
            path: path.to_vec(),
            part,
        })?;
        Some(message[located.range.start as usize..located.range.end as usize].to_owned())
    })
}

fn at(path: &[u32], part: Part) -> Option<String> {
    section(MESSAGE, path, part)
}

#[test]
fn sections_that_are_not_there() {
    for (path, part) in [
        (&[][..], Part::Mime),
        (&[0], Part::Whole),
        (&[5], Part::Whole),
        (&[u32::MAX], Part::Mime),
        (&[1, 1], Part::Whole),
        (&[1], Part::Header),
        (&[1], Part::Text),
        (&[4], Part::Header),
        (&[3, 3], Part::Whole),
        (&[3, 0], Part::Whole),
        (&[4, 2, 2, 2, 1], Part::Whole),
        (&[3, 1, 1, 1], Part::Whole),
    ] {
        assert_eq!(at(path, part), None, "{path:?} {part:?}");
    }
}

#[test]
fn rfc_3501_6_4_5_example() {
    for (path, text) in [
        (&[1][..], "one"),
        (&[2], "AAAA"),
        (&[3, 1], "three one"),
        (&[3, 2], "three two"),
        (&[4, 1], "GIF"),
        (&[4, 2, 1], "four two one"),
        (&[4, 2, 2, 1], "plain"),
        (&[4, 2, 2, 2], "rich"),
    ] {
        assert_eq!(at(path, Part::Whole).as_deref(), Some(text), "{path:?}");
    }
    assert_eq!(at(&[], Part::Whole).as_deref(), Some(MESSAGE));
    let header = at(&[], Part::Header).unwrap();
    assert!(header.starts_with("Subject: outer") && header.ends_with("boundary=A\r\n\r\n"));
    assert_eq!(header + &at(&[], Part::Text).unwrap(), MESSAGE);
    assert_eq!(at(&[1], Part::Mime).unwrap(), "X: 1\r\n\r\n");
    assert_eq!(
        at(&[3], Part::Mime).unwrap(),
        "Content-Type: message/rfc822\r\nX: 3\r\n\r\n"
    );
    let header = at(&[3], Part::Header).unwrap();
    assert!(header.starts_with("Subject: third") && header.ends_with("boundary=B\r\n\r\n"));
    let text = at(&[3], Part::Text).unwrap();
    assert!(text.starts_with("--B\r\n") && text.ends_with("--B--\r\n"));
    assert_eq!(at(&[3], Part::Whole).unwrap(), header + &text);
    assert_eq!(at(&[3, 1], Part::Mime).unwrap(), "X: 3.1\r\n\r\n");
    assert_eq!(
        at(&[4, 1], Part::Mime).unwrap(),
        "Content-Type: image/gif\r\n\r\n"
    );
    assert!(at(&[4], Part::Whole).unwrap().ends_with("--C--"));
    assert!(at(&[4, 2], Part::Header).unwrap().contains("boundary=D"));
    assert!(at(&[4, 2, 2], Part::Whole).unwrap().starts_with("--E"));
}

#[test]
fn a_message_without_parts_is_part_1() {
    for message in ["", "\r\n", "X: y\r\n\r\nbody\r\n", "X: y\r\n", "\r\nbody"] {
        let header = section(message, &[], Part::Header).unwrap();
        assert_eq!(
            section(message, &[1], Part::Whole),
            section(message, &[], Part::Text)
        );
        assert_eq!(section(message, &[1], Part::Mime).as_ref(), Some(&header));
        assert_eq!(section(message, &[1, 1], Part::Whole), None);
        assert_eq!(section(message, &[2], Part::Whole), None);
        assert_eq!(
            header + &section(message, &[], Part::Text).unwrap(),
            message
        );
    }
}

#[test]
fn a_message_that_is_a_message() {
    let message = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody";
    assert_eq!(
        section(message, &[1], Part::Whole).unwrap(),
        "Subject: in\r\n\r\nbody"
    );
    assert_eq!(
        section(message, &[1], Part::Header).unwrap(),
        "Subject: in\r\n\r\n"
    );
    assert_eq!(section(message, &[1, 1], Part::Whole).unwrap(), "body");
}

#[test]
fn encodings() {
    with_digest(MESSAGE.as_bytes(), |digest| {
        let encoding = |path: &[u32], part| {
            digest
                .locate(&Section {
                    path: path.to_vec(),
                    part,
                })
                .unwrap()
                .encoding
        };
        assert_eq!(encoding(&[2], Part::Whole), TransferEncoding::Base64);
        assert_eq!(encoding(&[2], Part::Mime), TransferEncoding::Identity);
        assert_eq!(encoding(&[1], Part::Whole), TransferEncoding::Identity);
    });
}

#[test]
fn sizes() {
    for (message, header_len, crlf_extra) in [
        ("", 0, 0),
        ("x", 1, 2),
        ("\n", 1, 1),
        ("\r\n", 2, 0),
        ("A: b\r\n\r\nx\r\n", 8, 0),
        ("A: b\n\nx\r", 6, 4),
        ("A: b\r\n\r\nx\n\r\n\ny", 8, 4),
        ("A: b\r\r\n\r\n", 9, 0),
    ] {
        with_digest(message.as_bytes(), |digest| {
            let got = (
                digest.size() as usize,
                digest.header_len(),
                digest.crlf_extra(),
            );
            assert_eq!(got, (message.len(), header_len, crlf_extra), "{message:?}");
        });
    }
}

#[test]
fn a_message_without_a_body_ends_where_its_header_does() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\n\r\n--b--\r\n";
    for (part, text) in [
        (Part::Whole, "\r\n"),
        (Part::Header, "\r\n"),
        (Part::Text, ""),
    ] {
        assert_eq!(section(message, &[1], part).as_deref(), Some(text));
    }
}
