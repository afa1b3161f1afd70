//! Other programs, and where the workspace is.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Stop;

/// The workspace's top folder.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("xtask lies in crates/xtask")
        .to_owned()
}

/// `cargo` as it called us, in the workspace's top folder.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(workspace());
    command
}

/// Runs a command with our own input and output; a non-zero end is a failure.
pub(crate) fn call(command: &mut Command) -> Result<(), Stop> {
    let name = command.get_program().to_string_lossy().into_owned();
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    let line = format!("{name} {}", words.join(" "));
    eprintln!("+ {line}");
    let status = command
        .status()
        .map_err(|error| Stop::unable(format!("cannot start {name}: {error}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Stop::failed(format!("{line}: {status}")))
    }
}

/// Whether a program of this name is on PATH or in a folder for system programs.
pub(crate) fn installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .any(|folder| folder.join(name).is_file())
}
