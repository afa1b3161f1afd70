//! Putting back what a backup holds. A backup is read as a [`Mail`] of its own, over stores that
//! nobody writes to.
//!
//! What was given to clients after the backup was taken is not known: uids, modification sequences,
//! POP3 unique ids, object ids. None of them is given again (docs/decisions/0036).

mod account;
mod mailbox;
mod numbers;

pub use account::AccountRestored;
pub use mailbox::MailboxRestored;

use crate::{Email, Mail, MailError, MailErrorKind};
use storage::{BlobRef, Provenance};
use tokio::task::JoinSet;

/// Hears how many bytes of messages are done, of how many; an error ends the work.
pub type Meter<'a> = &'a (dyn Fn(u64, u64) -> Result<(), MailError> + Sync);

/// A message whose bytes the backup does not have as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The mailbox it is in.
    pub mailbox: String,
    /// What it is about.
    pub subject: String,
    /// What is wrong.
    pub what: String,
}

/// Bytes of messages that are on their way at once, unless one is larger.
const BYTES: u64 = 4 << 20;
/// Messages that are on their way at once.
const MESSAGES: usize = 256;

/// Cuts a list into runs of bounded number and bytes.
fn runs<T>(items: &[T], size: impl Fn(&T) -> u64) -> Vec<&[T]> {
    let (mut runs, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (i, item) in items.iter().enumerate() {
        let more = size(item);
        if i > start && (bytes + more > BYTES || i - start >= MESSAGES) {
            runs.push(&items[start..i]);
            (start, bytes) = (i, 0);
        }
        bytes += more;
    }
    if start < items.len() {
        runs.push(&items[start..]);
    }
    runs
}

impl Mail {
    /// Takes the bytes of emails over from a backup, durably: each with where it is now, or why it
    /// could not be read. Bytes that are not what their hash says are `Corrupt`.
    async fn take_over(
        &self,
        from: &Self,
        emails: &[(&Email, Provenance)],
    ) -> Result<Vec<Result<BlobRef, MailError>>, MailError> {
        let blobs: Vec<BlobRef> = emails.iter().map(|(email, _)| email.blob).collect();
        let mut puts = JoinSet::new();
        let mut taken: Vec<Result<BlobRef, MailError>> = Vec::with_capacity(blobs.len());
        let contents = from.blobs().get_many(&blobs).await;
        for ((content, blob), (_, origin)) in contents.into_iter().zip(&blobs).zip(emails) {
            let bytes = match content.map_err(MailError::from) {
                Ok(bytes) if blake3::hash(&bytes).as_bytes() == &blob.hash.0 => bytes,
                Ok(_) => {
                    let what = "the bytes are not what their hash says";
                    taken.push(Err(MailError::corrupt(what)));
                    continue;
                }
                Err(error) if is_damage(&error) => {
                    taken.push(Err(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (mail, origin, i) = (self.clone(), origin.clone(), taken.len());
            // Where it lies is known when its put returns.
            taken.push(Ok(*blob));
            puts.spawn(async move { (i, mail.blobs().put(bytes, &origin).await) });
        }
        while let Some(put) = puts.join_next().await {
            let abandoned = |_| MailError::new(MailErrorKind::Unavailable, "a put was abandoned");
            let (i, blob) = put.map_err(abandoned)?;
            if let Some(place) = taken.get_mut(i) {
                *place = Ok(blob?);
            }
        }
        Ok(taken)
    }
}

/// Whether one message is lost, rather than the whole source.
fn is_damage(error: &MailError) -> bool {
    matches!(error.kind, MailErrorKind::Corrupt | MailErrorKind::NotFound)
}

/// What an operator is told of a message whose bytes are lost.
fn damaged(email: &Email, mailbox: &str, error: &MailError) -> Damaged {
    let digest = email.digest();
    let subject = digest.as_ref().map_or("", |digest| digest.subject());
    Damaged {
        mailbox: mailbox.to_owned(),
        subject: subject.replace(char::is_control, " "),
        what: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn runs_are_bounded_and_complete() {
        let sizes: Vec<u64> = (0..2000)
            .map(|i| if i % 700 == 3 { 9 << 20 } else { 20_000 })
            .collect();
        let runs = runs(&sizes, |size| *size);
        assert_eq!(runs.concat(), sizes);
        for run in runs {
            assert!(!run.is_empty() && run.len() <= 256);
            assert!(run.len() == 1 || run.iter().sum::<u64>() <= 4 << 20);
        }
    }
}
