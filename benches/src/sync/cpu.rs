//! What a server's processes have computed, in nanoseconds.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::peers::process;
use crate::wire::Result;

/// Time on a processor per thread, from `schedstat`, whose unit is not the clock tick.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(BTreeMap<u32, u64>);

impl Cpu {
    /// Of a process and its descendants.
    pub(crate) fn read(root: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for pid in process::descendants(root)? {
            // Processes and threads that have just ended count nothing.
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
                continue;
            };
            for task in tasks.flatten() {
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                let spent = text.split(' ').next().and_then(|word| word.parse().ok());
                let id = task.file_name().to_str().and_then(|name| name.parse().ok());
                if let (Some(id), Some(spent)) = (id, spent) {
                    threads.insert(id, spent);
                }
            }
        }
        Ok(Self(threads))
    }

    /// Spent since `before`.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let spent = self.0.iter().map(|(thread, spent)| {
            let known = before.0.get(thread).copied().unwrap_or(0);
            spent.saturating_sub(known)
        });
        Duration::from_nanos(spent.sum())
    }
}

/// Waits until the server has finished what it does in the background after it was filled, but not
/// for long: some never rest.
pub(crate) fn wait_until_quiet(root: u32) -> Result<()> {
    const WINDOW: Duration = Duration::from_millis(150);
    const PATIENCE: Duration = Duration::from_secs(15);
    let from = Instant::now();
    loop {
        let before = Cpu::read(root)?;
        thread::sleep(WINDOW);
        let spent = Cpu::read(root)?.since(&before);
        if spent < WINDOW / 100 || from.elapsed() > PATIENCE {
            return Ok(());
        }
    }
}
