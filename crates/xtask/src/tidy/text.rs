//! Rules about the text of Rust files.

use super::Finding;
use crate::source::Source;

/// Reported, not failed.
pub(super) const SOFT_LINES: usize = 400;
const HARD_LINES: usize = 800;
pub(super) const COLUMNS: usize = 100;

/// Written in halves so that this file passes its own check.
const LEFTOVERS: [(&str, &str); 5] = [
    (
        concat!("to", "do!("),
        "finish it, or say in the issue that it is missing",
    ),
    (
        concat!("unimple", "mented!("),
        "finish it, or make the state impossible",
    ),
    (concat!("db", "g!("), "use tracing, or remove it"),
    (concat!("FIX", "ME"), "fix it, or file an issue"),
    (
        concat!("XX", "X"),
        "say in words what is wrong, or file an issue",
    ),
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |line: usize, what: String| {
        findings.push(Finding::new(format!("{}:{line}", source.path), what));
    };
    let mut lines = 0;
    // A table kept in rows on purpose may be as wide as its rows.
    let mut table = false;
    for (index, line) in source.text.lines().enumerate() {
        lines = index + 1;
        table = line == "#[rustfmt::skip]" || table && !matches!(line, "];" | "}");
        let columns = line.chars().count();
        if columns > COLUMNS && !table && !may_be_wide(line) {
            let fix = "comments: cargo xtask tidy --fix PATH";
            add(
                lines,
                format!("{columns} columns: break the line before {COLUMNS} ({fix})"),
            );
        }
        for (word, instead) in LEFTOVERS {
            if contains_word(line, word) {
                add(lines, format!("`{word}` left over: {instead}"));
            }
        }
    }
    if lines > HARD_LINES {
        add(
            1,
            format!("{lines} lines: one subject per file, at most {HARD_LINES}; split it"),
        );
    }
    if !source.is_test_code() {
        for (number, line) in source.production_lines() {
            if line.contains(".unwrap()") && !line.trim_start().starts_with("//") {
                let what = "`.unwrap()` outside tests: return the error, or `expect(\"why it \
                            holds\")` where that can be seen on the spot";
                add(number, what.to_owned());
            }
        }
    }
    findings
}

pub(super) fn long_files(sources: &[Source]) -> Vec<(&str, usize)> {
    let lengths = sources
        .iter()
        .map(|source| (source.path.as_str(), source.text.lines().count()));
    lengths
        .filter(|(_, lines)| (SOFT_LINES + 1..=HARD_LINES).contains(lines))
        .collect()
}

/// `word` not inside a longer word (`"\xXXXX"` is an escape, not a leftover).
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joins = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !before.is_some_and(joins) && (word.ends_with('(') || !after.is_some_and(joins))
    })
}

/// Lines that rustfmt leaves alone and that read worse broken: code around a literal, the lines of
/// a literal itself, the rows of a table.
fn may_be_wide(line: &str) -> bool {
    let code = line.trim();
    if code.starts_with("//") {
        return code.trim_start_matches(['/', '!', ' ']).starts_with('|');
    }
    code.contains('"') || code.ends_with('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&source)
            .into_iter()
            .map(|finding| finding.place)
            .collect()
    }

    #[test]
    fn long_lines_count_characters() {
        let wide = "é".repeat(COLUMNS);
        assert_eq!(found("a.rs", &format!("{wide}\n{wide}é\n")), ["a.rs:2"]);
        let table = format!("#[rustfmt::skip]\nA = &[\n{wide}é\n];\n{wide}é\n");
        assert_eq!(found("a.rs", &table), ["a.rs:5"]);
    }

    #[test]
    fn long_files_fail_hard_and_report_soft() {
        assert_eq!(found("a.rs", &"\n".repeat(HARD_LINES + 1)), ["a.rs:1"]);
        let soft = Source {
            path: "a.rs".to_owned(),
            text: "\n".repeat(SOFT_LINES + 1),
        };
        assert_eq!(long_files(&[soft]), [("a.rs", SOFT_LINES + 1)]);
    }

    #[test]
    fn leftovers_are_words() {
        for (word, _) in LEFTOVERS {
            assert_eq!(
                found("a.rs", &format!("x {word} y\n")),
                ["a.rs:1"],
                "{word}"
            );
        }
        let joined = concat!("XX", "XX FIX", "MEs my_to", "do!(");
        assert_eq!(found("a.rs", joined), [""; 0]);
    }

    #[test]
    fn unwrap_is_for_tests() {
        let text = "a.unwrap()\n/// b.unwrap()\n#[cfg(test)]\nmod tests {\nc.unwrap()\n}\n";
        assert_eq!(
            found("crates/a/src/lib.rs", text),
            ["crates/a/src/lib.rs:1"]
        );
        assert_eq!(found("crates/a/tests/b.rs", text), [""; 0]);
    }
}
