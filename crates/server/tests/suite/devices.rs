//! App passwords: one secret per device, its doors, its last use, and its end.

use crate::support::BINARY;
use std::process::Output;
use std::time::Duration;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server};

const AT_ONCE: Duration = Duration::from_secs(5);

fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn credential(server: &Server, args: &[&str]) -> Output {
    server.cli(&[&["account", "credential"], args].concat(), "")
}

/// Makes an app password; returns the secret.
fn add(server: &Server, args: &[&str]) -> String {
    let text = out(&credential(server, &[&["add", "alice"], args].concat()));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    lines[1].to_owned()
}

fn assert_refused(output: &Output, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(words), "{text:?} lacks {words:?}");
    assert!(output.stdout.is_empty(), "a refusal shows no password");
}

#[test]
fn an_app_password_opens_its_doors_until_it_is_revoked() {
    let mut server = Server::start(BINARY);
    // Alice, whom the passwd-file knows, has never been here.
    let phone = add(&server, &["--label", "phone"]);
    let desk = add(&server, &["--label", "Desk at home", "--protocols", "pop3"]);
    assert_refused(
        &credential(&server, &["add", "alice", "--label", "PHONE"]),
        "exists",
    );
    assert_refused(
        &credential(&server, &["add", "alice", "--label", " x"]),
        "label",
    );
    assert_refused(
        &credential(&server, &["add", "nobody", "--label", "x"]),
        "nobody",
    );
    let listed = out(&credential(&server, &["list", "alice"]));
    assert!(listed.starts_with("phone\timap,pop3\tmade 20"), "{listed}");
    assert!(listed.contains("\nDesk at home\tpop3\tmade 20"), "{listed}");
    assert_eq!(listed.matches("never used").count(), 2, "{listed}");
    assert!(!listed.contains(&phone), "shown once");

    let mut idle = ImapClient::login(server.imap(), "alice", &phone);
    Pop3Client::login(
        server.pop3(),
        "alice",
        &phone.replace('-', "").to_uppercase(),
    )
    .quit();
    Pop3Client::login(server.pop3(), "alice", &desk).quit();
    let mut wrong = ImapClient::connect(server.imap());
    let (_, answer) = wrong.command(&format!("LOGIN alice {desk}"));
    assert!(
        answer.starts_with("NO [AUTHORIZATIONFAILED] this app password is for pop3 only"),
        "{answer}"
    );
    let log = server.log();
    assert!(log.contains("app password used at the wrong door"), "{log}");
    assert!(
        !log.contains(&desk) && !log.contains(&phone),
        "no secret in the log"
    );
    let listed = out(&credential(&server, &["list", "alice"]));
    assert!(listed.contains("by pop3 from 127.0.0.1"), "{listed}");
    assert!(!listed.contains("never used"), "{listed}");

    // The phone is lost: its sessions end at once, nobody else's do.
    let mut other = ImapClient::login(server.imap(), "alice", PASSWORD);
    idle.ok("SELECT INBOX");
    idle.idle();
    assert_eq!(
        out(&credential(
            &server,
            &["revoke", "alice", "--label", "phone"]
        )),
        "alice: phone revoked\n"
    );
    let bye = idle.wait_for("* BYE", AT_ONCE);
    assert!(bye.contains("revoked"), "{bye}");
    other.ok("NOOP");
    let (_, answer) = wrong.command(&format!("LOGIN alice {phone}"));
    assert!(answer.starts_with("NO [AUTHENTICATIONFAILED]"), "{answer}");
    assert_refused(
        &credential(&server, &["revoke", "alice", "--label", "phone"]),
        "no app password",
    );

    // Without a server, and after it: what was written down stays.
    assert!(server.terminate().success());
    let listed = out(&credential(&server, &["list", "alice"]));
    assert!(listed.contains("Desk at home\tpop3"), "{listed}");
    assert!(listed.contains("by pop3 from 127.0.0.1"), "{listed}");
    let tablet = add(&server, &["--label", "tablet", "--protocols", "imap"]);
    server.start_again();
    drop(ImapClient::login(server.imap(), "alice", &tablet));
    let mut pop3 = Pop3Client::connect(server.pop3());
    pop3.ok("USER alice");
    let answer = pop3.command(&format!("PASS {tablet}")).unwrap_err();
    assert!(
        answer.contains("[AUTH] this app password is for imap only"),
        "{answer}"
    );
    out(&server.cli(&["verify", "--contents"], ""));
}

#[test]
fn the_sessions_of_a_removed_account_end() {
    let server = Server::start(BINARY);
    out(&server.cli(&["account", "add", "Dora"], "secret\n"));
    let mut dora = ImapClient::login(server.imap(), "dora", "secret");
    dora.ok("SELECT INBOX");
    dora.idle();
    out(&server.cli(&["account", "remove", "DORA"], ""));
    dora.wait_for("* BYE", AT_ONCE);
}

/// DESIGN 5.4: what DELE means is settable for a credential, too.
#[test]
fn each_device_deletes_as_its_policy_says() {
    let server = Server::start(BINARY);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    for n in 1..=4 {
        lmtp.deliver_ok("alice", format!("Subject: {n}\r\n\r\nbody\r\n").as_bytes());
    }
    let [phone, desk] = ["phone", "desk"].map(|label| add(&server, &["--label", label]));
    let policy = |args: &[&str]| server.cli(&[&["policy"], args].concat(), "");
    let set = ["set", "alice", "keep-days:30", "--credential", "Phone"];
    assert_eq!(out(&policy(&set)), "alice: keep-days:30\n");
    out(&policy(&["set", "alice", "trash"]));
    let show = ["show", "alice", "--credential"];
    let of = |label: &str| out(&policy(&[&show[..], &[label]].concat()));
    assert_eq!(of("phone"), "alice\tphone\tkeep-days:30\tits own\n");
    assert_eq!(of("desk"), "alice\tdesk\ttrash\tthe account's\n");
    assert_refused(
        &policy(&["show", "alice", "--credential", "car"]),
        "app password",
    );

    // Everybody deletes the first message shown to them.
    for (secret, expire, inbox, trash) in [
        (&phone[..], "EXPIRE 30", 4, 0),
        (&desk, "EXPIRE NEVER", 3, 1),
        (PASSWORD, "EXPIRE NEVER", 2, 2),
    ] {
        let mut client = Pop3Client::connect(server.pop3());
        assert!(client.rows("CAPA").contains(&"EXPIRE 30 USER".to_owned()));
        client.ok("USER alice");
        client.ok(&format!("PASS {secret}"));
        assert!(client.rows("CAPA").contains(&expire.to_owned()), "{expire}");
        client.ok("DELE 1");
        client.quit();
        let mut imap = ImapClient::login(server.imap(), "alice", PASSWORD);
        assert_eq!((imap.count("INBOX"), imap.count("Trash")), (inbox, trash));
    }
    // A new device of the old name begins anew.
    out(&credential(
        &server,
        &["revoke", "alice", "--label", "phone"],
    ));
    add(&server, &["--label", "phone"]);
    assert_eq!(of("phone"), "alice\tphone\ttrash\tthe account's\n");
}
