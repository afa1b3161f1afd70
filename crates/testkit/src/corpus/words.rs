//! Names, sentences and dates for the corpus.

use super::Chance;

const WORDS: &[&str] = &[
    "account",
    "after",
    "agenda",
    "again",
    "always",
    "and",
    "answer",
    "archive",
    "attached",
    "because",
    "before",
    "between",
    "budget",
    "build",
    "by",
    "change",
    "client",
    "contract",
    "copy",
    "customer",
    "date",
    "deadline",
    "delivery",
    "design",
    "detail",
    "discuss",
    "draft",
    "each",
    "estimate",
    "every",
    "expected",
    "figure",
    "file",
    "first",
    "follow",
    "for",
    "forward",
    "from",
    "harbour",
    "have",
    "hello",
    "hotel",
    "if",
    "in",
    "invoice",
    "is",
    "it",
    "journey",
    "just",
    "kind",
    "know",
    "last",
    "later",
    "letter",
    "list",
    "look",
    "made",
    "mailbox",
    "meeting",
    "message",
    "minutes",
    "month",
    "more",
    "morning",
    "need",
    "next",
    "not",
    "note",
    "number",
    "of",
    "offer",
    "office",
    "on",
    "open",
    "order",
    "our",
    "paper",
    "payment",
    "people",
    "plan",
    "please",
    "print",
    "problem",
    "project",
    "question",
    "quite",
    "reach",
    "ready",
    "regards",
    "reply",
    "report",
    "review",
    "room",
    "sales",
    "schedule",
    "seen",
    "send",
    "server",
    "share",
    "short",
    "since",
    "some",
    "subject",
    "team",
    "thank",
    "that",
    "the",
    "their",
    "then",
    "this",
    "through",
    "ticket",
    "to",
    "today",
    "tomorrow",
    "training",
    "travel",
    "until",
    "update",
    "version",
    "visit",
    "wait",
    "was",
    "week",
    "which",
    "will",
    "with",
    "work",
    "would",
    "yesterday",
    "you",
    "your",
];

const FOREIGN: &[&str] = &[
    "Grüße",
    "façade",
    "mañana",
    "Ærø",
    "Łódź",
    "Ελλάδα",
    "привет",
    "日本語",
    "署名",
    "naïve",
    "œuvre",
    "größer",
    "schön",
    "עברית",
    "مرحبا",
    "한국어",
    "emoji 📎",
];

const FIRST: &[&str] = &[
    "Ada", "Alan", "Barbara", "Dennis", "Edsger", "Frances", "Grace", "Hedy", "Ivan", "Jean",
    "Ken", "Leslie", "Margaret", "Niklaus", "Radia", "Tony",
];

const LAST: &[&str] = &[
    "Allen", "Baker", "Clarke", "Dijk", "Eriksen", "Fischer", "Garcia", "Holm", "Ito", "Jansen",
    "Keller", "Lopez", "Moreau", "Novak", "Okafor", "Petrov",
];

const HOSTS: &[&str] = &[
    "example.org",
    "example.com",
    "example.net",
    "mail.example.org",
    "list.example.com",
    "news.example.net",
];

pub(super) struct Person {
    name: String,
    pub(super) address: String,
}

impl Person {
    /// Display name and address as a header has them.
    pub(super) fn mailbox(&self) -> String {
        if self.name.is_ascii() {
            format!("{} <{}>", self.name, self.address)
        } else {
            format!("=?utf-8?q?{}?= <{}>", quoted(&self.name), self.address)
        }
    }
}

pub(super) fn person(chance: &mut Chance) -> Person {
    let first = chance.pick(FIRST);
    let last = chance.pick(LAST);
    let address = format!(
        "{}.{}@{}",
        first.to_lowercase(),
        last.to_lowercase(),
        host(chance)
    );
    let name = match chance.below(8) {
        0 => format!("\"{last}, {first}\""),
        1 => format!("{first} Müller-{last}"),
        _ => format!("{first} {last}"),
    };
    Person { name, address }
}

pub(super) fn host(chance: &mut Chance) -> &'static str {
    chance.pick(HOSTS)
}

pub(super) fn subject(chance: &mut Chance) -> String {
    let mut words: Vec<String> = (0..3 + chance.below(6))
        .map(|_| chance.pick(WORDS).to_owned())
        .collect();
    if chance.below(6) == 0 {
        let encoded = quoted(chance.pick(FOREIGN));
        words.insert(0, format!("=?utf-8?q?{encoded}?="));
    }
    words.join(" ")
}

/// RFC 2047 4.2: the "Q" encoding, every byte that is not a letter or digit escaped.
fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('_'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "={byte:02X}");
            }
        }
    }
    out
}

/// A valid date-time; messages are eleven minutes apart, starting with 2024.
pub(super) fn date(number: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let minutes = number * 11;
    let days = minutes / 1_440;
    let (mut year, mut rest) = (2024, days);
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, length) in LENGTHS.iter().enumerate() {
            let length = length + u64::from(leap && month == 1);
            if rest < length {
                // 1 January 2024 was a Monday.
                let day = DAYS[(days % 7) as usize];
                let (hour, minute) = (minutes / 60 % 24, minutes % 60);
                return format!(
                    "{day}, {} {} {year} {hour:02}:{minute:02}:{:02} +0{}00",
                    rest + 1,
                    MONTHS[month],
                    number % 60,
                    number % 3
                );
            }
            rest -= length;
        }
        year += 1;
    }
}

/// About `size` bytes of sentences in lines of at most 78 characters.
pub(super) fn prose(chance: &mut Chance, out: &mut Vec<u8>, size: usize, utf8: bool) {
    let end = out.len() + size;
    let mut column = 0;
    while out.len() < end {
        let word = if utf8 && chance.below(20) == 0 {
            chance.pick(FOREIGN)
        } else {
            chance.pick(WORDS)
        };
        if column + word.len() > 72 {
            out.extend_from_slice(b"\r\n");
            column = 0;
            match chance.below(12) {
                0 => out.extend_from_slice(b"\r\n"),
                1 => out.extend_from_slice(b"> "),
                _ => {}
            }
        } else if column > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
        column += word.len() + 1;
    }
    out.extend_from_slice(b".\r\n");
}

/// About `size` bytes of quoted-printable HTML.
pub(super) fn html(chance: &mut Chance, out: &mut Vec<u8>, size: usize) {
    let end = out.len() + size;
    out.extend_from_slice(b"<html><head><style>p { color: #333; }</style></head><body>\r\n");
    while out.len() < end {
        out.extend_from_slice(b"<p style=3D\"margin: 0 0 1em; font: 14px sans-serif\">=\r\n");
        let length = chance.between(100, 600);
        prose(chance, out, length, false);
        let link = format!(
            "</p><a href=3D\"https://{}/=\r\n{:x}\">",
            host(chance),
            chance.next()
        );
        out.extend_from_slice(link.as_bytes());
        out.extend_from_slice(chance.pick(WORDS).as_bytes());
        out.extend_from_slice(b"</a>=C3=A9\r\n");
    }
    out.extend_from_slice(b"</body></html>\r\n");
}

/// Media type and file name of an attachment.
pub(super) fn attachment(chance: &mut Chance, index: u64) -> (&'static str, String) {
    let (kind, extension) = chance.pick(&[
        ("application/pdf", "pdf"),
        ("image/jpeg", "jpg"),
        ("application/zip", "zip"),
        ("application/vnd.oasis.opendocument.text", "odt"),
    ]);
    (kind, format!("{}-{index}.{extension}", chance.pick(WORDS)))
}
