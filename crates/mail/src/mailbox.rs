//! One mailbox in memory: the newest committed state, and the newest state that may be shown.

use crate::bulletin::{Aspects, Bulletin};
use crate::record::MailboxRecord;
use crate::snapshot::{Loaded, Saved};
use crate::{MailError, MailErrorKind, View};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use types::{AccountId, MailboxId, ModSeq, Uid, UidValidity};

/// Counts of a mailbox (STATUS), kept without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT.
    pub uid_next: u32,
    /// HIGHESTMODSEQ.
    pub modseq: ModSeq,
    /// Messages.
    pub messages: u32,
    /// Messages without `\\Seen`.
    pub unseen: u32,
    /// Messages with `\\Deleted`.
    pub deleted: u32,
    /// Messages no session has been told about yet (`\\Recent`).
    pub recent: u32,
    /// Sum of RFC822.SIZE.
    pub bytes: u64,
    /// The same of messages with `\\Deleted`; `None` when only the view can tell (see
    /// [`Account::deleted_bytes`](crate::Account::deleted_bytes)).
    pub deleted_bytes: Option<u64>,
}

/// A mailbox of an open account. Its view is loaded only while sessions use it or memory allows.
///
/// *head* is what was committed last; *shown* is what sessions see. They differ while a commit that
/// must be durable before it is visible is on its way to the disk (DESIGN 3.4).
pub(crate) struct Mailbox {
    pub(crate) id: MailboxId,
    state: Mutex<State>,
    version: watch::Sender<u64>,
    /// Of the account.
    bulletin: Arc<Bulletin>,
    gone: AtomicBool,
    /// Sessions that have it open.
    pub(crate) sessions: AtomicUsize,
    /// Whether it waits in the cache of unused views.
    pub(crate) cached: AtomicBool,
}

pub(crate) struct State {
    pub(crate) head: Committed,
    pub(crate) shown: Committed,
    /// Commits on their way to the disk.
    pending: usize,
    /// A commit could not be made durable: nothing newer will ever be shown.
    broken: bool,
    pub(crate) recent_from: u32,
    /// When new messages were shown last.
    pub(crate) arrived: Option<Instant>,
    pub(crate) disk: OnDisk,
    /// How often users have reset their access keys since it was opened.
    key_resets: Vec<(AccountId, u64)>,
}

/// A committed state: the record, and the view if it is loaded.
#[derive(Clone)]
pub(crate) struct Committed {
    pub(crate) record: Arc<MailboxRecord>,
    pub(crate) view: Option<Arc<View>>,
}

/// What the snapshot on disk holds; known while the view is loaded.
#[derive(Default)]
pub(crate) struct OnDisk {
    pub(crate) saved: Saved,
    pub(crate) journal_bytes: usize,
    pub(crate) saving: bool,
}

impl Mailbox {
    pub(crate) fn new(id: MailboxId, record: MailboxRecord, bulletin: Arc<Bulletin>) -> Arc<Self> {
        let recent_from = record.recent_from;
        let head = Committed {
            record: Arc::new(record),
            view: None,
        };
        let state = State {
            shown: head.clone(),
            head,
            pending: 0,
            broken: false,
            recent_from,
            arrived: None,
            disk: OnDisk::default(),
            key_resets: Vec::new(),
        };
        Arc::new(Self {
            id,
            state: Mutex::new(state),
            version: watch::Sender::new(0),
            bulletin,
            gone: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            cached: AtomicBool::new(false),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // The guarded sections assign whole values; a panic inside one leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.bulletin.forget(self.id);
        self.tick();
    }

    pub(crate) fn tick(&self) {
        self.version.send_modify(|v| *v += 1);
    }

    /// A user has another access key; its sessions are told.
    pub(crate) fn key_reset(&self, user: AccountId) {
        let mut state = self.state();
        match state.key_resets.iter_mut().find(|(id, _)| *id == user) {
            Some((_, count)) => *count += 1,
            None => state.key_resets.push((user, 1)),
        }
        drop(state);
        self.tick();
    }

    pub(crate) fn key_resets(&self, user: AccountId) -> u64 {
        let state = self.state();
        let found = state.key_resets.iter().find(|(id, _)| *id == user);
        found.map_or(0, |(_, count)| *count)
    }

    pub(crate) fn live(&self) -> Result<(), MailError> {
        if self.is_gone() {
            return Err(MailError::new(
                MailErrorKind::Gone,
                "the mailbox was deleted",
            ));
        }
        Ok(())
    }

    /// Takes a new head that may be shown as soon as everything before it may. Returns whether it
    /// is shown already.
    pub(crate) fn advance(&self, new: Committed, journal_bytes: usize) -> bool {
        let mut state = self.state();
        state.install(new, journal_bytes);
        let show = state.pending == 0 && !state.broken;
        let news = show.then(|| {
            let head = state.head.clone();
            state.show(head)
        });
        drop(state);
        if let Some(news) = news {
            self.tick();
            self.note(news);
        }
        show
    }

    /// Takes a new head that must not be shown before [`settle`](Self::settle).
    pub(crate) fn advance_pending(&self, new: Committed, journal_bytes: usize) {
        let mut state = self.state();
        state.install(new, journal_bytes);
        state.pending += 1;
    }

    /// The commit that made `new` is durable, or will never be.
    pub(crate) fn settle(&self, new: &Committed, durable: bool) {
        let mut state = self.state();
        let mut news = None;
        state.pending = state.pending.saturating_sub(1);
        if !durable {
            state.broken = true;
        } else if !state.broken {
            if state.pending == 0 {
                let head = state.head.clone();
                news = state.show(head);
            } else if new.record.modseq > state.shown.record.modseq {
                let loaded = state.shown.view.is_some();
                let view = new.view.clone().filter(|_| loaded);
                news = state.show(Committed {
                    record: new.record.clone(),
                    view,
                });
            }
        }
        drop(state);
        self.tick();
        self.note(news);
    }

    fn note(&self, news: Option<Aspects>) {
        if let Some(aspects) = news {
            self.bulletin.note(self.id, aspects);
        }
    }

    /// Waits until a modseq is shown.
    pub(crate) async fn wait_shown(&self, modseq: ModSeq) -> Result<(), MailError> {
        self.wait(|state| state.shown.record.modseq >= modseq).await
    }

    /// Waits until no commit is on its way to the disk.
    pub(crate) async fn wait_settled(&self) -> Result<(), MailError> {
        self.wait(|state| state.pending == 0).await
    }

    async fn wait(&self, done: impl Fn(&State) -> bool) -> Result<(), MailError> {
        let mut version = self.watch();
        loop {
            {
                let state = self.state();
                if state.broken {
                    return Err(MailError::new(
                        MailErrorKind::Unavailable,
                        "a commit could not be made durable",
                    ));
                }
                if done(&state) {
                    return Ok(());
                }
            }
            if version.changed().await.is_err() {
                return Err(MailError::new(
                    MailErrorKind::Gone,
                    "the mailbox was closed",
                ));
            }
        }
    }

    /// Takes the view just read from disk, unless it is there already.
    pub(crate) fn loaded(&self, loaded: Loaded) {
        let mut state = self.state();
        if state.head.view.is_none() {
            let view = Some(Arc::new(loaded.view));
            state.head.view.clone_from(&view);
            state.shown.view = view;
            state.disk = OnDisk {
                saved: loaded.saved,
                journal_bytes: loaded.journal_bytes,
                saving: false,
            };
        }
    }

    /// Drops the view if no session uses it and nothing is on its way. Returns the bytes freed.
    pub(crate) fn unload(&self) -> usize {
        let mut state = self.state();
        if self.sessions.load(Ordering::Acquire) > 0 || state.pending > 0 || state.disk.saving {
            return 0;
        }
        state.disk = OnDisk::default();
        state.shown.view = None;
        state.head.view.take().map_or(0, |view| view.memory())
    }

    /// The counts sessions may see.
    pub(crate) fn summary(&self) -> Summary {
        let state = self.state();
        let record = &state.shown.record;
        Summary {
            uid_validity: record.uid_validity,
            uid_next: record.uid_next,
            modseq: record.modseq,
            messages: record.messages,
            unseen: record.unseen,
            deleted: record.deleted,
            recent: state.recent(record.uid_next),
            bytes: record.bytes,
            deleted_bytes: record.deleted_bytes,
        }
    }
}

impl State {
    /// Returns what is new, `None` when nothing is.
    fn show(&mut self, new: Committed) -> Option<Aspects> {
        let (was, is) = (&self.shown.record, &new.record);
        let arrived = is.uid_next != was.uid_next;
        if arrived {
            self.arrived = Some(Instant::now());
        }
        let aspects = Aspects {
            messages: arrived || is.messages != was.messages,
            unseen: is.unseen != was.unseen,
        };
        let news = (is.modseq != was.modseq).then_some(aspects);
        self.shown = new;
        news
    }

    fn install(&mut self, mut new: Committed, journal_bytes: usize) {
        // The view may have been dropped, or not been loaded at all, while the commit was made.
        new.view = new.view.filter(|_| self.head.view.is_some());
        self.disk.journal_bytes += journal_bytes;
        self.head = new;
    }

    /// How many messages no session has been told about. Uids are not dense, so with a loaded view
    /// they are counted and without one the distance is cut to the number of messages.
    fn recent(&self, uid_next: u32) -> u32 {
        match &self.shown.view {
            Some(view) => {
                Uid::new(self.recent_from).map_or(0, |from| (view.len() - view.rank(from)) as u32)
            }
            None => uid_next
                .saturating_sub(self.recent_from)
                .min(self.shown.record.messages),
        }
    }
}
