//! POP3 policies of accounts, and what a policy would have done.

use crate::codec::{Decoder, Encoder};
use crate::disposal::{DAY, require};
use crate::edit::{ATTEMPTS, Transaction};
use crate::messages::contention;
use crate::{Account, Mail, MailError, View, keys};
use bytes::Bytes;
use storage::{Batch, ErrorKind};
use types::{AccountId, KeepDays, Pop3Policy, UidSet};

impl Account {
    /// The account's own policy; `None`: what the settings say.
    pub async fn pop3_policy(&self) -> Result<Option<Pop3Policy>, MailError> {
        let text = self.0.read(keys::POP3_POLICY).await?;
        let parse = |text: Bytes| {
            let text = std::str::from_utf8(&text).ok();
            text.and_then(|text| text.parse().ok())
                .ok_or_else(|| MailError::corrupt("damaged POP3 policy"))
        };
        text.map(parse).transpose()
    }

    /// Sets the account's own policy, or goes back to the settings. Counts from the next login on.
    pub async fn set_pop3_policy(&self, policy: Option<&Pop3Policy>) -> Result<(), MailError> {
        if let Some(policy) = policy {
            self.mail().announce_pop3_policy(policy).await?;
        }
        let mut batch = Batch::new();
        match policy {
            Some(policy) => batch.put(keys::POP3_POLICY, policy.to_string().into_bytes()),
            None => batch.delete(keys::POP3_POLICY),
        };
        let commit = self.mail().meta().commit(self.id(), batch).await?;
        Ok(commit.durable().await?)
    }
}

impl Mail {
    /// Notes that an account or a credential may have this policy, before it has it, so that
    /// [`shortest_keep`](Self::shortest_keep) is never too long.
    pub async fn announce_pop3_policy(&self, policy: &Pop3Policy) -> Result<(), MailError> {
        let Some(days) = policy.keep_days() else {
            return Ok(());
        };
        for _ in 0..ATTEMPTS {
            let old = self
                .meta()
                .get(AccountId::SYSTEM, keys::POP3_POLICY)
                .await?;
            if let Some(old) = &old
                && decode_days(old)? <= days
            {
                return Ok(());
            }
            let mut batch = Batch::new();
            require(&mut batch, &Bytes::from_static(keys::POP3_POLICY), old);
            batch.put(keys::POP3_POLICY, days.get().to_be_bytes().to_vec());
            match self.meta().commit(AccountId::SYSTEM, batch).await {
                Ok(commit) => return Ok(commit.durable().await?),
                Err(error) if error.kind == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contention())
    }

    /// The fewest days any account or credential was ever told to keep messages for.
    pub async fn shortest_keep(&self) -> Result<Option<KeepDays>, MailError> {
        let noted = self
            .meta()
            .get(AccountId::SYSTEM, keys::POP3_POLICY)
            .await?;
        noted.map(|noted| decode_days(&noted)).transpose()
    }
}

fn decode_days(bytes: &[u8]) -> Result<KeepDays, MailError> {
    let days = <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes);
    days.and_then(KeepDays::new)
        .ok_or_else(|| MailError::corrupt("damaged shortest time of keeping"))
}

/// Days for which deletions are remembered.
const REMEMBER_DAYS: u32 = 400;

/// Messages and their octets as POP3 counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Octets.
    pub octets: u64,
}

impl Count {
    /// Adds so many.
    pub fn add(&mut self, messages: u64, octets: u64) {
        self.messages = self.messages.saturating_add(messages);
        self.octets = self.octets.saturating_add(octets);
    }

    fn encode(self) -> Bytes {
        let mut e = Encoder::default();
        e.uint(self.messages);
        e.uint(self.octets);
        e.0.into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, MailError> {
        let mut d = Decoder::new(bytes, "count of deletions");
        let (messages, octets) = (d.uint()?, d.uint()?);
        Ok(Self { messages, octets })
    }
}

/// What a policy would have made of the messages deleted over POP3 in some days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    /// Deleted by clients.
    pub deleted: Count,
    /// Of these: would have been removed by now.
    pub removed: Count,
    /// Would lie in the mailbox the policy names.
    pub moved: Count,
    /// Would still be there for IMAP, hidden from POP3.
    pub kept: Count,
}

impl Account {
    /// What `policy` would have made of the messages deleted over POP3 today and in the `days` days
    /// before; at most [`Mail::SIMULATED_DAYS`] are known.
    pub async fn simulate(&self, policy: &Pop3Policy, days: u32) -> Result<Simulation, MailError> {
        let today = day_of(crate::engine::now());
        let scan = keys::deletions_between(today.saturating_sub(days), today.saturating_add(1));
        let mut simulation = Simulation::default();
        crate::snapshot::each(self.mail().meta(), self.id(), scan, |(key, value)| {
            let day = keys::day_of(key).ok_or_else(|| MailError::corrupt("damaged day"))?;
            let Count { messages, octets } = Count::decode(value)?;
            let kept_days = today.saturating_sub(day);
            let fate = match policy {
                Pop3Policy::Delete => &mut simulation.removed,
                Pop3Policy::Trash | Pop3Policy::Archive(_) => &mut simulation.moved,
                Pop3Policy::KeepDays(keep) if kept_days > u32::from(keep.get()) => {
                    &mut simulation.removed
                }
                Pop3Policy::Keep | Pop3Policy::KeepDays(_) => &mut simulation.kept,
            };
            fate.add(messages, octets);
            simulation.deleted.add(messages, octets);
            Ok(())
        })
        .await?;
        Ok(simulation)
    }
}

impl Mail {
    /// Days of which [`Account::simulate`] knows.
    pub const SIMULATED_DAYS: u32 = REMEMBER_DAYS;
}

impl Transaction<'_> {
    /// Counts today's deletions, for [`Account::simulate`].
    pub(crate) async fn count_deletions(
        &mut self,
        view: &View,
        deleted: &UidSet,
    ) -> Result<(), MailError> {
        let today = day_of(self.now());
        let key = keys::deletions(today);
        let old = self.account().read(&key).await?;
        let mut count = old.as_deref().map_or(Ok(Count::default()), Count::decode)?;
        if old.is_none() {
            // A new day: an old one goes.
            let (meta, id) = (self.account().mail.meta(), self.account().id);
            let scan = keys::deletions_between(0, today.saturating_sub(REMEMBER_DAYS));
            for (key, _) in meta.scan(id, scan).await?.entries {
                self.batch.delete(key);
            }
        }
        for (_, row) in view.rows_in(deleted) {
            count.add(1, row.pop3_size());
        }
        require(&mut self.batch, &key, old);
        self.batch.put(key, count.encode());
        Ok(())
    }
}

/// Days since 1970 UTC.
fn day_of(seconds: i64) -> u32 {
    u32::try_from(seconds.div_euclid(DAY)).unwrap_or(0)
}
