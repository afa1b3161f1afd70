//! A blocking POP3 client.

use std::net::SocketAddr;

use crate::lines::Lines;

/// A connection to a POP3 server. Every method panics when the server does not do what the
/// method is for; [`Pop3Client::command`] shows refusals as errors.
pub struct Pop3Client {
    lines: Lines,
}

impl Pop3Client {
    /// Connects and reads the greeting.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self {
            lines: Lines::connect(address),
        };
        let greeting = client.lines.text();
        assert!(greeting.starts_with("+OK"), "greeting: {greeting}");
        client
    }

    /// Connects and logs in with USER and PASS.
    #[must_use]
    pub fn login(address: SocketAddr, user: &str, password: &str) -> Self {
        let mut client = Self::connect(address);
        client.ok(&format!("USER {user}"));
        client.ok(&format!("PASS {password}"));
        client
    }

    /// Sends a command and returns the first line of its answer: `Ok` for `+OK`, `Err` else.
    ///
    /// # Errors
    /// The `-ERR` line.
    pub fn command(&mut self, command: &str) -> Result<String, String> {
        self.lines.send(format!("{command}\r\n").as_bytes());
        let answer = self.lines.text();
        if answer.starts_with("+OK") {
            Ok(answer)
        } else {
            Err(answer)
        }
    }

    /// Sends a command that must be answered `+OK`.
    pub fn ok(&mut self, command: &str) -> String {
        self.command(command)
            .unwrap_or_else(|answer| panic!("{command}: {answer}"))
    }

    /// Sends a command with a multi-line answer and returns that, dots removed, lines with CRLF.
    pub fn multi(&mut self, command: &str) -> Vec<u8> {
        self.ok(command);
        let mut out = Vec::new();
        loop {
            let line = self.lines.line();
            if line == b"." {
                return out;
            }
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The rows of LIST, UIDL or CAPA.
    pub fn rows(&mut self, command: &str) -> Vec<String> {
        let answer = String::from_utf8_lossy(&self.multi(command)).into_owned();
        answer.lines().map(str::to_owned).collect()
    }

    /// Number and octets of the maildrop, by STAT.
    pub fn stat(&mut self) -> (usize, u64) {
        let answer = self.ok("STAT");
        let mut words = answer.split(' ').skip(1);
        let count = words.next().and_then(|word| word.parse().ok());
        let octets = words.next().and_then(|word| word.parse().ok());
        count
            .zip(octets)
            .unwrap_or_else(|| panic!("STAT: {answer}"))
    }

    /// The octets of message `number`.
    pub fn retr(&mut self, number: usize) -> Vec<u8> {
        self.multi(&format!("RETR {number}"))
    }

    /// QUIT; returns the answer.
    pub fn quit(&mut self) -> String {
        self.ok("QUIT")
    }
}
