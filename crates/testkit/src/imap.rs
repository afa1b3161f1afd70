//! A blocking IMAP client that understands only tags and literals.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::grammar::{self, literal_length};
use crate::lines::Lines;

/// A connection to an IMAP server. Every method panics, with the conversation's last line, when
/// the server does not do what the method is for.
pub struct ImapClient {
    lines: Lines,
    tags: u32,
    /// Whether imap-codec reads along.
    checked: bool,
}

/// One response: its text with each literal left out after its `{n}`, and the literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The line, for example `* 1 FETCH (UID 1 BODY[] {9})`.
    pub text: String,
    /// The literals in their order.
    pub literals: Vec<Vec<u8>>,
}

impl ImapClient {
    /// Connects and reads the greeting. Every response must be one by [`grammar::check`].
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self::open(address, true)
    }

    /// Connects to another server than ours, and logs in.
    #[must_use]
    pub fn login_elsewhere(address: SocketAddr, user: &str, password: &str) -> Self {
        let mut client = Self::open(address, false);
        client.ok(&format!("LOGIN {user} {password}"));
        client
    }

    fn open(address: SocketAddr, checked: bool) -> Self {
        let mut client = Self {
            lines: Lines::connect(address),
            tags: 0,
            checked,
        };
        let greeting = client.response().text;
        assert!(greeting.starts_with("* OK"), "greeting: {greeting}");
        client
    }

    /// Connects and logs in with LOGIN.
    #[must_use]
    pub fn login(address: SocketAddr, user: &str, password: &str) -> Self {
        let mut client = Self::connect(address);
        client.ok(&format!("LOGIN {user} {password}"));
        client
    }

    /// Sends a command and returns its untagged responses and the tagged one without its tag.
    pub fn command(&mut self, command: &str) -> (Vec<Response>, String) {
        let tag = self.start(command);
        self.finish(&tag)
    }

    /// Sends a command that must be answered OK and returns its untagged responses.
    pub fn ok(&mut self, command: &str) -> Vec<Response> {
        let (untagged, tagged) = self.command(command);
        assert!(tagged.starts_with("OK"), "{command}: {tagged}");
        untagged
    }

    /// Sends a command and returns its tag without waiting.
    pub fn start(&mut self, command: &str) -> String {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.lines.send(format!("{tag} {command}\r\n").as_bytes());
        tag
    }

    /// Reads up to the tagged response of `tag`.
    pub fn finish(&mut self, tag: &str) -> (Vec<Response>, String) {
        self.try_finish(tag)
            .unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// As [`ImapClient::finish`], of a server that may hang up.
    ///
    /// # Errors
    /// What ended the connection.
    pub fn try_finish(&mut self, tag: &str) -> io::Result<(Vec<Response>, String)> {
        let mut untagged = Vec::new();
        loop {
            let response = self.try_response()?;
            if let Some(rest) = response.text.strip_prefix(tag)
                && let Some(rest) = rest.strip_prefix(' ')
            {
                return Ok((untagged, rest.to_owned()));
            }
            untagged.push(response);
        }
    }

    /// APPENDs one message with a synchronising literal; returns the tagged response.
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> String {
        let tag = self.start(&format!("APPEND {mailbox} ({flags}) {{{}}}", message.len()));
        let answer = self.response().text;
        assert!(answer.starts_with('+'), "APPEND: {answer}");
        self.lines.send(message);
        self.lines.send(b"\r\n");
        self.finish(&tag).1
    }

    /// The octets of every message of `mailbox`, in the order of their UIDs.
    pub fn bodies(&mut self, mailbox: &str) -> Vec<Vec<u8>> {
        self.ok(&format!("EXAMINE {mailbox}"));
        let mut bodies = Vec::new();
        for response in self.command("UID FETCH 1:* (BODY.PEEK[])").0 {
            bodies.extend(response.literals);
        }
        bodies
    }

    /// The octets of the message with this UID in the selected mailbox.
    pub fn body(&mut self, uid: u32) -> Vec<u8> {
        let mut found = Vec::new();
        for response in self.ok(&format!("UID FETCH {uid} (BODY.PEEK[])")) {
            found.extend(response.literals);
        }
        assert_eq!(found.len(), 1, "bodies of UID {uid}");
        found.remove(0)
    }

    /// Number of messages in a mailbox, by STATUS.
    pub fn count(&mut self, mailbox: &str) -> usize {
        let lines = self.ok(&format!("STATUS {mailbox} (MESSAGES)"));
        let text = lines
            .first()
            .map(|line| line.text.clone())
            .unwrap_or_default();
        text.rsplit(['(', ' ', ')'])
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("STATUS: {text}"))
    }

    /// Enters IDLE: returns when the server has said `+`.
    pub fn idle(&mut self) {
        self.start("IDLE");
        loop {
            if self.response().text.starts_with('+') {
                return;
            }
        }
    }

    /// Leaves IDLE.
    pub fn done(&mut self) -> Vec<Response> {
        self.lines.send(b"DONE\r\n");
        let tag = format!("t{}", self.tags);
        let (untagged, tagged) = self.finish(&tag);
        assert!(tagged.starts_with("OK"), "IDLE: {tagged}");
        untagged
    }

    /// Reads responses until one contains `what`; panics when none does within `patience`.
    pub fn wait_for(&mut self, what: &str, patience: Duration) -> String {
        self.lines.set_patience(patience);
        loop {
            let text = self.response().text;
            if text.contains(what) {
                self.lines.restore_patience();
                return text;
            }
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.lines.send(bytes);
    }

    /// The next response, with its literals.
    pub fn response(&mut self) -> Response {
        self.try_response()
            .unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// The next response, or the error that ended the connection.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server has closed; otherwise what the socket says.
    pub fn try_response(&mut self) -> io::Result<Response> {
        let mut response = Response {
            text: String::new(),
            literals: Vec::new(),
        };
        let mut raw = Vec::new();
        loop {
            let line = self.lines.try_line()?;
            response.text.push_str(&String::from_utf8_lossy(&line));
            raw.extend_from_slice(&line);
            raw.extend_from_slice(b"\r\n");
            let Some(length) = literal_length(&line) else {
                break;
            };
            let literal = self.lines.try_exactly(length)?;
            raw.extend_from_slice(&literal);
            response.literals.push(literal);
        }
        if self.checked
            && let Err(wrong) = grammar::check(&raw)
        {
            panic!("{wrong}");
        }
        Ok(response)
    }
}
