//! `cargo xtask tidy --fix PATH`: breaks comment lines that are too long, which rustfmt leaves
//! alone.

use super::text::COLUMNS;

/// The text with every over-long comment line broken between words; tables, code blocks and lines
/// of code stay as they are.
pub(super) fn comments(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    // The words that did not fit on the line before, and how that line was indented.
    let mut carried: Option<(String, String)> = None;
    let mut fenced = false;
    for line in text.lines() {
        let parts = comment(line);
        if let Some((_, words)) = parts
            && words.trim_start().starts_with("```")
        {
            fenced = !fenced;
        }
        let mut line = line.to_owned();
        if let Some((lead, rest)) = carried.take() {
            match parts {
                Some((prefix, words)) if continues(&lead, prefix, words, fenced) => {
                    line = format!("{lead}{rest} {}", words.trim_start());
                }
                _ => push(&mut out, format!("{lead}{rest}"), &mut None),
            }
        }
        if fenced || comment(&line).is_none_or(|(_, words)| words.starts_with('|')) {
            out.push(line);
        } else {
            push(&mut out, line, &mut carried);
        }
    }
    if let Some((lead, rest)) = carried {
        push(&mut out, format!("{lead}{rest}"), &mut None);
    }
    let mut joined = out.join("\n");
    joined.push('\n');
    joined
}

/// Pushes what fits; the rest is carried into the next line, or pushed too if `carried` is a dummy.
fn push(out: &mut Vec<String>, mut line: String, carried: &mut Option<(String, String)>) {
    while line.chars().count() > COLUMNS {
        let Some((lead, at)) = break_point(&line) else {
            break;
        };
        let rest = line[at..].trim_start().to_owned();
        line.truncate(at);
        out.push(line.trim_end().to_owned());
        line = format!("{lead}{rest}");
        if line.chars().count() <= COLUMNS {
            *carried = Some((lead, rest));
            return;
        }
    }
    out.push(line);
}

/// Where to break, and what the next line begins with.
fn break_point(line: &str) -> Option<(String, usize)> {
    let (prefix, words) = comment(line)?;
    let bullet = if words.starts_with("- ") || words.starts_with("* ") {
        "  "
    } else {
        ""
    };
    let indent: String = words.chars().take_while(|c| *c == ' ').collect();
    let lead = format!("{prefix}{indent}{bullet}");
    let limit = line.char_indices().nth(COLUMNS)?.0;
    let at = line[..=limit].rfind(' ').filter(|at| *at > lead.len())?;
    Some((lead, at))
}

/// Prefix (`    /// `) and text of a comment line.
fn comment(line: &str) -> Option<(&str, &str)> {
    let body = line.trim_start();
    let marker = ["///", "//!", "//"]
        .into_iter()
        .find(|marker| body.starts_with(marker))?;
    let end = line.len() - body.len() + marker.len();
    let end = if line[end..].starts_with(' ') {
        end + 1
    } else {
        end
    };
    Some(line.split_at(end))
}

/// Whether a comment line goes on with the sentence of the line before it.
fn continues(lead: &str, prefix: &str, words: &str, fenced: bool) -> bool {
    let starts_item = ["- ", "* ", "#", "|", ">", "```"]
        .iter()
        .any(|mark| words.starts_with(mark))
        || words.starts_with(|c: char| c.is_ascii_digit())
        || words.trim().is_empty();
    let deeper = words.starts_with(' ') && lead.len() == prefix.len();
    !fenced && lead.starts_with(prefix) && !starts_item && !deeper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overflow_moves_into_the_next_line_of_the_paragraph() {
        let long = "word ".repeat(21);
        let text =
            format!("    /// {long}end\n    /// of it.\n    ///\n    /// - x\nfn a() {{}}\n");
        let wrapped = comments(&text);
        assert!(
            wrapped.lines().all(|line| line.chars().count() <= COLUMNS),
            "{wrapped}"
        );
        let words = |text: &str| {
            text.replace("///", "")
                .split_whitespace()
                .collect::<String>()
        };
        assert_eq!(words(&wrapped), words(&text));
        assert!(
            wrapped.contains("end of it.\n    ///\n    /// - x\nfn a() {}\n"),
            "{wrapped}"
        );
    }

    #[test]
    fn list_items_keep_their_indent_and_do_not_swallow_the_next() {
        let long = "word ".repeat(25);
        let wrapped = comments(&format!("//! - {long}end\n//! - two\n"));
        assert!(wrapped.contains("\n//!   word"), "{wrapped}");
        assert!(wrapped.ends_with("end\n//! - two\n"), "{wrapped}");
    }

    #[test]
    fn tables_fences_and_code_stay() {
        let long = "word ".repeat(25);
        for text in [
            format!("//! | {long} |\n"),
            format!("//! ```text\n//! {long}end\n//! ```\n"),
            format!("let a = \"{long}\";\n"),
        ] {
            assert_eq!(comments(&text), text);
        }
    }
}
