//! The mail clients and tools the tests drive, from Debian.

use std::io::IsTerminal;
use std::process::Command;

use crate::Stop;
use crate::shell::{call, installed};

/// A program the tests start, and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("fetchmail", "fetchmail"),
    ("getmail", "getmail6"),
    ("mbsync", "isync"),
    ("mpop", "mpop"),
    ("mutt", "mutt"),
    ("offlineimap", "offlineimap3"),
    ("postfix", "postfix"),
    ("python3", "python3"),
    ("runuser", "util-linux"),
    ("script", "bsdutils"),
    ("strace", "strace"),
    ("swaks", "swaks"),
    ("timeout", "coreutils"),
];

/// Installs what is missing, or says what is missing and why it could not be installed.
pub(crate) fn missing() -> Result<(), Stop> {
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| !installed(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let list = packages.join(" ");
    if !installed("apt-get") {
        let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        return Err(Stop::unable(format!(
            "The tests drive real mail programs and these are not on PATH: {}\n\
             There is no apt-get here to install them with (Debian names: {list}).",
            programs.join(" ")
        )));
    }
    let Some(prefix) = privilege() else {
        return Err(Stop::unable(format!(
            "The tests drive real mail programs. As root, run:\n  \
             apt-get update && apt-get install --no-install-recommends {list}"
        )));
    };
    eprintln!("installing for the tests: {list}");
    let unreachable = |stop: Stop| {
        Stop::unable(format!(
            "{}\nThe tests need these Debian packages, and they could not be installed: {list}",
            stop.reason
        ))
    };
    call(&mut apt(prefix, &["update", "--quiet=2"])).map_err(unreachable)?;
    let mut install = apt(
        prefix,
        &["install", "--yes", "--quiet=2", "--no-install-recommends"],
    );
    call(install.args(&packages)).map_err(unreachable)?;
    let still = NEEDED.iter().find(|(program, _)| !installed(program));
    still.map_or(Ok(()), |(program, package)| {
        Err(Stop::unable(format!(
            "{package} is installed, but there is no `{program}`"
        )))
    })
}

/// What to put before a command so that it runs as root; `None` when nothing does.
fn privilege() -> Option<&'static [&'static str]> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(&[]);
    }
    let may_ask = std::io::stdin().is_terminal();
    let free = || Command::new("sudo").args(["-n", "true"]).output().ok();
    let allowed = installed("sudo") && (may_ask || free().is_some_and(|o| o.status.success()));
    allowed.then_some(&["sudo"])
}

/// apt-get without questions. Services must not start: the tests start their own.
fn apt(prefix: &[&str], args: &[&str]) -> Command {
    let words = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=300",
    ];
    let mut all = prefix.iter().chain(&words).chain(args);
    let mut command = Command::new(all.next().expect("`env` at least"));
    command.args(all).stdin(std::process::Stdio::null());
    command
}
