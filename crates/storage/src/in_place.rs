//! Waiting for the disk on the thread that is there.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Whether [`in_place`] may be called here: on a runtime of several threads. On any other a backend
/// leaves the waiting to a thread of its own.
pub fn may_wait_in_place() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Runs what waits for the disk on this very thread, and lets another one take over the runtime's
/// other tasks meanwhile. A task that hands such work to a thread and is woken by it again pays two
/// changes of threads, which together may take as long as the disk does.
///
/// What else the same task waits for (`join!`, `select!`, `buffered`) stands still until then.
pub fn in_place<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
