//! Access keys (RFC 4467 2.2): secrets by which URLs are authorised. One for each user and mailbox;
//! users that share a mailbox have different ones.
//!
//! They lie with the user under `Y`, account, mailbox, and never leave the engine. One is made when
//! it is first needed, replaced when the mailbox's UIDVALIDITY is another, and goes with the
//! mailbox; for a mailbox of another account the row stays, and means nothing: ids are never given
//! twice.

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::edit::ATTEMPTS;
use crate::messages::contention;
use crate::snapshot::each;
use crate::{Account, MailError, MailErrorKind, keys};
use bytes::Bytes;
use storage::Batch;
use types::{AccountId, MailboxId, UidValidity};

/// How records are written, and how tokens are made: RFC 4467 2.4.1 wants tokens to name their
/// algorithm.
const VERSION: u8 = 1;

/// A secret.
struct AccessKey {
    /// What the mailbox's UIDVALIDITY was when it was made.
    uid_validity: UidValidity,
    secret: [u8; 32],
}

impl AccessKey {
    /// From the system's random numbers.
    fn new(uid_validity: UidValidity) -> Result<Self, MailError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| {
            MailError::new(
                MailErrorKind::Unavailable,
                "the system has no random numbers",
            )
        })?;
        Ok(Self {
            uid_validity,
            secret,
        })
    }

    fn encode(&self) -> Bytes {
        let mut e = Encoder::default();
        e.byte(VERSION);
        e.uint(self.uid_validity.get().into());
        e.0.extend_from_slice(&self.secret);
        e.0.into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "access key");
        if d.byte()? != VERSION {
            return Err(d.damaged());
        }
        let uid_validity = UidValidity::new(d.u32()?).ok_or_else(|| d.damaged())?;
        Ok(Self {
            uid_validity,
            secret: d.array()?,
        })
    }

    /// BLAKE3 with a key, behind the number of this algorithm.
    fn token(&self, text: &[u8]) -> Vec<u8> {
        let mut token = vec![VERSION];
        token.extend_from_slice(blake3::keyed_hash(&self.secret, text).as_bytes());
        token
    }

    /// Takes the same time whatever differs.
    fn made(&self, token: &[u8], text: &[u8]) -> bool {
        let hash = blake3::keyed_hash(&self.secret, text);
        let Some((&VERSION, given)) = token.split_first() else {
            return false;
        };
        // Hashes are compared in constant time, by their crate.
        <[u8; 32]>::try_from(given).is_ok_and(|given| blake3::Hash::from_bytes(given) == hash)
    }
}

impl Account {
    /// A token that proves that this user has authorised `text` for a mailbox of `owner`, until the
    /// key is reset. `NotFound` when the mailbox is gone.
    pub async fn vouch(
        &self,
        owner: &Self,
        mailbox: MailboxId,
        text: &[u8],
    ) -> Result<Vec<u8>, MailError> {
        let account = &*self.0;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let stored = account.access_key(owner.id(), mailbox).await?;
            let uid_validity = owner.summary(mailbox)?.uid_validity;
            let known = stored.as_deref().map(AccessKey::decode).transpose()?;
            if let Some(key) = known.filter(|key| key.uid_validity == uid_validity) {
                return Ok(key.token(text));
            }
            let (key, mut batch) = (AccessKey::new(uid_validity)?, Batch::new());
            let place = keys::access_key(owner.id(), mailbox);
            match stored {
                Some(old) => batch.require(place.clone(), old),
                None => batch.require_absent(place.clone()),
            };
            batch.put(place, key.encode());
            account.require_mailbox(owner, mailbox, &mut batch)?;
            if account.mail.commit_durably(account.id, batch).await? {
                return Ok(key.token(text));
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }

    /// Whether `token` proves that this user has authorised `text`. `None` for a mailbox that is
    /// not there takes as long and is never proven (RFC 4467 6).
    pub async fn vouched(
        &self,
        mailbox: Option<(&Self, MailboxId)>,
        text: &[u8],
        token: &[u8],
    ) -> Result<bool, MailError> {
        let stand_in = AccessKey::new(UidValidity::MIN)?;
        let (owner, id) = mailbox.map_or((AccountId::SYSTEM, MailboxId(0)), |(owner, id)| {
            (owner.id(), id)
        });
        let stored = self.0.access_key(owner, id).await?;
        let uid_validity = mailbox
            .and_then(|(owner, id)| owner.summary(id).ok())
            .map(|summary| summary.uid_validity);
        let known = stored.as_deref().map(AccessKey::decode).transpose()?;
        let known = known.filter(|key| Some(key.uid_validity) == uid_validity);
        let is_known = known.is_some();
        Ok(known.unwrap_or(stand_in).made(token, text) && is_known)
    }

    /// Gives this user a new key for a mailbox of `owner`: what was authorised by the old one is no
    /// longer. `NotFound` when the mailbox is gone.
    pub async fn reset_access_key(
        &self,
        owner: &Self,
        mailbox: MailboxId,
    ) -> Result<(), MailError> {
        let account = &*self.0;
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let key = AccessKey::new(owner.summary(mailbox)?.uid_validity)?;
            let mut batch = Batch::new();
            batch.put(keys::access_key(owner.id(), mailbox), key.encode());
            account.require_mailbox(owner, mailbox, &mut batch)?;
            if account.mail.commit_durably(account.id, batch).await? {
                account.announce_reset(owner.id(), mailbox);
                return Ok(());
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }

    /// Removes all keys of this user.
    pub async fn reset_access_keys(&self) -> Result<(), MailError> {
        let account = &*self.0;
        let _writer = account.writer.lock().await;
        let (mut batch, mut gone) = (Batch::new(), Vec::new());
        let all = keys::access_keys();
        each(account.mail.meta(), account.id, all, |(key, _)| {
            gone.extend(keys::access_key_parts(key));
            batch.delete(key.clone());
            Ok(())
        })
        .await?;
        if gone.is_empty() {
            return Ok(());
        }
        if !account.mail.commit_durably(account.id, batch).await? {
            return Err(contention());
        }
        for (owner, mailbox) in gone {
            account.announce_reset(owner, mailbox);
        }
        Ok(())
    }
}

impl AccountInner {
    async fn access_key(
        &self,
        owner: AccountId,
        mailbox: MailboxId,
    ) -> Result<Option<Bytes>, MailError> {
        let key = keys::access_key(owner, mailbox);
        Ok(self.mail.meta().get(self.id, &key).await?)
    }

    /// Another process must not delete the mailbox meanwhile.
    fn require_mailbox(
        &self,
        owner: &Account,
        mailbox: MailboxId,
        batch: &mut Batch,
    ) -> Result<(), MailError> {
        if owner.id() == self.id {
            let name = self.existing(mailbox)?.state().head.record.name.clone();
            batch.require(keys::name(&name), mailbox.0.to_be_bytes().to_vec());
        }
        Ok(())
    }

    /// Lets the sessions know that have the mailbox open.
    fn announce_reset(&self, owner: AccountId, mailbox: MailboxId) {
        let found = match owner == self.id {
            true => self.mailbox(mailbox),
            false => self
                .mail
                .open_account(owner)
                .and_then(|o| o.mailbox(mailbox)),
        };
        if let Some(mailbox) = found {
            mailbox.key_reset(self.id);
        }
    }

    /// Keys of this account's own mailboxes that are gone; for [`crate::Mail::check`].
    pub(crate) async fn lost_access_keys(&self) -> Result<usize, MailError> {
        let mut lost = 0;
        let all = keys::access_keys();
        each(self.mail.meta(), self.id, all, |(key, _)| {
            lost += usize::from(match keys::access_key_parts(key) {
                Some((owner, mailbox)) => owner == self.id && self.mailbox(mailbox).is_none(),
                None => true,
            });
            Ok(())
        })
        .await?;
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_proves_one_text_under_one_key() {
        let key = AccessKey::new(UidValidity::MIN).unwrap();
        let token = key.token(b"a");
        // RFC 4467 2.5: at least 128 bits.
        assert_eq!((token.len(), token[0]), (33, VERSION));
        assert_eq!(token, AccessKey::decode(&key.encode()).unwrap().token(b"a"));
        assert!(key.made(&token, b"a"));
        assert!(!key.made(&token, b"b"));
        assert!(!AccessKey::new(UidValidity::MIN).unwrap().made(&token, b"a"));
        for at in 0..token.len() {
            let mut other = token.clone();
            other[at] ^= 1;
            assert!(!key.made(&other, b"a"), "{at}");
        }
        assert!(!key.made(&[], b"a"));
        assert!(!key.made(&token[..32], b"a"));
        assert!(!key.made(&[&token[..], b"x"].concat(), b"a"));
    }
}
