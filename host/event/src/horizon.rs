//! Which transactions a snapshot sees, as Postgres prints it (`10:20:10,14,15`).

use std::fmt;
use std::str::FromStr;

/// Which transactions were over at a moment: those before `end`, apart from some that were running.
///
/// Source of the text form: <https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// All before it were over.
    begin: u64,
    /// None from here on was over.
    end: u64,
    /// Those between that were running, in order.
    running: Vec<u64>,
}

impl Horizon {
    /// One that sees every transaction: where a position alone says what is over. `0:0:`, which Postgres never prints.
    #[must_use]
    pub fn of_all() -> Self {
        Self::default()
    }

    /// Whether it sees what a committed transaction did. The stream has the lower half of a transaction's number:
    /// numbers go round, and half of the circle is behind.
    #[must_use]
    pub fn sees(&self, xid: u32) -> bool {
        if self.end == 0 {
            return true;
        }
        let distance = low(self.end).wrapping_sub(xid);
        (1..1 << 31).contains(&distance) && !self.running.iter().any(|running| low(*running) == xid)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn low(xid: u64) -> u32 {
    xid as u32
}

impl fmt::Display for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.begin, self.end)?;
        for (at, xid) in self.running.iter().enumerate() {
            write!(f, "{}{xid}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The text is not a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("not a snapshot (expected `xmin:xmax:xid,xid,...`)")]
pub struct ParseHorizonError;

impl FromStr for Horizon {
    type Err = ParseHorizonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| ParseHorizonError);
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(ParseHorizonError);
        let (begin, end) = (number(part()?)?, number(part()?)?);
        let running = part()?.split(',').filter(|xid| !xid.is_empty());
        Ok(Self { begin, end, running: running.map(number).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sees_what_had_ended_before_it_also_where_numbers_go_round() {
        let horizon: Horizon = "90:100:90,95".parse().unwrap();
        for (xid, seen) in
            [(99, true), (94, true), (89, true), (90, false), (95, false), (100, false), (101, false)]
        {
            assert_eq!(horizon.sees(xid), seen, "{xid}");
        }
        let all: Horizon = Horizon::of_all().to_string().parse().unwrap();
        assert!([3, 1 << 31, u32::MAX].into_iter().all(|xid| all.sees(xid)));
        let round: Horizon = "4294967294:4294967301:4294967294".parse().unwrap();
        for (xid, seen) in [(4, true), (u32::MAX, true), (u32::MAX - 1, false), (5, false), (1 << 30, false)]
        {
            assert_eq!(round.sees(xid), seen, "{xid}");
        }
    }

    #[test]
    fn text_form_is_the_one_of_postgres() {
        for text in ["10:20:10,14,15", "7:7:", "4294967296:4294967300:4294967299"] {
            assert_eq!(text.parse::<Horizon>().unwrap().to_string(), text);
        }
        for bad in ["", "1", "1:2", "a:2:", "1:2:x"] {
            assert!(bad.parse::<Horizon>().is_err(), "{bad}");
        }
    }
}
