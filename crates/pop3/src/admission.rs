//! Whether a user who proved who they are may have a session now: LOGIN-DELAY and exclusive
//! sessions, both only where configured.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use types::{AccountId, MailboxId};

/// Accounts whose last login is remembered; beyond that the oldest may log in early.
const REMEMBERED: usize = 65_536;

/// RFC 2449 6.5: seconds between the logins of an account, whatever connections they come on.
pub(crate) struct LoginDelay {
    delay: Duration,
    recent: Mutex<Recent>,
}

/// Logins of the last `delay`, in order; each account once.
#[derive(Default)]
struct Recent {
    order: VecDeque<(Instant, u64, AccountId)>,
    /// The number of the login that counts.
    last: HashMap<AccountId, u64>,
    count: u64,
}

/// A login that counts from now on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted(AccountId, u64);

impl LoginDelay {
    /// Zero delays nobody.
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            delay,
            recent: Mutex::default(),
        }
    }

    /// The seconds to announce; `None` when there is no delay.
    pub(crate) fn seconds(&self) -> Option<u64> {
        Some(self.delay.as_secs()).filter(|seconds| *seconds > 0)
    }

    /// Admits an account, unless it was admitted less than the delay ago.
    pub(crate) fn admit(&self, account: AccountId, now: Instant) -> Option<Admitted> {
        if self.delay.is_zero() {
            return Some(Admitted(account, 0));
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, number, oldest)) = recent.order.front().copied() {
            let over = now.saturating_duration_since(at) >= self.delay;
            if !over && recent.order.len() < REMEMBERED {
                break;
            }
            recent.order.pop_front();
            if recent.last.get(&oldest) == Some(&number) {
                recent.last.remove(&oldest);
            }
        }
        if recent.last.contains_key(&account) {
            return None;
        }
        recent.count += 1;
        let number = recent.count;
        recent.last.insert(account, number);
        recent.order.push_back((now, number, account));
        Some(Admitted(account, number))
    }

    /// The login came to nothing, by no fault of the client: it does not count.
    pub(crate) fn withdraw(&self, admitted: &Admitted) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.last.get(&admitted.0) == Some(&admitted.1) {
            recent.last.remove(&admitted.0);
        }
    }
}

/// The maildrops that sessions have for themselves.
#[derive(Clone, Default)]
pub(crate) struct Exclusive(Arc<Mutex<HashSet<(AccountId, MailboxId)>>>);

/// One of them, free again when dropped.
pub(crate) struct Held {
    all: Exclusive,
    maildrop: (AccountId, MailboxId),
}

impl Exclusive {
    /// `None` when another session holds it.
    pub(crate) fn hold(&self, account: AccountId, mailbox: MailboxId) -> Option<Held> {
        let maildrop = (account, mailbox);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = held.insert(maildrop);
        // Only when it is free: a `Held` frees the maildrop when dropped.
        is_free.then(|| Held {
            all: self.clone(),
            maildrop,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&self.maildrop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_waits_and_others_do_not() {
        let delay = LoginDelay::new(Duration::from_secs(60));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (ann, bob) = (AccountId(1), AccountId(2));
        assert!(delay.admit(ann, at(0)).is_some());
        assert!(delay.admit(bob, at(1)).is_some());
        assert!(delay.admit(ann, at(59)).is_none());
        // A refusal does not begin the time anew.
        assert!(delay.admit(ann, at(60)).is_some());
        assert!(delay.admit(bob, at(60)).is_none());
        let admitted = delay.admit(bob, at(61)).unwrap();
        delay.withdraw(&admitted);
        assert!(delay.admit(bob, at(62)).is_some());
        // What was withdrawn runs out without touching what came after it.
        assert!(delay.admit(ann, at(121)).is_some());
        assert!(delay.admit(bob, at(121)).is_none());
        assert!(delay.admit(bob, at(122)).is_some());
        let none = LoginDelay::new(Duration::ZERO);
        assert!(none.admit(ann, start).is_some() && none.admit(ann, start).is_some());
        assert_eq!(none.seconds(), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let delay = LoginDelay::new(Duration::from_secs(60));
        let now = Instant::now();
        for id in 0..3 * REMEMBERED as u64 {
            assert!(delay.admit(AccountId(id), now).is_some());
        }
        let recent = delay.recent.lock().unwrap();
        assert_eq!(recent.order.len(), REMEMBERED);
        assert_eq!(recent.last.len(), REMEMBERED);
    }

    #[test]
    fn a_maildrop_is_free_again_when_its_session_ends() {
        let all = Exclusive::default();
        let held = all.hold(AccountId(1), MailboxId(1)).unwrap();
        assert!(all.hold(AccountId(1), MailboxId(1)).is_none());
        assert!(all.hold(AccountId(1), MailboxId(2)).is_some());
        assert!(all.hold(AccountId(2), MailboxId(1)).is_some());
        drop(held);
        assert!(all.hold(AccountId(1), MailboxId(1)).is_some());
    }
}
