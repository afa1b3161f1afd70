//! The mailbox record: what is known of a mailbox without opening it. Written with every commit.

use crate::MailError;
use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use types::{MailboxName, ModSeq, Role, UidValidity};

/// Version 1 lacks `deleted_bytes`; up to 2 there is one gap at most. Each is written as the oldest
/// version that can hold it.
const VERSION: u8 = 3;

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
    /// Jumps, from and to, oldest first: numbers in between were announced to nobody, or lost.
    pub(crate) gaps: Vec<(u64, u64)>,
}

/// How far the next modseq jumps after a power loss: more than can be announced in the 100 ms that
/// flag changes may be ahead of the disk.
const JUMP: u64 = 1 << 20;

/// Jumps that are remembered one by one. The oldest ones become one, with what lies between them: a
/// client that was not seen since is told more than it needs.
const GAPS: usize = 16;
/// How far it jumps when the mailbox is put back to an earlier state: more than can have been
/// announced since, and further with each second, so that a second restore of the same state
/// jumps over what was given after the first.
const RESTORE_JUMP: u64 = 1 << 32;
const RESTORE_MODSEQS_A_SECOND: u64 = 1 << 10;

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
            gaps: Vec::new(),
        }
    }

    /// Takes the next modseq, jumping when the store has lost commits since the last one: once for
    /// each power loss, for after each of them numbers may have been announced that the next one
    /// took back.
    pub(crate) fn next_modseq(&mut self, generation: u64) -> Result<ModSeq, MailError> {
        let losses = generation.saturating_sub(self.generation);
        let step = losses.saturating_mul(JUMP).max(1);
        let modseq = self.modseq.advance(step).ok_or_else(used_up)?;
        if losses > 0 {
            self.remember_gap(modseq);
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
        let step = RESTORE_JUMP + u64::from(age) * RESTORE_MODSEQS_A_SECOND;
        let modseq = self.modseq.advance(step).ok_or_else(used_up)?;
        self.remember_gap(modseq);
        self.modseq = modseq;
        self.generation = generation;
        Ok(())
    }

    /// The next modseq is `to`, and none between the newest one and that counts.
    pub(crate) fn remember_gap(&mut self, to: ModSeq) {
        self.gaps.push((self.modseq.get(), to.get()));
        if self.gaps.len() > GAPS {
            let (from, _) = self.gaps.remove(0);
            if let Some(oldest) = self.gaps.first_mut() {
                oldest.0 = from;
            }
        }
    }

    /// What a modseq remembered by a client is worth: nothing when it lies above the newest one or
    /// inside a jump, because the changes it was announced for are gone.
    pub(crate) fn effective_since(&self, since: u64) -> u64 {
        let lost = |(from, to): &(u64, u64)| since > *from && since < *to;
        if since > self.modseq.get() || self.gaps.iter().any(lost) {
            0
        } else {
            since
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut e = Encoder(Vec::with_capacity(48 + self.name.as_str().len()));
        // A record that is required to be unchanged must be encoded as it was read.
        let version = match (self.gaps.len(), self.deleted_bytes) {
            (2.., _) => VERSION,
            (_, Some(_)) => 2,
            (_, None) => 1,
        };
        e.byte(version);
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
        if version < VERSION {
            let (from, to) = self.gaps.first().copied().unwrap_or_default();
            e.uint(from);
            e.uint(to);
            if let Some(bytes) = self.deleted_bytes {
                e.uint(bytes);
            }
            return e.0.into();
        }
        e.uint(self.gaps.len() as u64);
        for (from, to) in &self.gaps {
            e.uint(*from);
            e.uint(*to);
        }
        // 0 is unknown.
        e.uint(
            self.deleted_bytes
                .map_or(0, |bytes| bytes.saturating_add(1)),
        );
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
            gaps: decode_gaps(&mut d, version)?,
            deleted_bytes: match version {
                1 => None,
                2 => Some(d.uint()?),
                _ => d.uint()?.checked_sub(1),
            },
        })
    }
}

fn decode_gaps(d: &mut Decoder<'_>, version: u8) -> Result<Vec<(u64, u64)>, MailError> {
    let count = if version < 3 { 1 } else { d.uint()? };
    if count > GAPS as u64 {
        return Err(d.damaged());
    }
    let mut gaps = Vec::new();
    for _ in 0..count {
        gaps.push((d.uint()?, d.uint()?));
    }
    // Before version 3 none was written as this.
    gaps.retain(|gap| *gap != (0, 0));
    Ok(gaps)
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
    fn a_number_that_any_power_loss_took_back_is_not_given_again_and_worth_nothing() {
        let mut durable = MailboxRecord::new(MailboxName::inbox(), None, UidValidity::MIN);
        durable.next_modseq(0).unwrap();
        let first = durable.modseq.get();
        let mut lost = Vec::new();
        for generation in 1..=40 {
            // What is announced now is gone with the next power loss, or with the one after it.
            let mut record = MailboxRecord::decode(&durable.encode()).unwrap();
            for _ in 0..100 {
                let announced = record.next_modseq(generation).unwrap().get();
                assert!(!lost.contains(&announced), "{announced} was given twice");
                lost.push(announced);
            }
            if generation % 2 == 0 {
                for _ in 0..5 {
                    let kept = durable.next_modseq(generation).unwrap().get();
                    lost.retain(|lost| *lost != kept);
                    assert_eq!(durable.effective_since(kept), kept);
                }
            }
            assert!(
                lost.iter()
                    .all(|since| durable.effective_since(*since) == 0)
            );
        }
        assert_eq!(durable.effective_since(first), first);
    }

    #[test]
    fn what_was_given_since_a_backup_is_not_given_again() {
        let mut record = MailboxRecord::new(MailboxName::inbox(), None, UidValidity::MIN);
        let other = UidValidity::new(77).unwrap();
        (record.uid_next, record.modseq) = (10, ModSeq::new(50).unwrap());
        let backup = record.clone();
        record.restore(3600, 4, || other).unwrap();
        assert!(record.uid_next >= 10 + (1 << 20) + 360_000);
        assert_eq!(record.uid_validity, UidValidity::MIN);
        for told in [51, 1 << 31] {
            assert_eq!(record.effective_since(told), 0, "{told}");
        }
        assert_eq!(record.effective_since(50), 50);
        // The same backup again: who was told a number between the two restores may know what is
        // no more.
        let (between, uids) = (record.next_modseq(4).unwrap().get(), record.uid_next);
        record = backup;
        record.restore(3700, 4, || other).unwrap();
        assert!(record.uid_next >= uids + 10_000);
        assert_eq!(record.effective_since(60), 0);
        assert_eq!(record.effective_since(between), 0);
        let newest = record.modseq.get();
        assert!(newest > between);
        assert_eq!(record.effective_since(newest), newest);
        // A later backup knows what was given before it.
        let kept = record.next_modseq(4).unwrap().get();
        record.restore(3600, 4, || other).unwrap();
        assert_eq!(record.effective_since(between), 0);
        assert_eq!(record.effective_since(kept), kept);
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
            let mut later = record.clone();
            later.gaps = vec![(3, 9), (12, 70)];
            let bytes = later.encode();
            assert_eq!(bytes.first(), Some(&3));
            assert_eq!(MailboxRecord::decode(&bytes).unwrap(), later);
            assert!(MailboxRecord::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
