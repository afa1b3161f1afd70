//! Delivery: the bytes once, then each recipient on its own.

use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;
use mail::{Account, Delivered, MailError, MailErrorKind, NewMessage, Provenance};

use types::{Flags, MailboxId};

use crate::envelope::Transaction;
use crate::recipient::{self, Folder, Recipient};
use crate::registry::Answer;
use crate::reply::Reply;
use crate::session::Session;

/// Recipients appended to at once: they share group commits.
const CONCURRENT: usize = 64;

/// Stores the message and answers for each recipient, in the order of the RCPTs (RFC 2033 4.2).
pub(crate) async fn deliver(
    session: &mut Session,
    transaction: Transaction,
    message: Bytes,
) -> Answer {
    let deps = &session.front.deps;
    let temporary = deps.settings.over_quota_temporary;
    let now = now();
    let (targets, target_of) = targets(&transaction.recipients);
    let owners = targets
        .iter()
        .map(|r| (r.account.id(), r.folder.name().to_string()))
        .collect();
    let prefixes: Vec<Bytes> = targets
        .iter()
        .map(|r| prefix(&transaction.sender.raw, &r.address))
        .collect();
    let origin = Provenance {
        owners,
        internal_date: now,
        lines: prefixes.clone(),
    };
    let replies: Vec<Reply> = match deps.mail.ingest(message, &origin).await {
        Ok(content) => {
            let mut deliveries = Vec::with_capacity(targets.len());
            for (&recipient, prefix) in targets.iter().zip(prefixes) {
                let message = NewMessage {
                    content: content.clone(),
                    prefix,
                    flags: Flags::NONE,
                    keywords: Vec::new(),
                    internal_date: Some(now),
                };
                let days = deps.settings.duplicate_days;
                deliveries.push(append(recipient.clone(), message, days));
            }
            let results = append_all(deliveries).await;
            let reply = |result: Result<Delivered, MailError>| match result {
                Ok(Delivered::Appended(_)) => Reply::DELIVERED,
                Ok(Delivered::Repeated) => Reply::REPEATED,
                Err(error) => Reply::of(&error, temporary),
            };
            results.into_iter().map(reply).collect()
        }
        Err(error) => vec![Reply::of(&error, temporary); targets.len()],
    };
    let delivered = replies.iter().filter(|reply| reply.is_positive()).count();
    session.front.delivered.inc_by(delivered as u64);
    session
        .front
        .rejected
        .inc_by((replies.len() - delivered) as u64);
    let missing = Reply::UNAVAILABLE;
    let of = |target: usize| replies.get(target).unwrap_or(&missing);
    Ok(session.answer_each(target_of.into_iter().map(of)))
}

/// The recipients that name different mailboxes, and for each recipient which of them it is: who is
/// named twice gets one copy and two replies.
fn targets(recipients: &[Recipient]) -> (Vec<&Recipient>, Vec<usize>) {
    let mut targets: Vec<&Recipient> = Vec::new();
    let mut known = std::collections::HashMap::new();
    let mut target_of = Vec::with_capacity(recipients.len());
    for recipient in recipients {
        let key = (recipient.account.id(), recipient.folder.name());
        let index = *known.entry(key).or_insert_with(|| {
            targets.push(recipient);
            targets.len() - 1
        });
        target_of.push(index);
    }
    (targets, target_of)
}

/// RFC 5321 4.4: the final delivery adds Return-Path; Delivered-To tells why the message is here.
fn prefix(sender: &str, recipient: &str) -> Bytes {
    format!("Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n").into()
}

/// Each in a task of its own if there are several: who waits for the disk waits in place.
async fn append_all(
    mut deliveries: Vec<impl Future<Output = Result<Delivered, MailError>> + Send + 'static>,
) -> Vec<Result<Delivered, MailError>> {
    if deliveries.len() == 1
        && let Some(only) = deliveries.pop()
    {
        return vec![only.await];
    }
    let abandoned = |_| MailError::new(MailErrorKind::Unavailable, "a delivery was abandoned");
    futures::stream::iter(deliveries)
        .map(|delivery| async move { tokio::spawn(delivery).await.map_err(abandoned)? })
        .buffered(CONCURRENT)
        .collect()
        .await
}

/// Appends to the recipient's folder; to INBOX if that was deleted since RCPT.
async fn append(
    recipient: Recipient,
    message: NewMessage,
    days: u16,
) -> Result<Delivered, MailError> {
    let account = &recipient.account;
    let mailbox = match &recipient.folder {
        Folder::Existing(id, _) => *id,
        Folder::New(name) => match account.create(name, None).await {
            Ok(id) => id,
            Err(error) if error.kind == MailErrorKind::Exists => match account.tree().find(name) {
                Some(folder) => folder.id,
                None => inbox(account)?,
            },
            // No room for another folder is no reason to lose mail.
            Err(error) if error.kind == MailErrorKind::Limit => inbox(account)?,
            Err(error) => return Err(error),
        },
    };
    match account.deliver(mailbox, message.clone(), days).await {
        Err(error) if matches!(error.kind, MailErrorKind::NotFound | MailErrorKind::Gone) => {
            let inbox = inbox(account)?;
            account.deliver(inbox, message, days).await
        }
        result => result,
    }
}

fn inbox(account: &Account) -> Result<MailboxId, MailError> {
    match recipient::inbox(account)? {
        Folder::Existing(id, _) => Ok(id),
        Folder::New(name) => Err(MailError::new(MailErrorKind::Unavailable, name.to_string())),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
