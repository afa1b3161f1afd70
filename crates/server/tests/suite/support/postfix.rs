//! A real Postfix in directories of its own, delivering to the server's LMTP socket.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{is_root, open_dir};
use tempfile::TempDir;
use testkit::Server;
use testkit::programs::{command, find, succeed};

/// How long it may take to answer a command.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay of its own directories, delivering to the server's LMTP socket.
pub(crate) struct Postfix {
    dir: TempDir,
}

impl Postfix {
    /// Starts it, with more lines of `main.cf`.
    pub(crate) fn start(server: &Server, more: &str) -> Self {
        assert!(
            is_root(),
            "Postfix runs as root only: run the tests as root"
        );
        // Postfix delivers as another user, who must reach the socket.
        std::fs::set_permissions(server.file("."), Permissions::from_mode(0o755)).unwrap();
        let postfix = Self { dir: open_dir() };
        let dir = postfix.dir.path();
        for name in ["conf", "queue", "data"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let ids = succeed(command("id", dir).args(["-u", "postfix"]));
        chown(dir.join("data"), Some(ids.trim().parse().unwrap()), None).unwrap();
        let main = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {0}/queue\n\
             data_directory = {0}/data\n\
             maillog_file = {0}/log\n\
             maillog_file_prefixes = {0}\n\
             inet_interfaces = loopback-only\n\
             inet_protocols = ipv4\n\
             myhostname = relay.example.org\n\
             mydestination = mail.example.org\n\
             local_recipient_maps =\n\
             local_transport = lmtp:unix:{1}\n\
             default_transport = error:only local mail here\n\
             alias_maps =\n\
             alias_database =\n{2}",
            dir.display(),
            server.lmtp_socket().display(),
            more,
        );
        std::fs::write(dir.join("conf/main.cf"), main).unwrap();
        std::fs::write(dir.join("conf/master.cf"), MASTER).unwrap();
        postfix.control("start");
        postfix
    }

    /// `postfix start`, `stop`, `abort` or `flush`.
    pub(crate) fn control(&self, verb: &str) {
        succeed(&mut self.command("postfix", &[verb]));
    }

    /// Whether nothing waits to be delivered.
    pub(crate) fn is_empty(&self) -> bool {
        succeed(&mut self.command("postqueue", &["-p"])).contains("Mail queue is empty")
    }

    /// A client of its SMTP server.
    pub(crate) fn smtp(&self) -> Smtp {
        let socket = self.dir.path().join("queue/public/smtp");
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut smtp = Smtp(BufReader::new(stream));
        assert_eq!(smtp.reply(), "220");
        smtp.command("HELO test", "250");
        smtp
    }

    fn command(&self, program: &str, args: &[&str]) -> std::process::Command {
        let dir = self.dir.path();
        let mut command = command(program, dir);
        let option = if program == "sendmail" { "-C" } else { "-c" };
        command.arg(option).arg(dir.join("conf")).args(args);
        command
    }

    /// Puts a message, given with local line ends, into the queue.
    pub(crate) fn send(&self, from: &str, to: &[&str], message: &[u8]) {
        let dir = self.dir.path();
        std::fs::write(dir.join("message"), message).unwrap();
        let line = format!(
            "{} -C {}/conf -i -f {from} {} < message",
            find("sendmail").display(),
            dir.display(),
            to.join(" ")
        );
        succeed(command("sh", dir).args(["-c", &line]));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- Postfix's log ----\n{}", self.log());
        }
        // A second failure would hide the first.
        let _ = self.command("postfix", &["stop"]).output();
    }
}

/// Services without a chroot, and none that listens on a network.
const MASTER: &str = "\
pickup unix n - n 1 1 pickup
smtp unix n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
";

/// Puts messages into the queue faster than `sendmail` does.
pub(crate) struct Smtp(BufReader<UnixStream>);

impl Smtp {
    /// The code of a reply.
    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.chars().take(3).collect();
            }
        }
    }

    fn command(&mut self, line: &str, code: &str) {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
        assert_eq!(self.reply(), code, "{line}");
    }

    /// A message without lines that begin with a dot; it is in the queue when this returns.
    pub(crate) fn send(&mut self, to: &[String], message: &str) {
        self.command("MAIL FROM:<sender@example.org>", "250");
        for to in to {
            self.command(&format!("RCPT TO:<{to}>"), "250");
        }
        self.command("DATA", "354");
        self.command(&format!("{message}."), "250");
    }
}
