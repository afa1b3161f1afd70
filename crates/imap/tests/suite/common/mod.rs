//! A front on loopback over the in-memory stores, with account alice, password secret.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use auth::{Auth, CleartextPolicy, Directory, DirectoryError, Entry};
use imap::{Counters, Deps, Imap, Limits};
use mail::{Account, Mail, NewMessage, Options, Provenance, QuotaLimits};
use net::{Listener, ListenerConfig, Local, Metrics, Shutdown, Tls, TlsMode};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use storage::{BlobStore, Faults, MemoryBlobs, MemoryMeta, MetaStore};
use testkit::Zlib;
use testkit::dialogue::{Host, Script, Stream, run};
use testkit::grammar::Checked;
use types::{Flags, Keyword, MailboxName, Role};

/// What a server is made of, before it is started.
pub struct Setup {
    pub meta: Arc<dyn MetaStore>,
    pub blobs: Arc<dyn BlobStore>,
    pub cleartext: CleartextPolicy,
    pub tls: Option<Arc<Tls>>,
    pub listener: ListenerConfig,
    pub limits: Limits,
    pub memory: imap::Memory,
    pub max_message_bytes: u32,
    pub search_cache_bytes: usize,
    pub quota: Option<u64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            meta: Arc::new(MemoryMeta::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            cleartext: CleartextPolicy::Always,
            tls: None,
            listener: ListenerConfig {
                addresses: vec![([127, 0, 0, 1], 0).into()],
                ..Default::default()
            },
            limits: Limits::default(),
            memory: imap::Memory::default(),
            max_message_bytes: 100_000,
            search_cache_bytes: 1 << 20,
            quota: None,
        }
    }
}

/// A running front.
pub struct Server {
    pub mail: Mail,
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub metrics: Arc<Metrics>,
    /// What `! break` switches on and `! heal` off.
    pub faults: Option<Faults>,
}

struct OneUser;

#[async_trait::async_trait]
impl Directory for OneUser {
    fn kind(&self) -> &'static str {
        "test"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        Ok(matches!(name, "alice" | "bob" | "submit").then(|| Entry {
            account_name: name.to_owned(),
            password: Some("{PLAIN}secret".to_owned()),
        }))
    }
}

impl Setup {
    pub async fn start(mut self) -> Server {
        let options = Options {
            max_message_bytes: self.max_message_bytes,
            search_cache_bytes: self.search_cache_bytes,
            default_mailboxes: vec![
                ("Drafts".to_owned(), Role::Drafts),
                ("Trash".to_owned(), Role::Trash),
            ],
            default_limits: QuotaLimits {
                bytes: self.quota,
                ..QuotaLimits::default()
            },
            ..Options::default()
        };
        let mail = Mail::open(self.meta, self.blobs, options)
            .await
            .expect("an engine over empty stores");
        let metrics = Metrics::new("test");
        let front = imap::metrics(&metrics);
        let auth_options = auth::Options {
            failure_delay: std::time::Duration::ZERO,
            ..Default::default()
        };
        let deps = Deps {
            operators: imap::Operators {
                administrators: vec!["bob".to_owned()],
                submitters: vec!["submit".to_owned()],
                contact: Some("mailto:postmaster@test.example".to_owned()),
                warn_of_mixed_use: false,
            },
            mail: mail.clone(),
            auth: Arc::new(Auth::new(vec![Arc::new(OneUser)], auth_options)),
            counters: Counters::new(&front),
            metrics: front,
            limits: self.limits,
            memory: self.memory,
            hostname: "test.example".to_owned(),
            cleartext: self.cleartext,
        };
        if self.tls.is_some() {
            self.listener.tls = TlsMode::StartTls;
        }
        let listener = Listener::bind(&self.listener, self.tls).expect("a free port");
        let Some(Local::Tcp(address)) = listener.local_addrs().into_iter().next() else {
            panic!("no TCP address");
        };
        let shutdown = Shutdown::new();
        tokio::spawn(listener.serve(Arc::new(Imap(Arc::new(deps))), shutdown.clone()));
        Server {
            mail,
            address,
            shutdown,
            metrics,
            faults: None,
        }
    }
}

/// Runs a script against `server`, then checks the store.
pub async fn dialogue(server: &mut Server, text: &str) {
    let script = Script::parse("inline", text).expect("a script");
    run(&script, server)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(server.problems().await, Vec::<String>::new());
}

impl Server {
    pub async fn account(&self, name: &str) -> Account {
        let info = self.mail.ensure_account(name).await.expect("an account");
        self.mail.account(info.id).await.expect("an account")
    }

    /// Appends `body` to a mailbox of alice; `args`: `mailbox [flag ...]`.
    async fn append(&self, args: &str, body: &[u8]) -> Result<(), String> {
        let mut words = args.split_whitespace();
        let name = MailboxName::new(words.next().unwrap_or("INBOX")).map_err(|e| e.to_string())?;
        let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
        for word in words {
            match Flags::from_name(word) {
                Some(flag) => flags = flags.union(flag),
                None => keywords.push(Keyword::new(word).map_err(|e| e.to_string())?),
            }
        }
        let account = self.account("alice").await;
        let id = account.tree().find(&name).ok_or("no such mailbox")?.id;
        let origin = Provenance {
            owners: vec![(account.id(), name.to_string())],
            internal_date: 837_596_665,
            ..Provenance::default()
        };
        let body = bytes::Bytes::copy_from_slice(body);
        let content = self
            .mail
            .ingest(body, &origin)
            .await
            .map_err(|e| e.to_string())?;
        let message = NewMessage {
            content,
            prefix: bytes::Bytes::new(),
            flags,
            keywords,
            internal_date: Some(origin.internal_date),
        };
        account
            .append(id, vec![message])
            .await
            .map(drop)
            .map_err(|e| e.to_string())
    }

    /// The value of a series, by its full name; 0 if it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let text = String::from_utf8(self.metrics.render()).expect("text");
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// Every broken invariant of the store.
    pub async fn problems(&self) -> Vec<String> {
        self.mail.check(true).await.expect("a readable store")
    }
}

/// `!` lines: `append mailbox [flag ...]` with a body; `fill n`: n small messages into INBOX;
/// `break` and `heal`: the store fails as [`Server::faults`] says, or not; `shutdown`.
impl Host for Server {
    async fn connect(&mut self, _session: &str) -> io::Result<Stream> {
        let stream = tokio::net::TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(Checked::new(Zlib::new(stream))))
    }

    async fn set_up(&mut self, verb: &str, args: &str, body: Option<&[u8]>) -> Result<(), String> {
        match verb {
            "append" => {
                self.append(args, body.unwrap_or(b"Subject: test\r\n\r\nHello.\r\n"))
                    .await
            }
            "fill" => {
                for n in 1..=args.trim().parse::<u32>().map_err(|e| e.to_string())? {
                    self.append(
                        "INBOX",
                        format!("Subject: message {n}\r\n\r\nBody {n}.\r\n").as_bytes(),
                    )
                    .await?;
                }
                Ok(())
            }
            "break" | "heal" => {
                let faults = self.faults.as_ref().ok_or("no faults prepared")?;
                faults.switch(verb == "break");
                Ok(())
            }
            "shutdown" => {
                self.shutdown.start();
                Ok(())
            }
            _ => Err("unknown verb".to_owned()),
        }
    }
}
