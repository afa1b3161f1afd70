//! What a mailbox lacks of what it held when a backup was taken.

use super::{Damaged, Meter, damaged, runs};
use crate::edit::{ATTEMPTS, Transaction};
use crate::history::{Deed, Messages};
use crate::journal::{Change, NewRow};
use crate::mailbox::Mailbox;
use crate::messages::contention;
use crate::removal::rows_of;
use crate::snapshot;
use crate::{Account, Boxed, Email, Ingested, Load, MailError, NewMessage, View, Wanted};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use storage::{BlobRef, Provenance};
use types::{BlobHash, EmailId, Flags, MailboxId, MailboxName, Role, Uid, UidSet};

/// What putting messages of a mailbox back did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxRestored {
    /// Messages put back.
    pub added: u64,
    /// Messages that were there.
    pub there: u64,
    /// Those whose bytes the backup does not have as they were; they are not put back.
    pub damaged: Vec<Damaged>,
}

/// What makes two messages the same: their bytes.
type Content = (BlobHash, Bytes);

/// A message of the backup.
struct Missing {
    new: NewRow,
    /// Of its shared bytes.
    size: u32,
}

impl Account {
    /// Puts back what `into` lacks of the messages the mailbox `name` of `from`, an account of a
    /// backup, holds: compared by their bytes, with flags, keywords and INTERNALDATE, without
    /// `\Deleted`, with new uids. `into` is made if there is none.
    ///
    /// `same_line`: `from` is this very account as it was. Then what undelete has comes back by it,
    /// and POP3 unique ids are kept where no other message has them.
    ///
    /// # Errors
    /// `NotFound` when the backup has no such mailbox; `OverQuota`, `Limit`: what came back before
    /// stays, and doing it again goes on.
    pub fn restore_mailbox<'a>(
        &'a self,
        from: &'a Self,
        name: &'a MailboxName,
        into: &'a MailboxName,
        same_line: bool,
        meter: Meter<'a>,
    ) -> Boxed<'a, MailboxRestored> {
        Box::pin(async move {
            let tree = from.tree();
            let source = tree.find(name).ok_or_else(|| {
                MailError::not_found(format!("the backup has no mailbox {name} in this account"))
            })?;
            let role = source.role.filter(|_| name == into);
            let subscribed = tree.subscriptions.contains(name);
            let target = self.target(into, role, subscribed).await?;
            let (mut missing, mut there) = self.missing(from, source.id, &target).await?;
            let mut restored = MailboxRestored::default();
            if same_line && target.id == source.id && !missing.is_empty() {
                let wanted = Wanted {
                    mailbox: Some(into.clone()),
                    since: None,
                    uidls: Some(missing.iter().map(|one| one.new.row.uidl).collect()),
                };
                let undeleted = self.undelete(&wanted).await?;
                restored.added = undeleted.messages.iter().map(|(_, count)| count).sum();
                (missing, there) = self.missing(from, source.id, &target).await?;
            }
            restored.there = there - restored.added.min(there);
            let used = match same_line {
                true => Some(self.used_uidls().await?),
                false => None,
            };
            let total = missing.iter().map(|one| u64::from(one.size)).sum();
            let mut done = 0;
            for run in runs(&missing, |one| u64::from(one.size)) {
                self.put_run_back(from, run, &target, used.as_ref(), &mut restored)
                    .await?;
                done += run.iter().map(|one| u64::from(one.size)).sum::<u64>();
                meter(done, total)?;
            }
            Ok(restored)
        })
    }

    async fn target(
        &self,
        into: &MailboxName,
        role: Option<Role>,
        subscribed: bool,
    ) -> Result<Arc<Mailbox>, MailError> {
        if let Some(folder) = self.tree().find(into) {
            return self.0.existing(folder.id);
        }
        let role = role.filter(|role| self.tree().with_role(*role).is_none());
        let id = self.create(into, role).await?;
        if subscribed {
            self.subscribe(into, true).await?;
        }
        self.0.existing(id)
    }

    /// The messages of a mailbox of the backup that the target lacks, and how many it has.
    async fn missing(
        &self,
        from: &Self,
        source: MailboxId,
        target: &Arc<Mailbox>,
    ) -> Result<(Vec<Missing>, u64), MailError> {
        let mut here: HashMap<Content, u32> = HashMap::new();
        self.each_message(target.id, |_, email| {
            *here.entry(content(email)).or_default() += 1;
        })
        .await?;
        let (mut missing, mut there) = (Vec::new(), 0);
        from.each_message(source, |new, email| match here.get_mut(&content(email)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                there += 1;
            }
            _ => missing.push(Missing {
                new: new.clone(),
                size: email.blob.size,
            }),
        })
        .await?;
        Ok((missing, there))
    }

    /// Shows all messages of a mailbox with their emails.
    async fn each_message(
        &self,
        mailbox: MailboxId,
        mut visit: impl FnMut(&NewRow, &Email),
    ) -> Result<(), MailError> {
        let view = self.view_of(mailbox).await?;
        let rows: Vec<NewRow> = rows_of(&view, &UidSet::range(Uid::FIRST, Uid::MAX)).collect();
        for some in rows.chunks(256) {
            let ids: Vec<EmailId> = some.iter().map(|new| new.row.email).collect();
            for (new, email) in some.iter().zip(self.emails(&ids).await?) {
                // One without a record is damage of its own, which `verify` reports.
                if let Some(email) = email {
                    visit(new, &email);
                }
            }
        }
        Ok(())
    }

    /// A mailbox as it is on disk.
    async fn view_of(&self, mailbox: MailboxId) -> Result<View, MailError> {
        let validity = self.summary(mailbox)?.uid_validity;
        let loaded = snapshot::load(self.mail().meta(), self.id(), mailbox, validity).await?;
        Ok(loaded.view)
    }

    /// The POP3 unique ids of all messages, those that undelete can bring back included.
    async fn used_uidls(&self) -> Result<HashSet<u64>, MailError> {
        let mut used = HashSet::new();
        for mailbox in self.0.all_mailboxes() {
            let view = self.view_of(mailbox.id).await?;
            used.extend(view.rows().map(|row| row.uidl));
        }
        for (id, removal) in self.0.removals().await? {
            let (rows, _) = self.0.rows_of_removal(id, &removal).await?;
            used.extend(rows.iter().map(|new| new.row.uidl));
        }
        Ok(used)
    }

    async fn put_run_back(
        &self,
        from: &Self,
        run: &[Missing],
        target: &Arc<Mailbox>,
        used: Option<&HashSet<u64>>,
        restored: &mut MailboxRestored,
    ) -> Result<(), MailError> {
        let path = target.state().head.record.name.to_string();
        let ids: Vec<EmailId> = run.iter().map(|one| one.new.row.email).collect();
        let emails = from.emails(&ids).await?;
        let both = run.iter().zip(&emails);
        let both = both.filter_map(|(one, email)| Some((&one.new, email.as_ref()?)));
        let both: Vec<(&NewRow, &Email)> = both.collect();
        let origin = |new: &NewRow, email: &Email| Provenance {
            owners: vec![(self.id(), path.clone())],
            internal_date: new.row.internal_date,
            lines: vec![email.prefix().clone()],
        };
        let wanted = both.iter().map(|(new, email)| (*email, origin(new, email)));
        let wanted: Vec<(&Email, Provenance)> = wanted.collect();
        let taken = self.mail().take_over(from.mail(), &wanted).await?;
        let (mut messages, mut uidls, mut was) = (Vec::new(), Vec::new(), UidSet::new());
        for ((new, email), blob) in both.into_iter().zip(taken) {
            match blob {
                Err(error) => restored.damaged.push(damaged(email, &path, &error)),
                Ok(blob) => {
                    was.push(new.row.uid);
                    let uidl = new.row.uidl;
                    uidls.push(
                        used.is_some_and(|used| !used.contains(&uidl))
                            .then_some(uidl),
                    );
                    messages.push(again(new, email, blob));
                }
            }
        }
        let before = Messages {
            mailbox: target.id,
            name: path,
            uids: was,
        };
        restored.added += messages.len() as u64;
        self.append_again(target, &messages, &uidls, before).await
    }

    /// Appends messages with the POP3 unique ids they had.
    async fn append_again(
        &self,
        target: &Arc<Mailbox>,
        messages: &[NewMessage],
        uidls: &[Option<u64>],
        before: Messages,
    ) -> Result<(), MailError> {
        if messages.is_empty() {
            return Ok(());
        }
        let account = &self.0;
        let sizes = messages
            .iter()
            .map(|m| u64::from(m.content.size()) + m.prefix.len() as u64);
        let more = Load {
            messages: messages.len() as u64,
            bytes: sizes.sum(),
        };
        let mut writer = account.writer.lock().await;
        for _ in 0..ATTEMPTS {
            target.live()?;
            account.check_room(more, Load::default())?;
            account.load(target).await?;
            let threads = account.threads(messages).await?;
            let mut tx = Transaction::new(account, &mut writer);
            let mut rows = tx.new_rows(&mut writer, target, messages, &threads)?;
            for (new, uidl) in rows.iter_mut().zip(uidls) {
                new.row.uidl = uidl.unwrap_or(new.row.uidl);
            }
            let is = Messages {
                uids: rows.iter().map(|new| new.row.uid).collect(),
                ..before.clone()
            };
            tx.change(target, Change::Appended(rows))?;
            tx.note(self.actor(), Deed::Restored, is, Some(before.clone()));
            if let Some(pending) = tx.commit(&mut writer, true).await? {
                drop(writer);
                return pending.shown().await;
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }
}

fn content(email: &Email) -> Content {
    (email.blob.hash, email.prefix().clone())
}

fn again(new: &NewRow, email: &Email, blob: BlobRef) -> NewMessage {
    NewMessage {
        content: Ingested {
            blob,
            digest: email.digest[..].into(),
            crlf_extra: new.row.crlf_extra,
        },
        prefix: email.prefix().clone(),
        // As undelete does: IMAP removes what carries it.
        flags: new.row.flags.without(Flags::DELETED),
        keywords: new.keywords.clone(),
        internal_date: Some(new.row.internal_date),
    }
}
