//! What another IMAP server shows of an INBOX: uids and headers, from which the unique ids follow
//! by its format. Nothing is changed there.

use super::fingerprint::{FIELDS, Fingerprint};
use super::format::Format;
use super::lines::Lines;
use super::{Known, Source};
use crate::failure::Failure;
use std::path::Path;

/// All messages of INBOX, in its order.
pub(super) async fn list(
    source: &Source,
    password: &str,
    roots: Option<&Path>,
    format: &Format,
) -> Result<Vec<Known>, Failure> {
    let mut imap = Imap(Lines::connect(source, roots).await?);
    imap.0.line().await?;
    let login = format!("LOGIN {} {}", quoted(&source.user), quoted(password));
    imap.command("LOGIN", &login).await?;
    let examined = imap.command("EXAMINE", "EXAMINE INBOX").await?;
    let validity = examined
        .iter()
        .find_map(|answer| number_behind(&answer.line, "UIDVALIDITY "));
    let validity = validity.ok_or_else(|| imap.0.trouble(&"EXAMINE: no UIDVALIDITY"))?;
    let fields = FIELDS.join(" ");
    let fetch = format!("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS ({fields})])");
    let mut all = Vec::new();
    for answer in imap.command("FETCH", &fetch).await? {
        if let (Some(uid), Some(header)) = (number_behind(&answer.line, "UID "), answer.literal) {
            all.push(Known {
                unique_id: format.write(uid, validity).into_bytes(),
                fingerprint: Fingerprint::of(&header),
            });
        }
    }
    imap.command("LOGOUT", "LOGOUT").await?;
    Ok(all)
}

struct Imap(Lines);

/// An untagged response: its text around the literal, and the literal if it has one.
struct Answer {
    line: String,
    literal: Option<Vec<u8>>,
}

impl Imap {
    /// The untagged responses to a command that must be answered OK; `name` is shown if not.
    async fn command(&mut self, name: &str, command: &str) -> Result<Vec<Answer>, Failure> {
        self.0.send(&format!("g {command}")).await?;
        let mut answers = Vec::new();
        loop {
            let mut line = self.0.line().await?;
            let mut literal = None;
            while let Some(count) = announced(&line) {
                literal = Some(self.0.octets(count).await?);
                line.extend_from_slice(&self.0.line().await?);
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            match line.strip_prefix("g ") {
                Some(tagged) if tagged.starts_with("OK") => return Ok(answers),
                Some(tagged) => return Err(self.0.trouble(&format!("{name}: {tagged}"))),
                None => answers.push(Answer { line, literal }),
            }
        }
    }
}

/// The length of the literal a line ends with.
fn announced(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|&c| c == b'{')?;
    std::str::from_utf8(inner.get(open + 1..)?)
        .ok()?
        .parse()
        .ok()
}

fn number_behind(line: &str, word: &str) -> Option<u32> {
    let at = line.find(word)?.checked_add(word.len())?;
    let rest = line.get(at..)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
