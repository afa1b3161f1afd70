//! Which sessions stand on which secret, so that they end when it does.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use types::CredentialId;

/// Logged-in sessions by account name, in lower case, and credential.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    switches: HashMap<(String, CredentialId), watch::Sender<bool>>,
    /// When so many are there, those of sessions that have ended are looked for.
    clean_at: usize,
}

const CLEAN_AT_LEAST: usize = 1024;

impl Sessions {
    /// Becomes `true` when the credential is revoked.
    pub(crate) fn watch(&self, account: &str, credential: CredentialId) -> watch::Receiver<bool> {
        let mut table = self.table();
        if table.switches.len() >= table.clean_at {
            table
                .switches
                .retain(|_, switch| switch.receiver_count() > 0);
            table.clean_at = CLEAN_AT_LEAST.max(2 * table.switches.len());
        }
        table
            .switches
            .entry((account.to_lowercase(), credential))
            .or_insert_with(|| watch::Sender::new(false))
            .subscribe()
    }

    /// Ends the sessions of one credential, or of all.
    pub(crate) fn end(&self, account: &str, credential: Option<CredentialId>) {
        let account = account.to_lowercase();
        self.table().switches.retain(|(name, id), switch| {
            let concerned = *name == account && credential.is_none_or(|wanted| wanted == *id);
            if concerned {
                switch.send_replace(true);
            }
            !concerned
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_with_their_credential_and_no_other() {
        let sessions = Sessions::default();
        let [phone, laptop] = [1, 2].map(CredentialId);
        let watch = |id| sessions.watch("ann", id);
        let (one, two, other) = (watch(phone), watch(phone), watch(laptop));
        let bob = sessions.watch("bob", phone);
        sessions.end("Ann", Some(phone));
        let ended = [&one, &two, &other, &bob].map(|watch| *watch.borrow());
        assert_eq!(ended, [true, true, false, false]);
        // The next login by the same number is a new session.
        assert!(!*sessions.watch("ann", phone).borrow());
        sessions.end("ann", None);
        assert!(*other.borrow() && !*bob.borrow());
    }

    #[test]
    fn the_table_holds_no_more_than_twice_what_is_open() {
        let sessions = Sessions::default();
        for i in 0..10_000 {
            drop(sessions.watch("ann", CredentialId(i)));
        }
        assert!(sessions.table().switches.len() <= CLEAN_AT_LEAST + 1);
    }
}
