//! The workspace's files, as the checks see them.

use std::path::{Path, PathBuf};

use crate::Stop;

/// A text file of the workspace.
pub(crate) struct Source {
    /// Relative to the workspace's top folder, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// Whether the whole file is test or tool code.
    pub(crate) fn is_test_code(&self) -> bool {
        let path = &self.path;
        let tool = ["crates/xtask/", "crates/testkit/", "benches/"];
        let folders = [
            "/tests/",
            "/benches/",
            "/examples/",
            "/fuzz/",
            "/conformance/",
        ];
        tool.iter().any(|prefix| path.starts_with(prefix))
            || folders.iter().any(|folder| path.contains(folder))
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs")
    }

    /// Lines with their numbers, test modules left out.
    pub(crate) fn production_lines(&self) -> Vec<(usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            if starts_tests(&lines[at..]) {
                let length = lines[at..].iter().position(|line| *line == "}");
                at += length.map_or(lines.len(), |length| length + 1);
            } else {
                found.push((at + 1, lines[at]));
                at += 1;
            }
        }
        found
    }
}

/// `#[cfg(test)]` on a module with a body, other attributes in between allowed.
fn starts_tests(lines: &[&str]) -> bool {
    let gate = lines
        .first()
        .is_some_and(|line| line.starts_with("#[cfg(test)]"));
    let item = lines.iter().find(|line| !line.starts_with("#["));
    gate && item.is_some_and(|line| {
        (line.starts_with("mod ") || line.starts_with("pub") && line.contains(" mod "))
            && line.ends_with('{')
    })
}

/// All files with this extension below `folders` of the workspace, sorted by path.
pub(crate) fn files(top: &Path, folders: &[&str], extension: &str) -> Result<Vec<Source>, Stop> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| top.join(folder)).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if entry.file_name() != "target" {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(read(top, &path)?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(top: &Path, path: &Path) -> Result<Source, Stop> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Stop::unable(format!("{}: {error}", path.display())))?;
    let relative = path.strip_prefix(top).unwrap_or(path).display().to_string();
    Ok(Source {
        path: relative,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn test_modules_are_no_production_code() {
        let text = "fn a() {}\n#[cfg(test)]\nuse b;\n\
                    #[cfg(test)]\n#[allow(x)]\nmod tests {\n    b\n}\nfn c() {}\n";
        let source = Source {
            path: "crates/a/src/lib.rs".into(),
            text: text.into(),
        };
        let lines = source.production_lines();
        let numbers: Vec<usize> = lines.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 9], "{lines:?}");
    }

    #[test]
    fn test_code_is_told_by_its_path() {
        let of = |path: &str| {
            Source {
                path: path.into(),
                text: String::new(),
            }
            .is_test_code()
        };
        assert!(
            of("crates/a/tests/x.rs") && of("crates/testkit/src/lib.rs") && of("benches/src/a.rs")
        );
        assert!(!of("crates/a/src/contests.rs"));
    }
}
