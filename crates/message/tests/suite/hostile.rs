//! Messages made to break parsers: the answer must be sane and come in bounded time and stack.

use message::{
    Digest, MAX_DEPTH, MAX_PARTS, Part, Section, addresses, body_texts, decode_params,
    decode_words, digest,
};

use crate::imap::with_digest;

/// Runs on a small stack, so that recursion over input would show.
fn on_small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(f)
        .unwrap()
        .join()
        .unwrap();
}

fn digested(message: &[u8]) -> Vec<u8> {
    let encoded = digest(message);
    let digest = Digest::parse(&encoded).unwrap();
    assert_eq!(digest.size() as usize, message.len());
    body_texts(message, &mut |_| std::ops::ControlFlow::Continue(()));
    encoded
}

fn count(haystack: &[u8], needle: &str) -> usize {
    memchr::memmem::find_iter(haystack, needle.as_bytes()).count()
}

#[test]
fn deep_multiparts() {
    on_small_stack(|| {
        let mut message = String::new();
        for level in 0..1000 {
            message += &format!(
                "Content-Type: multipart/mixed; boundary=b{level}x\r\n\r\n--b{level}x\r\n"
            );
        }
        let encoded = digested(message.as_bytes());
        let digest = Digest::parse(&encoded).unwrap();
        assert_eq!(count(digest.body(), "\"mixed\""), MAX_DEPTH);
        assert_eq!(count(digest.body(), "\"octet-stream\""), 1);
        let deepest = Section {
            path: vec![1; MAX_DEPTH],
            part: Part::Whole,
        };
        assert!(digest.locate(&deepest).is_some());
        let deeper = Section {
            path: vec![1; MAX_DEPTH + 1],
            part: Part::Whole,
        };
        assert_eq!(digest.locate(&deeper), None);
    });
}

#[test]
fn deep_messages() {
    on_small_stack(|| {
        let message = "Subject: s\r\nContent-Type: message/rfc822\r\n\r\n".repeat(100_000);
        let encoded = digested(message.as_bytes());
        let digest = Digest::parse(&encoded).unwrap();
        assert_eq!(count(digest.body(), "\"rfc822\""), MAX_DEPTH);
    });
}

#[test]
fn ten_thousand_parts_are_all_listed() {
    let part = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nx\r\n";
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--",
        part.repeat(10_000)
    );
    with_digest(message.as_bytes(), |digest| {
        assert_eq!(count(digest.bodystructure(), "\"rfc822\""), 10_000);
        for number in [1, 5000, 10_000] {
            let located = digest.locate(&Section {
                path: vec![number, 1],
                part: Part::Whole,
            });
            let range = located.unwrap().range;
            assert_eq!(&message[range.start as usize..range.end as usize], "x");
        }
        assert_eq!(
            digest.locate(&Section {
                path: vec![10_001],
                part: Part::Whole
            }),
            None
        );
    });
}

#[test]
fn more_parts_than_are_told_apart() {
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\n\n".repeat(1_000_000)
    );
    let encoded = digested(message.as_bytes());
    let digest = Digest::parse(&encoded).unwrap();
    assert_eq!(count(digest.body(), "\"plain\""), MAX_PARTS - 1);
    // The last one holds the rest.
    let last = Section {
        path: vec![MAX_PARTS as u32 - 1],
        part: Part::Whole,
    };
    assert_eq!(
        digest.locate(&last).unwrap().range.end as usize,
        message.len()
    );
}

#[test]
fn many_candidates_for_many_boundaries() {
    let mut message = String::new();
    for level in 0..MAX_DEPTH {
        message += &format!(
            "Content-Type: multipart/mixed; boundary=b{level:03}\r\n\r\n--b{level:03}\r\n"
        );
    }
    message += "\r\n";
    message += &"--bz\n".repeat(200_000);
    digested(message.as_bytes());
}

#[test]
fn big_messages() {
    for piece in [
        "\n", "\r", "\r\n", "\0", "\u{e9}", "--", "--\n", "x", "a: b\n", " ", ":", "(", "\r\n\r\n",
    ] {
        let bytes = piece.repeat((1 << 20) / piece.len());
        digested(bytes.as_bytes());
        digested(format!("Content-Type: text/html\r\n\r\n{bytes}").as_bytes());
        digested(
            format!("Content-Type: multipart/mixed; boundary=\"-\"\r\n\r\n{bytes}").as_bytes(),
        );
    }
    digested(&vec![b'x'; 50 << 20]);
}

#[test]
fn long_header_lines() {
    const FIELDS: [&str; 12] = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "References",
        "Content-Type",
        "Content-Disposition",
        "Content-Language",
        "Content-Transfer-Encoding",
        "Content-ID",
        "Content-Type: a/b",
    ];
    const PIECES: [&str; 34] = [
        "a",
        ",",
        "a,",
        ":",
        ";",
        ":;",
        "<",
        ">",
        "<>",
        "@",
        "\"",
        "\\",
        "(",
        ")",
        "()",
        " ",
        "\r\n ",
        "=?",
        "?=",
        "=?a?q?",
        "=?a?b?c?=",
        "<@",
        "<@a:",
        ";a=b",
        ";a*0=",
        ";a*1*=%",
        "=",
        "é",
        "\0",
        "[",
        "]",
        "[fwd:",
        "re:",
        "a@b ",
    ];
    for field in FIELDS {
        for piece in PIECES {
            let value = piece.repeat((32 << 10) / piece.len());
            digested(format!("{field}: {value}\r\n\r\nbody").as_bytes());
        }
    }
}

#[test]
fn megabyte_values() {
    for piece in [
        "=?a?q?",
        "=?a?b?c?= ",
        "=?",
        "a b ",
        "<a",
        "@",
        "(",
        "\"",
        ";a*1=b",
        ";*0*=",
        "''",
        "%4",
    ] {
        let value = piece.repeat((1 << 20) / piece.len());
        decode_words(value.as_bytes());
        decode_params(value.as_bytes());
        addresses(value.as_bytes());
    }
}

#[test]
fn envelopes_do_not_grow_without_bound() {
    let header = format!("From: {}\r\n\r\n", "a,".repeat(200_000));
    let message = format!(
        "Content-Type: multipart/digest; boundary=b\r\n\r\n{}",
        format!("--b\r\n\r\n{header}").repeat(20)
    );
    let encoded = digested(message.as_bytes());
    assert!(
        encoded.len() < 4 * message.len(),
        "{} of {}",
        encoded.len(),
        message.len()
    );
}

#[test]
fn wrong_charsets_and_encodings() {
    for charset in [
        "utf-8",
        "utf-16",
        "iso-2022-jp",
        "gb18030",
        "utf-7",
        "x-none",
        "\"\"",
        "hz-gb-2312",
    ] {
        for encoding in ["base64", "quoted-printable", "8bit", "x-none", "\"\""] {
            let mut message = format!(
                "Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
            )
            .into_bytes();
            message.extend((0..=255u8).cycle().take(2000));
            with_digest(&message, |digest| assert!(digest.has_8bit()));
        }
    }
}
