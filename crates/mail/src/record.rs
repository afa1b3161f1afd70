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

/// How far it jumps when the mailbox is put back to an earlier state: more than can have been
/// announced since. 2^31 restores fit into 63 bits.
const RESTORE_JUMP: u64 = 1 << 32;

/// How far the next uid jumps then: this many, and so many more for each second the state is old.
const RESTORE_UIDS: u32 = 1 << 20;
const RESTORE_UIDS_A_SECOND: u32 = 100;

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
        let modseq = self.modseq.advance(step).ok_or_else(used_up)?;
        if step == JUMP {
            // What a restore took back is not forgotten for a power loss.
            let restored = self.gap.1 - self.gap.0 >= RESTORE_JUMP;
            let from = if restored {
                self.gap.0
            } else {
                self.modseq.get()
            };
            self.gap = (from, modseq.get());
        }
        self.modseq = modseq;
        self.generation = generation;
        Ok(self.modseq)
    }

    /// The mailbox is put back to this record, `age` seconds after it was so (decision 0036): no
    /// number that may have been given since is given again. UIDVALIDITY changes only when there
    /// are not enough uids left.
    pub(crate) fn restore(
        &mut self,
        age: u32,
        generation: u64,
        new_validity: impl FnOnce() -> UidValidity,
    ) -> Result<(), MailError> {
        let jump = age
            .checked_mul(RESTORE_UIDS_A_SECOND)
            .and_then(|uids| uids.checked_add(RESTORE_UIDS));
        match jump.and_then(|jump| self.uid_next.checked_add(jump)) {
            // Used up: none has been given since.
            _ if self.uid_next == 0 => {}
            Some(next) => self.uid_next = next,
            None => self.uid_validity = new_validity(),
        }
        let modseq = self.modseq.advance(RESTORE_JUMP).ok_or_else(used_up)?;
        // Of several jumps the first one's beginning counts: who was told a number since then is
        // told everything anew.
        if self.gap == (0, 0) {
            self.gap.0 = self.modseq.get();
        }
        self.gap.1 = modseq.get();
        self.modseq = modseq;
        self.generation = generation;
        Ok(())
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

fn used_up() -> MailError {
    MailError::new(
        crate::MailErrorKind::Limit,
        "the mailbox has used up its change numbers",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_since_a_backup_is_not_given_again() {
        let mut record = MailboxRecord::new(MailboxName::inbox(), None, UidValidity::MIN);
        let other = UidValidity::new(77).unwrap();
        (record.uid_next, record.modseq) = (10, ModSeq::new(50).unwrap());
        record.restore(3600, 4, || other).unwrap();
        assert!(record.uid_next >= 10 + (1 << 20) + 360_000);
        assert_eq!(record.uid_validity, UidValidity::MIN);
        for told in [51, 1 << 31] {
            assert_eq!(record.effective_since(told), 0, "{told}");
        }
        assert_eq!(record.effective_since(50), 50);
        // Again: who was told a number between the two restores may know what is no more.
        let between = record.next_modseq(4).unwrap().get();
        record.restore(3600, 4, || other).unwrap();
        assert_eq!(record.effective_since(60), 0);
        assert_eq!(record.effective_since(between), 0);
        assert_eq!(
            record.effective_since(record.modseq.get()),
            record.modseq.get()
        );
        // No room: another UIDVALIDITY.
        record.uid_next = u32::MAX - 5;
        record.restore(0, 4, || other).unwrap();
        assert_eq!(
            (record.uid_next, record.uid_validity),
            (u32::MAX - 5, other)
        );
        record.uid_next = 0;
        record.restore(0, 4, || unreachable!()).unwrap();
        assert_eq!(record.uid_next, 0);
    }

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
