//! POP3: sizes, and every octet of RETR and of TOP at several depths.

use crate::mail;
use crate::pair::Pair;

/// Lines of the body asked for.
const DEPTHS: [u32; 6] = [0, 1, 2, 10, 100, 99_999_999];

#[test]
fn real_mail_is_sent_alike() {
    let mut messages = testkit::real::spam_assassin(6, 1100);
    messages.extend(mail::nasty());
    let pair = Pair::with(&mail::dated(messages.clone()));
    let [mut ours, mut theirs] = pair.pop3();
    let (count, octets) = ours.stat();
    assert_eq!(count, messages.len());
    let (sizes, other_sizes) = (ours.rows("LIST"), theirs.rows("LIST"));
    let (mut sum, mut different, mut explained) = (0, Vec::new(), 0);
    for (number, message) in (1..).zip(&messages) {
        let sent = ours.retr(number);
        let (size, other_size) = (&sizes[number - 1], &other_sizes[number - 1]);
        assert_eq!(size, &format!("{number} {}", sent.len()));
        sum += sent.len() as u64;
        // Dovecot does not count the line end it adds to a last line that has none.
        let is_open = !message.ends_with(b"\r\n");
        if size != other_size {
            explained += 1;
            if !is_open && !has_crs(message) {
                different.push(format!("LIST {size}, {other_size}: {}", start(message)));
            }
        }
        let others = theirs.retr(number);
        let mut compare = |command: &str, ours: &[u8], theirs: &[u8]| {
            if ours != theirs {
                explained += 1;
                if !is_explained(message, ours, theirs) {
                    let lengths = [ours.len(), theirs.len()];
                    different.push(format!("{command}: {lengths:?}, {}", start(message)));
                }
            }
        };
        compare(&format!("RETR {number}"), &sent, &others);
        for depth in DEPTHS {
            let command = format!("TOP {number} {depth}");
            compare(&command, &ours.multi(&command), &theirs.multi(&command));
        }
    }
    assert_eq!(octets, sum);
    let what = different.join("\n");
    assert!(different.is_empty(), "{} differ\n{what}", different.len());
    // Answers, most of them about the same few nasty messages.
    assert!(explained < 30, "{explained}");
}

/// Whether several CRs stand before a LF. Dovecot takes some of them away, which RFC 5322 2.3 gives
/// no reason for: a CR by itself is an octet of the body, and we send what came in.
fn has_crs(message: &[u8]) -> bool {
    message.windows(3).any(|octets| octets == b"\r\r\n")
}

/// Dovecot loses a CR at the end of a message, and does not stuff a dot with which it begins, so
/// that its client takes it away.
fn is_explained(message: &[u8], ours: &[u8], theirs: &[u8]) -> bool {
    let without = |octets: &[u8]| {
        octets
            .iter()
            .copied()
            .filter(|c| *c != b'\r')
            .collect::<Vec<_>>()
    };
    if has_crs(message) && without(ours) == without(theirs) {
        return true;
    }
    let without_cr = ours
        .strip_suffix(b"\r\r\n")
        .map(|ours| [ours, b"\r\n"].concat());
    message.ends_with(b"\r") && without_cr.as_deref() == Some(theirs)
        || message.starts_with(b".") && ours.strip_prefix(b".") == Some(theirs)
}

fn start(message: &[u8]) -> String {
    String::from_utf8_lossy(&message[..message.len().min(200)]).into_owned()
}
