//! The mailbox record: what is known of a mailbox without opening it. Written with every commit.

use crate::MailError;
use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use types::{MailboxName, ModSeq, Role, UidValidity};

/// Version 1 lacks `deleted_bytes`.
const VERSION: u8 = 2;

/// One mailbox, without its messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MailboxRecord {
    pub(crate) name: MailboxName,
    pub(crate) role: Option<Role>,
    pub(crate) uid_validity: UidValidity,
    /// The next uid; 0 once they are used up.
    pub(crate) uid_next: u32,
    pub(crate) modseq: ModSeq,
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) deleted: u32,
    pub(crate) bytes: u64,
    /// Sum of the sizes of messages with `\\Deleted`; `None` while the record is of version 1 and
    /// nothing was written since.
    pub(crate) deleted_bytes: Option<u64>,
    /// The first uid no session has been told about.
    pub(crate) recent_from: u32,
    /// The store's generation when the record was written (DESIGN 3.4): a rise means that numbers
    /// above `modseq` may have been announced and lost.
    pub(crate) generation: u64,
    /// The last jump, from and to: numbers in between were announced to nobody, or lost.
    pub(crate) gap: (u64, u64),
}

/// How far the next modseq jumps after a power loss: more than can be announced in the 100 ms that
/// flag changes may be ahead of the disk.
const JUMP: u64 = 1 << 20;

impl MailboxRecord {
    pub(crate) fn new(name: MailboxName, role: Option<Role>, uid_validity: UidValidity) -> Self {
        Self {
            name,
            role,
            uid_validity,
            uid_next: 1,
            modseq: ModSeq::FIRST,
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
            deleted_bytes: Some(0),
            recent_from: 1,
            generation: 0,
            gap: (0, 0),
        }
    }

    /// Takes the next modseq, jumping when the store has lost commits since the last one.
    pub(crate) fn next_modseq(&mut self, generation: u64) -> Result<ModSeq, MailError> {
        let step = if generation > self.generation {
            JUMP
        } else {
            1
        };
        let modseq = self.modseq.advance(step).ok_or_else(|| {
            MailError::new(
                crate::MailErrorKind::Limit,
                "the mailbox has used up its change numbers",
            )
        })?;
        if step == JUMP {
            self.gap = (self.modseq.get(), modseq.get());
        }
        self.modseq = modseq;
        self.generation = generation;
        Ok(self.modseq)
    }

    /// What a modseq remembered by a client is worth: nothing when it lies above the newest one or
    /// inside the last jump, because the changes it was announced for are gone.
    pub(crate) fn effective_since(&self, since: u64) -> u64 {
        let lost = since > self.gap.0 && since < self.gap.1;
        if lost || since > self.modseq.get() {
            0
        } else {
            since
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut e = Encoder(Vec::with_capacity(48 + self.name.as_str().len()));
        // A record that is required to be unchanged must be encoded as it was read.
        e.byte(if self.deleted_bytes.is_some() {
            VERSION
        } else {
            1
        });
        e.bytes(self.name.as_str().as_bytes());
        e.byte(self.role.map_or(0, |role| role as u8));
        e.uint(self.uid_validity.get().into());
        e.uint(self.uid_next.into());
        e.uint(self.modseq.get());
        e.uint(self.messages.into());
        e.uint(self.unseen.into());
        e.uint(self.deleted.into());
        e.uint(self.bytes);
        e.uint(self.recent_from.into());
        e.uint(self.generation);
        e.uint(self.gap.0);
        e.uint(self.gap.1);
        if let Some(bytes) = self.deleted_bytes {
            e.uint(bytes);
        }
        e.0.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "mailbox record");
        let version = d.byte()?;
        if !(1..=VERSION).contains(&version) {
            return Err(d.damaged());
        }
        let name = MailboxName::new(d.str()?).map_err(|_| d.damaged())?;
        let role = Role::from_number(d.byte()?);
        let (uid_validity, uid_next, modseq) = (d.u32()?, d.u32()?, d.uint()?);
        Ok(Self {
            name,
            role,
            uid_validity: d.checked(UidValidity::new, uid_validity)?,
            uid_next,
            modseq: d.checked(ModSeq::new, modseq)?,
            messages: d.u32()?,
            unseen: d.u32()?,
            deleted: d.u32()?,
            bytes: d.uint()?,
            recent_from: d.u32()?,
            generation: d.uint()?,
            gap: (d.uint()?, d.uint()?),
            deleted_bytes: match version {
                1 => None,
                _ => Some(d.uint()?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_as_it_was_read() {
        let mut record = MailboxRecord::new(MailboxName::inbox(), None, UidValidity::MIN);
        for deleted_bytes in [Some(70_000), None] {
            record.deleted_bytes = deleted_bytes;
            let bytes = record.encode();
            assert_eq!(
                bytes.first(),
                Some(if deleted_bytes.is_some() { &2 } else { &1 })
            );
            assert_eq!(MailboxRecord::decode(&bytes).unwrap(), record);
            assert!(MailboxRecord::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
