//! Preview, search, thread keys and kept header lines.

use std::ops::ControlFlow;

use message::{
    Digest, FieldSet, MAX_KEPT_LINES, Needle, body_texts, digest, filter_header, header_texts,
};

use crate::imap::with_digest;

fn preview(message: &str) -> String {
    with_digest(message.as_bytes(), |digest| digest.preview().to_owned())
}

#[test]
fn previews() {
    for (message, shown) in [
        ("", ""),
        ("\r\n \r\n\t\r\n", ""),
        ("\r\n Hello,\r\n\r\n  you\0 there\r\n", "Hello, you there"),
        // What is quoted is shown only when there is nothing else.
        ("\r\n> old\r\nnew\r\n", "new"),
        ("\r\n> old\r\n", "> old"),
        ("Content-Type: image/png\r\n\r\nPNG", ""),
        ("Content-Transfer-Encoding: x-odd\r\n\r\ntext", ""),
        (
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
             caf=C3=A9 =\r\nau lait\r\n",
            "café au lait",
        ),
        (
            "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\nY2Fm6Q==",
            "café",
        ),
        (
            "Content-Type: text/html\r\n\r\n<html><head><title>no</title><style>p {}</style></head>\
             <body><p>Hello&nbsp;<b>y</b>ou</p><p>there</body>",
            "Hello you there",
        ),
        (
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n\
             --b\r\nContent-Disposition: attachment\r\n\r\nattached\r\n--b\r\n\r\nplain\r\n--b--",
            "plain",
        ),
    ] {
        assert_eq!(preview(message), shown, "{message:?}");
    }
    assert_eq!(
        preview(&format!("\r\n{}", "é ".repeat(500)))
            .chars()
            .count(),
        199
    );
    assert_eq!(
        preview(&format!("\r\n{}", "é".repeat(500))).chars().count(),
        200
    );
}

fn pieces(message: &[u8]) -> Vec<String> {
    let mut pieces = Vec::new();
    body_texts(message, &mut |text| {
        pieces.push(text.to_owned());
        ControlFlow::Continue(())
    });
    pieces
}

const MIXED: &[u8] = b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\n\r\nplain\r\n\
    --b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9\xd7\xc5\xd4\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    <b>caf=C3=A9</b>\r\n\
    --b\r\nContent-Type: application/pdf; name=secret.pdf\r\n\r\nopaque\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?Q?in=C3=A9r?=\r\n line\r\n\r\ninner\r\n--b--";

#[test]
fn body_text_comes_decoded() {
    assert_eq!(
        pieces(MIXED),
        [
            "plain",
            "Content-Type: text/plain; charset=koi8-r",
            "Привет",
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "<b>café</b>",
            "Content-Type: application/pdf; name=secret.pdf",
            "Content-Type: message/rfc822",
            "Subject: inér line",
            "inner",
        ]
    );
    let mut seen = 0;
    body_texts(MIXED, &mut |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert_eq!(seen, 1);
    let mut fields = Vec::new();
    header_texts(
        b"A: =?utf-8?Q?b?=\r\nnonsense\r\nC: \xe9\r\n\r\nbody",
        &mut |text| {
            fields.push(text.to_owned());
            ControlFlow::Continue(())
        },
    );
    assert_eq!(fields, ["A: b", "nonsense", "C: é"]);
}

#[test]
fn messages_that_are_not_read_as_messages_are_text() {
    let bounce = b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
        Content-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n\r\n--b--\r\n";
    assert_eq!(
        pieces(bounce),
        ["Content-Type: message/delivery-status", "Status: 5.1.1\r\n"]
    );
    with_digest(bounce, |digest| {
        assert!(digest.body_contains(bounce, &Needle::new("status: 5")));
    });
}

#[test]
fn attachments_at_the_end_are_not_looked_at() {
    let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n\
        Content-Type: image/png; name=x.png\r\n\r\nPNG PNG PNG\r\n--b--\r\nepilogue\r\n";
    with_digest(message, |digest| {
        let looked_at = &message[..digest.searched_len() as usize];
        assert!(looked_at.ends_with(b"name=x.png\r\n\r\n"));
        assert!(digest.body_contains(looked_at, &Needle::new("x.png")));
    });
    with_digest(b"", |digest| assert_eq!(digest.searched_len(), 0));
}

#[test]
fn searching_with_a_digest_is_searching_the_pieces() {
    let encoded = digest(MIXED);
    let digest = Digest::parse(&encoded).unwrap();
    for (text, found) in [
        ("", true),
        ("PLAIN", true),
        ("привет", true),
        ("CAFÉ", true),
        ("cafe", true),
        ("secret.PDF", true),
        ("inér LINE", true),
        ("INNER", true),
        ("outer", false),
        ("opaque", false),
        ("C3=A9", false),
        ("--b", false),
        ("Ж", false),
    ] {
        let needle = Needle::new(text);
        assert_eq!(digest.body_contains(MIXED, &needle), found, "{text}");
        let looked_at = &MIXED[..digest.searched_len() as usize];
        assert_eq!(digest.body_contains(looked_at, &needle), found, "{text}");
        assert_eq!(
            pieces(MIXED).iter().any(|piece| needle.is_in(piece)),
            found,
            "{text}"
        );
    }
}

#[test]
fn keys_for_sort_and_thread() {
    let message = b"Subject: Re: [list] =?utf-8?Q?Caf=C3=A9?=\t\r\n  (fwd)\r\n\
        Date: 31 Dec 2000 16:01:33 -0800\r\nMessage-ID: <\"a\"@b>\r\n\
        In-Reply-To: <c@d>\r\nReferences: <1@x> junk <2@x>\r\n\r\n";
    with_digest(message, |digest| {
        assert_eq!(digest.subject(), "Re: [list] Café (fwd)");
        assert_eq!(digest.base_subject(), "Café");
        assert!(digest.is_reply_or_forward());
        assert_eq!(digest.sent_date(), Some(978_307_293));
        assert_eq!(digest.sent_day(), Some(11_322));
        assert_eq!(digest.message_id(), Some(&b"a@b"[..]));
        assert_eq!(digest.in_reply_to().collect::<Vec<_>>(), [b"c@d"]);
        assert_eq!(digest.references().collect::<Vec<_>>(), [b"1@x", b"2@x"]);
        assert!(!digest.has_8bit() && !digest.has_nul());
    });
    with_digest(b"Subject\r\n\r\n\xff\0", |digest| {
        assert_eq!((digest.subject(), digest.base_subject()), ("", ""));
        assert_eq!(
            (digest.sent_date(), digest.sent_day(), digest.message_id()),
            (None, None, None)
        );
        assert!(digest.has_8bit() && digest.has_nul());
    });
}

#[test]
fn kept_lines() {
    let message = b"From: a@b\r\nReceived: x\r\nsubject: s\r\n folded\r\nFROM: c@d\nTo: e@f\n\n";
    with_digest(message, |digest| {
        let set = FieldSet::resolve(["From", "Subject", "To"]).unwrap();
        let mut out = b"before".to_vec();
        assert_eq!(digest.header_fields(set, &mut out), Some(()));
        assert_eq!(
            out,
            b"beforeFrom: a@b\r\nsubject: s\r\n folded\r\nFROM: c@d\nTo: e@f\n\r\n"
        );
        let mut seen = Vec::new();
        let from = FieldSet::resolve(["from"]).unwrap();
        digest
            .each_field(from, |field| seen.push(field.unfolded().into_owned()))
            .unwrap();
        assert_eq!(seen, [b"a@b", b"c@d"]);
    });
}

#[test]
fn too_long_lines_are_not_kept() {
    let many = format!("{}, ", "someone@example.com").repeat(1000);
    let message = format!("From: a@b\r\nTo: {many}\r\nSubject: s\r\n\r\n");
    with_digest(message.as_bytes(), |digest| {
        let mut out = Vec::new();
        let to = FieldSet::resolve(["from", "to"]).unwrap();
        assert_eq!(digest.header_fields(to, &mut out), None);
        assert_eq!(digest.each_field(to, |_| panic!("a field")), None);
        let from = FieldSet::resolve(["from", "subject"]).unwrap();
        assert_eq!(digest.header_fields(from, &mut out), Some(()));
        let mut expected = Vec::new();
        filter_header(
            message.as_bytes(),
            &["from", "subject"],
            true,
            &mut expected,
        );
        assert_eq!(out, expected);
    });
    // Of several names that are too long together, the longest go.
    let half = "x".repeat(MAX_KEPT_LINES / 2 - 20);
    let message = format!("To: {half}\r\nCc: {half}yyy\r\nBcc: {half}y\r\n\r\n");
    with_digest(message.as_bytes(), |digest| {
        let kept = |name| {
            digest
                .header_fields(FieldSet::resolve([name]).unwrap(), &mut Vec::new())
                .is_some()
        };
        assert_eq!((kept("To"), kept("Cc"), kept("Bcc")), (true, false, true));
    });
}
