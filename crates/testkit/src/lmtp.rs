//! A blocking LMTP client over TCP.

use std::net::SocketAddr;

use crate::lines::{Lines, dot_stuffed};

/// A connection to an LMTP server, past LHLO.
pub struct LmtpClient {
    lines: Lines,
}

impl LmtpClient {
    /// Connects, reads the greeting and says LHLO.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self {
            lines: Lines::connect(address),
        };
        let greeting = client.reply();
        assert!(greeting.starts_with("220"), "greeting: {greeting}");
        let lhlo = client.command("LHLO localhost");
        assert!(lhlo.starts_with("250"), "LHLO: {lhlo}");
        client
    }

    /// Sends one line and returns the last line of the reply.
    pub fn command(&mut self, command: &str) -> String {
        self.lines.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// One transaction; returns the final reply for each recipient, refused ones included.
    pub fn deliver(&mut self, to: &[&str], message: &[u8]) -> Vec<String> {
        let mail = self.command("MAIL FROM:<sender@example.org>");
        assert!(mail.starts_with("250"), "MAIL: {mail}");
        let mut replies: Vec<String> = to
            .iter()
            .map(|name| self.command(&format!("RCPT TO:<{name}>")))
            .collect();
        if replies.iter().all(|reply| !reply.starts_with("250")) {
            self.command("RSET");
            return replies;
        }
        let data = self.command("DATA");
        assert!(data.starts_with("354"), "DATA: {data}");
        self.lines.send(&dot_stuffed(message));
        // RFC 2033 4.2: one reply for each accepted recipient, in the order of the RCPTs.
        for reply in replies.iter_mut().filter(|reply| reply.starts_with("250")) {
            *reply = self.reply();
        }
        replies
    }

    /// Delivers to one recipient who must accept it.
    pub fn deliver_ok(&mut self, to: &str, message: &[u8]) {
        let replies = self.deliver(&[to], message);
        assert!(
            replies[0].starts_with("250"),
            "delivery to {to}: {}",
            replies[0]
        );
    }

    fn reply(&mut self) -> String {
        loop {
            let line = self.lines.text();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }
}
