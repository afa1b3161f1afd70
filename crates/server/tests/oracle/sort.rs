//! SORT and THREAD.

use crate::mail;
use crate::pair::Pair;

/// Each key of SORT, turned round, and with others.
const CRITERIA: &[&str] = &[
    "ARRIVAL",
    "REVERSE ARRIVAL",
    "CC",
    "REVERSE CC DATE",
    "DATE",
    "REVERSE DATE",
    "FROM",
    "REVERSE FROM SIZE",
    "SIZE",
    "SUBJECT",
    "REVERSE SUBJECT",
    "SUBJECT REVERSE DATE",
    "TO",
    "TO FROM REVERSE ARRIVAL",
    "DISPLAYFROM",
    "REVERSE DISPLAYFROM REVERSE DATE",
    "DISPLAYTO",
];

/// Half a character in each of two encoded words: Dovecot makes nothing of them, we a letter.
pub(crate) const SPLIT_CHARACTER: &[u8] = b"Subject: =?utf-8?q?=C3?= =?utf-8?q?=A9?=";

/// A server of each kind with real and with nasty mail, and a search for what is sound in it: what
/// each makes of broken headers is in `docs/decisions/0002-differences-from-dovecot.md`.
fn pair(step: usize) -> (Pair, String) {
    let mut messages = testkit::real::spam_assassin(step, 1100);
    messages.extend(mail::nasty());
    let mut pair = Pair::with(&mail::dated(messages.clone()));
    let mut sound = pair.same_envelopes();
    sound.retain(|&uid| {
        let message = &messages[uid as usize - 1];
        mail::is_sound(message) && !message.starts_with(SPLIT_CHARACTER)
    });
    assert!(
        sound.len() * 10 > messages.len() * 7,
        "{} sound",
        sound.len()
    );
    let sound: Vec<String> = sound.iter().map(u32::to_string).collect();
    (pair, format!("UID {}", sound.join(",")))
}

#[test]
fn real_mail_is_sorted_alike() {
    let (mut pair, sound) = pair(6);
    let mut different = Vec::new();
    for criteria in CRITERIA {
        for search in ["ALL", "SUBJECT re", "OLDER 1 LARGER 3000"] {
            let command = format!("UID SORT ({criteria}) UTF-8 {search} {sound}");
            let (ours, theirs) = pair.ask(&command, "SORT");
            assert!(ours.len() > 100, "{criteria}, {search}: {ours}");
            if ours != theirs {
                different.push(describe(&mut pair, criteria, &ours, &theirs));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn real_mail_is_threaded_alike() {
    let (mut pair, sound) = pair(1);
    let mut different = Vec::new();
    for search in ["ALL", "SUBJECT re", "NOT SUBJECT re"] {
        for algorithm in ["ORDEREDSUBJECT", "REFERENCES", "REFS"] {
            let command = format!("UID THREAD {algorithm} UTF-8 {search} {sound}");
            let (ours, theirs) = pair.ask(&command, "THREAD");
            let (mut ours, mut theirs) = (threads(&ours), threads(&theirs));
            assert!(ours.len() > 100, "{algorithm}, {search}: {ours:?}");
            if algorithm == "REFS" {
                // Dovecot sorts the threads by sent date, the draft by INTERNALDATE.
                ours.sort();
                theirs.sort();
            }
            if ours != theirs {
                let what = format!("{algorithm} {search}");
                different.push(describe(
                    &mut pair,
                    &what,
                    &ours.join(" "),
                    &theirs.join(" "),
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The threads of an answer.
fn threads(answer: &str) -> Vec<String> {
    let mut depth = 0;
    let mut all = vec![String::new()];
    for c in answer.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        all.last_mut().unwrap().push(if c == ' ' { ',' } else { c });
        if depth == 0 {
            all.push(String::new());
        }
    }
    all
}

/// Where two answers part, with what the messages there say of themselves.
fn describe(pair: &mut Pair, command: &str, ours: &str, theirs: &str) -> String {
    let words = |answer: &str| answer.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (words(ours), words(theirs));
    let at = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    let mut text = format!(
        "{command}: {} and {} of them part at {at:?}\n",
        ours.len(),
        theirs.len()
    );
    for (who, answer) in [("ours", ours), ("theirs", theirs)] {
        for word in answer
            .iter()
            .skip(at.unwrap_or(0).saturating_sub(1))
            .take(3)
        {
            text += &format!("  {who} {word}\n");
            for uid in word
                .split(['(', ')', ','])
                .filter(|uid| !uid.is_empty())
                .take(8)
            {
                let fields = "DATE SUBJECT FROM TO CC MESSAGE-ID REFERENCES IN-REPLY-TO";
                let fetch =
                    format!("UID FETCH {uid} (INTERNALDATE BODY.PEEK[HEADER.FIELDS ({fields})])");
                for answer in pair.theirs.ok(&fetch) {
                    for literal in answer.literals {
                        text +=
                            &format!("    uid {uid}: {:?}\n", String::from_utf8_lossy(&literal));
                    }
                }
            }
        }
    }
    text
}
