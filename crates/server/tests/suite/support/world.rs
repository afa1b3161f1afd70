//! A small world of mail, and what clients see of it.

use std::path::Path;
use storage::{Batch, MetaStore, Scan};
use storage_sled::SledStore;
use testkit::corpus::{Chance, Corpus};
use testkit::programs::command;
use testkit::{ImapClient, LmtpClient, PASSWORD, Pop3Client, Server};
use types::AccountId;

/// Everything clients can see of alice, bob and carol.
pub(crate) fn everything(server: &Server) -> Vec<String> {
    let mut seen = Vec::new();
    for user in ["alice", "bob", "carol"] {
        let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
        for command in ["LIST \"\" * RETURN (SUBSCRIBED SPECIAL-USE)", "LSUB \"\" *"] {
            seen.extend(imap.ok(command).into_iter().map(|line| line.text));
        }
        let names: Vec<String> = imap
            .ok("LIST \"\" *")
            .into_iter()
            .map(|line| line.text)
            .collect();
        for name in names.iter().filter_map(|line| line.rsplit(' ').next()) {
            let items = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ";
            seen.push(imap.ok(&format!("STATUS {name} ({items})"))[0].text.clone());
            imap.ok(&format!("EXAMINE {name} (CONDSTORE)"));
            let items =
                "UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[]";
            for row in imap.command(&format!("UID FETCH 1:* ({items})")).0 {
                let hashes = row.literals.iter().map(|literal| blake3::hash(literal));
                let hashes: Vec<String> = hashes.map(|hash| hash.to_string()).collect();
                seen.push(format!("{name} {} {}", row.text, hashes.join(" ")));
            }
        }
        let mut pop3 = Pop3Client::login(server.pop3(), user, PASSWORD);
        seen.extend(pop3.rows("UIDL"));
        seen.extend(pop3.rows("LIST"));
    }
    seen
}

/// A stretch of life: mail arrives, is filed, flagged, moved and removed; folders come and go.
pub(crate) fn live(server: &Server, seed: u64) {
    live_on(server, seed, &mut Corpus::new(seed));
}

/// The same with other mail.
pub(crate) fn live_on(server: &Server, seed: u64, mail: &mut dyn Iterator<Item = Vec<u8>>) {
    let mut chance = Chance::new(seed);
    let mut lmtp = LmtpClient::connect(server.lmtp());
    for user in ["alice", "bob", "carol"] {
        let mut imap = ImapClient::login(server.imap(), user, PASSWORD);
        let folder = format!("Folder{seed}");
        imap.ok(&format!("CREATE {folder}/Inner"));
        imap.ok(&format!("SUBSCRIBE {folder}/Inner"));
        for message in mail.take(12) {
            lmtp.deliver_ok(user, &message);
        }
        for message in mail.take(4) {
            let answer = imap.append(&folder, "\\Seen $Label", &message);
            assert!(answer.starts_with("OK"), "{answer}");
        }
        imap.ok("SELECT INBOX");
        for flag in ["\\Seen", "\\Flagged", "$Later", "\\Deleted"] {
            let from = chance.between(1, 9);
            let to = from + chance.between(0, 4);
            imap.ok(&format!("STORE {from}:{to} +FLAGS ({flag})"));
        }
        imap.ok("EXPUNGE");
        imap.ok(&format!("COPY 1:2 {folder}/Inner"));
        imap.ok(&format!("MOVE 3 {folder}"));
        imap.ok(&format!("RENAME {folder}/Inner Renamed{seed}"));
        imap.ok(&format!("CREATE Gone{seed}"));
        imap.ok(&format!("DELETE Gone{seed}"));
        drop(imap);
        let mut pop3 = Pop3Client::login(server.pop3(), user, PASSWORD);
        pop3.retr(2);
        pop3.ok("DELE 1");
        pop3.quit();
    }
}

/// How the server stops before its files are tampered with.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    Clean,
    Kill,
}

pub(crate) fn stop(server: &mut Server, how: Stop) {
    match how {
        Stop::Clean => assert!(server.terminate().success()),
        Stop::Kill => server.kill(),
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    // Files may come and go while a running server is copied from: cp may complain.
    let mut cp = command("cp", Path::new("/"));
    let _ = cp.arg("-r").arg(from).arg(to).output().unwrap();
    assert!(to.is_dir());
}

/// Removes the account notes from the metadata, as if a version had written it that knew none.
pub(crate) fn forget_notes(data_dir: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = storage_sled::Options::default();
        let meta = SledStore::open(&data_dir.join("meta"), options, &|_| {}).unwrap();
        let notes = meta.scan(AccountId::SYSTEM, Scan::prefix(&b"B"[..], 100));
        let mut batch = Batch::new();
        for (key, _) in notes.await.unwrap().entries {
            batch.delete(key);
        }
        batch.delete(&b"N"[..]);
        let commit = meta.commit(AccountId::SYSTEM, batch).await.unwrap();
        commit.durable().await.unwrap();
        meta.close().await.unwrap();
    });
}
