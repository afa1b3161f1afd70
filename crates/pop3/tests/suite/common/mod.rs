//! A POP3 front over in-memory stores that fail on demand, on loopback, and a client.
#![allow(dead_code, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth::{Auth, Directory, DirectoryError, Entry};
use bytes::Bytes;
use mail::{Account, Mail, NewMessage, Options, Provenance};
use net::{Listener, ListenerConfig, Local, Metrics, Shutdown, Timeouts, Tls, TlsMode};
use pop3::{Deps, Pop3, Settings};
use storage::{FaultBlobs, FaultMeta, Faults, MemoryBlobs, MemoryMeta};
use testkit::dialogue::{Duplex, Host, Stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use types::{FlagOp, Flags, MailboxId, MailboxName, Uid, UidSet};

pub(crate) const PASSWORD: &str = "pass word";

struct Users;

#[async_trait]
impl Directory for Users {
    fn kind(&self) -> &'static str {
        "test"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        match name {
            "alice" | "bob" => Ok(Some(Entry {
                account_name: name.to_owned(),
                password: Some(format!("{{PLAIN}}{PASSWORD}")),
            })),
            "broken" => Err(DirectoryError::new("the directory is away")),
            _ => Ok(None),
        }
    }
}

/// A running front.
pub(crate) struct Rig {
    pub(crate) mail: Mail,
    pub(crate) alice: Account,
    pub(crate) address: SocketAddr,
    pub(crate) faults: Faults,
    pub(crate) shutdown: Shutdown,
    pub(crate) tls: Arc<Tls>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default(), Timeouts::default()).await
    }

    pub(crate) async fn with(settings: Settings, timeouts: Timeouts) -> Self {
        let faults = Faults::new();
        let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone()));
        let blobs = Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone()));
        let mail = Mail::open(meta, blobs, Options::default())
            .await
            .expect("a fresh store");
        let info = mail.ensure_account("alice").await.expect("an account");
        let alice = mail.account(info.id).await.expect("an account");
        let auth = auth::Options {
            failure_delay: Duration::ZERO,
            ..auth::Options::default()
        };
        let auth = Arc::new(Auth::new(vec![Arc::new(Users)], auth));
        let metrics = Metrics::new("test");
        let front = Pop3::new(Deps {
            mail: mail.clone(),
            auth,
            settings,
            metrics: pop3::front_metrics(&metrics),
        });
        let tls = Tls::self_signed(&["localhost"]).expect("a certificate");
        let config = ListenerConfig {
            addresses: vec!["127.0.0.1:0".parse().expect("an address")],
            tls: TlsMode::StartTls,
            timeouts,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind(&config, Some(Arc::clone(&tls))).expect("a free port");
        let Some(Local::Tcp(address)) = listener.local_addrs().into_iter().next() else {
            panic!("no address")
        };
        let shutdown = Shutdown::new();
        tokio::spawn(listener.serve(front, shutdown.clone()));
        Self {
            mail,
            alice,
            address,
            faults,
            shutdown,
            tls,
            metrics,
        }
    }

    pub(crate) fn mailbox(&self, name: &str) -> MailboxId {
        let name = MailboxName::new(name).expect("a name");
        self.alice.tree().find(&name).expect("a mailbox").id
    }

    /// Appends to a mailbox of alice.
    pub(crate) async fn append(&self, mailbox: &str, prefix: &str, bytes: &[u8], copies: usize) {
        let origin = Provenance::default();
        let content = self
            .mail
            .ingest(Bytes::copy_from_slice(bytes), &origin)
            .await
            .expect("in");
        let message = NewMessage {
            content,
            prefix: Bytes::copy_from_slice(prefix.as_bytes()),
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: Some(1_700_000_000),
        };
        let id = self.mailbox(mailbox);
        self.alice
            .append(id, vec![message; copies])
            .await
            .expect("appended");
    }

    /// Uids, and whether each is seen, of a mailbox of alice.
    pub(crate) async fn uids(&self, mailbox: &str) -> Vec<(u32, bool)> {
        let selected = self
            .alice
            .select(self.mailbox(mailbox))
            .await
            .expect("selected");
        let view = selected.view();
        view.rows()
            .map(|row| (row.uid.get(), row.flags.contains(Flags::SEEN)))
            .collect()
    }

    pub(crate) async fn connect(&self) -> Client {
        let mut client = self.connect_raw().await;
        assert!(client.line().await.starts_with("+OK"));
        client
    }

    pub(crate) async fn connect_raw(&self) -> Client {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        Client {
            io: BufReader::with_capacity(1 << 16, Box::new(stream)),
        }
    }

    pub(crate) async fn login(&self) -> Client {
        self.login_as("alice").await
    }

    pub(crate) async fn login_as(&self, name: &str) -> Client {
        let mut client = self.connect().await;
        assert_eq!(client.command(&format!("USER {name}")).await, "+OK");
        let answer = client.command(&format!("PASS {PASSWORD}")).await;
        assert!(answer.starts_with("+OK"), "{answer}");
        client
    }

    /// Ends a test: whatever happened, what is stored is sound.
    pub(crate) async fn assert_sound(&self) {
        self.faults.heal();
        let problems = self.mail.check(true).await.expect("a readable store");
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

/// Connects dialogue scripts, and does what an IMAP client would meanwhile.
impl Host for Rig {
    async fn connect(&mut self, _session: &str) -> std::io::Result<Stream> {
        Ok(Box::new(TcpStream::connect(self.address).await?))
    }

    async fn set_up(&mut self, verb: &str, args: &str, body: Option<&[u8]>) -> Result<(), String> {
        let uids = |args: &str| -> UidSet {
            args.split(',')
                .filter_map(|n| Uid::new(n.parse().expect("a uid")))
                .collect()
        };
        let inbox = self
            .alice
            .select(self.mailbox("INBOX"))
            .await
            .map_err(|e| e.to_string())?;
        match verb {
            "append" => self.append(args, "", body.unwrap_or_default(), 1).await,
            "expunge" => {
                inbox
                    .expunge(&uids(args))
                    .await
                    .map_err(|e| e.to_string())?;
            }
            "flag" => {
                let change = mail::FlagChange {
                    op: FlagOp::Add,
                    flags: Flags::DELETED,
                    keywords: Vec::new(),
                };
                inbox
                    .store(&uids(args), &change, None)
                    .await
                    .map_err(|e| e.to_string())?;
            }
            "create" => {
                let name = MailboxName::new(args).map_err(|e| e.to_string())?;
                self.alice
                    .create(&name, None)
                    .await
                    .map_err(|e| e.to_string())?;
            }
            "rename" => {
                let (from, to) = args.split_once(' ').ok_or("rename FROM TO")?;
                let [from, to] = [from, to].map(|name| MailboxName::new(name).expect("a name"));
                self.alice
                    .rename(&from, &to)
                    .await
                    .map_err(|e| e.to_string())?;
            }
            "policy" => {
                let policy = (args != "default").then(|| args.parse().expect("a policy"));
                self.alice
                    .set_pop3_policy(mail::PolicyOf::Account, policy.as_ref())
                    .await
                    .map_err(|e| e.to_string())?;
            }
            "delete" => {
                let name = MailboxName::new(args).map_err(|e| e.to_string())?;
                self.alice.delete(&name).await.map_err(|e| e.to_string())?;
            }
            "holds" => {
                let (mailbox, want) = args.split_once(' ').unwrap_or((args, ""));
                let held = self.uids(mailbox).await;
                let held: Vec<String> = held
                    .into_iter()
                    .map(|(uid, seen)| format!("{uid}{}", if seen { "s" } else { "" }))
                    .collect();
                if held.join(" ") != want {
                    return Err(format!("{mailbox} holds {held:?}"));
                }
            }
            _ => return Err(format!("no verb {verb}")),
        }
        Ok(())
    }
}

pub(crate) struct Client {
    pub(crate) io: BufReader<Box<dyn Duplex>>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("sent");
    }

    pub(crate) async fn raw_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let read = self.io.read_until(b'\n', &mut line);
        let read = tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("in time");
        read.expect("readable");
        assert!(
            line.ends_with(b"\r\n"),
            "{:?}",
            String::from_utf8_lossy(&line)
        );
        line
    }

    pub(crate) async fn line(&mut self) -> String {
        let line = self.raw_line().await;
        String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()
    }

    pub(crate) async fn command(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.line().await
    }

    /// The lines up to the dot, stuffing removed, CRLFs kept.
    pub(crate) async fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.raw_line().await;
            if line == b".\r\n" {
                return body;
            }
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    pub(crate) async fn multi(&mut self, command: &str) -> Vec<u8> {
        let status = self.command(command).await;
        assert!(status.starts_with("+OK"), "{command}: {status}");
        self.body().await
    }

    pub(crate) async fn rows(&mut self, command: &str) -> Vec<String> {
        let text = String::from_utf8(self.multi(command).await).expect("ASCII");
        text.lines().map(str::to_owned).collect()
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = self.io.read_to_end(&mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("an end");
        String::from_utf8_lossy(&rest).into_owned()
    }

    pub(crate) async fn quit(mut self) -> String {
        let answer = self.command("QUIT").await;
        assert_eq!(self.rest().await, "");
        answer
    }
}

/// What POP3 must send for stored bytes, written independently of the front.
pub(crate) fn as_crlf(stored: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, &octet) in stored.iter().enumerate() {
        if octet == b'\n' && (i == 0 || stored[i - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    if !stored.is_empty() && !stored.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}
