//! The Date field (RFC 5322 3.3 and 4.3).

use crate::lex::{Lex, is_space};

/// A Date field, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentDate {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Days since 1970-01-01 of the date as written, whatever its zone (RFC 3501 6.4.4: SENTON and
    /// its kin disregard time and zone).
    pub day: i32,
}

/// Reads the raw value of a Date field; None when it names no day.
// RFC 5256 2.2: an invalid zone is read as UTC, an invalid time as 00:00:00.
pub fn sent_date(value: &[u8]) -> Option<SentDate> {
    let mut words = Words {
        lex: Lex::new(value),
    };
    let mut word = words.next()?;
    if !word.first()?.is_ascii_digit() && month(word).is_none() {
        word = words.next()?;
    }
    let (day, month, year, time) = match month(word) {
        // The form of C's asctime: `Jan 31 12:00:00 2001`.
        Some(month) => {
            let day = words.next()?;
            let time = words.next()?;
            if time.contains(&b':') {
                (day, month, words.next()?, Some(time))
            } else {
                (day, month, time, words.next())
            }
        }
        None => {
            let month = month_of(words.next()?)?;
            (word, month, words.next()?, words.next())
        }
    };
    let day = days(full_year(year)?, month, number(day)?)?;
    let midnight = i64::from(day) * 86_400;
    let seconds = match time.and_then(seconds_of_day) {
        Some(time) => midnight + time - words.next().map_or(0, zone),
        None => midnight,
    };
    Some(SentDate { seconds, day })
}

/// Runs of characters between white space, commas and comments; `1-Jan-2001` counts as three.
struct Words<'a> {
    lex: Lex<'a>,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            self.lex.cfws();
            let start = self.lex.pos();
            if matches!(self.lex.peek(), Some(b'+' | b'-')) {
                self.lex.bump();
            }
            self.lex
                .until(|b| is_space(b) || matches!(b, b',' | b'(' | b'-' | b'+'));
            let word = self.lex.since(start);
            match word {
                b"" => {
                    self.lex.peek()?;
                    self.lex.bump();
                }
                // The hyphens of `1-Jan-2001`.
                [b'-', rest @ ..] if rest.len() != 4 || month(rest).is_some() => {
                    if !rest.is_empty() {
                        return Some(rest);
                    }
                }
                word => return Some(word),
            }
        }
    }
}

fn month(word: &[u8]) -> Option<u32> {
    const NAMES: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let word = word.get(..3)?;
    NAMES
        .iter()
        .zip(1..)
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, n)| n)
}

fn month_of(word: &[u8]) -> Option<u32> {
    month(word).or_else(|| number(word).filter(|n| (1..=12).contains(n)))
}

fn number(word: &[u8]) -> Option<u32> {
    if !(1..=4).contains(&word.len()) || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        word.iter()
            .fold(0, |n, digit| n * 10 + u32::from(digit - b'0')),
    )
}

/// RFC 5322 4.3: two digits below 50 are 20xx, other two or three digits count from 1900; so do
/// those with a zero before them, which some software of 2002 wrote (`0102`).
fn full_year(word: &[u8]) -> Option<u32> {
    // `1-Jan-2001`: the last hyphen looks like the sign of a zone.
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let year = number(word)?;
    match word.len() {
        1 | 2 if year < 50 => Some(year + 2000),
        1..=3 => Some(year + 1900),
        _ if (100..1000).contains(&year) => Some(year + 1900),
        _ => (year >= 1900).then_some(year),
    }
}

/// `hh:mm[:ss]`, also with dots.
fn seconds_of_day(word: &[u8]) -> Option<i64> {
    let mut parts = word.split(|b| matches!(b, b':' | b'.')).map(number);
    let hour = parts.next()??;
    let minute = parts.next()??;
    let second = parts.next().unwrap_or(Some(0))?;
    // 60: a leap second.
    (hour < 24 && minute < 60 && second <= 60)
        .then(|| i64::from(hour * 3600 + minute * 60 + second))
}

/// Seconds east of UTC.
fn zone(word: &[u8]) -> i64 {
    let hours = |h: i64| h * 3600;
    if let [sign @ (b'+' | b'-'), digits @ ..] = word {
        let Some(n) = number(digits).filter(|n| digits.len() == 4 && n % 100 < 60) else {
            return 0;
        };
        let offset = i64::from(n / 100 * 3600 + n % 100 * 60);
        return if *sign == b'-' { -offset } else { offset };
    }
    // RFC 5322 4.3: the military zones were defined wrongly and count as UTC.
    match word.to_ascii_uppercase().as_slice() {
        b"EDT" => hours(-4),
        b"EST" | b"CDT" => hours(-5),
        b"CST" | b"MDT" => hours(-6),
        b"MST" | b"PDT" => hours(-7),
        b"PST" => hours(-8),
        _ => 0,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar.
fn days(year: u32, month: u32, day: u32) -> Option<i32> {
    const BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day == 0 || day > length {
        return None;
    }
    let past = year.checked_sub(1)?;
    let before_year = past * 365 + past / 4 - past / 100 + past / 400;
    let in_year = BEFORE.get(month.checked_sub(1)? as usize)? + day - 1;
    let leap_day = u32::from(leap && month > 2);
    i32::try_from(before_year + in_year + leap_day)
        .ok()?
        .checked_sub(719_162)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_day_no_date() {
        for value in [
            "",
            " ",
            "()",
            "Mon",
            "1",
            "1 Jan",
            "1 Foo 2001",
            "0 Jan 2001",
            "32 Jan 2001",
            "29 Feb 2001",
            "1 Jan 99999",
            "x y z",
            "Jan",
            "Jan 1",
            "Jan 1 12:00:00",
            "-",
            "--",
            "\u{1}",
            "99999999999 Jan 2001",
        ] {
            assert_eq!(sent_date(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn dates() {
        for (value, seconds, day) in [
            ("1 Jan 1970 00:00:00 +0000", 0, 0),
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706, 10_186),
            // RFC 5256 2.2.
            ("31 Dec 2000 16:01:33 -0800", 978_307_293, 11_322),
            ("Mon, 29 Feb 2016 23:59:60 +0530", 1_456_770_600, 16_860),
            (
                "Thu,13\r\n Feb(x)\r\n 1969\r\n 23:32 -0330 (Newfoundland)",
                -27_723_480,
                -322,
            ),
            ("21 Nov 97 09:55:06 GMT", 880_106_106, 10_186),
            ("1 Jan 01 00:00 EST", 978_325_200, 11_323),
            ("1 Jan 101 00:00", 978_307_200, 11_323),
            ("1 Jan 0101 00:00", 978_307_200, 11_323),
            ("Mon Jan  1 00:00:00 2001", 978_307_200, 11_323),
            ("1-Jan-2001 00:00:00 -0100", 978_310_800, 11_323),
            ("Mon, 1 January 2001", 978_307_200, 11_323),
            // An invalid zone is UTC, an invalid time is midnight.
            ("1 Jan 2001 01:00:00 +9", 978_310_800, 11_323),
            ("1 Jan 2001 25:00:00 +0100", 978_307_200, 11_323),
            ("Sunday, 1 Jan 2001 01:00:00 A", 978_310_800, 11_323),
        ] {
            assert_eq!(
                sent_date(value.as_bytes()),
                Some(SentDate { seconds, day }),
                "{value}"
            );
        }
    }
}
