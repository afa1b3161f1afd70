//! The format of the data directory as a whole: a file `FORMAT` that says what wrote it, so that a
//! Gatepost that is too old for it touches nothing.

use crate::failure::Failure;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The file.
pub(crate) const NAME: &str = "FORMAT";
/// The file while it is being written.
pub(crate) const TEMPORARY: &str = "FORMAT.tmp";
const TITLE: &str = "gatepost-data";

/// Rises with every change that an older Gatepost would misread: in the engine's keys and values,
/// or in what lies where. Log and packs have versions of their own beside it.
const VERSION: u32 = 1;

/// Looks whether `dir` is ours to use; writes the file where there is none.
///
/// # Errors
/// `Refused` when a newer Gatepost, or something else, wrote it; then nothing was changed.
pub(crate) fn check(dir: &Path) -> Result<(), Failure> {
    let path = dir.join(NAME);
    let failed = |error: std::io::Error| Failure::refused(format!("{}: {error}", path.display()));
    match std::fs::read(&path) {
        Ok(content) => judge(dir, &String::from_utf8_lossy(&content)),
        // Versions that wrote none wrote format 1.
        Err(error) if error.kind() == ErrorKind::NotFound => write(dir).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

fn judge(dir: &Path, text: &str) -> Result<(), Failure> {
    let dir = dir.display();
    let version = text.strip_prefix(TITLE);
    match version.and_then(|version| version.trim().parse::<u32>().ok()) {
        Some(1..=VERSION) => Ok(()),
        Some(newer) if newer > VERSION => Err(Failure::refused(format!(
            "{dir} was written by a newer Gatepost: its format is {newer}, this one knows up to \
             {VERSION}. Nothing was changed; install that version again"
        ))),
        _ => Err(Failure::refused(format!(
            "{dir} has a file {NAME} that Gatepost did not write: is it the right directory?"
        ))),
    }
}

/// Durable before anything else is written.
fn write(dir: &Path) -> std::io::Result<()> {
    let tmp = dir.join(TEMPORARY);
    let mut file = File::create(&tmp)?;
    writeln!(file, "{TITLE} {VERSION}")?;
    file.sync_all()?;
    std::fs::rename(&tmp, dir.join(NAME))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formats_that_are_known_are_taken() {
        let dir = Path::new("d");
        assert!(judge(dir, "gatepost-data 1\n").is_ok());
        for (text, want) in [
            ("gatepost-data 2\n", "newer Gatepost"),
            ("gatepost-data 0\n", "right directory"),
            ("gatepost-data", "right directory"),
            ("", "right directory"),
            ("something else", "right directory"),
        ] {
            let refused = judge(dir, text).unwrap_err();
            assert_eq!(refused.code(), 2);
            assert!(refused.to_string().contains(want), "{text}: {refused}");
        }
    }
}
