//! From what a plugin gave back to the host's packed text, checked against the contract.

use std::ops::Range;

use bytes::Bytes;
use event::{Cells, State, Value};

use super::{Column, ColumnType, Packed, Values, gather, number, time};

/// A value that the column cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Row of the call.
    pub row: usize,
    /// A word for machines.
    pub code: &'static str,
    /// Why, without the value.
    pub reason: &'static str,
}

/// A column as the host keeps it.
#[derive(Clone, Debug)]
pub struct Scattered {
    /// The values.
    pub cells: Cells,
    /// Rows whose value does not fit; it is not in `cells` or means nothing there.
    pub misfits: Vec<Misfit>,
}

/// Takes a column back from a plugin. `source` is the column that the rows were gathered from.
///
/// A null stays null and an unchanged value stays unchanged whatever the plugin gave: nobody turns "no value" into
/// one, and a plugin that forgets about states does no harm.
///
/// # Errors
/// A column that breaks the contract: wrong length, ends that go backwards or split a character, text that is no
/// UTF-8 or has a NUL, unknown states, a value called unchanged that was there. The text names no value.
pub fn scatter(
    column: Column<'static>,
    kind: ColumnType,
    source: &Cells,
    rows: Range<usize>,
) -> Result<Scattered, String> {
    let Column { states, values, .. } = column;
    let (count, shape) = (rows.len(), values.shape());
    if values.len() != count {
        return Err(format!("{} values for {count} rows", values.len()));
    }
    if !kind.has(shape) {
        return Err(format!("a column of shape {shape} for a type that has no such shape"));
    }
    let states = settle(states.into_owned(), source, &rows)?;
    let mut misfits = Vec::new();
    let cells = match values {
        Values::Text(packed) => text(packed, states, kind, count, &mut misfits)?,
        Values::Bytes(packed) => bytes(packed, states, count)?,
        Values::Ints(values) => write(&states, &values, &mut misfits, |out, value| int(out, *value, kind)),
        Values::Floats(values) => {
            // A value that was left alone keeps the text that Postgres gave it.
            let mut row = rows.start;
            write(&states, &values, &mut misfits, |out, value| {
                let old = source.get(row);
                row += 1;
                float(out, *value, kind, old)
            })
        }
        Values::Bools(values) => write(&states, &values, &mut misfits, |out, value| match value {
            0 | 1 => {
                out.push(if *value == 1 { b't' } else { b'f' });
                None
            }
            _ => Some(("out_of_range", "a boolean is 0 or 1")),
        }),
    };
    Ok(Scattered { cells, misfits })
}

/// The states of the result: what the plugin says, except where there was no value.
fn settle(mut states: Vec<u8>, source: &Cells, rows: &Range<usize>) -> Result<Vec<u8>, String> {
    let before = source.states().get(rows.clone()).unwrap_or(&[]);
    if states.is_empty() && before.iter().all(|state| *state == State::Present as u8) {
        return Ok(states);
    }
    if states.is_empty() {
        return Ok(before.to_vec());
    }
    if states.len() != rows.len() {
        return Err(format!("{} states for {} rows", states.len(), rows.len()));
    }
    for (row, state) in states.iter_mut().enumerate() {
        let was = before.get(row).copied().unwrap_or(State::Present as u8);
        if was != State::Present as u8 {
            *state = was;
        } else if *state == State::Unchanged as u8 {
            return Err(format!("row {row} is called unchanged, but its value was there"));
        } else if *state > State::Unchanged as u8 {
            return Err(format!("row {row} has the unknown state {state}"));
        }
    }
    Ok(states)
}

fn present(states: &[u8], row: usize) -> bool {
    states.get(row).is_none_or(|state| *state == State::Present as u8)
}

fn text(
    packed: Packed<'static>,
    states: Vec<u8>,
    kind: ColumnType,
    count: usize,
    misfits: &mut Vec<Misfit>,
) -> Result<Cells, String> {
    let (ends, data) = (packed.ends.into_owned(), packed.data.into_owned());
    if !data.is_ascii() {
        let text = std::str::from_utf8(&data).map_err(|_| "text that is not UTF-8".to_owned())?;
        if let Some(row) = ends.iter().position(|end| !text.is_char_boundary(*end as usize)) {
            return Err(format!("the text of row {row} ends inside a character"));
        }
    }
    if data.contains(&0) {
        return Err("text with a NUL character".into());
    }
    let cells =
        Cells::from_parts(states, ends, Bytes::from(data), count).map_err(|error| error.to_string())?;
    let cells = without_hidden_bytes(cells);
    check(&cells, kind, misfits);
    Ok(cells)
}

/// A null has no bytes. What a plugin left there goes.
fn without_hidden_bytes(cells: Cells) -> Cells {
    let hidden = cells
        .states()
        .iter()
        .enumerate()
        .any(|(row, state)| *state != State::Present as u8 && !cells.range(row).is_empty());
    if hidden { cells.iter().collect() } else { cells }
}

/// Texts that the column's type would refuse. Types without a cheap check are left to the target.
fn check(cells: &Cells, kind: ColumnType, misfits: &mut Vec<Misfit>) {
    let fits: fn(&[u8], ColumnType) -> bool = match kind {
        ColumnType::Text(None) | ColumnType::Other => return,
        ColumnType::Text(Some(_)) => |text, kind| {
            let ColumnType::Text(Some(limit)) = kind else { return true };
            text.len() <= limit || characters(text) <= limit
        },
        ColumnType::Int(_) => |text, kind| number::parse_int(text).is_some_and(|value| kind.holds(value)),
        ColumnType::Bool => |text, kind| gather::bool(text, kind).is_some(),
        ColumnType::Float4 => |text, _| number::parse_float(text, true).is_some(),
        ColumnType::Float8 => |text, _| number::parse_float(text, false).is_some(),
        ColumnType::Uuid => |text, _| number::is_uuid(text),
        ColumnType::Bytea => |text, _| number::unhex(text, &mut Vec::new()),
        // Years without a number are dates all the same.
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => {
            |text, kind| gather::int(text, kind).is_some() || text.first().is_some_and(u8::is_ascii_digit)
        }
    };
    for (row, value) in cells.iter().enumerate() {
        if let Value::Present(text) = value
            && !fits(text, kind)
        {
            misfits.push(match kind {
                ColumnType::Text(_) => {
                    Misfit { row, code: "too_long", reason: "the text is longer than the column" }
                }
                _ => {
                    Misfit { row, code: "invalid_text", reason: "the text is no value of the column's type" }
                }
            });
        }
    }
}

fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| (**byte & 0xC0) != 0x80).count()
}

fn bytes(packed: Packed<'static>, states: Vec<u8>, count: usize) -> Result<Cells, String> {
    let (ends, data) = (packed.ends.into_owned(), packed.data.into_owned());
    let raw = Cells::from_parts(states, ends, Bytes::from(data), count).map_err(|error| error.to_string())?;
    let mut hex = Vec::with_capacity(raw.data().len() * 2 + count * 2);
    let mut ends = Vec::with_capacity(count);
    for value in raw.iter() {
        if let Value::Present(bytes) = value {
            number::write_hex(&mut hex, bytes);
        }
        ends.push(end(&hex)?);
    }
    Cells::from_parts(raw.states().to_vec(), ends, Bytes::from(hex), count).map_err(|error| error.to_string())
}

fn end(data: &[u8]) -> Result<u32, String> {
    u32::try_from(data.len()).map_err(|_| "more than 4 GiB in one column".into())
}

fn write<T>(
    states: &[u8],
    values: &[T],
    misfits: &mut Vec<Misfit>,
    mut put: impl FnMut(&mut Vec<u8>, &T) -> Option<(&'static str, &'static str)>,
) -> Cells {
    let mut cells = event::CellsBuilder::default();
    let mut text = Vec::with_capacity(32);
    for (row, value) in values.iter().enumerate() {
        text.clear();
        let misfit = put(&mut text, value);
        if present(states, row) {
            if let Some((code, reason)) = misfit {
                misfits.push(Misfit { row, code, reason });
            }
            cells.push(Value::Present(&text));
        } else if states.get(row).is_some_and(|state| *state == State::Unchanged as u8) {
            cells.push(Value::Unchanged);
        } else {
            cells.push(Value::Null);
        }
    }
    cells.finish()
}

fn int(out: &mut Vec<u8>, value: i64, kind: ColumnType) -> Option<(&'static str, &'static str)> {
    use std::io::Write as _;
    let fits = match kind {
        ColumnType::Date => time::write_date(out, value),
        ColumnType::Timestamp => time::write_timestamp(out, value, false),
        ColumnType::TimestampTz => time::write_timestamp(out, value, true),
        _ => {
            let _ = write!(out, "{value}");
            kind.holds(value)
        }
    };
    (!fits).then_some(("out_of_range", "the number is out of the column's range"))
}

fn float(
    out: &mut Vec<u8>,
    value: f64,
    kind: ColumnType,
    old: Value<'_>,
) -> Option<(&'static str, &'static str)> {
    let single = kind == ColumnType::Float4;
    if let Value::Present(text) = old
        && number::parse_float(text, single).is_some_and(|old| old.to_bits() == value.to_bits())
    {
        out.extend_from_slice(text);
        return None;
    }
    (!number::write_float(out, value, single))
        .then_some(("out_of_range", "the number is out of the column's range"))
}
