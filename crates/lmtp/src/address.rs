//! Paths and parameters of MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.2; RFC 6531 3.3).

/// Longest path. RFC 5321 4.5.3.1.3 asks for 256; two of these and their header names stay below
/// what the engine takes as a prefix.
const MAX_PATH: usize = 512;

/// A path between angle brackets, source route removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// As written, without the brackets; empty for the null path.
    pub(crate) raw: String,
    /// The local part, quotes removed.
    pub(crate) local: String,
    /// What follows the last `@`, if there is one.
    pub(crate) domain: Option<String>,
}

/// The path does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPath;

/// One `key[=value]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: Option<&'a str>,
}

impl Path {
    pub(crate) fn is_null(&self) -> bool {
        self.raw.is_empty()
    }

    pub(crate) fn is_ascii(&self) -> bool {
        self.raw.is_ascii()
    }
}

/// `FROM:<path> parameters` or `TO:<path> parameters`, from behind the verb.
///
/// Blanks after the colon are tolerated, as by every server; nothing else is.
pub(crate) fn parse<'a>(
    keyword: &str,
    text: &'a [u8],
) -> Result<(Path, impl Iterator<Item = Parameter<'a>> + use<'a>), BadPath> {
    let text = std::str::from_utf8(text).map_err(|_| BadPath)?;
    if text.chars().any(char::is_control) {
        return Err(BadPath);
    }
    let (head, rest) = text.split_once(':').ok_or(BadPath)?;
    if !head.trim().eq_ignore_ascii_case(keyword) {
        return Err(BadPath);
    }
    let rest = rest
        .trim_start_matches(' ')
        .strip_prefix('<')
        .ok_or(BadPath)?;
    let end = end_of_path(rest)?;
    let (path, parameters) = (&rest[..end], &rest[end + 1..]);
    if !parameters.is_empty() && !parameters.starts_with(' ') {
        return Err(BadPath);
    }
    let parameters = parameters.split(' ').filter(|word| !word.is_empty());
    let parameters = parameters.map(|word| match word.split_once('=') {
        Some((key, value)) => Parameter {
            key,
            value: Some(value),
        },
        None => Parameter {
            key: word,
            value: None,
        },
    });
    Ok((path_of(path)?, parameters))
}

/// The offset of the `>` that closes the path: those between quotes do not.
fn end_of_path(text: &str) -> Result<usize, BadPath> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Ok(at),
            ' ' | '<' if !quoted => return Err(BadPath),
            _ => {}
        }
    }
    Err(BadPath)
}

fn path_of(path: &str) -> Result<Path, BadPath> {
    if path.len() > MAX_PATH {
        return Err(BadPath);
    }
    // RFC 5321 4.1.1.3: a source route is accepted and ignored.
    let raw = match path.strip_prefix('@') {
        Some(route) => route.split_once(':').ok_or(BadPath)?.1,
        None => path,
    };
    if raw.is_empty() {
        let null = Path {
            raw: String::new(),
            local: String::new(),
            domain: None,
        };
        return if path.is_empty() {
            Ok(null)
        } else {
            Err(BadPath)
        };
    }
    let (local, domain) = match raw.strip_prefix('"') {
        Some(quoted) => {
            let (local, rest) = unquote(quoted)?;
            match rest.strip_prefix('@') {
                Some(domain) => (local, Some(domain)),
                None if rest.is_empty() => (local, None),
                None => return Err(BadPath),
            }
        }
        None => match raw.rsplit_once('@') {
            Some((local, domain)) => (local.to_owned(), Some(domain)),
            None => (raw.to_owned(), None),
        },
    };
    if local.is_empty() || domain.is_some_and(|d| d.is_empty() || d.contains(['@', '"'])) {
        return Err(BadPath);
    }
    Ok(Path {
        raw: raw.to_owned(),
        local,
        domain: domain.map(str::to_owned),
    })
}

/// The content of a quoted string whose first quote is gone, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), BadPath> {
    let mut content = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((content, &text[at + 1..])),
            '\\' => content.push(chars.next().ok_or(BadPath)?.1),
            c => content.push(c),
        }
    }
    Err(BadPath)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<Path, BadPath> {
        parse("TO", text.as_bytes()).map(|(path, _)| path)
    }

    #[test]
    fn malformed_paths_are_refused() {
        for text in [
            "",
            "TO",
            "TO:",
            "TO:<",
            "TO:>",
            "TO:a@b",
            "FROM:<a@b>",
            "TO:<a@b",
            "TO:<a@b>x",
            "TO:<a b@c>",
            "TO:<<a@b>>",
            "TO:<@b>",
            "TO:<a@>",
            "TO:<\"a@b>",
            "TO:<\"a\"b@c>",
            "TO:<\"\"@c>",
            "TO:<@x,@y>",
            "TO:<@x:>",
            "TO:<a\0@b>",
            "TO:<a\t@b>",
            "TO:<a\u{85}@b>",
            "TO:<\"a\\",
        ] {
            assert_eq!(path(text), Err(BadPath), "{text:?}");
        }
        assert!(parse("TO", b"TO:<\xff@b>").is_err());
        assert_eq!(path(&format!("TO:<{}@b>", "a".repeat(511))), Err(BadPath));
    }

    #[test]
    fn paths_are_split_at_the_last_at_and_unquoted() {
        for (text, raw, local, domain) in [
            ("TO:<a@b>", "a@b", "a", Some("b")),
            ("to: <a>", "a", "a", None),
            ("TO:<a+b/c@d>", "a+b/c@d", "a+b/c", Some("d")),
            ("TO:<@x,@y:a@b>", "a@b", "a", Some("b")),
            (
                "TO:<\"a b>\\\"@c\"@d>",
                "\"a b>\\\"@c\"@d",
                "a b>\"@c",
                Some("d"),
            ),
            ("TO:<\"a\">", "\"a\"", "a", None),
            (
                "TO:<f..o@[127.0.0.1]>",
                "f..o@[127.0.0.1]",
                "f..o",
                Some("[127.0.0.1]"),
            ),
            ("TO:<ü@ö.example>", "ü@ö.example", "ü", Some("ö.example")),
        ] {
            let path = path(text).expect(text);
            assert_eq!(
                (&*path.raw, &*path.local, path.domain.as_deref()),
                (raw, local, domain)
            );
        }
        assert!(path("TO:<>").expect("null").is_null());
    }

    #[test]
    fn parameters_follow_the_path() {
        let (_, parameters) =
            parse("FROM", b"FROM:<a@b> SIZE=12  body=8BITMIME X=").expect("valid");
        let parameters: Vec<_> = parameters.map(|p| (p.key, p.value)).collect();
        assert_eq!(
            parameters,
            [
                ("SIZE", Some("12")),
                ("body", Some("8BITMIME")),
                ("X", Some(""))
            ]
        );
    }
}
