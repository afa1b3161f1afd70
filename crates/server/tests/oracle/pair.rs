//! The two servers.

use std::collections::{BTreeMap, BTreeSet};
use testkit::{Dovecot, ImapClient, PASSWORD, Pop3Client, Server, Value};

const BINARY: &str = env!("CARGO_BIN_EXE_gatepost");
const CONFIG: &str = include_str!("../../../../benches/peers/dovecot.conf");
const USER: &str = "alice";
/// The value of an item at which Dovecot hangs up.
pub(crate) const DISCONNECTED: &str = "disconnected";

/// A client of each server, with the same mail in INBOX under the same uids.
pub(crate) struct Pair {
    pub(crate) ours: ImapClient,
    pub(crate) theirs: ImapClient,
    servers: (Server, Dovecot),
}

impl Pair {
    /// Starts both and appends `messages`, each with its INTERNALDATE and flags by its number.
    pub(crate) fn with(messages: &[(String, Vec<u8>)]) -> Self {
        assert!(
            Dovecot::installed(),
            "Dovecot is not installed: run cargo xtask test"
        );
        let server = Server::start(BINARY);
        // Only its answers matter.
        let config = CONFIG.replace("mail_fsync = optimized", "mail_fsync = never");
        let dovecot = Dovecot::start(&config, &[(USER.to_owned(), PASSWORD.to_owned())]).unwrap();
        let mut pair = Self {
            ours: ImapClient::login(server.imap(), USER, PASSWORD),
            theirs: ImapClient::login_elsewhere(dovecot.imap(), USER, PASSWORD),
            servers: (server, dovecot),
        };
        for client in [&mut pair.ours, &mut pair.theirs] {
            for (uid, (date, message)) in (1..).zip(messages) {
                append(client, &flags(uid), date, message);
            }
            client.ok("EXAMINE INBOX");
        }
        pair
    }

    /// POP3 clients of both.
    pub(crate) fn pop3(&self) -> [Pop3Client; 2] {
        let (server, dovecot) = &self.servers;
        [server.pop3(), dovecot.pop3()].map(|at| Pop3Client::login(at, USER, PASSWORD))
    }

    /// What ours and theirs answer with the untagged response `word`.
    pub(crate) fn ask(&mut self, command: &str, word: &str) -> (String, String) {
        let [ours, theirs] = [&mut self.ours, &mut self.theirs].map(|client| {
            let answers = client.ok(command);
            let found = answers
                .iter()
                .find_map(|answer| answer.text.strip_prefix("* ")?.strip_prefix(word));
            let found = found.unwrap_or_else(|| panic!("{command}: no {word}"));
            found.trim().to_owned()
        });
        (ours, theirs)
    }
}

impl Pair {
    /// The items of a message, by their names in upper case. Where Dovecot hangs up, what it was
    /// asked for is [`DISCONNECTED`].
    pub(crate) fn fetch(&mut self, uid: u32, items: &[String]) -> [BTreeMap<String, Value>; 2] {
        let ours = fetch(&mut self.ours, uid, items).expect("an answer");
        if let Some(theirs) = self.fetch_theirs(uid, items) {
            return [ours, theirs];
        }
        let one_by_one = items.iter().flat_map(|item| {
            let answer = self.fetch_theirs(uid, std::slice::from_ref(item));
            answer.unwrap_or_else(|| {
                let hung_up = Value::Word(DISCONNECTED.to_owned());
                BTreeMap::from([(answered(item), hung_up)])
            })
        });
        [ours, one_by_one.collect()]
    }

    fn fetch_theirs(&mut self, uid: u32, items: &[String]) -> Option<BTreeMap<String, Value>> {
        let answer = fetch(&mut self.theirs, uid, items).ok();
        if answer.is_none() {
            self.theirs = ImapClient::login_elsewhere(self.servers.1.imap(), USER, PASSWORD);
            self.theirs.ok("EXAMINE INBOX");
        }
        answer
    }

    /// What UID SEARCH finds; `literal` stands at the end of the search.
    pub(crate) fn search(&mut self, search: &str, literal: Option<&[u8]>) -> [BTreeSet<u32>; 2] {
        [&mut self.ours, &mut self.theirs].map(|client| {
            let tag = match literal {
                None => client.start(&format!("UID SEARCH {search}")),
                Some(literal) => {
                    let length = literal.len();
                    let tag = client.start(&format!("UID SEARCH {search} {{{length}}}"));
                    let answer = client.response().text;
                    assert!(answer.starts_with('+'), "{search}: {answer}");
                    client.send(&[literal, b"\r\n"].concat());
                    tag
                }
            };
            let (answers, tagged) = client.finish(&tag);
            assert!(tagged.starts_with("OK"), "{search}: {tagged}");
            let found = answers
                .iter()
                .find_map(|answer| answer.text.strip_prefix("* SEARCH"));
            // MODSEQ adds the highest number, which each server chooses.
            let found = found.unwrap_or_else(|| panic!("{search}: no SEARCH"));
            let found = found.split(" (MODSEQ").next().unwrap_or_default();
            let uids = found.split_whitespace().map(|uid| uid.parse().unwrap());
            uids.collect()
        })
    }

    /// The uids of messages whose ENVELOPE both show alike: what differs there differs elsewhere
    /// too.
    pub(crate) fn same_envelopes(&mut self) -> Vec<u32> {
        let [ours, theirs] =
            [&mut self.ours, &mut self.theirs].map(|client| client.ok("FETCH 1:* (UID ENVELOPE)"));
        assert_eq!(ours.len(), theirs.len());
        let same = (1..).zip(ours.iter().zip(&theirs));
        let same = same.filter(|(_, (a, b))| a.text == b.text && a.literals == b.literals);
        same.map(|(uid, _)| uid).collect()
    }
}

/// The items of a message.
fn fetch(
    client: &mut ImapClient,
    uid: u32,
    items: &[String],
) -> std::io::Result<BTreeMap<String, Value>> {
    let tag = client.start(&format!("UID FETCH {uid} ({})", items.join(" ")));
    let (answers, tagged) = client.try_finish(&tag)?;
    assert!(tagged.starts_with("OK"), "{items:?}: {tagged}");
    assert_eq!(answers.len(), 1, "{items:?}: {answers:?}");
    let items = answers[0].items().into_iter();
    let items = items.map(|(name, value)| (name.to_ascii_uppercase(), value));
    Ok(items.filter(|(name, _)| name != "UID").collect())
}

/// The name under which an item is answered.
fn answered(item: &str) -> String {
    let item = item.replace(".PEEK", "").to_ascii_uppercase();
    match item.rsplit_once('.') {
        Some((head, _)) if item.ends_with('>') => format!("{head}>"),
        _ => item,
    }
}

/// Flags of every kind, and none.
fn flags(uid: u32) -> String {
    let all = [
        (2, "\\Seen"),
        (3, "\\Answered"),
        (5, "\\Flagged"),
        (7, "\\Deleted"),
        (11, "\\Draft"),
        (13, "$Forwarded"),
        (17, "NonJunk"),
    ];
    let all = all.iter().filter(|(every, _)| uid.is_multiple_of(*every));
    let all: Vec<_> = all.map(|(_, flag)| *flag).collect();
    all.join(" ")
}

fn append(client: &mut ImapClient, flags: &str, date: &str, message: &[u8]) {
    let length = message.len();
    let tag = client.start(&format!("APPEND INBOX ({flags}) \"{date}\" {{{length}}}"));
    let answer = client.response().text;
    assert!(answer.starts_with('+'), "APPEND: {answer}");
    client.send(message);
    client.send(b"\r\n");
    let (_, tagged) = client.finish(&tag);
    assert!(tagged.starts_with("OK"), "APPEND: {tagged}");
}
