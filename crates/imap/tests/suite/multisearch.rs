//! ESEARCH (RFC 7377) against SELECT and UID SEARCH, its bounds, and a store in trouble.

use crate::common::{Setup, dialogue};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use storage::{Call, ErrorKind, FaultBlobs, Faults, MemoryBlobs};
use testkit::ImapClient;
use tokio::task::spawn_blocking;

const CRITERIA: &[&str] = &[
    "ALL",
    "UNSEEN",
    "2:4,9",
    "UID 2:*",
    "NOT SEEN OR SUBJECT one BODY two",
    "KEYWORD k",
    "FUZZY SUBJECT thre",
    "DELETED",
];

fn compare(address: SocketAddr) {
    let mut client = ImapClient::login(address, "alice", "secret");
    let subjects = ["one", "two", "three"];
    let names: Vec<String> = (0..40).map(|n| format!("box/{}/{n}", n % 4)).collect();
    for (n, name) in names.iter().enumerate() {
        client.ok(&format!("CREATE {name}"));
        for m in 0..n % 7 {
            let text = format!(
                "Subject: {}\r\n\r\n{}\r\n",
                subjects[(n + m) % 3],
                subjects[m % 3]
            );
            let flags = ["", "\\Seen", "k"][(n * m) % 3];
            let answer = client.append(name, flags, text.as_bytes());
            assert!(answer.starts_with("OK"), "{answer}");
        }
    }
    for criteria in CRITERIA {
        let mut expected = BTreeMap::new();
        for name in &names {
            client.ok(&format!("EXAMINE {name}"));
            for line in client.ok(&format!("UID SEARCH RETURN (ALL COUNT) {criteria}")) {
                if let Some((_, found)) = line.text.split_once(" UID ALL ") {
                    expected.insert(name.clone(), found.to_owned());
                }
            }
        }
        // With one of them selected, and with none.
        for before in ["SELECT box/3/39", "SELECT INBOX", "UNSELECT"] {
            client.ok(before);
            let command = format!("ESEARCH IN (subtree box) RETURN (ALL COUNT) {criteria}");
            let mut found = BTreeMap::new();
            for line in client.ok(&command) {
                let (head, set) = line.text.split_once(" UID ALL ").expect(&line.text);
                let name = head.split('"').nth(3).expect(&line.text);
                assert!(
                    found.insert(name.to_owned(), set.to_owned()).is_none(),
                    "{name}"
                );
            }
            assert_eq!(found, expected, "{criteria} after {before}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_search_in_many_mailboxes_finds_what_many_searches_find() {
    let server = Setup::default().start().await;
    let address = server.address;
    spawn_blocking(move || compare(address))
        .await
        .expect("a comparison");
    assert_eq!(server.problems().await, Vec::<String>::new());
}

#[tokio::test]
async fn too_many_names_are_refused() {
    let mut server = Setup::default().start().await;
    let names: Vec<String> = (0..1001).map(|n| format!("m{n}")).collect();
    let names = names.join(" ");
    let script = format!(
        "S: * OK {{{{.*}}}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{{{.*}}}}\n\
         C: a2 ESEARCH IN (mailboxes ({names})) ALL\n\
         S: a2 NO [LIMIT] too many mailboxes\n\
         C: a3 ESEARCH IN (mailboxes ({})) ALL\n\
         S: a3 OK searched\n",
        names.replace(" m1000", "")
    );
    dialogue(&mut server, &script).await;
}

#[tokio::test]
async fn what_was_found_before_the_store_failed_is_told() {
    let faults = Faults::default();
    let setup = Setup {
        blobs: Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone())),
        ..Setup::default()
    };
    let mut server = setup.start().await;
    faults.switch(false);
    faults.fail_every(Call::BlobGet, ErrorKind::Unavailable);
    server.faults = Some(faults);
    dialogue(
        &mut server,
        "! append Drafts \\Seen\n\
         ! append INBOX\n\
         ! append Trash\n\
         ! break\n\
         S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 ESEARCH IN (personal) OR SEEN BODY hello\n\
         S: * ESEARCH (TAG \"a2\" MAILBOX \"Drafts\" UIDVALIDITY {{\\d+}}) UID ALL 1\n\
         S: a2 NO [UNAVAILABLE] {{.*}}\n\
         ! heal\n\
         C: a3 ESEARCH IN (personal) RETURN (COUNT) OR SEEN BODY hello\n\
         S: * ESEARCH (TAG \"a3\" MAILBOX \"Drafts\" UIDVALIDITY {{\\d+}}) UID COUNT 1\n\
         S: * ESEARCH (TAG \"a3\" MAILBOX INBOX UIDVALIDITY {{\\d+}}) UID COUNT 1\n\
         S: * ESEARCH (TAG \"a3\" MAILBOX \"Trash\" UIDVALIDITY {{\\d+}}) UID COUNT 1\n\
         S: a3 OK searched\n",
    )
    .await;
}
