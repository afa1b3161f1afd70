//! SELECT and EXAMINE, with the parameters of CONDSTORE and QRESYNC.

use super::listed::Listed;
use super::*;
use crate::ext::objectid::mailbox_id;
use crate::ext::urlauth::tell_mechanisms;
use crate::grammar::SequenceSet;
use crate::grammar::mailbox::RawName;
use crate::session::Place;
use crate::view::Selection;
use types::{Rights, Uid, UidSet};

/// `select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]`.
pub(crate) static SELECT: Spec = Spec {
    name: "SELECT",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &[
        "RFC 3501 6.3.1",
        "RFC 9051 6.3.2",
        "RFC 7162 3.1.8",
        "RFC 7162 3.2.5",
    ],
    parse: |c, _| parse(c, false),
};

/// The same without the right to change anything.
pub(crate) static EXAMINE: Spec = Spec {
    name: "EXAMINE",
    uid: UidForm::No,
    states: States::LOGGED_IN,
    effects: Effects::NONE,
    rfc: &[
        "RFC 3501 6.3.2",
        "RFC 9051 6.3.3",
        "RFC 7162 3.1.8",
        "RFC 7162 3.2.5",
    ],
    parse: |c, _| parse(c, true),
};

struct Select {
    mailbox: RawName,
    read_only: bool,
    condstore: bool,
    qresync: Option<Resync>,
}

/// What a client knows of the mailbox it comes back to.
struct Resync {
    uid_validity: u32,
    /// HIGHESTMODSEQ when it was here last.
    since: u64,
    /// The uids it knows; `None`: all up to the last.
    known: Option<UidSet>,
    /// Pairs of sequence numbers and uids it knows.
    samples: Vec<(u32, u32)>,
}

fn parse(c: &mut Cursor<'_>, read_only: bool) -> Parsed<Box<dyn Ready>> {
    c.sp()?;
    let mut select = Select {
        mailbox: c.mailbox()?,
        read_only,
        condstore: false,
        qresync: None,
    };
    if c.eat(b" ") {
        c.list(false, |c| {
            if c.eat_word(b"CONDSTORE") {
                select.condstore = true;
            } else if c.eat_word(b"QRESYNC") {
                c.sp()?;
                select.qresync = Some(resync(c)?);
            } else {
                return Err(BadSyntax("unknown parameter"));
            }
            Ok(())
        })?;
    }
    Ok(Box::new(select))
}

/// RFC 7162 7: `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`.
fn resync(c: &mut Cursor<'_>) -> Parsed<Resync> {
    const STAR: BadSyntax = BadSyntax("no * in what a client knows");
    c.expect(b"(", "expected a parenthesis")?;
    let uid_validity = c.nz_number()?;
    c.sp()?;
    let since = c.number64()?;
    let mut resync = Resync {
        uid_validity,
        since,
        known: None,
        samples: Vec::new(),
    };
    let mut more = c.eat(b" ");
    if more && c.peek() != Some(b'(') {
        resync.known = Some(uid_set(&c.uid_set()?).ok_or(STAR)?);
        more = c.eat(b" ");
    }
    if more {
        c.expect(b"(", "expected a parenthesis")?;
        let seqs = c.sequence_set()?.numbers().ok_or(STAR)?;
        c.sp()?;
        let uids = c.uid_set()?.numbers().ok_or(STAR)?;
        c.expect(b")", "expected a closing parenthesis")?;
        resync.samples = samples(&seqs, &uids);
    }
    c.expect(b")", "expected a closing parenthesis")?;
    Ok(resync)
}

/// The uids of a set without `*`.
pub(crate) fn uid_set(set: &SequenceSet) -> Option<UidSet> {
    let ranges = set.numbers()?;
    Some(UidSet::from_ranges(
        ranges
            .into_iter()
            .filter_map(|(a, b)| Some((Uid::new(a)?, Uid::new(b)?))),
    ))
}

/// The n-th number of one set with the n-th of the other, where both run on: of each such run the
/// first and the last pair, which is all that matters.
fn samples(seqs: &[(u32, u32)], uids: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    let ascending = |ranges: &[(u32, u32)]| -> Vec<(u32, u32)> {
        ranges.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect()
    };
    let (seqs, uids) = (ascending(seqs), ascending(uids));
    let (mut seqs, mut uids) = (seqs.into_iter(), uids.into_iter());
    let (mut seq, mut uid) = (seqs.next(), uids.next());
    while let (Some((s, s_end)), Some((u, u_end))) = (seq, uid) {
        let run = (s_end - s).min(u_end - u);
        pairs.extend([(s, u), (s + run, u + run)]);
        seq = if s + run == s_end {
            seqs.next()
        } else {
            Some((s + run + 1, s_end))
        };
        uid = if u + run == u_end {
            uids.next()
        } else {
            Some((u + run + 1, u_end))
        };
    }
    pairs
}

impl Run for Select {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self.qresync.is_some() && !cx.enabled.qresync {
            // RFC 7162 3.2.5.
            return Err(Refusal::bad("QRESYNC is not enabled"));
        }
        // RFC 9051 6.3.2: the mailbox selected before is left, whether or not this succeeds.
        if matches!(cx.state, State::Selected(..)) {
            cx.unselect();
            // RFC 7162 3.2.11: what follows is about the other mailbox.
            let text = cx.enabled.say("previous mailbox left");
            let out = cx.wire.buffer();
            out.raw(b"* OK [CLOSED] ").text(&text).crlf();
        }
        let Place {
            account: owner,
            id,
            shown,
            ..
        } = cx.place(&self.mailbox, Rights::READ).await?;
        if self.condstore {
            cx.enabled.condstore = true;
        }
        let mailbox = owner.select(id).await?;
        // RFC 9051 6.3.2: what LIST says of it.
        if cx.enabled.rev2 {
            let roster = cx.roster_with(&owner).await?;
            let listed = Listed {
                old_name: self.mailbox.old_name.as_deref(),
                ..Listed::new(&roster, &shown)
            };
            listed.write(cx.enabled.names(), cx.wire.buffer());
        }
        let selection = Selection::new(owner, mailbox, self.read_only);
        introduce(&selection, cx);
        let account = cx.state.account()?.clone();
        cx.enter(State::Selected(account, Box::new(selection)));
        if let Some(resync) = self.qresync {
            catch_up(resync, cx).await?;
        }
        warn_of_mixed_use(cx).await?;
        // RFC 4314 5.2: also when nothing that all see may be changed.
        match cx.state.selection()?.is_read_only() {
            true => Done::with(Code::Word("READ-ONLY"), "mailbox open, read-only"),
            false => Done::with(Code::Word("READ-WRITE"), "mailbox open"),
        }
    }
}

/// RFC 9051 7.1: ALERT is for texts that must be shown to the user.
async fn warn_of_mixed_use(cx: &mut Session) -> Result<(), Refusal> {
    let account = cx.state.account()?.clone();
    let selection = cx.state.selection()?;
    let is_own = selection.owner().id() == account.id();
    let name = account.name_of(selection.mailbox().id());
    let is_inbox = name.is_some_and(|name| name.is_inbox());
    if cx.deps.operators.warn_of_mixed_use && is_own && is_inbox && account.alert_mixed_use().await
    {
        cx.wire.buffer().raw(
            b"* OK [ALERT] A program that fetches your mail by POP3 deletes it from this mailbox. \
              If you miss mail, set that program to leave mail on the server.\r\n",
        );
    }
    Ok(())
}

/// RFC 9051 6.3.2: what every client needs to know of a mailbox.
fn introduce(selection: &Selection, cx: &mut Session) {
    let view = selection.told();
    let enabled = cx.enabled;
    let out = cx.wire.buffer();
    selection.write_flag_lists(view, enabled, out);
    selection.write_counts(enabled, out);
    // RFC 3501 7.1: the first message without \Seen, absent when there is none.
    // RFC 9586 3: that is a sequence number.
    // RFC 9051 E 11: nobody wants it.
    if !enabled.uid_only
        && !enabled.rev2
        && let Some(unseen) = selection.first_unseen()
    {
        out.raw(b"* OK [UNSEEN ")
            .num(unseen.get())
            .raw(b"] ")
            .text(&enabled.say("first unseen message"))
            .crlf();
    }
    out.raw(b"* OK [UIDVALIDITY ")
        .num(view.uid_validity().get())
        .raw(b"] ")
        .text(&enabled.say("UIDs are valid"))
        .crlf();
    out.raw(b"* OK [UIDNEXT ")
        .num(view.uid_next())
        .raw(b"] ")
        .text(&enabled.say("next UID"))
        .crlf();
    let mailbox = selection.mailbox();
    out.raw(b"* OK ");
    Code::MailboxId(mailbox_id(mailbox.account_id(), mailbox.id())).write(out);
    out.text(&enabled.say("mailbox identifier")).crlf();
    tell_mechanisms(enabled, out);
    out.raw(b"* OK [HIGHESTMODSEQ ")
        .num(view.modseq().get())
        .raw(b"] ")
        .text(&enabled.say("highest modification sequence"))
        .crlf();
}

/// RFC 7162 3.2.5: what happened while the client was away.
async fn catch_up(resync: Resync, cx: &mut Session) -> Result<(), Refusal> {
    let before = cx.emitted();
    let selection = cx.state.selection()?;
    // Under another UIDVALIDITY nothing the client knows means anything.
    if selection.told().uid_validity().get() == resync.uid_validity {
        let known = resync.known.as_ref();
        selection
            .tell_vanished_earlier(&mut cx.wire, resync.since, known, &resync.samples)
            .await?;
        selection
            .tell_changed(&mut cx.wire, cx.enabled, resync.since, known)
            .await?;
    }
    cx.deps.counters.sync_qresync.inc_by(cx.emitted() - before);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_knows_must_be_well_formed() {
        for raw in [
            "(1)",
            "(0 5)",
            "(1 5 *)",
            "(1 5 1:* )",
            "(1 5 (1,2))",
            "(1 5 (1 *))",
            "(1 5",
            "(1 5 1:4 (1 2)",
        ] {
            assert!(resync(&mut Cursor::of(raw.as_bytes())).is_err(), "{raw}");
        }
    }

    #[test]
    fn samples_are_paired_over_ranges_of_different_shape() {
        let resync = resync(&mut Cursor::of(
            b"(67890007 20 41:211,214 (1:3,9 10,11:12,20))",
        ))
        .unwrap();
        assert_eq!(resync.known.unwrap().to_string(), "41:211,214");
        assert_eq!(
            resync.samples,
            [(1, 10), (1, 10), (2, 11), (3, 12), (9, 20), (9, 20)]
        );
        let huge = samples(&[(1, u32::MAX)], &[(1, u32::MAX)]);
        assert_eq!(huge, [(1, 1), (u32::MAX, u32::MAX)]);
    }
}
