//! The thread index: which conversation a message belongs to (RFC 8474 5.2: THREADID).
//!
//! A message joins the conversation of an earlier one that it names, or that names it. It is told
//! once, when the message is appended, and kept in its email record: RFC 8474 5.2 forbids to change
//! it. The index is one row per message identifier, `h` + hash -> conversation and the email that
//! wrote it; it can be made again from the email records.

use crate::account::AccountInner;
use crate::snapshot::each;
use crate::{Email, Ingested, MailError, NewMessage, keys};
use bytes::Bytes;
use message::Digest;
use std::collections::{HashMap, HashSet};
use storage::{Batch, Scan};
use types::{BlobHash, EmailId, ThreadId};

/// Identifiers of other messages that are looked up: parent, the message answered, root.
const MAX_RELATED: usize = 3;

/// Hash of a message identifier, as it stands in the index.
pub(crate) type IdHash = [u8; 16];

/// What a message says of its conversation.
struct Clues {
    /// The message itself.
    own: IdHash,
    /// Messages it names, the nearest first.
    related: Vec<IdHash>,
    /// The conversation it begins or continues when no message is known.
    root: IdHash,
}

/// The conversation of a message about to be appended.
#[derive(Clone, Debug)]
pub(crate) struct Threading {
    pub(crate) thread: ThreadId,
    /// Identifiers that lead to it from now on.
    names: Vec<IdHash>,
}

impl Clues {
    // Subjects are left out: RFC 8474 5.2 leaves the method open, and strangers who write "Re:
    // invoice" do not share a conversation.
    fn of(digest: Option<&Digest<'_>>, blob: &BlobHash) -> Self {
        let own = digest
            .and_then(Digest::message_id)
            // RFC 8474 5.2: the same content has the same THREADID, also without a Message-ID.
            .map_or_else(|| hash(b"content", &blob.0), |id| hash(b"id", id));
        let (mut related, mut root) = (Vec::with_capacity(MAX_RELATED), own);
        if let Some(digest) = digest {
            let (mut references, mut answered) = (digest.references(), digest.in_reply_to());
            let first = references.next();
            let last = references.last().or(first);
            let answered = answered.next();
            if let Some(id) = first.or(answered) {
                root = hash(b"id", id);
            }
            for id in [last, answered, first].into_iter().flatten() {
                let id = hash(b"id", id);
                if id != own && !related.contains(&id) {
                    related.push(id);
                }
            }
        }
        Self { own, related, root }
    }

    fn all(self) -> impl Iterator<Item = IdHash> {
        std::iter::once(self.own).chain(self.related)
    }
}

fn hash(kind: &[u8], id: &[u8]) -> IdHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(b" ").update(id);
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// The conversation that an identifier begins.
fn begun_by(root: &IdHash) -> ThreadId {
    let [a, b, c, d, e, f, g, h, ..] = *root;
    ThreadId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// The conversation of an email whose record is older than the index.
pub(crate) fn by_itself(digest: Option<&Digest<'_>>, blob: &BlobHash) -> ThreadId {
    begun_by(&Clues::of(digest, blob).root)
}

/// A row of the index: the conversation, and the email that wrote the row.
fn decode(row: &[u8]) -> Option<(ThreadId, EmailId)> {
    let (thread, email) = row.split_first_chunk()?;
    let email = u64::from_be_bytes(*email.first_chunk()?);
    Some((ThreadId(u64::from_be_bytes(*thread)), EmailId(email)))
}

impl Threading {
    /// Adds what leads to the conversation to the batch that writes the email.
    pub(crate) fn write(&self, batch: &mut Batch, email: EmailId) {
        for name in &self.names {
            let mut row = Vec::with_capacity(16);
            row.extend_from_slice(&self.thread.0.to_be_bytes());
            row.extend_from_slice(&email.0.to_be_bytes());
            batch.put(keys::thread(name), row);
        }
    }
}

impl AccountInner {
    /// The conversations of messages about to be appended, in their order. The caller holds the
    /// writer's lock.
    pub(crate) async fn threads(
        &self,
        messages: &[NewMessage],
    ) -> Result<Vec<Threading>, MailError> {
        // A later message may answer an earlier one of the same command.
        let mut fresh: HashMap<IdHash, ThreadId> = HashMap::new();
        let mut threads = Vec::with_capacity(messages.len());
        for message in messages {
            let threading = self.thread_of(&message.content, &fresh).await?;
            if messages.len() > 1 {
                fresh.extend(threading.names.iter().map(|name| (*name, threading.thread)));
            }
            threads.push(threading);
        }
        Ok(threads)
    }

    async fn thread_of(
        &self,
        content: &Ingested,
        fresh: &HashMap<IdHash, ThreadId>,
    ) -> Result<Threading, MailError> {
        let clues = Clues::of(Digest::parse(&content.digest).as_ref(), &content.blob.hash);
        let root = clues.root;
        let (mut found, mut names) = (None, Vec::with_capacity(1 + MAX_RELATED));
        for (at, name) in clues.all().enumerate() {
            let known = match fresh.get(&name) {
                Some(thread) => Some(*thread),
                None => self.indexed(&name).await?,
            };
            // The newest email of its content answers for the message's own identifier.
            if known.is_none() || at == 0 {
                names.push(name);
            }
            found = found.or(known);
        }
        Ok(Threading {
            thread: found.unwrap_or_else(|| begun_by(&root)),
            names,
        })
    }

    async fn indexed(&self, name: &IdHash) -> Result<Option<ThreadId>, MailError> {
        let row = self.mail.meta().get(self.id, &keys::thread(name)).await?;
        Ok(row.as_deref().and_then(decode).map(|(thread, _)| thread))
    }

    /// How many rows of the index say nothing, or were written by no email; for
    /// [`Mail::check`](crate::Mail::check).
    pub(crate) async fn lost_threads(&self) -> Result<usize, MailError> {
        let (meta, mut emails, mut lost) = (self.mail.meta(), HashSet::new(), 0);
        let all = |kind: &'static [u8]| Scan::prefix(kind, keys::PAGE);
        each(meta, self.id, all(b"e"), |(key, _)| {
            emails.extend(keys::id_of(key).map(EmailId));
            Ok(())
        })
        .await?;
        each(meta, self.id, all(b"h"), |(_, row)| {
            lost += usize::from(decode(row).is_none_or(|(_, email)| !emails.contains(&email)));
            Ok(())
        })
        .await?;
        Ok(lost)
    }

    /// Removes, with an email, the rows of the index it wrote.
    pub(crate) async fn forget_thread(
        &self,
        email: &Email,
        batch: &mut Batch,
    ) -> Result<(), MailError> {
        for name in Clues::of(email.digest().as_ref(), &email.blob.hash).all() {
            let key: Bytes = keys::thread(&name);
            let Some(row) = self.mail.meta().get(self.id, &key).await? else {
                continue;
            };
            if decode(&row).is_none_or(|(_, writer)| writer == email.id) {
                batch.require(key.clone(), row);
                batch.delete(key);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(message: &str) -> ThreadId {
        let digest = message::digest(message.as_bytes());
        by_itself(Digest::parse(&digest).as_ref(), &BlobHash([7; 32]))
    }

    #[test]
    fn the_root_names_the_conversation() {
        let first = thread("Message-ID: <a@x>\r\n\r\n");
        assert_eq!(
            first,
            thread("Message-ID: <c@x>\r\nReferences: <a@x> <b@x>\r\n\r\n")
        );
        assert_eq!(
            first,
            thread("Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n")
        );
        assert_ne!(first, thread("Message-ID: <b@x>\r\n\r\n"));
        assert_ne!(first, thread("Subject: no identifier\r\n\r\n"));
    }

    #[test]
    fn damaged_rows_lead_nowhere() {
        assert_eq!(decode(b""), None);
        assert_eq!(decode(&[1; 15]), None);
        assert!(decode(&[1; 16]).is_some());
    }
}
