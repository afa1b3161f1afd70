//! Loading what a batch of messages needs: email records together, bodies in large reads.

use super::plan::{Item, Message, Needs, Plan};
use crate::refusal::Refusal;
use crate::view::{MAX_PENDING, MsgSeq, Rows};
use bytes::Bytes;
use mail::{Account, Email, Mail, MailError, MailErrorKind, Row, View};
use net::{Room, Share, Wire};
use std::collections::VecDeque;
use std::ops::Range;

/// Messages worked on at once.
const EMAILS: usize = 256;
/// Octets of bodies read at once; a larger message comes alone.
const BODIES: u64 = 2 << 20;
/// Octets of the first bodies of a command: the client gets something to read soon.
const FIRST_BODIES: u64 = 256 << 10;
/// Octets of bodies read at once while others hold all the memory there may be.
const SCARCE: u64 = 64 << 10;
/// The smallest pieces a long message is sent in.
const PIECE: u64 = 256 << 10;

/// Bytes of a message's blob.
#[derive(Debug)]
pub enum Content {
    /// All of them.
    Whole(Bytes),
    /// What each item wanted, by its place; absent where nothing was wanted.
    Ranges(Vec<(usize, Bytes)>),
    /// The same of a message larger than what is read at once: what items can send in pieces of so
    /// many octets is not read yet.
    Long(Vec<(usize, Bytes)>, u32),
}

impl Content {
    /// What an item wanted: `range`, by its place.
    pub fn bytes(&self, at: usize, range: Range<u32>) -> Bytes {
        match self {
            Self::Whole(all) => {
                let end = (range.end as usize).min(all.len());
                all.slice((range.start as usize).min(end)..end)
            }
            Self::Ranges(ranges) | Self::Long(ranges, _) => ranges
                .iter()
                .find(|(place, _)| *place == at)
                .map_or_else(Bytes::new, |(_, bytes)| bytes.clone()),
        }
    }
}

/// A message with everything the items need.
pub(crate) struct Loaded {
    pub(crate) seq: MsgSeq,
    pub(crate) row: Row,
    recent: bool,
    email: Option<Email>,
    content: Option<Content>,
    damaged: bool,
}

impl Loaded {
    /// Whether something that is needed cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// `view`: what the bits of its keywords mean.
    pub(crate) fn message<'a>(&'a self, view: &'a View) -> Message<'a> {
        Message {
            row: self.row,
            recent: self.recent,
            view,
            email: self.email.as_ref(),
            content: self.content.as_ref(),
        }
    }
}

/// Messages that were loaded together.
pub(crate) struct Batch {
    pub(crate) loaded: Vec<Loaded>,
    /// What their bytes take, until they have been sent.
    _share: Share,
}

/// Hands out the messages of a FETCH in batches.
pub(crate) struct Loader<'a> {
    plan: &'a Plan,
    account: &'a Account,
    room: &'a Room,
    rows: Rows,
    /// Rows taken from `rows` and not yet loaded.
    waiting: VecDeque<(MsgSeq, Row)>,
    /// Messages whose ranges were too much for the batch before.
    ready: VecDeque<Loaded>,
    /// Octets of the next bodies at most.
    first: u64,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(plan: &'a Plan, account: &'a Account, room: &'a Room, rows: Rows) -> Self {
        Self {
            plan,
            account,
            room,
            rows,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            first: FIRST_BODIES,
        }
    }

    /// The next messages; empty at the end.
    ///
    /// # Errors
    /// When the store cannot be read at all. A message that is damaged is marked instead.
    pub(crate) async fn next(&mut self) -> Result<Batch, Refusal> {
        let needs = self.plan.needs();
        let mut share = self.room.share();
        let reads = needs.contains(Needs::WHOLE) || needs.contains(Needs::RANGE);
        // So little is always there.
        let granted = [BODIES, SCARCE];
        let mut granted = granted.into_iter().filter(|_| reads);
        let budget = granted.find(|octets| share.grow_to(*octets as usize));
        let budget = budget.unwrap_or(SCARCE);
        let loaded = match self.ready.is_empty() {
            true => self.load(needs, budget, &mut share).await?,
            false => self.load_ranges(Vec::new(), budget, &mut share).await?,
        };
        if reads {
            share.shrink_to(loaded.iter().map(Loaded::octets).sum());
        }
        Ok(Batch {
            loaded,
            _share: share,
        })
    }

    async fn load(
        &mut self,
        needs: Needs,
        budget: u64,
        share: &mut Share,
    ) -> Result<Vec<Loaded>, Refusal> {
        let mut batch = self.take(needs, budget);
        if batch.is_empty() {
            return Ok(batch);
        }
        let ids: Vec<_> = batch.iter().map(|loaded| loaded.row.email).collect();
        let emails = self.account.emails(&ids).await?;
        for (loaded, email) in batch.iter_mut().zip(emails) {
            loaded.damaged = email.is_none();
            loaded.email = email;
        }
        if needs.contains(Needs::WHOLE) {
            self.load_whole(&mut batch, budget, share).await?;
        } else if needs.contains(Needs::RANGE) && batch.iter().any(|loaded| self.reads(loaded)) {
            return self.load_ranges(batch, budget, share).await;
        }
        Ok(batch)
    }

    fn take(&mut self, needs: Needs, budget: u64) -> Vec<Loaded> {
        let budget = match needs.contains(Needs::WHOLE) {
            true => budget.min(std::mem::replace(&mut self.first, BODIES)),
            false => u64::MAX,
        };
        if self.waiting.is_empty() {
            let mut rows = Vec::new();
            self.rows.next_batch(EMAILS, &mut rows);
            self.waiting = rows.into();
        }
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
                email: None,
                content: None,
                damaged: false,
            });
        }
        batch
    }

    async fn load_whole(
        &self,
        batch: &mut [Loaded],
        budget: u64,
        share: &mut Share,
    ) -> Result<(), Refusal> {
        let mail = self.account.mail();
        if let [loaded] = batch {
            // One message is read at once, without the detour that pays for many.
            if let Some(email) = &loaded.email {
                if u64::from(email.blob.size) > budget {
                    // What has been sent cannot be taken back: it is looked through before.
                    let content = match mail.verify_content(email).await {
                        Ok(()) => self.long(email, budget, share).await?,
                        Err(error) => Err(error),
                    };
                    return loaded.set(content);
                }
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

    /// Whether an item needs a range of the message.
    fn reads(&self, loaded: &Loaded) -> bool {
        let Some(email) = &loaded.email else {
            return false;
        };
        let items = self.plan.items().iter();
        items
            .map(|item| item.wants(email))
            .any(|range| !range.is_empty())
    }

    /// Reads ranges of these messages, which stand behind those that are ready, as far as memory
    /// allows.
    async fn load_ranges(
        &mut self,
        batch: Vec<Loaded>,
        budget: u64,
        share: &mut Share,
    ) -> Result<Vec<Loaded>, Refusal> {
        self.ready.extend(batch);
        let (mut loaded, mut octets) = (Vec::with_capacity(self.ready.len()), 0u64);
        while let Some(mut next) = self.ready.pop_front() {
            if let Some(email) = &next.email {
                let wanted = self.plan.items().iter().map(|item| item.wants(email));
                let wanted: u64 = wanted.map(|range| range.len() as u64).sum();
                octets = octets.saturating_add(wanted);
                if octets > budget && !loaded.is_empty() {
                    self.ready.push_front(next);
                    break;
                }
                let content = match octets > budget {
                    true => self.long(email, budget, share).await?,
                    false => self.ranges(email, |_| true).await.map(Content::Ranges),
                };
                next.set(content)?;
            }
            loaded.push(next);
        }
        Ok(loaded)
    }

    /// Of a message that is more than may be read at once: what cannot be sent in pieces.
    ///
    /// # Errors
    /// There is no room for that.
    async fn long(
        &self,
        email: &Email,
        budget: u64,
        share: &mut Share,
    ) -> Result<Result<Content, MailError>, Refusal> {
        let at_once = |item: &dyn Item| item.in_pieces(email).is_none();
        let items = self.plan.items().iter();
        let octets: usize = items
            .filter(|item| at_once(&***item))
            .map(|item| item.wants(email).len())
            .sum();
        if !share.grow_to(octets) {
            return Err(Refusal::NO_ROOM);
        }
        let piece = u32::try_from(budget.max(PIECE)).unwrap_or(u32::MAX);
        let ranges = self.ranges(email, at_once).await;
        Ok(ranges.map(|ranges| Content::Long(ranges, piece)))
    }

    async fn ranges(
        &self,
        email: &Email,
        which: impl Fn(&dyn Item) -> bool,
    ) -> Result<Vec<(usize, Bytes)>, MailError> {
        let mut ranges = Vec::new();
        for (at, item) in self.plan.items().iter().enumerate() {
            let wanted = item.wants(email);
            if !wanted.is_empty() && which(&**item) {
                ranges.push((at, self.account.mail().content_range(email, wanted).await?));
            }
        }
        Ok(ranges)
    }
}

impl Loaded {
    /// What its bytes take in memory.
    fn octets(&self) -> usize {
        let sum = |ranges: &[(usize, Bytes)]| ranges.iter().map(|(_, bytes)| bytes.len()).sum();
        match &self.content {
            None => 0,
            Some(Content::Whole(all)) => all.len(),
            Some(Content::Ranges(ranges)) => sum(ranges),
            Some(Content::Long(ranges, piece)) => *piece as usize + sum(ranges),
        }
    }

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

/// Sends a range of a long message's bytes, never holding more than a piece of it.
///
/// # Errors
/// The connection; it ends too when the rest cannot be read, for the client waits for it.
pub(crate) async fn send_pieces(
    mail: &Mail,
    email: &Email,
    range: Range<u32>,
    piece: u32,
    wire: &mut Wire,
) -> Result<(), Refusal> {
    let mut from = range.start;
    while from < range.end {
        wire.flush_if_over(MAX_PENDING).await?;
        let to = from.saturating_add(piece).min(range.end);
        match mail.content_range(email, from..to).await {
            Ok(bytes) if bytes.len() as u32 == to - from => wire.write_bytes(bytes),
            read => {
                tracing::error!(?read, "message cannot be read to its end");
                return Err(Refusal::Bye("the message cannot be read to its end"));
            }
        }
        from = to;
    }
    Ok(())
}
