//! THREAD (RFC 5256 3): the command, and its answer. The algorithms are pure and work on
//! [`Member`]s; none of them recurses, for a stranger decides how deep a thread is.

mod forest;
mod links;
mod references;
mod subject;

use super::sort::{each_message, search_criteria, sent_date};
use super::*;
use crate::cmd::search::{Criteria, Found};
use crate::ext::inprogress::Progress;
use crate::view::MAX_PENDING;
use forest::{Forest, Piece};
use mail::{Facts, MailError, MailErrorKind, Text};
use net::Wire;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5256",
    file: file!(),
    capabilities: &[
        Capability::always("THREAD=ORDEREDSUBJECT"),
        Capability::always("THREAD=REFERENCES"),
    ],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// THREAD=REFS: threads by identifiers alone, the one with the newest message last.
pub(crate) static REFS: Extension = Extension {
    rfc: "draft-ietf-morg-inthread",
    file: "crates/imap/src/ext/thread/references.rs",
    capabilities: &[Capability::always("THREAD=REFS")],
    ..Extension::EMPTY
};

/// `thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria`
static SPEC: Spec = Spec {
    name: "THREAD",
    uid: UidForm::Also,
    states: States::SELECTED,
    effects: Effects::USES_SEQ,
    rfc: &["RFC 5256 3"],
    parse,
};

/// From so many messages on, threading is left to another thread of the processor.
const OFFLOAD: usize = 10_000;

/// A message to be put into a thread.
struct Member {
    /// RFC 5256 2.2, seconds since 1970 UTC.
    sent: i64,
    /// INTERNALDATE, seconds since 1970 UTC.
    arrived: i64,
    subject: Subject,
    /// What there is to know of it; nothing of one that was expunged long ago.
    facts: Option<Arc<Facts>>,
}

/// Stands for a base subject: equal for those the active comparator finds equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Subject(u32);

impl Subject {
    const EMPTY: Self = Self(0);
}

/// Makes threads of messages, which are in the order of the mailbox.
type Algorithm = fn(&[Member]) -> Forest;

static ALGORITHMS: &[(&[u8], Algorithm)] = &[
    (b"ORDEREDSUBJECT", subject::ordered),
    (b"REFERENCES", references::references),
    (b"REFS", references::refs),
];

struct Thread {
    uid: bool,
    algorithm: Algorithm,
    search: Criteria,
}

fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let name = c.atom()?;
    let known = ALGORITHMS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    let &(_, algorithm) = known.ok_or(BadSyntax("unknown threading algorithm"))?;
    c.sp()?;
    Ok(Box::new(Thread {
        uid,
        algorithm,
        search: search_criteria(c, uid)?,
    }))
}

impl Run for Thread {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        let Self {
            uid,
            algorithm,
            search,
        } = *self;
        let (_, results) = search.find(false, cx).await?;
        results.be_whole()?;
        let found = results.messages;
        let members = members(&found, cx).await?;
        let forest = match members.len() < OFFLOAD {
            true => algorithm(&members),
            false => Progress::new(cx, None)
                .attend(
                    &mut cx.wire,
                    &cx.tag,
                    tokio::task::spawn_blocking(move || algorithm(&members)),
                )
                .await
                .map_err(|_| {
                    MailError::new(MailErrorKind::Unavailable, "threading the messages failed")
                })?,
        };
        tell(&forest, &found, uid, &mut cx.wire).await?;
        Done::ok("threaded")
    }
}

/// What the algorithms look at, in the order of the mailbox.
async fn members(found: &[Found], cx: &mut Session) -> Result<Vec<Member>, Refusal> {
    let collation = cx.comparator.collation;
    let mut members = Vec::with_capacity(found.len());
    let mut subjects = HashMap::from([(Vec::new(), Subject::EMPTY)]);
    each_message(found, true, cx, |row, facts| {
        let text = facts
            .as_ref()
            .map_or("", |facts| facts.text(Text::BaseSubject));
        let mut key = Vec::new();
        collation.sort_key(text, &mut key);
        let next = Subject(u32::try_from(subjects.len()).unwrap_or(u32::MAX));
        members.push(Member {
            sent: sent_date(row, facts.as_deref()),
            arrived: row.internal_date,
            subject: *subjects.entry(key).or_insert(next),
            facts,
        });
    })
    .await?;
    Ok(members)
}

/// `thread-data = "THREAD" [SP 1*thread-list]`
async fn tell(forest: &Forest, found: &[Found], uid: bool, wire: &mut Wire) -> Result<(), Refusal> {
    let begin: &[u8] = match forest.is_empty() {
        true => b"* THREAD",
        false => b"* THREAD ",
    };
    wire.buffer().raw(begin);
    let mut pieces = forest.pieces();
    while let Some(piece) = pieces.next(forest) {
        let out = wire.buffer();
        match piece {
            Piece::Open => out.raw(b"("),
            Piece::Close => out.raw(b")"),
            Piece::Space => out.raw(b" "),
            Piece::Message(at) => match found.get(at) {
                Some(found) if uid => out.num(found.uid.get()),
                Some(found) => out.num(found.seq.get()),
                None => out,
            },
        };
        wire.flush_if_over(MAX_PENDING).await?;
    }
    wire.buffer().crlf();
    Ok(())
}
