//! A client with a cache (RFC 7162): what it was told must never be contradicted, and what it
//! resynchronises from must lead it to what the server has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::knowledge::{Event, Hash, Mirror};
use super::load::{Client, WORK};
use crate::{ImapClient, Response};

/// One row of a FETCH response.
pub(super) struct Row {
    pub(super) uid: u32,
    /// Sorted, without `\Recent`, which is of the session.
    pub(super) flags: String,
    pub(super) modseq: u64,
    pub(super) size: Option<u64>,
}

/// What follows an item's name, up to the space or parenthesis that ends it.
fn word<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    rest.split([' ', ')', ']']).next()
}

/// Reads `* n FETCH (UID .. FLAGS (..) MODSEQ (..))`; `None` for another response.
pub(super) fn row(response: &Response) -> Option<Row> {
    let text = response.text.as_str();
    if !text.contains(" FETCH (") {
        return None;
    }
    let uid = word(text, "UID ")?.parse().ok()?;
    let (_, flags) = text.split_once("FLAGS (")?;
    let (flags, _) = flags.split_once(')')?;
    let flags = flags
        .split(' ')
        .filter(|flag| !flag.is_empty() && *flag != "\\Recent");
    let mut flags: Vec<&str> = flags.collect();
    flags.sort_unstable();
    Some(Row {
        uid,
        flags: flags.join(" "),
        modseq: word(text, "MODSEQ (")?.parse().ok()?,
        size: word(text, "RFC822.SIZE ").and_then(|size| size.parse().ok()),
    })
}

/// The UIDs of a VANISHED response.
pub(super) fn vanished(response: &Response) -> Option<Vec<u32>> {
    let set = response.text.strip_prefix("* VANISHED ")?;
    let set = set.strip_prefix("(EARLIER) ").unwrap_or(set);
    let mut all = Vec::new();
    for range in set.split(',') {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        all.extend(from.parse().ok()?..=to.parse::<u32>().ok()?);
    }
    Some(all)
}

/// A number in a response code such as `[HIGHESTMODSEQ 7]`.
pub(super) fn code(told: &[Response], name: &str) -> Option<u64> {
    let name = format!("[{name} ");
    told.iter()
        .find_map(|line| word(&line.text, &name)?.parse().ok())
}

struct Watcher<'a, 'b> {
    client: &'a Client<'b>,
    imap: ImapClient,
    mirror: Mirror,
    hashes: BTreeMap<u32, Hash>,
    /// New messages were announced and not looked at yet.
    behind: bool,
}

/// Watches alice's Work.
pub(super) fn watch(client: &Client<'_>) {
    let mut imap = client.imap("alice");
    imap.ok("ENABLE QRESYNC");
    let told = imap.ok("SELECT Work");
    let validity = code(&told, "UIDVALIDITY").expect("SELECT tells UIDVALIDITY");
    let mut watcher = Watcher {
        client,
        imap,
        mirror: Mirror {
            validity: validity as u32,
            ..Mirror::default()
        },
        hashes: BTreeMap::new(),
        behind: true,
    };
    loop {
        let told = watcher.imap.ok("NOOP");
        watcher.hear(&told);
        while watcher.behind {
            watcher.behind = false;
            let next = watcher
                .mirror
                .rows
                .keys()
                .next_back()
                .map_or(1, |uid| uid + 1);
            let line = format!("UID FETCH {next}:* (UID FLAGS MODSEQ BODY.PEEK[])");
            let told = watcher.imap.ok(&line);
            watcher.hear(&told);
        }
        let mirror = Arc::new(watcher.mirror.clone());
        client.ledger.write(Event::Mirrored(WORK, mirror));
    }
}

impl Watcher<'_, '_> {
    fn hear(&mut self, told: &[Response]) {
        for response in told {
            if response.text.ends_with(" EXISTS") {
                self.behind = true;
            }
            for uid in vanished(response).unwrap_or_default() {
                self.mirror.rows.remove(&uid);
                if let Some(hash) = self.hashes.remove(&uid) {
                    self.client.ledger.write(Event::SeenGone(WORK, hash));
                }
            }
            if let Some(row) = row(response) {
                self.take(row, response);
            }
        }
    }

    fn take(&mut self, row: Row, response: &Response) {
        let ledger = self.client.ledger;
        if let Some(body) = response.literals.first() {
            let hash = blake3::hash(body);
            self.hashes.insert(row.uid, hash);
            ledger.write(Event::Seen(WORK, hash));
            ledger.write(Event::Uid(WORK, self.mirror.validity, row.uid, hash));
        }
        // Of a message that is only announced so far nothing is remembered: it is fetched anyway.
        if self.hashes.contains_key(&row.uid) {
            let version = Event::Version(WORK, row.uid, row.modseq, row.flags.clone());
            ledger.write(version);
            self.mirror.highest = self.mirror.highest.max(row.modseq);
            self.mirror.rows.insert(row.uid, row.flags);
        }
    }
}
