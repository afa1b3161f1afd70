//! `gatepost history`.

use super::existing;
use crate::time;
use mail::{Account, Actor, Deed, Event, Mail, MailError, MailErrorKind, Messages};
use types::{MailboxId, MailboxName, Uid};

pub(super) async fn history(
    mail: &Mail,
    name: &str,
    message: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, MailError> {
    let (_, account) = existing(mail, name).await?;
    let events = account.history().await?;
    let chosen: Vec<&Event> = match message {
        None => events.iter().collect(),
        Some(message) => {
            let (mailbox, uid) = place(&account, &events, message).await?;
            mail::follow(&events, mailbox, uid)
        }
    };
    let newest = chosen.len().saturating_sub(limit);
    let mut lines = Vec::new();
    for event in &chosen[newest..] {
        lines.push(line(mail, &account, event).await?);
    }
    Ok(lines)
}

/// Where a message is or was: `MAILBOX/UID`, or a POP3 unique id.
async fn place(
    account: &Account,
    events: &[Event],
    message: &str,
) -> Result<(MailboxId, Uid), MailError> {
    let unknown = || MailError::new(MailErrorKind::NotFound, format!("no message {message}"));
    if let Some((mailbox, uid)) = message.rsplit_once('/') {
        let uid = uid.parse().ok().and_then(Uid::new).ok_or_else(unknown)?;
        let name = MailboxName::new(mailbox).map_err(|_| unknown())?;
        if let Some(folder) = account.tree().find(&name) {
            return Ok((folder.id, uid));
        }
        // A mailbox that is gone is known by what happened in it.
        let all = events
            .iter()
            .rev()
            .flat_map(|event| [Some(&event.messages), event.other.as_ref()])
            .flatten();
        let mut named = all.filter(|messages| messages.name == name.as_str());
        return Ok((named.next().ok_or_else(unknown)?.mailbox, uid));
    }
    let ids = account.unique_ids().await?;
    let number = ids.number_of(message).ok_or_else(unknown)?;
    account.find_uidl(number).await?.ok_or_else(unknown)
}

async fn line(mail: &Mail, account: &Account, event: &Event) -> Result<String, MailError> {
    let mut line = format!(
        "{}\t{}\t{}",
        time::text(event.at),
        event.deed.name(),
        in_words(&event.messages)
    );
    if let Some(other) = &event.other {
        let how = match event.deed {
            Deed::Moved => "to",
            _ => "was",
        };
        line.push_str(&format!(" {how} {}", in_words(other)));
    }
    line.push('\t');
    line.push_str(&who(mail, account, &event.by).await?);
    Ok(line)
}

/// Octets of a set of uids that are printed.
const MAX_UIDS: usize = 200;

fn in_words(messages: &Messages) -> String {
    let Messages { name, uids, .. } = messages;
    let mut set = uids.to_string();
    if set.len() > MAX_UIDS {
        set.truncate(MAX_UIDS);
        set.truncate(set.rfind(',').unwrap_or(MAX_UIDS));
        set.push_str(&format!(",... ({} messages)", uids.len()));
    }
    format!("{name} uid {set}")
}

/// Door, credential and address.
pub(super) async fn who(mail: &Mail, account: &Account, by: &Actor) -> Result<String, MailError> {
    let mut words = by.door.to_string();
    // Somebody else, by a right granted to them.
    if let Some(user) = by.user.filter(|user| *user != account.id()) {
        let name = mail.account_name(user).await?;
        words.push_str(" user ");
        words.push_str(&name.unwrap_or_else(|| user.to_string()));
    }
    if by.user.is_some() {
        match &*by.label {
            "" => words.push_str(" password"),
            label => words.push_str(&format!(" app-password {label}")),
        }
    }
    if let Some(peer) = by.peer {
        words.push_str(&format!(" from {peer}"));
    }
    Ok(words)
}
