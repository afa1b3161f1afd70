//! IMAP as far as the workloads and visits speak it.

use crate::clients::{Door, unexpected};
use crate::wire::{Result, Wire};

/// An IMAP connection. One command at a time, so one tag serves for all.
pub(crate) struct Imap {
    pub(crate) wire: Wire,
    /// The response that [`Self::each`] shows.
    response: Vec<u8>,
}

/// What an IMAP command brought.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Untagged responses.
    pub(crate) untagged: usize,
    /// The lines of untagged responses that have the asked-for word, and the tagged one.
    pub(crate) noted: String,
}

impl Imap {
    pub(crate) fn login(door: &Door, buffer: usize) -> Result<Self> {
        let mut imap = Self {
            wire: door.connect(buffer)?,
            response: Vec::new(),
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
                        answer.noted.push('\n');
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

    /// The words of CAPABILITY, among others.
    pub(crate) fn capabilities(&mut self) -> Result<String> {
        Ok(self.run_noting("CAPABILITY", "CAPABILITY")?.noted)
    }

    /// Compresses what follows in both directions (RFC 4978).
    pub(crate) fn compress(&mut self) -> Result<()> {
        self.run("COMPRESS DEFLATE")?;
        self.wire.compress();
        Ok(())
    }

    /// Runs a command that must be answered OK. Every untagged response is shown without `* ` and
    /// without what is in its literals, and with the number of octets of these.
    pub(crate) fn each(&mut self, command: &str, on: impl FnMut(&[u8], usize)) -> Result<()> {
        self.wire.send(format!("a {command}\r\n").as_bytes())?;
        self.each_answer(command, on)
    }

    /// Reads up to the next tagged response.
    pub(crate) fn each_answer(
        &mut self,
        command: &str,
        mut on: impl FnMut(&[u8], usize),
    ) -> Result<()> {
        loop {
            let octets = self.response()?;
            let response = &self.response[..];
            if let Some(untagged) = response.strip_prefix(b"* ") {
                on(untagged, octets);
            } else if let Some(tagged) = response.strip_prefix(b"a ") {
                if !tagged.starts_with(b"OK") {
                    return Err(unexpected(command, tagged));
                }
                return Ok(());
            } else if !response.starts_with(b"+") {
                return Err(unexpected(command, response));
            }
        }
    }

    /// Reads until `wanted` says so of an untagged response or a continuation request.
    pub(crate) fn until(&mut self, mut wanted: impl FnMut(&[u8], usize) -> bool) -> Result<()> {
        loop {
            let octets = self.response()?;
            let response = &self.response[..];
            if response.starts_with(b"a ") {
                return Err(unexpected("waiting", response));
            }
            if wanted(response.strip_prefix(b"* ").unwrap_or(response), octets) {
                return Ok(());
            }
        }
    }

    /// One response into `self.response`; the octets of its literals.
    fn response(&mut self) -> Result<usize> {
        self.response.clear();
        let mut octets = 0;
        loop {
            let line = self.wire.line()?;
            self.response.extend_from_slice(line);
            let Some(length) = literal(line) else {
                return Ok(octets);
            };
            octets += length;
            self.wire.skip(length)?;
        }
    }

    /// APPENDs with a non-synchronising literal (RFC 7888), as clients do where it is offered, or
    /// with one that waits to be asked for.
    pub(crate) fn append(&mut self, mailbox: &str, message: &[u8], waits: bool) -> Result<()> {
        let plus = if waits { "" } else { "+" };
        let mut bytes = Vec::with_capacity(message.len() + 64);
        let head = format!(
            "a APPEND {mailbox} (\\Seen) {{{}{plus}}}\r\n",
            message.len()
        );
        bytes.extend_from_slice(head.as_bytes());
        if waits {
            self.wire.send(&bytes)?;
            self.go_ahead("APPEND")?;
            bytes.clear();
        }
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
        self.go_ahead("IDLE")
    }

    /// Waits for the continuation request.
    fn go_ahead(&mut self, command: &str) -> Result<()> {
        loop {
            let line = self.wire.line()?;
            if line.starts_with(b"+") {
                return Ok(());
            }
            if !line.starts_with(b"* ") {
                return Err(unexpected(command, line));
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

/// The number after `name` in a FETCH response or a response code.
pub(crate) fn number(text: &[u8], name: &str) -> Option<u64> {
    let at = memchr::memmem::find(text, name.as_bytes())? + name.len();
    let rest = text.get(at..)?;
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"(").unwrap_or(rest);
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit());
    std::str::from_utf8(&rest[..digits.count()])
        .ok()?
        .parse()
        .ok()
}

/// The same where it must be there.
pub(crate) fn needed(text: &str, name: &str) -> Result<u64> {
    number(text.as_bytes(), name).ok_or_else(|| format!("no {name} in: {text}").into())
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

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_found_by_name() {
        assert_eq!(number(b"7 FETCH (UID 12 FLAGS ())", "UID "), Some(12));
        assert_eq!(number(b"7 FETCH (MODSEQ (9) UID 1)", "MODSEQ"), Some(9));
        assert_eq!(number(b"7 FETCH (FLAGS ())", "UID "), None);
    }
}
