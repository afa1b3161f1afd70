//! The loop of SEARCH: cheap keys first, and what they leave undecided is loaded and looked at in
//! batches; the next batch is read while the one before is being scanned.

use super::key::{Candidate, Content, Cost};
use super::program::Query;
use crate::ext::inprogress::Counter;
use crate::ext::messagelimit::Cut;
use crate::grammar::Emit;
use crate::refusal::{Code, Refusal};
use crate::session::Enabled;
use crate::view::{MsgSeq, Rows};
use bytes::BytesMut;
use mail::{Account, Email, Gist, MailError, MailErrorKind, Row, View};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use types::{EmailId, ModSeq, Uid};

/// Rows tested at once before others get a turn.
const ROWS: usize = 4096;
/// Email records read at once, in two halves side by side.
const EMAILS: usize = 1024;
/// Octets of messages read at once.
const OCTETS: u64 = 2 << 20;
/// Octets that are worth a read of their own to be left unread.
const WORTHWHILE: u32 = 16 << 10;
/// From so many octets on, scanning is left to another thread.
const OFFLOAD: u64 = 64 << 10;

/// A message that matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) seq: MsgSeq,
    pub(crate) uid: Uid,
    pub(crate) modseq: ModSeq,
}

/// What a search found.
pub(crate) struct Results {
    /// In the order of the mailbox.
    pub(crate) messages: Vec<Found>,
    /// How well each matches, 1 to 100 (RFC 6203 4); nothing when that is not wanted.
    pub(crate) scores: Vec<u8>,
    /// Messages that could not be read though it mattered.
    pub(crate) unreadable: usize,
    /// The flags and keywords that were looked at.
    pub(crate) view: Arc<View>,
    /// Where the search has stopped: older messages were not looked at.
    pub(crate) cut: Option<Cut>,
}

impl Results {
    /// For what makes no sense of a part of the mailbox.
    ///
    /// # Errors
    /// When there were too many messages to look at all (RFC 9738 3.3).
    pub(crate) fn be_whole(&self) -> Result<(), Refusal> {
        self.cut.map_or(Ok(()), |cut| Err(cut.refusal()))
    }

    /// Takes in a message that matches; `true` for one that is not decided.
    fn take(&mut self, seq: MsgSeq, row: &Row, verdict: Verdict) -> bool {
        match verdict {
            None => return true,
            Some(None) => {}
            Some(Some(is)) => {
                self.messages.push(Found::new(seq, row));
                if let Match::Scored(score) = is {
                    self.scores.push(score);
                }
            }
        }
        false
    }

    /// Messages decided without their bytes have overtaken others.
    fn sort(&mut self) {
        if self.scores.is_empty() {
            self.messages.sort_unstable_by_key(|found| found.seq);
            return;
        }
        let mut scored: Vec<_> = self.messages.drain(..).zip(self.scores.drain(..)).collect();
        scored.sort_unstable_by_key(|(found, _)| found.seq);
        (self.messages, self.scores) = scored.into_iter().unzip();
    }

    /// RFC 3501 7.1.2: an untagged NO warns, and the command may still succeed.
    pub(crate) fn warn(&self, enabled: Enabled, out: &mut BytesMut) {
        if self.unreadable > 0 {
            out.raw(b"* NO ");
            Code::Word("CONTACTADMIN").write(out);
            let text = "some messages cannot be read and were not searched";
            out.text(&enabled.say(text)).crlf();
        }
    }
}

/// A message not decided yet.
struct Undecided {
    seq: MsgSeq,
    row: Row,
    recent: bool,
    gist: Option<Arc<Gist>>,
    email: Email,
    content: Option<Content>,
}

/// A running search.
pub(crate) struct Scan {
    query: Arc<Query>,
    scoring: bool,
    cost: Cost,
    /// Whether gists are looked at first, and those that are missing made while they are wanted.
    by_gist: bool,
    account: Account,
    rows: Rows,
    is_last_row_read: bool,
    /// Messages whose bytes are needed.
    waiting: VecDeque<Undecided>,
    octets: u64,
    /// Messages decided.
    decided: Counter,
    results: Results,
}

impl Scan {
    /// Among `rows`, by a query that is bound.
    pub(crate) fn new(query: Arc<Query>, scoring: bool, account: Account, rows: Rows) -> Self {
        Self {
            scoring,
            cost: query.cost(),
            by_gist: query.any(&|key| key.reads_gists()),
            query,
            account,
            results: Results {
                messages: Vec::new(),
                scores: Vec::new(),
                unreadable: 0,
                view: Arc::clone(rows.view()),
                cut: None,
            },
            rows,
            is_last_row_read: false,
            waiting: VecDeque::new(),
            octets: 0,
            decided: Counter::default(),
        }
    }

    /// How many messages there are to look at.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Counts there the messages that are decided.
    pub(crate) fn count(&mut self, decided: Counter) {
        self.decided = decided;
    }

    /// Looks only at the newest, at most `limit` if there is one.
    pub(crate) fn keep_newest(&mut self, limit: Option<NonZeroU32>) {
        if let Some(limit) = limit {
            let last = self.rows.keep_newest(limit.get() as usize);
            self.results.cut = Cut::at(limit, last);
        }
    }

    /// Looks at all messages.
    ///
    /// # Errors
    /// When the store cannot be read; a damaged message only counts as such.
    pub(crate) async fn run(mut self) -> Result<Results, Refusal> {
        let mut batch = Vec::new();
        loop {
            let judged = batch.len();
            let make_gists = self.by_gist && self.account.wants_gists();
            let scanned = scan(Arc::clone(&self.query), self.scoring, make_gists, batch);
            let (scanned, next) = tokio::join!(scanned, self.next_batch());
            self.decided.add(judged);
            let scanned = scanned?;
            self.results.messages.extend(scanned.messages);
            self.results.scores.extend(scanned.scores);
            self.account.keep_gists(scanned.gists);
            batch = next?;
            if batch.is_empty() {
                self.results.sort();
                return Ok(self.results);
            }
        }
    }

    /// The next messages that only their bytes can decide, with these; empty at the end.
    async fn next_batch(&mut self) -> Result<Vec<Undecided>, Refusal> {
        while self.octets < OCTETS && self.waiting.len() < EMAILS && !self.is_last_row_read {
            self.test_rows().await?;
        }
        let mut batch = Vec::new();
        let mut octets = 0;
        while let Some(next) = self.waiting.front() {
            let size = self.size(&next.email);
            if octets + size > OCTETS && !batch.is_empty() {
                break;
            }
            octets += size;
            batch.extend(self.waiting.pop_front());
        }
        self.octets = self.octets.saturating_sub(octets);
        self.load(batch).await
    }

    /// Octets that will be read of a message.
    fn size(&self, email: &Email) -> u64 {
        u64::from(self.needed(email).unwrap_or(email.blob.size))
    }

    /// How many octets of a message from its start are enough; `None` for all.
    fn needed(&self, email: &Email) -> Option<u32> {
        let digest = email.digest()?;
        match self.cost {
            Cost::Header => Some(digest.header_len()),
            Cost::Body => Some(digest.searched_len())
                .filter(|len| email.blob.size.saturating_sub(*len) >= WORTHWHILE),
            Cost::Row | Cost::Digest => None,
        }
    }

    /// Decides the next messages as far as that goes without their bytes.
    async fn test_rows(&mut self) -> Result<(), Refusal> {
        let max = if self.cost == Cost::Row { ROWS } else { EMAILS };
        let mut rows = Vec::with_capacity(max);
        self.is_last_row_read = !self.rows.next_batch(max, &mut rows);
        let (tested, waiting) = (rows.len(), self.waiting.len());
        rows.retain(|&(seq, ref row)| {
            let verdict = self.judge_row(row, None);
            self.results.take(seq, row, verdict)
        });
        let rows = self.test_gists(rows);
        if rows.is_empty() {
            self.decided.add(tested);
            tokio::task::yield_now().await;
            return Ok(());
        }
        let ids: Vec<_> = rows.iter().map(|(_, row, _)| row.email).collect();
        let (first, second) = ids.split_at(ids.len() / 2);
        let (first, second) = tokio::join!(self.account.emails(first), self.account.emails(second));
        let emails = first?.into_iter().chain(second?);
        let make_gists = self.by_gist && self.account.wants_gists();
        let mut gists = Vec::new();
        for ((seq, row, gist), email) in rows.into_iter().zip(emails) {
            // Without a record the message was expunged long ago, and the client will be told so.
            let Some(email) = email else { continue };
            if make_gists && gist.is_none() {
                gists.extend(Gist::of(&email).map(|gist| (email.id, gist)));
            }
            let undecided = Undecided {
                seq,
                recent: self.rows.is_recent(row.uid),
                row,
                gist,
                email,
                content: None,
            };
            let verdict = undecided.judge(&self.query, self.scoring);
            if self.results.take(seq, &row, verdict) {
                self.octets += self.size(&undecided.email);
                self.waiting.push_back(undecided);
            }
        }
        self.account.keep_gists(gists);
        self.decided.add(tested + waiting - self.waiting.len());
        Ok(())
    }

    /// Decides messages by what earlier searches have kept of them; the others, with that.
    fn test_gists(&mut self, rows: Vec<(MsgSeq, Row)>) -> Vec<(MsgSeq, Row, Option<Arc<Gist>>)> {
        let gists = match self.by_gist {
            true => {
                let ids: Vec<_> = rows.iter().map(|(_, row)| row.email).collect();
                self.account.gists(&ids)
            }
            false => vec![None; rows.len()],
        };
        let mut undecided = Vec::new();
        for ((seq, row), gist) in rows.into_iter().zip(gists) {
            let is_open = gist.as_deref().is_none_or(|gist| {
                let verdict = self.judge_row(&row, Some(gist));
                self.results.take(seq, &row, verdict)
            });
            if is_open {
                undecided.push((seq, row, gist));
            }
        }
        undecided
    }

    fn judge_row(&self, row: &Row, gist: Option<&Gist>) -> Verdict {
        let candidate = Candidate {
            row,
            recent: self.rows.is_recent(row.uid),
            gist,
            email: None,
            content: None,
        };
        judge(&self.query, self.scoring, &candidate)
    }

    /// Reads the bytes of messages; those that cannot be read are left out and counted.
    async fn load(&mut self, batch: Vec<Undecided>) -> Result<Vec<Undecided>, Refusal> {
        let mail = self.account.mail();
        let whole: Vec<&Email> = batch
            .iter()
            .map(|undecided| &undecided.email)
            .filter(|email| self.needed(email).is_none())
            .collect();
        let mut whole = match whole.is_empty() {
            true => Vec::new(),
            false => mail.contents(&whole).await,
        }
        .into_iter();
        let mut contents = Vec::with_capacity(batch.len());
        for undecided in &batch {
            let content = match self.needed(&undecided.email) {
                Some(len) => mail.content_range(&undecided.email, 0..len).await,
                None => whole.next().unwrap_or_else(|| Err(unavailable())),
            };
            contents.push(content.map(|bytes| match self.cost {
                Cost::Header => Content::Header(bytes),
                _ => Content::Whole(bytes),
            }));
        }
        let mut loaded = Vec::with_capacity(batch.len());
        for (mut undecided, content) in batch.into_iter().zip(contents) {
            match content {
                Ok(content) => {
                    undecided.content = Some(content);
                    loaded.push(undecided);
                }
                Err(error) if is_damage(&error) => {
                    tracing::error!(uid = %undecided.row.uid, %error, "damaged message");
                    self.results.unreadable += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(loaded)
    }
}

fn unavailable() -> MailError {
    MailError::new(MailErrorKind::Unavailable, "searching the messages failed")
}

fn is_damage(error: &MailError) -> bool {
    error.kind == MailErrorKind::Corrupt
}

impl Found {
    fn new(seq: MsgSeq, row: &Row) -> Self {
        Self {
            seq,
            uid: row.uid,
            modseq: row.modseq,
        }
    }
}

impl Undecided {
    fn judge(&self, query: &Query, scoring: bool) -> Verdict {
        let candidate = Candidate {
            row: &self.row,
            recent: self.recent,
            gist: self.gist.as_deref(),
            email: Some(&self.email),
            content: self.content.as_ref(),
        };
        judge(query, scoring, &candidate)
    }

    /// The gist of the message, if it was not known with all that its bytes add to it.
    fn new_gist(&self) -> Option<(EmailId, Gist)> {
        let Some(Content::Whole(bytes)) = &self.content else {
            return None;
        };
        if self.gist.as_ref().is_some_and(|gist| gist.has_filter()) {
            return None;
        }
        Some((self.email.id, Gist::of_content(&self.email, bytes)?))
    }

    fn octets(&self) -> u64 {
        match &self.content {
            Some(Content::Header(bytes) | Content::Whole(bytes)) => bytes.len() as u64,
            None => 0,
        }
    }
}

/// Whether a message matches and, if that is wanted, how well; the outer `None` when more of it
/// must be loaded to know.
type Verdict = Option<Option<Match>>;

/// A message matches.
enum Match {
    Plain,
    Scored(u8),
}

fn judge(query: &Query, scoring: bool, m: &Candidate<'_>) -> Verdict {
    if !query.test(m)? {
        return Some(None);
    }
    if !scoring {
        return Some(Some(Match::Plain));
    }
    // Where nothing is a matter of degree, all is as it should be.
    Some(Some(Match::Scored(query.score(m)?.unwrap_or(100))))
}

/// What came of looking at the bytes of messages.
#[derive(Default)]
struct Scanned {
    messages: Vec<Found>,
    scores: Vec<u8>,
    gists: Vec<(EmailId, Gist)>,
}

/// Which of the messages match, and how well; the gists of those that have none, if wanted.
async fn scan(
    query: Arc<Query>,
    scoring: bool,
    make_gists: bool,
    batch: Vec<Undecided>,
) -> Result<Scanned, Refusal> {
    let work = move |batch: Vec<Undecided>| {
        let mut scanned = Scanned::default();
        for m in &batch {
            if make_gists {
                scanned.gists.extend(m.new_gist());
            }
            let Some(Some(is)) = m.judge(&query, scoring) else {
                continue;
            };
            scanned.messages.push(Found::new(m.seq, &m.row));
            if let Match::Scored(score) = is {
                scanned.scores.push(score);
            }
        }
        scanned
    };
    if batch.iter().map(Undecided::octets).sum::<u64>() < OFFLOAD {
        return Ok(work(batch));
    }
    let found = tokio::task::spawn_blocking(move || work(batch)).await;
    found.map_err(|_| unavailable().into())
}
