//! Loading what a batch of messages needs: email records together, bodies in large reads.

use super::plan::{Message, Needs, Plan};
use crate::refusal::Refusal;
use crate::view::{MsgSeq, Rows};
use bytes::Bytes;
use mail::{Account, Email, MailError, MailErrorKind, Row, View};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Messages worked on at once when only rows are needed.
const ROWS: usize = 1024;
/// The same when email records are needed.
const EMAILS: usize = 256;
/// Octets of bodies read at once; a larger message comes alone.
const BODIES: u64 = 2 << 20;
/// Octets of the first bodies of a command: the client gets something to read soon.
const FIRST_BODIES: u64 = 256 << 10;

/// Bytes of a message's blob.
#[derive(Debug)]
pub enum Content {
    /// All of them.
    Whole(Bytes),
    /// What each item wanted, by its place; absent where nothing was wanted.
    Ranges(Vec<(usize, Bytes)>),
}

impl Content {
    /// What an item wanted: `range`, by its place.
    pub fn bytes(&self, at: usize, range: Range<u32>) -> Bytes {
        match self {
            Self::Whole(all) => {
                let end = (range.end as usize).min(all.len());
                all.slice((range.start as usize).min(end)..end)
            }
            Self::Ranges(ranges) => ranges
                .iter()
                .find(|(place, _)| *place == at)
                .map_or_else(Bytes::new, |(_, bytes)| bytes.clone()),
        }
    }
}

/// A message with everything the items need.
pub(crate) struct Loaded {
    pub(crate) seq: MsgSeq,
    row: Row,
    recent: bool,
    view: Arc<View>,
    email: Option<Email>,
    content: Option<Content>,
    damaged: bool,
}

impl Loaded {
    /// Whether something that is needed cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    pub(crate) fn message(&self) -> Message<'_> {
        Message {
            row: self.row,
            recent: self.recent,
            view: &self.view,
            email: self.email.as_ref(),
            content: self.content.as_ref(),
        }
    }
}

/// Hands out the messages of a FETCH in batches.
pub(crate) struct Loader<'a> {
    plan: &'a Plan,
    account: &'a Account,
    rows: Rows,
    /// Rows taken from `rows` and not yet loaded.
    waiting: VecDeque<(MsgSeq, Row)>,
    /// Messages whose ranges were too much for the batch before.
    ready: VecDeque<Loaded>,
    budget: u64,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(plan: &'a Plan, account: &'a Account, rows: Rows) -> Self {
        Self {
            plan,
            account,
            rows,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            budget: FIRST_BODIES,
        }
    }

    /// The next messages; empty at the end.
    ///
    /// # Errors
    /// When the store cannot be read at all. A message that is damaged is marked instead.
    pub(crate) async fn next(&mut self) -> Result<Vec<Loaded>, Refusal> {
        let needs = self.plan.needs();
        if !self.ready.is_empty() {
            return self.load_ranges(Vec::new()).await;
        }
        let mut batch = self.take(needs);
        if batch.is_empty() || !needs.contains(Needs::EMAIL) {
            return Ok(batch);
        }
        let ids: Vec<_> = batch.iter().map(|loaded| loaded.row.email).collect();
        let emails = self.account.emails(&ids).await?;
        for (loaded, email) in batch.iter_mut().zip(emails) {
            loaded.damaged = email.is_none();
            loaded.email = email;
        }
        if needs.contains(Needs::WHOLE) {
            self.load_whole(&mut batch).await?;
        } else if needs.contains(Needs::RANGE) {
            return self.load_ranges(batch).await;
        }
        Ok(batch)
    }

    fn take(&mut self, needs: Needs) -> Vec<Loaded> {
        let (max, budget) = if needs.contains(Needs::WHOLE) {
            (EMAILS, std::mem::replace(&mut self.budget, BODIES))
        } else if needs.contains(Needs::EMAIL) {
            (EMAILS, u64::MAX)
        } else {
            (ROWS, u64::MAX)
        };
        if self.waiting.is_empty() {
            let mut rows = Vec::new();
            self.rows.next_batch(max, &mut rows);
            self.waiting.extend(rows);
        }
        let view = self.rows.view();
        let (mut batch, mut octets) = (Vec::with_capacity(self.waiting.len()), 0u64);
        while let Some((seq, row)) = self.waiting.pop_front() {
            octets = octets.saturating_add(u64::from(row.size));
            if octets > budget && !batch.is_empty() {
                self.waiting.push_front((seq, row));
                break;
            }
            batch.push(Loaded {
                seq,
                row,
                recent: self.rows.is_recent(row.uid),
                view: Arc::clone(view),
                email: None,
                content: None,
                damaged: false,
            });
        }
        batch
    }

    async fn load_whole(&self, batch: &mut [Loaded]) -> Result<(), Refusal> {
        let mail = self.account.mail();
        if let [loaded] = batch {
            // One message is read at once, without the detour that pays for many.
            if let Some(email) = &loaded.email {
                let content = mail.content_range(email, 0..email.blob.size).await;
                loaded.set(content.map(Content::Whole))?;
            }
            return Ok(());
        }
        let emails: Vec<&Email> = batch.iter().filter_map(|l| l.email.as_ref()).collect();
        let mut contents = mail.contents(&emails).await.into_iter();
        for loaded in batch.iter_mut().filter(|loaded| loaded.email.is_some()) {
            if let Some(content) = contents.next() {
                loaded.set(content.map(Content::Whole))?;
            }
        }
        Ok(())
    }

    /// Reads ranges of these messages, which stand behind those that are ready, as far as memory
    /// allows.
    async fn load_ranges(&mut self, batch: Vec<Loaded>) -> Result<Vec<Loaded>, Refusal> {
        self.ready.extend(batch);
        let (mut loaded, mut octets) = (Vec::with_capacity(self.ready.len()), 0u64);
        while let Some(mut next) = self.ready.pop_front() {
            if let Some(email) = &next.email {
                let wanted = self.plan.items().iter().map(|item| item.wants(email));
                let wanted: u64 = wanted.map(|range| range.len() as u64).sum();
                octets = octets.saturating_add(wanted);
                if octets > BODIES && !loaded.is_empty() {
                    self.ready.push_front(next);
                    break;
                }
                let content = self.ranges(email).await;
                next.set(content.map(Content::Ranges))?;
            }
            loaded.push(next);
        }
        Ok(loaded)
    }

    async fn ranges(&self, email: &Email) -> Result<Vec<(usize, Bytes)>, MailError> {
        let mut ranges = Vec::new();
        for (at, item) in self.plan.items().iter().enumerate() {
            let wanted = item.wants(email);
            if !wanted.is_empty() {
                ranges.push((at, self.account.mail().content_range(email, wanted).await?));
            }
        }
        Ok(ranges)
    }
}

impl Loaded {
    /// Takes what was read; damage concerns this message only, any other trouble the whole command.
    fn set(&mut self, content: Result<Content, MailError>) -> Result<(), Refusal> {
        match content {
            Ok(content) => self.content = Some(content),
            Err(error) if error.kind == MailErrorKind::Corrupt => {
                tracing::error!(uid = %self.row.uid, %error, "damaged message");
                self.damaged = true;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
