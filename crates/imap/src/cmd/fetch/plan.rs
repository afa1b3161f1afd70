//! What one FETCH needs of each message, and the loop that writes it: the next messages are read
//! from the store while the ones before are being sent.

use super::content::{Content, Loader, send_pieces};
use crate::ext::inprogress::Progress;
use crate::grammar::Emit;
use crate::refusal::{Code, Refusal};
use crate::session::{Enabled, Session};
use crate::view::{MAX_PENDING, Rows, begin_fetch};
use bytes::BytesMut;
use mail::{Email, Mail, Row, View};
use net::Wire;
use std::sync::Arc;

/// Messages worked on at once when only rows are needed.
const ROWS: usize = 1024;

/// What items need beside the row, as a bit set; the loop loads it once for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs(u8);

impl Needs {
    /// The row alone.
    pub const ROW: Self = Self(0);
    /// The modification sequence is asked for.
    pub const MODSEQ: Self = Self(1);
    /// The email record with its digest.
    pub const EMAIL: Self = Self(2);
    /// All bytes of the message.
    pub const WHOLE: Self = Self(4);
    /// A part of the bytes, by [`Item::wants`].
    pub const RANGE: Self = Self(8);
    /// Fetching it makes the message `\Seen`.
    pub const SEEN: Self = Self(16);
    /// Some messages cannot answer it, see [`Item::answers`].
    pub const DECODED: Self = Self(32);
    /// It sends text of the message beyond the header: the history has it as retrieved.
    pub const TEXT: Self = Self(64);

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
    fn name(&self) -> &str;

    /// What it needs.
    fn needs(&self) -> Needs {
        Needs::ROW
    }

    /// With [`Needs::RANGE`]: which bytes of the email's blob it needs; empty for none.
    fn wants(&self, _email: &Email) -> std::ops::Range<u32> {
        0..0
    }

    /// Which bytes of the email's blob follow what [`Item::send`] has written, if it leaves them
    /// out where the content is [`Content::Long`].
    fn in_pieces(&self, _email: &Email) -> Option<std::ops::Range<u32>> {
        None
    }

    /// With [`Needs::DECODED`]: whether the message can answer it.
    fn answers(&self, _message: &Message<'_>) -> bool {
        true
    }

    /// Writes name and value.
    fn write(&self, message: &Message<'_>, out: &mut BytesMut);

    /// Writes name and value where large values need not be copied. `at` is the item's place among
    /// the items of its FETCH.
    fn send(&self, message: &Message<'_>, _at: usize, wire: &mut Wire) {
        self.write(message, wire.buffer());
    }
}

/// A message with what was loaded for it.
pub struct Message<'a> {
    /// What the mailbox knows of it.
    pub row: Row,
    /// Whether it is `\Recent` in this session.
    pub recent: bool,
    /// What the bits of its keywords mean.
    pub view: &'a View,
    /// Its email record, if an item needs it.
    pub email: Option<&'a Email>,
    /// Its bytes, as far as items need them.
    pub content: Option<&'a Content>,
}

/// The items of one FETCH, in the order they are answered.
pub(crate) struct Plan {
    items: Vec<Box<dyn Item>>,
    needs: Needs,
}

impl Plan {
    /// `uid`: the uid is answered whether or not it was asked for (UID FETCH). `modseq`: MODSEQ is
    /// answered whether or not it was asked for (CHANGEDSINCE).
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
        let mut this = Self {
            items,
            needs: Needs::ROW,
        };
        this.needs = this
            .items
            .iter()
            .fold(Needs::ROW, |needs, item| needs.and(item.needs()));
        this
    }

    /// Answers FLAGS too: they have just changed.
    pub(crate) fn add_flags(&mut self) {
        if !self.is_sync() {
            self.items.push(super::row::flags());
        }
    }

    /// What all items together need.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// The items.
    pub(crate) fn items(&self) -> &[Box<dyn Item>] {
        &self.items
    }

    /// Whether this FETCH brings a client up to date, as opposed to giving it mail to read.
    pub(crate) fn is_sync(&self) -> bool {
        self.items.iter().any(|item| item.name() == "FLAGS")
    }

    /// Answers every message of `rows`.
    ///
    /// # Errors
    /// The connection, the store, or, after everything readable was answered, `CONTACTADMIN` when
    /// some messages are damaged.
    pub(crate) async fn run(&self, rows: Rows, cx: &mut Session) -> Result<(), Refusal> {
        if !self.needs.contains(Needs::EMAIL) {
            return self.run_rows(rows, cx).await;
        }
        let account = cx.state.selection()?.owner().clone();
        let Enabled { uid_only, rev2, .. } = cx.enabled;
        let retrieved = cx.deps.counters.retrieved.clone();
        let mut progress = Progress::new(cx, Some(rows.len()));
        let done = progress.counter();
        let sending = cx.deps.memory.sending.clone();
        let view = Arc::clone(rows.view());
        let mut loader = Loader::new(self, &account, &sending, rows);
        let (mut damaged, mut encoded) = (false, false);
        let mut batch = loader.next().await?;
        while !batch.loaded.is_empty() {
            let wire = &mut cx.wire;
            let current = async {
                for loaded in &batch.loaded {
                    if loaded.is_damaged() {
                        damaged = true;
                        continue;
                    }
                    let mut message = loaded.message(&view);
                    // RFC 9051 E 12: no \Recent.
                    message.recent &= !rev2;
                    let left_out = self.left_out(&message);
                    encoded |= !left_out.is_empty();
                    if left_out.len() == self.items.len() {
                        continue;
                    }
                    begin_fetch(loaded.seq, message.row.uid, uid_only, wire.buffer());
                    self.send(&message, &left_out, account.mail(), wire).await?;
                    wire.flush_if_over(MAX_PENDING).await?;
                }
                Ok::<(), Refusal>(())
            };
            // The store works while the client reads: it is asked first, for a client that keeps up
            // never makes us wait.
            let (next, sent) = tokio::join!(loader.next(), current);
            sent?;
            done.add(batch.loaded.len());
            progress.tick(&mut cx.wire, &cx.tag);
            if self.needs.contains(Needs::TEXT) {
                let sent = batch.loaded.iter().filter(|loaded| !loaded.is_damaged());
                let mailbox = cx.state.selection()?.mailbox();
                mailbox.note_retrieved(sent.map(|loaded| loaded.row.uid));
            }
            if self.needs.contains(Needs::WHOLE) {
                retrieved.inc_by(batch.loaded.len() as u64);
            }
            batch = next?;
        }
        if damaged {
            // RFC 5530 3: CONTACTADMIN. Everything that could be read has been answered.
            return Err(Refusal::no(
                Code::Word("CONTACTADMIN"),
                "some messages cannot be read; the administrator must look after them",
            ));
        }
        if encoded {
            // RFC 3516 4.3: a MUST. What could be decoded has been answered.
            return Err(Refusal::no(
                Code::Word("UNKNOWN-CTE"),
                "some parts are encoded in a way this server does not know",
            ));
        }
        Ok(())
    }

    /// The same where rows are all that is needed.
    async fn run_rows(&self, mut rows: Rows, cx: &mut Session) -> Result<(), Refusal> {
        let Enabled { uid_only, rev2, .. } = cx.enabled;
        let mut progress = Progress::new(cx, Some(rows.len()));
        let done = progress.counter();
        let view = Arc::clone(rows.view());
        let mut batch = Vec::new();
        while rows.next_batch(ROWS, &mut batch) {
            for &(seq, row) in &batch {
                let message = Message {
                    row,
                    // RFC 9051 E 12: no \Recent.
                    recent: !rev2 && rows.is_recent(row.uid),
                    view: &view,
                    email: None,
                    content: None,
                };
                begin_fetch(seq, row.uid, uid_only, cx.wire.buffer());
                for (at, item) in self.items.iter().enumerate() {
                    if at > 0 {
                        cx.wire.buffer().raw(b" ");
                    }
                    item.send(&message, at, &mut cx.wire);
                }
                cx.wire.buffer().raw(b")\r\n");
                cx.wire.flush_if_over(MAX_PENDING).await?;
            }
            done.add(batch.len());
            progress.tick(&mut cx.wire, &cx.tag);
        }
        Ok(())
    }

    /// The places of the items that this message cannot answer.
    fn left_out(&self, message: &Message<'_>) -> Vec<usize> {
        if !self.needs.contains(Needs::DECODED) {
            return Vec::new();
        }
        let items = self.items.iter().enumerate();
        let left_out = items.filter(|(_, item)| !item.answers(message));
        left_out.map(|(at, _)| at).collect()
    }

    async fn send(
        &self,
        message: &Message<'_>,
        left_out: &[usize],
        mail: &Mail,
        wire: &mut Wire,
    ) -> Result<(), Refusal> {
        let mut first = true;
        for (at, item) in self.items.iter().enumerate() {
            if left_out.contains(&at) {
                continue;
            }
            if !std::mem::take(&mut first) {
                wire.buffer().raw(b" ");
            }
            item.send(message, at, wire);
            if let (Some(Content::Long(_, piece)), Some(email)) = (message.content, message.email)
                && let Some(range) = item.in_pieces(email)
            {
                send_pieces(mail, email, range, *piece, wire).await?;
            }
        }
        wire.buffer().raw(b")\r\n");
        Ok(())
    }
}
