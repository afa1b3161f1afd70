//! Looking again at what has changed (RFC 5267 4.3).

use super::order::{Order, Stretch};
use super::{Context, Kept, MAX_SORTED, Sorting, write_noupdate};
use crate::cmd::search::{Found, Results};
use crate::refusal::{Code, Refusal};
use crate::session::Session;
use crate::view::MAX_PENDING;
use std::sync::Arc;
use types::UidSet;

/// Tells how the results of all contexts have changed with what the client was told last.
///
/// # Errors
/// Only what ends the session.
pub(crate) async fn follow(cx: &mut Session) -> Result<(), Refusal> {
    let contexts = std::mem::take(&mut cx.state.selection()?.contexts_mut().0);
    let mut going_on = Vec::with_capacity(contexts.len());
    for mut context in contexts {
        match context.follow(cx).await {
            Ok(()) => going_on.push(context),
            Err(end @ (Refusal::Bye(_) | Refusal::Wire(_))) => return Err(end),
            // What cannot be told must not be missed in silence.
            Err(error) => {
                tracing::warn!(?error, "a context ends");
                let text = "its results cannot be kept up to date any longer";
                write_noupdate(&context.tag, text, cx.wire.buffer());
            }
        }
        cx.wire.flush_if_over(MAX_PENDING).await?;
    }
    cx.state.selection()?.contexts_mut().0 = going_on;
    Ok(())
}

impl Context {
    async fn follow(&mut self, cx: &mut Session) -> Result<(), Refusal> {
        let selection = cx.state.selection()?;
        let told = Arc::clone(selection.told());
        let is_new = !Arc::ptr_eq(&told, &self.basis) || !Arc::ptr_eq(&told, &self.known);
        // The search itself may have looked at newer flags than have been told yet.
        if told.modseq() < self.basis.modseq() || !is_new && !self.finder.is_timed() {
            return Ok(());
        }
        let changes = told.changes_since(&self.basis);
        let new = match Arc::ptr_eq(&self.basis, &self.known) {
            true => changes.added,
            false => told.changes_since(&self.known).added,
        };
        self.known = Arc::clone(&told);
        self.basis = told;
        let changed = changes.flagged.union(&new);
        let Some((looked_at, scan)) = self.finder.rescan(selection, changed)? else {
            return Ok(());
        };
        let results = scan.run().await?;
        let matching = &results.messages;
        let come = matching.iter().map(|found| found.uid);
        let come: UidSet = come.filter(|uid| !self.kept.contains(*uid)).collect();
        let (removed, added) = match &mut self.kept {
            Kept::Unsorted(uids) => {
                let matching = matching.iter().map(|found| found.uid).collect();
                let gone = uids.intersection(&looked_at.difference(&matching));
                *uids = uids.difference(&gone).union(&come);
                (super::unsorted(&gone), super::unsorted(&come))
            }
            Kept::Sorted(sorting, order) => {
                put_in_order((sorting, order), &looked_at, &results, cx).await?
            }
        };
        if self.kept.is_too_much() {
            return Err(Refusal::no(Code::Word("LIMIT"), "too many results"));
        }
        self.fetch(&come.intersection(&new), cx).await?;
        let enabled = cx.enabled;
        if let Ok(selection) = cx.state.selection() {
            self.tell(&removed, &added, selection, enabled, cx.wire.buffer());
        }
        Ok(())
    }
}

impl Context {
    /// RFC 5465 7: FETCH for messages that are new, as opposed to those whose flags have changed.
    async fn fetch(&self, new: &UidSet, cx: &mut Session) -> Result<(), Refusal> {
        let Some(plan) = self.fetch.as_ref().filter(|_| !new.is_empty()) else {
            return Ok(());
        };
        let rows = cx.state.selection()?.rows(new);
        match plan.run(rows, cx).await {
            // Damaged messages are reported to who asks for them.
            Err(Refusal::No(..)) => Ok(()),
            result => result,
        }
    }
}

/// Puts those of `looked_at` that match into their places and takes out the others.
async fn put_in_order(
    (sorting, order): (&Sorting, &mut Order),
    looked_at: &UidSet,
    results: &Results,
    cx: &mut Session,
) -> Result<(Vec<Stretch>, Vec<Stretch>), Refusal> {
    let matching = &results.messages;
    let may_be_elsewhere = |found: &&Found| sorting.can_move() || !order.contains(found.uid);
    let placed: Vec<Found> = matching.iter().filter(may_be_elsewhere).copied().collect();
    // Where scores count, all that match are placed anew.
    let keys = sorting
        .keys(&placed, &results.scores, MAX_SORTED, cx)
        .await?;
    let mut keyed = keys.ok_or(Refusal::no(Code::Word("LIMIT"), "too many results"))?;
    keyed.retain(|(key, found)| !order.has(found.uid, key));
    let moved: UidSet = keyed.iter().map(|(_, found)| found.uid).collect();
    let staying: UidSet = matching.iter().map(|found| found.uid).collect();
    let gone = looked_at.difference(&staying).union(&moved);
    let removed = order.remove(gone.iter());
    let new = keyed.into_iter().map(|(key, found)| (found.uid, key));
    Ok((removed, order.insert(new.collect())))
}
