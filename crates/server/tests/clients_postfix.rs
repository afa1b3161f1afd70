//! Postfix delivering to the LMTP unix socket: own configuration, own queue, loopback only.

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{GATEPOST, hashes, imap, mail};
use testkit::{Server, Settings, programs};

/// A Postfix of our own, stopped at the end.
struct Postfix {
    dir: tempfile::TempDir,
    port: u16,
}

impl Postfix {
    fn start(socket: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("gatepost-postfix-")
            .tempdir()
            .expect("a directory");
        let path = &dir.path().to_owned();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        drop(listener);
        for name in ["etc", "queue", "data"] {
            fs::create_dir(path.join(name)).expect("a directory");
        }
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {path}/queue\ndata_directory = {path}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             mail_owner = postfix\nsetgid_group = postdrop\nmyhostname = mx.example.org\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmydestination =\n\
             mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             virtual_mailbox_domains = mail.example.org\nvirtual_mailbox_maps =\n\
             virtual_transport = lmtp:unix:{socket}\n\
             default_transport = error:no mail leaves this machine\nrelay_transport = error:none\n\
             disable_dns_lookups = yes\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
             local_header_rewrite_clients =\nmaillog_file = {path}/log\n\
             maillog_file_prefixes = {path}\nlmtp_connection_cache_on_demand = yes\n",
            path = path.display(),
            socket = socket.display(),
        );
        fs::write(path.join("etc/main.cf"), main).expect("a file");
        let master = format!(
            "127.0.0.1:{port} inet n - n - - smtpd\n\
             pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
             rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
             defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
             verify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\n\
             proxymap unix - - n - - proxymap\nproxywrite unix - - n - 1 proxymap\n\
             error unix - - n - - error\nretry unix - - n - - error\n\
             discard unix - - n - - discard\nlmtp unix - - n - 4 lmtp\nanvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
        );
        fs::write(path.join("etc/master.cf"), master).expect("a file");
        let postfix = Self { dir, port };
        let is_root = programs::succeed(programs::command("id", path).arg("-u")).trim() == "0";
        assert!(
            is_root,
            "Postfix starts only as root: run cargo xtask test as root, as CI does"
        );
        programs::succeed(
            programs::command("chown", path)
                .arg("postfix")
                .arg(path.join("data")),
        );
        programs::succeed(&mut postfix.command("start"));
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < until,
                "Postfix does not listen\n{}",
                postfix.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        postfix
    }

    fn command(&self, verb: &str) -> std::process::Command {
        let mut command = programs::command("postfix", self.dir.path());
        command.arg("-c").arg(self.dir.path().join("etc")).arg(verb);
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let stopped = self.command("stop").output();
        if std::thread::panicking() {
            eprintln!(
                "{:?}\n---- Postfix's log ----\n{}",
                stopped.map(|o| o.status),
                self.log()
            );
        }
    }
}

#[test]
fn postfix_delivers_by_lmtp_to_several_recipients() {
    let lmtp = "socket_mode = \"0666\"".to_owned();
    let server = Server::with(
        GATEPOST,
        Settings {
            lmtp,
            ..Settings::default()
        },
    );
    let home = server.file("");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).expect("our own directory");
    let postfix = Postfix::start(&server.lmtp_socket());

    let messages = mail(61, 12);
    for (index, message) in messages.iter().enumerate() {
        let file = server.file(&format!("message{index}"));
        // swaks ends the last line itself.
        fs::write(&file, message.strip_suffix(b"\r\n").unwrap_or(message)).expect("a file");
        let mut swaks = programs::command("swaks", &home);
        swaks.args([
            "--silent",
            "2",
            "--server",
            &format!("127.0.0.1:{}", postfix.port),
        ]);
        swaks.args(["--from", "sender@example.org"]);
        swaks.args(["--to", "alice@mail.example.org,bob@mail.example.org"]);
        swaks.arg("--data").arg(format!("@{}", file.display()));
        programs::succeed(&mut swaks);
    }

    let until = Instant::now() + Duration::from_secs(60);
    for user in ["alice", "bob"] {
        while imap(&server, user).count("INBOX") < messages.len() {
            assert!(
                Instant::now() < until,
                "{user} has not got everything\n{}",
                postfix.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        // Postfix and the delivery add trace fields before the message and change nothing in it.
        let bodies = imap(&server, user).bodies("INBOX");
        assert_eq!(bodies.len(), messages.len());
        let sent = hashes(&messages);
        let mut found = common::Hashes::new();
        for body in &bodies {
            let tail = messages.iter().find(|message| body.ends_with(message));
            let tail = tail.unwrap_or_else(|| {
                panic!(
                    "{user} got what was never sent:\n{}",
                    String::from_utf8_lossy(body)
                )
            });
            *found.entry(common::hash(tail)).or_default() += 1;
        }
        assert!(found == sent, "{user} did not get every message once");
    }
}
