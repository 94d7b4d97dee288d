//! Values as the server reads them: a text parameter, an array literal, a line of COPY.
//!
//! Array literals: <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>.
//! COPY: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use event::Value;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::binary::Binary;
use super::plan::{Found, Pick, Plan};
use super::rows::Rows;
use super::statement::Param;
use super::table::Table;

/// What the values of a job come from.
#[derive(Clone)]
pub(super) struct Source<'a> {
    plan: &'a Plan,
    rows: Rows<'a>,
    pub(super) table: &'a Table,
    /// One a pick.
    pub(super) found: Arc<[Found<'a>]>,
}

/// A column of a COPY: its place on the source, and whether it is a part of the key.
#[derive(Clone, Copy)]
pub(super) struct Place {
    column: usize,
    key: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(plan: &'a Plan, rows: Rows<'a>, table: &'a Table, picks: &'a [Pick]) -> Self {
        let found = picks.iter().map(|pick| plan.found(rows, pick)).collect();
        Self { plan, rows, table, found }
    }

    /// Where the values of these parameters are.
    pub(super) fn columns(&self, params: &[Param]) -> Vec<Place> {
        params.iter().map(|param| self.column(*param)).collect()
    }

    fn column(&self, param: Param) -> Place {
        Place { column: self.table.source(param.column), key: param.key }
    }

    #[inline]
    fn value(&self, found: &Found<'a>, place: Place) -> Value<'a> {
        self.plan.parameter(self.rows, found, place.key, place.column)
    }

    /// Every value of a column.
    fn values(&self, place: Place) -> impl ExactSizeIterator<Item = Value<'a>> {
        self.found.iter().map(move |found| self.value(found, place))
    }
}

/// One parameter of a statement: the value of the only row, or an array of those of all rows.
#[derive(Clone)]
pub(super) struct Argument<'a> {
    source: Source<'a>,
    param: Param,
    place: Place,
    many: bool,
    /// The array can go in binary form, which the server reads in half the time.
    binary: Option<Binary>,
}

impl<'a> Argument<'a> {
    pub(super) fn new(source: &Source<'a>, param: Param, many: bool) -> Self {
        let place = source.column(param);
        let target = source.table.columns.get(param.column).map(|column| &column.target);
        let binary = target
            .filter(|target| many && !target.as_text)
            .and_then(|target| Binary::of(target.oid))
            .filter(|binary| source.values(place).all(|value| binary.holds(value)));
        Self { source: source.clone(), param, place, many, binary }
    }
}

/// The driver prints parameters at its debug level: never a value.
impl fmt::Debug for Argument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} of {} rows", self.param.column, self.source.found.len())
    }
}

impl ToSql for Argument<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if let Some(binary) = self.binary {
            binary.array(self.source.values(self.place), out)?;
            return Ok(IsNull::No);
        }
        if self.many {
            self.array(out);
            return Ok(IsNull::No);
        }
        match self.source.values(self.place).next() {
            Some(Value::Present(bytes)) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
            Some(Value::Null | Value::Unchanged) | None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.binary.is_some() { Format::Binary } else { Format::Text }
    }

    tokio_postgres::types::to_sql_checked!();
}

impl Argument<'_> {
    /// Every element is quoted, so that none is taken for NULL or for a nested array.
    fn array(&self, out: &mut BytesMut) {
        let column = self.source.table.columns.get(self.param.column);
        let delimiter =
            column.filter(|column| !column.target.as_text).map_or(b',', |column| column.target.delimiter);
        out.put_u8(b'{');
        for (at, value) in self.source.values(self.place).enumerate() {
            if at > 0 {
                out.put_u8(delimiter);
            }
            match value {
                Value::Present(bytes) => {
                    out.put_u8(b'"');
                    escape(bytes, out, |byte| matches!(byte, b'"' | b'\\').then_some(byte));
                    out.put_u8(b'"');
                }
                Value::Null | Value::Unchanged => out.put_slice(b"NULL"),
            }
        }
        out.put_u8(b'}');
    }
}

/// Appends one row as a line of COPY in text format.
pub(super) fn line<'a>(source: &Source<'a>, places: &[Place], row: &Found<'a>, out: &mut BytesMut) {
    for (at, place) in places.iter().enumerate() {
        if at > 0 {
            out.put_u8(b'\t');
        }
        field(source.value(row, *place), out);
    }
    out.put_u8(b'\n');
}

/// Appends a value of such a line.
pub(super) fn field(value: Value<'_>, out: &mut BytesMut) {
    match value {
        Value::Present(bytes) => escape(bytes, out, |byte| match byte {
            b'\\' => Some(b'\\'),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            _ => None,
        }),
        Value::Null | Value::Unchanged => out.put_slice(b"\\N"),
    }
}

/// Copies `bytes`; a byte for which `special` answers becomes a backslash and the answer.
fn escape(bytes: &[u8], out: &mut BytesMut, special: impl Fn(u8) -> Option<u8>) {
    if is_plain(bytes) {
        return out.put_slice(bytes);
    }
    out.reserve(bytes.len() + 2);
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| special(*byte).is_some()) {
        let (plain, tail) = rest.split_at(at);
        out.put_slice(plain);
        let Some((first, after)) = tail.split_first() else { return };
        out.put_u8(b'\\');
        out.put_u8(special(*first).unwrap_or(*first));
        rest = after;
    }
    out.put_slice(rest);
}

/// No byte of it is special anywhere: a control character, a quote or a backslash. Eight bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const TOP: u64 = EACH << 7;
    let plain = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        // A subtraction carries into the top bit where a byte is less than what is subtracted.
        let less = |word: u64, than: u64| word.wrapping_sub(EACH * than) & !word & TOP;
        let is = |byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
        less(word, 0x20) | is(b'"') | is(b'\\') == 0
    };
    match bytes.last_chunk::<8>() {
        Some(last) => bytes.as_chunks::<8>().0.iter().all(plain) && plain(last),
        None => bytes.iter().all(|byte| *byte >= 0x20 && !matches!(byte, b'"' | b'\\')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_byte_is_seen_wherever_it_is() {
        for length in 0..20 {
            let mut bytes = vec![b'!'; length];
            assert!(is_plain(&bytes));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    bytes[at] = byte;
                    assert_eq!(
                        is_plain(&bytes),
                        byte >= 0x20 && byte != b'"' && byte != b'\\',
                        "{byte} at {at}"
                    );
                }
                bytes[at] = b'!';
            }
        }
    }

    #[test]
    fn what_would_end_a_quoted_element_is_escaped() {
        let mut out = BytesMut::new();
        escape(br#"a"b\c,{}"#, &mut out, |byte| matches!(byte, b'"' | b'\\').then_some(byte));
        assert_eq!(&out[..], br#"a\"b\\c,{}"#);
    }
}
