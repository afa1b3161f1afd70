use super::*;
use proptest::prelude::*;

fn written(url: &Url) -> String {
    let mut out = Vec::new();
    url.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn message(raw: &str) -> MessageRef {
    match Url::parse(raw.as_bytes()).unwrap().target {
        Target::Message(message) => message,
        other => panic!("{raw}: {other:?}"),
    }
}

#[test]
fn malformed_urls_are_refused() {
    for raw in [
        "",
        "http://h/INBOX/;UID=1",
        "imap:/h/INBOX",
        "imap://",
        "imap:///INBOX/;UID=1",
        "imap://@h/INBOX",
        "imap://a@/INBOX",
        "imap://a;b@h/INBOX",
        "imap://a@b@h/INBOX",
        "imap://a;AUTH=@h/INBOX",
        "imap://[::1/INBOX",
        "imap://[]/INBOX",
        "imap://[x]/INBOX",
        "imap://h:65536/INBOX",
        "imap://h:1x/INBOX",
        "imap://h/INBOX/;UID=0",
        "imap://h/INBOX/;UID=",
        "imap://h/INBOX/;UID=4294967296",
        "imap://h/INBOX/;UID=1x",
        "imap://h/INBOX;UID=1",
        "imap://h/;UID=1",
        "imap://h/INBOX;UIDVALIDITY=0/;UID=1",
        "imap://h/INBOX;UIDVALIDITY=1;UID=1",
        "imap://h/INBOX;UIDVALIDITY=1/;SECTION=1",
        "imap://h/INBOX/;UID=1/;SECTION=",
        "imap://h/INBOX/;UID=1/;SECTION=/;PARTIAL=1",
        "imap://h/INBOX/;UID=1;SECTION=1",
        "imap://h/INBOX/;UID=1/;PARTIAL=",
        "imap://h/INBOX/;UID=1/;PARTIAL=1.",
        "imap://h/INBOX/;UID=1/;PARTIAL=1.0",
        "imap://h/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
        "imap://h/INBOX/;UID=1?TEXT",
        "imap://h/INBOX?",
        "imap://h/INBOX?a?b",
        "imap://h/%",
        "imap://h/%2",
        "imap://h/%2g",
        "imap://h/%C3",
        "imap://h/a b/;UID=1",
        "imap://h/\u{e4}/;UID=1",
        "imap://h/../INBOX/;UID=1",
        "/INBOX/;UID=1/..",
        "INBOX/;UID=1",
        ";SECTION=1",
        "/INBOX/;UID=1;URLAUTH=",
        "/INBOX/;UID=1;URLAUTH=nobody",
        "/INBOX/;UID=1;URLAUTH=user+",
        "/INBOX/;UID=1;URLAUTH=anonymous:",
        "/INBOX/;UID=1;URLAUTH=anonymous:internal",
        "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f9203",
        "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f920389",
        "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f9203g",
        "/INBOX/;UID=1;URLAUTH=anonymous:in_ternal:91354a473744909de610943775f92038",
        "/INBOX/;UID=1;URLAUTH=authuser;EXPIRE=2030-01-01T00:00:00Z",
        "/INBOX/;UID=1;EXPIRE=2030-01-01T00:00:00Z",
        "/INBOX/;UID=1;EXPIRE=2030-01-01;URLAUTH=authuser",
        "/INBOX/;UID=1;EXPIRE=2030-02-30T00:00:00Z;URLAUTH=authuser",
        "/INBOX;URLAUTH=authuser",
    ] {
        assert!(Url::parse(raw.as_bytes()).is_err(), "{raw}");
    }
    let long = format!("/{}/;UID=1", "a".repeat(MAX_URL));
    assert!(Url::parse(long.as_bytes()).is_err());
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 5092 9.
    for raw in [
        "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
        "imap://psicorp.example.org/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E5%8F%B0%E5%8C%97",
        "imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;UID=20/;SECTION=1.2",
        "imap://;AUTH=*@minbari.example.org/gray%20council?SUBJECT%20shadows",
        "imap://john;AUTH=*@minbari.example.org/babylon5/personel?charset%20UTF-8%20SUBJECT%20\
         %7B14+%7D%0D%0A%D0%98%D0%B2%D0%B0%D0%BD%D0%BE%D0%B2%D0%B0",
        ";UID=20",
        "imap://[2001:db8::1]:993/",
        "/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.MIME",
        "imap://joe@example.com/INBOX/;UID=20/;SECTION=1.2;URLAUTH=submit+fred:internal:\
         91354a473744909de610943775f92038",
        "/INBOX/;UID=1;EXPIRE=2030-12-31T23:59:60Z;URLAUTH=user+a%3Bb%40c",
    ] {
        let url = Url::parse(raw.as_bytes()).unwrap();
        let raw = raw.replace("2030-12-31T23:59:60Z", "2031-01-01T00:00:00Z");
        // What need not be encoded is not.
        assert_eq!(
            written(&url),
            raw.replace("%40", "@").replace("b@c", "b%40c")
        );
    }
    let url = Url::parse(b"imap://joe@h").unwrap();
    assert_eq!(url.target, Target::Server);
    let url = Url::parse(b"//h/~peter/%E6%97%A5").unwrap();
    assert!(url.server.is_some_and(|server| server.host == "h"));
    let Target::Messages { mailbox, .. } = url.target else {
        panic!("a mailbox");
    };
    assert_eq!(mailbox.name, "~peter/\u{65e5}");
}

#[test]
fn what_a_token_vouches_for_ends_before_the_mechanism() {
    let rump = "imap://J%6fe@example.com/INBOX/;uid=20/;section=1.2/;partial=5\
                ;expire=1970-01-01t01:00:00.5+01:00;urlauth=submit+fred";
    let raw = format!("{rump}:internal:91354A473744909de610943775f92038");
    let found = message(&raw);
    assert_eq!(found.section.as_deref(), Some(&b"1.2"[..]));
    assert_eq!(found.partial, Some((5, None)));
    let grant = found.grant.unwrap();
    assert_eq!(grant.expire, Some(0));
    assert_eq!(grant.access, Access::Submit("fred".to_owned()));
    let proof = grant.proof.unwrap();
    assert_eq!(proof.mechanism, "INTERNAL");
    assert_eq!(proof.token[..3], [0x91, 0x35, 0x4a]);
    assert_eq!(raw.get(..proof.rump), Some(rump));
    assert!(message(rump).grant.unwrap().proof.is_none());
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 ;:@%?&=+.~\"\u{e4}\u{65e5}]{1,8}"
}

fn mailbox() -> impl Strategy<Value = MailboxRef> {
    let name = proptest::collection::vec(text(), 1..4).prop_map(|levels| levels.join("/"));
    (name, proptest::option::of(1..=u32::MAX)).prop_map(|(name, n)| MailboxRef {
        name,
        uid_validity: n.and_then(UidValidity::new),
    })
}

fn server() -> impl Strategy<Value = Server> {
    use proptest::option::of;
    let host = prop_oneof!["[a-z0-9.-]{1,9}", Just("[::1]".to_owned())];
    (of(text()), of(text()), host, of(any::<u16>())).prop_map(|(user, auth, host, port)| Server {
        user,
        auth,
        host,
        port,
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    use proptest::option::of;
    let access = prop_oneof![
        text().prop_map(Access::Submit),
        text().prop_map(Access::User),
        Just(Access::AuthUser),
        Just(Access::Anonymous),
    ];
    (of(-62_167_219_200..=253_402_300_799i64), access).prop_map(|(expire, access)| Grant {
        expire,
        access,
        proof: None,
    })
}

fn target() -> impl Strategy<Value = Target> {
    use proptest::option::of;
    let section = of("[A-Z0-9.() /]{1,9}".prop_map(String::into_bytes));
    let partial = of((any::<u32>(), of(any::<NonZeroU32>())));
    let message = (mailbox(), 1..=u32::MAX, section, partial, of(grant()));
    prop_oneof![
        Just(Target::Server),
        (mailbox(), of("[ -~\r\n]{1,20}")).prop_map(|(mailbox, search)| {
            let search = search.map(String::into_bytes);
            Target::Messages { mailbox, search }
        }),
        message.prop_map(|(mailbox, uid, section, partial, grant)| {
            Target::Message(MessageRef {
                mailbox: Some(mailbox),
                uid: Uid::new(uid).unwrap(),
                section,
                partial,
                grant,
            })
        }),
    ]
}

proptest! {
    #[test]
    fn every_url_comes_back(server in proptest::option::of(server()), target in target()) {
        let url = Url { server, target };
        prop_assert_eq!(Url::parse(written(&url).as_bytes()), Ok(url));
    }

    #[test]
    fn anything_is_answered(raw in "(imap://)?[ -~]{0,40}(/;UID=1)?[ -~]{0,20}") {
        if let Ok(url) = Url::parse(raw.as_bytes()) {
            prop_assert_eq!(Url::parse(written(&url).as_bytes()), Ok(url));
        }
    }
}
