//! The two servers.

use testkit::{Dovecot, ImapClient, PASSWORD, Pop3Client, Server};

const BINARY: &str = env!("CARGO_BIN_EXE_gatepost");
const CONFIG: &str = include_str!("../../../../benches/peers/dovecot.conf");
const USER: &str = "alice";

/// A client of each server, with the same mail in INBOX under the same uids.
pub(crate) struct Pair {
    pub(crate) ours: ImapClient,
    pub(crate) theirs: ImapClient,
    servers: (Server, Dovecot),
}

impl Pair {
    /// Starts both and appends `messages`, each with its INTERNALDATE.
    pub(crate) fn with(messages: &[(String, Vec<u8>)]) -> Self {
        assert!(
            Dovecot::installed(),
            "Dovecot is not installed: run cargo xtask test"
        );
        let server = Server::start(BINARY);
        let dovecot = Dovecot::start(CONFIG, &[(USER.to_owned(), PASSWORD.to_owned())]).unwrap();
        let mut pair = Self {
            ours: ImapClient::login(server.imap(), USER, PASSWORD),
            theirs: ImapClient::login(dovecot.imap(), USER, PASSWORD),
            servers: (server, dovecot),
        };
        for client in [&mut pair.ours, &mut pair.theirs] {
            for (date, message) in messages {
                append(client, date, message);
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

fn append(client: &mut ImapClient, date: &str, message: &[u8]) {
    let tag = client.start(&format!("APPEND INBOX \"{date}\" {{{}}}", message.len()));
    let answer = client.response().text;
    assert!(answer.starts_with('+'), "APPEND: {answer}");
    client.send(message);
    client.send(b"\r\n");
    let (_, tagged) = client.finish(&tag);
    assert!(tagged.starts_with("OK"), "APPEND: {tagged}");
}
