//! The documents, as `migrations/0003_documents.sql` makes them.

mod other;
mod part;
mod table;
mod types;

use serde::{Deserialize, Deserializer};

pub use self::other::{Function, OwnedBy, Sequence, View, ViewColumn};
pub use self::part::{Constraint, Index, Policy, Relative, Rule, Statistics, Switched, Trigger};
pub use self::table::{Column, IdentitySequence, NotNull, Stored, Table};
pub use self::types::{Attribute, Label, Type, TypeKind};
use crate::statement::Kind;

/// The number that an object keeps for life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(pub u32);

impl<'de> Deserialize<'de> for Oid {
    /// A text, as the original has it: a number of 32 bits without a sign is none that every reader knows.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Any object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A schema.
    Schema(Namespace),
    /// An extension.
    Extension(Extension),
    /// A table, partitioned or not.
    Table(Box<Table>),
    /// A view.
    View(View),
    /// A materialised view.
    MaterializedView(View),
    /// A sequence.
    Sequence(Sequence),
    /// A type.
    Type(Type),
    /// A function, procedure or aggregate.
    Function(Function),
}

/// Whether [`Object::read`] knows documents of that kind.
pub(crate) fn is_known(kind: &str) -> bool {
    const KINDS: [&str; 10] = [
        "schema",
        "extension",
        "table",
        "view",
        "materialized view",
        "sequence",
        "type",
        "function",
        "procedure",
        "aggregate",
    ];
    KINDS.contains(&kind)
}

impl Object {
    /// Reads a document of that kind; `None` for a kind that is not known here.
    ///
    /// # Errors
    /// A document that is not what the kind promises.
    pub fn read(kind: &str, document: serde_json::Value) -> Result<Option<Self>, serde_json::Error> {
        use serde_json::from_value;
        Ok(Some(match kind {
            "schema" => Self::Schema(from_value(document)?),
            "extension" => Self::Extension(from_value(document)?),
            "table" => Self::Table(from_value(document)?),
            "view" => Self::View(from_value(document)?),
            "materialized view" => Self::MaterializedView(from_value(document)?),
            "sequence" => Self::Sequence(from_value(document)?),
            "type" => Self::Type(from_value(document)?),
            "function" | "procedure" | "aggregate" => {
                let mut function: Function = from_value(document)?;
                function.is_procedure = kind == "procedure";
                function.is_aggregate = kind == "aggregate";
                Self::Function(function)
            }
            _ => return Ok(None),
        }))
    }

    /// Its number.
    #[must_use]
    pub fn oid(&self) -> Oid {
        match self {
            Self::Schema(it) => it.oid,
            Self::Extension(it) => it.oid,
            Self::Table(it) => it.oid,
            Self::View(it) | Self::MaterializedView(it) => it.oid,
            Self::Sequence(it) => it.oid,
            Self::Type(it) => it.oid,
            Self::Function(it) => it.oid,
        }
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Schema(_) => Kind::Schema,
            Self::Extension(_) => Kind::Extension,
            Self::Table(_) => Kind::Table,
            Self::View(_) => Kind::View,
            Self::MaterializedView(_) => Kind::MaterializedView,
            Self::Sequence(_) => Kind::Sequence,
            Self::Type(_) => Kind::Type,
            Self::Function(it) if it.is_procedure => Kind::Procedure,
            Self::Function(_) => Kind::Function,
        }
    }

    /// What it cannot be made without.
    pub(crate) fn needs(&self) -> Vec<Oid> {
        match self {
            Self::Schema(_) | Self::Extension(_) | Self::Sequence(_) => Vec::new(),
            Self::Table(it) => it.inherits.iter().chain(&it.partition_of).map(|parent| parent.oid).collect(),
            Self::View(it) | Self::MaterializedView(it) => it.needs.clone(),
            Self::Type(it) => it.needs.clone(),
            Self::Function(it) => it.needs.clone(),
        }
    }
}

/// A schema.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Namespace {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who may do what with it, as `aclitem` prints it.
    pub acl: Option<Vec<String>>,
    /// Its comment.
    pub comment: Option<String>,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Extension {
    /// Its number.
    pub oid: Oid,
    /// The schema of its objects.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its version on the source.
    pub version: String,
    /// Its comment.
    pub comment: Option<String>,
}

/// A list that may be null, or not there.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

fn yes() -> bool {
    true
}
