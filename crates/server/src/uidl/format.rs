//! How servers make unique ids of uids: templates with `%u`, the uid, and `%v`, UIDVALIDITY, as
//! Dovecot's `pop3_uidl_format` has them.

use std::fmt::Write;
use std::str::FromStr;

/// What a template consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Piece {
    Text(char),
    Number {
        validity: bool,
        hex: bool,
        width: usize,
    },
}

/// A template of unique ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Format(Vec<Piece>);

/// Names for the templates of well-known servers.
const NAMED: [(&str, &str); 4] = [
    ("dovecot", "%08Xu%08Xv"),
    ("cyrus", "%v.%u"),
    ("cyrus-uidonly", "%u"),
    ("courier", "UID%u-%v"),
];

/// Longest number a template can ask for; a unique id has at most 70 characters.
const MAX_WIDTH: usize = 32;

impl FromStr for Format {
    type Err = String;

    /// A name, or a template.
    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let template = named.map_or(text, |(_, template)| template);
        if !template.contains('%') {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            return Err(format!("give {} or a template with %u", names.join(", ")));
        }
        let mut pieces = Vec::new();
        let mut rest = template.chars();
        while let Some(c) = rest.next() {
            pieces.push(match c {
                '%' => variable(&mut rest)?,
                '!'..='~' => Piece::Text(c),
                _ => return Err("a unique id has visible ASCII characters only".to_owned()),
            });
        }
        if !pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Number {
                    validity: false,
                    ..
                }
            )
        }) {
            return Err("without %u messages cannot be told apart".to_owned());
        }
        Ok(Self(pieces))
    }
}

/// `%%`, or `[0][width][X]` and `u` or `v`.
fn variable(rest: &mut std::str::Chars<'_>) -> Result<Piece, String> {
    let (mut hex, mut width) = (false, 0usize);
    for c in rest {
        match c {
            '%' => return Ok(Piece::Text('%')),
            'u' | 'v' => {
                let validity = c == 'v';
                return Ok(Piece::Number {
                    validity,
                    hex,
                    width,
                });
            }
            'X' | 'x' => hex = true,
            '0'..='9' if !hex => width = width * 10 + (c as usize - '0' as usize),
            _ => {
                return Err(format!(
                    "%{c} needs the old POP3 server: adopt from pop3://"
                ));
            }
        }
        if width > MAX_WIDTH {
            break;
        }
    }
    Err("a variable is %u or %v, with a width and X for hexadecimal before the letter".to_owned())
}

impl Format {
    /// The unique id of a message.
    pub(super) fn write(&self, uid: u32, validity: u32) -> String {
        self.0.iter().fold(String::new(), |mut out, piece| {
            // Writing to a String does not fail.
            let _ = match *piece {
                Piece::Text(c) => out.write_char(c),
                Piece::Number {
                    validity: which,
                    hex,
                    width,
                } => {
                    let number = if which { validity } else { uid };
                    match hex {
                        true => write!(out, "{number:0width$x}"),
                        false => write!(out, "{number:0width$}"),
                    }
                }
            };
            out
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_servers() {
        for (format, want) in [
            ("dovecot", "0000001a4f3e2d1c"),
            ("cyrus", "1329474844.26"),
            ("cyrus-uidonly", "26"),
            ("courier", "UID26-1329474844"),
            ("%v-%u", "1329474844-26"),
            ("%04u%%", "0026%"),
        ] {
            let format: Format = format.parse().unwrap();
            assert_eq!(format.write(26, 0x4f3e_2d1c), want);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            "",
            "native",
            "%v",
            "%",
            "%q",
            "%f",
            "%g",
            "a b%u",
            "%99999999999999999999u",
            "%4Xu\u{fc}",
        ] {
            assert!(bad.parse::<Format>().is_err(), "{bad}");
        }
    }
}
