//! An engine in memory with one user, and a session over it in this thread.

use auth::{Auth, Directory, DirectoryError, Entry};
use bytes::Bytes;
use mail::{Account, Mail, NewMessage, Options, Provenance};
use net::{Conn, Context, Front, FrontMetrics, Metrics, Peer, Shutdown, Timeouts, Wire};
use std::sync::Arc;
use std::time::Duration;
use storage::{MemoryBlobs, MemoryMeta};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use types::{Flags, MailboxName, Role};

/// How long one input may take, all in all.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most a session may answer to one input.
const MAX_ANSWER: u64 = 64 << 20;

/// Messages every session finds in INBOX.
const MESSAGES: [&str; 3] = [
    "From: a@example.org\r\nTo: b@example.org\r\nSubject: one\r\nMessage-ID: <1@x>\r\n\r\nhello\r\n",
    "Subject: Re: one\r\nIn-Reply-To: <1@x>\r\nMIME-Version: 1.0\r\n\
     Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n\
     Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--b\r\n\
     Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n",
    "\x00\n\n.\r\n..\r",
];

/// An engine with the account alice, password secret.
pub(crate) struct World {
    pub(crate) mail: Mail,
    pub(crate) auth: Arc<Auth>,
    pub(crate) metrics: Arc<Metrics>,
}

struct Alice;

#[async_trait::async_trait]
impl Directory for Alice {
    fn kind(&self) -> &'static str {
        "fuzz"
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, DirectoryError> {
        Ok((name == "alice").then(|| Entry {
            account_name: name.to_owned(),
            password: Some("{PLAIN}secret".to_owned()),
        }))
    }
}

impl World {
    /// A new one, the same every time.
    pub(crate) async fn new() -> Self {
        let options = Options {
            max_message_bytes: 100_000,
            default_mailboxes: vec![("Trash".to_owned(), Role::Trash)],
            ..Options::default()
        };
        let stores = (Arc::new(MemoryMeta::new()), Arc::new(MemoryBlobs::new()));
        let mail = Mail::open(stores.0, stores.1, options)
            .await
            .expect("an engine");
        let world = Self {
            mail,
            auth: Arc::new(Auth::new(
                vec![Arc::new(Alice)],
                auth::Options {
                    failure_delay: Duration::ZERO,
                    ..Default::default()
                },
            )),
            metrics: Metrics::new("fuzz"),
        };
        let account = world.account().await;
        let inbox = account
            .tree()
            .find(&MailboxName::inbox())
            .expect("INBOX")
            .id;
        for text in MESSAGES {
            let bytes = Bytes::from_static(text.as_bytes());
            let content = world
                .mail
                .ingest(bytes, &Provenance::default())
                .await
                .expect("room");
            let message = NewMessage {
                content,
                prefix: Bytes::new(),
                flags: Flags::NONE,
                keywords: Vec::new(),
                internal_date: Some(1_000_000_000),
            };
            account
                .append(inbox, vec![message])
                .await
                .expect("appended");
        }
        world
    }

    async fn account(&self) -> Account {
        let info = self.mail.ensure_account("alice").await.expect("an account");
        self.mail.account(info.id).await.expect("an account")
    }

    /// Says `input` to a session of `front` and returns all it answered; the store is sound then.
    pub(crate) async fn talk<F: Front>(
        &self,
        front: Arc<F>,
        metrics: Arc<FrontMetrics>,
        input: &[u8],
    ) -> Vec<u8> {
        let (near, far) = UnixStream::pair().expect("two sockets");
        let shutdown = Shutdown::new();
        let wire = Wire::new(
            Conn::unix(far),
            metrics,
            shutdown.token(),
            Timeouts::default(),
        );
        let context = Context {
            session: 1,
            peer: Peer::Unix,
            starttls: None,
            shutdown: shutdown.token(),
        };
        let serving = tokio::spawn(front.serve(wire, context));
        let (answers, mut questions) = near.into_split();
        let mut said = Vec::new();
        let hear = async {
            let mut answers = answers.take(MAX_ANSWER);
            // A session that hangs up early is within its rights.
            let _ = answers.read_to_end(&mut said).await;
        };
        let say = async {
            let _ = questions.write_all(input).await;
            let _ = questions.shutdown().await;
        };
        let done = tokio::time::timeout(PATIENCE, async { tokio::join!(say, hear) }).await;
        assert!(done.is_ok(), "the session hangs");
        serving.await.expect("the session does not panic");
        let problems = self.account().await.check(true).await.expect("a check");
        assert!(problems.is_empty(), "{problems:?}");
        self.mail.close().await.expect("a closed engine");
        said
    }
}

/// Runs to the end in this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
