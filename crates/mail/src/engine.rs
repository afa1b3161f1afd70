//! `Mail`: the engine over one store, its open accounts and its cache of views.

use crate::account::AccountInner;
use crate::email_cache::EmailCache;
use crate::facts::FactsCache;
use crate::gist::Gists;
use crate::history::History;
use crate::mailbox::Mailbox;
use crate::{
    Account, Actor, Annotated, Boxed, Email, Ingested, MailError, MailErrorKind, QuotaLimits,
    Recoverable,
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{SystemTime, UNIX_EPOCH};
use storage::{Batch, BlobRef, BlobStore, ErrorKind, MetaStore, Provenance};
use tokio::sync::{OnceCell, broadcast};
use types::{AccountId, Role};

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest message taken, in bytes.
    pub max_message_bytes: u32,
    /// Memory for views that no session uses, in bytes.
    pub view_cache_bytes: usize,
    /// Memory for emails that were read many at once, in bytes; 0: none are kept.
    pub email_cache_bytes: usize,
    /// Memory for what searches look at first, in bytes; 0: nothing is kept for them.
    pub search_cache_bytes: usize,
    /// Mailboxes made with every new account.
    pub default_mailboxes: Vec<(String, Role)>,
    /// Limits of accounts that have none of their own.
    pub default_limits: QuotaLimits,
    /// Whether STORE waits for stable storage too (`durability = "strict"`).
    pub strict: bool,
    /// How long the uids of expunged messages are remembered for QRESYNC, in seconds.
    pub remember_expunged_seconds: i64,
    /// How long undelete can bring removed messages back, in seconds; 0: not at all.
    pub undelete_seconds: i64,
    /// How long it is remembered who retrieved and removed messages, in seconds; 0: not at all.
    pub history_seconds: i64,
    /// Entries an account's history keeps, roughly.
    pub history_entries: u32,
    /// How long expunged messages stay readable for sessions that have not been told, in seconds.
    pub grace_seconds: i64,
}

impl Default for Options {
    fn default() -> Self {
        let mailbox = |role: Role| (role.name().to_owned(), role);
        Self {
            max_message_bytes: 64 << 20,
            view_cache_bytes: 64 << 20,
            email_cache_bytes: 20 << 20,
            search_cache_bytes: 32 << 20,
            default_mailboxes: [
                Role::Drafts,
                Role::Sent,
                Role::Junk,
                Role::Trash,
                Role::Archive,
            ]
            .map(mailbox)
            .to_vec(),
            default_limits: QuotaLimits::default(),
            strict: false,
            remember_expunged_seconds: 90 * 86_400,
            undelete_seconds: 7 * 86_400,
            history_seconds: 30 * 86_400,
            history_entries: 10_000,
            grace_seconds: 86_400,
        }
    }
}

/// The mail engine over one MetaStore and one BlobStore. Cloning is cheap.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    meta: Arc<dyn MetaStore>,
    blobs: Arc<dyn BlobStore>,
    options: Options,
    accounts: Mutex<HashMap<AccountId, Arc<OnceCell<Arc<AccountInner>>>>>,
    views: Mutex<UnusedViews>,
    pub(crate) dead: Mutex<crate::sweep::Dead>,
    annotated: broadcast::Sender<Annotated>,
    facts: Mutex<FactsCache>,
    gists: RwLock<Gists>,
    emails: EmailCache,
    uses: Mutex<crate::uses::Unwritten>,
    server: Arc<Actor>,
    history: History,
    recoverable: Mutex<Recoverable>,
    mixed: AtomicU64,
    /// Accounts that are being put back from a backup.
    restoring: Mutex<HashSet<AccountId>>,
}

/// Views that no session uses, in the order they were left.
#[derive(Default)]
struct UnusedViews {
    queue: VecDeque<(Weak<Mailbox>, usize)>,
    bytes: usize,
}

/// Accounts kept open; beyond this many, unused ones are closed.
const MAX_OPEN_ACCOUNTS: usize = 4096;

/// Messages from this size on are parsed off the async threads, while this one may wait for the
/// disk.
const LARGE_MESSAGE: usize = 128 << 10;

/// Seconds since 1970 UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Mail {
    /// Opens the engine over two stores.
    pub async fn open(
        meta: Arc<dyn MetaStore>,
        blobs: Arc<dyn BlobStore>,
        options: Options,
    ) -> Result<Self, MailError> {
        let mail = Self(Arc::new(Inner {
            meta,
            blobs,
            options,
            accounts: Mutex::default(),
            views: Mutex::default(),
            dead: Mutex::default(),
            annotated: crate::annotations::new_bulletin(),
            facts: Mutex::default(),
            gists: RwLock::default(),
            emails: EmailCache::default(),
            uses: Mutex::default(),
            server: Arc::new(Actor::server()),
            history: History::default(),
            recoverable: Mutex::default(),
            mixed: AtomicU64::new(0),
            restoring: Mutex::default(),
        }));
        // A store that takes no writes serves what it has.
        if let Err(error) = mail.note_old_accounts().await {
            tracing::warn!(%error, "accounts have no notes beside their mail yet");
        }
        Ok(mail)
    }

    /// Opens an account: one object per account and process, shared by all its sessions. What is
    /// done through the handle counts as done by the server; see [`Account::acting_as`].
    pub async fn account(&self, id: AccountId) -> Result<Account, MailError> {
        let cell = {
            let mut accounts = self
                .0
                .accounts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if accounts.len() >= MAX_OPEN_ACCOUNTS && !accounts.contains_key(&id) {
                let in_use = |cell: &Arc<OnceCell<Arc<AccountInner>>>| {
                    Arc::strong_count(cell) > 1
                        || cell
                            .get()
                            .is_none_or(|account| Arc::strong_count(account) > 1)
                };
                accounts.retain(|_, cell| in_use(cell));
            }
            accounts.entry(id).or_default().clone()
        };
        let account = match cell.get() {
            Some(account) => account.clone(),
            None => self.first_open(id, cell).await?,
        };
        Ok(Account(account, self.0.server.clone(), None))
    }

    fn first_open(
        &self,
        id: AccountId,
        cell: Arc<OnceCell<Arc<AccountInner>>>,
    ) -> Boxed<'_, Arc<AccountInner>> {
        Box::pin(async move {
            let opened = cell.get_or_try_init(|| async {
                let quota = self.limits_of(id).await?;
                AccountInner::open(self.clone(), id, quota).await
            });
            opened.await.cloned()
        })
    }

    /// Stores and parses the bytes of a message. Returns once they are on stable storage. `TooBig`.
    pub async fn ingest(&self, bytes: Bytes, origin: &Provenance) -> Result<Ingested, MailError> {
        if bytes.len() > self.0.options.max_message_bytes as usize {
            return Err(MailError::new(
                MailErrorKind::TooBig,
                "the message is too large",
            ));
        }
        // Begins at once if the message is large: a put may wait for the disk in place.
        let digest = digest(bytes.clone());
        let (blob, digest) = tokio::join!(self.0.blobs.put(bytes, origin), digest);
        Ok(Ingested::new(blob?, digest?))
    }

    /// The shared bytes (without [`Email::prefix`]) of each email, in order. The caller bounds the
    /// sum of the sizes (aim at 1 to 4 MB per call for bulk reading).
    pub async fn contents(&self, emails: &[&Email]) -> Vec<Result<Bytes, MailError>> {
        let blobs: Vec<BlobRef> = emails.iter().map(|email| email.blob).collect();
        let contents = self.0.blobs.get_many(&blobs).await;
        contents
            .into_iter()
            .map(|content| content.map_err(MailError::from))
            .collect()
    }

    /// A range of the shared bytes of one email, cut to its size.
    pub async fn content_range(
        &self,
        email: &Email,
        range: Range<u32>,
    ) -> Result<Bytes, MailError> {
        let end = range.end.min(email.blob.size);
        let start = range.start.min(end);
        Ok(self.0.blobs.get(&email.blob, start..end).await?)
    }

    /// Reads all bytes of a message, holding few of them, and compares them with what was stored.
    ///
    /// # Errors
    /// `Corrupt` when they are not the same.
    pub async fn verify_content(&self, email: &Email) -> Result<(), MailError> {
        Ok(self.0.blobs.verify(&email.blob.hash).await?)
    }

    /// Settings.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Bytes of all views in memory.
    pub fn view_bytes(&self) -> usize {
        let mailboxes = self
            .open_accounts()
            .into_iter()
            .flat_map(|a| a.all_mailboxes());
        mailboxes
            .map(|m| m.state().head.view.as_ref().map_or(0, |view| view.memory()))
            .sum()
    }

    /// Memory of emails that were read many at once, in bytes, by an estimate.
    pub fn email_cache_bytes(&self) -> usize {
        self.0.emails.memory()
    }

    /// Writes down what is kept in memory, finishes commits and closes both stores.
    pub async fn close(&self) -> Result<(), MailError> {
        if let Err(error) = self.write_history().await {
            tracing::warn!(%error, "history not written");
        }
        if let Err(error) = self.write_uses().await {
            tracing::warn!(%error, "last logins not written");
        }
        let blobs = self.0.blobs.close().await;
        self.0.meta.close().await?;
        // Accounts hold the engine, and it holds them.
        let mut accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.clear();
        Ok(blobs?)
    }

    pub(crate) fn meta(&self) -> &dyn MetaStore {
        &*self.0.meta
    }

    pub(crate) fn blobs(&self) -> &dyn BlobStore {
        &*self.0.blobs
    }

    /// Commits small records, and waits for the disk. `Ok(false)`: another writer was faster.
    pub(crate) async fn commit_durably(
        &self,
        account: AccountId,
        batch: Batch,
    ) -> Result<bool, MailError> {
        match self.meta().commit(account, batch).await {
            Ok(commit) => {
                commit.durable().await?;
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn annotated(&self) -> &broadcast::Sender<Annotated> {
        &self.0.annotated
    }

    pub(crate) fn dead(&self) -> &Mutex<crate::sweep::Dead> {
        &self.0.dead
    }

    pub(crate) fn history(&self) -> &History {
        &self.0.history
    }

    /// What undelete could bring back in all accounts, as of the last [`sweep`](Self::sweep).
    pub fn recoverable(&self) -> Recoverable {
        *self.recoverable_slot()
    }

    /// Accounts whose INBOX a deleting POP3 client and an IMAP client share, as far as is known:
    /// counted by the last [`sweep`](Self::sweep), and seen since.
    pub fn mixed_use(&self) -> u64 {
        self.0.mixed.load(Ordering::Relaxed)
    }

    pub(crate) fn mixed_accounts(&self) -> &AtomicU64 {
        &self.0.mixed
    }

    pub(crate) fn restoring(&self) -> MutexGuard<'_, HashSet<AccountId>> {
        self.0
            .restoring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn recoverable_slot(&self) -> MutexGuard<'_, Recoverable> {
        let slot = self.0.recoverable.lock();
        slot.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unwritten_uses(&self) -> &Mutex<crate::uses::Unwritten> {
        &self.0.uses
    }

    pub(crate) fn facts_cache(&self) -> &Mutex<FactsCache> {
        &self.0.facts
    }

    pub(crate) fn email_cache(&self) -> &EmailCache {
        &self.0.emails
    }

    pub(crate) fn gists(&self) -> &RwLock<Gists> {
        &self.0.gists
    }

    pub(crate) fn open_accounts(&self) -> Vec<Arc<AccountInner>> {
        let accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accounts
            .values()
            .filter_map(|cell| cell.get().cloned())
            .collect()
    }

    pub(crate) fn open_account(&self, id: AccountId) -> Option<Arc<AccountInner>> {
        let accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.get(&id).and_then(|cell| cell.get().cloned())
    }

    pub(crate) fn close_account(&self, id: AccountId) {
        self.0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    /// Keeps a view that its last session has left, as long as memory allows.
    pub(crate) fn cache_view(&self, mailbox: &Arc<Mailbox>) {
        if mailbox.cached.swap(true, Ordering::AcqRel) {
            return;
        }
        let bytes = mailbox
            .state()
            .head
            .view
            .as_ref()
            .map_or(0, |view| view.memory());
        let mut views = self.0.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.queue.push_back((Arc::downgrade(mailbox), bytes));
        views.bytes += bytes;
        while views.bytes > self.0.options.view_cache_bytes {
            let Some((mailbox, bytes)) = views.queue.pop_front() else {
                break;
            };
            views.bytes = views.bytes.saturating_sub(bytes);
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.cached.store(false, Ordering::Release);
                mailbox.unload();
            }
        }
    }
}

impl Ingested {
    fn new(blob: BlobRef, digest: Vec<u8>) -> Self {
        let digest: Arc<[u8]> = digest.into();
        let crlf_extra = message::Digest::parse(&digest).map_or(0, |digest| digest.crlf_extra());
        Self {
            blob,
            digest,
            crlf_extra,
        }
    }

    /// A blob that is stored, with the bytes that were read from it.
    pub(crate) async fn of(blob: BlobRef, bytes: Bytes) -> Result<Self, MailError> {
        Ok(Self::new(blob, digest(bytes).await?))
    }
}

/// A large message is being parsed from the call on, a small one when the answer is waited for.
fn digest(bytes: Bytes) -> impl Future<Output = Result<Vec<u8>, MailError>> {
    let task = match bytes.len() {
        ..LARGE_MESSAGE => Err(bytes),
        _ => Ok(tokio::task::spawn_blocking(move || message::digest(&bytes))),
    };
    async move {
        match task {
            Err(bytes) => Ok(message::digest(&bytes)),
            Ok(task) => task.await.map_err(|_| {
                MailError::new(MailErrorKind::Unavailable, "parsing the message failed")
            }),
        }
    }
}
