//! Runs a script against whatever its [`Host`] connects it to.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{Action, Failure, Pattern, Piece, Script, parse};

/// How long the server may take for one expected line.
const PATIENCE: Duration = Duration::from_secs(20);
/// A longer answer line fails the script instead of filling memory.
const MAX_LINE: usize = 64 * 1024 * 1024;
/// How much of the conversation a failure shows.
const TRANSCRIPT: usize = 40;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection to the server under test.
pub type Stream = Box<dyn Duplex>;

/// What a script runs against: a real server, or a front fed through an in-memory pipe.
pub trait Host {
    /// Opens a connection for the session of this name.
    fn connect(&mut self, session: &str) -> impl Future<Output = io::Result<Stream>>;

    /// Carries out a `!` line; `body` has CRLF line ends. An unknown verb must be an error.
    fn set_up(
        &mut self,
        verb: &str,
        args: &str,
        body: Option<&[u8]>,
    ) -> impl Future<Output = Result<(), String>> {
        let (_, _) = (args, body);
        let unknown = format!("this host knows no set-up verb `{verb}`");
        async move { Err(unknown) }
    }
}

/// A host without set-up verbs: every session connects to one TCP address.
#[derive(Debug, Clone, Copy)]
pub struct TcpHost(pub SocketAddr);

impl Host for TcpHost {
    async fn connect(&mut self, _session: &str) -> io::Result<Stream> {
        let stream = tokio::net::TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// Runs `script` once.
///
/// # Errors
/// The first line that did not hold, with the end of the conversation.
pub async fn run(script: &Script, host: &mut impl Host) -> Result<(), Failure> {
    let mut runner = Runner {
        host,
        sessions: BTreeMap::new(),
        kept: BTreeMap::new(),
        transcript: VecDeque::new(),
    };
    let mut line = 0;
    let mut outcome = Ok(());
    for step in &script.steps {
        line = step.line;
        outcome = runner.step(&step.session, &step.action).await;
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        outcome = runner.no_leftovers().await;
    }
    outcome.map_err(|reason| Failure {
        script: script.name.clone(),
        line,
        reason,
        transcript: runner.transcript.into(),
    })
}

struct Runner<'a, H> {
    host: &'a mut H,
    sessions: BTreeMap<String, Session>,
    kept: BTreeMap<String, String>,
    transcript: VecDeque<String>,
}

struct Session {
    stream: Stream,
    buffer: Vec<u8>,
}

impl<H: Host> Runner<'_, H> {
    async fn step(&mut self, session: &str, action: &Action) -> Result<(), String> {
        match action {
            Action::SetUp { verb, args, body } => {
                let args = self.fill(args)?;
                let body = body.as_ref().map(|lines| join(lines));
                self.note(format!("! {verb} {args}"));
                self.host
                    .set_up(verb, &args, body.as_deref())
                    .await
                    .map_err(|reason| format!("set-up `{verb}`: {reason}"))
            }
            Action::Send { text, crlf, body } => {
                let mut text = self.fill(text)?;
                let body = body.as_ref().map(|lines| join(lines));
                if let Some(body) = &body {
                    text = text.replace("{@", &format!("{{{}", body.len()));
                }
                self.note(format!("C[{session}]: {text}"));
                let mut bytes = parse::unescape(&text);
                if *crlf {
                    bytes.extend_from_slice(b"\r\n");
                }
                if let Some(body) = body {
                    bytes.extend_from_slice(&body);
                    bytes.extend_from_slice(b"\r\n");
                }
                self.send(session, &bytes).await
            }
            Action::Expect { pattern, skip } => self.expect(session, pattern, *skip).await,
            Action::ExpectAnyOrder { patterns } => self.any_order(session, patterns).await,
            Action::Eof => match self.read_line(session).await? {
                None => Ok(()),
                Some(line) => Err(format!(
                    "expected the end of session {session}, got: {line}"
                )),
            },
        }
    }

    async fn send(&mut self, session: &str, bytes: &[u8]) -> Result<(), String> {
        let stream = &mut self.session(session).await?.stream;
        // A server that hung up shows in the next `S:` or `EOF:`, with a better message.
        let written = timeout(PATIENCE, async {
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
        });
        written
            .await
            .map_err(|_| format!("session {session}: the server does not read"))
    }

    async fn expect(&mut self, id: &str, pattern: &Pattern, skip: bool) -> Result<(), String> {
        loop {
            let Some(line) = self.read_line(id).await? else {
                return Err(format!(
                    "session {id} was closed; expected: {}",
                    pattern.text
                ));
            };
            if self.matches(pattern, &line)? {
                return Ok(());
            }
            if !skip {
                return Err(format!(
                    "session {id}\n expected: {}\n      got: {line}",
                    pattern.text
                ));
            }
        }
    }

    async fn any_order(&mut self, session: &str, patterns: &[Pattern]) -> Result<(), String> {
        let mut open: Vec<&Pattern> = patterns.iter().collect();
        while !open.is_empty() {
            let Some(line) = self.read_line(session).await? else {
                return Err(format!(
                    "session {session} was closed; expected: {}",
                    listed(&open)
                ));
            };
            let mut hit = None;
            for (index, pattern) in open.iter().enumerate() {
                if self.matches(pattern, &line)? {
                    hit = Some(index);
                    break;
                }
            }
            let Some(index) = hit else {
                let open = listed(&open);
                return Err(format!(
                    "session {session}\n expected one of: {open}\n got: {line}"
                ));
            };
            open.remove(index);
        }
        Ok(())
    }

    fn matches(&mut self, pattern: &Pattern, line: &str) -> Result<bool, String> {
        let mut source = String::from("(?s)^");
        let mut names = Vec::new();
        for piece in &pattern.pieces {
            match piece {
                Piece::Literal(text) => source.push_str(&regex_lite::escape(text)),
                Piece::Kept(name) => source.push_str(&regex_lite::escape(self.kept_value(name)?)),
                Piece::Regex {
                    keep: None,
                    source: regex,
                } => {
                    source.push_str("(?:");
                    source.push_str(regex);
                    source.push(')');
                }
                Piece::Regex {
                    keep: Some(name),
                    source: regex,
                } => {
                    names.push(name);
                    source.push_str("(?<");
                    source.push_str(name);
                    source.push('>');
                    source.push_str(regex);
                    source.push(')');
                }
            }
        }
        source.push('$');
        let regex = regex_lite::Regex::new(&source).map_err(|error| error.to_string())?;
        let Some(found) = regex.captures(line) else {
            return Ok(false);
        };
        for name in names {
            if let Some(value) = found.name(name) {
                self.kept.insert(name.clone(), value.as_str().to_owned());
            }
        }
        Ok(true)
    }

    fn kept_value(&self, name: &str) -> Result<&String, String> {
        self.kept
            .get(name)
            .ok_or_else(|| format!("`${{{name}}}` was never kept"))
    }

    /// `text` with every `${name}` replaced.
    fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let Some(end) = rest[at..].find('}') else {
                break;
            };
            out.push_str(&rest[..at]);
            out.push_str(self.kept_value(&rest[at + 2..at + end])?);
            rest = &rest[at + end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The next line of a session without its CRLF, or `None` at the end of the stream.
    async fn read_line(&mut self, id: &str) -> Result<Option<String>, String> {
        let session = self.session(id).await?;
        let read = timeout(PATIENCE, session.line()).await;
        let line = match read {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return Err(format!("session {id}: {error}")),
            Err(_) => return Err(format!("session {id}: no line within {PATIENCE:?}")),
        };
        match &line {
            Some(line) => self.note(format!("S[{id}]: {line}")),
            None => self.note(format!("S[{id}] closed")),
        }
        Ok(line)
    }

    async fn session(&mut self, id: &str) -> Result<&mut Session, String> {
        if !self.sessions.contains_key(id) {
            let stream = self
                .host
                .connect(id)
                .await
                .map_err(|error| format!("connect {id}: {error}"))?;
            self.sessions.insert(
                id.to_owned(),
                Session {
                    stream,
                    buffer: Vec::new(),
                },
            );
        }
        Ok(self.sessions.get_mut(id).expect("inserted above"))
    }

    /// Fails when a session has already received a line that nothing expected.
    async fn no_leftovers(&mut self) -> Result<(), String> {
        for (id, session) in &mut self.sessions {
            // Ready bytes are read at once; the limit only ends the wait when there are none.
            let waited = timeout(Duration::from_millis(1), session.line()).await;
            if let Ok(Ok(Some(line))) = waited {
                return Err(format!(
                    "session {id} received a line no step expected: {line}"
                ));
            }
        }
        Ok(())
    }

    fn note(&mut self, mut line: String) {
        if line.len() > 2000 {
            line = line.chars().take(1000).collect();
            line.push_str(" ...");
        }
        if self.transcript.len() == TRANSCRIPT {
            self.transcript.pop_front();
        }
        self.transcript.push_back(line);
    }
}

impl Session {
    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::other("an endless line"));
            }
            let read = match self.stream.read_buf(&mut self.buffer).await {
                Ok(read) => read,
                // A reset after the last answer is an end like any other to a client.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error),
            };
            if read == 0 && self.buffer.is_empty() {
                return Ok(None);
            }
            if read == 0 {
                let rest = std::mem::take(&mut self.buffer);
                return Ok(Some(String::from_utf8_lossy(&rest).into_owned()));
            }
        }
    }
}

fn join(lines: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        out.extend_from_slice(&parse::unescape(line));
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn listed(patterns: &[&Pattern]) -> String {
    patterns
        .iter()
        .map(|pattern| pattern.text.as_str())
        .collect::<Vec<_>>()
        .join(" | ")
}
