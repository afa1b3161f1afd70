//! The handle a commit returns: applied already, durable once awaited.

use crate::StorageError;
use std::future::Future;
use std::pin::Pin;

type Durable = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send>>;

/// A batch that has been applied. Dropping the handle does not undo it: it becomes durable by
/// itself within 100 ms (DESIGN 3.4).
#[must_use = "await durable() before acknowledging, or drop it knowingly with relax()"]
pub struct Commit(Option<Durable>);

impl Commit {
    /// A commit that is on stable storage already.
    pub fn already_durable() -> Self {
        Self(None)
    }

    /// A commit that is durable once `durable` resolves. The backend makes it durable whether or
    /// not the future is ever polled.
    pub fn pending(
        durable: impl Future<Output = Result<(), StorageError>> + Send + 'static,
    ) -> Self {
        Self(Some(Box::pin(durable)))
    }

    /// Resolves once the batch, and every batch committed before it, is on stable storage.
    ///
    /// # Errors
    /// `Unavailable` when it could not be made durable: the store is read-only from then on and the
    /// batch must not be acknowledged.
    pub async fn durable(self) -> Result<(), StorageError> {
        match self.0 {
            Some(durable) => durable.await,
            None => Ok(()),
        }
    }

    /// Gives up waiting: for changes that may be acknowledged before they are durable (flags).
    pub fn relax(self) {}

    /// Whether nothing needs to be waited for.
    pub fn is_durable(&self) -> bool {
        self.0.is_none()
    }
}
