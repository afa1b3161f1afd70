//! What deleting over POP3 does (DESIGN 5.2, 5.4): a policy decides, and the end of a session is
//! one durable commit.

use crate::account::{AccountInner, Writer};
use crate::chunk::Hidden;
use crate::edit::{ATTEMPTS, Transaction};
use crate::journal::{Change, FlagChange};
use crate::mailbox::Mailbox;
use crate::messages::{Transfer, contention};
use crate::selected::Plan;
use crate::{Actor, Boxed, MailError, MailErrorKind, Selected, View};
use bytes::Bytes;
use std::sync::Arc;
use storage::Batch;
use types::{FlagOp, Flags, MailboxName, Pop3Policy, Role, UidSet};

/// What the end of a POP3 session does.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// Messages the client has retrieved: they become `\Seen` as far as they stay.
    pub seen: &'a UidSet,
    /// Messages the client has deleted.
    pub delete: &'a UidSet,
    /// What that means.
    pub policy: &'a Pop3Policy,
}

/// What it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The deleted messages that were still there.
    pub deleted: UidSet,
}

/// What a policy comes down to for one mailbox.
enum Fate {
    Remove,
    Move(Arc<Mailbox>),
    Hide(Hidden),
}

pub(crate) const DAY: i64 = 86_400;

impl Selected {
    /// Ends a POP3 session: what was retrieved is `\Seen`, what was deleted goes where the policy
    /// says, all of it in one commit that is durable when this returns. Messages that are gone are
    /// passed over. A full account, or a mailbox that cannot be made, never keeps a message from
    /// being deleted.
    ///
    /// # Errors
    /// `Gone` when the mailbox was deleted; otherwise trouble of the store. Nothing was done then,
    /// except that the mailbox a policy names may have been made.
    pub fn update<'a>(&'a self, update: Update<'a>) -> Boxed<'a, Updated> {
        Box::pin(async move {
            let (account, mailbox) = (self.account(), self.mailbox());
            let mut writer = account.writer.lock().await;
            for _ in 0..ATTEMPTS {
                mailbox.live()?;
                account.load(mailbox).await?;
                let fate = if self.view().existing(update.delete).is_empty() {
                    Fate::Remove
                } else {
                    account.fate(&mut writer, mailbox, update.policy).await?
                };
                let source = Transaction::new(account, &mut writer).view(mailbox)?;
                let deleted = source.existing(update.delete);
                if let Fate::Move(target) = &fate
                    && source.rows_in(&deleted).any(|(_, row)| row.keywords != 0)
                {
                    account.load(target).await?;
                }
                let mut tx = Transaction::new(account, &mut writer);
                let before = source.modseq();
                tx.mark_seen(mailbox, &source, update.seen, &deleted, &fate)?;
                tx.dispose(&mut writer, mailbox, &deleted, &fate, self.actor())
                    .await?;
                if tx.is_empty() {
                    drop(writer);
                    mailbox.wait_shown(before).await?;
                    return Ok(Updated { deleted });
                }
                if let Some(pending) = tx.commit(&mut writer, true).await? {
                    drop(writer);
                    pending.shown().await?;
                    return Ok(Updated { deleted });
                }
                account.refresh(&mut writer).await?;
            }
            Err(contention())
        })
    }
}

impl AccountInner {
    /// What a policy means for messages of `from`. Makes the mailbox it names.
    async fn fate(
        &self,
        writer: &mut Writer,
        from: &Arc<Mailbox>,
        policy: &Pop3Policy,
    ) -> Result<Fate, MailError> {
        let target = match policy {
            Pop3Policy::Delete => return Ok(Fate::Remove),
            Pop3Policy::Keep => return Ok(Fate::Hide(Hidden::FOREVER)),
            Pop3Policy::KeepDays(days) => {
                let until = crate::engine::now() + i64::from(days.get()) * DAY;
                return Ok(Fate::Hide(Hidden::until(until)));
            }
            Pop3Policy::Trash => self.trash(writer).await,
            Pop3Policy::Archive(name) => self.find_or_make(writer, name, None).await,
        };
        match target {
            // Deleting out of Trash is for good, out of the archive it is not.
            Ok(target) if target.id == from.id => match policy {
                Pop3Policy::Trash => Ok(Fate::Remove),
                _ => Ok(Fate::Hide(Hidden::FOREVER)),
            },
            Ok(target) => Ok(Fate::Move(target)),
            Err(error) if error.is_internal() => Err(error),
            // Nothing is lost, and the client is rid of the message.
            Err(error) => {
                tracing::warn!(account = %self.id, %policy, %error, "hidden instead of moved");
                Ok(Fate::Hide(Hidden::FOREVER))
            }
        }
    }

    /// The mailbox for deleted messages: the one with that special use, or the one of that name.
    async fn trash(&self, writer: &mut Writer) -> Result<Arc<Mailbox>, MailError> {
        if let Some((_, folder)) = self.tree().with_role(Role::Trash) {
            return self.existing(folder.id);
        }
        let name = MailboxName::new(Role::Trash.name())
            .map_err(|error| MailError::new(MailErrorKind::Invalid, error.to_string()))?;
        self.find_or_make(writer, &name, Some(Role::Trash)).await
    }
}

impl Transaction<'_> {
    /// `\Seen` for what was retrieved and stays; what was deleted and moves along gets it there.
    fn mark_seen(
        &mut self,
        mailbox: &Arc<Mailbox>,
        view: &View,
        seen: &UidSet,
        deleted: &UidSet,
        fate: &Fate,
    ) -> Result<(), MailError> {
        let mark = FlagChange {
            op: FlagOp::Add,
            flags: Flags::SEEN,
            keywords: Vec::new(),
        };
        let marked = match fate {
            Fate::Remove => Plan::new(view, &seen.difference(deleted), &mark, None),
            Fate::Move(_) | Fate::Hide(_) => Plan::new(view, seen, &mark, None),
        };
        if !marked.changing.is_empty() {
            self.change(mailbox, Change::Flagged(marked.changing, mark))?;
        }
        Ok(())
    }

    /// Carries out what DELE means.
    async fn dispose(
        &mut self,
        writer: &mut Writer,
        mailbox: &Arc<Mailbox>,
        deleted: &UidSet,
        fate: &Fate,
        by: &Actor,
    ) -> Result<(), MailError> {
        if deleted.is_empty() {
            return Ok(());
        }
        // With the flags just set.
        let view = self.edit(mailbox).view.clone();
        let view = view.ok_or_else(|| MailError::corrupt("a view that was loaded is gone"))?;
        self.count_deletions(&view, deleted).await?;
        match fate {
            Fate::Remove => {
                self.remove(writer, mailbox, deleted, by)?;
            }
            Fate::Move(target) => {
                let rows = self.transferred(writer, &view, deleted, target, Transfer::Move)?;
                let new: UidSet = rows.iter().map(|new| new.row.uid).collect();
                self.change(target, Change::Appended(rows))?;
                self.change(mailbox, Change::Expunged(deleted.clone()))?;
                self.note_move(by, (mailbox, deleted), (target, &new));
            }
            Fate::Hide(hidden) => {
                // What another session has hidden meanwhile keeps its time.
                let shown = view.rows_in(deleted).map(|(_, row)| row);
                let shown = shown.filter(|row| !row.hidden.is_hidden());
                let shown: UidSet = shown.map(|row| row.uid).collect();
                if !shown.is_empty() {
                    self.change(mailbox, Change::Hidden(shown, *hidden))?;
                }
                if let Some(at) = hidden.removed_at() {
                    self.note_due(mailbox, at).await?;
                }
            }
        }
        Ok(())
    }
}

/// A row that must still be what was read.
pub(crate) fn require(batch: &mut Batch, key: &Bytes, value: Option<Bytes>) {
    match value {
        Some(value) => batch.require(key.clone(), value),
        None => batch.require_absent(key.clone()),
    };
}
