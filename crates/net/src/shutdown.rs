//! Clean shutdown: one switch for the whole process, and how many connections still hold on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Aborted,
}

/// The switch. Clones are the same switch.
#[derive(Debug, Clone)]
pub struct Shutdown {
    phase: Arc<watch::Sender<Phase>>,
    active: Arc<watch::Sender<usize>>,
}

impl Shutdown {
    /// A process that is running.
    pub fn new() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
            active: Arc::new(watch::Sender::new(0)),
        }
    }

    /// A token to wait on.
    pub fn token(&self) -> Token {
        Token {
            phase: self.phase.subscribe(),
        }
    }

    /// Connections now open on all listeners.
    pub fn active(&self) -> usize {
        *self.active.borrow()
    }

    /// Stops accepting and lets waiting sessions say goodbye; returns at once.
    pub fn start(&self) {
        self.advance(Phase::Draining);
    }

    /// [`Self::start`], then waits until every session has ended, at most `timeout`; sessions that
    /// have not are cut off. Returns how many had to be.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.start();
        let mut active = self.active.subscribe();
        let left = match tokio::time::timeout(timeout, active.wait_for(|n| *n == 0)).await {
            Ok(_) => 0,
            Err(_) => self.active(),
        };
        self.advance(Phase::Aborted);
        // Aborted tasks drop their connections at their next await; that is soon.
        let _ = tokio::time::timeout(Duration::from_secs(1), active.wait_for(|n| *n == 0)).await;
        left
    }

    pub(crate) fn track(&self) -> Tracked {
        self.active.send_modify(|n| *n += 1);
        Tracked {
            active: Arc::clone(&self.active),
        }
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
            }
            later
        });
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells one task when to stop.
#[derive(Debug, Clone)]
pub struct Token {
    phase: watch::Receiver<Phase>,
}

impl Token {
    /// Whether the process is stopping.
    pub fn is_started(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Resolves when the process begins to stop (or its switch is gone).
    pub async fn started(&mut self) {
        let _ = self.phase.wait_for(|phase| *phase != Phase::Running).await;
    }

    pub(crate) async fn aborted(&mut self) {
        let _ = self.phase.wait_for(|phase| *phase == Phase::Aborted).await;
    }
}

/// One open connection.
pub(crate) struct Tracked {
    active: Arc<watch::Sender<usize>>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.active.send_modify(|n| *n -= 1);
    }
}
