//! The invariants of everything stored, checked from the records up. Tests end with it; `gatepost
//! verify` runs it online.

use crate::account::AccountInner;
use crate::mailbox::Mailbox;
use crate::record::MailboxRecord;
use crate::snapshot::{self, each};
use crate::{Account, Boxed, Email, Mail, MailError, Row, Summary, keys};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use storage::{BlobRef, Link, Scan};
use types::{BlobHash, EmailId, Flags, Uid};

impl Mail {
    /// Checks every account; returns one sentence per broken invariant, and one per damaged message
    /// that names account, mailbox, uid and hash. With `contents`, every blob is read and compared
    /// with its hash.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn check(&self, contents: bool) -> Boxed<'_, Vec<String>> {
        Box::pin(self.check_with(contents, |_, _| {}))
    }

    /// The same; `progress` hears how many messages of how many have been looked at.
    pub async fn check_with(
        &self,
        contents: bool,
        progress: impl Fn(u64, u64) + Send + Sync,
    ) -> Result<Vec<String>, MailError> {
        let mut problems = Vec::new();
        let accounts = self.list_accounts().await?;
        let mut total = 0;
        for info in &accounts {
            total += self.account(info.id).await?.usage().messages;
        }
        let mut done = 0;
        for info in accounts {
            let account = self.account(info.id).await?;
            let messages = account.usage().messages;
            let tell = |n: u64| progress(done + n.min(messages), total);
            for problem in account.check_with(contents, tell).await? {
                problems.push(format!("account {}: {problem}", info.name));
            }
            done += messages;
            progress(done, total);
        }
        self.check_notes(&mut problems).await?;
        Ok(problems)
    }
}

impl Account {
    /// Checks this account; see [`Mail::check`].
    pub fn check(&self, contents: bool) -> Boxed<'_, Vec<String>> {
        Box::pin(self.check_with(contents, |_| {}))
    }

    /// Writers wait while the records are compared, not while messages are read.
    async fn check_with(
        &self,
        contents: bool,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Vec<String>, MailError> {
        let mut check = Check {
            account: &self.0,
            problems: Vec::new(),
            places: Vec::new(),
            held: Vec::new(),
            links: None,
            unread: Vec::new(),
        };
        let writer = self.0.writer.lock().await;
        check.tree().await?;
        let (mut messages, mut bytes) = (0, 0);
        for mailbox in self.0.all_mailboxes() {
            mailbox.wait_settled().await?;
            check.mailbox(&mailbox).await?;
            let summary = mailbox.summary();
            messages += u64::from(summary.messages);
            bytes += summary.bytes;
        }
        let usage = self.usage();
        if (usage.messages, usage.bytes) != (messages, bytes) {
            check.report(format!(
                "usage is {usage:?}, mailboxes hold {messages} and {bytes}"
            ));
        }
        let (noted, counted) = self.0.count_annotations().await?;
        if noted != counted {
            check.report(format!(
                "annotations take {counted} bytes, {noted} are noted, or a mailbox is gone"
            ));
        }
        check.problems.extend(self.0.check_acls().await?);
        let lost = self.0.lost_access_keys().await?;
        if lost > 0 {
            check.report(format!("{lost} access keys belong to no mailbox"));
        }
        let lost = self.0.lost_threads().await?;
        if lost > 0 {
            check.report(format!(
                "{lost} rows of the thread index belong to no email"
            ));
        }
        check.removals().await?;
        check.emails().await?;
        drop(writer);
        if contents {
            check.contents(progress).await?;
        }
        Ok(check.problems)
    }
}

struct Check<'a> {
    account: &'a AccountInner,
    problems: Vec<String>,
    /// Where messages are, in words.
    places: Vec<String>,
    /// Every message of every mailbox and removal.
    held: Vec<Held>,
    /// The link rows of the blob looked at last: copies of one blob tend to follow each other.
    links: Option<(BlobHash, HashSet<Link>)>,
    /// Emails whose bytes are still to be compared with their hashes, with the range of
    /// [`Self::held`] that holds each.
    unread: Vec<(EmailId, BlobRef, Range<usize>)>,
}

/// A message: its email, where it is, and what that place has noted of its size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    email: EmailId,
    place: usize,
    uid: Uid,
    size: u32,
    crlf_extra: u32,
}

impl Check<'_> {
    fn report(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Names are unique, names and records agree, memory agrees with the disk.
    async fn tree(&mut self) -> Result<(), MailError> {
        let (meta, id) = (self.account.mail.meta(), self.account.id);
        let tree = self.account.tree();
        let mut records = HashMap::new();
        each(meta, id, keys::mailboxes(), |(key, value)| {
            records.insert(keys::id_of(key), MailboxRecord::decode(value)?);
            Ok(())
        })
        .await?;
        let mut names = HashMap::new();
        each(
            meta,
            id,
            Scan::prefix(&b"n"[..], keys::PAGE),
            |(key, value)| {
                let owner = <[u8; 8]>::try_from(&value[..]).map(u64::from_be_bytes).ok();
                names.insert(String::from_utf8_lossy(&key[1..]).into_owned(), owner);
                Ok(())
            },
        )
        .await?;
        for (id, record) in &records {
            if names.remove(record.name.as_str()) != Some(*id) {
                self.report(format!("mailbox {} does not own its name", record.name));
            }
            if tree.find(&record.name).map(|folder| folder.id.0) != *id {
                self.report(format!("mailbox {} is not in the tree", record.name));
            }
        }
        for name in names.keys() {
            self.report(format!("the name {name} belongs to no mailbox"));
        }
        if tree.folders.len() != records.len() {
            self.report("the tree holds mailboxes that do not exist".into());
        }
        Ok(())
    }

    /// A mailbox read from disk equals its record and its view; numbers rise and stay in range.
    async fn mailbox(&mut self, mailbox: &Arc<Mailbox>) -> Result<(), MailError> {
        let head = mailbox.state().head.clone();
        let (record, name) = (&head.record, head.record.name.clone());
        let meta = self.account.mail.meta();
        let stored = snapshot::load(meta, self.account.id, mailbox.id, record.uid_validity).await?;
        let disk = stored.view;
        if let Some(view) = &head.view
            && (!view.rows().eq(disk.rows()) || view.keywords() != disk.keywords())
        {
            self.report(format!("{name}: the view in memory differs from the disk"));
        }
        let counted = Summary {
            uid_validity: record.uid_validity,
            uid_next: disk.uid_next(),
            modseq: disk.modseq(),
            messages: disk.rows().count() as u32,
            unseen: disk
                .rows()
                .filter(|row| !row.flags.contains(Flags::SEEN))
                .count() as u32,
            deleted: disk
                .rows()
                .filter(|row| row.flags.contains(Flags::DELETED))
                .count() as u32,
            recent: 0,
            bytes: disk.rows().map(|row| u64::from(row.size)).sum(),
            deleted_bytes: Some(disk.deleted_octets()),
        };
        let noted = mailbox.summary();
        let noted = Summary {
            recent: 0,
            deleted_bytes: noted.deleted_bytes.or(counted.deleted_bytes),
            ..noted
        };
        if counted != noted {
            self.report(format!(
                "{name}: holds {counted:?}, its record says {noted:?}"
            ));
        }
        let (mut last, mut uidls) = (0, HashSet::new());
        self.places.push(format!("mailbox {name}"));
        for row in disk.rows() {
            if row.uid.get() <= last || (disk.uid_next() != 0 && row.uid.get() >= disk.uid_next()) {
                self.report(format!("{name}: uid {} is out of order", row.uid));
            }
            last = row.uid.get();
            if row.modseq > disk.modseq() {
                self.report(format!("{name}: uid {} is newer than the mailbox", row.uid));
            }
            if !uidls.insert(row.uidl) {
                self.report(format!("{name}: uid {} shares its POP3 unique id", row.uid));
            }
            self.hold(&row);
        }
        if !self.account.notes_due(mailbox, &disk).await? {
            self.report(format!("{name}: messages to be removed are not noted"));
        }
        Ok(())
    }

    /// What undelete promises is there, and nothing is kept for nothing.
    async fn removals(&mut self) -> Result<(), MailError> {
        let mut known = HashSet::new();
        for (id, removal) in self.account.removals().await? {
            known.insert(id);
            let (rows, _) = self.account.rows_of_removal(id, &removal).await?;
            let bytes: u64 = rows.iter().map(|new| u64::from(new.row.size)).sum();
            if (rows.len() as u64, bytes) != (removal.messages, removal.bytes) || rows.is_empty() {
                self.report(format!(
                    "undelete of {}: {} messages of {bytes} bytes are there, {} of {} are noted",
                    removal.name,
                    rows.len(),
                    removal.messages,
                    removal.bytes
                ));
            }
            self.places.push(format!("undelete of {}", removal.name));
            rows.iter().for_each(|new| self.hold(&new.row));
        }
        let mut lost = 0;
        let (meta, id) = (self.account.mail.meta(), self.account.id);
        each(meta, id, keys::every_removed_row(), |(key, _)| {
            lost += u32::from(keys::removal_of(key).is_none_or(|id| !known.contains(&id)));
            Ok(())
        })
        .await?;
        if lost > 0 {
            self.report(format!("{lost} rows of undelete belong to no removal"));
        }
        Ok(())
    }

    /// Notes a message of the place named last.
    fn hold(&mut self, row: &Row) {
        self.held.push(Held {
            email: row.email,
            place: self.places.len().saturating_sub(1),
            uid: row.uid,
            size: row.size,
            crlf_extra: row.crlf_extra,
        });
    }

    /// Every email a mailbox holds is there, with its link row and its bytes.
    async fn emails(&mut self) -> Result<(), MailError> {
        self.held.sort_unstable();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (i, held) in self.held.iter().enumerate() {
            match ranges.last_mut() {
                Some(range) if self.held[range.start].email == held.email => range.end = i + 1,
                _ => ranges.push(i..i + 1),
            }
        }
        for ranges in ranges.chunks(256) {
            let ids: Vec<EmailId> = ranges.iter().map(|r| self.held[r.start].email).collect();
            for (range, email) in ranges.iter().zip(self.account.emails(&ids).await?) {
                match email {
                    Some(email) => self.email(email, range).await?,
                    None => self.damaged(range, "its record is lost"),
                }
            }
        }
        Ok(())
    }

    async fn email(&mut self, email: Email, range: &Range<usize>) -> Result<(), MailError> {
        let mail = &self.account.mail;
        let link = Link {
            account: self.account.id,
            email: email.id,
        };
        if !self.is_linked(email.blob.hash, &link).await? {
            self.report(format!("email {}: its blob has no link row", email.id));
        }
        let (hash, size) = (email.blob.hash, email.blob.size);
        let stat = mail.blobs().stat(&hash).await?;
        if stat.is_none_or(|stat| stat.size != size) {
            self.damaged(range, &format!("{hash} is missing"));
            return Ok(());
        }
        let extra = email.digest().map_or(0, |digest| digest.crlf_extra());
        let noted = |held: &Held| (held.size, held.crlf_extra) == (email.size(), extra);
        if !self.held[range.clone()].iter().all(noted) {
            self.report(format!(
                "email {}: a mailbox has noted another size",
                email.id
            ));
        }
        self.unread.push((email.id, email.blob, range.clone()));
        Ok(())
    }

    /// Compares every blob with its hash, in the order in which they lie on disk.
    async fn contents(&mut self, progress: impl Fn(u64)) -> Result<(), MailError> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.sort_unstable_by_key(|(_, blob, _)| blob.hint);
        let mut done = 0;
        for (id, BlobRef { hash, .. }, range) in unread {
            if let Err(error) = self.account.mail.blobs().verify(&hash).await {
                // It may have been expunged and collected since the records were compared.
                let key = keys::email(id);
                if self.account.read(&key).await?.is_some() {
                    let hash = hash.to_string();
                    let why = error.context.rsplit(&hash).next().unwrap_or_default();
                    let why = why.trim_start_matches([':', ' ']);
                    self.damaged(&range, &format!("{hash} is damaged ({why})"));
                }
            }
            done += range.len() as u64;
            progress(done);
        }
        Ok(())
    }

    /// One line for each message that shares this damage.
    fn damaged(&mut self, range: &Range<usize>, what: &str) {
        for held in &self.held[range.clone()] {
            let place = &self.places[held.place];
            self.problems
                .push(format!("{place}, uid {}: {what}", held.uid));
        }
    }

    async fn is_linked(&mut self, blob: BlobHash, link: &Link) -> Result<bool, MailError> {
        if let Some((hash, links)) = &self.links
            && *hash == blob
        {
            return Ok(links.contains(link));
        }
        let links = self.account.mail.meta().links(&blob, usize::MAX).await?;
        let links: HashSet<Link> = links.into_iter().collect();
        let found = links.contains(link);
        self.links = Some((blob, links));
        Ok(found)
    }
}
