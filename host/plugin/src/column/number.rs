//! Numbers and byte strings in Postgres text form.

use std::io::Write as _;

/// A whole number as Postgres prints it.
pub(super) fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    // Downwards, because the smallest number has no positive twin.
    let mut sum = 0_i64;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        sum = sum.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(sum) } else { sum.checked_neg() }
}

/// A `double precision` or, when `single`, a `real`.
pub(super) fn parse_float(text: &[u8], single: bool) -> Option<f64> {
    match text {
        b"NaN" => return Some(f64::NAN),
        b"Infinity" => return Some(f64::INFINITY),
        b"-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    if single { text.parse::<f32>().ok().map(f64::from) } else { text.parse().ok() }
}

/// Writes the shortest text that reads back as the same number, in Postgres' form: plain digits for exponents from
/// -4 up to (not with) 15, or 6 for `real`. False when a finite number is too big for `real`.
///
/// Of two texts that read back as one number, Postgres takes the longer in the rare case that the shorter lies
/// exactly between two numbers (`1e+23`); here it is the shorter. The target stores the same number.
pub(super) fn write_float(out: &mut Vec<u8>, value: f64, single: bool) -> bool {
    #[allow(clippy::cast_possible_truncation, reason = "a real has 32 bits; what does not fit is refused")]
    let narrow = value as f32;
    if single && value.is_finite() && !narrow.is_finite() {
        return false;
    }
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
        return true;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
        return true;
    }
    let (scientific, limit) = if single { (format!("{narrow:e}"), 6) } else { (format!("{value:e}"), 15) };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..limit).contains(&exponent) {
        let _ = if single { write!(out, "{narrow}") } else { write!(out, "{value}") };
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    true
}

/// The bytes of `\x…` appended to `out`; false when the text is something else.
pub(super) fn unhex(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(digits) = text.strip_prefix(b"\\x") else { return false };
    if digits.len() % 2 != 0 {
        return false;
    }
    for pair in digits.chunks_exact(2) {
        let [high, low] = pair else { return false };
        let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) else { return false };
        out.push(high << 4 | low);
    }
    true
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Writes bytes as `\x…`.
pub(super) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        }
    }
}

/// Whether the text is a `uuid` as Postgres prints it, or with capitals.
pub(super) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64, single: bool) -> String {
        let mut out = Vec::new();
        assert!(write_float(&mut out, value, single));
        String::from_utf8(out).unwrap()
    }

    /// Each as Postgres 15 prints it.
    #[test]
    fn floats_look_as_in_postgres() {
        for (value, text) in [
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1_234_567_890_123_456.0, "1.234567890123456e+15"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (5e-324, "5e-324"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value, false), text);
        }
        for (value, text) in [
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (8_589_973_000.0, "8.589974e+09"),
            (f64::from(0.1_f32), "0.1"),
        ] {
            assert_eq!(float(value, true), text);
        }
        assert!(!write_float(&mut Vec::new(), 1e300, true));
    }

    #[test]
    fn whole_numbers_reach_both_ends() {
        assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_int(b"9223372036854775807"), Some(i64::MAX));
        for bad in ["", "-", "9223372036854775808", "1.0", "+1", " 1"] {
            assert_eq!(parse_int(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_hex_with_its_prefix_is_bytea() {
        let mut out = Vec::new();
        assert!(unhex(b"\\x00ffA0", &mut out));
        assert_eq!(out, [0, 255, 160]);
        let mut text = Vec::new();
        write_hex(&mut text, &out);
        assert_eq!(text, b"\\x00ffa0");
        for bad in ["", "00", "\\x0", "\\x0g"] {
            assert!(!unhex(bad.as_bytes(), &mut Vec::new()), "{bad}");
        }
    }
}
