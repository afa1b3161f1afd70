//! When each secret of an account was used last. Kept in memory and written now and then: no login
//! waits for it, and a crash loses at most the last minute.

use crate::codec::{Decoder, Encoder};
use crate::snapshot::each;
use crate::{Account, Actor, Mail, MailError, keys};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{MutexGuard, PoisonError};
use storage::Batch;
use types::{AccountId, CredentialId, Door};

const VERSION: u8 = 1;

/// The last login by one secret at one door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// Which secret.
    pub credential: CredentialId,
    /// Which door.
    pub door: Door,
    /// When, in seconds since 1970 UTC.
    pub at: i64,
    /// Where from.
    pub peer: Option<IpAddr>,
}

/// What was noted and is not written yet.
pub(crate) type Unwritten = HashMap<AccountId, HashMap<(CredentialId, Door), LastUse>>;

impl LastUse {
    fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        e.int(self.at);
        encode_peer(&mut e, self.peer);
        e.0.into()
    }

    fn decode(key: &[u8], value: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(value, "last use");
        let credential = keys::id_of(key).ok_or_else(|| d.damaged())?;
        let door = key.get(9).copied().and_then(Door::from_number);
        let door = door.ok_or_else(|| d.damaged())?;
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        Ok(Self {
            credential: CredentialId(credential),
            door,
            at: d.int()?,
            peer: decode_peer(&mut d)?,
        })
    }
}

/// An address as its octets; none for who came without one.
pub(crate) fn encode_peer(e: &mut Encoder, peer: Option<IpAddr>) {
    match peer {
        None => e.bytes(b""),
        Some(IpAddr::V4(ip)) => e.bytes(&ip.octets()),
        Some(IpAddr::V6(ip)) => e.bytes(&ip.octets()),
    }
}

pub(crate) fn decode_peer(d: &mut Decoder<'_>) -> Result<Option<IpAddr>, MailError> {
    let octets = d.bytes()?;
    if octets.is_empty() {
        return Ok(None);
    }
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(Some(Ipv4Addr::from(octets).into()));
    }
    let octets = <[u8; 16]>::try_from(octets).map_err(|_| d.damaged())?;
    Ok(Some(Ipv6Addr::from(octets).into()))
}

impl Mail {
    fn uses(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten_uses()
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_use(&self, actor: &Actor) {
        let Some(user) = actor.user else { return };
        let last = LastUse {
            credential: actor.credential,
            door: actor.door,
            at: crate::engine::now(),
            peer: actor.peer,
        };
        self.uses()
            .entry(user)
            .or_default()
            .insert((last.credential, last.door), last);
    }

    pub(crate) fn forget_uses(&self, account: AccountId, credential: Option<CredentialId>) {
        let mut uses = self.uses();
        match credential {
            None => drop(uses.remove(&account)),
            Some(id) => {
                if let Some(of_account) = uses.get_mut(&account) {
                    of_account.retain(|(other, _), _| *other != id);
                }
            }
        }
    }

    /// Writes down the logins noted since the last call. Meant to be called every minute.
    ///
    /// # Errors
    /// Trouble of the store: what was not written is forgotten.
    pub async fn write_uses(&self) -> Result<(), MailError> {
        let all = std::mem::take(&mut *self.uses());
        for (account, uses) in all {
            // A removed account leaves nothing behind.
            if self.account_name(account).await?.is_none() {
                continue;
            }
            let mut batch = Batch::new();
            for last in uses.into_values() {
                batch.put(keys::last_use(last.credential, last.door), last.encode());
            }
            self.meta().commit(account, batch).await?.relax();
        }
        Ok(())
    }
}

impl Account {
    /// When each secret was used last, at each door.
    pub async fn last_uses(&self) -> Result<Vec<LastUse>, MailError> {
        let mail = &self.0.mail;
        let mut found = HashMap::new();
        each(mail.meta(), self.0.id, keys::last_uses(), |(key, value)| {
            let last = LastUse::decode(key, value)?;
            found.insert((last.credential, last.door), last);
            Ok(())
        })
        .await?;
        if let Some(newer) = mail.uses().get(&self.0.id) {
            found.extend(newer.iter().map(|(key, last)| (*key, last.clone())));
        }
        let mut found: Vec<LastUse> = found.into_values().collect();
        found.sort_unstable_by_key(|last| (last.credential, last.door));
        Ok(found)
    }
}
