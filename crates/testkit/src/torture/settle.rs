//! Compares what clients know with what a server has, and takes what it has as the outcome of what
//! was not answered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use super::folders::FOLDERS;
use super::knowledge::{Effect, Hash, Key, Knowledge, Mirror, State, Tree};
use super::load::{BOB, BOOKS, CAROL, COPIES, FILED, WORK, answered};
use super::watcher::{code, row, vanished};
use crate::{ImapClient, PASSWORD, Pop3Client, Server};

/// A mailbox as a server has it.
struct Look {
    validity: u32,
    rows: Vec<Found>,
}

struct Found {
    uid: u32,
    hash: Hash,
    flags: String,
    modseq: u64,
}

/// Everything that is wrong, each in a line.
pub(super) type Wrong = Vec<String>;

impl Knowledge {
    /// Compares with the server, of which it is known that the disk was cut at `cut`.
    pub(super) fn settle(&mut self, server: &Server, cut: Instant) -> Wrong {
        let mut wrong = std::mem::take(&mut self.wrong);
        let mut present: HashMap<Key, HashSet<Hash>> = HashMap::new();
        let mut looks = Vec::new();
        for key in BOOKS {
            let mut imap = ImapClient::login(server.imap(), key.0, PASSWORD);
            let look = look(&mut imap, key, &mut wrong);
            present.insert(key, look.rows.iter().map(|found| found.hash).collect());
            looks.push((key, look));
        }
        for (key, look) in &looks {
            self.compare(*key, look, cut, &mut wrong);
        }
        self.outcomes(&present, &mut wrong);
        self.resync(server, &mut wrong);
        self.compare_uidls(server, &looks, &mut wrong);
        self.compare_tree(server, &mut wrong);
        self.advance(server, &mut wrong);
        wrong.append(&mut self.wrong);
        wrong
    }

    fn compare(&mut self, key: Key, look: &Look, cut: Instant, wrong: &mut Wrong) {
        let name = format!("{} of {}", key.1, key.0);
        let mut found = HashSet::new();
        for row in &look.rows {
            if !found.insert(row.hash) {
                wrong.push(format!("{name}: UID {} is there twice", row.uid));
            }
            match self.book(key).messages.get(&row.hash) {
                None => wrong.push(format!("{name}: UID {} holds what nobody sent", row.uid)),
                Some(State::Gone) => {
                    wrong.push(format!("{name}: UID {} was deleted and is back", row.uid));
                }
                Some(_) => {}
            }
            self.named(key, look.validity, row.uid, row.hash);
            self.version(key, row.uid, row.modseq, &row.flags);
            let of_alice = [WORK, FILED, COPIES].contains(&key);
            if of_alice && row.flags.contains("\\Answered") != answered(row.hash) {
                wrong.push(format!("{name}: UID {} has flags {}", row.uid, row.flags));
            }
            if key == WORK {
                let flagged = row.flags.contains("\\Flagged");
                let wishes = self.book(key).flagged.entry(row.uid).or_default();
                if !wishes.possible(cut).contains(&flagged) {
                    wrong.push(format!(
                        "{name}: UID {} is flagged: {flagged}, told: {wishes:?}",
                        row.uid
                    ));
                }
                wishes.found(flagged);
            }
        }
        let uids: HashSet<u32> = look.rows.iter().map(|row| row.uid).collect();
        let book = self.book(key);
        book.flagged.retain(|uid, _| uids.contains(uid));
        book.versions.retain(|(uid, _), _| uids.contains(uid));
        for (hash, state) in &book.messages {
            if *state == State::Here && !found.contains(hash) {
                wrong.push(format!("{name}: {hash} is lost"));
            }
        }
    }

    /// A command was done wholly or not at all; a message that moves is never in two places or in
    /// none.
    fn outcomes(&mut self, present: &HashMap<Key, HashSet<Hash>>, wrong: &mut Wrong) {
        for effects in std::mem::take(&mut self.flights).into_values() {
            let done = |effect: &&Effect| {
                let there = present
                    .get(&effect.book)
                    .is_some_and(|p| p.contains(&effect.hash));
                there == effect.comes
            };
            let count = effects.iter().filter(done).count();
            if count != 0 && count != effects.len() {
                let all = effects.len();
                wrong.push(format!(
                    "of one command {count} of {all} effects were done: {effects:?}"
                ));
            }
        }
        for (key, book) in &mut self.books {
            for (hash, state) in &mut book.messages {
                let there = present
                    .get(key)
                    .is_some_and(|present| present.contains(hash));
                *state = if there { State::Here } else { State::Gone };
            }
        }
    }

    /// A client with a cache asks what has changed since, and then has what the server has.
    fn resync(&mut self, server: &Server, wrong: &mut Wrong) {
        let Some(mirror) = self.book(WORK).mirror.take() else {
            return;
        };
        let mut imap = ImapClient::login(server.imap(), WORK.0, PASSWORD);
        imap.ok("ENABLE QRESYNC");
        let Mirror {
            rows,
            highest,
            validity,
        } = &*mirror;
        if *highest == 0 {
            return;
        }
        let told = imap.ok(&format!(
            "SELECT {} (QRESYNC ({validity} {highest}))",
            WORK.1
        ));
        let mut rows = rows.clone();
        for response in &told {
            for uid in vanished(response).unwrap_or_default() {
                rows.remove(&uid);
            }
            if let Some(row) = row(response) {
                rows.insert(row.uid, row.flags);
            }
        }
        let fetched = imap.ok("UID FETCH 1:* (UID FLAGS MODSEQ)");
        let real = fetched.iter().filter_map(row);
        let real: BTreeMap<u32, String> = real.map(|row| (row.uid, row.flags)).collect();
        if rows != real {
            let differ = |uid: &&u32| rows.get(uid) != real.get(uid);
            let uids: BTreeSet<&u32> = rows.keys().chain(real.keys()).filter(differ).collect();
            let rows: Vec<String> = uids
                .iter()
                .map(|uid| {
                    format!(
                        "UID {uid}: cache {:?}, server {:?}",
                        rows.get(uid),
                        real.get(uid)
                    )
                })
                .collect();
            wrong.push(format!(
                "a cache of MODSEQ {highest} is led astray: {}",
                rows.join("; ")
            ));
        }
    }

    fn compare_uidls(&mut self, server: &Server, looks: &[(Key, Look)], wrong: &mut Wrong) {
        let mut pop3 = Pop3Client::login(server.pop3(), CAROL.0, PASSWORD);
        let rows = pop3.rows("UIDL");
        let imap = looks.iter().find(|(key, _)| *key == CAROL);
        let imap: Vec<Hash> = imap.map_or_else(Vec::new, |(_, look)| {
            look.rows.iter().map(|row| row.hash).collect()
        });
        if rows.len() != imap.len() {
            wrong.push(format!(
                "POP3 has {} messages, IMAP {}",
                rows.len(),
                imap.len()
            ));
        }
        let before: HashMap<Hash, String> = self
            .uidls
            .get(CAROL.0)
            .into_iter()
            .flatten()
            .map(|(uidl, hash)| (*hash, uidl.clone()))
            .collect();
        for (row, hash) in rows.iter().zip(imap) {
            let Some((number, uidl)) = row.split_once(' ') else {
                wrong.push(format!("UIDL: {row}"));
                continue;
            };
            let bytes = pop3.retr(number.parse().unwrap_or(0));
            if blake3::hash(&bytes) != hash {
                wrong.push(format!("POP3 and IMAP show different messages as {row}"));
            }
            if let Some(old) = before.get(&hash).filter(|old| *old != uidl) {
                wrong.push(format!("UIDL of {hash} was {old} and is {uidl}"));
            }
            self.uidl(CAROL.0, uidl, hash);
        }
        // Dropped without QUIT: nothing has happened.
    }

    fn compare_tree(&mut self, server: &Server, wrong: &mut Wrong) {
        let mut imap = ImapClient::login(server.imap(), BOB.0, PASSWORD);
        let names = |told: Vec<crate::Response>| -> Vec<String> {
            let names = told.into_iter().filter_map(|line| {
                let name = line.text.rsplit(' ').next()?.trim_matches('"').to_owned();
                name.starts_with(FOLDERS).then_some(name)
            });
            names.collect()
        };
        let mut found = Tree::default();
        for name in names(imap.ok(&format!("LIST \"\" {FOLDERS}*"))) {
            let told = imap.ok(&format!("EXAMINE {name}"));
            let validity = code(&told, "UIDVALIDITY").unwrap_or(0) as u32;
            let mut content = BTreeSet::new();
            for row in imap.ok("UID FETCH 1:* (UID BODY.PEEK[])") {
                let uid = row.text.split_once("UID ").map(|(_, rest)| rest);
                let uid = uid.and_then(|rest| rest.split([' ', ')']).next()?.parse().ok());
                let (Some(uid), Some(body)) = (uid, row.literals.first()) else {
                    continue;
                };
                let hash = blake3::hash(body);
                content.insert(hash.to_string());
                self.in_folder(&name, validity, uid, hash);
            }
            found.folders.insert(name, content);
        }
        found.subscribed = names(imap.ok("LSUB \"\" *")).into_iter().collect();
        let mut possible = self.tree.clone();
        let mut fits = possible == found;
        for growth in std::mem::take(&mut self.growing) {
            possible.grow(&growth);
            fits |= possible == found;
        }
        if !fits {
            wrong.push(format!(
                "folders are lost or changed: {found:?}, told: {:?}, or at most {possible:?}",
                self.tree
            ));
        }
        self.tree = found;
    }

    /// The next change gets a MODSEQ above all that was ever told.
    fn advance(&mut self, server: &Server, wrong: &mut Wrong) {
        let mut imap = ImapClient::login(server.imap(), WORK.0, PASSWORD);
        imap.ok("ENABLE CONDSTORE");
        imap.ok(&format!("SELECT {}", WORK.1));
        let first = imap.ok("UID FETCH 1:* (UID FLAGS MODSEQ)");
        let Some(first) = first.iter().find_map(row) else {
            return;
        };
        let sign = if first.flags.contains("\\Draft") {
            '-'
        } else {
            '+'
        };
        let told = imap.ok(&format!("UID STORE {} {sign}FLAGS (\\Draft)", first.uid));
        let told = told.iter().filter_map(row).find(|row| row.uid == first.uid);
        let Some(told) = told else {
            wrong.push("STORE does not tell the new flags".to_owned());
            return;
        };
        let announced = self.book(WORK).announced;
        if told.modseq <= announced {
            let given = told.modseq;
            wrong.push(format!(
                "MODSEQ {given} is given although {announced} was told before"
            ));
        }
        self.version(WORK, told.uid, told.modseq, &told.flags);
    }
}

/// Reads a mailbox; its counters must agree with what is in it.
fn look(imap: &mut ImapClient, key: Key, wrong: &mut Wrong) -> Look {
    let items = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE DELETED HIGHESTMODSEQ";
    let status = imap.ok(&format!("STATUS {} ({items})", key.1));
    let status = status.iter().find(|line| line.text.starts_with("* STATUS"));
    let status = status.map_or("", |line| line.text.as_str());
    let number = |name: &str| -> u64 {
        let rest = status.split_once(&format!("{name} ")).map(|(_, rest)| rest);
        let word = rest.and_then(|rest| rest.split([' ', ')']).next());
        word.and_then(|word| word.parse().ok()).unwrap_or(u64::MAX)
    };
    imap.ok(&format!("EXAMINE {} (CONDSTORE)", key.1));
    let mut rows = Vec::new();
    let (mut size, mut unseen, mut deleted, mut highest) = (0, 0, 0, 0);
    let fetched = imap.ok("UID FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE BODY.PEEK[])");
    for response in &fetched {
        let (Some(row), Some(body)) = (row(response), response.literals.first()) else {
            continue;
        };
        if row.size != Some(body.len() as u64) {
            wrong.push(format!("{key:?}: UID {} has size {:?}", row.uid, row.size));
        }
        size += body.len() as u64;
        unseen += u64::from(!row.flags.contains("\\Seen"));
        deleted += u64::from(row.flags.contains("\\Deleted"));
        highest = highest.max(row.modseq);
        rows.push(Found {
            uid: row.uid,
            hash: blake3::hash(body),
            flags: row.flags,
            modseq: row.modseq,
        });
    }
    let count = rows.len() as u64;
    let counted = [
        ("MESSAGES", count),
        ("SIZE", size),
        ("UNSEEN", unseen),
        ("DELETED", deleted),
    ];
    for (name, counted) in counted {
        if number(name) != counted {
            wrong.push(format!("{key:?}: counted {name} {counted}, but {status}"));
        }
    }
    let last = rows.iter().map(|row| u64::from(row.uid)).max().unwrap_or(0);
    if number("UIDNEXT") <= last || number("HIGHESTMODSEQ") < highest {
        wrong.push(format!(
            "{key:?}: UID {last} and MODSEQ {highest} exist, but {status}"
        ));
    }
    Look {
        validity: number("UIDVALIDITY") as u32,
        rows,
    }
}
