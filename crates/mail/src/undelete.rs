//! Undelete: what was removed within the window, and how it comes back.

use crate::account::{AccountInner, Writer};
use crate::chunk::Hidden;
use crate::edit::{ATTEMPTS, Transaction};
use crate::history::{Deed, Messages};
use crate::journal::{Change, NewRow};
use crate::mailbox::Mailbox;
use crate::messages::{FreshUids, contention};
use crate::removal::{Removal, RemovalId, Taken, delete_rows, write_rows};
use crate::{Account, Actor, Boxed, Load, MailError, MailErrorKind, Row, keys};
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{Flags, MailboxId, MailboxName, Uid, UidSet};

/// A message that undelete can bring back.
#[derive(Clone, Debug)]
pub struct Removed {
    /// When it was removed, in seconds since 1970 UTC.
    pub at: i64,
    /// By whom.
    pub by: Actor,
    /// What its mailbox was called.
    pub mailbox: String,
    /// Whether it went with its mailbox.
    pub with_mailbox: bool,
    /// What the mailbox knew of it.
    pub row: Row,
}

/// Which removed messages are meant; each that is `Some` must fit.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of the mailbox that was called so.
    pub mailbox: Option<MailboxName>,
    /// Those removed at this time or later, in seconds since 1970 UTC.
    pub since: Option<i64>,
    /// Those with these POP3 unique ids ([`Row::uidl`]).
    pub uidls: Option<BTreeSet<u64>>,
}

/// What an undelete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Messages put back, by mailbox.
    pub messages: Vec<(String, u64)>,
}

impl Wanted {
    fn fits(&self, id: RemovalId, removal: &Removal) -> bool {
        let named = self.mailbox.as_ref().map(MailboxName::as_str);
        named.is_none_or(|name| name == removal.name)
            && self.since.is_none_or(|since| id.at >= since)
    }

    fn takes(&self, row: &Row) -> bool {
        self.uidls
            .as_ref()
            .is_none_or(|uidls| uidls.contains(&row.uidl))
    }
}

impl Account {
    /// The messages undelete can bring back, newest removals first, at most `limit`.
    pub fn removed<'a>(&'a self, wanted: &'a Wanted, limit: usize) -> Boxed<'a, Vec<Removed>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for (id, removal) in self.0.removals().await?.into_iter().rev() {
                if !wanted.fits(id, &removal) {
                    continue;
                }
                let (rows, _) = self.0.rows_of_removal(id, &removal).await?;
                for new in rows.into_iter().filter(|new| wanted.takes(&new.row)) {
                    if found.len() >= limit {
                        return Ok(found);
                    }
                    found.push(Removed {
                        at: id.at,
                        by: removal.by.clone(),
                        mailbox: removal.name.clone(),
                        with_mailbox: removal.taken != Taken::Messages,
                        row: new.row,
                    });
                }
            }
            Ok(found)
        })
    }

    /// Where the message with a POP3 unique id is, or was until it was removed.
    pub async fn find_uidl(&self, uidl: u64) -> Result<Option<(MailboxId, Uid)>, MailError> {
        let folders: Vec<MailboxId> = self.tree().folders.values().map(|f| f.id).collect();
        for mailbox in folders {
            let view = self.select(mailbox).await?.view();
            if let Some(row) = view.rows().find(|row| row.uidl == uidl) {
                return Ok(Some((mailbox, row.uid)));
            }
        }
        for (id, removal) in self.0.removals().await? {
            let (rows, _) = self.0.rows_of_removal(id, &removal).await?;
            if let Some(new) = rows.iter().find(|new| new.row.uidl == uidl) {
                return Ok(Some((id.mailbox, new.row.uid)));
            }
        }
        Ok(None)
    }

    /// Brings messages back into their mailboxes: with a new uid, but the POP3 unique id (a new one
    /// if another message has it), flags and keywords they had, without `\Deleted`. A mailbox that
    /// is gone is made anew. Removals are brought back one after the other, each wholly or not at
    /// all. `OverQuota`, `Limit`; what came back before stays.
    pub fn undelete<'a>(&'a self, wanted: &'a Wanted) -> Boxed<'a, Restored> {
        Box::pin(async move {
            let mut restored = Restored::default();
            for (id, removal) in self.0.removals().await? {
                if !wanted.fits(id, &removal) {
                    continue;
                }
                if let Some((name, count)) = self.bring_back(id, wanted).await? {
                    let known = restored
                        .messages
                        .iter_mut()
                        .find(|(known, _)| *known == name);
                    match known {
                        Some((_, sum)) => *sum += count,
                        None => restored.messages.push((name, count)),
                    }
                }
            }
            Ok(restored)
        })
    }

    /// Brings back what is wanted of one removal. `None`: nothing is.
    async fn bring_back(
        &self,
        id: RemovalId,
        wanted: &Wanted,
    ) -> Result<Option<(String, u64)>, MailError> {
        let account = &self.0;
        for _ in 0..ATTEMPTS {
            let Some(removal) = account.removal(id).await? else {
                return Ok(None);
            };
            let (rows, parts) = account.rows_of_removal(id, &removal).await?;
            let (back, left): (Vec<NewRow>, Vec<NewRow>) =
                rows.into_iter().partition(|new| wanted.takes(&new.row));
            if back.is_empty() {
                return Ok(None);
            }
            let target = self.home(id, &removal).await?;
            let mut writer = account.writer.lock().await;
            if target.is_gone() {
                continue;
            }
            let more = Load {
                messages: back.len() as u64,
                bytes: bytes(&back),
            };
            account.check_room(more, Load::default())?;
            account.load(&target).await?;
            let ids = account.unique_ids().await?;
            let mut tx = Transaction::new(account, &mut writer);
            let view = tx.view(&target)?;
            let taken = ids.taken(back.iter().map(|new| &new.row), &view);
            let mut is = back.clone();
            for new in is
                .iter_mut()
                .filter(|new| taken.contains(&ids.of(&new.row)))
            {
                new.row.uidl = writer.ids.take(1, &mut tx.batch);
            }
            let was = (id, &removal);
            let messages = tx.put_back(&target, was, &back, is, self.actor())?;
            tx.keep_rest(&writer, id, &removal, &back, &left, parts);
            if let Some(pending) = tx.commit(&mut writer, true).await? {
                drop(writer);
                pending.shown().await?;
                return Ok(Some((messages, back.len() as u64)));
            }
            account.refresh(&mut writer).await?;
        }
        Err(contention())
    }

    /// Where the messages of a removal belong: their mailbox, whatever it is called now, or the
    /// one of the same name, made if there is none.
    async fn home(&self, id: RemovalId, removal: &Removal) -> Result<Arc<Mailbox>, MailError> {
        if let Some(mailbox) = self.0.mailbox(id.mailbox) {
            return Ok(mailbox);
        }
        let name = MailboxName::new(&removal.name)
            .map_err(|error| MailError::new(MailErrorKind::Invalid, error.0))?;
        if let Some(folder) = self.tree().find(&name) {
            return self.0.existing(folder.id);
        }
        let role = match &removal.taken {
            Taken::Mailbox { role, .. } => *role,
            Taken::Messages => None,
        };
        let role = role.filter(|role| self.tree().with_role(*role).is_none());
        match self.create(&name, role).await {
            Ok(mailbox) => self.0.existing(mailbox),
            Err(error) if error.kind == MailErrorKind::Exists => {
                let tree = self.tree();
                let folder = tree.find(&name).ok_or_else(contention)?;
                self.0.existing(folder.id)
            }
            Err(error) => Err(error),
        }
    }
}

fn bytes(rows: &[NewRow]) -> u64 {
    rows.iter().map(|new| u64::from(new.row.size)).sum()
}

impl AccountInner {
    async fn removal(&self, id: RemovalId) -> Result<Option<Removal>, MailError> {
        let header = self.mail.meta().get(self.id, &keys::removal(id)).await?;
        header.map(|header| Removal::decode(&header)).transpose()
    }
}

impl Transaction<'_> {
    /// Appends `rows`, which `back` of a removal become. Returns the name of the mailbox.
    fn put_back(
        &mut self,
        target: &Arc<Mailbox>,
        (id, removal): (RemovalId, &Removal),
        back: &[NewRow],
        mut rows: Vec<NewRow>,
        by: &Actor,
    ) -> Result<String, MailError> {
        let now = self.now();
        let mut fresh = FreshUids::of(&self.edit(target).record);
        for NewRow { row, .. } in &mut rows {
            *row = Row {
                uid: fresh.next()?,
                // IMAP removes what carries it: it would go again with the next EXPUNGE.
                flags: row.flags.without(Flags::DELETED),
                saved: now,
                hidden: Hidden::NO,
                ..*row
            };
        }
        let name = self.edit(target).record.name.to_string();
        let messages = Messages {
            mailbox: target.id,
            name: name.clone(),
            uids: rows.iter().map(|new| new.row.uid).collect(),
        };
        let before = Messages {
            mailbox: id.mailbox,
            name: removal.name.clone(),
            uids: back.iter().map(|new| new.row.uid).collect(),
        };
        self.change(target, Change::Appended(rows))?;
        self.note(by, Deed::Restored, messages, Some(before));
        Ok(name)
    }

    /// What did not come back of a removal stays removed.
    fn keep_rest(
        &mut self,
        writer: &Writer,
        id: RemovalId,
        removal: &Removal,
        back: &[NewRow],
        left: &[NewRow],
        parts: usize,
    ) {
        let key = keys::removal(id);
        self.batch.require(key.clone(), removal.encode());
        let mut rest = Removal {
            messages: left.len() as u64,
            bytes: bytes(left),
            ..removal.clone()
        };
        match &mut rest.taken {
            Taken::Messages if left.is_empty() => delete_rows(&mut self.batch, id, 0..parts),
            Taken::Messages => write_rows(&mut self.batch, id, left, parts),
            // The keys of the old mailbox are of no use any more.
            Taken::Mailbox { .. } if left.is_empty() => {
                self.batch.put(keys::tombstone(id.mailbox), &b""[..]);
                self.mark_garbage(writer);
            }
            Taken::Mailbox { restored, .. } => {
                let back: UidSet = back.iter().map(|new| new.row.uid).collect();
                *restored = restored.union(&back);
            }
        }
        match left.is_empty() {
            true => self.batch.delete(key),
            false => self.batch.put(key, rest.encode()),
        };
    }
}
