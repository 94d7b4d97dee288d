//! Times as text, in UTC.

/// As RFC 3339, with all six digits of the second. `microseconds` since 1970-01-01 UTC, as everywhere.
#[must_use]
pub fn rfc3339(microseconds: i64) -> String {
    let (date, time, fraction) = parts(microseconds);
    format!("{date}T{time}.{fraction:06}Z")
}

/// As Postgres prints a `timestamptz` in UTC: without zeros at its end.
#[must_use]
pub fn timestamp(microseconds: i64) -> String {
    let (date, time, fraction) = parts(microseconds);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    format!("{date} {time}{}+00", fraction.trim_end_matches('0'))
}

/// Year, month and day so many days after 1970-01-01, in the proleptic Gregorian calendar; the year 0 is 1 BC. Howard
/// Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
#[must_use]
pub fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Date, time of the day and the rest.
fn parts(microseconds: i64) -> (String, String, i64) {
    let seconds = microseconds.div_euclid(1_000_000);
    let fraction = microseconds.rem_euclid(1_000_000);
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"), fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        for (microseconds, long, short) in [
            (0, "1970-01-01T00:00:00.000000Z", "1970-01-01 00:00:00+00"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999Z", "2000-02-28 23:59:59.999999+00"),
            (951_782_400_120_000, "2000-02-29T00:00:00.120000Z", "2000-02-29 00:00:00.12+00"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z", "2000-02-29 00:00:00+00"),
            (1_767_225_600_000_000, "2026-01-01T00:00:00.000000Z", "2026-01-01 00:00:00+00"),
            (-1, "1969-12-31T23:59:59.999999Z", "1969-12-31 23:59:59.999999+00"),
        ] {
            assert_eq!((rfc3339(microseconds), timestamp(microseconds)), (long.to_owned(), short.to_owned()));
        }
    }
}
