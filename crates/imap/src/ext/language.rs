//! LANGUAGE (RFC 5255 3): in which language texts for people are. They are written in English where
//! they arise, and [`Enabled::say`] looks up what is told instead, in a file per language.
// BAD stays English: it tells who writes a client what is wrong with it.

use super::*;
use crate::grammar::Names;
use crate::session::Enabled;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) static EXTENSION: Extension = Extension {
    rfc: "RFC 5255",
    file: file!(),
    capabilities: &[Capability::always("LANGUAGE")],
    commands: &[&SPEC],
    ..Extension::EMPTY
};

/// `language-cmd = "LANGUAGE" *(SP lang-range-quoted)`
static SPEC: Spec = Spec {
    name: "LANGUAGE",
    uid: UidForm::No,
    states: States::ANY,
    effects: Effects::NONE,
    rfc: &["RFC 5255 3.2"],
    parse,
};

/// Languages one command may ask for.
const MAX_RANGES: usize = 64;

/// A language texts are told in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Language {
    /// What everybody gets who has not asked (RFC 2277 4.5): English, in ASCII.
    #[default]
    Default,
    /// English.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
}

type Table = LazyLock<HashMap<&'static str, &'static str>>;

static GERMAN: Table = LazyLock::new(|| lines(include_str!("../languages/de.txt")).collect());
static FRENCH: Table = LazyLock::new(|| lines(include_str!("../languages/fr.txt")).collect());
static SPANISH: Table = LazyLock::new(|| lines(include_str!("../languages/es.txt")).collect());

/// The texts of a file, English first.
fn lines(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let texts = file.lines().filter(|line| !line.starts_with('#'));
    texts.filter_map(|line| line.split_once(" = "))
}

impl Language {
    const ALL: [Self; 5] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Default,
    ];

    /// Its tag (RFC 5646).
    fn tag(self) -> &'static str {
        match self {
            Self::Default => "i-default",
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
        }
    }

    /// What a range asks for, by the lookup of RFC 4647 3.4: a narrower language is served by a
    /// wider one.
    fn find(range: &str) -> Option<Self> {
        // RFC 5255 3.2: what the administrator prefers.
        if range.eq_ignore_ascii_case("default") {
            return Some(Self::Default);
        }
        let mut range = range;
        loop {
            let found = Self::ALL
                .into_iter()
                .find(|language| language.tag().eq_ignore_ascii_case(range));
            if found.is_some() {
                return found;
            }
            range = range.rsplit_once('-')?.0;
            // RFC 4647 3.4: a single letter goes with what it introduces.
            if let Some((wider, [_])) = range.rsplit_once('-').map(|(w, n)| (w, n.as_bytes())) {
                range = wider;
            }
        }
    }

    fn table(self) -> Option<&'static Table> {
        match self {
            Self::Default | Self::English => None,
            Self::German => Some(&GERMAN),
            Self::French => Some(&FRENCH),
            Self::Spanish => Some(&SPANISH),
        }
    }
}

impl Enabled {
    /// A text for people as the client is told it: one line, in its language if that has it.
    pub(crate) fn say(self, english: &str) -> Cow<'_, str> {
        let told = self.language.table().and_then(|table| table.get(english));
        // RFC 5255 3.5, RFC 9051 E 24: UTF-8 for those who asked for something like it; otherwise
        // printable ASCII (RFC 3501 9: `text`).
        let utf8 = self.language != Language::Default || self.names() == Names::Utf8;
        match told {
            Some(told) => Cow::Borrowed(told),
            None => one_line(english, utf8),
        }
    }
}

/// Whatever a name in it contains.
fn one_line(text: &str, utf8: bool) -> Cow<'_, str> {
    // Nearly always; octets are quicker looked through than characters.
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Cow::Borrowed(text);
    }
    let fits = |c: char| match utf8 {
        true => !c.is_control(),
        false => (' '..='~').contains(&c),
    };
    if text.chars().all(fits) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if fits(c) { c } else { '?' });
    shown.collect::<String>().into()
}

/// What the client understands, most wanted first.
struct Choose(Vec<String>);

fn parse(c: &mut Cursor<'_>, _: bool) -> Parsed<Box<dyn Ready>> {
    let mut ranges = Vec::new();
    while c.eat(b" ") {
        let range = c.astring()?;
        let fits = |&b: &u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'*';
        let range = match range.iter().all(fits) && !range.is_empty() {
            true => String::from_utf8_lossy(&range).into_owned(),
            false => return Err(BadSyntax("not a language")),
        };
        if ranges.len() >= MAX_RANGES {
            return Err(BadSyntax("too many languages"));
        }
        ranges.push(range);
    }
    Ok(Box::new(Choose(ranges)))
}

impl Run for Choose {
    async fn run(self: Box<Self>, cx: &mut Session) -> Result<Done, Refusal> {
        if self.0.is_empty() {
            let tags = Language::ALL.map(Language::tag).join(" ");
            cx.wire
                .buffer()
                .raw(b"* LANGUAGE (")
                .text(&tags)
                .raw(b")\r\n");
            return Done::ok("that is all");
        }
        let found = self.0.iter().find_map(|range| Language::find(range));
        let Some(language) = found else {
            return Err(Refusal::No(None, "no such language here".into()));
        };
        // RFC 5255 3.2: at once. The namespaces have no prefixes to be translated (RFC 5255 3.4).
        cx.enabled.language = language;
        let out = cx.wire.buffer();
        out.raw(b"* LANGUAGE (").text(language.tag()).raw(b")\r\n");
        Done::ok("now in this language")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn ranges_are_looked_up_from_the_narrow_to_the_wide() {
        for (range, found) in [
            ("de", Some(Language::German)),
            ("DE-at", Some(Language::German)),
            ("de-CH-1996", Some(Language::German)),
            ("en-US-x-private", Some(Language::English)),
            ("es-u-co-trad", Some(Language::Spanish)),
            ("I-Default", Some(Language::Default)),
            ("default", Some(Language::Default)),
            ("deu", None),
            ("mul", None),
            ("*", None),
            ("*-de", None),
            ("-", None),
            ("i", None),
        ] {
            assert_eq!(Language::find(range), found, "{range}");
        }
    }

    #[test]
    fn every_language_has_the_same_texts_each_once() {
        let files = [
            include_str!("../languages/de.txt"),
            include_str!("../languages/fr.txt"),
            include_str!("../languages/es.txt"),
        ];
        let [german, french, spanish] = files.map(|file| {
            let count = file.lines().filter(|line| !line.starts_with('#')).count();
            let texts: BTreeSet<_> = lines(file).map(|(english, _)| english).collect();
            assert_eq!(texts.len(), count, "a line without a text, or twice");
            let fits = |c: char| !c.is_control() && c != '[';
            assert!(lines(file).all(|(_, told)| !told.is_empty() && told.chars().all(fits)));
            texts
        });
        assert_eq!(german, french);
        assert_eq!(german, spanish);
    }

    #[test]
    fn every_translated_text_is_told_somewhere() {
        let mut sources = String::new();
        let mut folders: Vec<_> = ["imap", "mail", "auth", "types"]
            .map(|name| {
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("..")
                    .join(name)
                    .join("src")
            })
            .into();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => sources += &std::fs::read_to_string(path).unwrap_or_default(),
                }
            }
        }
        let told = |english: &str| sources.contains(&format!("\"{english}\""));
        let silent: Vec<_> = GERMAN.keys().filter(|english| !told(english)).collect();
        assert!(silent.is_empty(), "nobody says {silent:?}");
    }

    #[test]
    fn texts_are_one_line_in_the_letters_the_client_reads() {
        let mut enabled = Enabled::default();
        assert_eq!(enabled.say("x\r\n* BYE \u{e4}"), "x??* BYE ?");
        enabled.language = Language::German;
        assert_eq!(enabled.say("x\r\n\u{e4}"), "x??\u{e4}");
        assert_eq!(enabled.say("copied"), "kopiert");
    }
}
