//! Dates and timestamps: Postgres text form (`DateStyle=ISO`, `TimeZone=UTC`) ↔ microseconds since 1970 UTC.
//!
//! `infinity` is the largest number and `-infinity` the smallest, as inside Postgres. Years beyond what 64 bits of
//! microseconds reach (about 290,000 years either way) have no number.

use std::io::Write as _;

const DAY: i64 = 86_400_000_000;

/// A date as the first microsecond of its day.
pub(super) fn parse_date(text: &[u8]) -> Option<i64> {
    if let Some(infinite) = parse_infinity(text) {
        return Some(infinite);
    }
    let (body, before_christ) = split_era(text);
    days(body, before_christ)?.checked_mul(DAY)
}

/// A timestamp, with or without the `+00` of a time zone.
pub(super) fn parse_timestamp(text: &[u8], zoned: bool) -> Option<i64> {
    if let Some(infinite) = parse_infinity(text) {
        return Some(infinite);
    }
    let (body, before_christ) = split_era(text);
    let body = if zoned { body.strip_suffix(b"+00")? } else { body };
    let space = body.iter().position(|byte| *byte == b' ')?;
    let (date, time) = body.split_at_checked(space)?;
    let micros = time_of_day(time.get(1..)?)?;
    days(date, before_christ)?.checked_mul(DAY)?.checked_add(micros)
}

/// False when the number is no whole day: a date cannot hold it.
pub(super) fn write_date(out: &mut Vec<u8>, micros: i64) -> bool {
    if write_infinity(out, micros) {
        return true;
    }
    if micros.rem_euclid(DAY) != 0 {
        return false;
    }
    let before_christ = write_day(out, micros.div_euclid(DAY));
    write_era(out, before_christ);
    true
}

/// False when Postgres has no such timestamp: its first is 4714-11-24 BC.
pub(super) fn write_timestamp(out: &mut Vec<u8>, micros: i64, zoned: bool) -> bool {
    const FIRST: i64 = -2_440_588 * DAY;
    if write_infinity(out, micros) {
        return true;
    }
    if micros < FIRST {
        return false;
    }
    let before_christ = write_day(out, micros.div_euclid(DAY));
    let rest = micros.rem_euclid(DAY);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let _ = write!(out, " {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    if zoned {
        out.extend_from_slice(b"+00");
    }
    write_era(out, before_christ);
    true
}

fn parse_infinity(text: &[u8]) -> Option<i64> {
    match text {
        b"infinity" => Some(i64::MAX),
        b"-infinity" => Some(i64::MIN),
        _ => None,
    }
}

fn write_infinity(out: &mut Vec<u8>, micros: i64) -> bool {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => return false,
    }
    true
}

fn split_era(text: &[u8]) -> (&[u8], bool) {
    match text.strip_suffix(b" BC") {
        Some(body) => (body, true),
        None => (text, false),
    }
}

fn write_era(out: &mut Vec<u8>, before_christ: bool) {
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970 of `YYYY-MM-DD`, in the proleptic Gregorian calendar.
/// <https://howardhinnant.github.io/date_algorithms.html>
fn days(date: &[u8], before_christ: bool) -> Option<i64> {
    let mut parts = date.split(|byte| *byte == b'-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if before_christ { 1 - year } else { year };
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Writes `YYYY-MM-DD` and tells whether the year is BC.
fn write_day(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = event::date(days);
    let before_christ = year <= 0;
    let shown = if before_christ { 1 - year } else { year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    before_christ
}

/// Microseconds of `HH:MM:SS[.ffffff]`.
fn time_of_day(time: &[u8]) -> Option<i64> {
    let (clock, fraction) = match time.iter().position(|byte| *byte == b'.') {
        Some(dot) => (time.get(..dot)?, time.get(dot + 1..)?),
        None => (time, [].as_slice()),
    };
    let mut parts = clock.split(|byte| *byte == b':');
    let (hours, minutes, seconds) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() || hours > 24 || minutes > 59 || seconds > 60 || fraction.len() > 6 {
        return None;
    }
    let mut micros = if fraction.is_empty() { 0 } else { number(fraction)? };
    for _ in fraction.len()..6 {
        micros *= 10;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timestamp(micros: i64, zoned: bool) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(write_timestamp(&mut out, micros, zoned));
        out
    }

    /// Each pair as Postgres 15 prints it.
    #[test]
    fn texts_are_those_of_postgres() {
        for (text, zoned, micros) in [
            ("1970-01-01 00:00:00", false, 0),
            ("1999-01-08 04:05:06.000001+00", true, 915_768_306_000_001),
            ("2000-02-29 23:59:59.5", false, 951_868_799_500_000),
            ("0044-03-15 12:00:00.5+00 BC", true, -63_517_780_799_500_000),
            ("infinity", false, i64::MAX),
            ("-infinity", true, i64::MIN),
            ("10000-01-01 00:00:00", false, 253_402_300_800_000_000),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes(), zoned), Some(micros), "{text}");
            assert_eq!(timestamp(micros, zoned), text.as_bytes(), "{text}");
        }
        for (text, days) in [("1970-01-02", 1), ("20000-01-01", 6_585_322), ("0001-01-01 BC", -719_528)] {
            assert_eq!(parse_date(text.as_bytes()), Some(days * DAY), "{text}");
            let mut out = Vec::new();
            assert!(write_date(&mut out, days * DAY));
            assert_eq!(out, text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_has_no_number_is_refused() {
        for bad in
            ["", "1970-01-01", "1970-13-01 00:00:00", "1970-01-01 25:00:00", "294277-01-01 00:00:00", "x"]
        {
            assert_eq!(parse_timestamp(bad.as_bytes(), false), None, "{bad}");
        }
        assert_eq!(parse_date(b"5874897-12-31"), None);
        assert!(!write_date(&mut Vec::new(), 1));
        assert!(!write_timestamp(&mut Vec::new(), i64::MIN + 1, false));
    }

    proptest! {
        #[test]
        fn timestamps_come_back(micros in -210_866_803_200_000_000_i64..9_223_371_331_200_000_000, zoned: bool) {
            let text = timestamp(micros, zoned);
            prop_assert_eq!(parse_timestamp(&text, zoned), Some(micros));
        }
    }
}
