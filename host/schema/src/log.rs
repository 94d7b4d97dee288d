//! Rows of the schema log, and the changes in them.

use serde::Deserialize;

use crate::document::{Object, Oid};
use crate::name::Name;

/// A row that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("version {version} of schema `{schema}` in pgstream.schema_log cannot be read")]
pub struct Error {
    /// The version.
    pub version: u64,
    /// The schema.
    pub schema: String,
    /// Why.
    pub source: serde_json::Error,
}

/// A row of `pgstream.schema_log`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its identifier.
    pub id: String,
    /// Its version; versions of a schema only grow.
    pub version: u64,
    /// The schema.
    pub schema: String,
    /// What the statement was (`ALTER TABLE`).
    pub command_tag: String,
    /// The text that the client sent, which may hold more than the statement.
    pub statement: Option<String>,
    /// A statement that changes several schemas has several rows: this is row `part`
    pub part: u32,
    /// of so many.
    pub parts: u32,
    /// What changed.
    pub changes: Vec<Change>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number.
    pub oid: Oid,
    /// What it was; `None` if it is new.
    pub before: Option<Object>,
    /// What it is; `None` if it is gone.
    pub after: Option<Object>,
}

#[derive(Deserialize)]
struct RawChange {
    oid: Oid,
    kind: String,
    moved_to: Option<String>,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
}

impl Change {
    /// Reads the changes of a row. An object that moved to another schema is told in that one, and kinds that are not
    /// known here are left out.
    ///
    /// # Errors
    /// A text that is not what the source's functions write.
    pub fn read_all(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        let raw: Vec<RawChange> = serde_json::from_str(text)?;
        let mut changes = Vec::with_capacity(raw.len());
        for change in raw {
            if change.moved_to.is_some() {
                continue;
            }
            let read = |document: Option<serde_json::Value>| {
                document.map_or(Ok(None), |document| Object::read(&change.kind, document))
            };
            let (before, after) = (read(change.before)?, read(change.after)?);
            if before.is_some() || after.is_some() {
                changes.push(Self { oid: change.oid, before, after });
            }
        }
        Ok(changes)
    }

    /// The object as it is, or was at the end.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

impl Object {
    /// Its name in its schema; a schema's own name stands for both.
    #[must_use]
    pub fn name(&self) -> Name {
        match self {
            Self::Schema(it) => Name::new(&it.name, &it.name),
            Self::Extension(it) => Name::new(&it.schema, &it.name),
            Self::Table(it) => it.full_name(),
            Self::View(it) | Self::MaterializedView(it) => Name::new(&it.schema, &it.name),
            Self::Sequence(it) => Name::new(&it.schema, &it.name),
            Self::Type(it) => Name::new(&it.schema, &it.name),
            Self::Function(it) => Name::new(&it.schema, &it.name),
        }
    }
}
