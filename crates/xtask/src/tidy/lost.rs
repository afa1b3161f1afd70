//! Tests that nobody runs: files beside a `tests/NAME/main.rs` that it does not name.

use super::Finding;
use crate::source::Source;
use std::collections::HashMap;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let binaries: HashMap<&str, &str> = sources
        .iter()
        .filter_map(|source| Some((source.path.strip_suffix("/main.rs")?, &*source.text)))
        .filter(|(folder, _)| folder.contains("/tests/"))
        .collect();
    let lost = sources.iter().filter(|source| {
        let file = source.path.strip_suffix("/mod.rs");
        let file = file.or_else(|| source.path.strip_suffix(".rs"));
        let Some((folder, module)) = file.and_then(|file| file.rsplit_once('/')) else {
            return false;
        };
        let declared = |text: &str| text.lines().any(|line| line == format!("mod {module};"));
        module != "main" && binaries.get(folder).is_some_and(|text| !declared(text))
    });
    lost.map(|source| {
        Finding::new(
            &source.path,
            "no `mod` in main.rs names it: its tests do not run",
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::source::Source;

    #[test]
    fn a_file_that_main_does_not_name_is_found() {
        let files = [
            ("crates/a/tests/suite/main.rs", "mod known;\nmod folder;\n"),
            ("crates/a/tests/suite/known.rs", ""),
            ("crates/a/tests/suite/folder/mod.rs", "mod inner;"),
            ("crates/a/tests/suite/folder/inner.rs", ""),
            ("crates/a/tests/suite/lost.rs", ""),
            ("crates/a/tests/suite/gone/mod.rs", ""),
            ("crates/a/tests/alone.rs", ""),
            ("crates/a/src/main.rs", ""),
            ("crates/a/src/path.rs", ""),
        ];
        let sources = files.map(|(path, text)| Source {
            path: path.into(),
            text: text.into(),
        });
        let lost: Vec<_> = check(&sources).into_iter().map(|lost| lost.place).collect();
        assert_eq!(
            lost,
            [
                "crates/a/tests/suite/lost.rs",
                "crates/a/tests/suite/gone/mod.rs"
            ]
        );
    }
}
