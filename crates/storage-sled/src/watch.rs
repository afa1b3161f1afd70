//! Ticks after commits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use storage::Watch;
use tokio::sync::watch::Sender;
use types::AccountId;

/// The watched accounts; one of these per shard.
pub(crate) struct Watchers(Mutex<Option<HashMap<AccountId, Sender<u64>>>>);

impl Watchers {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }

    pub(crate) fn watch(&self, account: AccountId) -> Watch {
        let mut watched = self.lock();
        Watch::new(match watched.as_mut() {
            Some(watched) => watched.entry(account).or_default().subscribe(),
            None => Sender::<u64>::default().subscribe(),
        })
    }

    pub(crate) fn tick(&self, account: AccountId) {
        let mut watched = self.lock();
        let Some(watched) = watched.as_mut() else {
            return;
        };
        if let Some(sender) = watched.get(&account) {
            sender.send_modify(|ticks| *ticks += 1);
            if sender.receiver_count() == 0 {
                watched.remove(&account);
            }
        }
    }

    /// No more ticks, for anybody.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<AccountId, Sender<u64>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn ticks_reach_their_account_only_and_end_with_the_store() {
        let watchers = Watchers::new();
        let (mut one, mut two) = (watchers.watch(AccountId(1)), watchers.watch(AccountId(2)));
        assert!(one.tick().now_or_never().is_none());
        watchers.tick(AccountId(1));
        watchers.tick(AccountId(1));
        assert!(one.tick().now_or_never().is_some());
        assert!(one.tick().now_or_never().is_none());
        assert!(two.tick().now_or_never().is_none());
        drop(two);
        watchers.tick(AccountId(2));
        assert_eq!(watchers.lock().as_ref().unwrap().len(), 1);
        watchers.close();
        assert!(one.tick().now_or_never().is_none());
        assert!(watchers.watch(AccountId(1)).tick().now_or_never().is_none());
    }
}
