//! `cargo xtask fuzz`: every target of `crates/fuzz`, for a while each, from seeds the tests hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Stop;
use crate::shell::{call, workspace};

/// Targets, and which seeds each begins with.
const TARGETS: &[(&str, Seeds)] = &[
    ("imap_commands", Seeds::Lines("crates/imap/tests/dialogues")),
    ("imap_search", Seeds::Lines("crates/imap/tests/dialogues")),
    ("imap_session", Seeds::Lines("crates/imap/tests/dialogues")),
    ("imap_sets", Seeds::Lines("crates/imap/tests/dialogues")),
    ("imap_urls", Seeds::Urls),
    ("lmtp_session", Seeds::Lines("crates/lmtp/tests/scripts")),
    ("message_digest", Seeds::Bodies),
    ("message_sections", Seeds::Bodies),
    ("pop3_session", Seeds::Lines("crates/pop3/tests/scripts")),
];

/// Where the seeds of a target come from.
enum Seeds {
    /// What clients say in the scripts below a folder.
    Lines(&'static str),
    /// IMAP URLs in the dialogues.
    Urls,
    /// Messages in the dialogues.
    Bodies,
}

/// How long a single input may take, in seconds.
const SLOW: u32 = 25;

pub(crate) fn run(args: &[String]) -> Result<(), Stop> {
    let (mut seconds, mut wanted) = (60u32, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let number = args.next().and_then(|n| n.parse().ok());
            seconds = number.ok_or_else(|| Stop::unable("--seconds wants a number"))?;
        } else {
            wanted.push(arg.as_str());
        }
    }
    let known = |wanted: &&str| TARGETS.iter().any(|(target, _)| target == wanted);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        let names = names.join(" ");
        return Err(Stop::unable(format!(
            "no target `{unknown}`; there are {names}"
        )));
    }
    for (target, seeds) in TARGETS {
        if wanted.is_empty() || wanted.contains(target) {
            let corpus = workspace().join("target/fuzz").join(target);
            plant(&corpus, seeds).map_err(|e| Stop::unable(format!("seeds of {target}: {e}")))?;
            fuzz(target, &corpus, seconds)?;
        }
    }
    Ok(())
}

/// cargo-fuzz, which `cargo install cargo-fuzz` brings: with a nightly toolchain where there is
/// one, otherwise with this one, which is told to take the flags of a nightly.
fn fuzz(target: &str, corpus: &Path, seconds: u32) -> Result<(), Stop> {
    let mut fuzz = Command::new("cargo");
    fuzz.current_dir(workspace());
    if has_nightly() {
        // The toolchain that runs us would otherwise choose for its child.
        fuzz.env_remove("RUSTUP_TOOLCHAIN").arg("+nightly");
    } else {
        fuzz.env("RUSTC_BOOTSTRAP", "1");
    }
    fuzz.args(["fuzz", "run", "--fuzz-dir", "crates/fuzz", target]);
    fuzz.arg(corpus).arg("--");
    fuzz.arg(format!("-max_total_time={seconds}"));
    fuzz.arg(format!("-timeout={SLOW}"));
    fuzz.args([
        "-rss_limit_mb=4096",
        "-max_len=16384",
        "-print_final_stats=1",
    ]);
    call(&mut fuzz)
}

fn has_nightly() -> bool {
    let list = Command::new("rustup").args(["toolchain", "list"]).output();
    list.is_ok_and(|list| {
        let names = String::from_utf8_lossy(&list.stdout).into_owned();
        names.lines().any(|name| name.starts_with("nightly"))
    })
}

/// Writes the seeds into the corpus, beside what earlier runs found.
fn plant(corpus: &Path, seeds: &Seeds) -> std::io::Result<()> {
    fs::create_dir_all(corpus)?;
    let folder = match seeds {
        Seeds::Lines(folder) => folder,
        Seeds::Bodies | Seeds::Urls => "crates/imap/tests/dialogues",
    };
    for script in scripts(&workspace().join(folder))? {
        let text = fs::read_to_string(&script)?;
        let name = script
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match seeds {
            Seeds::Lines(_) => {
                fs::write(corpus.join(&name), said(&text))?;
                for (i, line) in said(&text).lines().enumerate() {
                    // The octet in front chooses the state or the command.
                    let arguments = line.split_once(' ').map_or("", |(_, rest)| rest);
                    fs::write(
                        corpus.join(format!("{name}.{i}")),
                        format!("\u{2}{line}\r\n"),
                    )?;
                    fs::write(corpus.join(format!("{name}.{i}a")), arguments)?;
                }
            }
            Seeds::Urls => {
                let said = said(&text);
                let quoted = said.split('"').skip(1).step_by(2);
                let urls = quoted.filter(is_url);
                for (i, url) in urls.enumerate() {
                    fs::write(corpus.join(format!("{name}.{i}")), url)?;
                }
            }
            Seeds::Bodies => fs::write(corpus.join(&name), bodies(&text))?,
        }
    }
    Ok(())
}

/// What the clients of a script say.
fn said(script: &str) -> String {
    let lines = script.lines().filter(|line| line.starts_with('C'));
    let lines = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(_, said)| said);
    lines.fold(String::new(), |all, line| all + line + "\r\n")
}

fn is_url(text: &&str) -> bool {
    text.to_ascii_lowercase().contains(";uid=") || text.contains("://")
}

/// The bodies of a script, joined.
fn bodies(script: &str) -> String {
    let lines = script.lines().filter_map(|line| line.strip_prefix('|'));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.fold(String::new(), |all, line| all + line + "\r\n")
}

/// All files below a folder.
fn scripts(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(scripts(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}
