//! Script text to steps.

use super::{Action, Failure, Pattern, Piece, Script, Step};

pub(super) fn script(name: &str, text: &str) -> Result<Script, Failure> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let fail = |reason: String| Failure {
            script: name.to_owned(),
            line,
            reason,
            transcript: Vec::new(),
        };
        if raw.trim().is_empty() || raw.starts_with('#') {
            continue;
        }
        if let Some(body) = raw.strip_prefix('|') {
            let body = body.strip_prefix(' ').unwrap_or(body);
            push_body(steps.last_mut(), body).map_err(fail)?;
            continue;
        }
        let step = step(line, raw).map_err(fail)?;
        push_step(&mut steps, step);
    }
    Ok(Script {
        name: name.to_owned(),
        steps,
    })
}

/// Neighbouring `U:` lines of one session become one step.
fn push_step(steps: &mut Vec<Step>, step: Step) {
    if let Action::ExpectAnyOrder { patterns: new } = &step.action
        && let Some(last) = steps.last_mut()
        && last.session == step.session
        && let Action::ExpectAnyOrder { patterns } = &mut last.action
    {
        patterns.extend(new.iter().cloned());
        return;
    }
    steps.push(step);
}

fn push_body(step: Option<&mut Step>, text: &str) -> Result<(), String> {
    match step.map(|step| &mut step.action) {
        Some(Action::Send { body, .. } | Action::SetUp { body, .. }) => {
            body.get_or_insert_default().push(text.to_owned());
            Ok(())
        }
        _ => Err("a body line follows only `C:` or `!`".to_owned()),
    }
}

fn step(line: usize, raw: &str) -> Result<Step, String> {
    if let Some(rest) = raw.strip_prefix('!') {
        let rest = rest.trim();
        let (verb, args) = rest.split_once(' ').unwrap_or((rest, ""));
        let action = Action::SetUp {
            verb: verb.to_owned(),
            args: args.trim().to_owned(),
            body: None,
        };
        return Ok(Step {
            line,
            session: String::new(),
            action,
        });
    }
    let (head, text) = raw
        .split_once(':')
        .ok_or_else(|| format!("`{raw}`: neither `C:`, `S:`, `S*:`, `U:`, `EOF:`, `!` nor `|`"))?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    let (kind, session) = match head.split_once('[') {
        Some((kind, rest)) => match rest.strip_suffix(']') {
            Some(session) if !session.is_empty() => (kind, session),
            _ => return Err(format!("`{head}`: a session is named like `C[b]:`")),
        },
        None => (head, "1"),
    };
    let action = match kind {
        "C" => Action::Send {
            text: text.to_owned(),
            crlf: true,
            body: None,
        },
        "C-" => Action::Send {
            text: text.to_owned(),
            crlf: false,
            body: None,
        },
        "S" => Action::Expect {
            pattern: pattern(text)?,
            skip: false,
        },
        "S*" => Action::Expect {
            pattern: pattern(text)?,
            skip: true,
        },
        "U" => Action::ExpectAnyOrder {
            patterns: vec![pattern(text)?],
        },
        "EOF" => Action::Eof,
        _ => {
            return Err(format!(
                "`{kind}:` is none of `C:`, `C-:`, `S:`, `S*:`, `U:`, `EOF:`"
            ));
        }
    };
    Ok(Step {
        line,
        session: session.to_owned(),
        action,
    })
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let regex = rest.find("{{");
        let kept = rest.find("${");
        let at = regex.unwrap_or(usize::MAX).min(kept.unwrap_or(usize::MAX));
        if at == usize::MAX {
            pieces.push(Piece::Literal(rest.to_owned()));
            break;
        }
        if at > 0 {
            pieces.push(Piece::Literal(rest[..at].to_owned()));
        }
        rest = if Some(at) == regex {
            let inner = &rest[at + 2..];
            // The last `}}` of a run closes, so that `{{\d{2}}}` is the expression `\d{2}`.
            let mut end = inner.find("}}").ok_or("`{{` without `}}`")?;
            while inner[end + 1..].starts_with("}}") {
                end += 1;
            }
            pieces.push(regex_piece(&inner[..end])?);
            &inner[end + 2..]
        } else {
            let inner = &rest[at + 2..];
            let end = inner.find('}').ok_or("`${` without `}`")?;
            pieces.push(Piece::Kept(inner[..end].to_owned()));
            &inner[end + 1..]
        };
    }
    Ok(Pattern {
        text: text.to_owned(),
        pieces,
    })
}

fn regex_piece(inner: &str) -> Result<Piece, String> {
    let named = inner.split_once('=').filter(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric())
    });
    let (keep, source) = match named {
        Some((name, source)) => (Some(name.to_owned()), source),
        None => (None, inner),
    };
    regex_lite::Regex::new(source).map_err(|error| format!("`{source}`: {error}"))?;
    Ok(Piece::Regex {
        keep,
        source: source.to_owned(),
    })
}

/// The bytes of a `C:` line: `\r`, `\n` and `\xHH` are escapes, every other backslash is itself
/// (IMAP flags begin with one).
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'\\').then(|| bytes.get(at + 1)).flatten();
        let hex = text
            .get(at + 2..at + 4)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, width) = match (escape, hex) {
            (Some(b'r'), _) => (b'\r', 2),
            (Some(b'n'), _) => (b'\n', 2),
            (Some(b'x'), Some(byte)) => (byte, 4),
            _ => (bytes[at], 1),
        };
        out.push(byte);
        at += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_lines_are_named() {
        for (text, says) in [
            ("hello", "neither"),
            ("X: hello", "none of"),
            ("C[: a", "a session is named"),
            ("S: {{(}}", "("),
            ("S: {{a", "without"),
            ("S: a\n| body", "body line"),
        ] {
            let failure = script("t", text).expect_err(text);
            assert!(failure.to_string().contains(says), "{text}: {failure}");
        }
    }

    #[test]
    fn escapes_leave_flags_alone() {
        assert_eq!(unescape(r"\Seen \x00\r\n\xzz"), b"\\Seen \0\r\n\\xzz");
    }

    #[test]
    fn a_brace_may_end_an_expression() {
        let pattern = pattern(r"a {{x=\d{2}}} b").expect("parses");
        assert!(matches!(&pattern.pieces[1],
            Piece::Regex { keep: Some(name), source } if name == "x" && source == r"\d{2}"));
    }
}
