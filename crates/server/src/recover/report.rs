//! What a recovery says it did, in sentences.

use mail::Recovered;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::PathBuf;

pub(super) struct Report {
    reason: String,
    salvaged: bool,
    pub(super) accounts: Vec<AccountReport>,
    /// Messages of accounts that had been removed.
    pub(super) of_removed: u64,
    /// Account notes that cannot be read.
    pub(super) bad_notes: u64,
    /// Packs that are gone, and how many blobs each held.
    pub(super) missing: Vec<(u32, u32)>,
    pub(super) unreadable: Vec<(u32, Range<u64>)>,
    /// Where the old metadata is now.
    pub(super) aside: Option<PathBuf>,
}

/// One account.
pub(super) struct AccountReport {
    name: String,
    /// Messages by mailbox.
    mailboxes: BTreeMap<String, u64>,
    lost: Vec<String>,
}

impl AccountReport {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            mailboxes: BTreeMap::new(),
            lost: Vec::new(),
        }
    }

    /// Notes what became of messages that were in `mailbox`.
    pub(super) fn add(&mut self, mailbox: &str, recovered: Recovered) {
        let now = recovered.mailbox.to_string();
        *self.mailboxes.entry(now).or_default() += recovered.messages;
        for hash in recovered.lost {
            let name = &self.name;
            let line = format!("account {name}, mailbox {mailbox}: {hash} is damaged");
            self.lost.push(line);
        }
    }

    fn messages(&self) -> u64 {
        self.mailboxes.values().sum()
    }
}

/// What no recovery from the mail alone brings back.
const LOST_WITH_METADATA: &str = "\
What was only in the metadata is lost:
- flags and keywords: every message is unseen again;
- what happened to messages after they were delivered or appended: those that were moved, or whose
  mailbox was renamed, are where they were delivered; copies are not there;
- deletions: messages that had been removed come back if their space was not yet used again;
- the ids POP3 clients know messages by, and UIDVALIDITY: clients load everything anew;
- empty mailboxes, subscriptions, access rights, annotations, app passwords, POP3 policies, history.
What was delivered twice into one mailbox is there once. Messages are in the order of their
INTERNALDATE.
";

/// The same where the old metadata could be read up to the damage.
const LOST_BEHIND_DAMAGE: &str = "\
What the metadata says up to the damage is kept. What was changed after that is lost:
- flags, moves, renames, new mailboxes, settings and deletions of that time: all is as it was
  before;
- messages that came in that time, and some that were deleted in it, are in the mailbox they came
  to, unseen, with new uids and new POP3 ids.
Modification sequences and uids jump, so that none is given twice; UIDVALIDITY stays.
";

impl Report {
    pub(super) fn new(reason: String, salvaged: bool) -> Self {
        Self {
            reason,
            salvaged,
            accounts: Vec::new(),
            of_removed: 0,
            bad_notes: 0,
            missing: Vec::new(),
            unreadable: Vec::new(),
            aside: None,
        }
    }

    /// How many things could not be recovered.
    pub(super) fn lost(&self) -> usize {
        let messages: usize = self.accounts.iter().map(|account| account.lost.len()).sum();
        messages + self.missing.len() + self.unreadable.len()
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "What was the matter: {}.\n",
            self.reason.trim_end_matches('.')
        );
        let total: u64 = self.accounts.iter().map(AccountReport::messages).sum();
        line(
            &mut text,
            format_args!("{total} messages were recovered from the mail:"),
        );
        let touched = |account: &&AccountReport| account.messages() > 0;
        for account in self.accounts.iter().filter(touched) {
            let (name, messages) = (&account.name, account.messages());
            line(&mut text, format_args!("{name}\t{messages} messages"));
            for (mailbox, messages) in &account.mailboxes {
                line(
                    &mut text,
                    format_args!("{name}\t{mailbox}\t{messages} messages"),
                );
            }
        }
        if self.of_removed > 0 {
            let n = self.of_removed;
            let sentence = "messages of accounts that had been removed were left where they are.";
            line(&mut text, format_args!("{n} {sentence}"));
        }
        if self.bad_notes > 0 {
            let n = self.bad_notes;
            let sentence = "notes of accounts are damaged: an account may be named recovered-N, \
                            without its password.";
            line(&mut text, format_args!("{n} {sentence}"));
        }
        for lost in self.accounts.iter().flat_map(|account| &account.lost) {
            line(&mut text, format_args!("lost: {lost}"));
        }
        for (pack, blobs) in &self.missing {
            line(
                &mut text,
                format_args!("lost: pack {pack} is missing, with up to {blobs} messages"),
            );
        }
        for (pack, bytes) in &self.unreadable {
            let Range { start, end } = bytes;
            line(
                &mut text,
                format_args!("lost: pack {pack} is unreadable from octet {start} to {end}"),
            );
        }
        text.push_str(match self.salvaged {
            true => LOST_BEHIND_DAMAGE,
            false => LOST_WITH_METADATA,
        });
        if let Some(aside) = &self.aside {
            line(
                &mut text,
                format_args!(
                    "The old metadata is kept in {}; remove it when nothing is missed.",
                    aside.display()
                ),
            );
        }
        text
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{words}");
}
