//! Several sessions on one mailbox: two write at random, others listen in every way there is, and
//! what each has been told is, in the end, what the mailbox holds.

use crate::common::{Server, Setup};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::Zlib;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Operations of each writer, and commands of each listener.
const ROUNDS: usize = 120;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

struct Client(BufReader<Zlib<TcpStream>>);

impl Client {
    async fn login(server: &Server) -> Self {
        let tcp = TcpStream::connect(server.address)
            .await
            .expect("a listener");
        tcp.set_nodelay(true).expect("a socket");
        let mut client = Self(BufReader::new(Zlib::new(tcp)));
        client.line().await;
        client.ok("LOGIN alice secret").await;
        client
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        let read = tokio::time::timeout(Duration::from_secs(30), read).await;
        assert_ne!(read.expect("in time").expect("read"), 0, "closed");
        line.trim_end().to_owned()
    }

    /// Sends a command that must be answered OK, and returns what came before that.
    async fn ok(&mut self, command: &str) -> Vec<String> {
        self.send(&format!("t {command}\r\n")).await;
        self.answer(command).await
    }

    async fn answer(&mut self, command: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(answer) = line.strip_prefix("t ") {
                assert!(answer.starts_with("OK "), "{command}: {answer}");
                return lines;
            }
            lines.push(line);
        }
    }
}

/// A message as a client knows it.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

/// The mailbox as a client knows it, from what it was told.
#[derive(Default)]
struct Mirror(Vec<Known>);

impl Mirror {
    fn told(&mut self, lines: &[String]) {
        for line in lines {
            self.apply(line);
        }
    }

    fn apply(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", n, "EXISTS"] => {
                let n = n.parse().expect("a number");
                assert!(n >= self.0.len(), "{line}: {} were known", self.0.len());
                self.0.resize(n, Known::default());
            }
            ["*", n, "EXPUNGE"] => {
                let n: usize = n.parse().expect("a number");
                assert!((1..=self.0.len()).contains(&n), "{line}");
                self.0.remove(n - 1);
            }
            ["*", "VANISHED", set] => {
                for range in set.split(',') {
                    let (a, b) = range.split_once(':').unwrap_or((range, range));
                    let (a, b): (u32, u32) = (a.parse().expect("a uid"), b.parse().expect("a uid"));
                    self.0
                        .retain(|m| m.uid.is_none_or(|uid| uid < a || uid > b));
                }
            }
            ["*", n, "FETCH", ..] => {
                let n: usize = n.parse().expect("a number");
                let uid = after(line, "UID ");
                let uid = uid.and_then(|uid| uid.split([' ', ')']).next()?.parse().ok());
                self.fetched(n - 1, uid, line);
            }
            // RFC 9586: no numbers. A message not known yet is one of those that have come, and
            // stands in the order of uids: a flag of the second may be told before the first is
            // fetched.
            ["*", uid, "UIDFETCH", ..] => {
                let uid = uid.parse().expect("a uid");
                let known = self.0.iter().position(|m| m.uid == Some(uid));
                let new = || self.0.iter().position(|m| m.uid.is_none());
                let at = known.or_else(new).expect("a message that EXISTS");
                self.fetched(at, Some(uid), line);
                self.0.sort_by_key(|m| m.uid.unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
}

impl Mirror {
    fn fetched(&mut self, at: usize, uid: Option<u32>, line: &str) {
        let message = &mut self.0[at];
        if uid.is_some() {
            assert!(
                message.uid.is_none() || message.uid == uid,
                "{line}: {message:?}"
            );
            message.uid = uid;
        }
        if let Some(flags) = after(line, "FLAGS (") {
            let flags = flags.split(')').next().unwrap_or_default().split(' ');
            let flags = flags.filter(|flag| !flag.is_empty() && *flag != "\\Recent");
            message.flags = Some(flags.map(str::to_owned).collect());
        }
    }
}

fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.find(word).and_then(|at| line.get(at + word.len()..))
}

/// Changes INBOX at random.
async fn write(mut client: Client, seed: u64) {
    let mut rng = Rng(seed);
    client.ok("SELECT INBOX").await;
    for round in 0..ROUNDS {
        let (a, b) = (rng.below(3 * ROUNDS) + 1, rng.below(3 * ROUNDS) + 1);
        let flag = ["\\Seen", "\\Flagged", "\\Answered", "$Work"][rng.below(4)];
        match rng.below(8) {
            0..=2 => {
                let body = format!("Subject: {seed} {round}\r\n\r\nx\r\n");
                let append = format!("APPEND INBOX ({flag}) {{{}+}}\r\n{body}", body.len());
                client.ok(&append).await;
            }
            3 => drop(
                client
                    .ok(&format!("UID STORE {a}:{b} +FLAGS ({flag})"))
                    .await,
            ),
            4 => drop(
                client
                    .ok(&format!("UID STORE {a}:{b} -FLAGS.SILENT ({flag})"))
                    .await,
            ),
            5 => drop(client.ok(&format!("UID COPY {a} INBOX")).await),
            6 => drop(client.ok(&format!("UID MOVE {a} Trash")).await),
            _ => {
                client
                    .ok(&format!("UID STORE {a}:{} +FLAGS (\\Deleted)", a + 3))
                    .await;
                client.ok("EXPUNGE").await;
            }
        }
    }
}

/// How a client listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// NOOP and commands with sequence numbers, which must mean what they meant.
    Poll,
    /// IDLE.
    Idle,
    /// NOTIFY, with expunges at any time.
    Notify,
    /// NOTIFY, with numbers that hold.
    Delayed,
    /// NOTIFY and VANISHED.
    Qresync,
    /// NOTIFY and no numbers at all.
    UidOnly,
}

async fn listen(server: &Server, way: Way, compressed: bool, seed: u64) -> (Client, Mirror) {
    let mut client = Client::login(server).await;
    if compressed {
        client.ok("COMPRESS DEFLATE").await;
    }
    match way {
        Way::Qresync => drop(client.ok("ENABLE QRESYNC").await),
        Way::UidOnly => drop(client.ok("ENABLE UIDONLY").await),
        _ => {}
    }
    let selected = match way {
        Way::Delayed => "selected-delayed",
        _ => "selected",
    };
    if !matches!(way, Way::Poll | Way::Idle) {
        let events = "(MessageNew (UID FLAGS) MessageExpunge FlagChange)";
        let others = "(personal (MessageNew MessageExpunge FlagChange MailboxName))";
        client
            .ok(&format!("NOTIFY SET ({selected} {events}) {others}"))
            .await;
    }
    let (mut mirror, mut rng) = (Mirror::default(), Rng(seed));
    mirror.told(&client.ok("SELECT INBOX").await);
    mirror.told(&client.ok("UID FETCH 1:* (FLAGS)").await);
    for _ in 0..ROUNDS {
        let lines = match (way, rng.below(4)) {
            (Way::Idle, _) => {
                client.send("t IDLE\r\n").await;
                let mut lines = Vec::new();
                // A few lines, if any come before this client has enough.
                while lines.last().is_none_or(|line| line != "+ idling") {
                    lines.push(client.line().await);
                }
                client.send("DONE\r\n").await;
                lines.extend(client.answer("IDLE").await);
                lines
            }
            (Way::Poll | Way::Delayed, 0) if !mirror.0.is_empty() => {
                let n = rng.below(mirror.0.len()) + 1;
                let lines = client.ok(&format!("FETCH {n} (UID FLAGS)")).await;
                // The number holds until the answer: nothing is expunged before.
                let shifted = lines.iter().any(|line| line.ends_with(" EXPUNGE"));
                assert!(!shifted, "{way:?}: {lines:?}");
                lines
            }
            (_, 1) => client.ok("UID STORE 1:* +FLAGS.SILENT (Mine)").await,
            (_, 2) => client.ok("UID FETCH 1:* (FLAGS)").await,
            _ => client.ok("NOOP").await,
        };
        mirror.told(&lines);
    }
    (client, mirror)
}

/// Two clients that write at once, to the end.
async fn write_twice(server: &Server, seed: u64) {
    let (a, b) = (Client::login(server).await, Client::login(server).await);
    tokio::join!(write(a, seed), write(b, seed ^ 0xffff));
}

/// What a listener knows after a NOOP is what the mailbox holds; nothing is written meanwhile.
async fn agrees(server: &Server, way: Way, (mut client, mut mirror): (Client, Mirror)) {
    mirror.told(&client.ok("NOOP").await);
    let mut fresh = Client::login(server).await;
    let mut truth = Mirror::default();
    truth.told(&fresh.ok("EXAMINE INBOX").await);
    truth.told(&fresh.ok("UID FETCH 1:* (FLAGS)").await);
    assert_eq!(mirror.0.len(), truth.0.len(), "{way:?}");
    for (told, is) in mirror.0.iter().zip(&truth.0) {
        assert!(told.uid.is_none() || told.uid == is.uid, "{told:?} {is:?}");
        // STORE.SILENT of this client is not told to it.
        let others = |flags: &BTreeSet<String>| {
            let mut flags = flags.clone();
            flags.remove("Mine");
            flags
        };
        let (told, is) = (
            told.flags.as_ref().map(others),
            is.flags.as_ref().map(others),
        );
        assert!(
            told.is_none() || told == is,
            "{way:?}: {told:?}, but {is:?}"
        );
        if !matches!(way, Way::Poll | Way::Idle) {
            assert!(
                told.is_some(),
                "{way:?}: the flags of a message were not told"
            );
        }
    }
    assert_eq!(server.problems().await, Vec::<String>::new());
}

#[tokio::test]
async fn listeners_of_every_kind_are_told_everything_once() {
    for seed in [3, 77] {
        for way in [
            Way::Poll,
            Way::Idle,
            Way::Notify,
            Way::Delayed,
            Way::Qresync,
            Way::UidOnly,
        ] {
            eprintln!("{way:?}, seed {seed}");
            let server = Setup::default().start().await;
            let listening = listen(&server, way, seed == 77, seed + 1);
            let ((), listener) = tokio::join!(write_twice(&server, seed), listening);
            agrees(&server, way, listener).await;
        }
    }
}

#[tokio::test]
async fn listeners_of_all_kinds_at_once_end_with_the_same_picture() {
    for seed in [5, 91] {
        eprintln!("seed {seed}");
        let server = Setup::default().start().await;
        let listen = |way, more| listen(&server, way, false, seed + more);
        // They store flags as well, and each is told of the others'.
        let ((), poll, delayed, notify, qresync, uid_only, second) = tokio::join!(
            write_twice(&server, seed),
            listen(Way::Poll, 1),
            listen(Way::Delayed, 2),
            listen(Way::Notify, 3),
            listen(Way::Qresync, 4),
            listen(Way::UidOnly, 5),
            listen(Way::Qresync, 6),
        );
        for (way, listener) in [
            (Way::Poll, poll),
            (Way::Delayed, delayed),
            (Way::Notify, notify),
            (Way::Qresync, qresync),
            (Way::UidOnly, uid_only),
            (Way::Qresync, second),
        ] {
            agrees(&server, way, listener).await;
        }
    }
}

/// Selects and leaves INBOX until there are `all` messages; the uids it was shown as `\Recent`.
async fn take_recent(mut client: Client, all: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    let mut seen = 0;
    while seen < all {
        client.ok("SELECT INBOX").await;
        let mut recent;
        loop {
            let lines = client.ok("UID SEARCH RECENT").await;
            let found = lines.iter().find_map(|line| line.strip_prefix("* SEARCH"));
            let found = found.expect("an answer").split_whitespace();
            recent = found.map(|uid| uid.parse().expect("a uid")).collect();
            // What came behind the answer is in the next one.
            if !lines.iter().any(|line| line.ends_with(" EXISTS")) {
                break;
            }
        }
        taken.append(&mut recent);
        let lines = client.ok("STATUS INBOX (MESSAGES)").await;
        let count = after(&lines[0], "(MESSAGES ").and_then(|n| n.strip_suffix(')'));
        seen = count.and_then(|n| n.parse().ok()).expect("a number");
        client.ok("UNSELECT").await;
    }
    // What came last is taken now by whoever is first.
    client.ok("SELECT INBOX").await;
    let lines = client.ok("UID SEARCH RECENT").await;
    let found = lines.iter().find_map(|line| line.strip_prefix("* SEARCH"));
    let found = found.expect("an answer").split_whitespace();
    taken.extend(found.map(|uid| uid.parse::<u32>().expect("a uid")));
    taken
}

/// RFC 3501 2.3.2: `\Recent` means that "this session is the first session to have been notified".
#[tokio::test]
async fn recent_is_given_to_one_session_each() {
    const MESSAGES: usize = 150;
    let server = Setup::default().start().await;
    let mut writer = Client::login(&server).await;
    let writing = async {
        for n in 0..MESSAGES {
            let body = format!("Subject: {n}\r\n\r\nx\r\n");
            let append = format!("APPEND INBOX {{{}+}}\r\n{body}", body.len());
            writer.ok(&append).await;
        }
    };
    let clients = [
        Client::login(&server).await,
        Client::login(&server).await,
        Client::login(&server).await,
    ];
    let [a, b, c] = clients.map(|client| take_recent(client, MESSAGES));
    let ((), a, b, c) = tokio::join!(writing, a, b, c);
    let mut all = [a, b, c].concat();
    all.sort_unstable();
    let wanted: Vec<u32> = (1..=MESSAGES as u32).collect();
    assert_eq!(all, wanted);
}

#[tokio::test]
async fn flags_that_two_sessions_change_at_once_are_all_kept() {
    let server = Setup::default().start().await;
    let mut filler = Client::login(&server).await;
    for _ in 0..20 {
        filler.ok("APPEND INBOX {3+}\r\nx\r\n").await;
    }
    let store = async |which: &str| {
        let mut client = Client::login(&server).await;
        client.ok("SELECT INBOX").await;
        for n in 1..=20 {
            client.ok(&format!("STORE {n} +FLAGS ({which})")).await;
            client
                .ok(&format!("STORE {n} -FLAGS.SILENT (No{which})"))
                .await;
        }
    };
    tokio::join!(store("One"), store("Two"), store("Three"));
    filler.ok("EXAMINE INBOX").await;
    let lines = filler
        .ok("SEARCH KEYWORD One KEYWORD Two KEYWORD Three")
        .await;
    let all: Vec<String> = (1..=20).map(|n| n.to_string()).collect();
    assert!(
        lines.contains(&format!("* SEARCH {}", all.join(" "))),
        "{lines:?}"
    );
}
