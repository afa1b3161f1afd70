//! docs/IMAP.md is the registry, written down: every capability with its text, file and tests.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HEAD: &str = "\
# What the IMAP front can do

Written by `UPDATE=1 cargo nextest run -p imap --test suite capabilities` from the registry
(`crates/imap/src/registry.rs`) and the dialogues beside it. Do not edit.

| capability | text | adds | code | dialogues |
|---|---|---|---|---|
";

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The dialogue scripts filed under a text.
fn scripts(rfc: &str) -> BTreeSet<String> {
    let folder = here("tests/dialogues").join(rfc.to_ascii_lowercase().replace(' ', ""));
    let Ok(entries) = std::fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".test"))
        .collect()
}

fn table() -> String {
    let mut out = HEAD.to_owned();
    for extension in imap::registry::EXTENSIONS {
        let names: Vec<_> = extension.capabilities.iter().map(|c| c.name).collect();
        let mut adds: Vec<String> = Vec::new();
        adds.extend(extension.commands.iter().map(|spec| spec.name.to_owned()));
        let items = extension.fetch_items.iter().copied().flatten();
        adds.extend(items.map(|item| format!("FETCH {}", item.name)));
        let keys = extension.search_keys.iter().copied().flatten();
        adds.extend(keys.map(|key| format!("SEARCH {}", key.name)));
        let status = extension.status_items.iter();
        adds.extend(status.map(|item| format!("STATUS {}", item.name)));
        if extension.on_enable.is_some() {
            adds.push("ENABLE".to_owned());
        }
        let file = extension.file.trim_start_matches("crates/imap/src/");
        writeln!(
            out,
            "| {} | {} | {} | [{file}](../{}) | {} |",
            names.join(" "),
            extension.rfc,
            adds.join(", "),
            extension.file,
            scripts(extension.rfc).len(),
        )
        .expect("a string takes everything");
    }
    out
}

#[test]
fn the_capability_table_is_true() {
    let path = here("../../docs/IMAP.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, table()).expect("docs/IMAP.md can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table(),
        "docs/IMAP.md is old: UPDATE=1 cargo nextest run -p imap --test suite capabilities"
    );
}

#[test]
fn every_text_has_a_dialogue() {
    let silent: Vec<_> = imap::registry::EXTENSIONS
        .iter()
        .map(|extension| extension.rfc)
        .filter(|rfc| scripts(rfc).is_empty())
        .collect();
    assert!(silent.is_empty(), "no dialogue for {silent:?}");
}
