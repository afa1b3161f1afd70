//! The configuration file (DESIGN 8). Unknown keys are errors that name the line and the nearest
//! known key; relative paths are relative to the file.

use crate::failure::Failure;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::Role;

/// The whole file. `deploy/example.toml` shows every key with its default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The server's name in greetings; its users are local.
    #[serde(default = "local_hostname")]
    pub(crate) hostname: String,
    /// Where the mail is kept.
    pub(crate) data_dir: PathBuf,
    /// When flag changes are on stable storage.
    #[serde(default)]
    pub(crate) durability: Durability,
    pub(crate) tls: Option<Tls>,
    #[serde(default)]
    pub(crate) mail: MailSection,
    #[serde(default)]
    pub(crate) storage: Storage,
    #[serde(default)]
    pub(crate) imap: Imap,
    #[serde(default)]
    pub(crate) pop3: Pop3,
    #[serde(default)]
    pub(crate) lmtp: Lmtp,
    #[serde(default)]
    pub(crate) http: Http,
    #[serde(default)]
    pub(crate) auth: Auth,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// Within 100 ms; everything else before it is acknowledged.
    #[default]
    Relaxed,
    /// Before they are acknowledged.
    Strict,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM, the server's certificate first.
    pub(crate) certificate: PathBuf,
    /// PEM.
    pub(crate) private_key: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MailSection {
    /// Largest message, in bytes.
    pub(crate) max_message_bytes: u32,
    /// Quota of accounts without one of their own, in bytes; 0 is unlimited.
    pub(crate) quota_bytes: u64,
    /// The same for messages.
    pub(crate) quota_messages: u64,
    /// The same for mailboxes.
    pub(crate) quota_mailboxes: u64,
    /// Mailboxes of new accounts.
    pub(crate) default_mailboxes: Vec<DefaultMailbox>,
    /// Memory for mailboxes nobody has open, in bytes.
    pub(crate) view_cache_bytes: usize,
    /// Memory for what bulk reading keeps of messages, in bytes; 0: nothing.
    pub(crate) email_cache_bytes: usize,
    /// Memory for what searches keep of messages, in bytes; 0: nothing.
    pub(crate) search_cache_bytes: usize,
    /// How long expunged messages are remembered for QRESYNC, in days.
    pub(crate) remember_expunged_days: u32,
    /// How long `gatepost undelete` can bring removed messages back, in days; 0: not at all.
    pub(crate) undelete_days: u32,
    /// How long it is remembered who retrieved and removed messages, in days; 0: not at all.
    pub(crate) history_days: u32,
    /// How many entries of that an account keeps, roughly.
    pub(crate) history_entries: u32,
    /// How long expunged messages stay readable to sessions that have not been told, in hours.
    pub(crate) grace_hours: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultMailbox {
    pub(crate) name: String,
    /// A special use of RFC 6154, such as `Sent`.
    pub(crate) role: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    /// Memory for the index, in bytes.
    pub(crate) cache_bytes: u64,
    /// A pack file is closed at this size, in bytes.
    pub(crate) pack_bytes: u64,
    /// A segment of the commit log is closed at this size, in bytes.
    pub(crate) log_segment_bytes: u64,
    /// How many bytes of log the index on disk may lag behind.
    pub(crate) checkpoint_bytes: u64,
    /// After so many bytes of log a new export is written, and older log may go.
    pub(crate) export_bytes: u64,
    /// How often it is looked for what nobody needs any more, in seconds.
    pub(crate) sweep_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Imap {
    /// Cleartext; STARTTLS is offered when `[tls]` is set.
    pub(crate) listen: Vec<SocketAddr>,
    /// TLS from the first octet.
    pub(crate) listen_tls: Vec<SocketAddr>,
    /// Accounts that may set quota and annotations of the server.
    pub(crate) administrators: Vec<String>,
    /// Accounts of submission servers, which may fetch what users authorise for them (URLAUTH).
    pub(crate) submitters: Vec<String>,
    /// How users reach the administrators: a URI.
    pub(crate) contact: Option<String>,
    /// Whether users are told, once, that a POP3 client deletes from the INBOX they use.
    pub(crate) mixed_use_alert: bool,
    /// Messages one command works on (MESSAGELIMIT); 0 is any number.
    pub(crate) message_limit: u32,
    /// Messages one COPY or APPEND adds (SAVELIMIT); 0 is any number.
    pub(crate) save_limit: u32,
    /// Octets of messages being received at once, over all connections; beyond them `UNAVAILABLE`.
    /// A quarter as much again for messages being sent.
    pub(crate) memory_bytes: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pop3 {
    /// Cleartext; STLS is offered when `[tls]` is set.
    pub(crate) listen: Vec<SocketAddr>,
    /// TLS from the first octet.
    pub(crate) listen_tls: Vec<SocketAddr>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
    /// Whether RETR marks a message `\Seen`.
    pub(crate) mark_seen: bool,
    /// What DELE means, for accounts and credentials without a policy of their own.
    pub(crate) policy: types::Pop3Policy,
    /// How long an account must wait between logins, in seconds; 0: not at all.
    pub(crate) login_delay_seconds: u32,
    /// Whether a maildrop is open in one session at most.
    pub(crate) exclusive_sessions: bool,
    /// What becomes of a message with UTF-8 in its header when the client did not say UTF8.
    pub(crate) utf8_messages: Utf8Messages,
    /// The language of `LANG *`.
    pub(crate) language: Language,
    /// Octets of messages being sent at once, over all connections; beyond them each goes in small
    /// pieces.
    pub(crate) memory_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Utf8Messages {
    /// It is sent as it is.
    Send,
    /// `-ERR [UTF8]`.
    Refuse,
}

/// A language of POP3's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    En,
    Fr,
    De,
    Es,
}

impl Pop3 {
    /// The front's settings.
    pub(crate) fn settings(
        &self,
        hostname: &str,
        cleartext: auth::CleartextPolicy,
    ) -> pop3::Settings {
        pop3::Settings {
            hostname: hostname.to_owned(),
            cleartext,
            mark_seen: self.mark_seen,
            policy: self.policy.clone(),
            login_delay: Duration::from_secs(self.login_delay_seconds.into()),
            exclusive_sessions: self.exclusive_sessions,
            refuse_utf8: self.utf8_messages == Utf8Messages::Refuse,
            language: match self.language {
                Language::En => pop3::Language::English,
                Language::Fr => pop3::Language::French,
                Language::De => pop3::Language::German,
                Language::Es => pop3::Language::Spanish,
            },
            memory_bytes: self.memory_bytes,
            ..pop3::Settings::default()
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lmtp {
    pub(crate) listen: Vec<SocketAddr>,
    /// A unix socket.
    pub(crate) socket: Option<PathBuf>,
    /// Its permission bits, as an octal string.
    pub(crate) socket_mode: String,
    /// Domains, beside the hostname, whose recipients are accounts by their local part.
    pub(crate) domains: Vec<String>,
    /// What a recipient over quota is told.
    pub(crate) over_quota: OverQuota,
    /// Whether `user+Folder` makes a folder that does not exist; otherwise the message goes to
    /// INBOX.
    pub(crate) create_folders: bool,
    /// For how many days a message with a Message-ID is not delivered into the same mailbox again;
    /// 0: it is.
    pub(crate) duplicate_days: u16,
    /// Octets of messages on their way at once, over all connections; beyond them 452.
    pub(crate) memory_bytes: usize,
    pub(crate) max_connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverQuota {
    /// 552: the message goes back.
    Reject,
    /// 452: the sender tries again later.
    Defer,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// `/metrics`, `/health/live`, `/health/ready`.
    pub(crate) listen: Vec<SocketAddr>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// When passwords may cross without TLS.
    pub(crate) cleartext: Cleartext,
    /// Who knows users, asked in order; the accounts in the store if none is named.
    pub(crate) directory: Vec<Directory>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cleartext {
    Never,
    #[default]
    Loopback,
    Always,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Directory {
    /// Accounts kept in the store, by `gatepost account`.
    Store,
    /// Dovecot's format: `name:{SCHEME}hash:...`.
    PasswdFile { path: PathBuf },
}

impl Default for MailSection {
    fn default() -> Self {
        let defaults = mail::Options::default();
        let mailbox = |(name, role): &(String, Role)| DefaultMailbox {
            name: name.clone(),
            role: role.name().to_owned(),
        };
        Self {
            max_message_bytes: defaults.max_message_bytes,
            quota_bytes: 0,
            quota_messages: 0,
            quota_mailboxes: 0,
            default_mailboxes: defaults.default_mailboxes.iter().map(mailbox).collect(),
            view_cache_bytes: defaults.view_cache_bytes,
            email_cache_bytes: defaults.email_cache_bytes,
            search_cache_bytes: defaults.search_cache_bytes,
            remember_expunged_days: 90,
            undelete_days: 7,
            history_days: 30,
            history_entries: defaults.history_entries,
            grace_hours: 24,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            cache_bytes: 20 << 20,
            pack_bytes: 1 << 30,
            log_segment_bytes: 64 << 20,
            checkpoint_bytes: 64 << 20,
            export_bytes: 256 << 20,
            sweep_seconds: 600,
        }
    }
}

impl Default for Imap {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            administrators: Vec::new(),
            submitters: Vec::new(),
            contact: None,
            mixed_use_alert: false,
            message_limit: 10_000_000,
            save_limit: 1_000_000,
            memory_bytes: 512 << 20,
            max_connections: 50_000,
            max_connections_per_ip: 1000,
        }
    }
}

impl Default for Pop3 {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            max_connections: 10_000,
            max_connections_per_ip: 200,
            mark_seen: true,
            policy: types::Pop3Policy::Delete,
            login_delay_seconds: 0,
            exclusive_sessions: false,
            utf8_messages: Utf8Messages::Send,
            language: Language::En,
            memory_bytes: pop3::Settings::default().memory_bytes,
        }
    }
}

impl Default for Lmtp {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            socket: None,
            socket_mode: "0660".to_owned(),
            domains: Vec::new(),
            over_quota: OverQuota::Reject,
            create_folders: false,
            duplicate_days: 0,
            memory_bytes: lmtp::Settings::default().memory_bytes,
            max_connections: 1000,
        }
    }
}

fn local_hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// One sentence that names the file, the line and what to write instead.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::refused(format!("cannot read {}: {error}", path.display()))
        })?;
        let mut config = Self::parse(&text)
            .map_err(|sentence| Failure::refused(format!("{}: {sentence}", path.display())))?;
        let base = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        config.resolve(base.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// What `gatepost demo` serves: every door on loopback (DESIGN 8).
    pub(crate) fn demo() -> Self {
        let local = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        Self {
            hostname: "localhost".to_owned(),
            data_dir: PathBuf::new(),
            durability: Durability::default(),
            tls: None,
            mail: MailSection::default(),
            storage: Storage::default(),
            imap: Imap {
                listen: local(10143),
                listen_tls: local(10993),
                ..Imap::default()
            },
            pop3: Pop3 {
                listen: local(10110),
                listen_tls: local(10995),
                ..Pop3::default()
            },
            lmtp: Lmtp {
                listen: local(10024),
                ..Lmtp::default()
            },
            http: Http {
                listen: local(10080),
            },
            auth: Auth::default(),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| explain(text, &error))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let (imap, pop3) = (&self.imap, &self.pop3);
        if self.tls.is_none() && !(imap.listen_tls.is_empty() && pop3.listen_tls.is_empty()) {
            return Err("`listen_tls` needs a [tls] section".to_owned());
        }
        for mailbox in &self.mail.default_mailboxes {
            if Role::from_name(&mailbox.role).is_none() {
                return Err(format!("`{}` is no special use of a mailbox", mailbox.role));
            }
            types::MailboxName::new(&mailbox.name)
                .map_err(|error| format!("default mailbox `{}`: {error}", mailbox.name))?;
        }
        self.lmtp.mode()?;
        self.storage.check()?;
        // RFC 9738 3: below, clients that do not know of limits do not work.
        let limits = [imap.message_limit, imap.save_limit];
        if limits.iter().any(|limit| (1..1000).contains(limit)) {
            return Err("`message_limit` and `save_limit` are at least 1000, or 0".to_owned());
        }
        let opened = [
            &imap.listen,
            &imap.listen_tls,
            &pop3.listen,
            &pop3.listen_tls,
        ];
        if opened.iter().all(|listen| listen.is_empty())
            && self.lmtp.listen.is_empty()
            && self.lmtp.socket.is_none()
        {
            return Err("no door is open: set `listen` in [imap], [pop3] or [lmtp]".to_owned());
        }
        Ok(())
    }

    fn resolve(&mut self, base: &Path) {
        self.data_dir = base.join(&self.data_dir);
        if let Some(tls) = &mut self.tls {
            tls.certificate = base.join(&tls.certificate);
            tls.private_key = base.join(&tls.private_key);
        }
        if let Some(socket) = &mut self.lmtp.socket {
            *socket = base.join(&*socket);
        }
        for directory in &mut self.auth.directory {
            if let Directory::PasswdFile { path } = directory {
                *path = base.join(&*path);
            }
        }
    }

    /// The engine's settings.
    pub(crate) fn mail_options(&self) -> mail::Options {
        let section = &self.mail;
        let role = |mailbox: &DefaultMailbox| {
            Some((mailbox.name.clone(), Role::from_name(&mailbox.role)?))
        };
        let limit = |n: u64| (n > 0).then_some(n);
        mail::Options {
            max_message_bytes: section.max_message_bytes,
            view_cache_bytes: section.view_cache_bytes,
            email_cache_bytes: section.email_cache_bytes,
            search_cache_bytes: section.search_cache_bytes,
            default_mailboxes: section.default_mailboxes.iter().filter_map(role).collect(),
            default_limits: mail::QuotaLimits {
                bytes: limit(section.quota_bytes),
                messages: limit(section.quota_messages),
                mailboxes: limit(section.quota_mailboxes),
            },
            strict: self.durability == Durability::Strict,
            remember_expunged_seconds: i64::from(section.remember_expunged_days) * 86_400,
            undelete_seconds: i64::from(section.undelete_days) * 86_400,
            history_seconds: i64::from(section.history_days) * 86_400,
            history_entries: section.history_entries,
            grace_seconds: i64::from(section.grace_hours) * 3600,
        }
    }
}

impl Storage {
    /// Below these bounds files would be made and dropped all the time.
    fn check(&self) -> Result<(), String> {
        for (name, bytes, least) in [
            ("pack_bytes", self.pack_bytes, 64 << 10),
            ("log_segment_bytes", self.log_segment_bytes, 64 << 10),
            ("checkpoint_bytes", self.checkpoint_bytes, 16 << 10),
            ("export_bytes", self.export_bytes, 64 << 10),
            ("sweep_seconds", self.sweep_seconds, 1),
        ] {
            if bytes < least {
                return Err(format!("`{name}` is at least {least}"));
            }
        }
        Ok(())
    }
}

impl Lmtp {
    /// The socket's permission bits.
    pub(crate) fn mode(&self) -> Result<u32, String> {
        u32::from_str_radix(&self.socket_mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| {
                format!(
                    "`socket_mode` is an octal string, not `{}`",
                    self.socket_mode
                )
            })
    }
}

/// A parser's error as one sentence: the line, what is wrong, and the nearest key that would be
/// right.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| {
        text.as_bytes()[..span.start.min(text.len())]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1
    });
    let message = error.message();
    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(wrong) = names.next()
    {
        let nearest = names.max_by(|a, b| {
            strsim::jaro_winkler(a, wrong).total_cmp(&strsim::jaro_winkler(b, wrong))
        });
        return match nearest {
            Some(nearest) => format!("{place}unknown key `{wrong}`; did you mean `{nearest}`?"),
            None => format!("{place}unknown key `{wrong}`"),
        };
    }
    format!("{place}{}", message.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/example.toml");

    #[test]
    fn the_example_parses_and_mentions_every_key() {
        Config::parse(EXAMPLE).unwrap();
        let source = include_str!("config.rs");
        let fields = source.lines().filter_map(|line| {
            let field = line.trim().strip_prefix("pub(crate) ")?;
            let (name, _) = field.split_once(": ")?;
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
                .then_some(name)
        });
        let mut count = 0;
        for name in fields {
            assert!(
                EXAMPLE.contains(name),
                "deploy/example.toml does not mention `{name}`"
            );
            count += 1;
        }
        assert!(count > 30, "only {count} keys found in config.rs");
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_known_one() {
        let error = Config::parse("data_dir = \"x\"\n[imap]\nlisten_tsl = []\n").unwrap_err();
        assert_eq!(
            error,
            "line 3: unknown key `listen_tsl`; did you mean `listen_tls`?"
        );
        let error = Config::parse("data_dri = \"x\"\n").unwrap_err();
        assert_eq!(
            error,
            "line 1: unknown key `data_dri`; did you mean `data_dir`?"
        );
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (text, want) in [
            ("data_dir = 3", "line 1: invalid type"),
            ("data_dir = \"x\"", "no door is open"),
            (
                "data_dir = \"x\"\n[imap]\nlisten_tls = [\"127.0.0.1:0\"]",
                "needs a [tls] section",
            ),
            (
                "data_dir = \"x\"\n[imap]\nlisten = [\"nonsense\"]",
                "line 3: ",
            ),
            (
                "data_dir = \"x\"\n[lmtp]\nsocket = \"s\"\nsocket_mode = \"9\"",
                "octal",
            ),
            ("hostname = \"x\"", "missing field `data_dir`"),
            (
                "data_dir = \"x\"\n[imap]\nsave_limit = 999",
                "at least 1000",
            ),
            (
                "data_dir = \"x\"\n[[auth.directory]]\nkind = \"ldap\"",
                "line 3: unknown variant",
            ),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
