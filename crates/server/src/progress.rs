//! Progress of long work: a bar on a terminal, lines otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Hears what is being done, and how much of how much is done.
pub(crate) type Steps = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

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
        self.show(step, done, total, BYTES);
    }

    /// `done` of `total` things of a step.
    pub(crate) fn count(&self, step: &str, done: u64, total: u64) {
        self.show(step, done, total, COUNT);
    }

    fn show(&self, step: &str, done: u64, total: u64, template: &str) {
        if self.started.elapsed() < Duration::from_secs(1) {
            return;
        }
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match state.get_or_insert_with(|| State::start(template)) {
            State::Bar(bar) => {
                if bar.message() != step {
                    bar.set_style(style(template));
                    bar.reset();
                }
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

const BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
const COUNT: &str = "{msg} {wide_bar} {human_pos}/{human_len} {eta}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl State {
    fn start(template: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Instant::now());
        }
        Self::Bar(ProgressBar::new(0).with_style(style(template)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Ok(Some(State::Bar(bar))) = self.state.get_mut().map(|state| state.take()) {
            bar.finish_and_clear();
        }
    }
}
