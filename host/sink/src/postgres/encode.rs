//! Values as the server reads them: a text parameter, an array literal, a line of COPY.
//!
//! Array literals: <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>.
//! COPY: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>.

use std::error::Error;
use std::fmt;

use bytes::{BufMut, BytesMut};
use event::Value;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::plan::{Pick, Plan};
use super::rows::Rows;
use super::statement::Param;
use super::table::Table;

/// What the values of a job come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) plan: &'a Plan,
    pub(super) rows: Rows<'a>,
    pub(super) table: &'a Table,
    pub(super) picks: &'a [Pick],
}

impl<'a> Source<'a> {
    fn value(&self, pick: &Pick, param: Param) -> Value<'a> {
        self.plan.parameter(self.rows, self.table, pick, param)
    }
}

/// One parameter of a statement: the value of the only row, or an array of those of all rows.
#[derive(Clone, Copy)]
pub(super) struct Argument<'a> {
    pub(super) source: Source<'a>,
    pub(super) param: Param,
    pub(super) many: bool,
}

/// The driver prints parameters at its debug level: never a value.
impl fmt::Debug for Argument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} of {} rows", self.param.column, self.source.picks.len())
    }
}

impl ToSql for Argument<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.many {
            array(self.source, self.param, out);
            return Ok(IsNull::No);
        }
        let Some(pick) = self.source.picks.first() else { return Ok(IsNull::Yes) };
        match self.source.value(pick, self.param) {
            Value::Present(bytes) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
            Value::Null | Value::Unchanged => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Every element is quoted, so that none is taken for NULL or for a nested array.
fn array(source: Source<'_>, param: Param, out: &mut BytesMut) {
    let column = source.table.columns.get(param.column);
    let delimiter =
        column.filter(|column| !column.target.as_text).map_or(b',', |column| column.target.delimiter);
    out.put_u8(b'{');
    for (at, pick) in source.picks.iter().enumerate() {
        if at > 0 {
            out.put_u8(delimiter);
        }
        match source.value(pick, param) {
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

/// Appends one row as a line of COPY in text format.
pub(super) fn line(source: Source<'_>, params: &[Param], pick: &Pick, out: &mut BytesMut) {
    for (at, param) in params.iter().enumerate() {
        if at > 0 {
            out.put_u8(b'\t');
        }
        match source.value(pick, *param) {
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
    out.put_u8(b'\n');
}

/// Copies `bytes`; a byte for which `special` answers becomes a backslash and the answer.
fn escape(bytes: &[u8], out: &mut BytesMut, special: impl Fn(u8) -> Option<u8>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_quoted_element_is_escaped() {
        let mut out = BytesMut::new();
        escape(br#"a"b\c,{}"#, &mut out, |byte| matches!(byte, b'"' | b'\\').then_some(byte));
        assert_eq!(&out[..], br#"a\"b\\c,{}"#);
    }
}
