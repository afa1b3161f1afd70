//! `gatepost undelete`.

use super::existing;
use super::history::who;
use crate::time;
use bytes::BytesMut;
use mail::{Mail, MailError, MailErrorKind, Removed, UniqueIds, Wanted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use types::MailboxName;

/// Which removed messages are meant.
#[derive(Debug, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct Which {
    /// Those that were in this mailbox
    #[arg(long)]
    pub(crate) mailbox: Option<String>,
    /// Those removed in the last so many hours
    #[arg(long)]
    pub(crate) hours: Option<u32>,
    /// Those with these POP3 unique ids, as `undelete list` shows them
    #[arg(long)]
    pub(crate) message: Vec<String>,
}

impl Which {
    fn wanted(&self, ids: &UniqueIds) -> Result<Wanted, MailError> {
        let invalid = |text: String| MailError::new(MailErrorKind::Invalid, text);
        let mailbox = self.mailbox.as_deref().map(MailboxName::new).transpose();
        let mut uidls = BTreeSet::new();
        for id in &self.message {
            uidls.insert(ids.number_of(id).ok_or_else(|| {
                invalid(format!(
                    "{id} is no unique id, see `gatepost undelete list`"
                ))
            })?);
        }
        let hours = self.hours.map(|hours| i64::from(hours) * 3600);
        Ok(Wanted {
            mailbox: mailbox.map_err(|error| invalid(format!("mailbox: {}", error.0)))?,
            since: hours.map(|seconds| time::now().saturating_sub(seconds)),
            uidls: (!uidls.is_empty()).then_some(uidls),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mailbox.is_none() && self.hours.is_none() && self.message.is_empty()
    }
}

pub(super) async fn list(
    mail: &Mail,
    name: &str,
    which: &Which,
    limit: usize,
) -> Result<Vec<String>, MailError> {
    let (_, account) = existing(mail, name).await?;
    let unique_ids = account.unique_ids().await?;
    let removed = account.removed(&which.wanted(&unique_ids)?, limit).await?;
    let mut lines = Vec::with_capacity(removed.len());
    for some in removed.chunks(256) {
        let ids: Vec<_> = some.iter().map(|removed| removed.row.email).collect();
        let emails = account.emails(&ids).await?;
        for (removed, email) in some.iter().zip(&emails) {
            let Removed {
                at,
                by,
                mailbox,
                with_mailbox,
                row,
            } = removed;
            let digest = email.as_ref().and_then(|email| email.digest());
            let subject = digest.map_or("", |digest| digest.subject());
            let how = if *with_mailbox {
                "deleted with its mailbox"
            } else {
                "removed"
            };
            let mut unique_id = BytesMut::new();
            unique_ids.write(row, &mut unique_id);
            lines.push(format!(
                "{}\t{mailbox}\t{how} {}\tby {}\t{} bytes\t{}",
                String::from_utf8_lossy(&unique_id),
                time::text(*at),
                who(mail, &account, by).await?,
                row.size,
                // A stranger's text on the operator's terminal.
                subject.replace(char::is_control, " ")
            ));
        }
    }
    Ok(lines)
}

pub(super) async fn restore(
    mail: &Mail,
    name: &str,
    which: &Which,
) -> Result<Vec<String>, MailError> {
    let (info, account) = existing(mail, name).await?;
    let wanted = which.wanted(&account.unique_ids().await?)?;
    let restored = account.undelete(&wanted).await?;
    if restored.messages.is_empty() {
        return Err(MailError::new(
            MailErrorKind::NotFound,
            "there is nothing of that kind to restore",
        ));
    }
    let lines = restored
        .messages
        .into_iter()
        .map(|(mailbox, count)| format!("{}: {count} messages restored to {mailbox}", info.name));
    Ok(lines.collect())
}
