//! MIME and addresses at their worst: grammatical but rare, or not grammatical and common.

/// Name and text of each.
pub(super) const TEXTS: &[(&str, &[u8])] = &[
    (
        "messages-in-multiparts-in-messages",
        b"Subject: outermost\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\
        \r\npreamble\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n\
        From: (one) One <one@example.org>\r\nSubject: first inside\r\nContent-Type: multipart/mixed;\r\n\
        \tboundary=\"in ner\"\r\n\r\n--in ner\r\n\r\ntext one\r\n--in ner\r\n\
        Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=two.eml\r\n\r\n\
        To: group: a@example.org, b@example.org;\r\nSubject: second inside\r\n\r\nsecond body\r\n\
        --in ner--\r\nepilogue\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: third inside\r\nContent-Type: message/rfc822\r\n\r\nSubject: fourth\r\n\r\nfour\r\n\
        --outer--\r\n",
    ),
    (
        "digest-of-all-kinds",
        b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: implied\r\n\r\none\r\n\
        --d\r\nContent-Type: text/plain\r\n\r\nno message\r\n--d\r\nContent-Description: still one\r\n\
        \r\nSubject: two\r\nContent-Type: multipart/mixed; boundary=e\r\n\r\n--e\r\n\r\nx\r\n--e--\r\n\
        --d--\r\n",
    ),
    (
        "message-types-that-hold-no-message",
        b"Content-Type: multipart/report; boundary=r; report-type=delivery-status\r\n\r\n\
        --r\r\n\r\nFailed.\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; x@example.org\r\n\
        Action: failed\r\n--r\r\nContent-Type: message/external-body; access-type=anon-ftp;\r\n\
        \x20name=x; site=ftp.example.org\r\n\r\nContent-Type: image/gif\r\nContent-ID: <g@x>\r\n\r\n\
        --r\r\nContent-Type: message/partial; number=1; total=2; id=\"p@x\"\r\n\r\n\
        Subject: in pieces\r\n\r\nhalf\r\n--r\r\nContent-Type: text/rfc822-headers\r\n\r\n\
        Subject: lost\r\n\r\n--r--\r\n",
    ),
    (
        "encoded-words-everywhere",
        b"From: =?ISO-8859-1?Q?Andr=E9?= Pirard <pirard@vm1.example>\r\n\
        To: =?utf-8?b?SsO2cmc=?= =?utf-8?b?IE3DvGxsZXI=?= <j@example.org>, \"=?utf-8?q?quoted?=\" <q@x>\r\n\
        Cc: plain (=?iso-8859-1?q?com=E9?=) <p@example.org>, =?utf-8?q?a@example.org?=\r\n\
        Subject: =?iso-8859-1*en?q?a?= =?utf-8?Q?b_c?=d =?utf-8?b?ZQ==?=\r\n\
        \t=?utf-8?b?Zg==?=  =?bogus?x?g?=\r\nMessage-ID: =?utf-8?q?=3Ci=40x=3E?=\r\n\r\nx\r\n",
    ),
    (
        "groups",
        b"From: Writers: \"A. One\" <one@example.org>, two@example.org (Two);\r\n\
        To: Undisclosed recipients:;\r\nCc: a@x.example, G1: b@x.example;, c@x.example, \"G \\\"2\\\"\":\r\n\
        \x20d@x.example,\r\n e@x.example;\r\nBcc: (comment) Empty (c) : (nobody) ;\r\n\
        Reply-To: never closed: f@x.example, g@x.example\r\n\r\nx\r\n",
    ),
    (
        "addresses-with-comments",
        b"From: (a) Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>\r\n\
        To: A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n\
        \x20        joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)\r\n\
        Cc: (Empty list)(start)Hidden recipients  :(nobody(that I know))  ;\r\n\
        Bcc: (x) a (y) . (z) b (c) @ (d) example (e) . (f) org (g)\r\n\
        Sender: (unclosed (nested\r\nReply-To: last@example.org (Last, First), (Only a comment)\r\n\
        \r\nx\r\n",
    ),
    (
        "addresses-of-all-forms",
        b"From: \"Joe Q. Public\" <john.q.public@example.com>\r\n\
        To: Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>, <boss@nil.test>,\r\n\
        \x20\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>, \"quoted local\"@example.org,\r\n\
        \x20user@[192.0.2.1], <@a.test,@b.test:c@d.test>, J. Doe <j@x.test>, a.b.c@x.test,\r\n\
        \x20two words@x.test\r\nCc: ,, , a@x.test,, b@x.test,\r\nBcc: @nobody.test, nohost@, nohost,\r\n\
        \x20<nohost>, <>, Name <>, \"\" <empty-name@x.test>, \"\"@x.test\r\n\
        Sender: \xc3\xa9 <\xc3\xa9@\xc3\xa9.test>\r\nReply-To:   \r\n\r\nx\r\n",
    ),
    (
        "eight-bit-in-every-field",
        b"Date: Mon, 1 J\xe4n 2024 00:00:00 +0000\r\nFrom: J\xf6rg <j\xf6rg@ex\xe4mple.org>\r\n\
        To: \"\xe4\xf6\" <a@x>, \xe4: b@x;\r\nSubject: \xfcber\r\nIn-Reply-To: <\xe4@x>\r\n\
        Message-ID: <\xf6@x>\r\nContent-Type: text/plain; charset=\"\xe4\"; name=\xf6\r\n\
        Content-Disposition: attachment; filename=\"\xe4.txt\"\r\nContent-Description: \xe4\r\n\
        Content-ID: <\xe4@x>\r\nContent-Language: \xe4\r\nContent-Location: \xe4\r\n\r\n\xe4\r\n",
    ),
    (
        "parameters-of-rfc-2231",
        b"Content-Type: multipart/mixed; boundary*0=\"ab\"; boundary*1=cd\r\n\r\n--abcd\r\n\
        Content-Type: application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n\
        \x20title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"\r\n\
        Content-Disposition: attachment; filename*=utf-8''%e2%82%ac%20rates; filename=\"EURO.txt\"\r\n\
        \r\none\r\n--abcd\r\nContent-Type: message/external-body; access-type=URL;\r\n\
        \x20URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.example/pub/moore/x.tar\"\r\n\r\nContent-ID: <x@y>\r\n\r\n\
        --abcd\r\nContent-Type: text/plain; name*1=b; name*0=a; name*3=d; CHARSET*=us-ascii'en'utf-8\r\n\
        Content-Disposition: inline; filename*0*=bogus; filename*1*=%zz; filename*9999999999=x\r\n\r\n\
        three\r\n--abcd--\r\n",
    ),
    (
        "parameters-at-their-worst",
        b"Content-Type: multipart/mixed (a comment) ; (b) boundary (c) = (d) \"x\" (e)\r\n\r\n--x\r\n\
        Content-Type: TEXT / PLAIN ; CHARSET = \"US-ASCII\" ;;; name=\"a\\\"b\\\\c\"; empty=; =value; flag\r\n\
        \r\n1\r\n--x\r\nContent-Type: text/plain; charset=utf-8; charset=latin1; format=flowed;\r\n\r\n\
        2\r\n--x\r\nContent-Type: text/plain; name=a/b.txt; x=[y]; z=\"open\r\n\r\n3\r\n--x\r\n\
        Content-Type: image/jpeg name=\"no semicolon.jpg\"\r\n\r\n4\r\n--x\r\n\
        Content-Type: text/plain\r\n\t; charset\r\n\t= utf-8\r\n\r\n5\r\n--x\r\n\
        Content-Type: /plain\r\n\r\n6\r\n--x\r\nContent-Type: text/\r\n\r\n7\r\n--x\r\n\
        Content-Type: a b/c\r\n\r\n8\r\n--x\r\nContent-Type: \"text\"/\"html\"\r\n\r\n9\r\n--x--\r\n",
    ),
    (
        "transfer-encodings-of-all-kinds",
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n--x\r\nContent-Transfer-Encoding: BASE64\r\n\r\n\
        YQ==\r\n--x\r\nContent-Transfer-Encoding: Quoted-Printable (yes)\r\n\r\n=41\r\n--x\r\n\
        Content-Transfer-Encoding: 8bit; what\r\n\r\n\xe4\r\n--x\r\nContent-Transfer-Encoding:\r\n\r\n\
        empty\r\n--x\r\nContent-Transfer-Encoding: \"binary\"\r\n\r\nquoted\r\n--x\r\n\
        Content-Transfer-Encoding: x-uue\r\n\r\nunknown\r\n--x\r\n\
        Content-Transfer-Encoding: (only) 7bit\r\n\r\ncomment\r\n--x\r\n\
        Content-Transfer-Encoding: seven bit\r\n\r\nwords\r\n--x\r\n\
        Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        U3ViamVjdDogaW5uZXINCg0KaGVsbG8NCg==\r\n--x--\r\n",
    ),
    (
        "parts-without-anything",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\n--x\r\n\r\n\r\n--x\r\n\
        Content-Type: text/html\r\n--x\r\nContent-Type: text/html\r\n\r\n--x\r\n\
        Content-Type: message/rfc822\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n--x\r\n\
        Content-Type: multipart/mixed; boundary=y\r\n\r\n--x\r\n\
        Content-Type: multipart/mixed; boundary=z\r\n\r\n--z--\r\n--x--\r\n",
    ),
    (
        "parts-without-a-blank-line",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\
        <p>no header</p>\r\nContent-ID: <late@x>\r\n--x\r\nnothing like a header\r\n\r\nbody\r\n--x\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: no end of header\r\n--x--\r\n",
    ),
    (
        "header-lines-that-are-none",
        b"Subject: first\r\nthis is no field\r\nFrom: after@example.org\r\n: no name\r\n\
        no-colon\r\nTo:no-space@example.org\r\nCc :spaced@example.org\r\nX Y: two words\r\n\r\nx\r\n",
    ),
    (
        "line-of-spaces-in-the-header",
        b"Subject: one\r\n \r\n two\r\n\t\r\nFrom: a@example.org\r\n  \r\n\r\nx\r\n",
    ),
    (
        "multipart-of-line-feeds",
        b"Subject: unix\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\n\
        one\n--x\nContent-Type: message/rfc822\n\nSubject: in\n\ntwo\n--x--\nend\n",
    ),
    (
        "multipart-of-mixed-line-ends",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\nContent-Type: text/plain\r\n\nfirst\r\n\
        second\n--x\r\n\r\nthird\n\r\n--x--\n",
    ),
    (
        "boundaries-that-are-prefixes",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
        Content-Type: multipart/mixed; boundary=aa\r\n\r\n--aa\r\n\
        Content-Type: multipart/mixed; boundary=aaa\r\n\r\n--aaa\r\n\r\n3\r\n--aaa--\r\n\
        --aa\r\n\r\n2\r\n--aa--\r\n--a\r\n\r\n1\r\n--a--\r\n",
    ),
    (
        "boundary-whose-prefix-comes-later",
        b"Content-Type: multipart/mixed; boundary=long-boundary\r\n\r\n--long-boundary\r\n\
        Content-Type: multipart/mixed; boundary=long\r\n\r\n--long\r\n\r\ninner\r\n--long--\r\n\
        --long-boundary\r\n\r\nouter\r\n--long-boundary--\r\n",
    ),
    (
        "boundary-ends-in-dashes",
        b"Content-Type: multipart/mixed; boundary=\"x--\"\r\n\r\n--x--\r\n\r\none\r\n--x----\r\n",
    ),
    (
        "boundary-of-special-characters",
        b"Content-Type: multipart/mixed; boundary=\"=_'()+,-./:? ;=\"\r\n\r\n--=_'()+,-./:? ;=\r\n\r\n\
        one\r\n--=_'()+,-./:? ;=--\r\n",
    ),
    (
        "boundary-of-70-and-of-71",
        b"Content-Type: multipart/mixed;\r\n\
        \x20boundary=\"1234567890123456789012345678901234567890123456789012345678901234567890\"\r\n\r\n\
        --1234567890123456789012345678901234567890123456789012345678901234567890\r\n\
        Content-Type: multipart/mixed;\r\n\
        \x20boundary=\"x234567890123456789012345678901234567890123456789012345678901234567890y\"\r\n\r\n\
        --x234567890123456789012345678901234567890123456789012345678901234567890y\r\n\r\nx\r\n\
        --x234567890123456789012345678901234567890123456789012345678901234567890y--\r\n\
        --1234567890123456789012345678901234567890123456789012345678901234567890--\r\n",
    ),
    (
        "boundaries-like-text",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble --x\r\n --x\r\n--X\r\n--x\r\n\r\n\
        -- x\r\n--\r\n---x\r\n--xtra is part of it?\r\n--x--\r\nepilogue\r\n--x\r\n\r\nnever\r\n",
    ),
    (
        "outer-boundary-ends-inner-parts",
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
        Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\ninner\r\n--o\r\n\r\n\
        outer\r\n--i\r\n\r\nlate inner\r\n--o--\r\n",
    ),
    (
        "multiparts-never-closed",
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
        Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=m\r\n\
        \r\n--m\r\n\r\nno end",
    ),
    (
        "closed-without-a-line-end",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x--",
    ),
    (
        "content-type-twice",
        b"MIME-Version: 1.0\r\nMIME-Version: 2.0\r\nContent-Type: text/html\r\nContent-Type: text/plain\r\n\
        Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\nTo: a@x\r\nTo: b@x\r\n\
        Cc: c@x\r\nCc: d@x\r\nDate: 1 Jan 2001 00:00:00 +0000\r\nDate: 2 Jan 2002 00:00:00 +0000\r\n\
        Message-ID: <1@x>\r\nMessage-ID: <2@x>\r\nSender: e@x\r\nSender: f@x\r\n\r\nPGI+\r\n",
    ),
    (
        "extension-fields-of-parts",
        b"Content-Type: multipart/related; boundary=x; type=\"text/html\"; start=\"<s@x>\"\r\n\
        Content-Language: en, de (German), fr\r\nContent-Location: http://example.org/a\r\n\
        \x20b\r\n\r\n--x\r\nContent-Type: text/html\r\nContent-ID: <s@x>\r\nContent-MD5: Q2hlY2sgSW50==\r\n\
        Content-Disposition: INLINE (shown); size = 12\r\nContent-Language: i-klingon\r\n\
        Content-Location: \"quoted\"\r\nContent-Description: a  b\r\n\tc\r\n\r\n<p>\r\n--x\r\n\
        Content-Disposition: ;filename=x\r\nContent-Language: ,\r\nContent-MD5:\r\nContent-ID:\r\n\
        Content-Description:\r\nContent-Location:\r\n\r\n2\r\n--x--\r\n",
    ),
    (
        "subject-of-folds",
        b"Subject:\r\n a subject\r\n\t that goes on\r\n\r\n"
    ),
    (
        "folds-in-structured-fields",
        b"Date: Mon,\r\n 1 Jan 2024\r\n\t00:00:00 +0000\r\nFrom: \"Folded\r\n Name\"\r\n <a@\r\n example.org>\r\n\
        To: group\r\n :\r\n b@x.example\r\n ;\r\nSubject: a\r\n  b\t\r\n\tc\r\n\
        Message-ID:\r\n <m@x>\r\nIn-Reply-To: <a@x>\r\n <b@x>\r\nContent-Type: text/\r\n plain;\r\n\
        charset=lost\r\n\r\nx\r\n",
    ),
    (
        "two-carriage-returns-at-line-ends",
        b"Subject: crs\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\r\nb\r\r\n\
        --x--\r\n",
    ),
    (
        "addresses-with-names-that-are-none",
        b"From: a@x.example <a@x.example>\r\nSender: b@[192.0.2.1] [literal]\r\n\
        To: c@x.example d@x.example, e@x.example\r\nCc: f@x.example (f), g at x.example, \"\"<h@x.example>\r\n\
        \r\nx\r\n",
    ),
    (
        "text-that-begins-with-blank-lines",
        b"Subject: x\r\n\r\n\r\n\r\n  \r\nfirst\r\n\r\n",
    ),
    (
        "rfc822-with-trailing-blank-lines",
        b"Content-Type: message/rfc822\r\n\r\n\r\n\r\nSubject: late\r\n\r\nx\r\n\r\n\r\n",
    ),
    (
        "references-in-many-forms",
        b"Message-ID: <a b@x> junk\r\nIn-Reply-To: Your message of Monday <q@x> \"quoted <r@x>\"\r\n\
        References: <1@x><2@x>\r\n\t<3@x> (comment <4@x>) <5@ x > <<6@x>> <unclosed\r\nSubject: Re: x\r\n\
        \r\nx\r\n",
    ),
];

/// One header line of a megabyte, and the recipients' addresses in another.
pub(super) fn long_lines() -> Vec<u8> {
    let mut out = b"From: a@example.org\r\nSubject: ".to_vec();
    out.extend(b"subject ".iter().cycle().take(1_000_000));
    out.extend_from_slice(b"\r\nTo: long@example.org\r\n\r\nx\r\n");
    out
}
