//! Messages that break careless parsers. Every one must be stored and given back byte for byte.

mod torture;

/// A message and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Nasty {
    /// What is wrong, as a slug for messages and file names.
    pub name: &'static str,
    /// The octets.
    pub bytes: Vec<u8>,
}

impl Nasty {
    /// Whether the bytes survive DATA (RFC 5321 4.1.1.4): CRLF line ends only, the last one
    /// included, no NUL. The others arrive by APPEND or BDAT only.
    #[must_use]
    pub fn fits_data(&self) -> bool {
        let mut previous = 0;
        let paired = self.bytes.iter().all(|byte| {
            let fine = *byte != 0 && (*byte == b'\n') == (previous == b'\r');
            previous = *byte;
            fine
        });
        paired && self.bytes.ends_with(b"\r\n")
    }
}

/// All of them; the largest has about a megabyte.
#[must_use]
pub fn all() -> Vec<Nasty> {
    let mut all = Vec::new();
    let mut add = |name, bytes: Vec<u8>| all.push(Nasty { name, bytes });
    for (name, text) in SMALL.iter().chain(torture::TEXTS) {
        add(name, text.to_vec());
    }
    add("line-of-100-kilobytes", line_of(100_000));
    add("header-of-a-megabyte", {
        let mut out = b"Subject: x\r\nX-Long: ".to_vec();
        for _ in 0..14_000 {
            out.extend_from_slice(
                b"a line folded again and again and again and again and again and again,\r\n ",
            );
        }
        out.extend_from_slice(b"end\r\n\r\nbody\r\n");
        out
    });
    add("ten-thousand-header-fields", {
        let mut out = Vec::new();
        for number in 0..10_000 {
            out.extend_from_slice(format!("X-{number}: {number}\r\n").as_bytes());
        }
        out.extend_from_slice(b"Subject: after them\r\n\r\nbody\r\n");
        out
    });
    add("header-lines-of-a-megabyte", torture::long_lines());
    for (name, depth) in [("multipart-99-deep", 99), ("multipart-101-deep", 101)] {
        add(name, nested(depth, false));
    }
    add("multipart-500-deep", nested(500, false));
    add("rfc822-200-deep", nested(200, true));
    add("multipart-of-5000-parts", {
        let mut out =
            b"Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
        for _ in 0..5_000 {
            out.extend_from_slice(b"--b\r\n\r\nx\r\n");
        }
        out.extend_from_slice(b"--b--\r\n");
        out
    });
    add("every-byte", {
        let mut out = b"Subject: bytes\r\n\r\n".to_vec();
        out.extend(0..=255u8);
        out.extend_from_slice(b"\r\n");
        out
    });
    add("address-list-of-2000", {
        let mut out = b"From: a@example.org\r\nTo: ".to_vec();
        for number in 0..2_000 {
            out.extend_from_slice(
                format!("\"N {number}\" <n{number}@example.org>,\r\n ").as_bytes(),
            );
        }
        out.extend_from_slice(b"last@example.org\r\n\r\nbody\r\n");
        out
    });
    all
}

const SMALL: &[(&str, &[u8])] = &[
    ("only-a-blank-line", b"\r\n"),
    ("header-without-body", b"Subject: no body\r\n"),
    ("header-without-final-line-end", b"Subject: no end"),
    ("body-without-header", b"\r\nJust a body.\r\n"),
    (
        "no-header-at-all",
        b"This is not a header line\r\nnor is this\r\n\r\nbody\r\n",
    ),
    ("body-without-final-line-end", b"Subject: x\r\n\r\nno end"),
    (
        "bare-line-feeds",
        b"Subject: unix\nFrom: a@example.org\n\nline 1\nline 2\n",
    ),
    (
        "bare-carriage-returns",
        b"Subject: mac\rFrom: a@example.org\r\rbody\r",
    ),
    (
        "mixed-line-ends",
        b"Subject: mixed\nTo: a@example.org\r\n\r\na\nb\r\nc\rd\r\n",
    ),
    ("nul-bytes", b"Subject: a\0b\r\n\r\nbody \0 body\r\n"),
    (
        "from-line-first",
        b"From alice@example.org Thu Jan  1 00:00:00 1970\r\nSubject: x\r\n\r\nb\r\n",
    ),
    (
        "dots",
        b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n. \r\n.x\r\n\r\n.\r\n",
    ),
    ("leading-dot-in-header", b".Subject: x\r\n\r\nbody\r\n"),
    (
        "byte-order-mark",
        b"\xef\xbb\xbfSubject: bom\r\n\r\nbody\r\n",
    ),
    (
        "eight-bit-header",
        b"Subject: caf\xe9\r\nFrom: J\xc3\xb6rg <j@example.org>\r\n\r\nbody\r\n",
    ),
    (
        "invalid-utf-8",
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\x28 \xff \xed\xa0\x80\r\n",
    ),
    (
        "empty-fields",
        b"Subject:\r\nFrom:\r\nTo:\r\nDate:\r\nMessage-ID:\r\nContent-Type:\r\n\r\nx\r\n",
    ),
    (
        "duplicate-fields",
        b"Subject: one\r\nSubject: two\r\nFrom: a@b.example\r\nFrom: c@d.example\r\n\r\nx\r\n",
    ),
    (
        "space-before-colon",
        b"Subject : spaced\r\nFrom\t: a@example.org\r\n\r\nx\r\n",
    ),
    (
        "fold-at-once",
        b"Subject:\r\n folded\r\n\ttwice\r\n   \r\n thrice\r\n\r\nx\r\n",
    ),
    (
        "fold-first-line",
        b" folded from nowhere\r\nSubject: x\r\n\r\nx\r\n",
    ),
    (
        "encoded-words-broken",
        b"Subject: =?utf-8?q?=E?= =?x?y?z?= =?utf-8?b?!!!?= =?utf-8?q?open\r\n\r\nx\r\n",
    ),
    (
        "encoded-word-splits-character",
        b"Subject: =?utf-8?q?=C3?= =?utf-8?q?=A9?=\r\n\r\nx\r\n",
    ),
    (
        "addresses-broken",
        b"From: <<a@b>>, \"open <c@d>\r\nTo: @,;:<>\r\nCc: (((((\r\nBcc: \\\r\n\r\nx\r\n",
    ),
    (
        "group-address",
        b"To: A group: a@example.org, \"b c\"@example.org;, undisclosed:;\r\n\r\nx\r\n",
    ),
    (
        "source-route",
        b"From: <@a.example,@b.example:c@d.example>\r\n\r\nx\r\n",
    ),
    (
        "quotes-and-backslashes",
        b"Subject: \"a\\\"b\\\\c\" \\ \"\r\nFrom: \"\\\"\" <a@example.org>\r\n\r\nx\r\n",
    ),
    (
        "date-nonsense",
        b"Date: Someday, 99 Foo 0000 99:99:99 +9999\r\nSubject: x\r\n\r\nx\r\n",
    ),
    (
        "date-old-zone",
        b"Date: Mon, 1 Jan 96 00:00 EST (comment (nested))\r\n\r\nx\r\n",
    ),
    (
        "multipart-without-boundary",
        b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nx\r\n--x--\r\n",
    ),
    (
        "multipart-empty-boundary",
        b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n----\r\n",
    ),
    (
        "multipart-never-opened",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno part at all\r\n",
    ),
    (
        "multipart-never-closed",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nopen\r\n",
    ),
    (
        "multipart-only-close",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
    ),
    (
        "multipart-same-boundary-inside",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b--\r\n",
    ),
    (
        "boundary-is-prefix",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\ninner\r\n--bb--\r\n--b--\r\n",
    ),
    (
        "boundary-trailing-space",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b \t\r\n\r\nx\r\n--b-- \r\n",
    ),
    (
        "content-type-garbage",
        b"Content-Type: ;;;=\"; charset=\r\n\r\nx\r\n",
    ),
    (
        "content-type-without-subtype",
        b"Content-Type: text\r\n\r\nx\r\n",
    ),
    (
        "parameters-continued",
        b"Content-Type: text/plain; name*0*=utf-8'en'a%C3; name*1*=%A9; name*2=b\r\n\r\nx\r\n",
    ),
    (
        "parameters-out-of-order",
        b"Content-Type: text/plain; name*2=c; name*0=a; name*9=z\r\n\r\nx\r\n",
    ),
    (
        "transfer-encoding-unknown",
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n",
    ),
    (
        "base64-broken",
        b"Content-Transfer-Encoding: base64\r\n\r\n====!!!!QUJD\r\nQ\r\n",
    ),
    (
        "quoted-printable-broken",
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n=Z=4=\r\n=e9=\r\n",
    ),
    ("rfc822-part-empty", b"Content-Type: message/rfc822\r\n\r\n"),
    (
        "rfc822-in-base64",
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        U3ViamVjdDogeA0KDQp4DQo=\r\n",
    ),
    (
        "imap-syntax-in-header",
        b"Subject: {5}\r\nFrom: \")(\" <a@example.org>\r\n\r\n) OK\r\n* BYE\r\n",
    ),
    (
        "pop3-syntax-in-body",
        b"Subject: +OK\r\n\r\n-ERR\r\n.\r\n+OK\r\n",
    ),
];

fn line_of(length: usize) -> Vec<u8> {
    let mut out = b"Subject: long\r\n\r\n".to_vec();
    out.resize(out.len() + length, b'x');
    out.extend_from_slice(b"\r\n");
    out
}

/// `depth` messages or multiparts inside one another, the innermost a line of text.
fn nested(depth: usize, messages: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for level in 0..depth {
        let header = if messages {
            format!("Subject: {level}\r\nContent-Type: message/rfc822\r\n\r\n")
        } else {
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
        };
        out.extend_from_slice(header.as_bytes());
    }
    out.extend_from_slice(b"Content-Type: text/plain\r\n\r\ninnermost\r\n");
    if !messages {
        for level in (0..depth).rev() {
            out.extend_from_slice(format!("--b{level}--\r\n").as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn names_are_unique_and_most_can_be_delivered() {
        let all = all();
        let mut names: Vec<_> = all.iter().map(|message| message.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        let deliverable = all.iter().filter(|message| message.fits_data()).count();
        assert!(
            deliverable > 40 && deliverable < all.len(),
            "{deliverable} of {}",
            all.len()
        );
        for name in [
            "bare-line-feeds",
            "nul-bytes",
            "bare-carriage-returns",
            "every-byte",
        ] {
            assert!(
                all.iter()
                    .any(|message| message.name == name && !message.fits_data()),
                "{name}"
            );
        }
    }
}
