//! `cargo xtask tidy`: the rules of docs/STYLE.md that a machine can check.

mod edges;
mod lost;
mod text;
mod wrap;

use std::path::Path;

use crate::{Stop, shell, source};

/// A broken rule: where, what, and what to do instead.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), Stop> {
    let top = shell::workspace();
    match args {
        [] => {}
        [flag, paths @ ..] if flag == "--fix" && !paths.is_empty() => fix(&top, paths)?,
        _ => {
            return Err(Stop::unable(
                "cargo xtask tidy [--fix PATH...], such as crates/mail",
            ));
        }
    }
    let sources = source::files(&top, &["crates", "benches"], "rs")?;
    let mut findings = top_level(&top)?;
    findings.extend(edges::check(&top)?);
    findings.extend(lost::check(&sources));
    for source in &sources {
        findings.extend(text::check(source));
        findings.extend(edges::allows_unsafe(&source.path, &source.text));
    }
    for (path, lines) in text::long_files(&sources) {
        println!(
            "note: {path}: {lines} lines (aim below {})",
            text::SOFT_LINES
        );
    }
    if findings.is_empty() {
        println!("tidy: {} files, nothing to mend", sources.len());
        return Ok(());
    }
    for Finding { place, what } in &findings {
        println!("{place}: {what}");
    }
    Err(Stop::failed(format!(
        "tidy: {} places to mend",
        findings.len()
    )))
}

/// Breaks comment lines that are too long below `paths`; the other rules want a person. The paths
/// must be named, because others may be at work in the rest of the checkout.
fn fix(top: &Path, paths: &[String]) -> Result<(), Stop> {
    let paths: Vec<&str> = paths
        .iter()
        .map(|path| path.trim_end_matches('/'))
        .collect();
    for source in source::files(top, &paths, "rs")? {
        let wrapped = wrap::comments(&source.text);
        if wrapped != source.text {
            std::fs::write(top.join(&source.path), wrapped)
                .map_err(|error| Stop::unable(format!("{}: {error}", source.path)))?;
            println!("{}: comments broken", source.path);
        }
    }
    Ok(())
}

/// DESIGN 1: what may lie at the top, and nothing else.
fn top_level(top: &Path) -> Result<Vec<Finding>, Stop> {
    const ALLOWED: [&str; 8] = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "crates",
        "deploy",
        "docs",
        "benches",
        "target",
    ];
    let entries = std::fs::read_dir(top)
        .map_err(|error| Stop::unable(format!("{}: {error}", top.display())))?;
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut findings: Vec<Finding> = names
        .filter(|name| {
            !ALLOWED.contains(&name.as_str())
                && !name.starts_with('.')
                && !name.starts_with("LICENSE-")
        })
        .map(|name| {
            let what = "not a top-level entry of the layout: move it into crates/, deploy/, docs/ \
                        or benches/";
            Finding::new(name, what)
        })
        .collect();
    findings.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::top_level;

    #[test]
    fn an_entry_beside_the_layout_is_found() {
        let dir = tempfile::tempdir().expect("a temp directory");
        for name in ["Cargo.toml", ".ci", "LICENSE-MIT", "notes.txt", "src"] {
            std::fs::write(dir.path().join(name), "").expect("a file");
        }
        let findings = top_level(dir.path()).unwrap_or_else(|stop| panic!("{}", stop.reason));
        let places: Vec<_> = findings
            .iter()
            .map(|finding| finding.place.as_str())
            .collect();
        assert_eq!(places, ["notes.txt", "src"]);
    }
}
