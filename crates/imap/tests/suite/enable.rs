//! What is enabled does not depend on the order in which it was, nor what commands do on whether
//! they are sent one by one.

use crate::common::{Server, Setup};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &Server) -> Self {
        let tcp = TcpStream::connect(server.address)
            .await
            .expect("a listener");
        tcp.set_nodelay(true).expect("a socket");
        let mut client = Self(BufReader::new(tcp));
        client.line().await;
        client
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line).await.expect("read");
        assert_ne!(read, 0, "closed");
        String::from_utf8_lossy(&line).into_owned()
    }

    async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("sent");
    }

    /// Everything up to the answer with that tag.
    async fn until(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line().await);
            if lines
                .last()
                .is_some_and(|line| line.starts_with(&format!("{tag} ")))
            {
                return lines;
            }
        }
    }

    async fn say(&mut self, tag: &str, command: &str) -> Vec<String> {
        self.send(format!("{tag} {command}\r\n").as_bytes()).await;
        self.until(tag).await
    }
}

/// All orders of `items`.
fn permutations(items: &[&'static str]) -> Vec<Vec<&'static str>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (i, first) in items.iter().enumerate() {
        let others = [&items[..i], &items[i + 1..]].concat();
        for mut rest in permutations(&others) {
            rest.insert(0, first);
            all.push(rest);
        }
    }
    all
}

/// What each bit of the state shows itself by.
const PROBES: [&str; 10] = [
    "CAPABILITY",
    "CREATE \"&AOQ-\"",
    "LIST \"\" \"\u{e4}%\"",
    "EXAMINE inbox (QRESYNC (1 1))",
    "UID FETCH 1 (FLAGS)",
    "FETCH 1 (FLAGS)",
    "UID SEARCH ALL",
    "UID SEARCH CHARSET UTF-8 ALL",
    "STATUS \"\u{e4}\" (MESSAGES)",
    "SEARCH SUBJECT \"\u{e4}\"",
];

#[tokio::test]
async fn the_order_of_enabling_does_not_matter() {
    let mut server = Setup::default().start().await;
    crate::common::dialogue(
        &mut server,
        "! append INBOX \\Seen\n\
         ! append INBOX\n\
         S: * OK {{.*}}\n\
         C: a1 LOGIN alice secret\n\
         S: a1 OK {{.*}}\n\
         C: a2 CREATE \"&AOQ-\"\n\
         S: a2 OK {{.*}}\n\
         C: a3 CREATE \"&-AOQ-\"\n\
         S: a3 OK {{.*}}\n",
    )
    .await;
    let items = [
        "CONDSTORE",
        "QRESYNC",
        "UIDONLY",
        "IMAP4rev2",
        "UTF8=ACCEPT",
        "METADATA",
    ];
    let mut expected: Option<Vec<Vec<String>>> = None;
    for (n, order) in permutations(&items).into_iter().enumerate() {
        let mut client = Client::connect(&server).await;
        client.say("l", "LOGIN alice secret").await;
        // In one command, one by one, in two halves.
        let commands = match n % 3 {
            0 => vec![order.join(" ")],
            1 => order.iter().map(|item| (*item).to_owned()).collect(),
            _ => vec![order[..3].join(" "), order[3..].join(" ")],
        };
        for command in &commands {
            let lines = client.say("e", &format!("ENABLE {command}")).await;
            assert!(lines[0].starts_with("* ENABLED"), "{command}: {lines:?}");
        }
        let mut told = Vec::new();
        for probe in PROBES {
            told.push(client.say("p", probe).await);
        }
        match &expected {
            Some(expected) => assert_eq!(&told, expected, "{commands:?}"),
            None => expected = Some(told),
        }
    }
    let expected = expected.expect("orders");
    let answers: Vec<_> = expected.iter().map(|lines| lines.last().unwrap()).collect();
    let refused = answers.iter().filter(|line| !line.starts_with("p OK "));
    assert_eq!(
        refused.count(),
        4,
        "CREATE, FETCH, CHARSET, SEARCH: {answers:?}"
    );
    assert_eq!(server.problems().await, Vec::<String>::new());
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }
}

/// A command, right or wrong, in any state.
fn command(rng: &mut Rng) -> String {
    let boxes = [
        "INBOX",
        "a",
        "a/b",
        "c",
        "\"&AOQ-\"",
        "\"\u{e4}\"",
        "missing",
    ];
    let sets = ["1", "1:*", "2:3", "*", "9", "1,3:2", "$", "0"];
    let (name, other) = (rng.one_of(&boxes), rng.one_of(&boxes));
    let (set, uid) = (rng.one_of(&sets), rng.one_of(&["", "UID "]));
    let flag = rng.one_of(&["\\Seen", "\\Deleted", "$Work", "\\Answered"]);
    match rng.below(24) {
        0 => format!("CREATE {name}"),
        1 => format!("DELETE {name}"),
        2 => format!("RENAME {name} {other}"),
        3..=5 => format!("{} {name}", rng.one_of(&["SELECT", "EXAMINE"])),
        6 => rng.one_of(&["CLOSE", "UNSELECT"]).to_owned(),
        7..=10 => format!("APPEND {name} ({flag}) {{12+}}\r\nSubject: x\r\n"),
        11..=13 => format!(
            "{uid}STORE {set} {}FLAGS ({flag})",
            rng.one_of(&["+", "-", ""])
        ),
        14 => format!("{uid}COPY {set} {name}"),
        15 => format!("{uid}MOVE {set} {name}"),
        16 => rng.one_of(&["EXPUNGE", "UID EXPUNGE 1:3"]).to_owned(),
        17 => format!(
            "{uid}FETCH {set} {}",
            rng.one_of(&["FLAGS", "(UID BODY[])", "NOPE"])
        ),
        18 => format!(
            "{uid}SEARCH RETURN ({}) {flag}",
            rng.one_of(&["SAVE", "ALL SAVE", ""])
        )
        .replace("\\", "UN"),
        19 => format!(
            "{uid}SEARCH {}",
            rng.one_of(&["ALL", "DELETED", "1:2", "RECENT"])
        ),
        20 => format!("STATUS {name} (MESSAGES UNSEEN)"),
        21 => "LIST \"\" *".to_owned(),
        22 => format!(
            "ENABLE {}",
            rng.one_of(&["CONDSTORE", "IMAP4rev2", "QRESYNC"])
        ),
        _ => rng
            .one_of(&[
                "NOOP",
                "CHECK",
                "IDLE\r\nDONE",
                "NONSENSE",
                "UID SORT (SUBJECT) UTF-8 ALL",
            ])
            .to_owned(),
    }
}

/// What differs from one server to the other is left out.
fn comparable(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len() {
        if words[at - 1].ends_with("UIDVALIDITY")
            || words[at - 1].ends_with("APPENDUID")
            || words[at - 1].ends_with("COPYUID")
            || words[at - 1].ends_with("MAILBOXID")
        {
            words[at] = "?";
        }
    }
    words.join(" ")
}

// RFC 9051 5.5: the result is as if each had been sent when the one before was done.
#[tokio::test]
async fn pipelined_commands_do_what_they_do_one_by_one() {
    for seed in [5, 23, 1000, 77_777, 424_242, 99] {
        let mut rng = Rng(seed);
        let commands: Vec<_> = (0..150).map(|_| command(&mut rng)).collect();
        let (one, other) = (
            Setup::default().start().await,
            Setup::default().start().await,
        );
        let mut lockstep = Client::connect(&one).await;
        let mut pipelined = Client::connect(&other).await;
        lockstep.say("l", "LOGIN alice secret").await;
        pipelined.say("l", "LOGIN alice secret").await;
        let mut all = String::new();
        for (n, command) in commands.iter().enumerate() {
            all += &format!("t{n} {command}\r\n");
        }
        pipelined.send(all.as_bytes()).await;
        for (n, command) in commands.iter().enumerate() {
            let tag = format!("t{n}");
            let expected = lockstep.say(&tag, command).await;
            let got = pipelined.until(&tag).await;
            let comparable = |lines: &[String]| -> Vec<String> {
                lines.iter().map(|line| comparable(line)).collect()
            };
            assert_eq!(
                comparable(&got),
                comparable(&expected),
                "seed {seed}, {tag} {command}"
            );
        }
        assert_eq!(other.problems().await, Vec::<String>::new());
    }
}
