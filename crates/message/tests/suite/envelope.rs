//! ENVELOPE (RFC 3501 7.4.2).

use crate::imap::with_digest;

fn envelope(message: &str) -> String {
    with_digest(message.as_bytes(), |digest| {
        digest.envelope().escape_ascii().to_string()
    })
    .replace("\\\"", "\"")
}

/// The To member of the envelope.
fn to(value: &str) -> String {
    let envelope = envelope(&format!("To: {value}\r\n\r\n"));
    let list = envelope.strip_prefix("(NIL NIL NIL NIL NIL ").unwrap();
    list.strip_suffix(" NIL NIL NIL NIL)").unwrap().to_owned()
}

#[test]
fn nothing_is_nil() {
    for message in [
        "",
        "\r\n",
        "body",
        "\0",
        "From\r\n",
        "From: \r\nTo:\r\nSender: ()\r\nCc: ,;\r\n\r\n",
    ] {
        assert_eq!(
            envelope(message),
            "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
            "{message:?}"
        );
    }
    // RFC 3501 7.4.2: present but empty is the empty string.
    assert_eq!(
        envelope("Subject:\r\nDate: \r\nMessage-ID:\r\nIn-Reply-To: \r\n\r\n"),
        "(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" \"\")"
    );
}

#[test]
fn rfc_3501_8_example() {
    let message = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
        From: Terry Gray <gray@cac.washington.edu>\r\n\
        Subject: IMAP4rev1 WG mtg summary and minutes\r\n\
        To: imap@cac.washington.edu\r\n\
        cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
        Message-Id: <B27397-0100000@cac.washington.edu>\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n";
    assert_eq!(
        envelope(message),
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
         \"IMAP4rev1 WG mtg summary and minutes\" \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((NIL NIL \"imap\" \"cac.washington.edu\")) \
         ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
         (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
         \"<B27397-0100000@cac.washington.edu>\")"
    );
}

#[test]
fn repeated_fields() {
    assert_eq!(
        envelope(
            "From: a@b\r\nFrom: evil@b\r\nSubject: 1\r\nSubject: 2\r\nTo: c@d\r\nTo: e@f\r\n\
             Sender: g@h\r\nReply-To: i@j\r\nReply-To: k@l\r\n\r\n"
        ),
        "(NIL \"1\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"g\" \"h\")) \
         ((NIL NIL \"i\" \"j\")(NIL NIL \"k\" \"l\")) \
         ((NIL NIL \"c\" \"d\")(NIL NIL \"e\" \"f\")) NIL NIL NIL NIL)"
    );
}

#[test]
fn texts_are_raw_but_for_folds() {
    with_digest(
        b"Subject: =?utf-8?Q?=C3=A9?= \r\n\t \"b\\\"\r\n\r\n",
        |digest| {
            let expected = br#"(NIL "=?utf-8?Q?=C3=A9?= \"b\\\"" NIL NIL NIL NIL NIL NIL NIL NIL)"#;
            assert_eq!(digest.envelope(), expected);
        },
    );
}

#[test]
fn eight_bit_goes_into_literals() {
    with_digest(
        "Subject: é\r\nFrom: é <a@b>\r\n\r\n".as_bytes(),
        |digest| {
            let expected = "(NIL {2}\r\né (({2}\r\né NIL \"a\" \"b\")) (({2}\r\né NIL \"a\" \"b\")) \
                        (({2}\r\né NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)";
            assert_eq!(digest.envelope(), expected.as_bytes());
        },
    );
    with_digest(b"Subject: a\0\xff\rb\r\n\r\n", |digest| {
        let expected = b"(NIL {4}\r\na\xff b NIL NIL NIL NIL NIL NIL NIL NIL)";
        assert_eq!(digest.envelope(), expected);
    });
}

#[test]
fn malformed_addresses() {
    for (value, list) in [
        (",", "NIL"),
        ("user", "((NIL NIL \"user\" \"MISSING_DOMAIN\"))"),
        ("<user>", "((NIL NIL \"user\" \"MISSING_DOMAIN\"))"),
        ("<>", "((NIL NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\"))"),
        (
            "Foo Bar",
            "((\"Foo Bar\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\"))",
        ),
        (
            "\"Foo Bar\"",
            "((\"Foo Bar\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\"))",
        ),
        ("@b", "((NIL NIL \"MISSING_MAILBOX\" \"b\"))"),
        ("a@", "((NIL NIL \"a\" \"MISSING_DOMAIN\"))"),
        // RFC 5322 3.2.4: a quoted string may be empty.
        ("\"\"@b", "((NIL NIL \"\" \"b\"))"),
        ("a@[1.2.3.4] [b]", "((NIL NIL \"a\" \"[1.2.3.4]\"))"),
        ("a@b@c, d@e", "((NIL NIL \"a\" \"b\")(NIL NIL \"d\" \"e\"))"),
        ("Joe <a@b", "((\"Joe\" NIL \"a\" \"b\"))"),
        ("Joe a@b", "((\"Joe\" NIL \"a\" \"b\"))"),
        ("a@b <a@b>", "((\"a@b\" NIL \"a\" \"b\"))"),
        (
            "<a@b> <c@d>",
            "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))",
        ),
        (
            "<a@b>x, c@d",
            "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))",
        ),
        ("a@b; c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"),
        ("[x] y <a@b>", "((\"[x] y\" NIL \"a\" \"b\"))"),
        (
            "\"open <a@b>",
            "((\"open <a@b>\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\"))",
        ),
        ("(open a@b", "NIL"),
        ("<undisclosed:@b;>", "((NIL NIL \"undisclosed:\" \"b\"))"),
        (
            "g: a@b",
            "((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))",
        ),
        (
            "g: h: a@b;",
            "((NIL NIL \"g\" NIL)(NIL NIL NIL NIL)(NIL NIL \"h\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))",
        ),
    ] {
        assert_eq!(to(value), list, "{value}");
    }
}

#[test]
fn addresses() {
    for (value, list) in [
        ("a@b, c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"),
        ("\"Doe, John\" <a@b>", "((\"Doe, John\" NIL \"a\" \"b\"))"),
        (
            "Joe Q. Public <a@b>",
            "((\"Joe Q. Public\" NIL \"a\" \"b\"))",
        ),
        ("\" Joe  \t\r\n Q\" <a@b>", "((\"Joe Q\" NIL \"a\" \"b\"))"),
        ("a@b (Joe \\(x\\))", "((\"Joe (x)\" NIL \"a\" \"b\"))"),
        ("(Joe) a@b", "((\"Joe\" NIL \"a\" \"b\"))"),
        ("\"a b\"@c", "((NIL NIL \"a b\" \"c\"))"),
        ("<@a,@b:c@d>", "((NIL \"@a,@b\" \"c\" \"d\"))"),
        ("R <@a , @b : c@d>", "((\"R\" \"@a,@b\" \"c\" \"d\"))"),
        ("a@[192.0.2.1]", "((NIL NIL \"a\" \"[192.0.2.1]\"))"),
        (
            "=?x?q?y?= =?x?q?z?= <a@b>",
            "((\"=?x?q?y?= =?x?q?z?=\" NIL \"a\" \"b\"))",
        ),
        // RFC 5322 A.1.3 and A.5, A.6.1, A.6.3.
        (
            "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            "((NIL NIL \"A Group\" NIL)(\"Ed Jones\" NIL \"c\" \"a.test\")(NIL NIL \"joe\" \"where.test\")\
             (\"John\" NIL \"jdoe\" \"one.test\")(NIL NIL NIL NIL))",
        ),
        (
            "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
            "((NIL NIL \"Hidden recipients\" NIL)(NIL NIL NIL NIL))",
        ),
        (
            "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            "((\"Pete\" NIL \"pete\" \"silly.test\"))",
        ),
        (
            "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            "((\"Mary Smith\" \"@node.test\" \"mary\" \"example.net\")(NIL NIL \"jdoe\" \"test.example\"))",
        ),
        ("john . doe @ b", "((NIL NIL \"john.doe\" \"b\"))"),
    ] {
        assert_eq!(to(value), list, "{value}");
    }
}

#[test]
fn texts_of_addresses_for_search() {
    for (value, text) in [
        ("", ""),
        ("=?utf-8?Q?Ren=C3=A9?= <r@x>, y@z", "René <r@x>, y@z"),
        ("Friends: a@b;", "Friends:, a@b"),
        ("user", "user"),
        ("<@a.example,@b:c@d>", "@a.example,@b:c@d"),
        ("M <@a:c@d>", "M <@a:c@d>"),
        ("\"A  B\"", "A B"),
    ] {
        assert_eq!(message::address_texts(value.as_bytes()), text, "{value}");
    }
}
