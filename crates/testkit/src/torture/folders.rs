//! Bob's client: folders that come, are filled and go, and an INBOX that is emptied.

use super::knowledge::{Event, Growth};
use super::load::{BOB, Client, ENOUGH, append_uid, goes};
use crate::ImapClient;

/// How the names of his folders begin.
pub(super) const FOLDERS: &str = "Tree";

impl Client<'_> {
    /// Makes, fills, renames, subscribes to and removes folders of bob, and empties his INBOX.
    pub(super) fn folders(mut self) {
        let mut imap = self.imap("bob");
        loop {
            if self.ledger.count(BOB) > ENOUGH / 2 {
                self.empty_inbox();
            }
            let tree = self.ledger.tree();
            let there: Vec<&String> = tree.folders.keys().collect();
            let new = format!("{FOLDERS}{}", self.chance.below(6));
            let growth = match (there.is_empty(), self.chance.below(6)) {
                (true, _) | (_, 0) if !tree.folders.contains_key(&new) => Growth::Create(new),
                (false, 1) => Growth::Delete(self.chance.pick(&there).clone()),
                (false, 2) if !tree.folders.contains_key(&new) => {
                    Growth::Rename(self.chance.pick(&there).clone(), new)
                }
                (false, 3) => Growth::Subscribe(self.chance.pick(&there).clone()),
                (false, _) => {
                    self.append_to(&mut imap, self.pick(&there));
                    continue;
                }
                (true, _) => continue,
            };
            let line = match &growth {
                Growth::Create(name) => format!("CREATE {name}"),
                Growth::Delete(name) => format!("DELETE {name}"),
                Growth::Rename(old, new) => format!("RENAME {old} {new}"),
                Growth::Subscribe(name) => format!("SUBSCRIBE {name}"),
                Growth::Append(..) => continue,
            };
            self.ledger.write(Event::Growing(growth));
            imap.ok(&line);
            self.ledger.write(Event::Grown);
            self.tell();
        }
    }

    fn pick(&self, there: &[&String]) -> String {
        let at = (self.ledger.commands() as usize) % there.len();
        there[at].clone()
    }

    fn append_to(&mut self, imap: &mut ImapClient, folder: String) {
        let message = self.message();
        let hash = blake3::hash(&message);
        self.ledger
            .write(Event::Growing(Growth::Append(folder.clone(), hash)));
        let answer = imap.append(&folder, "", &message);
        let (validity, uid) = append_uid(&answer);
        self.ledger.write(Event::Grown);
        self.ledger
            .write(Event::InFolder(folder, validity, uid, hash));
        self.tell();
    }

    /// Everything that is in bob's INBOX goes by CLOSE.
    fn empty_inbox(&mut self) {
        let mut imap = self.imap("bob");
        imap.ok("SELECT INBOX");
        let mut effects = Vec::new();
        let rows = imap.ok("UID FETCH 1:* (BODY.PEEK[])");
        for row in rows.iter().filter(|row| !row.literals.is_empty()) {
            let hash = blake3::hash(&row.literals[0]);
            self.ledger.write(Event::Seen(BOB, hash));
            effects.push(goes(BOB, hash));
        }
        if effects.is_empty() {
            return;
        }
        let command = self.ledger.send(&effects);
        // No mail that has come since is told of between these two.
        imap.ok(&format!(
            "STORE 1:{} +FLAGS.SILENT (\\Deleted)",
            effects.len()
        ));
        imap.ok("CLOSE");
        self.done(command);
    }
}
