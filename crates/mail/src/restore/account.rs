//! An account put back whole, as it was, into a store that may be in use: under a number nobody has
//! had, and a name that appears only when everything is there.

use super::numbers::jump;
use super::{Damaged, Meter, damaged, runs};
use crate::directory::check_name;
use crate::edit::ATTEMPTS;
use crate::messages::contention;
use crate::policy::PolicyOf;
use crate::snapshot::{self, each};
use crate::{
    AccountInfo, Boxed, Email, Mail, MailError, MailErrorKind, acl, actor, annotations, email, keys,
};
use bytes::Bytes;
use std::collections::HashMap;
use storage::{Batch, Entry, Provenance, Scan};
use types::{AccountId, EmailId, MailboxId};

/// What putting an account back did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountRestored {
    /// Emails that are there with their bytes.
    pub emails: u64,
    /// Those whose bytes the backup does not have as they were; they are in their mailboxes, and
    /// answer as damaged messages do.
    pub damaged: Vec<Damaged>,
}

/// While it lives the sweep leaves the account alone.
struct Unfinished<'a>(&'a Mail, AccountId);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.restoring().remove(&self.1);
    }
}

/// What becomes of the numbers of accounts: those of a backup mean nobody here.
struct Numbers {
    old: AccountId,
    new: AccountId,
    others: HashMap<AccountId, AccountId>,
}

impl Numbers {
    fn of(&self, id: AccountId) -> Option<AccountId> {
        match id == self.old {
            true => Some(self.new),
            false => self.others.get(&id).copied(),
        }
    }
}

impl Mail {
    /// Puts the account `name` of a backup back as `new_name`: mailboxes with their uids and flags,
    /// POP3 unique ids, subscriptions, annotations, the rights it gives, its password, app
    /// passwords, quota and policies, what undelete can bring back, its history. Accounts that it
    /// names are known by their names; who is not here is left out. What others gave it is not part
    /// of it. Nobody can see it before it is complete; after an error or a crash there is nothing.
    ///
    /// `taken` is when the backup was taken, in seconds since 1970 UTC.
    ///
    /// # Errors
    /// `NotFound` when the backup has no such account, `Exists` when the new name is taken.
    pub fn restore_account<'a>(
        &'a self,
        from: &'a Self,
        name: &'a str,
        new_name: &'a str,
        taken: i64,
        meter: Meter<'a>,
    ) -> Boxed<'a, AccountRestored> {
        Box::pin(async move {
            check_name(new_name)?;
            let source = from.find_account(name).await?;
            let source = source
                .ok_or_else(|| MailError::not_found(format!("the backup has no account {name}")))?;
            let taken_name = || {
                let text = format!("an account {new_name} exists");
                MailError::new(MailErrorKind::Exists, text)
            };
            if self.find_account(new_name).await?.is_some() {
                return Err(taken_name());
            }
            let id = self.reserve_account().await?;
            self.restoring().insert(id);
            let _unfinished = Unfinished(self, id);
            let info = AccountInfo {
                id,
                name: new_name.to_owned(),
                ..source.clone()
            };
            let filled = self.fill_account(from, source.id, id, taken, meter).await;
            let named = match filled {
                Ok(restored) => self
                    .name_restored(&info)
                    .await
                    .and_then(|named| match named {
                        true => Ok(restored),
                        false => Err(taken_name()),
                    }),
                Err(error) => Err(error),
            };
            if let Err(error) = named {
                if let Err(second) = self.purge_account(id).await {
                    tracing::warn!(account = %id, error = %second, "left to the sweep");
                }
                return Err(error);
            }
            self.finish_restore_of(id).await?;
            named
        })
    }

    async fn reserve_account(&self) -> Result<AccountId, MailError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            let id = self.next_account(&mut batch).await?;
            if self.commit_durably(AccountId::SYSTEM, batch).await? {
                return Ok(id);
            }
        }
        Err(contention())
    }

    /// Everything but the name.
    async fn fill_account(
        &self,
        from: &Self,
        old: AccountId,
        new: AccountId,
        taken: i64,
        meter: Meter<'_>,
    ) -> Result<AccountRestored, MailError> {
        let mut batch = Batch::new();
        batch.put(keys::UNFINISHED, &b""[..]);
        self.meta().commit(new, batch).await?.durable().await?;
        let mut others = HashMap::new();
        for info in from.list_accounts().await? {
            if let Some(here) = self.find_account(&info.name).await? {
                others.insert(info.id, here.id);
            }
        }
        let numbers = Numbers { old, new, others };
        let restored = self.copy_emails(from, &numbers, meter).await?;
        self.copy_rest(from, &numbers).await?;
        annotations::recount(self.meta(), new).await?;
        jump(self.meta(), new, taken).await?;
        Ok(restored)
    }

    async fn copy_emails(
        &self,
        from: &Self,
        numbers: &Numbers,
        meter: Meter<'_>,
    ) -> Result<AccountRestored, MailError> {
        let (homes, names) = homes(from, numbers.old).await?;
        let all = || Scan::prefix(&b"e"[..], keys::PAGE);
        let (mut total, mut done) = (0, 0);
        each(from.meta(), numbers.old, all(), |(key, record)| {
            total += u64::from(decode(key, record)?.blob.size);
            Ok(())
        })
        .await?;
        let mut restored = AccountRestored::default();
        let mut scan = all();
        loop {
            let page = from.meta().scan(numbers.old, scan.clone()).await?;
            let decoded = page.entries.iter().map(|(key, record)| decode(key, record));
            let emails = decoded.collect::<Result<Vec<Email>, _>>()?;
            let both: Vec<(&Entry, &Email)> = page.entries.iter().zip(&emails).collect();
            for run in runs(&both, |(_, email)| u64::from(email.blob.size)) {
                let wanted: Vec<(&Email, Provenance)> = run
                    .iter()
                    .map(|(_, email)| (*email, origin(numbers.new, email, &homes, &names)))
                    .collect();
                let taken = self.take_over(from, &wanted).await?;
                let mut batch = Batch::new();
                for (((key, record), (email, origin)), blob) in
                    run.iter().map(|(entry, _)| *entry).zip(&wanted).zip(taken)
                {
                    let record = match blob {
                        Ok(blob) => email::moved(record, &blob)?,
                        Err(error) => {
                            let home = origin.owners.first().map_or("", |(_, path)| path);
                            restored.damaged.push(damaged(email, home, &error));
                            record.clone()
                        }
                    };
                    batch.put(key.clone(), record);
                    batch.link(email.blob.hash, email.id);
                    done += u64::from(email.blob.size);
                }
                restored.emails += run.len() as u64;
                self.meta().commit(numbers.new, batch).await?.relax();
                meter(done, total)?;
            }
            match page.entries.last() {
                Some((last, _)) if page.more => scan.start = snapshot::after(last),
                _ => break,
            }
        }
        restored.emails -= restored.damaged.len() as u64;
        Ok(restored)
    }

    /// All keys but those of emails, with the numbers that accounts have here.
    async fn copy_rest(&self, from: &Self, numbers: &Numbers) -> Result<(), MailError> {
        let mut scan = keys::everything();
        loop {
            let page = from.meta().scan(numbers.old, scan.clone()).await?;
            let mut batch = Batch::new();
            for (key, value) in &page.entries {
                if let Some((key, value)) = translated(key, value, numbers)? {
                    batch.put(key, value);
                }
            }
            self.meta().commit(numbers.new, batch).await?.relax();
            match page.entries.last() {
                Some((last, _)) if page.more => scan.start = snapshot::after(last),
                _ => return Ok(()),
            }
        }
    }

    /// Gives the account its name, if that is free still.
    async fn name_restored(&self, info: &AccountInfo) -> Result<bool, MailError> {
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            batch.require_absent(keys::account(&info.name));
            batch.put(keys::account(&info.name), info.encode());
            batch.put(keys::account_name(info.id), info.name.as_bytes().to_vec());
            if self.commit_noted(info, false, batch).await? {
                return Ok(true);
            }
            if self.find_account(&info.name).await?.is_some() {
                return Ok(false);
            }
        }
        Err(contention())
    }

    /// What is left to do for an account that has its name: what others must know of it.
    async fn finish_restore_of(&self, id: AccountId) -> Result<(), MailError> {
        self.hint_all(id).await?;
        let account = self.account(id).await?;
        let mut policies = vec![PolicyOf::Account];
        let credentials = account.credentials().await?;
        policies.extend(
            credentials
                .iter()
                .map(|known| PolicyOf::Credential(known.id)),
        );
        for of in policies {
            if let Some(policy) = account.pop3_policy(of).await? {
                self.announce_pop3_policy(&policy).await?;
            }
        }
        let mut batch = Batch::new();
        batch.delete(keys::UNFINISHED);
        self.meta().commit(id, batch).await?.durable().await?;
        Ok(())
    }

    /// Finishes, or takes away, what a crash left of an account that was being put back. `false`:
    /// it is none that may be looked at.
    pub(crate) async fn finish_restore(&self, id: AccountId) -> Result<bool, MailError> {
        // Before the mark is looked for: it goes before the number does.
        if self.restoring().contains(&id) {
            return Ok(false);
        }
        if self.meta().get(id, keys::UNFINISHED).await?.is_none() {
            return Ok(true);
        }
        if self.account_name(id).await?.is_some() {
            self.finish_restore_of(id).await?;
            return Ok(true);
        }
        // Another process may be at work; its own sweep will see to it.
        if self.meta().is_exclusive() {
            tracing::warn!(account = %id, "a restore was not finished: what it left is removed");
            self.purge_account(id).await?;
        }
        Ok(false)
    }
}

fn decode(key: &Bytes, record: &Bytes) -> Result<Email, MailError> {
    let id = keys::id_of(key).ok_or_else(|| MailError::corrupt("damaged email key"))?;
    Email::decode(EmailId(id), record)
}

/// For each email a mailbox it is in, as a number into the second list, and its internal date.
type Homes = HashMap<EmailId, (usize, i64)>;

async fn homes(from: &Mail, account: AccountId) -> Result<(Homes, Vec<String>), MailError> {
    let (mut homes, mut names) = (Homes::new(), Vec::new());
    let account = from.account(account).await?;
    for (name, folder) in &account.tree().folders {
        let validity = account.summary(folder.id)?.uid_validity;
        let loaded = snapshot::load(from.meta(), account.id(), folder.id, validity).await?;
        for row in loaded.view.rows() {
            homes
                .entry(row.email)
                .or_insert((names.len(), row.internal_date));
        }
        names.push(name.to_string());
    }
    Ok((homes, names))
}

fn origin(owner: AccountId, email: &Email, homes: &Homes, names: &[String]) -> Provenance {
    let home = homes.get(&email.id).copied();
    let name = home.and_then(|(at, _)| names.get(at).cloned());
    Provenance {
        owners: name.into_iter().map(|name| (owner, name)).collect(),
        internal_date: home.map_or(0, |(_, date)| date),
        lines: vec![email.prefix().clone()],
    }
}

/// A row as it is here; `None` for one that has no meaning here.
fn translated(
    key: &Bytes,
    value: &Bytes,
    numbers: &Numbers,
) -> Result<Option<(Bytes, Bytes)>, MailError> {
    let number = |id| numbers.of(id);
    let damaged = || MailError::corrupt("damaged key");
    let same = |value| Ok(Some((key.clone(), value)));
    match key.first() {
        // Copied with their bytes; who shares with this account shared with another number; this
        // account has a mark of its own.
        Some(b'e' | b'o' | b'X') => Ok(None),
        Some(b'l') => {
            let list = acl::renumbered(value, number)?;
            Ok(list.map(|list| (key.clone(), list)))
        }
        Some(b'a') => {
            let mailbox = keys::id_of(key).ok_or_else(damaged)?;
            let (owner, name) = keys::annotation_parts(key).ok_or_else(damaged)?;
            let owner = match owner {
                0 => Some(AccountId(0)),
                owner => number(AccountId(owner)),
            };
            Ok(owner.map(|owner| {
                let key = keys::annotation(MailboxId(mailbox), owner.0, &name);
                (key, value.clone())
            }))
        }
        Some(b'Y') => {
            let (owner, mailbox) = keys::access_key_parts(key).ok_or_else(damaged)?;
            // Mailboxes of others have other numbers here.
            let own = owner == numbers.old;
            Ok(own.then(|| (keys::access_key(numbers.new, mailbox), value.clone())))
        }
        // Behind version and, of an event, the mark of the part and the deed.
        Some(b'D') => same(actor::renumbered(value, 1, number)?),
        Some(b'H') if keys::event_parts(key).is_some_and(|(_, part)| part == 0) => {
            same(actor::renumbered(value, 3, number)?)
        }
        _ => same(value.clone()),
    }
}
