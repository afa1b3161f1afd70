//! NOTIFY (RFC 5465) in trouble, and its bounds. What can be said line by line in good times stands
//! in the dialogues.

use crate::common::{Setup, dialogue};
use std::sync::Arc;
use storage::{Call, ErrorKind, FaultBlobs, FaultMeta, Faults, MemoryBlobs, MemoryMeta};

#[tokio::test]
async fn what_cannot_be_delivered_ends_notifications_with_a_word() {
    let faults = Faults::default();
    let setup = Setup {
        meta: Arc::new(FaultMeta::new(MemoryMeta::new(), faults.clone())),
        blobs: Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone())),
        ..Setup::default()
    };
    let mut server = setup.start().await;
    faults.switch(false);
    faults.fail_every(Call::BlobGet, ErrorKind::Unavailable);
    let script = "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 SELECT INBOX\n\
         S*: a2 OK {{.*}}\n\
         C: a3 NOTIFY SET (selected (MessageNew (UID BODY.PEEK[]) MessageExpunge)) \
            (personal (MessageNew MessageExpunge MailboxName))\n\
         S: a3 OK {{.*}}\n\
         ! append INBOX\n\
         S: * 1 EXISTS\n\
         S: * 1 RECENT\n\
         S: * 1 FETCH (UID 1 BODY[] {25}\n\
         S: Subject: test\n\
         S: \n\
         S: Hello.\n\
         S: )\n\
         ! break\n\
         ! append INBOX\n\
         S: * 2 EXISTS\n\
         S: * 2 RECENT\n\
         S: * OK [NOTIFICATIONOVERFLOW] {{.*}}\n\
         ! heal\n\
         ! append INBOX\n\
         ! append Trash\n\
         C: a4 NOOP\n\
         S: a4 OK {{.*}}\n\
         C: a5 NOTIFY SET (selected (MessageNew (UID) MessageExpunge))\n\
         S: * 3 EXISTS\n\
         S: * 3 RECENT\n\
         S: a5 OK {{.*}}\n\
         ! append INBOX\n\
         S: * 4 EXISTS\n\
         S: * 4 RECENT\n\
         S: * 4 FETCH (UID 4)\n";
    server.faults = Some(faults);
    dialogue(&mut server, script).await;
}

#[tokio::test]
async fn too_much_is_refused_and_what_was_asked_for_before_holds() {
    let mut server = Setup::default().start().await;
    let names: Vec<String> = (0..1001).map(|n| format!("n{n}")).collect();
    let names = names.join(" ");
    let groups = "(personal (MailboxName)) ".repeat(65);
    let text = format!(
        "S: * OK {{{{.*}}}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{{{.*}}}}\n\
         C: a2 NOTIFY SET (personal (MessageNew MessageExpunge))\n\
         S: a2 OK {{{{.*}}}}\n\
         C: a3 NOTIFY SET (mailboxes ({names}) (MailboxName))\n\
         S: a3 NO [NOTIFICATIONOVERFLOW] {{{{.*}}}}\n\
         C: a4 NOTIFY SET {}\n\
         S: a4 NO [NOTIFICATIONOVERFLOW] {{{{.*}}}}\n\
         ! append Trash\n\
         S: * STATUS \"Trash\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY {{{{\\d+}}}} UNSEEN 1)\n",
        groups.trim_end()
    );
    dialogue(&mut server, &text).await;
}

#[tokio::test]
async fn a_listening_client_is_told_when_the_server_stops() {
    let mut server = Setup::default().start().await;
    let text = "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 NOTIFY SET (personal (MessageNew MessageExpunge))\n\
         S: a2 OK {{.*}}\n\
         ! append INBOX\n\
         S: * STATUS INBOX {{.*}}\n\
         ! shutdown\n\
         S: * BYE server is shutting down\n\
         EOF:\n";
    dialogue(&mut server, text).await;
}

#[tokio::test]
async fn a_listening_client_that_says_nothing_for_too_long_is_left() {
    let mut setup = Setup::default();
    setup.limits.idle = std::time::Duration::from_millis(300);
    let mut server = setup.start().await;
    let text = "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 NOTIFY SET (personal (MessageNew MessageExpunge))\n\
         S: a2 OK {{.*}}\n\
         S: * BYE no command for too long\n\
         EOF:\n";
    dialogue(&mut server, text).await;
}
