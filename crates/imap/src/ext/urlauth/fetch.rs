//! URLFETCH (RFC 4467 7, RFC 5524): what authorised URLs name, for whoever may read it; with the
//! structure of a part, and without its transfer encoding.
//!
//! Whatever is wrong with a URL, the answer is NIL: it does not tell which mailboxes there are, nor
//! whose tokens are good.

use super::{MAX_URLS, TOO_MANY, is_same_user, user_name};
use crate::ext::*;
use crate::grammar::Url;
use crate::grammar::url::{Access, Grant, MessageRef, Target};
use crate::session::{Found, Source, find_mailbox};
use crate::view::MAX_PENDING;
use bytes::Bytes;
use mail::Account;
use net::{Share, Wire};
use types::{MailboxName, Rights};

/// RFC 5524: URLFETCH tells the structure of a part, and decodes it.
pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5524",
    file: file!(),
    capabilities: &[Capability::always("URLAUTH=BINARY")],
    ..Extension::EMPTY
};

/// `urlfetch = "URLFETCH" 1*(SP url-fetch-arg)`
/// `url-fetch-arg = url-full / "(" url-full *(SP url-fetch-param) ")"`
pub(super) static SPEC: Spec = Spec {
    name: "URLFETCH",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &["RFC 4467 7", "RFC 5524 3"],
    parse,
};

/// What is longer is read while it is sent.
const AT_ONCE: usize = 2 << 20;
/// In the first of these pieces that there is memory for.
const PIECES: [u32; 2] = [256 << 10, LEAST];
const LEAST: u32 = 64 << 10;

struct UrlFetch {
    wanted: Vec<Wanted>,
}

/// A URL and what is to be told of it (RFC 5524 3.1).
struct Wanted {
    url: Vec<u8>,
    structure: bool,
    data: Option<Data>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    /// As it is, and nothing said about it.
    Plain,
    /// As it is.
    Body,
    /// Without its transfer encoding.
    Binary,
}

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut wanted = Vec::new();
    c.sp()?;
    loop {
        wanted.push(match c.eat(b"(") {
            true => extended(c)?,
            false => Wanted::plain(c.astring()?.into_owned()),
        });
        if !c.eat(b" ") {
            return Ok(Box::new(UrlFetch { wanted }));
        }
    }
}

/// `url-full *(SP url-fetch-param) ")"`
fn extended(c: &mut Cursor<'_>) -> Parsed<Wanted> {
    let mut wanted = Wanted::plain(c.astring()?.into_owned());
    let mut data = None;
    while c.eat(b" ") {
        let is_new = if c.eat_word(b"BODYPARTSTRUCTURE") {
            !std::mem::replace(&mut wanted.structure, true)
        } else if c.eat_word(b"BODY") {
            data.replace(Data::Body).is_none()
        } else if c.eat_word(b"BINARY") {
            data.replace(Data::Binary).is_none()
        } else {
            return Err(BadSyntax("unknown parameter of a URL"));
        };
        if !is_new {
            // RFC 5524 3.1: each once, and not both BODY and BINARY.
            return Err(BadSyntax("one of BODY and BINARY, and each once"));
        }
    }
    c.expect(b")", "expected a closing parenthesis")?;
    // RFC 5524 3.1: without parameters it is as without parentheses.
    if wanted.structure || data.is_some() {
        wanted.data = data;
    }
    Ok(wanted)
}

impl Wanted {
    fn plain(url: Vec<u8>) -> Self {
        Self {
            url,
            structure: false,
            data: Some(Data::Plain),
        }
    }
}

impl Run for UrlFetch {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self.wanted.len() > MAX_URLS {
            return Err(TOO_MANY);
        }
        let reader = Reader::of(cx).await?;
        let mut trouble = None;
        cx.wire.buffer().raw(b"* URLFETCH");
        for wanted in self.wanted {
            // The line that is begun must be finished, whatever happens to the store.
            let mut share = cx.deps.memory.sending.share();
            let answer = match read(&reader, &wanted, &mut share).await {
                Ok(answer) => answer,
                Err(refusal) => {
                    trouble = Some(refusal);
                    None
                }
            };
            cx.wire.buffer().raw(b" ").string(&wanted.url);
            match answer {
                Some(answer) => answer.send(&mut cx.wire).await?,
                None => drop(cx.wire.buffer().raw(b" NIL")),
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

/// What is told of a message that is there.
struct Answer {
    structure: Option<Vec<u8>>,
    data: Option<(Data, Option<Content>)>,
}

enum Content {
    Whole(Bytes),
    /// Read while it is sent, so many octets at once.
    Long(Box<Found>, u32),
}

/// `None` when it is not there, or not for this reader. `share` gets what the answer takes in
/// memory.
async fn read(
    reader: &Reader,
    wanted: &Wanted,
    share: &mut Share,
) -> Result<Option<Answer>, Refusal> {
    let Some(found) = reader.redeem(&wanted.url).await? else {
        return Ok(None);
    };
    if !found.passage.exists(&found.email) {
        return Ok(None);
    }
    let is_header = wanted.structure && found.passage.structure(&found.email).is_none();
    let whole = match wanted.data {
        Some(Data::Plain | Data::Body) if !is_header => {
            if let Some(piece) = in_pieces(&found, share)? {
                found.verify().await?;
                let structure = wanted.structure.then(|| structure(&found, wanted, None));
                let content = Content::Long(Box::new(found), piece);
                let data = wanted.data.map(|data| (data, Some(content)));
                return Ok(Some(Answer { structure, data }));
            }
            found.read().await?
        }
        Some(Data::Binary) => {
            take(share, found.octets_decoded())?;
            found.read_decoded().await?
        }
        None if !is_header => None,
        _ => {
            take(share, found.octets())?;
            found.read().await?
        }
    };
    Ok(Some(Answer {
        structure: wanted
            .structure
            .then(|| structure(&found, wanted, whole.as_ref())),
        data: wanted.data.map(|data| (data, whole.map(Content::Whole))),
    }))
}

/// How many octets of it to read at once; `None`: all, for which there is room.
fn in_pieces(found: &Found, share: &mut Share) -> Result<Option<u32>, Refusal> {
    let octets = found.octets();
    if !found.passage.is_verbatim() {
        take(share, octets)?;
        return Ok(None);
    }
    if octets <= AT_ONCE && share.grow_to(octets) {
        return Ok(None);
    }
    let mut pieces = PIECES.into_iter();
    let fits = pieces.find(|piece| share.grow_to(*piece as usize));
    Ok(Some(fits.unwrap_or(LEAST)))
}

fn take(share: &mut Share, octets: usize) -> Result<(), Refusal> {
    match share.grow_to(octets) {
        true => Ok(()),
        false => Err(Refusal::NO_ROOM),
    }
}

/// `body`, of what is answered (RFC 5524 3.2).
fn structure(found: &Found, wanted: &Wanted, answered: Option<&Bytes>) -> Vec<u8> {
    let Some(structure) = found.passage.structure(&found.email) else {
        // A header is no part. RFC 6522 4 has a type for it.
        let header = answered.map_or(&[][..], |header| header);
        let mut out = b"(\"text\" \"rfc822-headers\" NIL NIL NIL \"8bit\" ".to_vec();
        out.num(header.len() as u64).raw(b" ");
        out.num(memchr::memchr_iter(b'\n', header).count() as u64);
        out.raw(b")");
        return out;
    };
    let is_decoded = wanted.data == Some(Data::Binary) && found.passage.is_encoded(&found.email);
    match answered.filter(|_| is_decoded) {
        Some(content) => message::decoded_structure(structure, content),
        None => structure.to_vec(),
    }
}

impl Answer {
    async fn send(self, wire: &mut Wire) -> Result<(), Refusal> {
        if let Some(structure) = self.structure {
            let out = wire.buffer();
            out.raw(b" (BODYPARTSTRUCTURE ").raw(&structure).raw(b")");
        }
        let Some((data, content)) = self.data else {
            return Ok(());
        };
        let (before, after): (&[u8], &[u8]) = match data {
            Data::Plain => (b" ", b""),
            Data::Body => (b" (BODY ", b")"),
            Data::Binary => (b" (BINARY ", b")"),
        };
        wire.buffer().raw(before);
        match content {
            Some(Content::Whole(content)) => write(content, data == Data::Binary, wire),
            Some(Content::Long(found, piece)) => found.send(piece, wire).await?,
            None => drop(wire.buffer().raw(b"NIL")),
        }
        wire.buffer().raw(after);
        Ok(())
    }
}

/// `nstring`, or `literal8` where it must be one; not copied.
fn write(content: Bytes, is_binary: bool, wire: &mut Wire) {
    // RFC 4467 8, BASE.7.4.URLFETCH: what is there and empty is not NIL.
    if content.is_empty() {
        wire.buffer().raw(b"\"\"");
        return;
    }
    // RFC 5524 5: literal8 if, and only if, there is a NUL.
    if is_binary && memchr::memchr(0, &content).is_some() {
        wire.buffer().raw(b"~");
    }
    wire.buffer().literal_head(content.len() as u64);
    wire.write_bytes(content);
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
        // As that user knows it, and if that user may still read there.
        let named = message.mailbox.as_ref();
        let name = named.and_then(|mailbox| MailboxName::new(&mailbox.name).ok());
        let place = match (&owner, name) {
            (Some(owner), Some(name)) => {
                let found = find_mailbox(owner, name, Rights::READ, Code::NONEXISTENT);
                found.await.ok()
            }
            _ => None,
        };
        let mailbox = place.as_ref().map(|place| (&place.account, place.id));
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
