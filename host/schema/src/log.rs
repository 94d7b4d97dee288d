//! The changes in a row of the schema log.

use std::collections::BTreeMap;

use event::SchemaEntry;
use serde::Deserialize;

use crate::document::{Object, Oid, is_known};
use crate::name::Name;

/// A row of the log is not what the source's functions write.
#[derive(Debug, thiserror::Error)]
#[error(
    "version {version} of schema `{schema}` in pgstream.schema_log cannot be read (line {line}, column {column})"
)]
pub struct Unreadable {
    /// The schema.
    pub schema: String,
    /// The version.
    pub version: u64,
    /// Where in the document.
    pub line: usize,
    /// Where in the line.
    pub column: usize,
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
    /// What the rows that a table had got in its new columns, by attribute number, where Postgres did not have to write
    /// them anew. A default is told once, `now()` among them, and that is when the column was added.
    pub missing: BTreeMap<i16, Option<String>>,
    /// The table was written anew.
    pub rewritten: Option<Rewrite>,
    /// Other tables inherit from it.
    pub heirs: bool,
    /// The expressions that give the rows their values in columns of another type, by attribute number.
    pub using: BTreeMap<i16, String>,
}

/// Why a table was written anew, and whether it had rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// A new column's default gives each row a value of its own.
    pub default: bool,
    /// A column has another type.
    pub type_changed: bool,
    /// There was no row.
    pub empty: bool,
}

/// An object of a kind that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFollowed {
    /// What it is (`collation`).
    pub kind: String,
    /// Its name, as Postgres writes it.
    pub name: String,
    /// It is no more.
    pub is_gone: bool,
}

#[derive(Deserialize)]
struct RawChange {
    oid: Oid,
    kind: String,
    #[serde(default)]
    name: String,
    moved_to: Option<String>,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
    #[serde(default)]
    missing: BTreeMap<i16, Option<String>>,
    rewritten: Option<u32>,
    #[serde(default)]
    empty: bool,
    #[serde(default)]
    heirs: bool,
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
                let rewritten = change.rewritten.map(|reason| Rewrite {
                    default: reason & 2 != 0,
                    type_changed: reason & 4 != 0,
                    empty: change.empty,
                });
                let (oid, missing, heirs) = (change.oid, change.missing, change.heirs);
                changes.push(Self { oid, before, after, missing, rewritten, heirs, using: BTreeMap::new() });
            }
        }
        Ok(changes)
    }

    /// What an entry tells of objects of kinds that are not followed: kind and name of those that are new or called
    /// otherwise, and of those that are gone.
    ///
    /// # Errors
    /// A text that is not what the source's functions write.
    pub fn not_followed(text: &str) -> Result<Vec<NotFollowed>, serde_json::Error> {
        let raw: Vec<RawChange> = serde_json::from_str(text)?;
        let of_others = raw.into_iter().filter(|change| change.moved_to.is_none() && !is_known(&change.kind));
        Ok(of_others
            .map(|change| NotFollowed {
                kind: change.kind,
                name: change.name,
                is_gone: change.after.is_none(),
            })
            .collect())
    }

    /// The changes of an entry, without the tables that it leaves out.
    ///
    /// # Errors
    /// [`Unreadable`], which tells the place and no value.
    pub fn of_entry(entry: &SchemaEntry) -> Result<Vec<Self>, Unreadable> {
        let mut changes = Self::read_all(&entry.changes).map_err(|error| Unreadable {
            schema: entry.schema.clone(),
            version: entry.version,
            line: error.line(),
            column: error.column(),
        })?;
        changes.retain(|change| !entry.left_out.contains(&change.oid.0));
        Ok(changes)
    }

    /// The object as it is, or was at the end.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

impl Object {
    /// Its name for people, with the schema and quoted where SQL needs it; a schema's own name as it is.
    #[must_use]
    pub fn plain_name(&self) -> String {
        let name = self.name();
        match self {
            Self::Schema(_) => name.name,
            _ => event::TableName::new(name.schema, name.name).to_string(),
        }
    }

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
