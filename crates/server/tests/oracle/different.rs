//! Answers compared place by place; what differs must be a difference that is known and explained.

use std::collections::BTreeMap;
use testkit::Value;

/// A place where the answers about a message are not the same.
pub(crate) struct Difference<'a> {
    /// The message.
    pub(crate) message: &'a [u8],
    /// The item, part numbers, and what of that: `ENVELOPE date`, `BODY 2.1 octets`,
    /// `BODY[1.MIME]`.
    pub(crate) place: String,
    /// What we say.
    pub(crate) ours: &'a Value,
    /// What Dovecot says.
    pub(crate) theirs: &'a Value,
}

/// A kind of difference: a row of decision 0002.
pub(crate) struct Known {
    /// The row.
    pub(crate) row: &'static str,
    /// Whether a difference is of this kind.
    pub(crate) explains: fn(&Difference<'_>) -> bool,
}

/// What was compared, and how it went.
pub(crate) struct Tally {
    kinds: &'static [Known],
    rare: &'static [Known],
    compared: usize,
    known: BTreeMap<&'static str, usize>,
    unknown: Vec<String>,
}

impl Tally {
    /// Nothing compared yet.
    pub(crate) fn new(kinds: &'static [Known]) -> Self {
        let (known, unknown) = (BTreeMap::new(), Vec::new());
        Self {
            kinds,
            rare: &[],
            compared: 0,
            known,
            unknown,
        }
    }

    /// Also takes these differences, which a selection of the mail may not show.
    pub(crate) fn with_rare(self, rare: &'static [Known]) -> Self {
        Self { rare, ..self }
    }

    /// Counts an answer, and looks for what explains its differences.
    pub(crate) fn compared<'a>(&mut self, differences: impl IntoIterator<Item = Difference<'a>>) {
        self.compared += 1;
        for difference in differences {
            let mut kinds = self.kinds.iter().chain(self.rare);
            match kinds.find(|kind| (kind.explains)(&difference)) {
                Some(kind) => *self.known.entry(kind.row).or_default() += 1,
                None => self.unknown.push(difference.describe()),
            }
        }
    }

    /// Every difference was explained, and every explanation was needed.
    pub(crate) fn finish(self, at_least: usize) {
        let Self {
            kinds,
            compared,
            known,
            unknown,
            ..
        } = self;
        eprintln!("{compared} answers compared; differences: {known:#?}");
        assert!(compared >= at_least, "only {compared} answers");
        let some: Vec<_> = unknown.iter().take(SHOWN).map(String::as_str).collect();
        assert!(
            some.is_empty(),
            "{} differences that nothing explains\n{}",
            unknown.len(),
            some.join("\n")
        );
        let idle = kinds.iter().map(|kind| kind.row);
        let idle: Vec<_> = idle.filter(|row| !known.contains_key(row)).collect();
        assert!(idle.is_empty(), "explains nothing: {idle:?}");
    }
}

/// How many differences a failure shows.
const SHOWN: usize = 200;

impl Difference<'_> {
    fn describe(&self) -> String {
        let header = String::from_utf8_lossy(&self.message[..self.message.len().min(160)]);
        let (ours, theirs) = (show(self.ours), show(self.theirs));
        let place = &self.place;
        format!("{place}\n    ours   {ours}\n    theirs {theirs}\n    of {header:?}")
    }
}

/// A value for people, shortened.
fn show(value: &Value) -> String {
    let text = match value {
        Value::Nil => "NIL".to_owned(),
        Value::Word(word) => word.clone(),
        Value::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Value::List(list) => {
            let list: Vec<_> = list.iter().map(show).collect();
            format!("({})", list.join(" "))
        }
    };
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}... ({})", &text[..at], text.len()),
        None => text,
    }
}
