//! The documents of tables and their columns.

use event::{IdentityColumn, Relation, ReplicaIdentity, TableName};
use serde::Deserialize;

use super::part::{Constraint, Index, Policy, Relative, Rule, Statistics, Switched, Trigger};
use super::{Oid, list, yes};
use crate::name::Name;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Table {
    /// Its number.
    pub oid: Oid,
    /// The identifier that it keeps for life.
    pub pgstream_id: Option<String>,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// By attribute number.
    #[serde(default, deserialize_with = "list")]
    pub columns: Vec<Column>,
    /// The names of the columns of the primary key.
    #[serde(default, deserialize_with = "list")]
    pub primary_key_columns: Vec<String>,
    /// All of them, those of constraints too.
    #[serde(default, deserialize_with = "list")]
    pub indexes: Vec<Index>,
    /// Primary key, unique, check and exclusion.
    #[serde(default, deserialize_with = "list")]
    pub constraints: Vec<Constraint>,
    /// Foreign keys.
    #[serde(default, deserialize_with = "list")]
    pub foreign_keys: Vec<Constraint>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who may do what with it.
    pub acl: Option<Vec<String>>,
    /// Its comment.
    pub comment: Option<String>,
    /// It does not survive a crash.
    #[serde(default)]
    pub unlogged: bool,
    /// Storage parameters.
    #[serde(default, deserialize_with = "list")]
    pub options: Vec<String>,
    /// Storage parameters of its TOAST table.
    #[serde(default, deserialize_with = "list")]
    pub toast_options: Vec<String>,
    /// Its access method, unless it is `heap`.
    pub access_method: Option<String>,
    /// The composite type that it is a table of.
    pub of_type: Option<String>,
    /// `n`, `f` or `i`; absent for the default.
    pub replica_identity: Option<String>,
    /// Row security is on.
    #[serde(default)]
    pub row_security: bool,
    /// And for its owner too.
    #[serde(default)]
    pub force_row_security: bool,
    /// How it is partitioned.
    pub partition_by: Option<String>,
    /// The table that it is a partition of.
    pub partition_of: Option<Relative>,
    /// Which of its rows it takes.
    pub partition_bound: Option<String>,
    /// The tables that it inherits from.
    #[serde(default, deserialize_with = "list")]
    pub inherits: Vec<Relative>,
    /// Its own triggers.
    #[serde(default, deserialize_with = "list")]
    pub triggers: Vec<Trigger>,
    /// Triggers that a partition has from its parent, where one of the two is switched.
    #[serde(default, deserialize_with = "list")]
    pub parent_triggers: Vec<Switched>,
    /// Row security policies.
    #[serde(default, deserialize_with = "list")]
    pub policies: Vec<Policy>,
    /// Rules.
    #[serde(default, deserialize_with = "list")]
    pub rules: Vec<Rule>,
    /// Extended statistics.
    #[serde(default, deserialize_with = "list")]
    pub statistics: Vec<Statistics>,
}

impl Table {
    /// Its name with the schema.
    #[must_use]
    pub fn full_name(&self) -> Name {
        Name::new(&self.schema, &self.name)
    }

    /// `pg_attribute.atttypmod` of a column.
    #[must_use]
    pub fn modifier(&self, attnum: i16) -> i32 {
        let column = self.columns.iter().find(|column| column.attnum == attnum);
        column.and_then(|column| column.type_modifier).unwrap_or(-1)
    }

    /// The table as the stream will send it. Stored columns that are generated are not sent.
    #[must_use]
    pub fn relation(&self) -> Relation {
        let oid = self.oid.0;
        let id = self.pgstream_id.clone().unwrap_or_else(|| oid.to_string());
        let sent = self.columns.iter().filter(|column| column.generated_kind.is_empty());
        let columns = sent.map(|column| event::Column {
            name: column.name.clone(),
            id: format!("{id}-{}", column.attnum),
            attnum: column.attnum,
            type_oid: column.type_oid.0,
            type_name: column.type_name.clone(),
            nullable: column.nullable,
            primary: self.primary_key_columns.contains(&column.name),
            identity: column.key,
            unique: column.unique,
            generated: None,
            identity_column: match column.identity.as_str() {
                "a" => Some(IdentityColumn::Always),
                "d" => Some(IdentityColumn::ByDefault),
                _ => None,
            },
        });
        Relation {
            oid,
            id: id.clone(),
            name: TableName::new(self.schema.as_str(), self.name.as_str()),
            replica_identity: match self.replica_identity.as_deref() {
                Some("n") => ReplicaIdentity::Nothing,
                Some("f") => ReplicaIdentity::Full,
                Some("i") => ReplicaIdentity::Index,
                _ => ReplicaIdentity::Default,
            },
            version: 0,
            columns: columns.collect(),
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Column {
    /// The number that it keeps for life.
    pub attnum: i16,
    /// The identifier that it keeps for life.
    pub pgstream_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its type as `format_type` prints it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The number of its type.
    pub type_oid: Oid,
    /// Its length, precision and the like, unless it has none.
    pub type_modifier: Option<i32>,
    /// The expression of its default, or of what it is generated from.
    pub default: Option<String>,
    /// The number of the expression: another one is another expression.
    pub default_oid: Option<Oid>,
    /// It may be null.
    pub nullable: bool,
    /// A unique index is on it alone.
    #[serde(default)]
    pub unique: bool,
    /// `s` for stored, `v` for virtual, empty if it is not generated.
    #[serde(default)]
    pub generated_kind: String,
    /// `a` for always, `d` for by default, empty if it is no identity column.
    #[serde(default)]
    pub identity: String,
    /// Its comment.
    pub metadata: Option<String>,
    /// Its collation, unless it is its type's.
    pub collation: Option<String>,
    /// How its values are kept.
    #[serde(flatten)]
    pub stored: Stored,
    /// NOT NULL as a constraint, which it is since Postgres 18.
    pub not_null: Option<NotNull>,
    /// Who may do what with it.
    pub acl: Option<Vec<String>>,
    /// It is part of the replica identity.
    #[serde(default)]
    pub key: bool,
    /// It is a parent's.
    #[serde(default)]
    pub inherited: bool,
    /// The sequence of an identity column.
    pub identity_sequence: Option<IdentitySequence>,
}

/// How the values of a column of a table or a materialised view are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// Its storage, unless it is its type's.
    pub storage: Option<String>,
    /// Its type's storage, unless that is plain or extended.
    pub type_storage: Option<String>,
    /// How it is compressed, unless by default.
    pub compression: Option<String>,
    /// Its statistics target, unless the default.
    pub statistics: Option<i32>,
    /// Options (`n_distinct`).
    #[serde(default, deserialize_with = "list")]
    pub options: Vec<String>,
}

/// NOT NULL as a constraint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NotNull {
    /// Its name.
    pub name: String,
    /// All rows were checked.
    #[serde(default = "yes")]
    pub valid: bool,
    /// Children do not get it.
    #[serde(default)]
    pub no_inherit: bool,
    /// It is a parent's.
    #[serde(default)]
    pub inherited: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// The sequence of an identity column.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IdentitySequence {
    /// Its name, in the table's schema.
    pub name: String,
    /// The first value.
    pub start: String,
    /// The step.
    pub increment: String,
    /// The least value.
    pub minimum: String,
    /// The greatest.
    pub maximum: String,
    /// How many values a session takes at a time.
    pub cache: String,
    /// It begins again at its end.
    pub cycle: bool,
    /// Its type, unless it is the column's.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}
