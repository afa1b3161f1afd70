//! Filling the index on several processors: reading, decoding and sorting; one thread of the
//! index writes to sled.

use crate::export;
use crate::keys;
use crate::recent::Index;
use std::panic;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use storage::{StorageError, Write};
use types::AccountId;

/// More do not help: what they sort goes to sled through one thread.
const MAX_WORKERS: usize = 4;
/// How many pieces of work may wait for a worker.
const QUEUE: usize = 32;

enum Work {
    /// The body of an export's block.
    Block(Vec<u8>),
    /// The writes of a record.
    Record(AccountId, Vec<Write>),
}

/// Hands work to the workers. When one of them has failed, everything is refused.
pub(crate) struct Feeder {
    queues: Vec<SyncSender<Work>>,
    turn: usize,
}

impl Feeder {
    /// Stores the entries of an export's block, in any order among blocks.
    pub(crate) fn block(&mut self, body: Vec<u8>) -> Result<(), StorageError> {
        self.turn = (self.turn + 1) % self.queues.len();
        self.send(self.turn, Work::Block(body))
    }

    /// Applies the writes of a record, after those of all earlier records of the account. No key is
    /// written by two accounts.
    pub(crate) fn record(
        &mut self,
        account: AccountId,
        writes: Vec<Write>,
    ) -> Result<(), StorageError> {
        let worker = account.0 as usize % self.queues.len();
        self.send(worker, Work::Record(account, writes))
    }

    fn send(&self, worker: usize, work: Work) -> Result<(), StorageError> {
        self.queues[worker]
            .send(work)
            .map_err(|_| StorageError::unavailable("filling the index was given up"))
    }
}

/// Runs `feed` and returns when all it has handed out is in the index. The error of a worker comes
/// before that of `feed`, which may only be its echo.
pub(crate) fn spread(
    index: &Index,
    feed: impl FnOnce(&mut Feeder) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    index.filling(true);
    let done = hand_out(index, feed);
    index.filling(false);
    done
}

fn hand_out(
    index: &Index,
    feed: impl FnOnce(&mut Feeder) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let count = thread::available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS));
    thread::scope(|scope| {
        let (queues, workers): (Vec<_>, Vec<_>) = (0..count)
            .map(|_| {
                let (sender, receiver) = sync_channel(QUEUE);
                (sender, scope.spawn(move || work(index, &receiver)))
            })
            .unzip();
        let fed = feed(&mut Feeder { queues, turn: 0 });
        let mut worked = Ok(());
        for worker in workers {
            let result = worker.join().unwrap_or_else(|e| panic::resume_unwind(e));
            worked = worked.and(result);
        }
        worked.and(fed)
    })
}

fn work(index: &Index, queue: &Receiver<Work>) -> Result<(), StorageError> {
    // An index that is being filled holds nothing yet that could be lost: no error of its is
    // damage.
    drain(index, queue).map_err(|e| StorageError::unavailable(e.context))
}

fn drain(index: &Index, queue: &Receiver<Work>) -> Result<(), StorageError> {
    for work in queue {
        match work {
            Work::Block(body) => {
                for (key, value) in export::Entries::new(&body) {
                    index.set(key, Some(value))?;
                }
            }
            Work::Record(account, writes) => {
                for write in &writes {
                    let (key, value) = keys::effect(account, write);
                    index.set(&key, value)?;
                }
            }
        }
    }
    Ok(())
}
