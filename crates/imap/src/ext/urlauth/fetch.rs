//! URLFETCH (RFC 4467 7): what authorised URLs name, for whoever may read it.
//!
//! Whatever is wrong with a URL, the answer is NIL: it does not tell which mailboxes there are, nor
//! whose tokens are good.

use super::{MAX_URLS, TOO_MANY, is_same_user, user_name};
use crate::ext::*;
use crate::grammar::Url;
use crate::grammar::url::{Access, Grant, MessageRef, Target};
use crate::session::{Found, Source};
use crate::view::MAX_PENDING;
use bytes::Bytes;
use mail::Account;
use types::MailboxName;

/// `urlfetch = "URLFETCH" 1*(SP url-full)`.
pub(super) static SPEC: Spec = Spec {
    name: "URLFETCH",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 4467 7"],
    parse,
};

struct UrlFetch {
    urls: Vec<Vec<u8>>,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Run>> {
    let mut urls = Vec::new();
    c.sp()?;
    loop {
        urls.push(c.astring()?.into_owned());
        if !c.eat(b" ") {
            return Ok(Box::new(UrlFetch { urls }));
        }
    }
}

#[async_trait]
impl Run for UrlFetch {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self.urls.len() > MAX_URLS {
            return Err(TOO_MANY);
        }
        let reader = Reader::of(cx).await?;
        let mut trouble = None;
        cx.wire.buffer().raw(b"* URLFETCH");
        for url in self.urls {
            // The line that is begun must be finished, whatever happens to the store.
            let content = match read(&reader, &url).await {
                Ok(content) => content,
                Err(refusal) => {
                    trouble = Some(refusal);
                    None
                }
            };
            cx.wire.buffer().raw(b" ").string(&url).raw(b" ");
            match content {
                Some(content) => write(content, cx),
                None => drop(cx.wire.buffer().raw(b"NIL")),
            }
            cx.wire.flush_if_over(MAX_PENDING).await?;
        }
        cx.wire.buffer().crlf();
        match trouble {
            Some(refusal) => Err(refusal),
            None => Done::ok("fetched"),
        }
    }
}

/// `nstring`, not copied.
fn write(content: Bytes, cx: &mut Session) {
    // RFC 4467 8, BASE.7.4.URLFETCH: what is there and empty is not NIL.
    if content.is_empty() {
        cx.wire.buffer().raw(b"\"\"");
        return;
    }
    cx.wire.buffer().literal_head(content.len() as u64);
    cx.wire.write_bytes(content);
}

async fn read(reader: &Reader, url: &[u8]) -> Result<Option<Bytes>, Refusal> {
    match reader.redeem(url).await? {
        Some(found) => found.read().await,
        None => Ok(None),
    }
}

/// Who fetches.
struct Reader {
    name: String,
    /// RFC 4467 3: whether a submission service has logged in.
    submits: bool,
    account: Account,
}

impl Reader {
    async fn of(cx: &Session) -> Result<Self, Refusal> {
        let (account, deps) = (cx.state.account()?.clone(), cx.deps.clone());
        let name = user_name(&account).await?;
        let submitters = &deps.operators.submitters;
        Ok(Self {
            submits: submitters.iter().any(|who| is_same_user(who, &name)),
            name,
            account,
        })
    }

    /// The message a URL names, if it is authorised for this reader.
    async fn redeem(&self, raw: &[u8]) -> Result<Option<Found>, Refusal> {
        let Ok(url) = Url::parse(raw) else {
            return Ok(None);
        };
        let user = url.server.and_then(|server| server.user);
        let (Some(user), Target::Message(message)) = (user, url.target) else {
            return Ok(None);
        };
        let Some(grant) = message.grant.clone() else {
            return Ok(None);
        };
        match self.source(&user, message, &grant, raw).await? {
            Some(source) => source.find().await,
            None => Ok(None),
        }
    }

    /// RFC 4467 6: where the URL leads, if the token is the one its user was given.
    async fn source(
        &self,
        user: &str,
        message: MessageRef,
        grant: &Grant,
        raw: &[u8],
    ) -> Result<Option<Source>, Refusal> {
        let Some(proof) = &grant.proof else {
            return Ok(None);
        };
        let owner = match self.account.mail().find_account(user).await? {
            Some(info) => Some(self.account.mail().account(info.id).await?),
            None => None,
        };
        let mailbox = owner.as_ref().and_then(|owner| {
            let name = MailboxName::new(&message.mailbox.as_ref()?.name).ok()?;
            Some((owner, owner.tree().find(&name)?.id))
        });
        let rump = raw.get(..proof.rump).unwrap_or_default();
        // RFC 4467 6: what is not there takes as long as what is. Any account can judge that.
        let judge = match &owner {
            Some(owner) => owner,
            None => &self.account,
        };
        let is_proven = judge.vouched(mailbox, rump, &proof.token).await?;
        let is_valid = is_proven && proof.mechanism == super::INTERNAL && self.may(grant);
        Ok(mailbox
            .filter(|_| is_valid)
            .map(|(owner, id)| Source::new(owner.clone(), id, message)))
    }

    /// RFC 4467 3: whether a URL is for this reader, and still good.
    fn may(&self, grant: &Grant) -> bool {
        let is_for_me = match &grant.access {
            // The service has made sure that it acts for that user.
            Access::Submit(_) => self.submits,
            Access::User(name) => is_same_user(name, &self.name),
            // Nobody logs in without a name of their own here.
            Access::AuthUser | Access::Anonymous => true,
        };
        is_for_me && grant.expire.is_none_or(|last| crate::now() <= last)
    }
}
