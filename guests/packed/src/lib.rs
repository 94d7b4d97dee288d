//! Columns as they cross the boundary: one state a row, and the values end to end in one buffer.
//!
//! Reading and writing are loops over that buffer: no allocation for a value, and no panic whatever the ends say.

use std::fmt;

/// State of a value that is there.
pub const PRESENT: u8 = 0;
/// State of an SQL NULL.
pub const NULL: u8 = 1;
/// State of a TOASTed value that an update left alone and Postgres did not send.
pub const UNCHANGED: u8 = 2;

/// Why a column cannot be read: the two sides disagree about its form.
#[derive(Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not one end a row.
    Ends,
    /// Not one state a row.
    States,
    /// An end before the one of the value before, or beyond the data.
    Order,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Ends => "a packed column without one end for each row",
            Malformed::States => "a column without one state for each row",
            Malformed::Order => "a packed column whose ends are not in order",
        })
    }
}

/// A packed column to read.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    states: &'a [u8],
    ends: &'a [u32],
    data: &'a [u8],
}

impl<'a> Column<'a> {
    /// A column of `count` rows; `states` may be empty, which means that every value is present.
    pub fn new(count: u32, states: &'a [u8], ends: &'a [u32], data: &'a [u8]) -> Result<Self, Malformed> {
        let count = count as usize;
        if ends.len() != count {
            return Err(Malformed::Ends);
        }
        if !states.is_empty() && states.len() != count {
            return Err(Malformed::States);
        }
        if !ends.is_sorted() || ends.last().is_some_and(|&end| end as usize > data.len()) {
            return Err(Malformed::Order);
        }
        Ok(Self { states, ends, data })
    }

    /// The value of each row, none where it is NULL or unchanged.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let states = self.states;
        let present = move |row| states.get(row).is_none_or(|&state| state == PRESENT);
        split(self.ends, self.data).enumerate().map(move |(row, bytes)| present(row).then_some(bytes))
    }

    /// Calls `value` for each row that has one; the others come out empty.
    ///
    /// `value` appends to the buffer that it is given, which holds the values before.
    pub fn map(&self, mut value: impl FnMut(&[u8], &mut Vec<u8>)) -> Packed {
        let mut out = Packed::with_capacity(self.ends.len(), self.data.len());
        for bytes in self.values() {
            if let Some(bytes) = bytes {
                value(bytes, &mut out.data);
            }
            out.end();
        }
        out
    }

    /// Is every byte of every value ASCII?
    pub fn is_ascii(&self) -> bool {
        self.data.is_ascii()
    }
}

fn split<'a>(ends: &'a [u32], data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut start = 0;
    ends.iter().map(move |&end| {
        // The ends are in order and within the data, so the default is never taken: it spares the loop a panic.
        let bytes = data.get(start..end as usize).unwrap_or_default();
        start = end as usize;
        bytes
    })
}

/// Appends bytes, as `extend_from_slice` does. A copy of unknown length is a call out of the component there, which costs
/// more than some twenty bytes do; copies of eight bytes are an instruction each.
#[inline]
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    const WORD: usize = 8;
    const SHORT: usize = 96;
    let (words, rest) = bytes.as_chunks::<WORD>();
    if bytes.len() > SHORT {
        return out.extend_from_slice(bytes);
    }
    for word in words {
        out.extend_from_slice(word);
    }
    match (rest, bytes.last_chunk::<WORD>()) {
        ([], _) => {}
        // The last word overlaps the one before.
        (rest, Some(last)) => {
            out.truncate(out.len() + rest.len() - WORD);
            out.extend_from_slice(last);
        }
        (rest, None) => {
            for byte in rest {
                out.push(*byte);
            }
        }
    }
}

/// A packed column to give back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Where each value ends in `data`.
    pub ends: Vec<u32>,
    /// The values, end to end.
    pub data: Vec<u8>,
}

impl Packed {
    /// Room for `count` values of `bytes` bytes together.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(count), data: Vec::with_capacity(bytes) }
    }

    /// The values that have been ended.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.ends, &self.data)
    }

    /// Ends a value at what has been appended to `data`.
    pub fn end(&mut self) {
        // A guest's memory ends before 4 GiB.
        self.ends.push(self.data.len() as u32);
    }

    /// `count` values without a byte.
    pub fn empty(count: u32) -> Self {
        Self { ends: vec![0; count as usize], data: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_are_there_are_mapped() {
        let column = Column::new(4, &[PRESENT, NULL, PRESENT, UNCHANGED], &[2, 2, 5, 5], b"abcde").unwrap();
        let out = column.map(|value, out| {
            out.extend_from_slice(value);
            out.push(b'.');
        });
        assert_eq!(out, Packed { ends: vec![3, 3, 7, 7], data: b"ab.cde.".to_vec() });
        let values: Vec<_> = column.values().collect();
        assert_eq!(values, [Some(&b"ab"[..]), None, Some(b"cde"), None]);
    }

    #[test]
    fn appended_bytes_are_the_bytes() {
        let all: Vec<u8> = (0..200).collect();
        for length in 0..all.len() {
            for before in [0, 3, 9] {
                let mut out = vec![7; before];
                append(&mut out, &all[..length]);
                assert_eq!(out, [&vec![7; before], &all[..length]].concat(), "{length} after {before}");
            }
        }
    }

    #[test]
    fn no_states_means_that_every_value_is_present() {
        let column = Column::new(2, &[], &[0, 1], b"x").unwrap();
        let out = column.map(|value, out| out.extend_from_slice(if value.is_empty() { b"-" } else { value }));
        assert_eq!(out, Packed { ends: vec![1, 2], data: b"-x".to_vec() });
    }

    #[test]
    fn a_column_that_breaks_the_contract_is_refused() {
        let refused = |count, states: &[u8], ends: &[u32]| Column::new(count, states, ends, b"ab").err();
        assert_eq!(refused(1, &[], &[]), Some(Malformed::Ends));
        assert_eq!(refused(2, &[0], &[1, 2]), Some(Malformed::States));
        assert_eq!(refused(2, &[], &[2, 1]), Some(Malformed::Order));
        assert_eq!(refused(1, &[], &[3]), Some(Malformed::Order));
        assert_eq!(refused(0, &[], &[]), None);
    }
}
