//! The accounts a session watches: its own, and those that share mailboxes with it.

use mail::{Account, Changed, Watch};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::watch;

/// An account whose mailboxes are watched.
pub(super) struct Watched {
    account: Account,
    mailboxes: Watch,
    tree: watch::Receiver<u64>,
}

impl Watched {
    pub(super) fn new(account: Account) -> Self {
        Self {
            mailboxes: account.watch_mailboxes(),
            tree: account.watch_tree(),
            account,
        }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Whether names or rights may have changed since the last time.
    pub(super) fn take_tree(&mut self) -> bool {
        let has_changed = self.tree.has_changed().unwrap_or(false);
        self.tree.mark_unchanged();
        has_changed
    }

    /// The mailboxes that have changed since the last time.
    pub(super) fn take(&mut self) -> Vec<Changed> {
        self.mailboxes.take()
    }

    async fn changed(&mut self) {
        tokio::select! {
            () = self.mailboxes.changed() => {}
            Ok(()) = self.tree.changed() => self.tree.mark_changed(),
            else => std::future::pending().await,
        }
    }
}

/// Resolves when anything may have changed in one of the accounts. Cancel safe.
pub(super) async fn any_changed(home: &mut Watched, others: &mut [Watched]) {
    if others.is_empty() {
        return home.changed().await;
    }
    let all = std::iter::once(home).chain(others);
    let mut waits: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = all
        .map(|watched| Box::pin(watched.changed()) as Pin<Box<_>>)
        .collect();
    poll_fn(|cx| {
        let is_ready = waits
            .iter_mut()
            .any(|wait| wait.as_mut().poll(cx).is_ready());
        if is_ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
