//! The running server: from a configuration to listening sockets, and down again.

use crate::admin::Tools;
use crate::backends::Backends;
use crate::config::{Cleartext, Config, Directory};
use crate::control;
use crate::directory::{StoreAppPasswords, StoreDirectory};
use crate::failure::Failure;
use crate::http;
use crate::signals::{Signals, Wish};
use crate::trim;
use auth::{Auth, CleartextPolicy, PasswdFile};
use mail::Mail;
use net::{Listener, ListenerConfig, Metrics, Shutdown, Tls, TlsMode, UnixPath};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long sessions may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// How often it is written down what was read; the last logins are, every twelfth time.
const NOTES: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(config: Config) -> Result<(), Failure> {
    let tls = match &config.tls {
        Some(tls) => Some(
            Tls::load(&tls.certificate, &tls.private_key)
                .map_err(|error| Failure::refused(error.to_string()))?,
        ),
        None => None,
    };
    serve_with(config, tls, async |_| Ok(())).await
}

/// The same with a given certificate; `prepared` sees the engine before the doors open.
pub(crate) async fn serve_with(
    config: Config,
    tls: Option<Arc<Tls>>,
    prepared: impl AsyncFnOnce(&Mail) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Ten thousand idle clients are ten thousand descriptors. Refusal leaves the default limit.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut signals = Signals::listen()?;
    let doors = Doors::bind(&config, tls.clone()).await?;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let backends = Arc::new(Backends::open(&config, metrics.clone()).await?);
    let mail = backends.engine(config.mail_options()).await?;
    let auth = Auth::new(directories(&config, &mail)?, auth::Options::default());
    let auth = Arc::new(auth.with_app_passwords(Arc::new(StoreAppPasswords(mail.clone()))));
    let tools = Tools {
        mail: mail.clone(),
        auth: Some(auth.clone()),
        backends: backends.clone(),
    };
    control::listen(tools)?;
    prepared(&mail).await?;
    let shutdown = Shutdown::new();
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().watch(shutdown.token()));
    }
    let every = Duration::from_secs(config.storage.sweep_seconds);
    tokio::spawn(clean(mail.clone(), backends.clone(), every));
    tokio::spawn(write_notes(mail.clone()));
    tokio::spawn(trim::now_and_then(backends.packs.clone()));
    let shared = Shared {
        config: &config,
        metrics,
        mail: mail.clone(),
        auth,
        backends,
    };
    doors.open(&shared, &shutdown);
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => reload(tls.as_deref()),
        }
    }
    tracing::info!("stopping");
    shutdown.start();
    let left = shutdown.drain(DRAIN).await;
    if left > 0 {
        tracing::warn!(left, "sessions were cut off");
    }
    mail.close().await?;
    tracing::info!("stopped");
    Ok(())
}

fn reload(tls: Option<&Tls>) {
    // Password files are read anew whenever they change; certificates too, but the operator need
    // not wait.
    match tls.map(Tls::reload) {
        Some(Err(error)) => tracing::error!(%error, "certificate not reloaded"),
        _ => tracing::info!("reloaded"),
    }
}

/// Removes, now and then, what nobody can reach any more.
async fn clean(mail: Mail, backends: Arc<Backends>, every: Duration) {
    let mut pause = tokio::time::interval(every);
    pause.tick().await;
    loop {
        pause.tick().await;
        if let Err(error) = mail.sweep().await {
            tracing::warn!(%error, "sweep");
        }
        // What went wrong is in the log, in metrics and in health.
        let _ = backends.collect().await;
    }
}

/// Writes down, now and then, what no command waits for.
async fn write_notes(mail: Mail) {
    let mut pause = tokio::time::interval(NOTES);
    for round in 0u32.. {
        pause.tick().await;
        if let Err(error) = mail.write_history().await {
            tracing::warn!(%error, "history not written");
        }
        if round % 12 == 11
            && let Err(error) = mail.write_uses().await
        {
            tracing::warn!(%error, "last logins not written");
        }
    }
}

fn directories(config: &Config, mail: &Mail) -> Result<Vec<Arc<dyn auth::Directory>>, Failure> {
    let store = || -> Arc<dyn auth::Directory> { Arc::new(StoreDirectory(mail.clone())) };
    if config.auth.directory.is_empty() {
        return Ok(vec![store()]);
    }
    let mut directories = Vec::new();
    for directory in &config.auth.directory {
        directories.push(match directory {
            Directory::Store => store(),
            Directory::PasswdFile { path } => {
                let file = PasswdFile::open(path)
                    .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
                for problem in file.problems() {
                    tracing::warn!(path = %path.display(), ?problem, "line skipped");
                }
                Arc::new(file) as Arc<dyn auth::Directory>
            }
        });
    }
    Ok(directories)
}

/// What every front needs.
struct Shared<'a> {
    config: &'a Config,
    metrics: Arc<Metrics>,
    mail: Mail,
    auth: Arc<Auth>,
    backends: Arc<Backends>,
}

/// Every socket, bound but not yet accepting.
struct Doors {
    imap: Vec<(&'static str, Listener)>,
    pop3: Vec<(&'static str, Listener)>,
    lmtp: Vec<(&'static str, Listener)>,
    http: Vec<TcpListener>,
}

impl Doors {
    async fn bind(config: &Config, tls: Option<Arc<Tls>>) -> Result<Self, Failure> {
        let (imap, pop3, lmtp) = (&config.imap, &config.pop3, &config.lmtp);
        let plain = if tls.is_some() {
            TlsMode::StartTls
        } else {
            TlsMode::None
        };
        let tcp = |name, addresses: &[SocketAddr], mode, max, per_ip| {
            let settings = ListenerConfig {
                addresses: addresses.to_vec(),
                tls: mode,
                max_connections: max,
                max_connections_per_ip: per_ip,
                ..ListenerConfig::default()
            };
            bind(name, &settings, &tls)
        };
        let (max, per_ip) = (imap.max_connections, imap.max_connections_per_ip);
        let imap = vec![
            tcp("imap", &imap.listen, plain, max, per_ip)?,
            tcp("imap-tls", &imap.listen_tls, TlsMode::Implicit, max, per_ip)?,
        ];
        let (max, per_ip) = (pop3.max_connections, pop3.max_connections_per_ip);
        let pop3 = vec![
            tcp("pop3", &pop3.listen, plain, max, per_ip)?,
            tcp("pop3-tls", &pop3.listen_tls, TlsMode::Implicit, max, per_ip)?,
        ];
        let mode = lmtp.mode().map_err(Failure::refused)?;
        let lmtp = ListenerConfig {
            addresses: lmtp.listen.clone(),
            unix: lmtp.socket.clone().map(|path| UnixPath { path, mode }),
            tls: plain,
            max_connections: lmtp.max_connections,
            max_connections_per_ip: lmtp.max_connections,
            ..ListenerConfig::default()
        };
        Ok(Self {
            imap,
            pop3,
            lmtp: vec![bind("lmtp", &lmtp, &tls)?],
            http: http::bind(&config.http.listen).await?,
        })
    }

    /// Starts accepting and prints one line per socket.
    fn open(self, shared: &Shared<'_>, shutdown: &Shutdown) {
        let (config, metrics) = (shared.config, &shared.metrics);
        let cleartext = match config.auth.cleartext {
            Cleartext::Never => CleartextPolicy::Never,
            Cleartext::Loopback => CleartextPolicy::Loopback,
            Cleartext::Always => CleartextPolicy::Always,
        };
        let front = imap::metrics(metrics);
        let imap = Arc::new(imap::Imap(Arc::new(imap::Deps {
            mail: shared.mail.clone(),
            auth: shared.auth.clone(),
            counters: imap::Counters::new(&front),
            metrics: front,
            operators: imap::Operators {
                administrators: config.imap.administrators.clone(),
                submitters: config.imap.submitters.clone(),
                contact: config.imap.contact.clone(),
                warn_of_mixed_use: config.imap.mixed_use_alert,
            },
            limits: imap::Limits {
                message_limit: NonZeroU32::new(config.imap.message_limit),
                save_limit: NonZeroU32::new(config.imap.save_limit),
                ..imap::Limits::default()
            },
            memory: imap::Memory::new(config.imap.memory_bytes),
            hostname: config.hostname.clone(),
            cleartext,
        })));
        let pop3 = pop3::Pop3::new(pop3::Deps {
            mail: shared.mail.clone(),
            auth: shared.auth.clone(),
            settings: config.pop3.settings(&config.hostname, cleartext),
            metrics: pop3::front_metrics(metrics),
        });
        let lmtp = lmtp::Lmtp::new(lmtp::Deps {
            mail: shared.mail.clone(),
            auth: shared.auth.clone(),
            settings: lmtp::Settings {
                hostname: config.hostname.clone(),
                domains: config.lmtp.domains.clone(),
                over_quota_temporary: config.lmtp.over_quota == crate::config::OverQuota::Defer,
                create_folders: config.lmtp.create_folders,
                duplicate_days: config.lmtp.duplicate_days,
                memory_bytes: config.lmtp.memory_bytes,
                ..lmtp::Settings::default()
            },
            metrics: lmtp::front_metrics(metrics),
        });
        let rooms = vec![
            (REFUSED, "imap", imap.0.memory.receiving.clone()),
            (REFUSED, "lmtp", lmtp.room().clone()),
            (SLOW, "imap", imap.0.memory.sending.clone()),
            (SLOW, "pop3", pop3.room().clone()),
        ];
        start(self.imap, imap, shutdown);
        start(self.pop3, pop3, shutdown);
        start(self.lmtp, lmtp, shutdown);
        let pages = Arc::new(http::Pages {
            metrics: metrics.clone(),
            backends: shared.backends.clone(),
            mail: shared.mail.clone(),
            rooms,
            stopping: shutdown.token(),
        });
        for listener in self.http {
            if let Ok(address) = listener.local_addr() {
                println!("http listening on {address}");
            }
            tokio::spawn(http::serve(listener, pages.clone()));
        }
    }
}

/// What want of memory means where mail comes in, and where it goes out.
const REFUSED: &str = "mail was refused for a while";
const SLOW: &str = "messages went out in small pieces, or not at all, for a while";

type Bound = (&'static str, Listener);

fn bind(
    name: &'static str,
    settings: &ListenerConfig,
    tls: &Option<Arc<Tls>>,
) -> Result<Bound, Failure> {
    let tls = tls.clone().filter(|_| settings.tls != TlsMode::None);
    let listener = Listener::bind(settings, tls)
        .map_err(|error| Failure::refused(format!("{name}: {error}")))?;
    Ok((name, listener))
}

fn start(listeners: Vec<Bound>, front: Arc<dyn net::Front>, shutdown: &Shutdown) {
    for (name, listener) in listeners {
        for local in listener.local_addrs() {
            println!("{name} listening on {local}");
        }
        tokio::spawn(listener.serve(front.clone(), shutdown.clone()));
    }
}
