//! The `gatepost` binary as a test sees it: a child process on loopback with its own directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use crate::{certificate, programs};

/// How long a start (recovery included) and a clean stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The password of every account of [`Settings::default`].
pub const PASSWORD: &str = "pass";

/// What differs between the servers of different tests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name and password; written to a passwd-file as `{PLAIN}`, so that no test pays for a hash.
    pub accounts: Vec<(String, String)>,
    /// A self-signed certificate, and TLS listeners beside the others.
    pub tls: bool,
    /// More lines before the first table.
    pub head: String,
    /// More lines of `[imap]`.
    pub imap: String,
    /// More lines of `[pop3]`.
    pub pop3: String,
    /// More lines of `[lmtp]`.
    pub lmtp: String,
    /// More TOML tables, appended to the configuration.
    pub extra: String,
    /// A command before the binary's path, such as `strace` with its options.
    pub wrapper: Vec<String>,
    /// Where the data lie; in the server's own directory when `None`.
    pub data_dir: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let accounts = ["alice", "bob", "carol"];
        Self {
            accounts: accounts
                .map(|name| (name.to_owned(), PASSWORD.to_owned()))
                .to_vec(),
            tls: false,
            head: String::new(),
            imap: String::new(),
            pop3: String::new(),
            lmtp: String::new(),
            extra: String::new(),
            wrapper: Vec::new(),
            data_dir: None,
        }
    }
}

/// A running server. Dropping it kills the process and removes its directory.
pub struct Server {
    binary: PathBuf,
    settings: Settings,
    dir: TempDir,
    child: Option<Child>,
    environment: BTreeMap<String, String>,
    sockets: BTreeMap<String, SocketAddr>,
}

impl Server {
    /// Starts `binary` with accounts `alice`, `bob` and `carol`, no TLS.
    #[must_use]
    pub fn start(binary: impl AsRef<Path>) -> Self {
        Self::with(binary, Settings::default())
    }

    /// Starts `binary` with these settings and waits until every socket listens.
    #[must_use]
    pub fn with(binary: impl AsRef<Path>, settings: Settings) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("gatepost-")
            .tempdir()
            .expect("a temp directory");
        let mut server = Self {
            binary: binary.as_ref().to_owned(),
            settings,
            dir,
            child: None,
            environment: BTreeMap::new(),
            sockets: BTreeMap::new(),
        };
        server.write_configuration();
        server.start_again();
        server
    }

    /// Starts the process on the directory as it is, after [`Server::kill`] or
    /// [`Server::terminate`]. Ports change.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start_again(&mut self) {
        self.try_start_again().unwrap_or_else(|why| panic!("{why}"));
    }

    /// The same for a server that may not be able to start.
    ///
    /// # Errors
    /// Why it did not get ready, with its log.
    pub fn try_start_again(&mut self) -> Result<(), String> {
        self.spawn();
        self.wait_until_ready()
    }

    /// The next start is on these data.
    pub fn set_data_dir(&mut self, dir: PathBuf) {
        self.settings.data_dir = Some(dir);
        self.write_configuration();
    }

    /// The next start has this variable in its environment.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// The time of day of the next start is this far from the true one, such as `-365d`; the
    /// monotonic clock is not touched.
    ///
    /// # Panics
    /// When libfaketime is not installed.
    pub fn set_clock(&mut self, offset: &str) {
        self.set_environment("LD_PRELOAD", &programs::faketime());
        self.set_environment("FAKETIME", offset);
        self.set_environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Starts the process and does not wait until it is ready.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the server is already running");
        let out = File::create(self.file("stdout")).expect("a file in the temp directory");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.file("log"));
        let mut words = self.settings.wrapper.iter().map(std::ffi::OsStr::new);
        let binary = self.binary.as_os_str();
        let mut command = Command::new(words.next().unwrap_or(binary));
        command.args(words);
        if !self.settings.wrapper.is_empty() {
            command.arg(binary);
        }
        command.args(["serve", "--config"]).arg(self.config());
        command.stdin(Stdio::null()).stdout(out);
        command.stderr(log.expect("a file in the temp directory"));
        command.envs(&self.environment);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        self.child = Some(child);
    }

    /// `kill -9`; returns when the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone is as good as killed.
            let _ = child.kill();
            child.wait().expect("our own child");
            self.forget_clock(child.id());
        }
    }

    /// Removes what libfaketime leaves of a process.
    fn forget_clock(&self, id: u32) {
        if self.environment.contains_key("FAKETIME") {
            for name in [
                format!("faketime_shm_{id}"),
                format!("sem.faketime_sem_{id}"),
            ] {
                let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
            }
        }
    }

    /// SIGTERM; returns the exit status.
    ///
    /// # Panics
    /// When the process does not stop within a minute.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut child = self.child.take().expect("a running server");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("our own child") {
                self.forget_clock(child.id());
                return status;
            }
            if Instant::now() > until {
                let _ = child.kill();
                panic!(
                    "SIGTERM did not stop the server within {PATIENCE:?}\n{}",
                    self.log()
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal, such as SIGHUP.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("a signal to our own child");
    }

    fn process(&self) -> Pid {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        pid.expect("a process id")
    }

    /// Lets the process have so many octets more than it has now, for data of its own
    /// (`RLIMIT_DATA`). The next start knows no such limit.
    pub fn limit_memory(&self, more: u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("our own child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let most = (kib.expect("VmData in KiB") << 10) + more;
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        prlimit(Some(self.process()), Resource::Data, limit).expect("a limit of our own child");
    }

    /// Whether the process has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut().expect("a server that was started");
        child.try_wait().expect("our own child").is_none()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Runs the binary with other arguments, `--config FILE` added, and `input` on standard input.
    #[must_use]
    pub fn cli(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(&self.binary);
        command.args(args).arg("--config").arg(self.config());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("piped above");
        // A command that reads no input may close it first.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("our own child")
    }

    /// Where a listener listens: `imap`, `imap-tls`, `pop3`, `pop3-tls`, `lmtp`, `http`.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self
            .sockets
            .get(listener)
            .unwrap_or_else(|| panic!("no listener `{listener}`"))
    }

    /// The cleartext IMAP listener.
    #[must_use]
    pub fn imap(&self) -> SocketAddr {
        self.address("imap")
    }

    /// The cleartext POP3 listener.
    #[must_use]
    pub fn pop3(&self) -> SocketAddr {
        self.address("pop3")
    }

    /// The LMTP listener.
    #[must_use]
    pub fn lmtp(&self) -> SocketAddr {
        self.address("lmtp")
    }

    /// The HTTP listener of metrics and health.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.address("http")
    }

    /// The LMTP unix socket.
    #[must_use]
    pub fn lmtp_socket(&self) -> PathBuf {
        self.file("lmtp.sock")
    }

    /// The server's data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        let own = || self.file("data");
        self.settings.data_dir.clone().unwrap_or_else(own)
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.file("gatepost.toml")
    }

    /// A path in the server's directory; tests may put files of their own there.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the server has logged so far, all starts together.
    #[must_use]
    pub fn log(&self) -> String {
        tail(&self.file("log"), 64 * 1024)
    }

    fn listeners(&self) -> Vec<&'static str> {
        let mut all = vec!["imap", "pop3", "lmtp", "http"];
        if self.settings.tls {
            all.extend(["imap-tls", "pop3-tls"]);
        }
        all
    }

    fn write_configuration(&self) {
        let mut users = String::new();
        for (name, password) in &self.settings.accounts {
            // Dovecot's passwd-file: name:{SCHEME}hash:uid:gid:gecos:home:shell:extra
            let _ = writeln!(users, "{name}:{{PLAIN}}{password}::::::");
        }
        let (tls, imap_tls, pop3_tls) = if self.settings.tls {
            certificate::write(self.dir.path()).expect("files in the temp directory");
            (
                "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n",
                "listen_tls = [\"127.0.0.1:0\"]\n",
                "listen_tls = [\"127.0.0.1:0\"]\n",
            )
        } else {
            ("", "", "")
        };
        let Settings {
            head,
            imap,
            pop3,
            lmtp,
            extra,
            ..
        } = &self.settings;
        let data = self.data_dir();
        let config = format!(
            "hostname = \"mail.example.org\"\n\
             data_dir = {data:?}\n\
             {head}\n\
             {tls}\
             [imap]\nlisten = [\"127.0.0.1:0\"]\n{imap_tls}{imap}\n\
             [pop3]\nlisten = [\"127.0.0.1:0\"]\n{pop3_tls}{pop3}\n\
             [lmtp]\nlisten = [\"127.0.0.1:0\"]\nsocket = \"lmtp.sock\"\n{lmtp}\n\
             [http]\nlisten = [\"127.0.0.1:0\"]\n\
             [auth]\ncleartext = \"loopback\"\n\
             [[auth.directory]]\nkind = \"store\"\n\
             [[auth.directory]]\nkind = \"passwd-file\"\npath = \"users\"\n\
             {extra}"
        );
        std::fs::write(self.file("users"), users).expect("a file in the temp directory");
        std::fs::write(self.config(), config).expect("a file in the temp directory");
    }

    /// Reads standard output until each listener has said where it listens.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let wanted = self.listeners();
        loop {
            let said = tail(&self.file("stdout"), 64 * 1024);
            self.sockets = said.lines().filter_map(listening).collect();
            if wanted.iter().all(|name| self.sockets.contains_key(*name)) {
                return Ok(());
            }
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            let late = Instant::now() > until;
            if ended.is_some() || late {
                let why = ended.map_or("is not ready".to_owned(), |status| status.to_string());
                let config = std::fs::read_to_string(self.config()).unwrap_or_default();
                self.kill();
                let log = self.log();
                return Err(format!(
                    "the server {why}\n{said}\n{log}\nconfiguration:\n{config}"
                ));
            }
            // The only signal of readiness is the output of another process.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("---- the server's log ----\n{}", self.log());
        }
    }
}

/// One line of the ready announcement: a protocol word and an address, `tls` or an `s` for TLS.
fn listening(line: &str) -> Option<(String, SocketAddr)> {
    let line = line.to_ascii_lowercase();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':' || c == '-';
    let words: Vec<&str> = line.split(|c| !is_word(c)).collect();
    let address = words.iter().find_map(|word| word.parse().ok())?;
    let protocol = ["imap", "pop3", "lmtp", "http"]
        .into_iter()
        .find(|name| words.iter().any(|word| word.starts_with(name)))?;
    let tls = words.iter().any(|word| {
        *word == "tls" || word.ends_with("-tls") || word.strip_suffix('s') == Some(protocol)
    });
    Some((
        if tls {
            format!("{protocol}-tls")
        } else {
            protocol.to_owned()
        },
        address,
    ))
}

fn tail(path: &Path, bytes: u64) -> String {
    let Ok(mut file) = File::open(path) else {
        return String::new();
    };
    let length = file.metadata().map(|meta| meta.len()).unwrap_or_default();
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(bytes)));
    let mut out = Vec::new();
    let _ = file.read_to_end(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn ready_lines_name_protocol_and_address() {
        for (line, name) in [
            ("imap listening on 127.0.0.1:143", "imap"),
            ("listening imap-tls 127.0.0.1:143", "imap-tls"),
            (
                "listening protocol=imap tls address=127.0.0.1:143",
                "imap-tls",
            ),
            ("IMAP 127.0.0.1:143 (STARTTLS)", "imap"),
            ("imaps 127.0.0.1:143", "imap-tls"),
        ] {
            let expected = Some((
                name.to_owned(),
                "127.0.0.1:143".parse().expect("an address"),
            ));
            assert_eq!(listening(line), expected, "{line}");
        }
        assert_eq!(listening("lmtp on /run/lmtp.sock"), None);
    }
}
