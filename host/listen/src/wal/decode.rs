//! `pgoutput`, protocol version 1, text: one message to what it says, without copying a value.
//!
//! Message formats: <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>.
//! Any bytes give a message or [`Malformed`]; nothing here panics.

use event::{Lsn, OldImage, Value};

/// Microseconds between 1970-01-01 and 2000-01-01, where Postgres starts to count.
const EPOCH: i64 = 946_684_800_000_000;

/// The bytes are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the message ends too early")]
    Short,
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    #[error("unknown message 0x{0:02x}")]
    Message(u8),
    #[error("unknown tuple 0x{0:02x}")]
    Tuple(u8),
    #[error("unknown kind of value 0x{0:02x}")]
    Kind(u8),
    #[error("a negative length")]
    Length,
    #[error("a name that is not UTF-8")]
    Name,
    #[error("unknown replica identity 0x{0:02x}")]
    Identity(u8),
    #[error("an empty message")]
    Empty,
}

/// What one message says. The values of a row are in [`Row`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A transaction starts.
    Begin { commit_lsn: Lsn, committed_at: i64, xid: u32 },
    /// It is whole.
    Commit { end: Lsn },
    /// It came from elsewhere; the name is not ours to use.
    Origin,
    /// `pg_logical_emit_message`: not data.
    Logical,
    /// A table as it is from here on.
    Relation(RelationMessage<'a>),
    /// A type that is not built in: comes before the first table that uses it.
    Type { oid: u32, schema: &'a str, name: &'a str },
    /// `Row::new` is filled.
    Insert { relation: u32 },
    /// `Row::new` is filled, and `Row::old` if there is an old image.
    Update { relation: u32, old: OldImage },
    /// `Row::old` is filled.
    Delete { relation: u32, old: OldImage },
    /// Tables are emptied.
    Truncate { relations: Vec<u32>, cascade: bool, restart_identity: bool },
}

/// One version of a table, in so far as the stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelationMessage<'a> {
    pub(crate) oid: u32,
    pub(crate) schema: &'a str,
    pub(crate) name: &'a str,
    pub(crate) identity: event::ReplicaIdentity,
    pub(crate) columns: Vec<ColumnMessage<'a>>,
}

/// One column that the stream sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnMessage<'a> {
    /// Part of the replica identity.
    pub(crate) key: bool,
    pub(crate) name: &'a str,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
}

/// Room for the values of one row, in the order of its table's columns.
#[derive(Debug, Default)]
pub(crate) struct Row<'a> {
    pub(crate) old: Vec<Value<'a>>,
    pub(crate) new: Vec<Value<'a>>,
}

impl Row<'_> {
    /// The same room for the values of another message.
    pub(crate) fn recycle<'b>(self) -> Row<'b> {
        Row { old: emptied(self.old), new: emptied(self.new) }
    }
}

/// An empty vector with the allocation of a full one: collecting in place keeps it.
fn emptied<'b>(mut values: Vec<Value<'_>>) -> Vec<Value<'b>> {
    values.clear();
    values.into_iter().map(|_| Value::Null).collect()
}

/// Reads one message; the values of its row go into `row`, whose vectors are emptied first.
pub(crate) fn decode<'a>(data: &'a [u8], row: &mut Row<'a>) -> Result<Message<'a>, Malformed> {
    row.old.clear();
    row.new.clear();
    let mut reader = Reader { rest: data };
    let kind = reader.u8().map_err(|_| Malformed::Empty)?;
    let message = match kind {
        b'I' => insert(&mut reader, row)?,
        b'U' => update(&mut reader, row)?,
        b'D' => delete(&mut reader, row)?,
        b'B' => begin(&mut reader)?,
        b'C' => commit(&mut reader)?,
        b'O' => {
            let _commit_lsn = reader.u64()?;
            reader.name()?;
            Message::Origin
        }
        b'M' => logical(&mut reader)?,
        b'R' => Message::Relation(relation(&mut reader)?),
        b'Y' => Message::Type { oid: reader.u32()?, schema: reader.schema()?, name: reader.name()? },
        b'T' => truncate(&mut reader)?,
        other => return Err(Malformed::Message(other)),
    };
    if !reader.rest.is_empty() {
        return Err(Malformed::Trailing(reader.rest.len()));
    }
    Ok(message)
}

/// Postgres time to Unix time, both in microseconds.
pub(crate) fn unix_time(postgres: i64) -> i64 {
    postgres.saturating_add(EPOCH)
}

fn begin<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Malformed> {
    let commit_lsn = Lsn(reader.u64()?);
    let committed_at = unix_time(reader.i64()?);
    Ok(Message::Begin { commit_lsn, committed_at, xid: reader.u32()? })
}

fn commit<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Malformed> {
    let _flags = reader.u8()?;
    let _commit_lsn = reader.u64()?;
    let end = Lsn(reader.u64()?);
    let _committed_at = reader.i64()?;
    Ok(Message::Commit { end })
}

fn logical<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Malformed> {
    let _flags = reader.u8()?;
    let _lsn = reader.u64()?;
    reader.name()?;
    let length = reader.length()?;
    reader.take(length)?;
    Ok(Message::Logical)
}

fn relation<'a>(reader: &mut Reader<'a>) -> Result<RelationMessage<'a>, Malformed> {
    let oid = reader.u32()?;
    let schema = reader.schema()?;
    let name = reader.name()?;
    let identity = match reader.u8()? {
        b'd' => event::ReplicaIdentity::Default,
        b'n' => event::ReplicaIdentity::Nothing,
        b'f' => event::ReplicaIdentity::Full,
        b'i' => event::ReplicaIdentity::Index,
        other => return Err(Malformed::Identity(other)),
    };
    let count = reader.count()?;
    let mut columns = Vec::with_capacity(count.min(reader.rest.len()));
    for _ in 0..count {
        let key = reader.u8()? & 1 != 0;
        let name = reader.name()?;
        columns.push(ColumnMessage { key, name, type_oid: reader.u32()?, type_modifier: reader.i32()? });
    }
    Ok(RelationMessage { oid, schema, name, identity, columns })
}

fn insert<'a>(reader: &mut Reader<'a>, row: &mut Row<'a>) -> Result<Message<'a>, Malformed> {
    let relation = reader.u32()?;
    match reader.u8()? {
        b'N' => reader.tuple(&mut row.new)?,
        other => return Err(Malformed::Tuple(other)),
    }
    Ok(Message::Insert { relation })
}

fn update<'a>(reader: &mut Reader<'a>, row: &mut Row<'a>) -> Result<Message<'a>, Malformed> {
    let relation = reader.u32()?;
    let mut kind = reader.u8()?;
    let old = match kind {
        b'N' => OldImage::None,
        _ => reader.old(kind, row)?,
    };
    if old != OldImage::None {
        kind = reader.u8()?;
    }
    if kind != b'N' {
        return Err(Malformed::Tuple(kind));
    }
    reader.tuple(&mut row.new)?;
    Ok(Message::Update { relation, old })
}

fn delete<'a>(reader: &mut Reader<'a>, row: &mut Row<'a>) -> Result<Message<'a>, Malformed> {
    let relation = reader.u32()?;
    let kind = reader.u8()?;
    Ok(Message::Delete { relation, old: reader.old(kind, row)? })
}

fn truncate<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Malformed> {
    let count = reader.length()?;
    let flags = reader.u8()?;
    let mut relations = Vec::with_capacity(count.min(reader.rest.len() / 4));
    for _ in 0..count {
        relations.push(reader.u32()?);
    }
    Ok(Message::Truncate { relations, cascade: flags & 1 != 0, restart_identity: flags & 2 != 0 })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A 32-bit length.
    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.i32()?).map_err(|_| Malformed::Length)
    }

    /// A 16-bit count of columns.
    fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.array().map(i16::from_be_bytes)?).map_err(|_| Malformed::Length)
    }

    /// Text up to a zero byte.
    fn name(&mut self) -> Result<&'a str, Malformed> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(Malformed::Short)?;
        let name = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(name).map_err(|_| Malformed::Name)
    }

    /// A schema; `pg_catalog` is sent as nothing.
    fn schema(&mut self) -> Result<&'a str, Malformed> {
        let schema = self.name()?;
        Ok(if schema.is_empty() { "pg_catalog" } else { schema })
    }

    fn old(&mut self, kind: u8, row: &mut Row<'a>) -> Result<OldImage, Malformed> {
        let old = match kind {
            b'K' => OldImage::Key,
            b'O' => OldImage::Full,
            other => return Err(Malformed::Tuple(other)),
        };
        self.tuple(&mut row.old)?;
        Ok(old)
    }

    fn tuple(&mut self, values: &mut Vec<Value<'a>>) -> Result<(), Malformed> {
        let count = self.count()?;
        values.reserve(count.min(self.rest.len()));
        for _ in 0..count {
            let value = match self.u8()? {
                b't' => {
                    let length = self.length()?;
                    Value::Present(self.take(length)?)
                }
                b'n' => Value::Null,
                b'u' => Value::Unchanged,
                // `b` (binary) is never asked for.
                other => return Err(Malformed::Kind(other)),
            };
            values.push(value);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
