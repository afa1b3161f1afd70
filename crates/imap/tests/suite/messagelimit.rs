//! MESSAGELIMIT and SAVELIMIT (RFC 9738), with limits small enough to be met.

use crate::common::{Server, Setup, dialogue};
use imap::Limits;
use std::num::NonZeroU32;

async fn server(messages: u32, saved: u32) -> Server {
    let limits = Limits {
        message_limit: NonZeroU32::new(messages),
        save_limit: NonZeroU32::new(saved),
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    setup.start().await
}

const LOGIN: &str = r"
S: * OK {{.*}}
C: a1 LOGIN alice secret
S: a1 OK {{.*}}
C: a2 SELECT INBOX
S*: a2 OK {{.*}}
";

#[tokio::test]
async fn limits_are_announced_where_there_are_some() {
    for (messages, saved, words) in [
        (3, 2, "MESSAGELIMIT=3 SAVELIMIT=2"),
        (3, 0, "MESSAGELIMIT=3"),
        (0, 2, "SAVELIMIT=2"),
    ] {
        let mut server = server(messages, saved).await;
        let script = format!("S: * OK {{{{.*}}}} {words} {{{{(?!.*LIMIT=).*}}}}\n");
        let script = script.replace("(?!.*LIMIT=)", "[^=]*?");
        dialogue(&mut server, &script).await;
    }
}

#[tokio::test]
async fn fetch_answers_the_newest_first() {
    let script = format!(
        r"
! fill 5
{LOGIN}
C: b1 FETCH 1:* (FLAGS)
S: * 5 FETCH (FLAGS (\Recent))
S: * 4 FETCH (FLAGS (\Recent))
S: * 3 FETCH (FLAGS (\Recent))
S: b1 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b2 UID FETCH 1,2,4 (UID)
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 2)
S: * 4 FETCH (UID 4)
S: b2 OK fetched
C: b3 UID FETCH 1:2,4:* (UID)
S: * 5 FETCH (UID 5)
S: * 4 FETCH (UID 4)
S: * 2 FETCH (UID 2)
S: b3 OK [MESSAGELIMIT 3 2] {{{{.*}}}}
# What must be read of the store comes in the same order.
C: b4 FETCH 1:* (BODY.PEEK[TEXT])
S: * 5 FETCH (BODY[TEXT] {{9}}
S: Body 5.
S: )
S: * 4 FETCH (BODY[TEXT] {{9}}
S: Body 4.
S: )
S: * 3 FETCH (BODY[TEXT] {{9}}
S: Body 3.
S: )
S: b4 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
# \Seen is set on what was fetched only.
C: b5 FETCH 1:* BODY[]<0.1>
S*: b5 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b6 SEARCH 3:5 UNSEEN
S: * SEARCH
S: b6 OK searched
C: b7 SEARCH 1:2 UNSEEN
S: * SEARCH 1 2
S: b7 OK searched
# A page is whole or refused.
C: b8 UID FETCH 1:* (UID) (PARTIAL -1:-4)
S: b8 NO [MESSAGELIMIT 3] {{{{.*}}}}
C: b9 UID FETCH 1:* (UID) (PARTIAL -1:-3)
S: * 3 FETCH (UID 3)
S: * 4 FETCH (UID 4)
S: * 5 FETCH (UID 5)
S: b9 OK fetched
# Only what has changed counts.
C: c1 UID FETCH 1:* (UID) (CHANGEDSINCE 6)
S*: * 3 FETCH (UID 3 MODSEQ (7))
S: * 4 FETCH (UID 4 MODSEQ (7))
S: * 5 FETCH (UID 5 MODSEQ (7))
S: c1 OK fetched
C: c2 SEARCH RETURN (SAVE) UIDBEFORE 3
S: c2 OK searched
C: c3 FETCH $ (UID)
S: * 1 FETCH (UID 1)
S: * 2 FETCH (UID 2)
S: c3 OK fetched
C: c4 ENABLE UIDONLY
S: * ENABLED UIDONLY
S: c4 OK {{{{.*}}}}
C: c5 UID FETCH 1:4 (FLAGS)
S: * 4 UIDFETCH (FLAGS (\Seen \Recent))
S: * 3 UIDFETCH (FLAGS (\Seen \Recent))
S: * 2 UIDFETCH (FLAGS (\Recent))
S: c5 OK [MESSAGELIMIT 3 2] {{{{.*}}}}
"
    );
    dialogue(&mut server(3, 0).await, &script).await;
}

#[tokio::test]
async fn search_looks_at_the_newest() {
    let script = format!(
        r"
! fill 5
{LOGIN}
C: b1 SEARCH ALL
S: * SEARCH 3 4 5
S: b1 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
# Messages that were looked at count, not those found.
C: b2 UID SEARCH SUBJECT 5
S: * SEARCH 5
S: b2 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b3 UID SEARCH UID 2:4 ALL
S: * SEARCH 2 3 4
S: b3 OK searched
C: b4 SEARCH RETURN (COUNT MIN) ALL
S: * ESEARCH (TAG {q}b4{q}) MIN 3 COUNT 3
S: b4 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
# RFC 9738 3.4: what is saved is cut too.
C: b5 UID SEARCH RETURN (SAVE) NOT SUBJECT 4
S: b5 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b6 UID SEARCH $
S: * SEARCH 3 5
S: b6 OK searched
# RFC 9738 3.3.
C: b7 SORT (SUBJECT) UTF-8 ALL
S: b7 NO [MESSAGELIMIT 3] {{{{.*}}}}
C: b8 THREAD REFERENCES UTF-8 ALL
S: b8 NO [MESSAGELIMIT 3] {{{{.*}}}}
C: b9 SORT RETURN (SAVE) (SUBJECT) UTF-8 ALL
S: b9 NO [MESSAGELIMIT 3] {{{{.*}}}}
C: c1 UID SEARCH $
S: * SEARCH
S: c1 OK searched
C: c2 SORT (REVERSE SUBJECT) UTF-8 1:3
S: * SORT 3 2 1
S: c2 OK sorted
",
        q = '"'
    );
    dialogue(&mut server(3, 0).await, &script).await;
}

#[tokio::test]
async fn what_changes_messages_changes_the_newest() {
    let script = format!(
        r"
! fill 5
{LOGIN}
C: b1 STORE 1:* +FLAGS (\Deleted)
S: * 3 FETCH (FLAGS (\Deleted \Recent))
S: * 4 FETCH (FLAGS (\Deleted \Recent))
S: * 5 FETCH (FLAGS (\Deleted \Recent))
S: b1 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b2 UID STORE 1:2 +FLAGS.SILENT (\Deleted)
S: b2 OK stored
C: b3 UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS.SILENT (\Seen)
S*: * NO [MESSAGELIMIT 3 3] {{{{.*}}}}
S*: b3 OK [MODIFIED 3:5] {{{{.*}}}}
C: b4 UID EXPUNGE 1:5
S: * 5 EXPUNGE
S: * 4 EXPUNGE
S: * 3 EXPUNGE
S*: b4 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b5 UID EXPUNGE 1:5
S: * 2 EXPUNGE
S: * 1 EXPUNGE
S*: b5 OK expunged
"
    );
    dialogue(&mut server(3, 0).await, &script).await;
    let script = format!(
        r"
! fill 5
{LOGIN}
C: b1 MOVE 1:* Trash
S: * OK [COPYUID {{{{\d+}}}} 3:5 1:3] moved
S: * 5 EXPUNGE
S: * 4 EXPUNGE
S: * 3 EXPUNGE
S: b1 OK [MESSAGELIMIT 3 3] {{{{.*}}}}
C: b2 MOVE 1:* Trash
S: * OK [COPYUID {{{{\d+}}}} 1:2 4:5] moved
S: * 2 EXPUNGE
S: * 1 EXPUNGE
S: b2 OK moved
C: b3 SELECT Trash
S*: b3 OK {{{{.*}}}}
C: b4 STORE 3:5 +FLAGS.SILENT (\Deleted)
S: b4 OK stored
C: b5 STORE 1:2 +FLAGS.SILENT (\Deleted)
S: b5 OK stored
# EXPUNGE has no limit.
C: b6 EXPUNGE
S: * 5 EXPUNGE
S: * 4 EXPUNGE
S: * 3 EXPUNGE
S: * 2 EXPUNGE
S: * 1 EXPUNGE
S: b6 OK expunged
"
    );
    dialogue(&mut server(3, 0).await, &script).await;
}

#[tokio::test]
async fn qresync_keeps_the_tagged_answer() {
    let script = format!(
        r"
! fill 5
{LOGIN}
C: b1 ENABLE QRESYNC
S: * ENABLED QRESYNC
S*: b1 OK {{{{.*}}}}
C: b2 STORE 1:3 +FLAGS.SILENT (\Deleted)
S*: b2 OK stored
C: b3 STORE 4:5 +FLAGS.SILENT (\Deleted)
S*: b3 OK stored
C: b4 UID EXPUNGE 1:*
S: * NO [MESSAGELIMIT 3 3] {{{{.*}}}}
S: * VANISHED 3:5
S: b4 OK [HIGHESTMODSEQ {{{{\d+}}}}] expunged
"
    );
    dialogue(&mut server(3, 0).await, &script).await;
}

#[tokio::test]
async fn copy_does_all_or_nothing() {
    let script = format!(
        r"
! fill 5
{LOGIN}
C: b1 COPY 1:* Trash
S: b1 NO [MESSAGELIMIT 2 4] {{{{.*}}}}
C: b2 STATUS Trash (MESSAGES)
S: * STATUS {q}Trash{q} (MESSAGES 0)
S: b2 OK {{{{.*}}}}
C: b3 UID COPY 1,5:9 Trash
S: b3 OK [COPYUID {{{{\d+}}}} 1,5 1:2] copied
# One APPEND of three messages adds none; two it adds.
C: b5 APPEND Trash {{3+}}
C: a:b {{3+}}
C: a:b {{3+}}
C: a:b
S: b5 NO [MESSAGELIMIT 2] {{{{.*}}}}
C: b6 APPEND Trash {{3+}}
C: a:b {{3+}}
C: a:b
S: b6 OK [APPENDUID {{{{\d+}}}} 3:4] {{{{.*}}}}
# SAVELIMIT is no limit for others.
C: b4 SEARCH ALL
S: * SEARCH 1 2 3 4 5
S: b4 OK searched
",
        q = '"'
    );
    dialogue(&mut server(0, 2).await, &script).await;
}
