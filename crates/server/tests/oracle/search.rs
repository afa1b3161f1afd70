//! SEARCH: every key, alone and combined at random, with words out of the mail itself.

use crate::different::{Difference, Known, Tally};
use crate::mail;
use crate::pair::Pair;
use std::collections::BTreeSet;
use testkit::Value;
use testkit::corpus::Chance;

/// Keys at random.
const RANDOM: usize = 160;
/// Searches of several keys.
const JOINED: usize = 60;

/// Keys without arguments, and those with arguments that need no mail.
const PLAIN: &[&str] = &[
    "ALL",
    "ANSWERED",
    "DELETED",
    "DRAFT",
    "FLAGGED",
    "NEW",
    "OLD",
    "RECENT",
    "SEEN",
    "UNANSWERED",
    "UNDELETED",
    "UNDRAFT",
    "UNFLAGGED",
    "UNSEEN",
    "KEYWORD $forwarded",
    "UNKEYWORD NonJunk",
    "KEYWORD nobody-has-it",
    "*",
    "2:4,7,*:20",
    "UID 5:9,999999:*",
    "UID 1000000",
    "YOUNGER 1000000000",
    "OLDER 100",
    "MODSEQ 1",
    "SUBJECT \"\"",
    "FROM \"\"",
    "BODY \"\"",
    "TEXT \"\"",
    "HEADER Cc \"\"",
    "HEADER X-Mailer \"\"",
    "HEADER nobody-has-it \"\"",
    "LARGER 0",
    "SMALLER 1",
    "LARGER 4294967295",
];

/// Charset, key and what to look for.
const CHARSETS: &[(&str, &str, &[u8])] = &[
    ("UTF-8", "TEXT", b"\xc3\xa9"),
    ("UTF-8", "SUBJECT", b"\xc3\x9cBER"),
    ("ISO-8859-1", "TEXT", b"\xe9"),
    ("ISO-8859-1", "FROM", b"J\xd6RG"),
    ("WINDOWS-1252", "BODY", b"\x80"),
    ("US-ASCII", "SUBJECT", b"free"),
    ("UTF-8", "FROM", b"j\xc3\xb6rg m\xc3\xbcller"),
    ("UTF-8", "SUBJECT", b"\xe4\xb8\xad"),
    ("UTF-8", "BODY", b"\xd0\xb0"),
    ("KOI8-R", "BODY", b"\xc1"),
    ("SHIFT_JIS", "SUBJECT", b"\x82\xa0"),
];

const KNOWN: &[Known] = &[
    Known {
        row: "SEARCH SENTBEFORE and the like, no readable Date",
        explains: |d| d.place.starts_with("SENT") && !mail::has_sound_date(d.message),
    },
    Known {
        row: "SEARCH BODY, header fields of parts",
        explains: |d| {
            let Some(needle) = d.place.strip_prefix("BODY ") else {
                return false;
            };
            let text = String::from_utf8_lossy(d.message).to_ascii_lowercase();
            let text = text.replace("\r\n", "\n");
            let (_, body) = text.split_once("\n\n").unwrap_or_default();
            let holds_parts = text.contains("multipart/") || text.contains("message/rfc822");
            *d.theirs == Value::Nil
                && holds_parts
                && body.contains(&*needle.trim_matches('"').to_ascii_lowercase())
        },
    },
    Known {
        row: "SEARCH, character split over two encoded words",
        explains: |d| d.message.starts_with(crate::sort::SPLIT_CHARACTER),
    },
    Known {
        row: "SEARCH, 8-bit text without a charset",
        explains: |d| {
            // "e" is in "é": RFC 5051 2 compares decomposed text.
            let keys = [
                "CHARSET ", "BODY ", "TEXT ", "SUBJECT ", "FROM ", "TO ", "HEADER ",
            ];
            let is_key = keys.iter().any(|key| d.place.starts_with(key));
            // What is not UTF-8 as a whole is windows-1252 here, and UTF-8 with holes there.
            let mixed = *d.ours == Value::Nil
                && std::str::from_utf8(d.message).is_err()
                && !has_word(d.message, "charset");
            is_key && (mixed || *d.theirs == Value::Nil && has_eight_bit(d.message))
        },
    },
    Known {
        row: "SEARCH FROM, what stands around an address",
        explains: |d| {
            let (key, needle) = d.place.split_once(' ').unwrap_or_default();
            let around = |c: char| "<>@,;:()".contains(c);
            ["FROM", "TO", "CC", "BCC"].contains(&key) && needle.contains(around)
        },
    },
];

/// What chance does not ask for in every selection of the mail.
const RARE: &[Known] = &[
    Known {
        row: "SEARCH FROM, TO, CC and BCC of broken addresses",
        explains: |d| {
            let (key, needle) = d.place.split_once(' ').unwrap_or_default();
            let is_key = ["FROM", "TO", "CC", "BCC"].contains(&key);
            is_key && *d.theirs == Value::Nil && in_broken_address(d.message, key, needle)
        },
    },
    Known {
        row: "SEARCH BODY of a Content-Type that cannot be read",
        explains: |d| {
            let text = String::from_utf8_lossy(d.message).to_ascii_lowercase();
            let mut lines = text.lines().take_while(|line| !line.is_empty());
            let media = lines.find_map(|line| line.strip_prefix("content-type:"));
            let unread = media.is_some_and(|media| {
                let first = media.split(';').next().unwrap_or_default();
                first.split_whitespace().count() > 1
            });
            d.place.starts_with("BODY ") && *d.theirs == Value::Nil && unread
        },
    },
    Known {
        row: "SEARCH TEXT and HEADER, a space where a line was folded with a tab",
        explains: |d| {
            let keys = ["TEXT ", "HEADER "];
            let is_key = keys.iter().any(|key| d.place.starts_with(key));
            let (_, needle) = d.place.split_once('"').unwrap_or_default();
            let folded = d.message.windows(3).any(|at| at == b"\r\n\t");
            is_key && *d.theirs == Value::Nil && needle.contains(' ') && folded
        },
    },
];

/// Octets that are no ASCII, as they are or by quoted-printable, or perhaps by base64.
fn has_eight_bit(message: &[u8]) -> bool {
    let escaped = |at: &[u8]| at[0] == b'=' && b"89abcdefABCDEF".contains(&at[1]);
    !message.is_ascii() || message.windows(2).any(escaped) || has_word(message, "base64")
}

/// In any case.
fn has_word(message: &[u8], word: &str) -> bool {
    let mut all = message.windows(word.len());
    all.any(|at| at.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the string stands in angle brackets of that header field which hold no address: with a
/// space, or with characters of a group or of a comment.
fn in_broken_address(message: &[u8], field: &str, needle: &str) -> bool {
    let text = String::from_utf8_lossy(message).to_ascii_lowercase();
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    let header = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let needle = needle.trim_matches('"').to_ascii_lowercase();
    let name = format!("{}:", field.to_ascii_lowercase());
    let mut values = header.lines().filter_map(|line| line.strip_prefix(&*name));
    values.any(|value| {
        let mut brackets = value.split('<').skip(1);
        brackets.any(|rest| {
            let inner = rest.split('>').next().unwrap_or_default();
            inner.contains(|c: char| " :;`".contains(c)) && inner.contains(&*needle)
        })
    })
}

#[test]
fn searches_find_the_same() {
    let mut messages = mail::everything(40);
    // Size is not what this is about, and each is searched hundreds of times.
    messages.retain(|message| message.len() < 100_000);
    let mut pair = Pair::with(&mail::dated(messages.clone()));
    let mut asker = Asker {
        chance: Chance::new(20_261_126),
        messages: &messages,
    };
    let mut tally = Tally::new(KNOWN).with_rare(RARE);
    for (charset, key, literal) in CHARSETS {
        let search = format!("CHARSET {charset} {key}");
        let found = pair.search(&search, Some(*literal));
        compare(&mut tally, &messages, &search, &found);
    }
    let mut keys: Vec<String> = PLAIN.iter().map(|key| (*key).to_owned()).collect();
    keys.extend((0..RANDOM).map(|_| asker.key()));
    let found: Vec<_> = keys.iter().map(|key| pair.search(key, None)).collect();
    for (key, found) in keys.iter().zip(&found) {
        compare(&mut tally, &messages, key, found);
    }
    // What is joined finds what its keys have found.
    let all = (1..=messages.len() as u32).collect();
    for _ in 0..JOINED {
        let joined = asker.joined(keys.len(), 0);
        let search = joined.to_string(&keys);
        let answers = pair.search(&search, None);
        for (side, answer) in answers.iter().enumerate() {
            let of = |key: usize| &found[key][side];
            assert_eq!(*answer, joined.find(&of, &all), "server {side}: {search}");
        }
    }
    tally.finish(RANDOM);
}

/// Counts each message that only one of the servers has found.
fn compare(tally: &mut Tally, messages: &[Vec<u8>], search: &str, found: &[BTreeSet<u32>; 2]) {
    let [ours, theirs] = found;
    let said = |found: bool| match found {
        true => Value::Word("found".to_owned()),
        false => Value::Nil,
    };
    let sides = ours.symmetric_difference(theirs);
    let sides: Vec<_> = sides
        .map(|uid| (uid, said(ours.contains(uid)), said(theirs.contains(uid))))
        .collect();
    tally.compared(sides.iter().map(|(uid, ours, theirs)| Difference {
        message: &messages[**uid as usize - 1],
        place: search.to_owned(),
        ours,
        theirs,
    }));
}

/// Keys, by their numbers, joined.
enum Joined {
    Key(usize),
    Not(Box<Self>),
    Or(Box<Self>, Box<Self>),
    And(Box<Self>, Box<Self>),
}

impl Joined {
    fn to_string(&self, keys: &[String]) -> String {
        match self {
            Self::Key(key) => keys[*key].clone(),
            Self::Not(inner) => format!("NOT {}", inner.to_string(keys)),
            Self::Or(a, b) => format!("OR {} {}", a.to_string(keys), b.to_string(keys)),
            Self::And(a, b) => format!("({} {})", a.to_string(keys), b.to_string(keys)),
        }
    }

    fn find<'a>(
        &self,
        of: &impl Fn(usize) -> &'a BTreeSet<u32>,
        all: &BTreeSet<u32>,
    ) -> BTreeSet<u32> {
        match self {
            Self::Key(key) => of(*key).clone(),
            Self::Not(inner) => all - &inner.find(of, all),
            Self::Or(a, b) => &a.find(of, all) | &b.find(of, all),
            Self::And(a, b) => &a.find(of, all) & &b.find(of, all),
        }
    }
}

/// Makes searches up.
struct Asker<'a> {
    chance: Chance,
    messages: &'a [Vec<u8>],
}

impl Asker<'_> {
    /// One key.
    fn key(&mut self) -> String {
        match self.chance.below(3) {
            0 => self.number(),
            _ => self.text(),
        }
    }

    /// Some of so many keys.
    fn joined(&mut self, keys: usize, depth: usize) -> Joined {
        let kind = if depth < 4 { self.chance.below(4) } else { 3 };
        let mut more = || Box::new(self.joined(keys, depth + 1));
        match kind {
            0 => Joined::Not(more()),
            1 => Joined::Or(more(), more()),
            2 => Joined::And(more(), more()),
            _ => Joined::Key(self.chance.between(0, keys)),
        }
    }

    fn number(&mut self) -> String {
        let day = self.chance.between(1, 29);
        let month = self
            .chance
            .pick(&["Jan", "May", "Jul", "Aug", "Sep", "Oct"]);
        let year = self.chance.pick(&[2001, 2002, 2002, 2002, 2003]);
        match self.chance.below(8) {
            0 => format!("LARGER {}", self.chance.below(9000)),
            1 => format!("SMALLER {}", self.chance.below(9000)),
            2 => {
                let last = self.messages.len();
                let (a, b) = (self.chance.between(1, last), self.chance.between(1, last));
                format!("{}{a}:{b}", self.chance.pick(&["", "UID "]))
            }
            3 => format!("SENTON {day}-Aug-2002"),
            4 => format!("ON {day}-Aug-2002"),
            5 => format!("{} {day}-Aug-2002", self.chance.pick(&["BEFORE", "SINCE"])),
            _ => {
                let key = self.chance.pick(&["SENTBEFORE", "SENTSINCE"]);
                format!("{key} {day}-{month}-{year}")
            }
        }
    }

    fn text(&mut self) -> String {
        let message = self.chance.below(self.messages.len() as u64) as usize;
        let message = String::from_utf8_lossy(&self.messages[message]).into_owned();
        let (header, body) = message.split_once("\r\n\r\n").unwrap_or((&message, ""));
        let key = self.chance.pick(&[
            "SUBJECT", "FROM", "TO", "CC", "BODY", "BODY", "TEXT", "HEADER",
        ]);
        if matches!(key, "BODY" | "TEXT") {
            let place = if key == "TEXT" && self.chance.below(2) == 0 {
                header
            } else {
                body
            };
            return format!("{key} {}", self.piece(place));
        }
        let fields: Vec<_> = header
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .collect();
        if fields.is_empty() {
            return "ALL".to_owned();
        }
        let wanted = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case(key);
        let (name, value) = match fields.iter().find(wanted) {
            Some(field) if key != "HEADER" => *field,
            _ => self.chance.pick(&fields),
        };
        let piece = self.piece(value);
        match key {
            "HEADER" if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                format!("HEADER {name} {piece}")
            }
            "HEADER" => format!("TEXT {piece}"),
            key => format!("{key} {piece}"),
        }
    }

    /// A few characters of a text, quoted, the case changed now and then.
    fn piece(&mut self, text: &str) -> String {
        let lines: Vec<&str> = text.split("\r\n").filter(|line| line.len() > 2).collect();
        let line = match lines.as_slice() {
            [] => "nothing",
            lines => lines[self.chance.between(0, lines.len())],
        };
        let plain: Vec<char> = line
            .chars()
            .map(|c| {
                if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') {
                    c
                } else {
                    ' '
                }
            })
            .collect();
        let length = self.chance.between(3, 10).min(plain.len());
        let from = self.chance.between(0, plain.len() - length + 1);
        let piece: String = plain[from..from + length].iter().collect();
        let piece = piece.trim();
        let piece = if piece.is_empty() { "e" } else { piece };
        match self.chance.below(4) {
            0 => format!("\"{}\"", piece.to_uppercase()),
            _ => format!("\"{piece}\""),
        }
    }
}
