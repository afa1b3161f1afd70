//! What the store could not do of late: health says so until it can again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;

/// How long a failure counts that nothing followed: whoever keeps clients away from a server that
/// is not ready must let it try again.
const REMEMBERED: Duration = Duration::from_secs(60);

/// One kind of operation.
pub(crate) struct Trouble {
    doing: &'static str,
    /// Whether there is a failure to forget; looked at on every success.
    any: AtomicBool,
    last: Mutex<Option<(Instant, String)>>,
}

impl Trouble {
    pub(crate) fn new(doing: &'static str) -> Self {
        Self {
            doing,
            any: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// A success ends the trouble; a failure that may pass by itself begins it.
    pub(crate) fn hear<T>(&self, result: &Result<T, StorageError>) {
        match result {
            Ok(_) if self.any.load(Ordering::Relaxed) => {
                self.any.store(false, Ordering::Relaxed);
                *self.lock() = None;
            }
            Err(error) if error.kind == storage::ErrorKind::Unavailable => {
                *self.lock() = Some((Instant::now(), error.context.clone()));
                self.any.store(true, Ordering::Relaxed);
            }
            // A conflict is retried, a damaged message is one message's trouble.
            _ => {}
        }
    }

    /// What is wrong, in a sentence for the operator.
    pub(crate) fn now(&self) -> Option<String> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let last = self.lock();
        let (when, why) = last.as_ref()?;
        (when.elapsed() < REMEMBERED).then(|| format!("{} fails: {why}", self.doing))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_lasts_until_it_works_again() {
        let trouble = Trouble::new("writing");
        assert_eq!(trouble.now(), None);
        trouble.hear::<()>(&Err(StorageError::corrupt("one message")));
        trouble.hear::<()>(&Err(StorageError::conflict("somebody was faster")));
        assert_eq!(trouble.now(), None);
        trouble.hear::<()>(&Err(StorageError::unavailable("the disk is full")));
        assert_eq!(
            trouble.now().as_deref(),
            Some("writing fails: the disk is full")
        );
        trouble.hear(&Ok(()));
        assert_eq!(trouble.now(), None);
    }
}
