//! The programs from Debian that the tests drive.
//!
//! A missing program fails the test that needs it. Tests never skip in silence: whoever runs
//! `cargo xtask test` has them installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// The program's path.
///
/// # Panics
/// When it is not installed, saying what installs it.
#[must_use]
pub fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(beside)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not installed: run cargo xtask test"))
}

/// A command for an installed program, with an empty environment but PATH, HOME and TERM, so that
/// no configuration of whoever runs the tests is read.
#[must_use]
pub fn command(name: &str, home: &Path) -> Command {
    let mut command = Command::new(find(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("TERM", "xterm");
    command
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// The library that gives a process another time of day, when it is preloaded.
///
/// # Panics
/// When it is not installed, saying what installs it.
#[must_use]
pub fn faketime() -> String {
    let below = Path::new("/usr/lib");
    let folders = std::fs::read_dir(below).into_iter().flatten().flatten();
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = places.find(|place| place.is_file());
    let found = found.unwrap_or_else(|| panic!("faketime is not installed: run cargo xtask test"));
    found.to_string_lossy().into_owned()
}

/// Where a library from npm or PyPI lies: `node_modules/...` or `python`.
///
/// # Panics
/// When it is not there, saying what installs it.
#[must_use]
pub fn library(path: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients");
    let path = home.join(path);
    assert!(
        path.exists(),
        "{} is not installed: run cargo xtask test",
        path.display()
    );
    path
}

/// Runs to the end, at most `limit`, and returns what it printed.
///
/// # Panics
/// When it cannot start, or is still running after `limit` (it is killed then).
#[must_use]
pub fn output(command: &mut Command, limit: Duration) -> Output {
    // `timeout` of coreutils, so that a client that hangs ends the test with its own output.
    let mut limited = Command::new(find("timeout"));
    limited
        .arg("--kill-after=2")
        .arg(limit.as_secs().max(1).to_string());
    limited
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(key, value);
        }
    }
    if let Some(dir) = command.get_current_dir() {
        limited.current_dir(dir);
    }
    let output = limited
        .stdin(Stdio::null())
        .output()
        .expect("coreutils' timeout starts");
    assert_ne!(
        output.status.code(),
        Some(124),
        "{command:?} ran longer than {limit:?}: {}",
        said(&output)
    );
    output
}

/// Runs to the end, at most a minute; the exit code must be 0. Returns standard output.
///
/// # Panics
/// When it fails, with everything it printed.
pub fn succeed(command: &mut Command) -> String {
    let output = output(command, Duration::from_secs(60));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        said(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Both outputs of a finished program, for messages.
#[must_use]
pub fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}
