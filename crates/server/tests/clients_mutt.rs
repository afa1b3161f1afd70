//! mutt in batch: opens the INBOX and copies all of it to a file.

mod common;

use common::{all_with_lf, assert_same, fill, mail, mbox_messages, private_file, server};
use testkit::{PASSWORD, programs};

#[test]
fn mutt_copies_a_whole_mailbox() {
    let server = server();
    let messages = fill(&server, "alice", "INBOX", mail(41, 25));
    let home = tempfile::tempdir().expect("a temp directory");
    let out = home.path().join("out.mbox");
    // Without its `folder` mutt asks whether to make it, and that question would eat the keys.
    let rc = format!(
        "set folder={}\nset imap_user=alice\nset imap_pass={PASSWORD}\nset ssl_starttls=no\n\
         set ssl_force_tls=no\nset quit=yes\nset copy=no\nset delete=no\nset confirmappend=no\n\
         set mbox_type=mbox\nset weed=no\n",
        home.path().display()
    );
    private_file(&home.path().join("rc"), &rc);
    let keys = format!(
        "push \"<tag-pattern>~A<enter><tag-prefix><copy-message>{}<enter>y<exit>\"",
        out.display()
    );
    let mutt = programs::find("mutt").display().to_string();
    // mutt wants a terminal; `script` gives it one.
    let line = format!(
        "{mutt} -n -F rc -f imap://{}/INBOX -e '{keys}'",
        server.imap()
    );
    let mut command = programs::command("script", home.path());
    programs::succeed(command.args(["-qec", &line, "/dev/null"]));
    let copied = mbox_messages(&std::fs::read(&out).expect("mutt's copy"));
    let found: Vec<_> = copied
        .iter()
        .map(|message| without_mutts_fields(message))
        .collect();
    assert_same("mutt", &found, &all_with_lf(&messages));
}

/// mutt ends the header with fields of its own.
fn without_mutts_fields(message: &[u8]) -> Vec<u8> {
    let mut header = true;
    let mut out = Vec::new();
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        header &= line != b"\n";
        let own = [
            "Status:",
            "X-Status:",
            "X-Keywords:",
            "Content-Length:",
            "Lines:",
        ];
        if !header || !own.iter().any(|field| line.starts_with(field.as_bytes())) {
            out.extend_from_slice(line);
        }
    }
    out
}
