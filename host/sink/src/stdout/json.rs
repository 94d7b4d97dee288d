//! Rows as lines of JSON.
//!
//! Numbers and booleans are JSON's own, with every digit that Postgres prints; what JSON has no number for (`NaN`,
//! `Infinity`) is a string, `bytea` is Base64, and everything else is a string in Postgres' text form. A value that an update
//! left alone and Postgres did not send is missing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::{
    Batch, Chunk, Column, Identity, Lsn, OldImage, Op, Relation, RowAt, TableName, Transaction, Truncate,
    Value,
};
use serde_json::json;

use super::Error;

/// The object that each line is, as far as all have it.
pub(super) fn envelope(action: &str, transaction: Option<Transaction>) -> String {
    let (lsn, at) = transaction.map_or((Lsn::ZERO, 0), |it| (it.commit_lsn, it.committed_at));
    // The original's two forms: a row of a copy has no position.
    let at = if lsn == Lsn::ZERO { event::rfc3339(at) } else { event::timestamp(at) };
    format!("{{\"action\":\"{action}\",\"timestamp\":\"{at}\",\"lsn\":\"{lsn}\"")
}

fn named(line: &mut Vec<u8>, action: &str, transaction: Option<Transaction>, table: &TableName) {
    line.extend_from_slice(envelope(action, transaction).as_bytes());
    line.extend_from_slice(b",\"schema\":");
    text(line, &table.schema);
    line.extend_from_slice(b",\"table\":");
    text(line, &table.name);
}

/// Appends a row's line; `metadata`: its chunk's.
pub(super) fn row(
    batch: &Batch,
    row: RowAt,
    transaction: Option<Transaction>,
    metadata: &str,
    line: &mut Vec<u8>,
) -> Result<(), Error> {
    let Some(chunk) = batch.chunks.get(row.chunk) else { return Ok(()) };
    let action = match row.op {
        Op::Insert => "I",
        Op::Update => "U",
        Op::Delete => "D",
    };
    let relation = &chunk.relation;
    named(line, action, transaction, &relation.name);
    if let Some(new) = row.new {
        line.extend_from_slice(b",\"columns\":[");
        let all = relation.columns.iter().enumerate().map(|(at, column)| (column, chunk.new.value(at, new)));
        values(line, &relation.name, all)?;
        line.push(b']');
    }
    if row.op != Op::Insert {
        line.extend_from_slice(b",\"identity\":[");
        let full = row.old_kind == OldImage::Full;
        let wanted = relation.columns.iter().enumerate().filter(|(_, column)| full || column.identity);
        // An update that left the key alone brings no old image: the key is the new row's.
        let all = wanted.filter_map(|(at, column)| {
            let value = match (row.old, row.new) {
                (Some(old), _) => chunk.old.value(at, old),
                (None, Some(new)) => chunk.new.value(at, new),
                (None, None) => return None,
            };
            Some((column, value))
        });
        values(line, &relation.name, all)?;
        line.push(b']');
    }
    line.extend_from_slice(format!(",\"metadata\":{metadata},\"ordinal\":{}}}\n", row.ordinal).as_bytes());
    Ok(())
}

/// Appends a line for each of the tables.
pub(super) fn truncate(truncate: &Truncate, transaction: Option<Transaction>, line: &mut Vec<u8>) {
    for relation in &truncate.relations {
        named(line, "T", transaction, &relation.name);
        let (cascade, restart) = (truncate.cascade, truncate.restart_identity);
        line.extend_from_slice(
            format!(",\"cascade\":{cascade},\"restart_identity\":{restart}}}\n").as_bytes(),
        );
    }
}

fn values<'v>(
    line: &mut Vec<u8>,
    table: &TableName,
    all: impl Iterator<Item = (&'v Column, Value<'v>)>,
) -> Result<(), Error> {
    let mut is_first = true;
    for (column, value) in all.filter(|(_, value)| *value != Value::Unchanged) {
        line.extend_from_slice(if is_first { b"{\"id\":" } else { b",{\"id\":" });
        is_first = false;
        text(line, &column.id);
        line.extend_from_slice(b",\"name\":");
        text(line, &column.name);
        line.extend_from_slice(b",\"type\":");
        text(line, &column.type_name);
        line.extend_from_slice(b",\"value\":");
        match value {
            Value::Present(bytes) => {
                let plain = std::str::from_utf8(bytes)
                    .map_err(|_| Error::Encoding { table: table.clone(), column: column.name.clone() })?;
                present(line, column.type_oid, plain);
            }
            Value::Null | Value::Unchanged => line.extend_from_slice(b"null"),
        }
        line.push(b'}');
    }
    Ok(())
}

fn present(line: &mut Vec<u8>, type_oid: u32, plain: &str) {
    match (type_oid, plain) {
        (BOOL, "t") => line.extend_from_slice(b"true"),
        (BOOL, "f") => line.extend_from_slice(b"false"),
        (BYTEA, _) if plain.starts_with("\\x") => text(line, &STANDARD.encode(decoded(plain))),
        (INT2 | INT4 | INT8 | OID | FLOAT4 | FLOAT8 | NUMERIC, _) if is_number(plain) => {
            line.extend_from_slice(plain.as_bytes());
        }
        _ => text(line, plain),
    }
}

/// `pg_type.oid`, the same everywhere.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const OID: u32 = 26;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const NUMERIC: u32 = 1700;

/// Whether a text is a number as JSON writes it; a rule may have put something else in its place.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole) && digits(fraction) && digits(exponent) && (whole == "0" || !whole.starts_with('0'))
}

/// The bytes of `\x0123`.
fn decoded(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
    let pairs = hex.as_bytes().get(2..).unwrap_or_default().chunks_exact(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high) * 16 + digit(*low)).unwrap_or_default(),
        _ => 0,
    };
    pairs.map(byte).collect()
}

/// What a row's line says of its table.
pub(super) fn metadata(chunk: &Chunk) -> String {
    let relation: &Relation = &chunk.relation;
    let id = |at: usize| relation.columns.get(at).map(|column| column.id.as_str());
    let key: Vec<&str> = match &chunk.identity {
        Identity::Columns(columns) => columns.iter().copied().filter_map(id).collect(),
        Identity::Unknown => relation.identity_columns().filter_map(id).collect(),
        Identity::None | Identity::Computed(_) => Vec::new(),
    };
    json!({"schema_id": null, "table_pgstream_id": relation.id, "id_col_pgstream_id": key}).to_string()
}

/// A JSON string.
fn text(line: &mut Vec<u8>, plain: &str) {
    // To memory, and a string: neither fails.
    let _written = serde_json::to_writer(line, plain);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(type_oid: u32, plain: &str) -> String {
        let mut line = Vec::new();
        present(&mut line, type_oid, plain);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn numbers_keep_every_digit_and_what_is_none_is_a_string() {
        let long = "1234567890123456789012345678.123456789012";
        for (type_oid, plain, want) in [
            (NUMERIC, long, long),
            (NUMERIC, "1.50", "1.50"),
            (NUMERIC, "NaN", "\"NaN\""),
            (FLOAT8, "-1e+300", "-1e+300"),
            (FLOAT8, "Infinity", "\"Infinity\""),
            (INT8, "9223372036854775807", "9223372036854775807"),
            // What a rule wrote.
            (INT4, "12***", "\"12***\""),
            (BOOL, "t", "true"),
            (BYTEA, "\\x00ff10", "\"AP8Q\""),
            (25, "a\"\n\u{1}", "\"a\\\"\\n\\u0001\""),
            (1184, "2024-01-01 00:00:00+00", "\"2024-01-01 00:00:00+00\""),
        ] {
            assert_eq!(written(type_oid, plain), want);
        }
    }
}
