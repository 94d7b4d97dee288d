//! Durations and byte sizes as people write them: `500ms`, `1h30m`, `64MiB`.

use std::time::Duration;

/// Parses a duration: Go's form (`300ms`, `1.5s`, `1h30m`), or a bare number of milliseconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(milliseconds) = text.parse::<u64>() {
        return Some(Duration::from_millis(milliseconds));
    }
    let mut rest = text;
    let mut nanoseconds = 0u128;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let scale = match unit.trim() {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(scaled(number, scale)?)?;
        rest = after;
    }
    if text.is_empty() {
        return None;
    }
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// Parses a number of bytes: `1048576`, `64MiB`, `1.5 GiB`, `100MB` (10⁶).
pub(super) fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = split(text.trim(), |c| c.is_ascii_digit() || c == '.');
    let scale = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    scaled(number, scale).and_then(|bytes| usize::try_from(bytes).ok())
}

/// What leads `text` and satisfies `belongs`, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// A decimal number times `scale`, exactly, rounded down: no detour through floating point.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? };
    if !fraction.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Digits beyond these change no byte and no nanosecond.
    let digits = fraction.get(..fraction.len().min(15))?;
    let part = if digits.is_empty() { 0 } else { digits.parse::<u128>().ok()? };
    let power = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    whole.checked_mul(scale)?.checked_add(part.checked_mul(scale)? / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_milliseconds_or_carry_their_unit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1500", Some(1_500)),
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("1.5s", Some(1_500)),
            (".5s", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("2m0.25s", Some(120_250)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("5 minutes", None),
            ("1.2.3s", None),
            ("5m3", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), expected, "{text}");
        }
        assert_eq!(duration("250us"), Some(Duration::from_micros(250)));
    }

    #[test]
    fn byte_sizes_know_both_families_of_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("64MiB", Some(64 << 20)),
            ("1.5 MiB", Some(3 << 19)),
            ("100MB", Some(100_000_000)),
            ("1gib", Some(1 << 30)),
            ("12 parsecs", None),
            ("-1", None),
            ("", None),
            ("MiB", None),
            ("99999999999999999999999999TiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
