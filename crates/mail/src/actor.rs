//! Who acts on an account: what a front knows of its client and the engine writes down.

use crate::codec::{Decoder, Encoder};
use crate::uses::{decode_peer, encode_peer};
use crate::{Account, Mail, MailError};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use types::{AccountId, CredentialId, Door};

/// On whose behalf an [`Account`] handle is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Where they came in.
    pub door: Door,
    /// The account that logged in, which need not be the one acted on.
    pub user: Option<AccountId>,
    /// By which of its secrets.
    pub credential: CredentialId,
    /// What the owner calls that secret; empty for the account's password.
    pub label: Arc<str>,
    /// Where from.
    pub peer: Option<IpAddr>,
}

impl Actor {
    /// The server itself, or whoever runs it.
    pub fn server() -> Self {
        Self {
            door: Door::Server,
            user: None,
            credential: CredentialId::PASSWORD,
            label: Arc::from(""),
            peer: None,
        }
    }
}

pub(crate) fn encode_actor(e: &mut Encoder, actor: &Actor) {
    e.byte(actor.door as u8);
    e.uint(actor.user.map_or(0, |user| user.0));
    e.uint(actor.credential.0);
    e.bytes(actor.label.as_bytes());
    encode_peer(e, actor.peer);
}

pub(crate) fn decode_actor(d: &mut Decoder<'_>) -> Result<Actor, MailError> {
    let door = d.byte()?;
    Ok(Actor {
        door: d.checked(Door::from_number, door)?,
        user: Some(AccountId(d.uint()?)).filter(|user| user.0 != 0),
        credential: CredentialId(d.uint()?),
        label: Arc::from(d.str()?),
        peer: decode_peer(d)?,
    })
}

/// A value that has an encoded actor at `at`, with another number for the account that acted; none
/// for one that has no number.
pub(crate) fn renumbered(
    value: &[u8],
    at: usize,
    number: impl Fn(AccountId) -> Option<AccountId>,
) -> Result<Bytes, MailError> {
    let mut d = Decoder::new(value.get(at..).unwrap_or_default(), "actor");
    let door = d.byte()?;
    let user = AccountId(d.uint()?);
    let user = match user.0 {
        0 => user,
        _ => number(user).unwrap_or(AccountId(0)),
    };
    let mut e = Encoder(value.get(..at).unwrap_or_default().to_vec());
    e.byte(door);
    e.uint(user.0);
    e.0.extend_from_slice(d.rest());
    Ok(e.0.into())
}

impl Account {
    /// The same account, used on somebody's behalf: so are the mailboxes selected through it.
    #[must_use]
    pub fn acting_as(&self, actor: Arc<Actor>) -> Self {
        Self(self.0.clone(), actor, self.2)
    }

    /// On whose behalf this handle is used.
    pub fn actor(&self) -> &Arc<Actor> {
        &self.1
    }
}

impl Mail {
    /// The account of somebody a directory knows by this name and who has just logged in as
    /// `actor`; made when the store has none yet. Notes the time (see [`Account::last_uses`]).
    pub async fn log_in(&self, name: &str, mut actor: Actor) -> Result<Account, MailError> {
        let info = self.ensure_account(name).await?;
        let account = self.account(info.id).await?;
        actor.user = Some(info.id);
        self.note_use(&actor);
        Ok(account.acting_as(Arc::new(actor)))
    }
}
