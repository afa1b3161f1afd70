//! The runner itself: what passes, and that each kind of mismatch is caught and located.

use std::io;

use testkit::dialogue::{Host, Script, Stream, run};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A server that greets, answers `echo x` with `x`, `many` with three lines, and `quit` by closing.
#[derive(Default)]
struct Echo {
    set_up: Vec<String>,
}

impl Host for Echo {
    async fn connect(&mut self, session: &str) -> io::Result<Stream> {
        let (ours, theirs) = tokio::io::duplex(4096);
        let greeting = format!("* hello {session}\r\n");
        tokio::spawn(async move {
            let (read, mut write) = tokio::io::split(theirs);
            let mut lines = BufReader::new(read).lines();
            write.write_all(greeting.as_bytes()).await?;
            while let Some(line) = lines.next_line().await? {
                let answer = match line.split_once(' ') {
                    Some(("echo", text)) => format!("{text}\r\n"),
                    _ if line == "many" => "1\r\n2\r\n3\r\n".to_owned(),
                    _ if line == "quit" => break,
                    _ => "BAD\r\n".to_owned(),
                };
                write.write_all(answer.as_bytes()).await?;
            }
            io::Result::Ok(())
        });
        Ok(Box::new(ours))
    }

    async fn set_up(&mut self, verb: &str, args: &str, body: Option<&[u8]>) -> Result<(), String> {
        if verb == "fail" {
            return Err("as asked".to_owned());
        }
        let body = String::from_utf8_lossy(body.unwrap_or_default()).into_owned();
        self.set_up.push(format!("{verb}({args}){body}"));
        Ok(())
    }
}

async fn outcome(text: &str) -> Result<Echo, String> {
    let mut host = Echo::default();
    let script = Script::parse("case", text).map_err(|failure| failure.to_string())?;
    run(&script, &mut host)
        .await
        .map_err(|failure| failure.to_string())?;
    Ok(host)
}

#[tokio::test]
async fn each_mismatch_fails_at_its_line() {
    for (text, says) in [
        (
            "S: * hello 2",
            "case:1: session 1\n expected: * hello 2\n      got: * hello 1",
        ),
        (
            "S: * hello 1\nC: quit\nS: more",
            "case:3: session 1 was closed",
        ),
        (
            "S: * hello 1\nC: echo a\nEOF:",
            "case:3: expected the end of session 1, got: a",
        ),
        (
            "S: * hello 1\nC: many\nU: 3\nU: 2\nU: 4",
            "expected one of: 3 | 2 | 4\n got: 1",
        ),
        ("S: * hello 1\nC: echo ${x}", "never kept"),
        ("! fail now", "set-up `fail`: as asked"),
        ("S: * hello {{[2-9]}}", "expected: * hello {{[2-9]}}"),
        ("C: many\nS*: 2", "received a line no step expected: 3"),
    ] {
        let failure = outcome(text)
            .await
            .err()
            .unwrap_or_else(|| panic!("passed: {text}"));
        assert!(failure.contains(says), "{text}\n{failure}");
    }
}

#[tokio::test]
async fn every_kind_of_line_passes_where_it_should() {
    let host = outcome(
        "# A comment\n\
         ! deliver alice\n\
         | Subject: x\n\
         |\n\
         S: * {{word=\\w+}} 1\n\
         C: echo ${word} again\\r\\necho 2\n\
         S: ${word} again\n\
         S: 2\n\
         S[b]: * hello b\n\
         C[b]: many\n\
         U[b]: 3\n\
         U[b]: 1\n\
         U[b]: 2\n\
         C: echo {@+}\n\
         | echo abc\n\
         S: {10+}\n\
         S: abc\n\
         S: BAD\n\
         C: many\n\
         S*: 3\n\
         C-: echo half\n\
         C: \u{20}line\n\
         S: half line\n\
         C: quit\n\
         EOF:\n",
    )
    .await
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(host.set_up, ["deliver(alice)Subject: x\r\n\r\n"]);
}
