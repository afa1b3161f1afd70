//! IMAP: whole sessions, and the parsers alone.

use crate::world::{World, block_on};
use imap::grammar::{Command, Cursor, Names, Url};
use imap::{Counters, Deps, Imap, Limits, registry};
use std::sync::Arc;

/// What was said before the input's own commands; the first octet chooses.
const OPENINGS: [&str; 6] = [
    "",
    "a LOGIN alice secret\r\n",
    "a LOGIN alice secret\r\nb SELECT INBOX\r\n",
    "a LOGIN alice secret\r\nb EXAMINE INBOX\r\n",
    "a LOGIN alice secret\r\nb ENABLE QRESYNC UTF8=ACCEPT IMAP4rev2\r\nc SELECT INBOX\r\n",
    "a LOGIN alice secret\r\nb ENABLE UIDONLY\r\nc SELECT INBOX\r\n",
];

/// A session in one of the states, then whatever the input says. Every answer is well-formed.
pub fn session(data: &[u8]) {
    let Some((&state, rest)) = data.split_first() else {
        return;
    };
    let opening = OPENINGS[usize::from(state) % OPENINGS.len()];
    let input = [opening.as_bytes(), rest, b"\r\nzz LOGOUT\r\n"].concat();
    let said = block_on(async {
        let world = World::new().await;
        let metrics = imap::metrics(&world.metrics);
        let deps = Deps {
            mail: world.mail.clone(),
            auth: Arc::clone(&world.auth),
            counters: Counters::new(&metrics),
            metrics: Arc::clone(&metrics),
            operators: Default::default(),
            limits: Limits::default(),
            memory: Default::default(),
            hostname: "fuzz.example".to_owned(),
            cleartext: auth::CleartextPolicy::Always,
        };
        world
            .talk(Arc::new(Imap(Arc::new(deps))), metrics, &input)
            .await
    });
    // What is compressed has a form of its own.
    if !memchr_word(&input, b"COMPRESS") {
        well_formed(&said);
    }
}

fn memchr_word(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|at| at.eq_ignore_ascii_case(word))
}

/// Lines that begin with a tag, `*` or `+`, end in CRLF, and hold no control characters; a literal
/// is as long as it says.
fn well_formed(mut said: &[u8]) {
    let mut fresh = true;
    while !said.is_empty() {
        let Some(end) = said.windows(2).position(|at| at == b"\r\n") else {
            // The session may have been cut off by a BYE that could not be sent whole.
            return;
        };
        let line = &said[..end];
        let bad = line.iter().any(|&c| c < b' ' && c != b'\t' || c == 0x7f);
        assert!(
            !bad,
            "control character in {:?}",
            String::from_utf8_lossy(line)
        );
        if fresh {
            let first = line.first().copied().unwrap_or(b' ');
            assert!(
                first != b' ',
                "no tag in {:?}",
                String::from_utf8_lossy(line)
            );
        }
        said = &said[end + 2..];
        // Only data ends in a literal, and never a line of text.
        if (!fresh || data_line(line))
            && let Some(len) = literal(line)
        {
            if len > said.len() {
                return;
            }
            said = &said[len..];
            fresh = false;
        } else {
            fresh = true;
        }
    }
}

/// Whether a line begins data, as opposed to text for people.
fn data_line(line: &[u8]) -> bool {
    let text = [
        b"* OK".as_slice(),
        b"* NO",
        b"* BAD",
        b"* BYE",
        b"* PREAUTH",
    ];
    line.starts_with(b"* ") && !text.iter().any(|word| line.starts_with(word))
}

/// The length of the literal a line announces at its end.
fn literal(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|&c| c == b'{')?;
    let digits = std::str::from_utf8(&inner[open + 1..]).ok()?;
    digits.parse().ok()
}

fn command(data: &[u8]) -> Command {
    let text = [b" ".as_slice(), data].concat();
    Command {
        text: text.into(),
        literals: vec!["abc".into(), "".into(), "a\0b\r\n".into(), "\u{e4}".into()],
    }
}

/// The arguments of every command of the registry; the first octet chooses which and whether UID
/// stood before it.
pub fn commands(data: &[u8]) {
    let Some((&which, rest)) = data.split_first() else {
        return;
    };
    let count = registry::commands().count();
    let Some(spec) = registry::commands().nth(usize::from(which >> 1) % count) else {
        return;
    };
    let command = command(rest);
    let _ = (spec.parse)(&mut Cursor::new(&command, Names::Utf7), which & 1 == 1).is_ok();
}

/// Sets of messages. What is read and written again is the same.
pub fn sets(data: &[u8]) {
    for uid in [false, true] {
        let mut cursor = Cursor::of(data);
        let _ = cursor.message_set(uid).is_ok();
    }
}

/// IMAP URLs. What is read and written again is read as the same.
pub fn urls(data: &[u8]) {
    let Ok(url) = Url::parse(data) else {
        return;
    };
    let mut text = Vec::new();
    url.write(&mut text);
    let mut again = Vec::new();
    match Url::parse(&text) {
        Ok(url) => url.write(&mut again),
        Err(error) => panic!("{error:?} in {:?}", String::from_utf8_lossy(&text)),
    }
    assert_eq!(text, again, "{:?}", String::from_utf8_lossy(data));
}

/// The keys and options of SEARCH, and of what is searched like it.
pub fn search(data: &[u8]) {
    let command = command(data);
    for name in [b"SEARCH".as_slice(), b"SORT", b"THREAD", b"ESEARCH"] {
        let spec = registry::find(name).expect("the command exists");
        for uid in [false, true] {
            let mut cursor = Cursor::new(&command, Names::Utf7);
            let _ = (spec.parse)(&mut cursor, uid).is_ok();
        }
    }
}
