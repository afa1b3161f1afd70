//! What one FETCH needs of each message, and the loop that writes it.

use crate::grammar::Emit;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::view::{MAX_PENDING, MsgSeq, Rows};
use bytes::BytesMut;
use mail::{Row, View};

/// Messages worked on at once.
const BATCH: usize = 256;

/// What items need beside the row, as a bit set; the loop loads it once for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs(u8);

impl Needs {
    /// The row alone.
    pub const ROW: Self = Self(0);
    /// The modification sequence is asked for.
    pub const MODSEQ: Self = Self(1);

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One data item of a FETCH.
pub trait Item: Send + Sync {
    /// Its name as answered: the same name is answered once.
    fn name(&self) -> &'static str;

    /// What it needs.
    fn needs(&self) -> Needs {
        Needs::ROW
    }

    /// Writes name and value.
    fn write(&self, message: &Message<'_>, out: &mut BytesMut);
}

/// A message with what was loaded for it.
pub struct Message<'a> {
    /// What the mailbox knows of it.
    pub row: Row,
    /// Whether it is `\Recent` in this session.
    pub recent: bool,
    /// What the bits of its keywords mean.
    pub view: &'a View,
}

/// The items of one FETCH, in the order they are answered.
pub(crate) struct Plan {
    items: Vec<Box<dyn Item>>,
    needs: Needs,
}

impl Plan {
    /// `uid`: of a UID FETCH. `modseq`: MODSEQ is answered whether or not it was asked for (CHANGEDSINCE).
    pub(crate) fn new(asked: Vec<Box<dyn Item>>, uid: bool, modseq: bool) -> Self {
        let mut items: Vec<Box<dyn Item>> = Vec::with_capacity(asked.len() + 2);
        // RFC 9051 6.4.9: UID FETCH answers the uid, asked for or not.
        let first = uid.then(super::row::uid);
        let last = modseq.then(super::row::modseq);
        for item in first.into_iter().chain(asked).chain(last) {
            if !items.iter().any(|known| known.name() == item.name()) {
                items.push(item);
            }
        }
        let needs = items
            .iter()
            .fold(Needs::ROW, |needs, item| needs.and(item.needs()));
        Self { items, needs }
    }

    /// What all items together need.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether this FETCH brings a client up to date, as opposed to giving it mail to read.
    pub(crate) fn is_sync(&self) -> bool {
        self.items.iter().any(|item| item.name() == "FLAGS")
    }

    /// Answers every message of `rows`.
    ///
    /// # Errors
    /// The connection.
    pub(crate) async fn run(&self, mut rows: Rows, cx: &mut Session) -> Result<(), Refusal> {
        let mut batch = Vec::with_capacity(BATCH);
        while rows.next_batch(BATCH, &mut batch) {
            for &(seq, row) in &batch {
                let message = Message {
                    row,
                    recent: rows.is_recent(row.uid),
                    view: rows.view(),
                };
                self.write(seq, &message, cx.wire.buffer());
            }
            cx.wire.flush_if_over(MAX_PENDING).await?;
        }
        Ok(())
    }

    fn write(&self, seq: MsgSeq, message: &Message<'_>, out: &mut BytesMut) {
        out.raw(b"* ").num(seq.get()).raw(b" FETCH (");
        for (i, item) in self.items.iter().enumerate() {
            if i > 0 {
                out.raw(b" ");
            }
            item.write(message, out);
        }
        out.raw(b")\r\n");
    }
}
