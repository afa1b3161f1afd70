//! From a URL to the message or part it names (RFC 5092 6): for CATENATE and URLFETCH.

use super::{Session, State};
use crate::cmd::fetch::{Passage, send_pieces};
use crate::grammar::mailbox::RawName;
use crate::grammar::url::{MailboxRef, MessageRef, Target};
use crate::grammar::{Emit, Url};
use crate::refusal::Refusal;
use bytes::Bytes;
use mail::{Account, Email};
use net::Wire;
use types::{MailboxId, MailboxName, Rights};

/// A message in a mailbox, or a part of it; whether it is there is open.
pub(crate) struct Source {
    account: Account,
    mailbox: MailboxId,
    message: MessageRef,
}

/// A message that is there.
pub(crate) struct Found {
    account: Account,
    pub(crate) email: Email,
    pub(crate) passage: Passage,
}

impl Session {
    /// What a URL relative to this session names (RFC 4469 3): a message in a mailbox of that name
    /// or in the selected one. `None` when it names anything else, or a mailbox that is not there.
    pub(crate) async fn source(&self, url: &[u8]) -> Option<Source> {
        let url = Url::parse(url).ok()?;
        let (None, Target::Message(message)) = (url.server, url.target) else {
            return None;
        };
        let (account, mailbox) = match (&message.mailbox, &self.state) {
            (Some(mailbox), _) => {
                let place = self.place(&mailbox.raw_name(), Rights::READ).await.ok()?;
                (place.account, place.id)
            }
            // RFC 5092 9.1: in the mailbox of the base URL.
            (None, State::Selected(_, selection)) => {
                (selection.owner().clone(), selection.mailbox().id())
            }
            (None, _) => return None,
        };
        Some(Source::new(account, mailbox, message))
    }
}

impl Source {
    /// In a mailbox of `account`, whatever the URL says.
    pub(crate) fn new(account: Account, mailbox: MailboxId, message: MessageRef) -> Self {
        Self {
            account,
            mailbox,
            message,
        }
    }

    /// The message, if it is there and the mailbox is the one the URL speaks of.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn find(&self) -> Result<Option<Found>, Refusal> {
        let message = &self.message;
        let Ok(passage) = Passage::of_url(message.section.as_deref(), message.partial) else {
            return Ok(None);
        };
        let view = match self.account.select(self.mailbox).await {
            Ok(selected) => selected.view(),
            Err(error) if error.is_internal() => return Err(error.into()),
            // Deleted meanwhile.
            Err(_) => return Ok(None),
        };
        // RFC 5092 5: under another UIDVALIDITY the URL is stale.
        let expected = message.mailbox.as_ref().and_then(|m| m.uid_validity);
        if expected.is_some_and(|expected| expected != view.uid_validity()) {
            return Ok(None);
        }
        let Some(row) = view.find(message.uid) else {
            return Ok(None);
        };
        let email = self.account.emails(&[row.email]).await?.pop().flatten();
        Ok(email.map(|email| Found {
            account: self.account.clone(),
            email,
            passage,
        }))
    }
}

impl Found {
    /// How many octets of the store [`Self::read`] holds.
    pub(crate) fn octets(&self) -> usize {
        match self.passage.is_in_digest(&self.email) {
            true => 0,
            false => self.passage.read_range(&self.email).len(),
        }
    }

    /// How many octets [`Self::read_decoded`] holds, at most.
    pub(crate) fn octets_decoded(&self) -> usize {
        match self.passage.is_encoded(&self.email) {
            // As it is, and what comes of it.
            true => self.passage.whole_len(&self.email).saturating_mul(2),
            false => self.octets(),
        }
    }

    /// Compares it with what was stored, holding little of it.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub(crate) async fn verify(&self) -> Result<(), Refusal> {
        Ok(self.account.mail().verify_content(&self.email).await?)
    }

    /// Its length and what writes it, reading `piece` octets at once.
    ///
    /// # Errors
    /// The connection; it ends too when the rest cannot be read.
    pub(crate) async fn send(&self, piece: u32, wire: &mut Wire) -> Result<(), Refusal> {
        let (front, _) = self.passage.value(&self.email, Bytes::new);
        let range = self.passage.read_range(&self.email);
        wire.buffer()
            .literal_head((front.len() + range.len()) as u64);
        wire.write(&front);
        send_pieces(self.account.mail(), &self.email, range, piece, wire).await
    }

    /// Its octets, as they are; `None` when it has no such part.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn read(&self) -> Result<Option<Bytes>, Refusal> {
        Ok(self.passage.read(self.account.mail(), &self.email).await?)
    }

    /// Its octets without their transfer encoding; `None` when that is unknown.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn read_decoded(&self) -> Result<Option<Bytes>, Refusal> {
        let mail = self.account.mail();
        Ok(self.passage.read_decoded(mail, &self.email).await?)
    }
}

impl MailboxRef {
    /// As a mailbox name in a command.
    pub(crate) fn raw_name(&self) -> RawName {
        RawName::of(MailboxName::new(&self.name))
    }
}
