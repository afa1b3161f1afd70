//! From the client's numbers to uids and back, and what `$` stands for.

use super::*;
use crate::grammar::{Bound, MessageSet, SequenceSet};

/// Ranges of uids a saved search result may have: one MiB per session.
pub(crate) const MAX_SAVED: usize = 128 << 10;

impl Selection {
    /// RFC 5182 2.1: what `$` stands for from now on, in place of what it stood for.
    ///
    /// # Errors
    /// NOTSAVED, and `$` is empty, when that is more than a session may keep.
    pub fn save(&mut self, found: UidSet) -> Result<(), Refusal> {
        if found.ranges().len() > MAX_SAVED {
            self.saved = UidSet::new();
            // RFC 5182 2.5.
            return Err(Refusal::no(
                Code::Word("NOTSAVED"),
                "the result is too large to be saved",
            ));
        }
        self.saved = found;
        Ok(())
    }

    /// RFC 5182 2.1: `$` is empty, a search that was to be saved has failed.
    pub fn forget_saved(&mut self) {
        self.saved = UidSet::new();
    }

    /// The uids a command means: the last moment a sequence number exists. Uids that the client has
    /// not been told about are left out: it cannot mean them.
    ///
    /// # Errors
    /// A sequence number beyond the last message.
    pub fn resolve(&self, set: &MessageSet) -> Result<UidSet, Refusal> {
        match set {
            MessageSet::Uid(set) => Ok(self.resolve_uids(set)),
            MessageSet::Seq(set) => self.resolve_seqs(set),
            MessageSet::Saved => Ok(self.saved.clone()),
        }
    }

    /// The uids a search means. RFC 7377 2: in any search, numbers beyond the last message are no
    /// error.
    pub fn resolve_within(&self, set: &MessageSet) -> UidSet {
        match set {
            MessageSet::Uid(set) => self.resolve_uids(set),
            MessageSet::Seq(set) => self.clip_seqs(set),
            MessageSet::Saved => self.saved.clone(),
        }
    }

    fn clip_seqs(&self, set: &SequenceSet) -> UidSet {
        let exists = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        let number = |bound| match bound {
            Bound::Number(n) => n.get(),
            Bound::Last => exists,
        };
        let uid = |seq: u32| {
            let row = self.told.get(seq.checked_sub(1)? as usize)?;
            Some(row.uid)
        };
        UidSet::from_ranges(set.0.iter().filter_map(|&(a, b)| {
            let (a, b) = (number(a), number(b));
            Some((uid(a.min(b))?, uid(a.max(b).min(exists))?))
        }))
    }

    fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        // RFC 9051 9, seq-number: `*` is the largest uid in use; `n:*` includes it though n be
        // larger.
        let Some(last) = self
            .told
            .len()
            .checked_sub(1)
            .and_then(|i| self.told.get(i))
        else {
            return UidSet::new();
        };
        let number = |bound| match bound {
            Bound::Number(n) => n.get(),
            Bound::Last => last.uid.get(),
        };
        UidSet::from_ranges(set.0.iter().filter_map(|&(a, b)| {
            let (a, b) = (number(a), number(b));
            let (from, to) = (a.min(b), a.max(b).min(last.uid.get()));
            (from <= to).then_some((Uid::new(from)?, Uid::new(to)?))
        }))
    }

    fn resolve_seqs(&self, set: &SequenceSet) -> Result<UidSet, Refusal> {
        let exists = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        let mut ranges = Vec::with_capacity(set.0.len());
        for &(a, b) in &set.0 {
            // Clients send 1:* without looking whether there is anything.
            if exists == 0 && (a == Bound::Last || b == Bound::Last) {
                continue;
            }
            let uid = |bound| {
                let seq = match bound {
                    Bound::Number(n) => n.get(),
                    Bound::Last => exists,
                };
                self.told.get(seq as usize - 1).map(|row| row.uid)
            };
            // RFC 9051 9, seq-number: a number above the count of messages is an error.
            match (uid(a), uid(b)) {
                (Some(a), Some(b)) => ranges.push((a, b)),
                _ => return Err(Refusal::bad("no message has that sequence number")),
            }
        }
        // Between two known messages lie known messages only: the range of sequence numbers is one
        // of uids.
        Ok(UidSet::from_ranges(ranges))
    }

    /// The one message that a set names, and its size.
    ///
    /// # Errors
    /// A sequence number beyond the last message; EXPUNGEISSUED (RFC 5530 3), or NONEXISTENT when
    /// the client was never told of it.
    pub fn one(&self, set: &MessageSet) -> Result<(Uid, u32), Refusal> {
        let told = self.resolve(set)?.first();
        let told = told.and_then(|uid| self.told.find(uid));
        let Some(row) = told else {
            return Err(Refusal::no(Code::NONEXISTENT, "no such message"));
        };
        match self.mailbox.view().find(row.uid) {
            Some(row) => Ok((row.uid, row.size)),
            None => Err(EXPUNGED),
        }
    }

    /// All uids a set of uids names, whether or not there are such messages (RFC 7162 3.2.6: `*` is
    /// the last).
    pub fn known_uids(&self, set: &MessageSet) -> UidSet {
        let set = match set {
            MessageSet::Uid(set) | MessageSet::Seq(set) => set,
            MessageSet::Saved => return self.saved.clone(),
        };
        let last = self.told.uid_next().saturating_sub(1).max(1);
        let uid = |bound| match bound {
            Bound::Number(n) => Uid::new(n.get()),
            Bound::Last => Uid::new(last),
        };
        UidSet::from_ranges(set.0.iter().filter_map(|&(a, b)| Some((uid(a)?, uid(b)?))))
    }

    /// The numbers by which the client knows messages: uids, or sequence numbers, as a set.
    pub fn numbers(&self, uids: &UidSet, uid: bool) -> String {
        if uid {
            return uids.to_string();
        }
        let seqs: UidSet = self
            .told
            .rows_in(uids)
            .filter_map(|(index, _)| Uid::new(MsgSeq::at(index).0))
            .collect();
        seqs.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mail::{Mail, NewMessage, Options, Provenance};
    use storage::{MemoryBlobs, MemoryMeta};
    use types::Flags;

    async fn selection(messages: u32) -> Selection {
        let stores = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
        let mail = Mail::open(stores.0, stores.1, Options::default())
            .await
            .unwrap();
        let info = mail.ensure_account("alice").await.unwrap();
        let account = mail.account(info.id).await.unwrap();
        let inbox = account
            .tree()
            .find(&types::MailboxName::inbox())
            .unwrap()
            .id;
        for n in 0..messages {
            let body = Bytes::from(format!("{n}"));
            let content = mail.ingest(body, &Provenance::default()).await.unwrap();
            let message = NewMessage {
                content,
                prefix: Bytes::new(),
                flags: Flags::NONE,
                keywords: Vec::new(),
                internal_date: None,
            };
            account.append(inbox, vec![message]).await.unwrap();
        }
        let mailbox = account.select(inbox).await.unwrap();
        Selection::new(account, mailbox, false)
    }

    fn uids(ranges: &[(u32, u32)]) -> UidSet {
        let uid = |n| Uid::new(n).unwrap();
        UidSet::from_ranges(ranges.iter().map(|&(a, b)| (uid(a), uid(b))))
    }

    #[tokio::test]
    async fn numbers_hold_until_the_client_is_told() {
        let selection = selection(6).await;
        selection
            .mailbox
            .expunge(&uids(&[(2, 3), (6, 6)]))
            .await
            .unwrap();
        let set = |raw: &str| {
            crate::grammar::Cursor::of(raw.as_bytes())
                .message_set(false)
                .unwrap()
        };
        assert_eq!(
            selection.resolve(&set("2,5:*")).unwrap(),
            uids(&[(2, 2), (5, 6)])
        );
        assert!(selection.resolve(&set("7")).is_err());
        assert_eq!(selection.numbers(&uids(&[(4, 6)]), false), "4:6");
        assert_eq!(selection.count(&uids(&[(2, 9)])), 5);
        // The expunged are still there to be fetched.
        let (mut rows, mut batch) = (selection.rows(&uids(&[(1, 6)])), Vec::new());
        assert!(rows.next_batch(4, &mut batch));
        assert_eq!(batch.len(), 4);
        assert!(rows.next_batch(4, &mut batch));
        assert_eq!(
            batch.last().map(|(seq, row)| (seq.get(), row.uid.get())),
            Some((6, 6))
        );
        assert!(!rows.next_batch(4, &mut batch));
    }

    #[tokio::test]
    async fn what_is_saved_is_bounded() {
        let mut selection = selection(2).await;
        selection.save(uids(&[(1, 2)])).unwrap();
        assert_eq!(
            selection.resolve(&MessageSet::Saved).unwrap(),
            uids(&[(1, 2)])
        );
        let apart = |count: usize| (1..).step_by(2).take(count).filter_map(Uid::new);
        selection.save(apart(MAX_SAVED).collect()).unwrap();
        let refusal = selection.save(apart(MAX_SAVED + 1).collect());
        assert!(matches!(
            refusal,
            Err(Refusal::No(Some(Code::Word("NOTSAVED")), _))
        ));
        assert!(selection.resolve(&MessageSet::Saved).unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_missing_has_vanished() {
        let selection = selection(7).await;
        assert!(missing(&selection.told, 0).is_empty());
        selection
            .mailbox
            .expunge(&uids(&[(1, 2), (4, 4), (7, 7)]))
            .await
            .unwrap();
        let view = selection.mailbox.view();
        assert_eq!(missing(&view, 0), uids(&[(1, 2), (4, 4), (7, 7)]));
        assert_eq!(missing(&view, 3), uids(&[(4, 4), (7, 7)]));
        assert!(missing(&view, 7).is_empty());
        assert!(missing(&view, u32::MAX).is_empty());
    }
}
