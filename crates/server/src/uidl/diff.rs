//! `gatepost uidl diff`: would a client that knows the old server download anything again from the
//! new one?

use super::fingerprint::Fingerprint;
use super::source::Protocol;
use super::{Known, Passwords, pop3};
use crate::cli::DiffArgs;
use crate::failure::Failure;
use std::collections::{HashMap, HashSet};

/// Messages named one by one; more are only counted.
const NAMED: usize = 20;

pub(super) async fn run(args: DiffArgs, passwords: &mut Passwords) -> Result<(), Failure> {
    if [&args.old, &args.new]
        .into_iter()
        .any(|source| source.protocol != Protocol::Pop3)
    {
        return Err(Failure::refused(
            "unique ids are compared over POP3: give pop3:// or pop3s://",
        ));
    }
    let roots = args.ca.as_deref();
    let old = pop3::list(&args.old, &passwords.next()?, roots).await?;
    let new = pop3::list(&args.new, &passwords.next()?, roots).await?;
    let report = compare(&old, &new);
    report.lines().iter().for_each(|line| println!("{line}"));
    match report.is_clean() {
        true => Ok(()),
        false => Err(Failure::trouble(
            "clients would be confused by the new server",
        )),
    }
}

/// What a client that has everything of the old server makes of the new one.
#[derive(Default, Debug, PartialEq, Eq)]
struct Report {
    same: usize,
    /// Another unique id for a message it has.
    again: Vec<String>,
    /// A unique id it knows, for another message: it would be shown, or deleted, for that.
    other: Vec<String>,
    /// Unique ids two messages of the new server share.
    twice: Vec<String>,
    /// Messages it does not have.
    fresh: usize,
    /// Messages that are not there any more.
    gone: usize,
}

fn compare(old: &[Known], new: &[Known]) -> Report {
    let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
    let by_id: HashMap<&[u8], Fingerprint> = old
        .iter()
        .map(|m| (m.unique_id.as_slice(), m.fingerprint))
        .collect();
    let new_ids: HashSet<&[u8]> = new.iter().map(|m| m.unique_id.as_slice()).collect();
    // Messages whose old id is not there: if one of them is there under another id, it is
    // downloaded again. Copies are counted.
    let mut lost: HashMap<Fingerprint, usize> = HashMap::new();
    for message in old
        .iter()
        .filter(|m| !new_ids.contains(m.unique_id.as_slice()))
    {
        *lost.entry(message.fingerprint).or_default() += 1;
    }
    let mut report = Report::default();
    let mut seen = HashSet::new();
    for message in new {
        let id = message.unique_id.as_slice();
        if !seen.insert(id) {
            report.twice.push(text(id));
        }
        match (by_id.get(id), lost.get_mut(&message.fingerprint)) {
            (Some(fingerprint), _) if *fingerprint == message.fingerprint => report.same += 1,
            (Some(_), _) => report.other.push(text(id)),
            (None, Some(left)) if *left > 0 => {
                *left -= 1;
                report.again.push(text(id));
            }
            (None, _) => report.fresh += 1,
        }
    }
    report.gone = lost.values().sum();
    report
}

impl Report {
    fn is_clean(&self) -> bool {
        self.again.is_empty() && self.other.is_empty() && self.twice.is_empty()
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{}\tkeep their unique id", self.same),
            format!("{}\tare new", self.fresh),
            format!("{}\tare gone", self.gone),
        ];
        for (ids, what) in [
            (&self.again, "would be downloaded again"),
            (&self.other, "have the unique id of another message"),
            (&self.twice, "share a unique id"),
        ] {
            lines.push(format!("{}\t{what}", ids.len()));
            lines.extend(ids.iter().take(NAMED).map(|id| format!("\t{id}")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_of(messages: &[(&str, &str)]) -> Vec<Known> {
        let known = |(id, subject): &(&str, &str)| Known {
            unique_id: id.as_bytes().to_vec(),
            fingerprint: Fingerprint::of(format!("Subject: {subject}\r\n").as_bytes()),
        };
        messages.iter().map(known).collect()
    }

    #[test]
    fn what_a_client_would_see() {
        let old = drop_of(&[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d"), ("5", "d")]);
        let same = compare(&old, &old);
        assert!(same.is_clean() && same.same == 5 && same.gone == 0);
        let new = drop_of(&[
            ("1", "a"),
            ("x", "b"),
            ("3", "z"),
            ("4", "d"),
            ("y", "new"),
            ("y", "more"),
        ]);
        let report = compare(&old, &new);
        assert!(!report.is_clean());
        assert_eq!(
            report,
            Report {
                same: 2,
                again: vec!["x".to_owned()],
                other: vec!["3".to_owned()],
                twice: vec!["y".to_owned()],
                fresh: 2,
                gone: 1,
            }
        );
    }
}
