//! `gatepost uidl adopt`: messages that came over from another server get the unique ids they had
//! there.

use super::fingerprint::Fingerprint;
use super::source::Protocol;
use super::{Known, Passwords, imap, pop3};
use crate::account::carry_out;
use crate::admin::Request;
use crate::cli::AdoptArgs;
use crate::failure::Failure;
use mail::{Email, Mail, MailError, MailErrorKind, Row, UniqueId};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use types::{MailboxName, Uid};

/// Headers read at once.
const BATCH: usize = 1024;

/// A message of the old server, as the store is asked for it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Old {
    fingerprint: Fingerprint,
    unique_id: String,
}

pub(super) async fn run(args: AdoptArgs, passwords: &mut Passwords) -> Result<(), Failure> {
    let password = passwords.next()?;
    let roots = args.ca.as_deref();
    let known = match (args.from.protocol, &args.format) {
        (Protocol::Pop3, None) => pop3::list(&args.from, &password, roots).await?,
        (Protocol::Imap, Some(format)) => imap::list(&args.from, &password, roots, format).await?,
        (Protocol::Pop3, Some(_)) => {
            return Err(Failure::refused(
                "a POP3 server tells its unique ids: leave --format out",
            ));
        }
        (Protocol::Imap, None) => {
            return Err(Failure::refused(
                "say by --format how the old server made unique ids",
            ));
        }
    };
    let old = |known: Known| Old {
        fingerprint: known.fingerprint,
        unique_id: String::from_utf8_lossy(&known.unique_id).into_owned(),
    };
    let request = Request::UidlAdopt {
        name: args.named.name,
        mailbox: args.mailbox,
        messages: known.into_iter().map(old).collect(),
    };
    carry_out(&args.named.config, request).await
}

/// Gives the messages of a mailbox that are among `old` their unique ids; of several alike the
/// first gets the first.
pub(crate) async fn adopt(
    mail: &Mail,
    name: &str,
    mailbox: &str,
    old: &[Old],
) -> Result<Vec<String>, MailError> {
    let missing = |what: String| MailError::new(MailErrorKind::NotFound, what);
    let info = mail.find_account(name).await?;
    let info = info.ok_or_else(|| missing(format!("there is no account {name}")))?;
    let account = mail.account(info.id).await?;
    let folder = MailboxName::new(mailbox)
        .ok()
        .and_then(|name| account.tree().find(&name).map(|folder| folder.id))
        .ok_or_else(|| missing(format!("{name} has no mailbox {mailbox}")))?;
    let mut wanted: HashMap<Fingerprint, VecDeque<UniqueId>> = HashMap::new();
    for message in old {
        let id = UniqueId::new(message.unique_id.as_bytes()).ok_or_else(|| {
            let text = format!("`{}` is no unique id of POP3", message.unique_id);
            MailError::new(MailErrorKind::Invalid, text)
        })?;
        wanted.entry(message.fingerprint).or_default().push_back(id);
    }
    let selected = account.select(folder).await?;
    let view = selected.view();
    let rows: Vec<Row> = view.rows().collect();
    let mut adopted: Vec<(Uid, UniqueId)> = Vec::new();
    for rows in rows.chunks(BATCH) {
        let ids: Vec<_> = rows.iter().map(|row| row.email).collect();
        for (row, email) in rows.iter().zip(account.emails(&ids).await?) {
            let Some(email) = email else { continue };
            let fingerprint = Fingerprint::of(&header(mail, &email).await?);
            if let Some(id) = wanted.get_mut(&fingerprint).and_then(VecDeque::pop_front) {
                adopted.push((row.uid, id));
            }
        }
    }
    selected.adopt_unique_ids(&adopted).await?;
    let (all, taken) = (old.len(), adopted.len());
    Ok(vec![
        format!("{taken} messages have the unique ids they had"),
        format!("{} of the old server are not in {mailbox}", all - taken),
        format!(
            "{} in {mailbox} are not on the old server",
            rows.len() - taken
        ),
    ])
}

async fn header(mail: &Mail, email: &Email) -> Result<Vec<u8>, MailError> {
    let end = email
        .digest()
        .map_or(email.blob.size, |digest| digest.header_len());
    let mut header = email.prefix().to_vec();
    header.extend_from_slice(&mail.content_range(email, 0..end).await?);
    Ok(header)
}
