//! `date` and `date-time`, and the civil calendar behind them.

use super::cursor::{BadSyntax, Cursor, Parsed};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Seconds of a day.
pub const DAY: i64 = 86_400;

impl Cursor<'_> {
    /// `date = date-text / DQUOTE date-text DQUOTE`, as days since 1970-01-01.
    pub fn date(&mut self) -> Parsed<i64> {
        let quoted = self.eat(b"\"");
        // RFC 9051 9: date-day = 1*2DIGIT, without the leading space of date-day-fixed.
        let day = self.number().map_err(|_| INVALID)?;
        let days = self.rest_of_date(day)?;
        if quoted {
            self.expect(b"\"", "expected a closing quote after the date")?;
        }
        Ok(days)
    }

    /// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`, as
    /// seconds since 1970 UTC.
    pub fn date_time(&mut self) -> Parsed<i64> {
        self.expect(b"\"", "expected a quoted date and time")?;
        let day = if self.eat(b" ") {
            self.digits(1)?
        } else {
            self.digits(2)?
        };
        let days = self.rest_of_date(day)?;
        self.sp()?;
        let hour = self.digits(2)?;
        self.expect(b":", INVALID.0)?;
        let minute = self.digits(2)?;
        self.expect(b":", INVALID.0)?;
        let second = self.digits(2)?;
        self.sp()?;
        let east = match self.peek() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(INVALID),
        };
        self.take(1, INVALID.0)?;
        let (zone_hours, zone_minutes) = (self.digits(2)?, self.digits(2)?);
        self.expect(b"\"", "expected a closing quote after the date")?;
        if zone_minutes > 59 {
            return Err(INVALID);
        }
        let local = days * DAY + of_day(hour, minute, second)?;
        Ok(local - east * i64::from(zone_hours * 3600 + zone_minutes * 60))
    }

    /// `date-time` of RFC 3339 5.6, as seconds since 1970 UTC; fractions are cut off.
    pub fn internet_date_time(&mut self) -> Parsed<i64> {
        let year = self.digits(4)?;
        self.expect(b"-", INVALID.0)?;
        let month = self.digits(2)?;
        self.expect(b"-", INVALID.0)?;
        let day = self.digits(2)?;
        let days = days_of(year, month, day)?;
        self.expect(b"T", INVALID.0)?;
        let hour = self.digits(2)?;
        self.expect(b":", INVALID.0)?;
        let minute = self.digits(2)?;
        self.expect(b":", INVALID.0)?;
        let local = days * DAY + of_day(hour, minute, self.digits(2)?)?;
        if self.eat(b".") {
            self.take_while1(|c| c.is_ascii_digit(), INVALID.0)?;
        }
        if self.eat(b"Z") {
            return Ok(local);
        }
        let west = self.eat(b"-");
        if !west {
            self.expect(b"+", INVALID.0)?;
        }
        let hours = self.digits(2)?;
        self.expect(b":", INVALID.0)?;
        let offset = of_day(hours, self.digits(2)?, 0)?;
        Ok(if west { local + offset } else { local - offset })
    }

    fn rest_of_date(&mut self, day: u32) -> Parsed<i64> {
        self.expect(b"-", INVALID.0)?;
        let name = self.take(3, INVALID.0)?;
        let month = MONTHS
            .iter()
            .position(|m| m.as_bytes().eq_ignore_ascii_case(name))
            .ok_or(INVALID)?;
        self.expect(b"-", INVALID.0)?;
        let year = self.digits(4)?;
        let month = u32::try_from(month).map_err(|_| INVALID)? + 1;
        days_of(year, month, day)
    }

    fn digits(&mut self, count: usize) -> Parsed<u32> {
        let digits = self.take(count, INVALID.0)?;
        digits
            .iter()
            .try_fold(0, |n, d| {
                d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0'))
            })
            .ok_or(INVALID)
    }
}

const INVALID: BadSyntax = BadSyntax("invalid date");

/// Days since 1970-01-01 of a date there is.
fn days_of(year: u32, month: u32, day: u32) -> Parsed<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return Err(INVALID);
    }
    Ok(days_from_civil(i64::from(year), month, day))
}

/// Seconds of a time of day; a leap second is a legal one.
fn of_day(hour: u32, minute: u32, second: u32) -> Parsed<i64> {
    match hour > 23 || minute > 59 || second > 60 {
        true => Err(INVALID),
        false => Ok(i64::from(hour * 3600 + minute * 60 + second)),
    }
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years begin in March here,
/// so that the leap day is the last of its year.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of days since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = u32::try_from(of_year - (153 * shifted + 2) / 5 + 1).unwrap_or(1);
    let month = u32::try_from(if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    })
    .unwrap_or(1);
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes `date-time` of RFC 3339 5.6, in UTC, with the same bounds as [`write_date_time`].
pub fn write_internet_date_time(out: &mut Vec<u8>, seconds: i64) {
    let seconds = seconds.clamp(FIRST, LAST);
    let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    out.extend_from_slice(text.as_bytes());
}

/// What four digits of a year can express.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// Writes `date-time` with its quotes, in UTC. Times outside the years 0 to 9999 are shown at their
/// edge.
pub fn write_date_time(out: &mut Vec<u8>, seconds: i64) {
    // RFC 9051 9: date-year = 4DIGIT.
    let seconds = seconds.clamp(FIRST, LAST);
    let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    let two = |n: i64| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    let name = MONTHS.get(month as usize - 1).copied().unwrap_or("Jan");
    let mut text = *b"\"00-Jan-0000 00:00:00 +0000\"";
    text[1..3].copy_from_slice(&two(i64::from(day)));
    if day < 10 {
        text[1] = b' ';
    }
    text[4..7].copy_from_slice(name.as_bytes());
    text[8..10].copy_from_slice(&two(year / 100));
    text[10..12].copy_from_slice(&two(year % 100));
    text[13..15].copy_from_slice(&two(of_day / 3600));
    text[16..18].copy_from_slice(&two(of_day / 60 % 60));
    text[19..21].copy_from_slice(&two(of_day % 60));
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(seconds: i64) -> String {
        let mut out = Vec::new();
        write_date_time(&mut out, seconds);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn invalid_dates_are_refused() {
        for raw in [
            "",
            "31-Feb-2020",
            "0-Jan-2020",
            "1-Foo-2020",
            "1-Jan-20",
            "\"1-Jan-2020",
            "29-Feb-1900",
        ] {
            assert!(Cursor::of(raw.as_bytes()).date().is_err(), "{raw}");
        }
        for raw in [
            "17-Jul-1996 02:44:25 -0700",
            "\"17-Jul-1996 24:00:00 -0700\"",
            "\"1-Jul-1996 02:44:25 -0700\"",
            "\"17-Jul-1996 02:44:25 0700\"",
            "\"17-Jul-1996 02:44:25 -0760\"",
        ] {
            assert!(Cursor::of(raw.as_bytes()).date_time().is_err(), "{raw}");
        }
    }

    #[test]
    fn dates_of_the_internet_are_read() {
        // RFC 3339 5.8: the examples.
        for (raw, want) in [
            ("1985-04-12T23:20:50.52Z", 482_196_050),
            ("1996-12-19T16:39:57-08:00", 851_042_397),
            ("1990-12-31T23:59:60Z", 662_688_000),
            ("1990-12-31T15:59:60-08:00", 662_688_000),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_173),
        ] {
            let read = Cursor::of(raw.as_bytes()).internet_date_time();
            assert_eq!(read, Ok(want), "{raw}");
        }
        for raw in [
            "1985-13-01T00:00:00Z",
            "1985-00-01T00:00:00Z",
            "1985-02-29T00:00:00Z",
            "1985-04-12 23:20:50Z",
            "1985-04-12T24:00:00Z",
            "1985-04-12T23:20:50",
            "1985-04-12T23:20:50.Z",
            "1985-04-12T23:20:50+0100",
        ] {
            let read = Cursor::of(raw.as_bytes()).internet_date_time();
            assert_eq!(read, Err(INVALID), "{raw}");
        }
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(Cursor::of(b"1-Jan-1970").date(), Ok(0));
        assert_eq!(Cursor::of(b"\"01-mar-2000\"").date(), Ok(11_017));
        let at = Cursor::of(b"\"17-Jul-1996 02:44:25 -0700\"").date_time();
        assert_eq!(at, Ok(837_596_665));
        assert_eq!(
            Cursor::of(b"\" 1-Jan-1970 01:00:00 +0100\"").date_time(),
            Ok(0)
        );
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for seconds in [
            0,
            -1,
            837_596_665,
            951_782_400,
            253_402_300_799,
            -62_167_219_200,
            4_102_444_800,
        ] {
            let text = printed(seconds);
            assert_eq!(
                Cursor::of(text.as_bytes()).date_time(),
                Ok(seconds),
                "{text}"
            );
        }
        assert_eq!(printed(837_596_665), "\"17-Jul-1996 09:44:25 +0000\"");
        assert_eq!(printed(i64::MAX), "\"31-Dec-9999 23:59:59 +0000\"");
        for day in -800_000..2_932_896 {
            let (y, m, d) = civil_from_days(day);
            assert_eq!(days_from_civil(y, m, d), day);
        }
    }
}
