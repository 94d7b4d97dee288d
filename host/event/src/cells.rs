//! Values of one column of many rows, packed end to end in Postgres text form.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

/// One value of one row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Postgres text form, UTF-8.
    Present(&'a [u8]),
    /// SQL NULL.
    Null,
    /// A TOASTed value that the update left alone and Postgres did not send. Never the same as NULL.
    Unchanged,
}

impl Value<'_> {
    /// The state without the bytes.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        match self {
            Self::Present(_) => State::Present,
            Self::Null => State::Null,
            Self::Unchanged => State::Unchanged,
        }
    }
}

/// A value must never reach a log: only its length is printed.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present(bytes) => write!(f, "text({} B)", bytes.len()),
            Self::Null => f.write_str("null"),
            Self::Unchanged => f.write_str("unchanged"),
        }
    }
}

/// What is known of one value. The numbers are those of `wit/v0/data.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The bytes are there.
    Present = 0,
    /// SQL NULL.
    Null = 1,
    /// Left alone by the update and not sent.
    Unchanged = 2,
}

impl State {
    /// The state of a code of `wit/v0/data.wit`.
    #[must_use]
    #[inline]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Present),
            1 => Some(Self::Null),
            2 => Some(Self::Unchanged),
            _ => None,
        }
    }
}

/// Why three vectors are not a column of values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCells {
    /// `ends` or a non-empty `states` has another length than there are rows.
    #[error("{what} has {got} entries for {want} rows")]
    Length {
        /// Which vector.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The number of rows.
        want: usize,
    },
    /// An end lies before the one in front of it.
    #[error("`ends` goes backwards at row {row}")]
    Backwards {
        /// The first such row.
        row: usize,
    },
    /// The last end is not the length of the data.
    #[error("the last end is {last} but there are {len} bytes of data")]
    Trailing {
        /// The last end.
        last: usize,
        /// Bytes of data.
        len: usize,
    },
    /// A state is none of 0, 1, 2.
    #[error("unknown state {code} at row {row}")]
    UnknownState {
        /// The first such row.
        row: usize,
        /// The code.
        code: u8,
    },
}

/// One column: `n` values of varying length, end to end.
///
/// Value `i` is `data[ends[i - 1]..ends[i]]`; null and unchanged values are empty there.
/// Cloning shares the data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Cells {
    /// One a row; empty when every value is present.
    states: Vec<u8>,
    ends: Vec<u32>,
    data: Bytes,
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cells({} rows, {} B)", self.ends.len(), self.data.len())
    }
}

impl Cells {
    /// Checks that the vectors are a column of `rows` values.
    ///
    /// # Errors
    /// Lengths that differ from `rows`, ends that go backwards or stop short, unknown states.
    pub fn from_parts(
        states: Vec<u8>,
        ends: Vec<u32>,
        data: Bytes,
        rows: usize,
    ) -> Result<Self, InvalidCells> {
        if ends.len() != rows {
            return Err(InvalidCells::Length { what: "`ends`", got: ends.len(), want: rows });
        }
        if !states.is_empty() && states.len() != rows {
            return Err(InvalidCells::Length { what: "`states`", got: states.len(), want: rows });
        }
        let mut before = 0;
        for (row, &end) in ends.iter().enumerate() {
            if end < before {
                return Err(InvalidCells::Backwards { row });
            }
            before = end;
        }
        if before as usize != data.len() {
            return Err(InvalidCells::Trailing { last: before as usize, len: data.len() });
        }
        if let Some((row, &code)) = states.iter().enumerate().find(|(_, code)| **code > 2) {
            return Err(InvalidCells::UnknownState { row, code });
        }
        Ok(Self { states, ends, data })
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True without any value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// State codes, one a row; empty when every value is present.
    #[must_use]
    pub fn states(&self) -> &[u8] {
        &self.states
    }

    /// Where each value ends in [`Cells::data`].
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// All values, end to end.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The state of the value at `row`; null past the end.
    #[must_use]
    #[inline]
    pub fn state(&self, row: usize) -> State {
        if self.states.is_empty() {
            return if row < self.ends.len() { State::Present } else { State::Null };
        }
        self.states.get(row).copied().and_then(State::from_code).unwrap_or(State::Null)
    }

    /// Where the value at `row` lies in [`Cells::data`].
    #[must_use]
    #[inline]
    pub fn range(&self, row: usize) -> Range<usize> {
        let start = match row.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        let end = self.ends.get(row).copied().unwrap_or(start);
        start as usize..end as usize
    }

    /// The value at `row`; null past the end.
    #[must_use]
    #[inline]
    pub fn get(&self, row: usize) -> Value<'_> {
        match self.state(row) {
            State::Present => Value::Present(self.data.get(self.range(row)).unwrap_or(&[])),
            State::Null => Value::Null,
            State::Unchanged => Value::Unchanged,
        }
    }

    /// Every value in turn.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value<'_>> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Memory that the column holds on to, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.data.len() + self.ends.len() * 4 + self.states.len()
    }

    /// The rows for which `keep` is true, in order.
    #[must_use]
    pub fn retain(&self, keep: &[bool]) -> Self {
        let mut kept = CellsBuilder::default();
        for (value, _) in self.iter().zip(keep).filter(|(_, keep)| **keep) {
            kept.push(value);
        }
        kept.finish()
    }
}

impl<'a> FromIterator<Value<'a>> for Cells {
    fn from_iter<I: IntoIterator<Item = Value<'a>>>(values: I) -> Self {
        let mut cells = CellsBuilder::default();
        for value in values {
            cells.push(value);
        }
        cells.finish()
    }
}

/// Fills one column, value by value.
#[derive(Default)]
pub struct CellsBuilder {
    states: Vec<u8>,
    ends: Vec<u32>,
    data: Vec<u8>,
}

impl CellsBuilder {
    /// Appends a value. A column of one batch stays below 4 GiB: Postgres sends no value over 1 GB and
    /// a batch is cut at 256 KB.
    #[inline]
    pub fn push(&mut self, value: Value<'_>) {
        let state = value.state();
        if state == State::Present {
            if !self.states.is_empty() {
                self.states.push(State::Present as u8);
            }
        } else {
            // The first value that is not present: until now no states were kept.
            if self.states.is_empty() {
                self.states.resize(self.ends.len(), State::Present as u8);
            }
            self.states.push(state as u8);
        }
        if let Value::Present(bytes) = value {
            self.data.extend_from_slice(bytes);
        }
        self.ends.push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }

    /// The column so far.
    #[must_use]
    pub fn finish(self) -> Cells {
        Cells { states: self.states, ends: self.ends, data: Bytes::from(self.data) }
    }
}

/// One image (new or old) of the rows of a chunk that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    rows: usize,
    columns: Vec<Cells>,
}

impl Image {
    /// An image from columns of one length.
    ///
    /// # Errors
    /// A column whose length is not `rows`.
    pub fn new(rows: usize, columns: Vec<Cells>) -> Result<Self, InvalidCells> {
        match columns.iter().find(|cells| cells.len() != rows) {
            Some(cells) => Err(InvalidCells::Length { what: "a column", got: cells.len(), want: rows }),
            None => Ok(Self { rows, columns }),
        }
    }

    /// How many rows have this image.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order of `Relation::columns`; empty when no row has this image.
    #[must_use]
    #[inline]
    pub fn columns(&self) -> &[Cells] {
        &self.columns
    }

    /// One value; null where there is none.
    #[must_use]
    #[inline]
    pub fn value(&self, column: usize, row: usize) -> Value<'_> {
        self.columns.get(column).map_or(Value::Null, |cells| cells.get(row))
    }

    /// Puts another column in the place of `column`.
    ///
    /// # Errors
    /// The new column has another length than the image.
    pub fn replace(&mut self, column: usize, cells: Cells) -> Result<(), InvalidCells> {
        if cells.len() != self.rows {
            return Err(InvalidCells::Length { what: "a column", got: cells.len(), want: self.rows });
        }
        if let Some(place) = self.columns.get_mut(column) {
            *place = cells;
        }
        Ok(())
    }

    /// The rows for which `keep` is true.
    #[must_use]
    pub fn retain(&self, keep: &[bool]) -> Self {
        let rows = keep.iter().take(self.rows).filter(|keep| **keep).count();
        Self { rows, columns: self.columns.iter().map(|cells| cells.retain(keep)).collect() }
    }

    /// Memory that the image holds on to, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.columns.iter().map(Cells::weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned() -> impl Strategy<Value = Option<Option<Vec<u8>>>> {
        prop_oneof![
            6 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(|v| Some(Some(v))),
            1 => Just(Some(None)),
            1 => Just(None),
        ]
    }

    fn value(owned: &Option<Option<Vec<u8>>>) -> Value<'_> {
        match owned {
            Some(Some(bytes)) => Value::Present(bytes),
            Some(None) => Value::Null,
            None => Value::Unchanged,
        }
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read_back(rows in proptest::collection::vec(owned(), 0..50)) {
            let cells: Cells = rows.iter().map(value).collect();
            prop_assert_eq!(cells.len(), rows.len());
            for (at, row) in rows.iter().enumerate() {
                prop_assert_eq!(cells.get(at), value(row));
            }
            let again = Cells::from_parts(
                cells.states().to_vec(), cells.ends().to_vec(), cells.data().clone(), rows.len());
            prop_assert_eq!(again, Ok(cells));
        }

        #[test]
        fn retain_keeps_the_rows_that_are_wanted(
            rows in proptest::collection::vec((owned(), any::<bool>()), 0..50)
        ) {
            let cells: Cells = rows.iter().map(|(row, _)| value(row)).collect();
            let keep: Vec<bool> = rows.iter().map(|(_, keep)| *keep).collect();
            let kept = cells.retain(&keep);
            let want: Vec<_> = rows.iter().filter(|(_, keep)| *keep).map(|(row, _)| value(row)).collect();
            prop_assert_eq!(kept.iter().collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn broken_vectors_are_refused() {
        let make = |states: &[u8], ends: &[u32], data: &'static [u8], rows| {
            Cells::from_parts(states.to_vec(), ends.to_vec(), Bytes::from_static(data), rows).unwrap_err()
        };
        assert_eq!(make(&[], &[1], b"a", 2), InvalidCells::Length { what: "`ends`", got: 1, want: 2 });
        assert_eq!(make(&[0], &[1, 1], b"a", 2), InvalidCells::Length { what: "`states`", got: 1, want: 2 });
        assert_eq!(make(&[], &[2, 1], b"ab", 2), InvalidCells::Backwards { row: 1 });
        assert_eq!(make(&[], &[1, 3], b"ab", 2), InvalidCells::Trailing { last: 3, len: 2 });
        assert_eq!(make(&[0, 3], &[1, 2], b"ab", 2), InvalidCells::UnknownState { row: 1, code: 3 });
    }

    #[test]
    fn debug_prints_lengths_and_never_bytes() {
        assert_eq!(format!("{:?}", Value::Present(b"secret")), "text(6 B)");
        let cells: Cells = [Value::Present(b"secret".as_slice())].into_iter().collect();
        assert_eq!(format!("{cells:?}"), "cells(1 rows, 6 B)");
    }
}
