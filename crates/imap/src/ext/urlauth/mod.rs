//! URLAUTH (RFC 4467): URLs that carry the right to read one message or part, for whomever their
//! owner names. RESETKEY and GENURLAUTH; URLFETCH, is in `fetch.rs`.
//!
//! The token is the engine's ([`Account::vouch`]): it vouches for every octet of the URL in front
//! of it. The host in a URL is where a submission server finds us; a server has many names, so it
//! is signed with the rest and not looked at.

pub(crate) mod fetch;

use super::*;
use crate::grammar::Url;
use crate::grammar::mailbox::RawName;
use crate::grammar::url::{Target, write_token};
use crate::session::Enabled;
use crate::session::Place;
use bytes::BytesMut;
use mail::Account;
use types::Rights;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 4467",
    file: file!(),
    capabilities: &[Capability::always("URLAUTH")],
    commands: &[&RESETKEY, &GENURLAUTH, &fetch::SPEC],
    ..Extension::EMPTY
};

/// RFC 5550 5.7.1: URLs may name octets of a message.
pub(crate) static PARTIAL: Extension = Extension {
    rfc: "RFC 5550",
    file: file!(),
    capabilities: &[Capability::always("URL-PARTIAL")],
    ..Extension::EMPTY
};

/// The mechanisms there are.
const URLMECH: Code = Code::Word("URLMECH INTERNAL");

/// RFC 4467 8, BASE.7.1.URLMECH: told when a mailbox is opened, and when its key was reset.
pub(crate) fn tell_mechanisms(enabled: Enabled, out: &mut BytesMut) {
    out.raw(b"* OK ");
    URLMECH.write(out);
    out.text(&enabled.say("mechanisms for URLs")).crlf();
}

/// URLs in one command.
const MAX_URLS: usize = 256;

const TOO_MANY: Refusal = Refusal::no(Code::Word("LIMIT"), "too many URLs in one command");

/// `resetkey = "RESETKEY" [SP mailbox *(SP mechanism)]`.
static RESETKEY: Spec = Spec {
    name: "RESETKEY",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 4467 7"],
    parse: parse_reset,
};

/// `genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism)`.
static GENURLAUTH: Spec = Spec {
    name: "GENURLAUTH",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 4467 7"],
    parse: parse_generate,
};

const INTERNAL: &str = "INTERNAL";

const NO_MECHANISM: Refusal = Refusal::no(Code::CANNOT, "the only mechanism is INTERNAL");

struct Reset {
    mailbox: Option<RawName>,
    mechanisms: Vec<String>,
}

fn parse_reset(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut reset = Reset {
        mailbox: None,
        mechanisms: Vec::new(),
    };
    if c.eat(b" ") {
        reset.mailbox = Some(c.mailbox()?);
        while c.eat(b" ") {
            reset.mechanisms.push(c.mechanism()?);
        }
    }
    Ok(Box::new(reset))
}

impl Run for Reset {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let user = cx.state.account()?.clone();
        let Some(mailbox) = self.mailbox else {
            user.reset_access_keys().await?;
            return Done::ok("all keys removed");
        };
        if self.mechanisms.iter().any(|name| name != INTERNAL) {
            return Err(NO_MECHANISM);
        }
        let Place { account, id, .. } = cx.place(&mailbox, Rights::READ).await?;
        user.reset_access_key(&account, id).await?;
        // RFC 4467 8, BASE.7.1.URLMECH: the tagged OK tells this session.
        if let State::Selected(_, selection) = &mut cx.state
            && selection.is_of(&account, id)
        {
            selection.key_was_reset(user.id());
        }
        Done::with(URLMECH, "the key is a new one")
    }
}

struct Generate {
    /// Each with its mechanism.
    urls: Vec<(Vec<u8>, String)>,
}

fn parse_generate(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut urls = Vec::new();
    c.sp()?;
    loop {
        let url = c.astring()?.into_owned();
        c.sp()?;
        urls.push((url, c.mechanism()?));
        if !c.eat(b" ") {
            return Ok(Box::new(Generate { urls }));
        }
    }
}

impl Run for Generate {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self.urls.len() > MAX_URLS {
            return Err(TOO_MANY);
        }
        let user = cx.state.account()?.clone();
        let name = user_name(&user).await?;
        // All are answered or none.
        let mut authorised = Vec::with_capacity(self.urls.len());
        for (url, mechanism) in self.urls {
            let Place { account, id, .. } = check(cx, &url, &name).await?;
            if mechanism != INTERNAL {
                return Err(NO_MECHANISM);
            }
            let token = user.vouch(&account, id, &url).await?;
            let mut full = url;
            full.extend_from_slice(b":internal:");
            write_token(&token, &mut full);
            authorised.push(full);
        }
        let out = cx.wire.buffer();
        out.raw(b"* GENURLAUTH");
        for url in authorised {
            out.raw(b" ").string(&url);
        }
        out.crlf();
        Done::ok("authorised")
    }
}

/// RFC 4467 7, GENURLAUTH: what a URL must be to be authorised; BAD for what is not.
async fn check(cx: &Session, raw: &[u8], user: &str) -> Result<Place, Refusal> {
    const NOT_A_MESSAGE: &str = "expected the URL of a message";
    let url = Url::parse(raw)?;
    let server = url.server.ok_or(Refusal::bad("the URL is relative"))?;
    // RFC 4467 7 (2). Others cannot be found out: whoever they are, the answer is the same.
    let owner = server.user.ok_or(Refusal::bad("the URL names no user"))?;
    if !is_same_user(&owner, user) {
        return Err(Refusal::bad("the URL names another user than you"));
    }
    let Target::Message(message) = url.target else {
        return Err(Refusal::bad(NOT_A_MESSAGE));
    };
    match &message.grant {
        None => return Err(Refusal::bad("the URL has no access identifier")),
        Some(grant) if grant.proof.is_some() => {
            return Err(Refusal::bad("the URL is authorised already"));
        }
        Some(_) => {}
    }
    // RFC 4467 7 (1): BAD it is, not NO.
    let mailbox = message.mailbox.ok_or(Refusal::bad(NOT_A_MESSAGE))?;
    let missing = Refusal::bad("no such mailbox");
    let Ok(place) = cx.place(&mailbox.raw_name(), Rights::READ).await else {
        return Err(missing);
    };
    let uid_validity = place.account.summary(place.id)?.uid_validity;
    // RFC 5092 5: as if the mailbox did not exist.
    match mailbox.uid_validity.is_none_or(|it| it == uid_validity) {
        true => Ok(place),
        false => Err(missing),
    }
}

/// The name a user has logged in by.
async fn user_name(user: &Account) -> Result<String, Refusal> {
    let name = user.mail().account_name(user.id()).await?;
    Ok(name.unwrap_or_default())
}

/// As the directory compares names.
fn is_same_user(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
