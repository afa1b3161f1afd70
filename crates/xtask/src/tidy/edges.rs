//! Which crate may use which: fronts and backends meet only in `crates/server`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Finding;
use crate::Stop;

const FRONT: &[&str] = &["types", "message", "mail", "auth", "net"];
const BACKEND: &[&str] = &["types", "storage"];

/// A crate of ours and the crates of ours it may use. `server` and `gatepost-bench` may use any.
const EDGES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("net", &[]),
    ("xtask", &[]),
    ("testkit", &[]),
    ("message", &["types"]),
    ("storage", &["types"]),
    ("auth", &["types"]),
    ("mail", &["types", "message", "storage"]),
    ("imap", FRONT),
    ("pop3", FRONT),
    ("lmtp", FRONT),
    ("storage-sled", BACKEND),
    ("blob-packs", BACKEND),
    ("storage-postgres", BACKEND),
    ("blob-s3", BACKEND),
];
const FREE: [&str; 2] = ["server", "gatepost-bench"];

#[derive(Deserialize)]
struct Manifest {
    package: Package,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    #[serde(default, rename = "dev-dependencies")]
    dev_dependencies: BTreeMap<String, toml::Value>,
    #[serde(default, rename = "build-dependencies")]
    build_dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// Reads every manifest below `top/crates` and `top/benches`.
pub(super) fn check(top: &Path) -> Result<Vec<Finding>, Stop> {
    let mut findings = Vec::new();
    for file in crate::source::files(top, &["crates", "benches"], "toml")? {
        if !file.path.ends_with("Cargo.toml") || file.path.contains("/fuzz/") {
            continue;
        }
        findings.extend(manifest(&file.path, &file.text));
        findings.extend(forbids_unsafe(top, &file.path));
    }
    Ok(findings)
}

/// Checks one manifest; `path` is only for the findings.
fn manifest(path: &str, text: &str) -> Vec<Finding> {
    let manifest: Manifest = match toml::from_str(text) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(path, format!("cannot be read: {error}"))],
    };
    let name = manifest.package.name.as_str();
    if FREE.contains(&name) {
        return Vec::new();
    }
    let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
        let what = format!(
            "`{name}` is in no row of the table of crate edges: add it to crates/xtask/src/tidy/\
             edges.rs and to docs/ARCHITECTURE.md"
        );
        return vec![Finding::new(path, what)];
    };
    let ours = |name: &str| FREE.contains(&name) || EDGES.iter().any(|(known, _)| *known == name);
    let mut findings = Vec::new();
    for used in manifest
        .dependencies
        .keys()
        .chain(manifest.build_dependencies.keys())
    {
        if ours(used) && !allowed.contains(&used.as_str()) {
            let what = format!(
                "`{name}` may not use `{used}` (allowed: {}). Fronts and backends meet only in \
                 crates/server; what both need belongs into `types`, `mail` or `storage`",
                if allowed.is_empty() {
                    "none of ours".to_owned()
                } else {
                    allowed.join(", ")
                }
            );
            findings.push(Finding::new(place(path, text, used), what));
        }
    }
    for used in manifest.dev_dependencies.keys() {
        // Tests may add the kit, the engine with its in-memory store, and the crate's own features.
        let test_only = ["testkit", "storage", "mail", "types", "message", name];
        if ours(used) && !allowed.contains(&used.as_str()) && !test_only.contains(&used.as_str()) {
            let what = format!(
                "the tests of `{name}` may not use `{used}`: a test that needs both sides belongs \
                 into crates/server/tests"
            );
            findings.push(Finding::new(place(path, text, used), what));
        }
    }
    findings
}

/// `path:line` of the dependency in the manifest.
fn place(path: &str, text: &str, used: &str) -> String {
    let line = text.lines().position(|line| {
        line.strip_prefix(used)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    });
    format!("{path}:{}", line.map_or(1, |index| index + 1))
}

/// The one file of the product that calls what the compiler cannot check, and says why there.
const UNSAFE: &str = "crates/server/src/trim.rs";

fn forbids_unsafe(top: &Path, path: &str) -> Option<Finding> {
    let folder = path.strip_suffix("Cargo.toml")?;
    let root = ["src/lib.rs", "src/main.rs"].map(|file| format!("{folder}{file}"));
    let root = root.iter().find(|file| top.join(file).is_file())?;
    let text = std::fs::read_to_string(top.join(root)).unwrap_or_default();
    // What is forbidden cannot be allowed in one file of a crate.
    let line = match UNSAFE.starts_with(folder) && !folder.is_empty() {
        true => "#![deny(unsafe_code)]",
        false => "#![forbid(unsafe_code)]",
    };
    let what = format!("write `{line}` below the crate's doc comment");
    (!text.contains(line)).then(|| Finding::new(format!("{root}:1"), what))
}

/// A file that allows itself unsafe code where the compiler would let it.
pub(super) fn allows_unsafe(path: &str, text: &str) -> Option<Finding> {
    if !path.starts_with("crates/server/src/") || path == UNSAFE {
        return None;
    }
    let line = text
        .lines()
        .position(|l| l.contains("allow(unsafe_code)"))?;
    let what = format!("unsafe code is for {UNSAFE} alone");
    Some(Finding::new(format!("{path}:{}", line + 1), what))
}

#[cfg(test)]
mod tests {
    use super::{UNSAFE, allows_unsafe, manifest};

    fn found(name: &str, rest: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n{rest}");
        manifest("Cargo.toml", &text)
            .into_iter()
            .map(|finding| finding.place)
            .collect()
    }

    #[test]
    fn one_file_may_allow_unsafe_code() {
        let text = "//! Such.\n#[allow(unsafe_code)]\nfn f() {}\n";
        assert!(allows_unsafe(UNSAFE, text).is_none());
        let found = allows_unsafe("crates/server/src/app.rs", text).map(|f| f.place);
        assert_eq!(found.as_deref(), Some("crates/server/src/app.rs:2"));
    }

    #[test]
    fn a_front_may_use_neither_a_front_nor_a_backend() {
        for used in ["pop3", "storage-sled", "storage", "server"] {
            let rest = format!("[dependencies]\ntokio.workspace = true\n{used}.workspace = true\n");
            assert_eq!(found("imap", &rest), ["Cargo.toml:5"], "{used}");
        }
        let fine = "[dependencies]\nmail.workspace = true\n[dev-dependencies]\ntestkit = \"1\"\n";
        assert_eq!(found("imap", fine), [""; 0]);
    }

    #[test]
    fn a_backend_may_not_use_a_front_even_in_tests() {
        assert_eq!(
            found("storage-sled", "[dev-dependencies]\nimap = \"1\"\n").len(),
            1
        );
        assert_eq!(
            found("storage-sled", "[dev-dependencies]\nstorage = \"1\"\n").len(),
            0
        );
    }

    #[test]
    fn types_uses_nobody_and_server_anybody() {
        assert_eq!(found("types", "[dependencies]\nmessage = \"1\"\n").len(), 1);
        assert_eq!(
            found(
                "server",
                "[dependencies]\nimap = \"1\"\nstorage-sled = \"1\"\n"
            )
            .len(),
            0
        );
    }

    #[test]
    fn an_unknown_crate_must_be_entered_in_the_table() {
        assert_eq!(found("jmap", ""), ["Cargo.toml"]);
    }
}
