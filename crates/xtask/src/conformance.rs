//! `cargo xtask conformance-count`: no backend runs fewer cases than the in-memory store.

use std::collections::BTreeSet;
use std::path::Path;

use crate::shell::{cargo, workspace};
use crate::{Stop, source};

/// Where the suite lists its cases.
const LIST: &str = "crates/storage/src/conformance/cases.rs";
/// The two contracts: the macro that holds the cases and the macro a backend joins with.
const CONTRACTS: [(&str, &str); 2] = [
    ("__meta_cases", "meta_conformance!"),
    ("__blob_cases", "blob_conformance!"),
];

pub(crate) fn run() -> Result<(), Stop> {
    let top = workspace();
    let text = std::fs::read_to_string(top.join(LIST))
        .map_err(|error| Stop::unable(format!("{LIST}: {error}")))?;
    let mut failures = Vec::new();
    let mut joined = 0;
    for file in source::files(&top, &["crates"], "rs")? {
        if !file.path.contains("/tests/") || !file.path.ends_with("/conformance.rs") {
            continue;
        }
        let tests = listed(&top, &file.path)?;
        for (list, joins) in CONTRACTS {
            if !file.text.contains(joins) {
                continue;
            }
            joined += 1;
            let cases = cases(&text, list);
            if cases.is_empty() {
                return Err(Stop::unable(format!("{LIST}: no cases found in `{list}`")));
            }
            let missing: Vec<_> = cases.difference(&tests).map(String::as_str).collect();
            println!(
                "{}: {} of {} cases ({joins})",
                file.path,
                cases.len() - missing.len(),
                cases.len()
            );
            if !missing.is_empty() {
                failures.push(format!(
                    "{} does not run: {}",
                    file.path,
                    missing.join(", ")
                ));
            }
        }
    }
    if joined < CONTRACTS.len() {
        failures.push("the in-memory stores do not run the suite: see crates/storage/tests".into());
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Stop::failed(failures.join("\n")))
    }
}

/// The names of the tests that run (not ignored), without their modules.
fn listed(top: &Path, path: &str) -> Result<BTreeSet<String>, Stop> {
    let (folder, file) = path.split_once("/tests/").unwrap_or((path, ""));
    let manifest = top.join(folder).join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    // Either a test binary of its own or a module of one, `tests/suite/conformance.rs`.
    let (binary, module) = match file.split_once('/') {
        Some((binary, _)) => (binary, "conformance::"),
        None => ("conformance", ""),
    };
    let list = |more: &[&str]| {
        let mut command = cargo(&["test", "--quiet", "--manifest-path"]);
        command
            .args([&manifest, "--test", binary, "--", "--list", module])
            .args(more);
        let output = command
            .output()
            .map_err(|error| Stop::unable(format!("cargo: {error}")))?;
        if output.status.success() {
            return Ok(names(&String::from_utf8_lossy(&output.stdout)));
        }
        Err(Stop::failed(format!(
            "{path}: {}",
            String::from_utf8_lossy(&output.stderr)
        )))
    };
    let ignored = list(&["--ignored"])?;
    Ok(list(&[])?.difference(&ignored).cloned().collect())
}

fn names(output: &str) -> BTreeSet<String> {
    let tests = output
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    tests
        .filter_map(|path| path.rsplit("::").next())
        .map(str::to_owned)
        .collect()
}

/// The cases of one list macro: the words inside `file { case case }`.
fn cases(text: &str, list: &str) -> BTreeSet<String> {
    let head = format!("macro_rules! {list} ");
    let Some(start) = text.find(&head) else {
        return BTreeSet::new();
    };
    let body = &text[start..];
    let Some(start) = body.find("__expand_cases! {") else {
        return BTreeSet::new();
    };
    let mut depth = 0;
    let mut found = BTreeSet::new();
    for raw in body[start..].lines() {
        let line = raw.split("//").next().unwrap_or_default();
        for word in line
            .replace('{', " { ")
            .replace('}', " } ")
            .split_whitespace()
        {
            match word {
                "{" => depth += 1,
                "}" if depth == 1 => return found,
                "}" => depth -= 1,
                word if depth == 2 => {
                    found.insert(word.to_owned());
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{cases, names};

    #[test]
    fn cases_are_the_words_in_the_inner_braces() {
        let text = "macro_rules! __meta_cases {\n ($m:ident) => {\n\
                    $crate::__expand_cases! { $m\n\
                    get { // c\n a\n b\n }\n scan { c }\n }\n };\n}\n\
                    macro_rules! other { { { d } } }";
        assert_eq!(
            cases(text, "__meta_cases").into_iter().collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert!(cases(text, "__blob_cases").is_empty());
    }

    #[test]
    fn names_lose_their_modules() {
        let found = names("meta::a: test\nb: test\n\n2 tests, 0 benchmarks\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
