//! An LMTP front over in-memory stores that fail on demand, on loopback and a unix socket, and a
//! client.
#![allow(dead_code, missing_docs)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth::{Auth, Directory, DirectoryError, Entry};
use lmtp::{Deps, Lmtp, Settings};
use mail::{Account, Mail, Options};
use net::{Listener, ListenerConfig, Local, Metrics, Shutdown, Timeouts, Tls, TlsMode, UnixPath};
use storage::{FaultBlobs, FaultMeta, Faults, MemoryBlobs, MemoryMeta};
use testkit::dialogue::{Duplex, Host, Stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use types::MailboxName;

/// Knows `alice`, `bob`, `carol@other.example`, `u0` to `u999`; fails for `broken`.
struct Users;

#[async_trait]
impl Directory for Users {
    fn kind(&self) -> &'static str {
        "test"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        let numbered = name.strip_prefix('u').and_then(|n| n.parse().ok());
        let known = matches!(name, "alice" | "bob" | "carol@other.example" | "ü")
            || numbered.is_some_and(|n: u32| n < 2000);
        match name {
            "broken" => Err(DirectoryError::new("the directory is away")),
            _ if known => Ok(Some(Entry {
                account_name: name.to_owned(),
                password: None,
            })),
            _ => Ok(None),
        }
    }
}

/// A running front.
pub(crate) struct Rig {
    pub(crate) mail: Mail,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) meta_faults: Faults,
    pub(crate) blob_faults: Faults,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) shutdown: Shutdown,
    pub(crate) tls: Arc<Tls>,
    pub(crate) metrics: Arc<Metrics>,
    dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let domains = vec!["example.org".to_owned()];
        let settings = Settings {
            domains,
            hostname: "mx.test".to_owned(),
            ..Settings::default()
        };
        Self::with(
            settings,
            Options {
                max_message_bytes: 100_000,
                ..Options::default()
            },
        )
        .await
    }

    pub(crate) async fn with(settings: Settings, options: Options) -> Self {
        let (meta_faults, blob_faults) = (Faults::new(), Faults::new());
        let meta = Arc::new(FaultMeta::new(MemoryMeta::new(), meta_faults.clone()));
        let blobs = MemoryBlobs::new();
        let faulty = Arc::new(FaultBlobs::new(blobs.clone(), blob_faults.clone()));
        let mail = Mail::open(meta, faulty, options)
            .await
            .expect("a fresh store");
        for name in ["alice", "bob"] {
            mail.ensure_account(name).await.expect("an account");
        }
        let auth = Arc::new(Auth::new(vec![Arc::new(Users)], auth::Options::default()));
        let metrics = Metrics::new("test");
        let front = Lmtp::new(Deps {
            mail: mail.clone(),
            auth,
            settings,
            metrics: lmtp::front_metrics(&metrics),
        });
        let tls = Tls::self_signed(&["localhost"]).expect("a certificate");
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("lmtp.sock");
        let config = ListenerConfig {
            addresses: vec!["127.0.0.1:0".parse().expect("an address")],
            unix: Some(UnixPath {
                path: socket.clone(),
                mode: 0o600,
            }),
            tls: TlsMode::StartTls,
            timeouts: Timeouts::default(),
            ..ListenerConfig::default()
        };
        let listener = Listener::bind(&config, Some(Arc::clone(&tls))).expect("a free port");
        let address = listener
            .local_addrs()
            .into_iter()
            .find_map(|local| match local {
                Local::Tcp(address) => Some(address),
                Local::Unix(_) => None,
            });
        let address = address.expect("an address");
        let shutdown = Shutdown::new();
        tokio::spawn(listener.serve(front, shutdown.clone()));
        Self {
            mail,
            address,
            socket,
            meta_faults,
            blob_faults,
            blobs,
            shutdown,
            tls,
            metrics,
            dir,
        }
    }

    pub(crate) async fn account(&self, name: &str) -> Account {
        let info = self.mail.ensure_account(name).await.expect("an account");
        self.mail.account(info.id).await.expect("an account")
    }

    /// Blobs of messages: every account has one more, its note.
    pub(crate) async fn stored(&self) -> usize {
        let accounts = self.mail.list_accounts().await.expect("a list");
        self.blobs.count() - accounts.len()
    }

    /// All messages of a mailbox, prefix included.
    pub(crate) async fn messages(&self, account: &str, mailbox: &str) -> Vec<Vec<u8>> {
        let account = self.account(account).await;
        let name = MailboxName::new(mailbox).expect("a name");
        let Some(id) = account.tree().find(&name).map(|folder| folder.id) else {
            return Vec::new();
        };
        let view = account.select(id).await.expect("selected").view();
        let ids: Vec<_> = view.rows().map(|row| row.email).collect();
        let mut all = Vec::new();
        for email in account
            .emails(&ids)
            .await
            .expect("emails")
            .into_iter()
            .flatten()
        {
            let bytes = self
                .mail
                .contents(&[&email])
                .await
                .remove(0)
                .expect("content");
            all.push([&email.prefix()[..], &bytes[..]].concat());
        }
        all
    }

    pub(crate) async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        let mut client = Client::new(Box::new(stream));
        assert_eq!(client.line().await, "220 mx.test LMTP server ready");
        client
    }

    pub(crate) async fn greet(&self) -> Client {
        let mut client = self.connect().await;
        assert!(client.command("LHLO client").await.starts_with("250 "));
        client
    }

    pub(crate) async fn connect_unix(&self) -> Client {
        let stream = UnixStream::connect(&self.socket)
            .await
            .expect("a connection");
        let mut client = Client::new(Box::new(stream));
        assert!(client.line().await.starts_with("220 "));
        client
    }

    /// Ends a test: whatever happened, what is stored is sound.
    pub(crate) async fn assert_sound(&self) {
        self.meta_faults.heal();
        self.blob_faults.heal();
        let problems = self.mail.check(true).await.expect("a readable store");
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

impl Host for Rig {
    async fn connect(&mut self, _session: &str) -> std::io::Result<Stream> {
        Ok(Box::new(TcpStream::connect(self.address).await?))
    }

    async fn set_up(&mut self, verb: &str, args: &str, body: Option<&[u8]>) -> Result<(), String> {
        let (name, mailbox) = args.split_once(' ').unwrap_or((args, "INBOX"));
        match verb {
            "create" => {
                let mailbox = MailboxName::new(mailbox).map_err(|e| e.to_string())?;
                let account = self.account(name).await;
                account
                    .create(&mailbox, None)
                    .await
                    .map_err(|e| e.to_string())?;
            }
            "quota" => {
                let bytes = mailbox.parse().map_err(|_| "a number")?;
                self.mail
                    .set_quota(name, Some(bytes))
                    .await
                    .map_err(|e| e.to_string())?;
            }
            // What the mailbox holds, all messages one after the other.
            "holds" => {
                let held = self.messages(name, mailbox).await.concat();
                if held != body.unwrap_or_default() {
                    return Err(format!("{args} holds {:?}", String::from_utf8_lossy(&held)));
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
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            io: BufReader::new(stream),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("sent");
    }

    pub(crate) async fn line(&mut self) -> String {
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
        String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()
    }

    /// The last line of a reply.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await;
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    pub(crate) async fn command(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// MAIL and RCPTs, all of which must be accepted.
    pub(crate) async fn envelope(&mut self, recipients: &[&str]) {
        assert!(
            self.command("MAIL FROM:<s@example.net>")
                .await
                .starts_with("250 2.1.0")
        );
        for recipient in recipients {
            let reply = self.command(&format!("RCPT TO:<{recipient}>")).await;
            assert!(reply.starts_with("250 2.1.5"), "{recipient}: {reply}");
        }
    }

    /// DATA with octets as they go over the wire, end included.
    pub(crate) async fn data(&mut self, wire: &[u8]) -> String {
        assert!(self.command("DATA").await.starts_with("354 "));
        self.send(wire).await;
        self.reply().await
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
}
