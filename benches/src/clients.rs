//! IMAP, POP3 and LMTP as far as the workloads speak them.

use std::net::SocketAddr;

use crate::tls::Tls;
use crate::wire::{QuickAck, Result, Stream, Wire, dial};

/// Where a client connects, and as whom it logs in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    pub(crate) password: String,
    /// TLS from the first octet.
    pub(crate) tls: Option<Tls>,
    /// See [`QuickAck`].
    pub(crate) quick_ack: bool,
}

impl Door {
    /// The same door for another account with the same password.
    pub(crate) fn of(&self, user: String) -> Self {
        Self {
            user,
            ..self.clone()
        }
    }

    fn connect(&self, buffer: usize) -> Result<Wire> {
        let tcp = dial(self.address)?;
        let tcp: Box<dyn Stream> = if self.quick_ack {
            Box::new(QuickAck(tcp))
        } else {
            Box::new(tcp)
        };
        let stream = match &self.tls {
            Some(tls) => tls.over(tcp)?,
            None => tcp,
        };
        Ok(Wire::over(stream, buffer))
    }
}

/// An IMAP connection. One command at a time, so one tag serves for all.
pub(crate) struct Imap {
    pub(crate) wire: Wire,
}

/// What an IMAP command brought.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Untagged responses.
    pub(crate) untagged: usize,
    /// The line of the last untagged response that has the asked-for word, and the tagged one.
    pub(crate) noted: String,
}

impl Imap {
    pub(crate) fn login(door: &Door, buffer: usize) -> Result<Self> {
        let mut imap = Self {
            wire: door.connect(buffer)?,
        };
        let greeting = imap.wire.line()?;
        if !greeting.starts_with(b"* OK") {
            return Err(unexpected("greeting", greeting));
        }
        let (user, password) = (quoted(&door.user)?, quoted(&door.password)?);
        imap.run(&format!("LOGIN {user} {password}"))
            .map_err(|error| error.to_string().replace(&password, "..."))?;
        Ok(imap)
    }

    pub(crate) fn run(&mut self, command: &str) -> Result<Answer> {
        self.run_noting(command, "")
    }

    /// Runs a command that must be answered OK; lines with `word` are kept in the answer.
    pub(crate) fn run_noting(&mut self, command: &str, word: &str) -> Result<Answer> {
        self.wire.send(format!("a {command}\r\n").as_bytes())?;
        self.answer(command, word)
    }

    pub(crate) fn answer(&mut self, command: &str, word: &str) -> Result<Answer> {
        let mut answer = Answer::default();
        let mut inside = false;
        loop {
            let line = self.wire.line()?;
            if !inside {
                if line.starts_with(b"* ") {
                    answer.untagged += 1;
                    if !word.is_empty() && memchr::memmem::find(line, word.as_bytes()).is_some() {
                        answer.noted.push_str(&String::from_utf8_lossy(line));
                    }
                } else if let Some(tagged) = line.strip_prefix(b"a ") {
                    if !tagged.starts_with(b"OK") {
                        return Err(unexpected(command, tagged));
                    }
                    answer.noted.push_str(&String::from_utf8_lossy(tagged));
                    return Ok(answer);
                } else {
                    return Err(unexpected(command, line));
                }
            }
            inside = match literal(line) {
                Some(length) => {
                    self.wire.skip(length)?;
                    true
                }
                None => false,
            };
        }
    }

    /// APPENDs with a non-synchronising literal (RFC 7888), as clients do where it is offered.
    pub(crate) fn append(&mut self, mailbox: &str, message: &[u8]) -> Result<()> {
        let mut bytes = Vec::with_capacity(message.len() + 64);
        let head = format!("a APPEND {mailbox} (\\Seen) {{{}+}}\r\n", message.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(b"\r\n");
        self.wire.send(&bytes)?;
        self.answer("APPEND", "")?;
        Ok(())
    }

    /// Logged in, in IDLE on INBOX.
    pub(crate) fn idling(door: &Door) -> Result<Self> {
        let mut imap = Self::login(door, crate::wire::SMALL)?;
        imap.run("SELECT INBOX")?;
        imap.idle()?;
        Ok(imap)
    }

    pub(crate) fn idle(&mut self) -> Result<()> {
        self.wire.send(b"a IDLE\r\n")?;
        loop {
            let line = self.wire.line()?;
            if line.starts_with(b"+") {
                return Ok(());
            }
            if !line.starts_with(b"* ") {
                return Err(unexpected("IDLE", line));
            }
        }
    }

    /// Waits in IDLE for the number of messages; `None` when the command is over.
    pub(crate) fn announced(&mut self) -> Result<Option<usize>> {
        loop {
            let line = self.wire.line()?;
            let Some(untagged) = line.strip_prefix(b"* ") else {
                return Ok(None);
            };
            if let Some(number) = untagged.strip_suffix(b" EXISTS") {
                return Ok(Some(std::str::from_utf8(number)?.parse()?));
            }
        }
    }

    /// Waits in IDLE until a message is announced.
    pub(crate) fn wait_exists(&mut self) -> Result<()> {
        loop {
            let line = self.wire.line()?;
            if line.ends_with(b" EXISTS") {
                return Ok(());
            }
            if !line.starts_with(b"* ") {
                return Err(unexpected("IDLE", line));
            }
        }
    }
}

/// The number of a `NAME n]` response code in `text`.
pub(crate) fn code(text: &str, name: &str) -> Result<u64> {
    let missing = || format!("no {name} in: {text}");
    let at = text.find(name).ok_or_else(missing)? + name.len();
    let digits: String = text[at..]
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    Ok(digits.parse().map_err(|_| missing())?)
}

/// A quoted string (RFC 9051 4.3).
fn quoted(text: &str) -> Result<String> {
    if text.contains(['\r', '\n', '\0']) {
        return Err("a user name or password with a line end".into());
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{escaped}\""))
}

fn literal(line: &[u8]) -> Option<usize> {
    let rest = line.strip_suffix(b"}")?;
    let open = rest.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(&rest[open + 1..]).ok()?.parse().ok()
}

fn unexpected(what: &str, line: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
    let line = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
    format!("{what}: {line}").into()
}

/// A POP3 connection.
pub(crate) struct Pop3 {
    pub(crate) wire: Wire,
}

impl Pop3 {
    pub(crate) fn login(door: &Door, buffer: usize) -> Result<Self> {
        let mut pop3 = Self {
            wire: door.connect(buffer)?,
        };
        pop3.status("greeting")?;
        pop3.run(&format!("USER {}", door.user))?;
        pop3.wire
            .send(format!("PASS {}\r\n", door.password).as_bytes())?;
        pop3.status("PASS")?;
        Ok(pop3)
    }

    /// Number of messages in the maildrop.
    pub(crate) fn stat(&mut self) -> Result<usize> {
        self.wire.send(b"STAT\r\n")?;
        let line = String::from_utf8_lossy(self.wire.line()?).into_owned();
        let number = line
            .strip_prefix("+OK ")
            .and_then(|rest| rest.split(' ').next());
        let number = number.and_then(|number| number.parse().ok());
        Ok(number.ok_or_else(|| format!("STAT: {line}"))?)
    }

    /// Sends a command and reads its status line.
    pub(crate) fn run(&mut self, command: &str) -> Result<()> {
        self.wire.send(format!("{command}\r\n").as_bytes())?;
        self.status(command)
    }

    /// Reads a status line, which must be `+OK`.
    pub(crate) fn status(&mut self, command: &str) -> Result<()> {
        let line = self.wire.line()?;
        if line.starts_with(b"+OK") {
            Ok(())
        } else {
            Err(unexpected(command, line))
        }
    }

    /// Sends a command and reads over its multi-line answer.
    pub(crate) fn run_multiline(&mut self, command: &str) -> Result<()> {
        self.run(command)?;
        self.wire.skip_multiline()
    }
}

/// An LMTP connection past LHLO.
pub(crate) struct Lmtp {
    wire: Wire,
}

impl Lmtp {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let mut lmtp = Self {
            wire: Wire::connect(address, crate::wire::SMALL)?,
        };
        lmtp.reply(b"220")?;
        lmtp.wire.send(b"LHLO localhost\r\n")?;
        lmtp.reply(b"250")?;
        Ok(lmtp)
    }

    /// Delivers one message that is already dot-stuffed and ended, as a pipelining sender does.
    pub(crate) fn deliver(&mut self, user: &str, stuffed: &[u8]) -> Result<()> {
        let envelope = format!("MAIL FROM:<sender@example.org>\r\nRCPT TO:<{user}>\r\nDATA\r\n");
        self.wire.send(envelope.as_bytes())?;
        self.reply(b"250")?;
        self.reply(b"250")?;
        self.reply(b"354")?;
        self.wire.send(stuffed)?;
        self.reply(b"250")
    }

    fn reply(&mut self, code: &[u8]) -> Result<()> {
        loop {
            let line = self.wire.line()?;
            if !line.starts_with(code) {
                return Err(unexpected("LMTP", line));
            }
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
