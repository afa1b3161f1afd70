//! BODY and BODYSTRUCTURE (RFC 3501 7.4.2).

use crate::imap::with_digest;

/// BODY, with quotes unescaped by nothing: all cases here are ASCII.
fn body(message: &str) -> String {
    with_digest(message.as_bytes(), |d| {
        String::from_utf8(d.body().to_vec()).unwrap()
    })
}

fn bodystructure(message: &str) -> String {
    with_digest(message.as_bytes(), |d| {
        String::from_utf8(d.bodystructure().to_vec()).unwrap()
    })
}

#[test]
fn unreadable_types_are_text_plain() {
    for header in [
        "",
        "Content-Type: \r\n",
        "Content-Type: nonsense\r\n",
        "Content-Type: /plain\r\n",
        // Without a boundary there are no parts.
        "Content-Type: multipart/mixed\r\n",
        "Content-Type: multipart/mixed; boundary=\"\"\r\n",
    ] {
        assert_eq!(
            bodystructure(&format!("{header}\r\nHello\r\n")),
            r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1 NIL NIL NIL NIL)"#,
            "{header:?}"
        );
    }
}

#[test]
fn rfc_3501_7_4_2_examples() {
    let text = format!("{}{}\r\n", "x".repeat(45) + "\r\n", "y".repeat(45) + "\r\n");
    assert_eq!(
        body(&format!(
            "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\nContent-Transfer-Encoding: 7BIT\r\n\r\n{text}"
        )),
        r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 96 3)"#
    );
    assert_eq!(
        body(
            "Content-Type: multipart/MIXED; boundary=b\r\n\r\n--b\r\n\
             Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\nContent-Transfer-Encoding: 7BIT\r\n\r\n\
             Hello\r\n\r\n--b\r\n\
             Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=cc.diff\r\n\
             Content-ID: <960723163407.20117h@cac.washington.edu>\r\n\
             Content-Description: Compiler diff\r\nContent-Transfer-Encoding: BASE64\r\n\r\n\
             SGVsbG8=\r\nSGVsbG8=\r\n\r\n--b--\r\n"
        ),
        "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 7 1)\
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"NAME\" \"cc.diff\") \
         \"<960723163407.20117h@cac.washington.edu>\" \"Compiler diff\" \
         \"BASE64\" 20 2) \"MIXED\")"
    );
}

#[test]
fn extension_data() {
    assert_eq!(
        bodystructure(
            "Content-Type: image/png; name=x\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\
             Content-Disposition: attachment; filename*=utf-8''%C3%A9.png;\r\n size=3\r\n\
             Content-Language: en, de (German)\r\nContent-Location: http://example.com/x\r\n\r\nabc"
        ),
        "(\"image\" \"png\" (\"name\" \"x\") NIL NIL \"7bit\" 3 \"Q2hlY2sgSW50ZWdyaXR5IQ==\" \
         (\"attachment\" (\"filename*\" \"utf-8''%C3%A9.png\" \"size\" \"3\")) (\"en\" \"de\") \
         \"http://example.com/x\")"
    );
    assert_eq!(
        bodystructure(
            "Content-Type: multipart/mixed; boundary=b\r\nContent-Disposition: inline\r\n\
             Content-Language: en\r\n\r\n--b\r\nContent-Disposition: ;\r\n\r\n--b--"
        ),
        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) \
         \"mixed\" (\"boundary\" \"b\") (\"inline\" NIL) (\"en\") NIL)"
    );
}

#[test]
fn rfc_2231_6_pieces_are_joined() {
    assert_eq!(
        body("Content-Type: a/b; t*1=\"y\"; t*0=x; u*0*=utf-8'en'%41; u*1=\"50%\"\r\n\r\n"),
        r#"("a" "b" ("t" "xy" "u*" "utf-8'en'%4150%25") NIL NIL "7bit" 0)"#
    );
}

#[test]
fn text_without_charset_is_us_ascii() {
    assert_eq!(
        body("Content-Type: text/html; format=flowed\r\n\r\n"),
        r#"("text" "html" ("format" "flowed" "charset" "us-ascii") NIL NIL "7bit" 0 0)"#
    );
    assert_eq!(
        body("Content-Type: text/html; charset*=''utf-8\r\n\r\n"),
        r#"("text" "html" ("charset*" "''utf-8") NIL NIL "7bit" 0 0)"#
    );
}

#[test]
fn a_message_within() {
    assert_eq!(
        body(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             Subject: inner\r\nFrom: a@b\r\nContent-Type: text/html; charset=utf-8\r\n\r\nx\r\ny\r\n"
        ),
        "(\"message\" \"rfc822\" NIL NIL NIL \"8bit\" 75 \
         (NIL \"inner\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) \
         NIL NIL NIL NIL NIL) (\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 6 2) 6)"
    );
    // Nothing within is an empty message.
    assert_eq!(
        body("Content-Type: message/rfc822\r\n"),
        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) \
         (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0) 0)"
    );
    // RFC 9051 7.5.2: the same in UTF-8.
    assert_eq!(
        body("Content-Type: Message/Global\r\n\r\nSubject: in\r\n\r\nx"),
        "(\"Message\" \"Global\" NIL NIL NIL \"7bit\" 16 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) \
         (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0) 2)"
    );
    // Other message types have no structure.
    assert_eq!(
        body("Content-Type: message/delivery-status\r\n\r\nx"),
        r#"("message" "delivery-status" NIL NIL NIL "7bit" 1)"#
    );
}

/// Only the types of the parts.
fn types(message: &str) -> String {
    let body = body(message);
    let words = body.split('"').filter(|word| {
        ["plain", "html", "rfc822", "octet-stream", "mixed", "digest"].contains(word)
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn delimiters() {
    let mixed = "Content-Type: multipart/mixed; boundary=ab\r\n\r\n";
    for (body, shown) in [
        // No parts: one empty text (RFC 3501 9: `1*body`).
        ("", "plain mixed"),
        ("no delimiter\r\n", "plain mixed"),
        ("--ab--\r\n", "plain mixed"),
        ("--a\r\n\r\n--b\r\n", "plain mixed"),
        ("x--ab\r\n", "plain mixed"),
        // Cut off.
        ("--ab", "plain mixed"),
        ("--ab\r\nContent-Type: text/html", "html mixed"),
        ("--ab\r\nContent-Type: text/html\r\n\r\nx", "html mixed"),
        // A header that a delimiter ends.
        (
            "--ab\r\nContent-Type: text/html\r\n--ab\r\n--ab--",
            "html plain mixed",
        ),
        // White space after the boundary, bare LFs, more after it.
        (
            "--ab \t\r\nContent-Type: text/html\r\n\r\n--ab--  \r\n",
            "html mixed",
        ),
        (
            "--ab\nContent-Type: text/html\n\n--ab\n\n--ab--\n",
            "html plain mixed",
        ),
        ("--abc\r\n\r\n--ab--c\r\n--ab\r\n", "plain mixed"),
        // What follows the close delimiter is the epilogue.
        (
            "--ab\r\n\r\n--ab--\r\n--ab\r\n\r\n--ab--\r\n",
            "plain mixed",
        ),
    ] {
        assert_eq!(types(&format!("{mixed}{body}")), shown, "{body:?}");
    }
}

#[test]
fn nested_boundaries() {
    let outer = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n";
    for (body, shown) in [
        // RFC 2046 5.1.2: an outer delimiter ends inner parts that lack theirs.
        (
            "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\n--a\r\n\r\n--a--",
            "rfc822 plain digest plain mixed",
        ),
        (
            "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n--a\r\nContent-Type: text/html\r\n\r\n--a--",
            "rfc822 plain html mixed",
        ),
        // A boundary that another begins with: the longer one is meant.
        (
            "Content-Type: multipart/mixed; boundary=aa\r\n\r\n--aa\r\nContent-Type: text/html\r\n\r\n\
             --aa--\r\n--a\r\n\r\n--a--",
            "html mixed plain mixed",
        ),
        // The same boundary again: the inner one.
        (
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n\r\n--a--\r\n\
             --a\r\n\r\n--a--",
            "html mixed plain mixed",
        ),
        // RFC 2046 5.1.5.
        (
            "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n--b--",
            "plain digest mixed",
        ),
    ] {
        assert_eq!(types(&format!("{outer}{body}")), shown, "{body:?}");
    }
}

#[test]
fn the_line_end_before_a_delimiter_belongs_to_it() {
    for (content, octets, lines) in [
        ("", 0, 0),
        ("\r\n", 0, 0),
        ("x\r\n", 1, 0),
        ("x\r\n\r\n", 3, 1),
        ("x\ny\n", 3, 1),
    ] {
        let message =
            format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{content}--b--");
        let part = format!("NIL NIL \"7bit\" {octets} {lines})");
        assert!(
            body(&message).contains(&part),
            "{content:?}: {}",
            body(&message)
        );
    }
}
