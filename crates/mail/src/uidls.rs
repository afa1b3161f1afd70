//! POP3 unique ids taken over from another server (DESIGN 5.5), so that clients download nothing
//! again after a move.
//!
//! A message's own unique id is a number it is born with ([`Row::uidl_text`]). One that was taken
//! over stands in a row `U` + that number, and goes where the number goes: with a move, not with a
//! copy. The rows stay until the account goes, so that a message that comes back has its id; where
//! another message has taken it over meanwhile, it gets one of its own.

use crate::account::AccountInner;
use crate::snapshot::each;
use crate::{Account, MailError, MailErrorKind, Row, Selected, View, keys};
use bytes::BytesMut;
use std::collections::{HashMap, HashSet};
use storage::Batch;
use types::Uid;

/// Ids written by one commit.
const BATCH: usize = 4096;

/// A unique id as it stands on the wire (RFC 1939 7): 1 to 70 characters from 0x21 to 0x7E.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UniqueId(Box<[u8]>);

impl UniqueId {
    /// `None`: not such a text.
    pub fn new(text: &[u8]) -> Option<Self> {
        let fits = (1..=70).contains(&text.len());
        let visible = text.iter().all(|c| (0x21..=0x7e).contains(c));
        (fits && visible).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The unique ids of a maildrop: those taken over, by the numbers they stand for.
#[derive(Clone, Default, Debug)]
pub struct UniqueIds(HashMap<u64, UniqueId>);

impl UniqueIds {
    /// Appends the unique id of a message.
    pub fn write(&self, row: &Row, out: &mut BytesMut) {
        match self.adopted(row.uidl) {
            Some(id) => out.extend_from_slice(id.as_bytes()),
            None => out.extend_from_slice(&native_text(row.uidl)),
        }
    }

    /// The unique id taken over for a number; `None`: its own, [`native_text`], holds.
    pub fn adopted(&self, number: u64) -> Option<&UniqueId> {
        self.0.get(&number)
    }

    /// The number of a message, as it is named by the id it took over or its own.
    pub fn number_of(&self, unique_id: &str) -> Option<u64> {
        let text = unique_id.as_bytes();
        let mut adopted = self.0.iter().filter(|(_, id)| id.as_bytes() == text);
        let adopted = adopted.next().map(|(number, _)| *number);
        adopted.or_else(|| native(unique_id))
    }

    /// Those of `wanted` messages that messages of a view have.
    pub(crate) fn taken<'a>(
        &self,
        wanted: impl Iterator<Item = &'a Row>,
        view: &View,
    ) -> HashSet<UniqueId> {
        // Numbers are never given twice: only an id that was taken over can be another's.
        if self.0.is_empty() {
            return HashSet::new();
        }
        let wanted: HashSet<UniqueId> = wanted.map(|row| self.of(row)).collect();
        let there = view.rows().map(|row| self.of(&row));
        there.filter(|id| wanted.contains(id)).collect()
    }

    pub(crate) fn of(&self, row: &Row) -> UniqueId {
        let native = || UniqueId(row.uidl_text().into());
        self.0.get(&row.uidl).cloned().unwrap_or_else(native)
    }
}

/// A message's own unique id as text: the number it is born with, in 16 hexadecimal digits.
pub fn native_text(number: u64) -> [u8; 16] {
    let (high, low) = ((number >> 32) as u32, number as u32);
    let text = u128::from(hexadecimal(high)) << 64 | u128::from(hexadecimal(low));
    text.to_be_bytes()
}

/// Eight digits, all at once: UIDL writes thousands of them.
fn hexadecimal(number: u32) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Each half octet into an octet of its own.
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 where the digit is a letter.
    let letters = (digits + 6 * EACH) >> 4 & EACH;
    digits + u64::from(b'0') * EACH + u64::from(b'a' - b'0' - 10) * letters
}

/// The number a message is born with, as its own unique id writes it.
fn native(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}

impl Account {
    /// The unique ids its messages took over.
    ///
    /// # Errors
    /// The store's.
    pub async fn unique_ids(&self) -> Result<UniqueIds, MailError> {
        self.0.unique_ids().await
    }
}

impl AccountInner {
    pub(crate) async fn unique_ids(&self) -> Result<UniqueIds, MailError> {
        let mut found = HashMap::new();
        each(
            self.mail.meta(),
            self.id,
            keys::unique_ids(),
            |(key, text)| {
                if let (Some(number), Some(id)) = (keys::id_of(key), UniqueId::new(text)) {
                    found.insert(number, id);
                }
                Ok(())
            },
        )
        .await?;
        Ok(UniqueIds(found))
    }
}

impl Selected {
    /// The unique ids of the messages in this mailbox, and of all others in the account.
    ///
    /// # Errors
    /// The store's.
    pub async fn unique_ids(&self) -> Result<UniqueIds, MailError> {
        self.account().unique_ids().await
    }

    /// Gives messages of this mailbox the unique ids they had elsewhere. Can be done again after an
    /// interruption.
    ///
    /// # Errors
    /// `Exists` when two messages of the mailbox would have the same one; nothing is changed then.
    pub async fn adopt_unique_ids(&self, adopted: &[(Uid, UniqueId)]) -> Result<(), MailError> {
        let account = self.account();
        // No message comes or goes meanwhile.
        let writer = account.writer.lock().await;
        let view = self.view();
        let mut ids = self.unique_ids().await?;
        let mut rows = Vec::with_capacity(adopted.len());
        for (uid, id) in adopted {
            if let Some(row) = view.find(*uid) {
                ids.0.insert(row.uidl, id.clone());
                rows.push((row.uidl, id));
            }
        }
        let mut seen = HashSet::with_capacity(view.len());
        for row in view.rows() {
            let id = ids.of(&row);
            if !seen.insert(id.clone()) {
                return Err(MailError::new(
                    MailErrorKind::Exists,
                    format!(
                        "two messages would have the unique id {}",
                        String::from_utf8_lossy(id.as_bytes())
                    ),
                ));
            }
        }
        for rows in rows.chunks(BATCH) {
            let mut batch = Batch::new();
            for (number, id) in rows {
                batch.put(keys::unique_id(*number), id.as_bytes().to_vec());
            }
            let meta = account.mail.meta();
            meta.commit(account.id, batch).await?.durable().await?;
        }
        drop(writer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messages_own_unique_id_is_its_number() {
        let all_digits = [
            0x0123_4567_89ab_cdef,
            0xfedc_ba98_7654_3210,
            0x9a9a_a9a9_0f0f_f0f0,
        ];
        let edges = [0, 1, 9, 10, 15, 16, u64::from(u32::MAX), 1 << 32, u64::MAX];
        for number in all_digits.into_iter().chain(edges) {
            let text = native_text(number);
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(text, format!("{number:016x}"));
            assert_eq!(native(text), Some(number));
        }
    }

    #[test]
    fn unique_ids_are_1_to_70_visible_characters() {
        for bad in ["", "a b", "a\t", "ü", "\u{7f}", &"x".repeat(71)] {
            assert_eq!(UniqueId::new(bad.as_bytes()), None, "{bad:?}");
        }
        for good in ["!", "~", "UID1-1234", &"x".repeat(70)] {
            assert!(UniqueId::new(good.as_bytes()).is_some(), "{good:?}");
        }
    }
}
