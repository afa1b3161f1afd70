//! Progress of long work: a bar on a terminal, lines otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Shows how far something is; nothing at all while it takes less than a second.
pub(crate) struct Progress {
    started: Instant,
    state: Mutex<Option<State>>,
}

enum State {
    Bar(ProgressBar),
    Lines(Instant),
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::new(None),
        }
    }

    /// `done` of `total` bytes of a step.
    pub(crate) fn bytes(&self, step: &str, done: u64, total: u64) {
        if self.started.elapsed() < Duration::from_secs(1) {
            return;
        }
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match state.get_or_insert_with(State::start) {
            State::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(step.to_owned());
            }
            State::Lines(last) if last.elapsed() > Duration::from_secs(5) => {
                *last = Instant::now();
                tracing::info!(step, done, total, "progress");
            }
            State::Lines(_) => {}
        }
    }
}

impl State {
    fn start() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Instant::now());
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
        Self::Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Ok(Some(State::Bar(bar))) = self.state.get_mut().map(|state| state.take()) {
            bar.finish_and_clear();
        }
    }
}
