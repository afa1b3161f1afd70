//! Searches that are kept up to date, beside two writers: a client that does what ADDTO and
//! REMOVEFROM say has, in the end and at any time in between, what a new search finds.

use crate::common::{Setup, dialogue};
use std::net::SocketAddr;
use std::sync::Arc;
use storage::{Call, ErrorKind, FaultBlobs, Faults, MemoryBlobs};
use testkit::ImapClient;
use tokio::task::spawn_blocking;

/// Operations of each writer, and commands of the listener.
const ROUNDS: usize = 150;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// What is searched: command, order, criteria.
const SEARCHES: &[(&str, &str, &str)] = &[
    ("UID SEARCH", "", "UNDELETED"),
    ("UID SEARCH", "", "OR SUBJECT a NOT KEYWORD k"),
    ("SEARCH", "", "FLAGGED"),
    ("SEARCH", "", "BODY x UID 5:*"),
    ("SEARCH", "", "ALL"),
    ("UID SORT", "(SUBJECT) UTF-8 ", "UNSEEN"),
    ("UID SORT", "(REVERSE SUBJECT FROM) UTF-8 ", "ALL"),
    (
        "UID SORT",
        "(REVERSE MODSEQ SUBJECT) UTF-8 ",
        "NOT ANSWERED",
    ),
    ("SORT", "(SIZE REVERSE SUBJECT) UTF-8 ", "OR FLAGGED SEEN"),
    ("SORT", "(MODSEQ) UTF-8 ", "ALL"),
];

/// A list of results as the client has it.
struct Live {
    tag: String,
    is_uid: bool,
    is_sorted: bool,
    list: Vec<u32>,
}

fn numbers(set: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for range in set.split(',').filter(|range| !range.is_empty()) {
        let (a, b) = range.split_once(':').unwrap_or((range, range));
        let (a, b): (u32, u32) = (a.parse().expect("a number"), b.parse().expect("a number"));
        assert!(a <= b, "{set}");
        all.extend(a..=b);
    }
    all
}

impl Live {
    /// RFC 5267 4.3.3 and 4.3.4, as a client reads them.
    fn obey(&mut self, line: &str) {
        if let Some(n) = line
            .strip_suffix(" EXPUNGE")
            .and_then(|l| l.strip_prefix("* "))
        {
            let n: u32 = n.parse().expect("a number");
            if !self.is_uid {
                assert!(
                    !self.list.contains(&n),
                    "{n} was expunged and is in {:?}",
                    self.list
                );
                self.list
                    .iter_mut()
                    .filter(|m| **m > n)
                    .for_each(|m| *m -= 1);
            }
            return;
        }
        let head = format!("* ESEARCH (TAG \"{}\")", self.tag);
        let Some(mut rest) = line.strip_prefix(&head) else {
            return;
        };
        if self.is_uid {
            rest = rest.strip_prefix(" UID").expect("UID");
        }
        while let Some((word, more)) = rest.trim_start().split_once(" (") {
            let (pairs, more) = more.split_once(')').expect("a list");
            let words: Vec<&str> = pairs.split(' ').collect();
            for pair in words.chunks(2) {
                let at: usize = pair[0].parse().expect("a position");
                let set = numbers(pair[1]);
                assert_eq!(at > 0, self.is_sorted, "{line}");
                match word {
                    "ADDTO" => self.add(at, &set, line),
                    "REMOVEFROM" => self.remove(at, &set, line),
                    _ => panic!("{line}"),
                }
            }
            rest = more;
        }
    }

    fn add(&mut self, at: usize, set: &[u32], line: &str) {
        assert!(
            set.iter().all(|n| !self.list.contains(n)),
            "{line}: {:?}",
            self.list
        );
        match at {
            0 => {
                self.list.extend(set);
                self.list.sort_unstable();
            }
            at => drop(self.list.splice(at - 1..at - 1, set.iter().copied())),
        }
    }

    fn remove(&mut self, at: usize, set: &[u32], line: &str) {
        match at {
            0 => {
                assert!(
                    set.iter().all(|n| self.list.contains(n)),
                    "{line}: {:?}",
                    self.list
                );
                self.list.retain(|n| !set.contains(n));
            }
            at => {
                let gone: Vec<u32> = self.list.drain(at - 1..at - 1 + set.len()).collect();
                assert_eq!(gone, set, "{line}");
            }
        }
    }
}

fn listen(address: SocketAddr, seed: u64) -> (ImapClient, Vec<Live>) {
    let mut client = ImapClient::login(address, "alice", "secret");
    client.ok("SELECT INBOX");
    let mut live: Vec<Live> = Vec::new();
    for (command, order, criteria) in SEARCHES {
        let tag = client.start(&format!("{command} RETURN (UPDATE ALL) {order}{criteria}"));
        let (lines, answer) = client.finish(&tag);
        assert!(answer.starts_with("OK"), "{answer}");
        let mut list = Vec::new();
        let mut late = Vec::new();
        for line in lines {
            let is_answer = line.text.starts_with(&format!("* ESEARCH (TAG \"{tag}\")"));
            match line.text.split_once(" ALL ") {
                Some((_, set)) if is_answer => list = numbers(set),
                _ => late.push(line.text),
            }
        }
        live.push(Live {
            tag,
            is_uid: command.starts_with("UID"),
            is_sorted: !order.is_empty(),
            list,
        });
        // Those before are told of changes all the while, and this one after its answer.
        late.iter()
            .for_each(|line| live.iter_mut().for_each(|live| live.obey(line)));
    }
    let mut rng = Rng(seed);
    for _ in 0..ROUNDS {
        let lines = match rng.below(6) {
            0 => client.ok("FETCH 1 UID"),
            1 => client.ok("UID STORE 1:* -FLAGS.SILENT (\\Answered)"),
            2 => client.ok("UID STORE * +FLAGS (\\Flagged k)"),
            3 => {
                client.idle();
                client.done()
            }
            _ => client.ok("NOOP"),
        };
        for line in lines {
            live.iter_mut().for_each(|live| live.obey(&line.text));
        }
    }
    (client, live)
}

/// Once nobody writes any more.
fn check(mut client: ImapClient, mut live: Vec<Live>) {
    for line in client.ok("NOOP") {
        live.iter_mut().for_each(|live| live.obey(&line.text));
    }
    for (live, (command, order, criteria)) in live.iter().zip(SEARCHES) {
        let found = client.ok(&format!("{command} RETURN (ALL) {order}{criteria}"));
        let set = found.iter().find_map(|line| line.text.split_once(" ALL "));
        let expected = set.map_or(Vec::new(), |(_, set)| numbers(set));
        assert_eq!(live.list, expected, "{command} {order}{criteria}");
    }
}

fn write(address: SocketAddr, seed: u64) {
    let mut client = ImapClient::login(address, "alice", "secret");
    client.ok("SELECT INBOX");
    let mut rng = Rng(seed);
    for _ in 0..ROUNDS {
        let a = rng.below(80) + 1;
        let b = a + rng.below(6);
        match rng.below(8) {
            0 | 1 => {
                let subject = rng.one(&["a", "B", "c", "ab", "D", ""]);
                let body = rng.one(&["x", "yy", "xxx"]);
                let text = format!("Subject: {subject}\r\nFrom: {body}@y\r\n\r\n{body}\r\n");
                let answer =
                    client.append("INBOX", rng.one(&["", "\\Flagged", "k"]), text.as_bytes());
                assert!(answer.starts_with("OK"), "{answer}");
            }
            2 => {
                client.ok(&format!("UID STORE {a} +FLAGS.SILENT (\\Deleted)"));
                client.ok("EXPUNGE");
            }
            n => {
                let sign = rng.one(&["+", "-"]);
                let flags = ["\\Seen", "\\Flagged", "\\Answered", "k", "\\Deleted"];
                let flag = flags[n - 3];
                client.ok(&format!("UID STORE {a}:{b} {sign}FLAGS.SILENT ({flag})"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_obeys_has_what_a_new_search_finds() {
    let server = Setup::default().start().await;
    let address = server.address;
    for round in 1..=4u64 {
        let writers = [11, 13].map(|n| spawn_blocking(move || write(address, n * round)));
        let listener = spawn_blocking(move || listen(address, 17 * round));
        for writer in writers {
            writer.await.expect("a writer");
        }
        let checked = match listener.await {
            Ok((client, live)) => spawn_blocking(move || check(client, live)).await,
            Err(error) => Err(error),
        };
        checked.unwrap_or_else(|error| panic!("seed {round}: {error}"));
    }
    assert_eq!(server.problems().await, Vec::<String>::new());
}

/// A server that counts and fails reads of messages as the faults say.
fn with_faults(faults: &Faults) -> Setup {
    Setup {
        blobs: Arc::new(FaultBlobs::new(MemoryBlobs::new(), faults.clone())),
        ..Setup::default()
    }
}

#[tokio::test]
async fn only_what_has_changed_is_looked_at_again() {
    let faults = Faults::default();
    let mut server = with_faults(&faults).start().await;
    let begin = "! fill 300\n\
        S: * OK {{.*}}\n\
        C: a1 LOGIN alice secret\n\
        S: a1 OK {{.*}}\n\
        C: a2 SELECT INBOX\n\
        S*: a2 OK {{.*}}\n\
        C: c1 UID SEARCH RETURN (UPDATE COUNT) UNSEEN OR BODY \"Body 77\" TEXT Nebula\n\
        S: * ESEARCH (TAG \"c1\") UID COUNT 1\n\
        S: c1 OK searched\n\
        C: c2 UID SORT RETURN (UPDATE COUNT) (SUBJECT) UTF-8 BODY Body\n\
        S: * ESEARCH (TAG \"c2\") UID COUNT 300\n\
        S: c2 OK sorted\n";
    dialogue(&mut server, begin).await;
    let all = faults.calls(Call::BlobGet);
    let change = "! append INBOX\n\
        | Subject: message 30\n\
        |\n\
        | Body nebula\n\
        C: b1 STORE 77 +FLAGS.SILENT (\\Seen)\n\
        S: * 301 EXISTS\n\
        S: * {{\\d+}} RECENT\n\
        S: * ESEARCH (TAG \"c1\") UID REMOVEFROM (0 77) ADDTO (0 301)\n\
        S: * ESEARCH (TAG \"c2\") UID ADDTO (225 301)\n\
        S: b1 OK stored\n";
    dialogue(
        &mut server,
        &format!("{begin}{change}").replace("! fill 300\n", ""),
    )
    .await;
    // The second time both searches have read all, and the changes what has changed: the new
    // message twice, and the one with another flag once, as `UNSEEN` rules it out for the other.
    let again = faults.calls(Call::BlobGet) - all;
    assert!(all >= 300 && again <= all + 4, "{again} reads after {all}");
}

#[tokio::test]
async fn a_context_that_cannot_be_followed_ends() {
    let faults = Faults::default();
    let mut server = with_faults(&faults).start().await;
    faults.switch(false);
    faults.fail_every(Call::BlobGet, ErrorKind::Unavailable);
    server.faults = Some(faults);
    dialogue(
        &mut server,
        "S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 SELECT INBOX\n\
         S*: a2 OK {{.*}}\n\
         C: c1 UID SEARCH RETURN (UPDATE COUNT) BODY hello\n\
         S: * ESEARCH (TAG \"c1\") UID COUNT 0\n\
         S: c1 OK searched\n\
         C: c2 UID SEARCH RETURN (UPDATE COUNT) UNSEEN\n\
         S: * ESEARCH (TAG \"c2\") UID COUNT 0\n\
         S: c2 OK searched\n\
         ! append INBOX\n\
         ! break\n\
         C: b1 NOOP\n\
         S: * 1 EXISTS\n\
         S: * 1 RECENT\n\
         S: * NO [NOUPDATE \"c1\"] its results cannot be kept up to date any longer\n\
         S: * ESEARCH (TAG \"c2\") UID ADDTO (0 1)\n\
         S: b1 OK {{.*}}\n\
         ! heal\n\
         ! append INBOX\n\
         C: b2 NOOP\n\
         S: * 2 EXISTS\n\
         S: * 2 RECENT\n\
         S: * ESEARCH (TAG \"c2\") UID ADDTO (0 2)\n\
         S: b2 OK {{.*}}\n\
         C: b3 CANCELUPDATE \"c1\"\n\
         S: b3 BAD no UPDATE has that tag\n",
    )
    .await;
}
