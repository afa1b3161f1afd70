//! Copying and moving messages from one account to another. A commit touches one account (DESIGN
//! 3.3), so this is an append there and, for a move, an expunge here afterwards: nothing can be
//! lost, and a crash in between leaves the messages in both.

use crate::messages::Transfer;
use crate::{
    Account, Copied, Email, Ingested, MailError, MailErrorKind, NewMessage, Row, Selected,
};
use types::{EmailId, MailboxId, UidSet};

/// Emails that are read at once.
const PAGE: usize = 256;
/// Bytes of digests of one transfer: all messages go into one batch, of which the store takes no
/// more than 64 MiB.
const MAX_DIGESTS: usize = 48 << 20;

impl Account {
    pub(crate) async fn transfer_between(
        &self,
        from: &Selected,
        uids: &UidSet,
        to: MailboxId,
        how: Transfer,
    ) -> Result<Copied, MailError> {
        let target = self.0.existing(to)?;
        from.mailbox().live()?;
        let view = from.view();
        let rows: Vec<Row> = view.rows_in(uids).map(|(_, row)| row).collect();
        let (mut messages, mut taken, mut digests) = (Vec::new(), UidSet::new(), 0);
        for rows in rows.chunks(PAGE) {
            let ids: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
            for (row, email) in rows.iter().zip(from.emails(&ids).await?) {
                // Expunged so long ago that its bytes may be gone.
                let Some(email) = email else { continue };
                digests += email.digest.len();
                if digests > MAX_DIGESTS {
                    return Err(MailError::new(
                        MailErrorKind::Limit,
                        "too many messages at once for another account",
                    ));
                }
                let keywords = view.keywords_of(row.keywords).cloned().collect();
                messages.push(NewMessage {
                    flags: row.flags,
                    keywords,
                    internal_date: Some(row.internal_date),
                    ..of(&email, row)
                });
                taken.push(row.uid);
            }
        }
        if messages.is_empty() {
            let uid_validity = target.summary().uid_validity;
            return Ok(Copied {
                uid_validity,
                from: UidSet::new(),
                to: UidSet::new(),
            });
        }
        let appended = self.append(to, messages).await?;
        if how == Transfer::Move {
            from.expunge(&taken).await?;
        }
        Ok(Copied {
            uid_validity: appended.uid_validity,
            from: taken,
            to: appended.uids,
        })
    }
}

/// The content of an email as a new message: its bytes are stored already, and its link keeps them
/// while it is there.
fn of(email: &Email, row: &Row) -> NewMessage {
    NewMessage {
        content: Ingested {
            blob: email.blob,
            digest: email.digest[..].into(),
            crlf_extra: row.crlf_extra,
        },
        prefix: email.prefix().clone(),
        flags: types::Flags::NONE,
        keywords: Vec::new(),
        internal_date: None,
    }
}
