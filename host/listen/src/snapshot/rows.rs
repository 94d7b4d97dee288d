//! Rows of `COPY` in text form, as batches of inserts.

use std::sync::Arc;

use bytes::BytesMut;
use event::{Batch, BatchBuilder, Lsn, Relation, RowChange, Transaction, Value};

use super::{Error, Table, Task};

/// A batch is full at this many rows.
const ROWS: usize = 1000;
/// Or at this many bytes of values.
const BYTES: usize = 256 * 1024;
/// No page holds more rows: what a row's number in its table is made from, so that it is the same in every run.
const ROWS_OF_A_PAGE: u64 = 300;

/// Makes batches of what a [`super::Reader`] reads as text.
/// See <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>.
#[derive(Debug)]
pub struct Rows {
    relation: Arc<Relation>,
    transaction: Transaction,
    /// The number of the next row.
    ordinal: u64,
    /// What was read and is not taken yet.
    input: BytesMut,
    /// Values without their escapes, end to end.
    plain: Vec<u8>,
    /// Where each value of a row is: in the input, in `plain`, or null.
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Null,
    Input(usize, usize),
    Plain(usize, usize),
}

impl Rows {
    /// For one range of a table, whose rows count as written at `lsn` and at `committed_at` (microseconds since
    /// 1970-01-01 UTC).
    #[must_use]
    pub fn new(table: &Table, task: &Task, lsn: Lsn, committed_at: i64) -> Self {
        let pages_before: u64 = table.parts.iter().take(task.part).map(|part| part.pages).sum();
        Self {
            relation: Arc::clone(&table.relation),
            transaction: Transaction { commit_lsn: lsn, committed_at, xid: 0 },
            ordinal: (pages_before + task.first) * ROWS_OF_A_PAGE,
            input: BytesMut::new(),
            plain: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Where to put what is read.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// The next batch of whole rows; `None` once there is no whole row left.
    ///
    /// # Errors
    /// [`Error::Rows`].
    pub fn batch(&mut self) -> Result<Option<Batch>, Error> {
        let mut builder = BatchBuilder::default();
        builder.begin_at(self.transaction, self.ordinal);
        let mut taken = 0;
        let mut plain = std::mem::take(&mut self.plain);
        while builder.rows() < ROWS && builder.bytes() < BYTES {
            let rest = self.input.get(taken..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { break };
            let line = rest.get(..length).unwrap_or_default();
            self.fields.clear();
            plain.clear();
            split(line, &mut self.fields, &mut plain);
            if self.fields.len() != self.relation.columns.len() {
                // A table without columns has lines without anything.
                let is_empty = self.relation.columns.is_empty() && line.is_empty();
                if !is_empty {
                    let table = self.relation.name.clone();
                    return Err(Error::Rows {
                        table,
                        reason: "the number of values is not that of the columns",
                    });
                }
                self.fields.clear();
            }
            let value = |field: &Field| match *field {
                Field::Null => Value::Null,
                Field::Input(from, to) => Value::Present(line.get(from..to).unwrap_or_default()),
                Field::Plain(from, to) => Value::Present(plain.get(from..to).unwrap_or_default()),
            };
            let values: Vec<Value<'_>> = self.fields.iter().map(value).collect();
            builder.row(&self.relation, RowChange::Insert { new: &values });
            taken += length + 1;
        }
        self.plain = plain;
        let _rows = self.input.split_to(taken.min(self.input.len()));
        self.ordinal += builder.rows() as u64;
        Ok((builder.rows() > 0).then(|| builder.take()))
    }
}

/// Splits a line at its tabs. A value without a backslash is left where it is.
fn split(line: &[u8], fields: &mut Vec<Field>, plain: &mut Vec<u8>) {
    let mut from = 0;
    for value in line.split(|byte| *byte == b'\t') {
        let to = from + value.len();
        fields.push(match value {
            b"\\N" => Field::Null,
            _ if value.contains(&b'\\') => {
                let start = plain.len();
                unescape(value, plain);
                Field::Plain(start, plain.len())
            }
            _ => Field::Input(from, to),
        });
        from = to + 1;
    }
}

/// What COPY TO escapes: backslash, and the control characters that it has letters for.
fn unescape(value: &[u8], plain: &mut Vec<u8>) {
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        plain.push(match bytes.next() {
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(other) => *other,
            None => b'\\',
        });
    }
}
