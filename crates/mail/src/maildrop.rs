//! A view as POP3 shows it: without the messages that DELE has hidden (`keep`, `keep-days`).

use crate::{Row, View};

/// What POP3's lists say of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// As [`Row::pop3_size`].
    pub octets: u64,
    /// As [`Row::uidl`].
    pub uidl: u64,
}

impl View {
    /// How many messages POP3 shows.
    pub fn pop3_len(&self) -> usize {
        self.sums().shown as usize
    }

    /// Sum of [`Row::pop3_size`] over these.
    pub fn pop3_octets(&self) -> u64 {
        self.sums().octets
    }

    /// The message at position `index` (0-based) among these.
    pub fn pop3_get(&self, index: usize) -> Option<Row> {
        let before = &self.sums().shown_before;
        let next = before.partition_point(|&before| before as usize <= index);
        // POP3 shows all.
        let Some(chunk) = next.checked_sub(1) else {
            return self.get(index);
        };
        let (start, chunk) = (*before.get(chunk)? as usize, self.chunks.get(chunk)?);
        Some(chunk.row(chunk.shown().nth(index - start)?))
    }

    /// What is to be listed of these, in order.
    pub fn pop3_listing(&self) -> impl Iterator<Item = Listed> + '_ {
        self.chunks.iter().flat_map(|chunk| {
            chunk.shown().map(|i| Listed {
                octets: chunk.pop3_size(i),
                uidl: chunk.uidl(i),
            })
        })
    }
}
