//! Mail to ask about.

use testkit::{nasty, real::spam_assassin};

/// Every `step`-th message of the SpamAssassin corpus, or all of them with `ORACLE=all`, and all
/// nasty ones that APPEND takes (RFC 3501 9: a literal holds no NUL).
pub(crate) fn everything(step: usize) -> Vec<Vec<u8>> {
    let all = std::env::var("ORACLE").is_ok_and(|which| which == "all");
    let (step, max) = if all { (1, usize::MAX) } else { (step, 1100) };
    let nasty = nasty::all().into_iter().map(|nasty| nasty.bytes);
    let nasty = nasty.filter(|bytes| !bytes.is_empty() && !bytes.contains(&0));
    nasty.chain(spam_assassin(step, max)).collect()
}

/// The nasty messages that fit into a literal, not empty and without NUL, and whose size is no
/// question: all lines end in CRLF.
pub(crate) fn nasty() -> Vec<Vec<u8>> {
    let has_bare_lf = |bytes: &[u8]| {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        lines.any(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n"))
    };
    nasty::all()
        .into_iter()
        .map(|nasty| nasty.bytes)
        .filter(|bytes| !bytes.is_empty() && !bytes.contains(&0) && !has_bare_lf(bytes))
        .collect()
}

/// Messages with INTERNALDATEs in no order, some of them equal.
pub(crate) fn dated(messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    let date = |n: usize| {
        let n = n * 7919 % 1000;
        format!(
            "{:02}-Aug-2002 {:02}:{:02}:00 +0000",
            n % 28 + 1,
            n % 24,
            n % 60
        )
    };
    (0..).map(date).zip(messages).collect()
}

/// Whether a header leaves nothing to guess: it is ASCII, and the date, if there is one, keeps to
/// RFC 5322 3.3 as far as people knew it in 2002.
pub(crate) fn is_sound(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\r\n\r\n").next().unwrap();
    header.is_ascii() && dates(header).into_iter().all(is_sound_date)
}

/// Whether there is a date, and each keeps to RFC 5322 3.3.
pub(crate) fn has_sound_date(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\r\n\r\n").next().unwrap();
    let dates = dates(header);
    !dates.is_empty() && dates.into_iter().all(is_sound_date)
}

fn dates(header: &str) -> Vec<&str> {
    let dates = header.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Date").then_some(value)
    });
    dates.collect()
}

/// `[day-name ","] 1*2DIGIT month-name 4DIGIT 2DIGIT ":" 2DIGIT ":" 2DIGIT ("+" / "-") 4DIGIT`
fn is_sound_date(value: &str) -> bool {
    let value = value.split_once(", ").map_or(value, |(_, rest)| rest);
    let words: Vec<&str> = value.split_whitespace().collect();
    let [day, month, year, time, zone, ..] = words[..] else {
        return false;
    };
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    digits(day) == day.len()
        && month.len() == 3
        && digits(year) == 4
        && !year.starts_with('0')
        && time.len() == 8
        && digits(time) == 6
        && zone.len() == 5
        && zone.starts_with(['+', '-'])
        && digits(zone) == 4
}
