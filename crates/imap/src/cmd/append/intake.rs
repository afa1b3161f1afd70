//! The messages of one command on their way into the store.

use super::super::*;
use super::{Data, Draft, Target};
use crate::ext::messagelimit::too_many;
use crate::grammar::FlagList;
use crate::session::Place;
use bytes::Bytes;
use mail::{Load, Mail, MailError, NewMessage, Provenance};
use message::Digest;
use net::Share;
use types::AccountId;

/// Octets, and messages, that are stored together: what a session holds of a long command, beside
/// the message it is reading.
const BATCH_OCTETS: usize = 1 << 20;
const BATCH: usize = 64;

/// Takes complete messages, and stores their bytes while the client sends the next ones. They
/// belong to no mailbox yet: if the command fails nobody will ever see them, and the sweeper
/// removes them.
pub(crate) struct Intake {
    to: Place,
    /// What there will be more of.
    more: Load,
    /// What goes away with the message that is replaced.
    less: Load,
    waiting: Vec<Waiting>,
    waiting_octets: usize,
    /// What waits, and the message that is being read.
    share: Share,
    stored: Vec<NewMessage>,
    /// Of what is stored, see [`mail::MAX_APPENDED`].
    weight: usize,
}

/// A message that is complete.
struct Waiting {
    octets: Bytes,
    flags: FlagList,
    internal_date: i64,
}

impl Intake {
    /// Begins with a command whose target is known.
    ///
    /// # Errors
    /// The mailbox, or the message to be replaced, is not there.
    pub(crate) async fn open(cx: &mut Session, target: &Target) -> Result<Self, Refusal> {
        let to = cx.destination(&target.to).await?;
        cx.tell_normalised(&target.to, &to.account, &to.shown)
            .await?;
        let mut less = Load::default();
        if let Some(old) = &target.replaced {
            let selection = cx.state.selection()?;
            let (_, size) = selection.one(old)?;
            // RFC 8508 3.4: the room it takes is free for the new one, in its own account.
            if selection.owner().id() == to.account.id() {
                less = Load::one(size.into());
            }
        }
        Ok(Self {
            to,
            more: Load::default(),
            less,
            waiting: Vec::new(),
            waiting_octets: 0,
            share: cx.deps.memory.receiving.share(),
            stored: Vec::new(),
            weight: 0,
        })
    }

    /// What the session began while it read the command, or a new one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn resume(cx: &mut Session, target: &Target) -> Result<Self, Refusal> {
        match cx.intake.take() {
            Some(begun) => Ok(*begun),
            None => Self::open(cx, target).await,
        }
    }

    /// Whether another message of so many octets may come: better said before it is sent than
    /// after.
    ///
    /// # Errors
    /// TOOBIG (RFC 7889 3), OVERQUOTA (RFC 9208 4.3.1), LIMIT; UNAVAILABLE while others take all
    /// the memory there may be.
    pub(crate) fn room_for(&mut self, cx: &Session, octets: u64) -> Result<(), Refusal> {
        if octets > u64::from(cx.deps.mail.options().max_message_bytes) {
            return Err(TOOBIG);
        }
        // RFC 9738 3.1.
        if let Some(limit) = cx.deps.limits.saved_at_once()
            && self.more.messages >= u64::from(limit.get())
        {
            return Err(too_many(limit, None));
        }
        if self.more.messages >= cx.deps.limits.messages as u64 {
            return Err(TOO_MANY);
        }
        let more = self.more.and(Load::one(octets));
        self.to.account.check_room(more, self.less)?;
        let octets = usize::try_from(octets).unwrap_or(usize::MAX);
        match self
            .share
            .grow_to(self.waiting_octets.saturating_add(octets))
        {
            true => Ok(()),
            false => Err(Refusal::NO_ROOM),
        }
    }

    /// Takes a complete message.
    ///
    /// # Errors
    /// It is empty, there is no room for it, or the store fails.
    pub(crate) async fn take(&mut self, cx: &mut Session, draft: Draft) -> Result<(), Refusal> {
        let octets = match draft.data {
            Data::Literal(octets) => octets,
            Data::Binary(octets) => without_nul(octets).await?,
            Data::Pieces(pieces) => {
                let binary = pieces.binary;
                let (share, waiting) = (&mut self.share, self.waiting_octets);
                let octets = pieces.join(cx, share, waiting).await?;
                match binary {
                    true => without_nul(octets).await?,
                    false => octets,
                }
            }
        };
        // RFC 3502 6.3.11: "This can be used to cancel the append."
        if octets.is_empty() {
            return Err(Refusal::no(Code::CANNOT, "a message cannot be empty"));
        }
        self.room_for(cx, octets.len() as u64)?;
        self.more = self.more.and(Load::one(octets.len() as u64));
        self.waiting_octets += octets.len();
        self.waiting.push(Waiting {
            octets,
            flags: draft.flags,
            internal_date: draft.internal_date.unwrap_or_else(crate::now),
        });
        if self.waiting_octets >= BATCH_OCTETS || self.waiting.len() >= BATCH {
            self.store(&cx.deps.mail).await?;
        }
        Ok(())
    }

    /// The mailbox, and all messages, ready to be appended.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn finish(
        mut self,
        cx: &mut Session,
    ) -> Result<(Place, Vec<NewMessage>), Refusal> {
        self.store(&cx.deps.mail).await?;
        Ok((self.to, self.stored))
    }

    /// Puts the bytes of what is waiting on stable storage, all at once.
    async fn store(&mut self, mail: &Mail) -> Result<(), Refusal> {
        self.waiting_octets = 0;
        let owner = (self.to.account.id(), self.to.name.as_str().to_owned());
        let waiting = std::mem::take(&mut self.waiting);
        let alone = waiting.len() == 1;
        let mut tasks = Vec::with_capacity(waiting.len());
        for message in waiting {
            let stored = message.store(mail.clone(), owner.clone());
            // One message needs no other thread.
            if alone {
                self.keep(stored.await?);
            } else {
                tasks.push(tokio::spawn(stored));
            }
        }
        for task in tasks {
            self.keep(task.await.map_err(|_| UNAVAILABLE)??);
        }
        self.share.shrink_to(0);
        if self.weight > mail::MAX_APPENDED && self.stored.len() > 1 {
            return Err(TOO_MANY);
        }
        Ok(())
    }

    fn keep(&mut self, message: NewMessage) {
        self.weight += message.content.weight();
        self.stored.push(message);
    }
}

impl Waiting {
    async fn store(self, mail: Mail, owner: (AccountId, String)) -> Result<NewMessage, MailError> {
        let origin = Provenance {
            owners: vec![owner],
            internal_date: self.internal_date,
            ..Provenance::default()
        };
        Ok(NewMessage {
            content: mail.ingest(self.octets, &origin).await?,
            prefix: Bytes::new(),
            flags: self.flags.flags,
            keywords: self.flags.keywords,
            internal_date: Some(self.internal_date),
        })
    }
}

/// A message as other literals can hold it (`docs/decisions/0035-binary-messages.md`).
async fn without_nul(octets: Bytes) -> Result<Bytes, Refusal> {
    if memchr::memchr(0, &octets).is_none() {
        return Ok(octets);
    }
    let task = tokio::task::spawn_blocking(move || {
        let digest = message::digest(&octets);
        let encoded = Digest::parse(&digest).and_then(|digest| digest.without_nul(&octets));
        encoded.map_or(octets, Bytes::from)
    });
    task.await.map_err(|_| UNAVAILABLE)
}

/// RFC 4469 4.2: also for what exceeds a limit of the server.
pub(crate) const TOOBIG: Refusal = Refusal::no(
    Code::Word("TOOBIG"),
    "the message is larger than this server takes",
);

const TOO_MANY: Refusal = Refusal::no(Code::Word("LIMIT"), "too many messages at once");

const UNAVAILABLE: Refusal = Refusal::no(
    Code::Word("UNAVAILABLE"),
    "storing the message was abandoned",
);
