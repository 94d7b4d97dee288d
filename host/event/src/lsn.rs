//! A position in the write-ahead log, as Postgres prints it (`16/B374D848`).

use std::fmt;
use std::str::FromStr;

/// A byte position in the write-ahead log of one cluster. Zero means "none".
///
/// Source of the text form: <https://www.postgresql.org/docs/current/datatype-pg-lsn.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before every other.
    pub const ZERO: Self = Self(0);
    /// Behind every other.
    pub const MAX: Self = Self(u64::MAX);

    /// How many bytes of log lie between `earlier` and this position; 0 if it is not earlier.
    #[must_use]
    pub fn bytes_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The text is not a log position.
#[derive(Debug, thiserror::Error)]
#[error("not a log position (expected two hexadecimal numbers joined by `/`)")]
pub struct ParseLsnError;

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| ParseLsnError)?;
        let low = u32::from_str_radix(low, 16).map_err(|_| ParseLsnError)?;
        Ok(Self((u64::from(high) << 32) | u64::from(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_the_one_of_postgres() {
        let lsn: Lsn = "16/B374D848".parse().unwrap();
        assert_eq!(lsn, Lsn(0x16_B374_D848));
        assert_eq!(lsn.to_string(), "16/B374D848");
        assert_eq!("0/0".parse::<Lsn>().unwrap(), Lsn::ZERO);
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "16", "16/", "x/0", "1/100000000", "-1/0"] {
            assert!(bad.parse::<Lsn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn distance_never_goes_below_zero() {
        assert_eq!(Lsn(5).bytes_since(Lsn(2)), 3);
        assert_eq!(Lsn(2).bytes_since(Lsn(5)), 0);
    }
}
