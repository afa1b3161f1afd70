//! BINARY and BINARY.SIZE of real mail. What differs is in
//! `docs/decisions/0035-binary-messages.md`.

use crate::mail;
use crate::pair::Pair;
use testkit::ImapClient;

/// Deepest and widest part asked for.
const PARTS: [&str; 9] = ["", "1", "2", "3", "1.1", "1.2", "2.1", "1.1.1", "1.1.2"];

/// The octets of BINARY and its size, or why there are none; `None` when there is no such part.
type Answer = Result<Option<(Vec<u8>, usize)>, String>;

fn binary(client: &mut ImapClient, uid: usize, part: &str) -> Answer {
    let tag = client.start(&format!(
        "UID FETCH {uid} (BINARY.PEEK[{part}] BINARY.SIZE[{part}])"
    ));
    let (answers, tagged) = client.finish(&tag);
    if !tagged.starts_with("OK") {
        let code = tagged.split([']', '[']).nth(1);
        return Err(code.unwrap_or(&tagged).to_owned());
    }
    let answer = answers.first().unwrap();
    if answer.text.contains("] NIL") {
        return Ok(None);
    }
    let mut words = answer
        .text
        .split("BINARY.SIZE[")
        .nth(1)
        .unwrap()
        .split([' ', ')']);
    let size = words.nth(1).unwrap().parse().unwrap();
    Ok(Some((
        answer.literals.first().cloned().unwrap_or_default(),
        size,
    )))
}

#[test]
fn real_mail_is_decoded_alike() {
    let messages = testkit::real::spam_assassin(3, 1200);
    let mut pair = Pair::with(&mail::dated(messages.clone()));
    let (mut same, mut lenient, mut different) = (0, 0, Vec::new());
    for uid in 1..=messages.len() {
        for part in PARTS {
            let ours = binary(&mut pair.ours, uid, part);
            // A part that is not there is the leaf itself for Dovecot, when that is encoded.
            let Some((octets, size)) = ours.clone().unwrap_or_default() else {
                assert!(ours.is_ok(), "{uid} [{part}]: {ours:?}");
                continue;
            };
            assert_eq!(octets.len(), size, "{uid} [{part}]");
            // Dovecot's size is not always that of its octets.
            match binary(&mut pair.theirs, uid, part) {
                Ok(Some((theirs, _))) if octets == theirs => same += 1,
                // Broken base64.
                Err(code) if code == "PARSE" => lenient += 1,
                theirs => {
                    different.push(format!("{uid} [{part}]: {}", describe(&ours, &theirs)));
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(same > 2000 && lenient < 20, "{same}, {lenient}");
}

fn describe(ours: &Answer, theirs: &Answer) -> String {
    let text = |answer: &Answer| match answer {
        Ok(None) => "nothing".to_owned(),
        Ok(Some((octets, _))) => {
            let at = match (ours, theirs) {
                (Ok(Some((a, _))), Ok(Some((b, _)))) => a.iter().zip(b).position(|(a, b)| a != b),
                _ => None,
            };
            let from = at.unwrap_or(0).saturating_sub(60);
            let end = octets.len().min(from + 160);
            let shown = octets.get(from..end).unwrap_or_default();
            format!(
                "{} octets, at {from} {:?}",
                octets.len(),
                String::from_utf8_lossy(shown)
            )
        }
        Err(code) => code.clone(),
    };
    format!("\n  ours {}\n  theirs {}", text(ours), text(theirs))
}
