//! IMAP as far as the visits speak it.

use std::net::SocketAddr;

use super::link::Link;
use crate::wire::Result;

/// A connection that has logged in.
pub(crate) struct Imap {
    pub(crate) link: Link,
    response: Vec<u8>,
}

/// Whom a visit belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Imap {
    pub(crate) fn login(address: SocketAddr, account: &Account, compress: bool) -> Result<Self> {
        let mut imap = Self {
            link: Link::connect(address)?,
            response: Vec::new(),
        };
        let greeting = imap.link.line()?;
        if !greeting.starts_with(b"* OK") {
            return Err(unexpected("greeting", greeting));
        }
        let (user, password) = (quoted(&account.user), quoted(&account.password));
        imap.run(&format!("LOGIN {user} {password}"))?;
        if compress {
            imap.run("COMPRESS DEFLATE")?;
            imap.link.compress();
        }
        Ok(imap)
    }

    /// Runs a command that must be answered OK and gives all lines that have a response code, the
    /// tagged one included.
    pub(crate) fn run(&mut self, command: &str) -> Result<String> {
        let mut noted = String::new();
        let tagged = self.each(command, |response, _| {
            if response.contains(&b'[') || response.starts_with(b"STATUS") {
                noted.push_str(&String::from_utf8_lossy(response));
                noted.push('\n');
            }
        })?;
        noted.push_str(&tagged);
        Ok(noted)
    }

    /// Runs a command that must be answered OK. Every untagged response is shown without `* ` and
    /// without what is in its literals, and with the number of octets of these.
    pub(crate) fn each(
        &mut self,
        command: &str,
        mut on: impl FnMut(&[u8], usize),
    ) -> Result<String> {
        self.link.send(format!("a {command}\r\n").as_bytes())?;
        self.answer(command, &mut on)
    }

    /// Reads up to the next tagged response.
    pub(crate) fn answer(
        &mut self,
        command: &str,
        on: &mut dyn FnMut(&[u8], usize),
    ) -> Result<String> {
        loop {
            let octets = self.response()?;
            let response = &self.response[..];
            if let Some(untagged) = response.strip_prefix(b"* ") {
                on(untagged, octets);
            } else if let Some(tagged) = response.strip_prefix(b"a ") {
                if !tagged.starts_with(b"OK") {
                    return Err(unexpected(command, tagged));
                }
                return Ok(String::from_utf8_lossy(tagged).into_owned());
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
            let line = self.link.line()?;
            self.response.extend_from_slice(line);
            let Some(length) = literal(line) else {
                return Ok(octets);
            };
            octets += length;
            self.link.skip(length)?;
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

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn literal(line: &[u8]) -> Option<usize> {
    let rest = line.strip_suffix(b"}")?;
    let open = rest.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(&rest[open + 1..]).ok()?.parse().ok()
}

pub(crate) fn unexpected(what: &str, line: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
    let line = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
    format!("{what}: {line}").into()
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
