//! The table of contents of an archive that `pg_dump -Fc` makes: every object with the statement that makes it, and what
//! it depends on.
//!
//! See `src/bin/pg_dump/pg_backup_archiver.c` of Postgres (WriteHead, WriteToc), the one description of the format there is.

/// One object of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the archive.
    pub id: i32,
    /// What it is, in capitals: `TABLE`, `INDEX`, `FK CONSTRAINT`, …
    pub kind: String,
    /// Its name, with arguments where it has some; for what belongs to a table the table's name stands before it.
    pub name: String,
    /// The schema that it is in.
    pub schema: Option<String>,
    /// Where pg_dump puts it.
    pub section: Section,
    /// The statements that make it.
    pub make: String,
    /// The statement that drops it; empty for what goes with another object.
    pub drop: String,
    /// Who owns it.
    pub owner: String,
    /// A tablespace that is not the default one.
    pub tablespace: Option<String>,
    /// An access method, of a table that is stored.
    pub access_method: Option<String>,
    /// The numbers of what must be there before.
    pub needs: Vec<i32>,
}

/// Before or after the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Settings, comments, grants: with what they are for.
    None,
    /// Tables, types, functions.
    PreData,
    /// Rows and places of sequences.
    Data,
    /// Indexes, constraints, triggers.
    PostData,
}

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the archive of pg_dump cannot be read: {0}")]
pub struct Unreadable(&'static str);

/// First and last version of the format that is known, and those that changed it.
const OLDEST: (u8, u8) = (1, 14);
const NEWEST: (u8, u8) = (1, 16);
const COMPRESSION_IN_A_BYTE: (u8, u8) = (1, 15);
const HAS_RELKIND: (u8, u8) = (1, 16);

/// All entries, in an order that works.
///
/// # Errors
/// Bytes that are no archive, or one of a version that is not known.
pub fn entries(archive: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let rest = archive.strip_prefix(b"PGDMP").ok_or(Unreadable("it does not begin as one"))?;
    let mut input = Input { rest, int: 4 };
    let version = (input.byte()?, input.byte()?);
    input.byte()?;
    if !(OLDEST..=NEWEST).contains(&version) {
        return Err(Unreadable("its version is not one of 1.14 to 1.16"));
    }
    input.int = usize::from(input.byte()?);
    let offset = usize::from(input.byte()?);
    input.byte()?;
    if version >= COMPRESSION_IN_A_BYTE {
        input.byte()?;
    } else {
        input.number()?;
    }
    // Seven numbers of a date; then the database and two versions.
    for _ in 0..7 {
        input.number()?;
    }
    for _ in 0..3 {
        input.text()?;
    }
    let count = input.number()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(&mut input, version)?);
        // Where its rows are in the file.
        input.take(1 + offset)?;
    }
    Ok(entries)
}

fn entry(input: &mut Input<'_>, version: (u8, u8)) -> Result<Entry, Unreadable> {
    let id = input.number()?;
    let _has_rows = input.number()?;
    let (_catalog, _oid) = (input.text()?, input.text()?);
    let (name, kind) = (input.text()?.unwrap_or_default(), input.text()?.unwrap_or_default());
    let section = match input.number()? {
        1 => Section::None,
        2 => Section::PreData,
        3 => Section::Data,
        4 => Section::PostData,
        _ => return Err(Unreadable("a section is not known")),
    };
    let (make, drop) = (input.text()?.unwrap_or_default(), input.text()?.unwrap_or_default());
    let _copy = input.text()?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (schema, tablespace) = (filled(input.text()?), filled(input.text()?));
    let access_method = filled(input.text()?);
    // A partitioned table has no storage: pg_dump writes its access method as a statement.
    let is_stored = version < HAS_RELKIND || input.number()? != i32::from(b'p');
    let owner = input.text()?.unwrap_or_default();
    let _has_oids = input.text()?;
    let mut needs = Vec::new();
    while let Some(number) = input.text()? {
        needs.push(number.parse().map_err(|_| Unreadable("a dependency is no number"))?);
    }
    let access_method = access_method.filter(|_| is_stored);
    Ok(Entry { id, kind, name, schema, section, make, drop, owner, tablespace, access_method, needs })
}

/// What is left to read.
struct Input<'a> {
    rest: &'a [u8],
    /// Bytes of a number, besides its sign.
    int: usize,
}

impl Input<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    /// Sign, then the lowest byte first.
    fn number(&mut self) -> Result<i32, Unreadable> {
        let is_negative = self.byte()? != 0;
        let bytes = self.take(self.int)?;
        let value = bytes.iter().rev().fold(0_i64, |value, byte| (value << 8) | i64::from(*byte));
        let value = i32::try_from(value).map_err(|_| Unreadable("a number is too large"))?;
        Ok(if is_negative { -value } else { value })
    }

    fn text(&mut self) -> Result<Option<String>, Unreadable> {
        let Ok(length) = usize::try_from(self.number()?) else { return Ok(None) };
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map(Some).map_err(|_| Unreadable("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_refused() {
        for (bytes, reason) in [
            (&b"-- PostgreSQL database dump"[..], "it does not begin as one"),
            (b"PGDMP\x01\x09\x00\x04\x08\x01", "its version is not one of 1.14 to 1.16"),
            (b"PGDMP\x01\x0e\x00\x04\x08\x01\x00", "it ends too early"),
        ] {
            assert_eq!(entries(bytes), Err(Unreadable(reason)));
        }
    }
}
