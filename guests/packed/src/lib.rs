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

    /// Calls `change` for each row that has a value; the others come out empty.
    ///
    /// `change` says what of the value becomes something else, from left to right. What stays is copied for many values
    /// at once: a copy costs a plugin more than a short value has bytes. `N` is how many stars hide what
    /// [`Edit::stars`] hides.
    pub fn edit<const N: usize>(&self, mut change: impl FnMut(&'a [u8], &mut Edit<'a, N>)) -> Packed {
        let mut edit = Edit::new(self);
        let mut start = 0;
        for (row, &end) in self.ends.iter().enumerate() {
            // As in `split`.
            let value = self.data.get(start as usize..end as usize).unwrap_or_default();
            edit.start = start as usize;
            if self.states.get(row).is_none_or(|&state| state == PRESENT) {
                change(value, &mut edit);
            } else if !value.is_empty() {
                edit.gap(0, value.len());
            }
            edit.end(end as usize);
            start = end;
        }
        edit.finish(start as usize)
    }

    /// Is every byte of every value ASCII?
    pub fn is_ascii(&self) -> bool {
        // The library's own takes four bytes at a time where an address has four.
        let (words, rest) = self.data.as_chunks::<8>();
        let (fours, words) = words.as_chunks::<4>();
        let word = |word: &[u8; 8]| u64::from_le_bytes(*word);
        let four = |[a, b, c, d]: &[[u8; 8]; 4]| word(a) | word(b) | word(c) | word(d);
        let all = fours.iter().fold(0, |all, next| all | four(next));
        let all = words.iter().fold(all, |all, next| all | word(next));
        all & u64::from_ne_bytes([0x80; 8]) == 0 && rest.is_ascii()
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

/// A column on its way to another, which for the most part is the same.
///
/// It is copied ahead in pieces that are larger than most values, stars are put into the copy, and what a gap finds
/// copied too far is taken back.
pub struct Edit<'a, const N: usize> {
    data: &'a [u8],
    out: Packed,
    /// Up to here `data` is in `out`, or left out of it.
    done: usize,
    /// Where the value in hand begins.
    start: usize,
}

impl<'a, const N: usize> Edit<'a, N> {
    /// Bytes that are copied at once.
    const PIECE: usize = 512;

    fn new(column: &Column<'a>) -> Self {
        let out = Packed::with_capacity(column.ends.len(), column.data.len() + Self::PIECE);
        Self { data: column.data, out, done: 0, start: 0 }
    }

    /// The bytes of the value from `from` to `to` become `N` stars.
    #[inline(always)]
    pub fn stars(&mut self, from: usize, to: usize) {
        if to - from != N {
            self.gap(from, to).extend_from_slice(&[b'*'; N]);
            return;
        }
        let at = self.start + from;
        if self.done < at + N {
            self.copy((at + N).max(self.done + Self::PIECE).min(self.data.len()));
        }
        let place = self.out.data.len() + at - self.done;
        if let Some(hidden) = self.out.data.get_mut(place..place + N) {
            hidden.copy_from_slice(&[b'*'; N]);
        }
    }

    /// The bytes of the value from `from` to `to` become what is appended to the answer.
    #[inline(never)]
    pub fn gap(&mut self, from: usize, to: usize) -> &mut Vec<u8> {
        self.reach(self.start + from);
        self.done = self.start + to;
        &mut self.out.data
    }

    /// Makes `out` end with what is before `at`.
    fn reach(&mut self, at: usize) {
        if at < self.done {
            self.out.data.truncate(self.out.data.len() - (self.done - at));
            self.done = at;
        } else {
            self.copy(at);
        }
    }

    #[inline(never)]
    fn copy(&mut self, to: usize) {
        self.out.data.extend_from_slice(self.data.get(self.done..to).unwrap_or_default());
        self.done = to;
    }

    #[inline(always)]
    fn end(&mut self, end: usize) {
        // Copied already or not. A guest's memory ends before 4 GiB.
        self.out.ends.push((self.out.data.len() + end - self.done) as u32);
    }

    fn finish(mut self, end: usize) -> Packed {
        self.reach(end);
        self.out
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
    fn what_an_edit_leaves_alone_is_copied_with_its_neighbours() {
        let column = Column::new(5, &[0, 0, 1, 0, 0], &[4, 6, 7, 7, 12], b"abcdefXghijk").unwrap();
        let out = column.edit::<2>(|value, edit| match value.len() {
            4 => edit.stars(1, 3),
            2 => edit.gap(0, 1).extend_from_slice(b"long"),
            0 => edit.stars(0, 0),
            _ => {
                edit.stars(0, 2);
                edit.gap(4, 5);
            }
        });
        let values: Vec<_> = out.values().collect();
        assert_eq!(values, [&b"a**d"[..], b"longf", b"", b"**", b"**ij"]);
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
