//! From the host's packed text to the shape that a plugin asks for.

use std::borrow::Cow;
use std::ops::Range;

use event::{Cells, State, Value};

use super::{Column, ColumnType, Packed, Values, number, time};
use crate::Shape;

/// A column for a plugin.
#[derive(Clone, Debug)]
pub struct Gathered<'a> {
    /// The column.
    pub column: Column<'a>,
    /// Rows, counted in the call, whose value has no form in the shape (a date in the year 5,000,000); the plugin
    /// sees them as null.
    pub unreadable: Vec<usize>,
}

/// Some rows of a column in a shape. [`Shape::Text`] borrows everything when all rows are asked for, and the data in
/// any case.
///
/// A shape that the type does not have (see [`ColumnType::has`]) makes every present value unreadable.
#[must_use]
pub fn gather(cells: &Cells, rows: Range<usize>, at: usize, shape: Shape, kind: ColumnType) -> Gathered<'_> {
    let rows = rows.start.min(cells.len())..rows.end.min(cells.len());
    let mut states = Cow::Borrowed(cells.states().get(rows.clone()).unwrap_or(&[]));
    let mut unreadable = Vec::new();
    let values = match shape {
        Shape::Text => Values::Text(text(cells, &rows)),
        Shape::Bytes => {
            let mut ends = Vec::with_capacity(rows.len());
            let mut data = Vec::new();
            for row in rows.clone() {
                if let Value::Present(text) = cells.get(row)
                    && !number::unhex(text, &mut data)
                {
                    data.truncate(ends.last().map_or(0, |end: &u32| *end as usize));
                    unreadable.push(row - rows.start);
                }
                ends.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
            }
            Values::Bytes(Packed { ends: ends.into(), data: data.into() })
        }
        Shape::Ints => Values::Ints(each(cells, &rows, &mut unreadable, |text| int(text, kind)).into()),
        Shape::Floats => Values::Floats(
            each(cells, &rows, &mut unreadable, |text| match kind {
                ColumnType::Float4 => number::parse_float(text, true),
                ColumnType::Float8 => number::parse_float(text, false),
                _ => None,
            })
            .into(),
        ),
        Shape::Bools => Values::Bools(each(cells, &rows, &mut unreadable, |text| bool(text, kind)).into()),
    };
    if !unreadable.is_empty() {
        let states = states.to_mut();
        states.resize(rows.len(), State::Present as u8);
        for row in &unreadable {
            if let Some(state) = states.get_mut(*row) {
                *state = State::Null as u8;
            }
        }
    }
    Gathered { column: Column { at, states, values }, unreadable }
}

fn text<'a>(cells: &'a Cells, rows: &Range<usize>) -> Packed<'a> {
    if rows.len() == cells.len() {
        return Packed { ends: Cow::Borrowed(cells.ends()), data: Cow::Borrowed(cells.data()) };
    }
    let start = cells.range(rows.start).start;
    let end = rows.end.checked_sub(1).map_or(start, |last| cells.range(last).end).max(start);
    let offset = u32::try_from(start).unwrap_or(u32::MAX);
    let ends = cells.ends().get(rows.clone()).unwrap_or(&[]);
    Packed {
        ends: ends.iter().map(|end| end.saturating_sub(offset)).collect(),
        data: Cow::Borrowed(cells.data().get(start..end).unwrap_or(&[])),
    }
}

fn each<T: Default>(
    cells: &Cells,
    rows: &Range<usize>,
    unreadable: &mut Vec<usize>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(rows.len());
    for row in rows.clone() {
        let value = match cells.get(row) {
            Value::Present(text) => parse(text).unwrap_or_else(|| {
                unreadable.push(row - rows.start);
                T::default()
            }),
            Value::Null | Value::Unchanged => T::default(),
        };
        values.push(value);
    }
    values
}

pub(super) fn int(text: &[u8], kind: ColumnType) -> Option<i64> {
    match kind {
        ColumnType::Int(_) => number::parse_int(text),
        ColumnType::Date => time::parse_date(text),
        ColumnType::Timestamp => time::parse_timestamp(text, false),
        ColumnType::TimestampTz => time::parse_timestamp(text, true),
        _ => None,
    }
}

pub(super) fn bool(text: &[u8], kind: ColumnType) -> Option<u8> {
    match (kind, text) {
        (ColumnType::Bool, b"t") => Some(1),
        (ColumnType::Bool, b"f") => Some(0),
        _ => None,
    }
}
