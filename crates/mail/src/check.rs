//! The invariants of everything stored, checked from the records up. Tests end with it; `gatepost
//! verify` runs it online.

use crate::account::AccountInner;
use crate::mailbox::Mailbox;
use crate::record::MailboxRecord;
use crate::snapshot::{self, each};
use crate::{Account, Email, Mail, MailError, Summary, keys};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use storage::{Link, Scan};
use types::{BlobHash, EmailId, Flags};

impl Mail {
    /// Checks every account; returns one sentence per broken invariant. With `contents`, every blob
    /// is read and compared with its hash.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn check(&self, contents: bool) -> Result<Vec<String>, MailError> {
        let mut problems = Vec::new();
        for info in self.list_accounts().await? {
            let account = self.account(info.id).await?;
            for problem in account.check(contents).await? {
                problems.push(format!("account {}: {problem}", info.name));
            }
        }
        Ok(problems)
    }
}

impl Account {
    /// Checks this account; see [`Mail::check`]. Writers wait meanwhile.
    pub async fn check(&self, contents: bool) -> Result<Vec<String>, MailError> {
        let mut check = Check {
            account: &self.0,
            problems: Vec::new(),
            used: BTreeMap::new(),
            links: None,
        };
        let _writer = self.0.writer.lock().await;
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
        check.emails(contents).await?;
        Ok(check.problems)
    }
}

struct Check<'a> {
    account: &'a AccountInner,
    problems: Vec<String>,
    /// Emails that mailboxes hold, with the size the mailbox has noted.
    used: BTreeMap<EmailId, (u32, u32)>,
    /// The link rows of the blob looked at last: copies of one blob tend to follow each other.
    links: Option<(BlobHash, HashSet<Link>)>,
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
            self.used.insert(row.email, (row.size, row.crlf_extra));
        }
        if !self.account.notes_due(mailbox, &disk).await? {
            self.report(format!("{name}: messages to be removed are not noted"));
        }
        Ok(())
    }

    /// Every email a mailbox holds is there, with its link row and its bytes.
    async fn emails(&mut self, contents: bool) -> Result<(), MailError> {
        let used = std::mem::take(&mut self.used);
        let ids: Vec<EmailId> = used.keys().copied().collect();
        for ids in ids.chunks(256) {
            for (id, email) in ids.iter().zip(self.account.emails(ids).await?) {
                let Some(email) = email else {
                    self.report(format!("email {id} is missing"));
                    continue;
                };
                self.email(&email, used.get(id).copied(), contents).await?;
            }
        }
        Ok(())
    }

    async fn email(
        &mut self,
        email: &Email,
        noted: Option<(u32, u32)>,
        contents: bool,
    ) -> Result<(), MailError> {
        let mail = &self.account.mail;
        let extra = email.digest().map_or(0, |digest| digest.crlf_extra());
        if noted != Some((email.size(), extra)) {
            self.report(format!(
                "email {}: a mailbox has noted another size",
                email.id
            ));
        }
        let link = Link {
            account: self.account.id,
            email: email.id,
        };
        if !self.is_linked(email.blob.hash, &link).await? {
            self.report(format!("email {}: its blob has no link row", email.id));
        }
        let stat = mail.blobs().stat(&email.blob.hash).await?;
        if stat.is_none_or(|stat| stat.size != email.blob.size) {
            self.report(format!(
                "email {}: blob {} is missing",
                email.id, email.blob.hash
            ));
        } else if contents && let Err(error) = mail.blobs().verify(&email.blob.hash).await {
            self.report(format!("email {}: {error}", email.id));
        }
        Ok(())
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
