//! Random sessions beside a random IMAP client, against a naive picture of what each must see.

use crate::common::{Client, Rig};
use types::{Uid, UidSet};

/// SplitMix64: the seed is in the failure.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

#[derive(Clone)]
struct Message {
    uid: u32,
    body: String,
    seen: bool,
}

/// What one session was shown at login, and what it did since.
struct Session {
    client: Client,
    snapshot: Vec<Message>,
    deleted: Vec<bool>,
    retrieved: Vec<bool>,
    uidls: Vec<String>,
}

impl Session {
    async fn login(rig: &Rig, mailbox: &[Message]) -> Self {
        let mut client = rig.login().await;
        let uidls = client.rows("UIDL").await;
        let uidls = uidls
            .iter()
            .filter_map(|row| Some(row.split_once(' ')?.1.to_owned()));
        let (deleted, retrieved) = (vec![false; mailbox.len()], vec![false; mailbox.len()]);
        let uidls = uidls.collect();
        Self {
            client,
            snapshot: mailbox.to_vec(),
            deleted,
            retrieved,
            uidls,
        }
    }

    fn octets(&self) -> (usize, usize) {
        let left = self
            .snapshot
            .iter()
            .zip(&self.deleted)
            .filter(|(_, deleted)| !**deleted);
        left.fold((0, 0), |(n, sum), (message, _)| {
            (n + 1, sum + message.body.len())
        })
    }

    async fn step(&mut self, rng: &mut Rng) {
        let n = rng.below(self.snapshot.len() + 2);
        let index = n.checked_sub(1).filter(|i| *i < self.snapshot.len());
        let here = index.filter(|i| !self.deleted[*i]);
        match rng.below(8) {
            0 => {
                let (count, sum) = self.octets();
                assert_eq!(
                    self.client.command("STAT").await,
                    format!("+OK {count} {sum}")
                );
                assert_eq!(self.client.rows("LIST").await.len(), count);
            }
            1 if rng.below(10) == 0 => {
                assert_eq!(self.client.command("RSET").await, "+OK");
                self.deleted.fill(false);
            }
            1 | 2 => {
                let answer = self.client.command(&format!("DELE {n}")).await;
                assert_eq!(answer.starts_with("+OK"), here.is_some(), "{answer}");
                if let Some(i) = here {
                    self.deleted[i] = true;
                }
            }
            3 => {
                let answer = self.client.command(&format!("UIDL {n}")).await;
                match here {
                    Some(i) => assert_eq!(answer, format!("+OK {n} {}", self.uidls[i])),
                    None => assert!(answer.starts_with("-ERR"), "{answer}"),
                }
            }
            4 => {
                let answer = self.client.command(&format!("LIST {n}")).await;
                match here {
                    Some(i) => {
                        assert_eq!(answer, format!("+OK {n} {}", self.snapshot[i].body.len()));
                    }
                    None => assert!(answer.starts_with("-ERR"), "{answer}"),
                }
            }
            kind => {
                let top = kind == 5;
                let command = if top {
                    format!("TOP {n} 1")
                } else {
                    format!("RETR {n}")
                };
                let answer = self.client.command(&command).await;
                assert_eq!(answer.starts_with("+OK"), here.is_some(), "{answer}");
                if let Some(i) = here {
                    let body = String::from_utf8(self.client.body().await).expect("text");
                    let whole = &self.snapshot[i].body;
                    assert!(if top {
                        whole.starts_with(&body)
                    } else {
                        *whole == body
                    });
                    self.retrieved[i] |= !top;
                }
            }
        }
    }

    async fn quit(self, mailbox: &mut Vec<Message>) {
        assert_eq!(self.client.quit().await, "+OK bye");
        for (i, message) in self.snapshot.iter().enumerate() {
            if self.deleted[i] {
                mailbox.retain(|m| m.uid != message.uid);
            } else if self.retrieved[i] {
                mailbox
                    .iter_mut()
                    .filter(|m| m.uid == message.uid)
                    .for_each(|m| m.seen = true);
            }
        }
    }
}

async fn run(seed: u64) {
    let rig = Rig::start().await;
    let mut rng = Rng(seed);
    let mut mailbox: Vec<Message> = Vec::new();
    let mut next_uid = 1;
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..600 {
        match rng.below(30) {
            0..3 => {
                let lines = rng.below(400);
                let body = format!("Subject: {next_uid}\r\n\r\n{}", ".a line\r\n".repeat(lines));
                rig.append("INBOX", "", body.as_bytes(), 1).await;
                mailbox.push(Message {
                    uid: next_uid,
                    body,
                    seen: false,
                });
                next_uid += 1;
            }
            3 if !mailbox.is_empty() && rng.below(2) == 0 => {
                let gone = mailbox.remove(rng.below(mailbox.len())).uid;
                let inbox = rig
                    .alice
                    .select(rig.mailbox("INBOX"))
                    .await
                    .expect("selected");
                let uid = Uid::new(gone).expect("not 0");
                inbox
                    .expunge(&UidSet::range(uid, uid))
                    .await
                    .expect("expunged");
            }
            4 if sessions.len() < 4 => sessions.push(Session::login(&rig, &mailbox).await),
            5 if !sessions.is_empty() && rng.below(3) == 0 => {
                let session = sessions.swap_remove(rng.below(sessions.len()));
                // A dropped connection does nothing.
                if rng.below(4) > 0 {
                    session.quit(&mut mailbox).await;
                }
            }
            _ if !sessions.is_empty() => {
                let chosen = rng.below(sessions.len());
                sessions[chosen].step(&mut rng).await;
            }
            _ => {}
        }
    }
    for session in sessions {
        session.quit(&mut mailbox).await;
    }
    let want: Vec<(u32, bool)> = mailbox.iter().map(|m| (m.uid, m.seen)).collect();
    assert_eq!(rig.uids("INBOX").await, want, "seed {seed}");
    rig.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn design_5_sessions_keep_their_snapshot_and_only_quit_changes_the_mailbox() {
    for seed in 0..12 {
        println!("seed {seed}");
        run(seed).await;
    }
}
