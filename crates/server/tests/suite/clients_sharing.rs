//! Clients people use, in mailboxes that somebody else shares with them.

use crate::support::{BINARY, assert_same, fill, maildir, make_maildir, verify, write_private};
use testkit::corpus::Corpus;
use testkit::programs::{command, library, succeed};
use testkit::{ImapClient, PASSWORD, Server};

const TEAM: &str = "\"Other Users/alice/Team\"";

#[test]
fn two_users_of_imapclient_share_a_folder() {
    let mut server = Server::start(BINARY);
    let home = tempfile::tempdir().unwrap();
    let message = Corpus::new(41).next().unwrap();
    std::fs::write(home.path().join("message"), &message).unwrap();
    let script = include_str!("support/sharing.py");
    std::fs::write(home.path().join("sharing.py"), script).unwrap();
    let port = server.imap().port().to_string();
    let mut python = command("python3", home.path());
    python.env("PYTHONPATH", library("python"));
    succeed(python.args(["sharing.py", &port, "message"]));
    verify(&server);

    // What was shared is shared after a crash too.
    server.kill();
    server.start_again();
    let mut bob = ImapClient::login(server.imap(), "bob", PASSWORD);
    assert_eq!(bob.bodies(TEAM), [message.clone(), message]);
    let rights = bob.ok(&format!("MYRIGHTS {TEAM}"));
    assert!(rights[0].text.ends_with(" lr"), "{}", rights[0].text);
    verify(&server);
}

#[test]
fn neomutt_reads_and_marks_a_shared_folder() {
    let server = Server::start(BINARY);
    let mail = fill(&server, "alice", 42, 20);
    let mut alice = ImapClient::login(server.imap(), "alice", PASSWORD);
    alice.ok("SETACL INBOX bob lrs");
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    make_maildir(&out);
    std::fs::create_dir(home.path().join("Mail")).unwrap();
    let rc = format!(
        "set imap_user=bob imap_pass={PASSWORD} ssl_starttls=no ssl_force_tls=no quit=yes\n\
         set copy=no delete=no confirmappend=no auto_tag=yes mbox_type=Maildir\n\
         push \"<tag-pattern>~A<enter><tag-prefix-cond><copy-message>{}<enter><end-cond>\
         <tag-prefix-cond><clear-flag>N<end-cond><sync-mailbox><exit>\"\n",
        out.display()
    );
    write_private(&home.path().join("rc"), &rc);
    let line = format!(
        "neomutt -n -F rc -f 'imap://{}/Other Users/alice/INBOX'",
        server.imap()
    );
    // It wants a terminal.
    succeed(command("script", home.path()).args(["-qec", &line, "/dev/null"]));
    let added = ["Content-Length", "Lines", "Status", "X-Status"];
    assert_same("copied", &mail, &maildir(&out, &added));
    let status = alice.ok("STATUS INBOX (MESSAGES UNSEEN)");
    assert!(
        status[0].text.ends_with("(MESSAGES 20 UNSEEN 0)"),
        "{}",
        status[0].text
    );
    verify(&server);
}
