//! Where a client connects; POP3 and LMTP as far as the workloads speak them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;

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
    /// The same door behind a proxy at this address.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// The same door for another account with the same password.
    pub(crate) fn of(&self, user: String) -> Self {
        Self {
            user,
            ..self.clone()
        }
    }

    pub(crate) fn connect(&self, buffer: usize) -> Result<Wire> {
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

pub(crate) fn unexpected(what: &str, line: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
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

    /// Numbers and unique ids.
    pub(crate) fn uidl(&mut self) -> Result<Vec<(usize, Vec<u8>)>> {
        self.run("UIDL")?;
        let mut all = Vec::new();
        loop {
            let line = self.wire.line()?;
            if line == b"." {
                return Ok(all);
            }
            let space = line.iter().position(|octet| *octet == b' ');
            let number = space.and_then(|at| std::str::from_utf8(&line[..at]).ok()?.parse().ok());
            match (number, space) {
                (Some(number), Some(at)) => all.push((number, line[at + 1..].to_vec())),
                _ => return Err(unexpected("UIDL", line)),
            }
        }
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
        self.wire.send(format!("{command}\r\n").as_bytes())?;
        self.multiline(command)
    }

    /// Sends many commands from a second thread while `read` takes the answers: neither end can
    /// then wait for the other to read first. Over a connection without TLS.
    pub(crate) fn run_pipelined(
        &mut self,
        commands: &[u8],
        read: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut writer = self.wire.begin_sending(commands.len())?;
        thread::scope(|scope| {
            let writing = scope.spawn(move || writer.write_all(commands));
            read(self)?;
            match writing.join() {
                Ok(written) => Ok(written?),
                Err(_) => Err("the writing thread panicked".into()),
            }
        })
    }

    /// Reads over a multi-line answer, which must begin with `+OK`.
    pub(crate) fn multiline(&mut self, command: &str) -> Result<()> {
        self.status(command)?;
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
