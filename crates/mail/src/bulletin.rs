//! Which mailboxes of an account have changed, for those who watch them all (NOTIFY) and open none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use types::MailboxId;

/// The changes of an account that somebody watches, told by its mailboxes. It knows of each
/// mailbox when it changed last, so it is bounded by their number however much happens, and asking
/// what happened since costs as much as has changed since.
#[derive(Default)]
pub(crate) struct Bulletin {
    order: Mutex<Order>,
    tick: watch::Sender<u64>,
}

#[derive(Default)]
struct Order {
    /// Bulletin so far.
    count: u64,
    /// Mailboxes by the number of their last change.
    last: BTreeMap<u64, MailboxId>,
    of: HashMap<MailboxId, Numbers>,
}

/// The numbers of a mailbox's last changes, 0 for none.
#[derive(Clone, Copy, Default)]
struct Numbers {
    any: u64,
    /// The one before `any`.
    before: u64,
    messages: u64,
    unseen: u64,
}

/// What about a mailbox changed beside its HIGHESTMODSEQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aspects {
    /// Messages came or went.
    pub(crate) messages: bool,
    /// There are more or fewer messages without `\\Seen`.
    pub(crate) unseen: bool,
}

impl Bulletin {
    /// A change of a mailbox is shown.
    pub(crate) fn note(&self, id: MailboxId, aspects: Aspects) {
        // Who begins to watch after this line sees the change by looking.
        if self.tick.receiver_count() == 0 {
            return;
        }
        let mut order = self.order();
        order.count += 1;
        let now = order.count;
        let numbers = order.of.entry(id).or_default();
        let old = numbers.any;
        (numbers.before, numbers.any) = (old, now);
        if aspects.messages {
            numbers.messages = now;
        }
        if aspects.unseen {
            numbers.unseen = now;
        }
        order.last.remove(&old);
        order.last.insert(now, id);
        drop(order);
        self.tick.send_replace(now);
    }

    /// A mailbox was deleted.
    pub(crate) fn forget(&self, id: MailboxId) {
        let mut order = self.order();
        if let Some(numbers) = order.of.remove(&id) {
            order.last.remove(&numbers.any);
        }
    }

    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        let order = self.order();
        Watch {
            seen: order.count,
            tick: self.tick.subscribe(),
            bulletin: Arc::clone(self),
        }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells which mailboxes of an account change from now on.
pub struct Watch {
    bulletin: Arc<Bulletin>,
    /// The number of the last change that was taken.
    seen: u64,
    tick: watch::Receiver<u64>,
}

/// What happened to a mailbox since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub mailbox: MailboxId,
    /// Whether messages came or went. If not, flags changed.
    pub messages: bool,
    /// Whether there are more or fewer messages without `\\Seen`.
    pub unseen: bool,
    /// Whether it was one change.
    pub once: bool,
}

impl Watch {
    /// Resolves when there may be something to take. Cancel safe.
    pub async fn changed(&mut self) {
        if self.tick.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What changed since the last time, each mailbox once, the latest last.
    pub fn take(&mut self) -> Vec<Changed> {
        let order = self.bulletin.order();
        self.tick.mark_unchanged();
        let since = std::mem::replace(&mut self.seen, order.count);
        let recent = order.last.range(since + 1..);
        let changed = recent.filter_map(|(_, &mailbox)| {
            let numbers = order.of.get(&mailbox)?;
            Some(Changed {
                mailbox,
                messages: numbers.messages > since,
                unseen: numbers.unseen > since,
                once: numbers.before <= since,
            })
        });
        changed.collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut order = self.bulletin.order();
        // The last one out: nobody will ask any more.
        if self.bulletin.tick.receiver_count() <= 1 {
            (order.last, order.of) = Default::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: Aspects = Aspects {
        messages: true,
        unseen: false,
    };
    const FLAGS: Aspects = Aspects {
        messages: false,
        unseen: true,
    };

    fn changed(id: u64, messages: bool, unseen: bool, once: bool) -> Changed {
        Changed {
            mailbox: MailboxId(id),
            messages,
            unseen,
            once,
        }
    }

    #[test]
    fn each_mailbox_is_told_once_to_every_watch() {
        let bulletin = Arc::new(Bulletin::default());
        bulletin.note(MailboxId(1), MESSAGES);
        let mut first = bulletin.watch();
        assert_eq!(first.take(), []);
        bulletin.note(MailboxId(1), MESSAGES);
        let mut second = bulletin.watch();
        bulletin.note(MailboxId(2), FLAGS);
        bulletin.note(MailboxId(1), Aspects::default());
        assert_eq!(
            first.take(),
            [
                changed(2, false, true, true),
                changed(1, true, false, false)
            ]
        );
        assert_eq!(
            second.take(),
            [
                changed(2, false, true, true),
                changed(1, false, false, true)
            ]
        );
        assert_eq!(first.take(), []);
        bulletin.forget(MailboxId(2));
        bulletin.note(MailboxId(1), FLAGS);
        assert_eq!(first.take(), [changed(1, false, true, true)]);
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let bulletin = Arc::new(Bulletin::default());
        let sizes = || {
            let order = bulletin.order();
            (order.of.len(), order.last.len())
        };
        let watch = bulletin.watch();
        for n in 0..1000 {
            bulletin.note(MailboxId(n % 10), MESSAGES);
        }
        assert_eq!(sizes(), (10, 10));
        drop(watch);
        assert_eq!(sizes(), (0, 0));
        bulletin.note(MailboxId(1), MESSAGES);
        assert_eq!(sizes(), (0, 0));
        let mut watch = bulletin.watch();
        bulletin.note(MailboxId(1), MESSAGES);
        assert_eq!(watch.take(), [changed(1, true, false, true)]);
    }
}
