//! Account notes: what an account is called, kept as a blob beside its mail, so that recovery from
//! nothing but blobs (DESIGN 3.6) gives the mail back to its owners under their names and
//! passwords.
//!
//! A note is a blob whose provenance names the system account. It is written before the account's
//! record, kept alive by a link row like any message, and replaced with the record. The note of a
//! removed account stays, so that recovery does not bring the account back.

use crate::codec::{Decoder, Encoder};
use crate::{AccountInfo, Mail, MailError, keys};
use bytes::Bytes;
use storage::{Batch, BlobRef, Provenance, Scan};
use types::{AccountId, BlobHash, EmailId};

/// How every note begins. Its last byte is the version.
const MAGIC: &[u8; 8] = b"GPACCT\n\x01";

/// What provenance gives as the mailbox of a note.
pub const NOTE_PATH: &str = "account";

/// What is written down of an account beside its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNote {
    /// Rises with every change of any account: of two notes of one account the higher one holds.
    pub revision: u64,
    /// Whether the account was removed.
    pub removed: bool,
    /// The account; without its password once it was removed.
    pub info: AccountInfo,
    /// The blob it was read from.
    pub(crate) hash: BlobHash,
}

impl AccountNote {
    fn encode(revision: u64, removed: bool, info: &AccountInfo) -> Bytes {
        let mut e = Encoder(MAGIC.to_vec());
        e.uint(revision);
        e.byte(u8::from(removed));
        e.bytes(&info.encode());
        e.0.into()
    }

    fn decode(hash: BlobHash, bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "account note");
        if d.array()? != *MAGIC {
            return Err(d.damaged());
        }
        Ok(Self {
            revision: d.uint()?,
            removed: d.byte()? != 0,
            info: AccountInfo::decode(d.bytes()?)?,
            hash,
        })
    }
}

/// A change of an account's note while it is put together: what its batch needs, and the note that
/// is not needed any more once that is committed.
pub(crate) struct NoteChange {
    new: BlobHash,
    old: Option<BlobHash>,
}

impl Mail {
    /// Stores a note of what the account is to be, and adds to the batch what makes it count.
    pub(crate) async fn note_account(
        &self,
        info: &AccountInfo,
        removed: bool,
        batch: &mut Batch,
    ) -> Result<NoteChange, MailError> {
        let stored = self.meta().get(AccountId::SYSTEM, keys::REVISION).await?;
        let revision = revision(stored.as_ref())?.saturating_add(1);
        let kept = match removed {
            true => AccountInfo {
                password: None,
                ..info.clone()
            },
            false => info.clone(),
        };
        let origin = Provenance {
            owners: vec![(AccountId::SYSTEM, NOTE_PATH.to_owned())],
            internal_date: crate::engine::now(),
            ..Provenance::default()
        };
        let bytes = AccountNote::encode(revision, removed, &kept);
        let new = self.blobs().put(bytes, &origin).await?.hash;
        let old = self.note_of(info.id).await?;
        match stored {
            Some(stored) => batch.require(keys::REVISION, stored),
            None => batch.require_absent(keys::REVISION),
        };
        batch.put(keys::REVISION, revision.to_be_bytes().to_vec());
        self.link_note(info.id, new, old, batch);
        Ok(NoteChange { new, old })
    }

    fn link_note(&self, id: AccountId, new: BlobHash, old: Option<BlobHash>, batch: &mut Batch) {
        if let Some(old) = old {
            batch.unlink(old, EmailId(id.0));
        }
        batch.link(new, EmailId(id.0));
        batch.put(keys::account_note(id), new.0.to_vec());
    }

    /// The batch of a change was committed, or another writer was faster: one of its notes is for
    /// nobody any more. Trouble only means that some hundred bytes stay.
    pub(crate) async fn noted(&self, change: NoteChange, committed: bool) {
        let useless = match committed {
            true => change.old,
            false => Some(change.new),
        };
        if let Some(hash) = useless
            && let Err(error) = self.release([hash].into()).await
        {
            tracing::warn!(%error, "an old account note stays");
        }
    }

    pub(crate) async fn note_of(&self, id: AccountId) -> Result<Option<BlobHash>, MailError> {
        let key = keys::account_note(id);
        let hash = self.meta().get(AccountId::SYSTEM, &key).await?;
        let hash = hash.map(|hash| <[u8; 32]>::try_from(&hash[..]).map(BlobHash));
        hash.transpose()
            .map_err(|_| MailError::corrupt("damaged account note key"))
    }

    /// Writes the notes of accounts made by versions that wrote none. They are written in the order
    /// of names and before any account is made: when the last one has its note, all have.
    pub(crate) async fn note_old_accounts(&self) -> Result<(), MailError> {
        let last = Scan {
            limit: 1,
            ..keys::accounts().reversed()
        };
        let last = self.meta().scan(AccountId::SYSTEM, last).await?;
        let Some((_, last)) = last.entries.first() else {
            return Ok(());
        };
        let last = AccountInfo::decode(last)?;
        if self.note_of(last.id).await?.is_some() {
            return Ok(());
        }
        for info in self.list_accounts().await? {
            if self.note_of(info.id).await?.is_none() {
                let mut batch = Batch::new();
                let change = self.note_account(&info, false, &mut batch).await?;
                let committed = self.commit_durably(AccountId::SYSTEM, batch).await?;
                self.noted(change, committed).await;
            }
        }
        Ok(())
    }

    /// Reads a note that a scan of the blobs has found.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read or is none.
    pub async fn read_account_note(&self, blob: &BlobRef) -> Result<AccountNote, MailError> {
        let bytes = self.blobs().get(blob, 0..blob.size).await?;
        AccountNote::decode(blob.hash, &bytes)
    }

    /// Adds to a batch what makes a note count that is there already, in place of `old`.
    pub(crate) fn adopt_note(&self, note: &AccountNote, old: Option<BlobHash>, batch: &mut Batch) {
        let old = old.filter(|old| *old != note.hash);
        self.link_note(note.info.id, note.hash, old, batch);
    }

    /// Every account has its note.
    pub(crate) async fn check_notes(&self, problems: &mut Vec<String>) -> Result<(), MailError> {
        for info in self.list_accounts().await? {
            let note = match self.note_of(info.id).await? {
                Some(hash) => self.sound_note(&hash).await?,
                None => None,
            };
            if note.is_none_or(|note| note.info != info || note.removed) {
                let name = &info.name;
                problems.push(format!(
                    "account {name}: its note beside the mail is lost or damaged; `gatepost account \
                     quota {name}` writes a new one"
                ));
            }
        }
        Ok(())
    }

    /// Whether the account is known to have been removed. That its name is not found is not enough:
    /// it may be damage.
    pub(crate) async fn was_removed(&self, id: AccountId) -> Result<bool, MailError> {
        if self.account_name(id).await?.is_some() {
            return Ok(false);
        }
        let note = match self.note_of(id).await? {
            Some(hash) => self.sound_note(&hash).await?,
            None => None,
        };
        Ok(note.is_some_and(|note| note.removed && note.info.id == id))
    }

    async fn sound_note(&self, hash: &BlobHash) -> Result<Option<AccountNote>, MailError> {
        let Some(blob) = self.blobs().stat(hash).await? else {
            return Ok(None);
        };
        Ok(self.read_account_note(&blob).await.ok())
    }
}

/// The value of the `N` key; 0 without one.
pub(crate) fn revision(stored: Option<&Bytes>) -> Result<u64, MailError> {
    let Some(stored) = stored else { return Ok(0) };
    let bytes = <[u8; 8]>::try_from(&stored[..]);
    let bytes = bytes.map_err(|_| MailError::corrupt("damaged revision of accounts"))?;
    Ok(u64::from_be_bytes(bytes))
}
