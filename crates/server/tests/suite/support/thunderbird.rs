//! A Thunderbird without a display, led by Marionette: JSON with its length before it, over TCP.

use serde_json::{Value, json};
use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::PASSWORD;
use testkit::programs::command;

/// How long a start, one action, or what an action brings about may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the actions of `thunderbird.js` are.
const ACTIONS: &str = include_str!("thunderbird.js");

/// It listens on a port of its own, reaches no network, and does nothing that it is not told to.
const PREFERENCES: &str = r#"
user_pref("marionette.port", 0);
user_pref("network.dns.native-is-localhost", true);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.enabledScopes", 0);
user_pref("mail.biff.alert.show_preview", false);
user_pref("mail.biff.show_alert", false);
user_pref("mail.inappnotifications.enabled", false);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mailnews.database.global.indexer.enabled", false);
user_pref("mailnews.start_page.enabled", false);
user_pref("mail.server.default.use_condstore", true);
user_pref("mail.server.default.check_new_mail", false);
user_pref("mail.server.default.login_at_startup", false);
"#;

/// A running Thunderbird with one account, alice's. Dropping it ends it.
pub(crate) struct Thunderbird {
    home: TempDir,
    child: Child,
    connection: BufReader<TcpStream>,
    commands: u32,
}

/// A message as its list of messages shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Shown {
    pub(crate) uid: u32,
    pub(crate) seen: bool,
    pub(crate) flagged: bool,
    pub(crate) answered: bool,
    pub(crate) keywords: String,
}

impl Thunderbird {
    /// Starts it with an empty profile, and makes an account of type `imap` or `pop3`.
    pub(crate) fn start(kind: &str, port: u16) -> Self {
        let home = tempfile::tempdir().unwrap();
        let profile = home.path().join("profile");
        std::fs::create_dir(&profile).unwrap();
        std::fs::write(profile.join("user.js"), PREFERENCES).unwrap();
        let said = File::create(home.path().join("said")).unwrap();
        let mut command = command("thunderbird", home.path());
        command.env("TMPDIR", home.path());
        command.args(["--headless", "--no-remote", "--marionette"]);
        command
            .args(["--remote-allow-system-access", "--profile"])
            .arg(&profile);
        command.stdout(Stdio::from(said.try_clone().unwrap()));
        let mut child = command.stderr(Stdio::from(said)).spawn().unwrap();
        let connection = connect(&mut child, home.path());
        let mut thunderbird = Self {
            home,
            child,
            connection,
            commands: 0,
        };
        thunderbird.receive();
        thunderbird.command("WebDriver:NewSession", &json!({}));
        thunderbird.command("Marionette:SetContext", &json!({"value": "chrome"}));
        let patience = PATIENCE.as_millis();
        let timeouts = json!({"script": u64::try_from(patience).unwrap()});
        thunderbird.command("WebDriver:SetTimeouts", &timeouts);
        thunderbird.act("account", json!([kind, port, "alice", PASSWORD]));
        thunderbird
    }

    /// Does one of the actions of `thunderbird.js`.
    pub(crate) fn act(&mut self, action: &str, parameters: Value) -> Value {
        let script = json!({"script": ACTIONS, "args": [action, parameters]});
        let answer = self.command("WebDriver:ExecuteAsyncScript", &script);
        let answer = &answer["value"];
        assert!(answer["error"].is_null(), "{action}: {}", answer["error"]);
        answer["value"].clone()
    }

    /// What a folder shows.
    pub(crate) fn list(&mut self, folder: &str) -> Vec<Shown> {
        serde_json::from_value(self.act("list", json!([folder]))).unwrap()
    }

    /// Waits until a folder shows what it should.
    pub(crate) fn wait_for(&mut self, folder: &str, right: impl Fn(&[Shown]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.list(folder);
            if right(&shown) {
                return;
            }
            assert!(Instant::now() < deadline, "{folder} shows {shown:#?}");
            // It has no words for "everything is done".
            sleep(Duration::from_millis(50));
        }
    }

    /// The messages of a folder as they are on its disk.
    pub(crate) fn saved(&mut self, folder: &str) -> Vec<Vec<u8>> {
        let out = tempfile::tempdir_in(self.home.path()).unwrap();
        let count = self.act("save", json!([folder, out.path()]));
        let saved = std::fs::read_dir(out.path()).unwrap().map(|entry| {
            let message = std::fs::read(entry.unwrap().path()).unwrap();
            super::without_fields(&message, &ADDED)
        });
        let saved: Vec<_> = saved.collect();
        assert_eq!(count, saved.len());
        saved
    }

    /// A message of a folder as it is shown.
    pub(crate) fn shown(&mut self, folder: &str, uid: u32) -> Vec<u8> {
        let file = self.file("shown");
        self.act("show", json!([folder, uid, file]));
        super::without_fields(&std::fs::read(file).unwrap(), &ADDED)
    }

    /// A path for what goes into an action or comes out of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Sends a command, `[0, number, name, parameters]`, and returns what it is answered by:
    /// `[1, number, error, result]`.
    fn command(&mut self, name: &str, parameters: &Value) -> Value {
        self.commands += 1;
        let command = json!([0, self.commands, name, parameters]).to_string();
        let packet = format!("{}:{command}", command.len());
        self.connection
            .get_mut()
            .write_all(packet.as_bytes())
            .unwrap();
        let mut answer = self.receive();
        assert_eq!(answer[1], self.commands, "{answer}");
        assert!(answer[2].is_null(), "{name}: {}", answer[2]);
        answer[3].take()
    }

    fn receive(&mut self) -> Value {
        let mut length = Vec::new();
        self.connection.read_until(b':', &mut length).unwrap();
        let length = String::from_utf8(length).unwrap();
        let length: usize = length.trim_end_matches(':').parse().unwrap();
        let mut json = vec![0; length];
        self.connection.read_exact(&mut json).unwrap();
        serde_json::from_slice(&json).unwrap()
    }
}

/// The header fields it puts before what it stores.
const ADDED: [&str; 5] = [
    "X-Account-Key",
    "X-UIDL",
    "X-Mozilla-Status",
    "X-Mozilla-Status2",
    "X-Mozilla-Keys",
];

/// Connects when it has written where it listens.
fn connect(child: &mut Child, home: &Path) -> BufReader<TcpStream> {
    let port = home.join("profile/MarionetteActivePort");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(port) = read_to_string(&port)
            .unwrap_or_default()
            .trim()
            .parse::<u16>()
        {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
            return BufReader::new(stream);
        }
        let ended = child.try_wait().unwrap();
        if ended.is_some() || Instant::now() > deadline {
            let _ = child.kill();
            panic!("Thunderbird does not start: {}", said(home));
        }
        sleep(Duration::from_millis(20));
    }
}

fn said(home: &Path) -> String {
    let said = read_to_string(PathBuf::from(home).join("said")).unwrap_or_default();
    let lines = said
        .lines()
        .filter(|line| !line.contains("glib") && !line.contains("Gtk"));
    lines.collect::<Vec<_>>().join("\n")
}

impl Drop for Thunderbird {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- Thunderbird said ----\n{}", said(self.home.path()));
        }
        // Its other processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
