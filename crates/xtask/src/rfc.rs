//! `cargo xtask rfc`: from an RFC's section to the code that follows it.
//!
//! Code cites `RFC <number> <section>` where it decides. Every cited RFC stands in docs/rfc.toml,
//! and docs/RFC-MAP.md leads from there back to the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

use crate::source::Source;
use crate::{Stop, shell, source};

const LIST: &str = "docs/rfc.toml";
const MAP: &str = "docs/RFC-MAP.md";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    rfc: Vec<Rfc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rfc {
    number: u32,
    title: String,
    status: Status,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Status {
    Yes,
    Partial,
    No,
}

/// A section as it sorts: numbers by value, appendices after them; empty for the whole RFC.
type Section = Vec<u32>;
type Places = BTreeMap<u32, BTreeMap<(Section, String), BTreeSet<(String, usize)>>>;

pub(crate) fn run(args: &[String]) -> Result<(), Stop> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(Stop::unable("cargo xtask rfc [--check]")),
    };
    let top = shell::workspace();
    let text = std::fs::read_to_string(top.join(LIST))
        .map_err(|error| Stop::unable(format!("{LIST}: {error}")))?;
    let list: List =
        toml::from_str(&text).map_err(|error| Stop::failed(format!("{LIST}: {error}")))?;
    let mut places = Places::new();
    for extension in ["rs", "test"] {
        for source in source::files(&top, &["crates"], extension)? {
            // This tool's own tests cite RFCs that nobody implements.
            if !source.path.starts_with("crates/xtask/") {
                collect(&source, &mut places);
            }
        }
    }
    let unknown = unlisted(&list, &places);
    if !unknown.is_empty() {
        return Err(Stop::failed(format!(
            "{unknown}cited but not in {LIST}: add a row there"
        )));
    }
    let wanted = render(&list, &places);
    let path = top.join(MAP);
    if check {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let stale = format!("{MAP} is out of date: run cargo xtask rfc and commit it");
        return if found == wanted {
            Ok(())
        } else {
            Err(Stop::failed(stale))
        };
    }
    std::fs::write(&path, wanted).map_err(|error| Stop::unable(format!("{MAP}: {error}")))
}

fn collect(source: &Source, places: &mut Places) {
    for (index, line) in source.text.lines().enumerate() {
        for (number, section) in citations(line) {
            let key = (order(&section), section);
            let at = (source.path.clone(), index + 1);
            places
                .entry(number)
                .or_default()
                .entry(key)
                .or_default()
                .insert(at);
        }
    }
}

/// The RFCs one line cites, each with its section or an empty string.
///
/// `RFC 9051 6.3.5`, `RFC 2047/2231` (two RFCs) and `RFC 5322 Appendix A.1` are understood.
fn citations(line: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("RFC") {
        let mut rest = line[at + 3..].trim_start_matches([' ', '-']);
        // `RFC822.SIZE` is a data item, not a citation: those numbers begin with a space here.
        if !line[at + 3..].starts_with([' ', '-']) {
            continue;
        }
        while let Some((number, after)) = leading(rest, |c| c.is_ascii_digit()) {
            let Ok(number) = number.parse() else { break };
            let (section, after) = section(after);
            found.push((number, section));
            let Some(next) = after.strip_prefix('/') else {
                break;
            };
            rest = next;
        }
    }
    found
}

/// A section right after the number, and what follows it.
fn section(after: &str) -> (String, &str) {
    let Some(mut rest) = after.strip_prefix(' ') else {
        return (String::new(), after);
    };
    let mut appendix = "";
    for word in ["Appendix ", "appendix ", "section ", "Section ", "§"] {
        if let Some(stripped) = rest.strip_prefix(word) {
            appendix = if word.eq_ignore_ascii_case("appendix ") {
                "Appendix "
            } else {
                ""
            };
            rest = stripped;
        }
    }
    let is_part = |c: char| {
        c.is_ascii_digit() || c == '.' || (!appendix.is_empty() && c.is_ascii_uppercase())
    };
    match leading(rest, is_part) {
        Some((section, after)) if !section.starts_with('.') => {
            let section = section.trim_end_matches('.');
            // A digit glued to a letter is no section ("RFC 9051 4xx").
            if appendix.is_empty() && after.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return (String::new(), after);
            }
            (format!("{appendix}{section}"), after)
        }
        _ => (String::new(), after),
    }
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn order(section: &str) -> Section {
    let (base, digits) = match section.strip_prefix("Appendix ") {
        Some(rest) => (10_000, rest),
        None => (0, section),
    };
    let parts = digits.split('.').filter(|part| !part.is_empty());
    let value = |part: &str| {
        part.parse()
            .unwrap_or_else(|_| part.bytes().next().map_or(0, u32::from))
    };
    let mut order: Vec<u32> = parts.map(value).collect();
    if let Some(first) = order.first_mut() {
        *first = first.saturating_add(base);
    }
    order
}

/// One line per citation of an RFC that the list does not have.
fn unlisted(list: &List, places: &Places) -> String {
    let known: BTreeSet<u32> = list.rfc.iter().map(|rfc| rfc.number).collect();
    let mut out = String::new();
    for (number, sections) in places.iter().filter(|(number, _)| !known.contains(number)) {
        for (path, line) in sections.values().flatten() {
            let _ = writeln!(out, "{path}:{line}: RFC {number}");
        }
    }
    out
}

fn render(list: &List, places: &Places) -> String {
    let mut out = String::from(
        "# From the RFCs to the code\n\n\
         Written by `cargo xtask rfc` from the citations in the code and from `rfc.toml`. \
         Do not edit.\n\n\
         | RFC | title | done | note |\n|---|---|---|---|\n",
    );
    for rfc in &list.rfc {
        let status = match rfc.status {
            Status::Yes => "yes",
            Status::Partial => "partial",
            Status::No => "no",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {status} | {} |",
            rfc.number, rfc.title, rfc.note
        );
    }
    for rfc in &list.rfc {
        let Some(sections) = places.get(&rfc.number) else {
            continue;
        };
        let _ = write!(out, "\n## RFC {}: {}\n\n", rfc.number, rfc.title);
        for ((_, section), lines) in sections {
            let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (path, line) in lines {
                files.entry(path).or_default().push(line.to_string());
            }
            let files: Vec<String> = files
                .iter()
                .map(|(path, lines)| format!("{path}:{}", lines.join(",")))
                .collect();
            let section = if section.is_empty() {
                "(whole)"
            } else {
                section
            };
            let _ = writeln!(out, "- {section}: {}", files.join(", "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cited(line: &str) -> Vec<(u32, String)> {
        citations(line)
    }

    #[test]
    fn citations_are_number_and_section() {
        let one = |number, section: &str| (number, section.to_owned());
        assert_eq!(cited("// RFC 9051 6.3.5: INBOX"), [one(9051, "6.3.5")]);
        assert_eq!(
            cited("(RFC 6154 2, RFC 8457)."),
            [one(6154, "2"), one(8457, "")]
        );
        assert_eq!(
            cited("RFC 2047/2231 decoding"),
            [one(2047, ""), one(2231, "")]
        );
        assert_eq!(
            cited("RFC 5322 Appendix A.1.1."),
            [one(5322, "Appendix A.1.1")]
        );
        assert_eq!(cited("RFC 9051 section 9."), [one(9051, "9")]);
        assert_eq!(cited("RFC822.SIZE and RFC822"), []);
        assert_eq!(cited("RFC 9051"), [one(9051, "")]);
    }

    #[test]
    fn sections_sort_by_number_with_appendices_last() {
        let mut sections = ["Appendix A", "6.10", "6.9", "", "6"];
        sections.sort_by_key(|section| order(section));
        assert_eq!(sections, ["", "6", "6.9", "6.10", "Appendix A"]);
    }

    #[test]
    fn an_unlisted_rfc_is_named_with_its_place_and_a_listed_one_is_mapped() {
        let list: List = toml::from_str(
            "[[rfc]]\nnumber = 1939\ntitle = \"POP3\"\nstatus = \"yes\"\nnote = \"\"\n",
        )
        .expect("a list");
        let mut places = Places::new();
        let text = "// RFC 1939 5: a\n\n// RFC 1 2: b\n// RFC 1939 5: c\n".to_owned();
        collect(
            &Source {
                path: "a.rs".into(),
                text,
            },
            &mut places,
        );
        assert_eq!(unlisted(&list, &places), "a.rs:3: RFC 1\n");
        assert!(render(&list, &places).contains("- 5: a.rs:1,4\n"));
    }
}
