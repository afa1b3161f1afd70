//! The visible text of HTML, roughly: enough for a preview.

/// Elements whose content is not shown.
const HIDDEN: [&str; 4] = ["style", "script", "title", "template"];

/// Tags that do not separate words.
const INLINE: [&str; 14] = [
    "a", "abbr", "b", "code", "em", "font", "i", "small", "span", "strong", "sub", "sup", "u",
    "wbr",
];

/// Text between tags; block tags become line breaks; common character references are resolved.
pub(crate) fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len().min(4096));
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        references(before, &mut out);
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((inside, after)) = tag.split_once('>') else {
            return out;
        };
        rest = after;
        let name = inside.trim_start_matches('/');
        let name = name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        let is = |other: &&str| name.eq_ignore_ascii_case(other);
        if HIDDEN.iter().any(is) && !inside.starts_with('/') {
            rest = after_close(rest, name);
        } else if !INLINE.iter().any(is) {
            out.push('\n');
        }
    }
    references(rest, &mut out);
    out
}

/// What follows the closing tag of `name`.
fn after_close<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once("</") {
        if tag
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
        {
            return tag.split_once('>').map_or("", |(_, rest)| rest);
        }
        rest = tag;
    }
    ""
}

fn references(text: &str, out: &mut String) {
    /// The longest reference known here is `&#1114111;`.
    const MAX: usize = 10;
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once('&') {
        out.push_str(before);
        let end = reference.bytes().take(MAX).position(|b| b == b';');
        let resolved = end.and_then(|end| Some((end, resolve(reference.get(..end)?)?)));
        match resolved {
            Some((end, c)) => {
                out.extend(c);
                rest = reference.get(end + 1..).unwrap_or_default();
            }
            None => {
                out.push('&');
                rest = reference;
            }
        }
    }
    out.push_str(rest);
}

/// The character of a reference; `Some(None)` for one that shows nothing.
fn resolve(name: &str) -> Option<Option<char>> {
    let number = name
        .strip_prefix('#')
        .and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        });
    let c = match (name, number.and_then(char::from_u32)) {
        (_, Some(c)) => c,
        ("amp", _) => '&',
        ("lt", _) => '<',
        ("gt", _) => '>',
        ("quot", _) => '"',
        ("apos" | "rsquo" | "lsquo", _) => '\'',
        ("nbsp" | "ensp" | "emsp", _) => ' ',
        ("mdash", _) => '—',
        ("ndash", _) => '–',
        ("hellip", _) => '…',
        ("euro", _) => '€',
        ("copy", _) => '©',
        ("zwnj" | "zwj" | "shy", _) => return Some(None),
        _ => return None,
    };
    // Senders pad their own preview texts with invisible characters.
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{feff}'
    );
    Some((!invisible).then_some(c))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn visible_text() {
        for (html, shown) in [
            ("", ""),
            ("<", ""),
            ("a<b", "a"),
            ("a<!-- b", "a"),
            ("<style>x", ""),
            ("<STYLE>a</styl></Style >b", "b"),
            ("<b>He</b>llo<br/>you", "Hello\nyou"),
            ("a&amp;b&nbsp;c&#233;&#xe9;&unknown;&", "a&b céé&unknown;&"),
            ("&#1114112;&#zz;&zwnj;&#8203;x", "&#1114112;&#zz;x"),
        ] {
            assert_eq!(text(html), shown, "{html}");
        }
    }
}
