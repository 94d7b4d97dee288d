//! The documents of what tables and views have parts of.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Oid, list, yes};
use crate::name::Name;

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// It is unique.
    #[serde(default)]
    pub unique: bool,
    /// As Postgres prints it.
    pub definition: String,
    /// The constraint that it belongs to.
    pub constraint: Option<Oid>,
    /// It is complete.
    #[serde(default = "yes")]
    pub valid: bool,
    /// It is the table's replica identity.
    #[serde(default)]
    pub replica_identity: bool,
    /// The table was clustered by it.
    #[serde(default)]
    pub clustered: bool,
    /// Storage parameters.
    #[serde(default, deserialize_with = "list")]
    pub options: Vec<String>,
    /// Statistics targets of its expressions, by the number of the column.
    #[serde(default)]
    pub statistics: BTreeMap<String, i32>,
    /// The index of the partitioned table that it is a part of.
    pub parent: Option<Relative>,
    /// Its comment.
    pub comment: Option<String>,
}

/// A constraint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Constraint {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// As Postgres prints it.
    pub definition: String,
    /// All rows were checked.
    #[serde(default = "yes")]
    pub valid: bool,
    /// Postgres holds to it.
    #[serde(default = "yes")]
    pub enforced: bool,
    /// It is a parent's.
    #[serde(default)]
    pub inherited: bool,
    /// The table that a foreign key refers to.
    pub references: Option<Oid>,
    /// Its comment.
    pub comment: Option<String>,
}

/// Another relation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Relative {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl Relative {
    /// Its name with the schema.
    #[must_use]
    pub fn full_name(&self) -> Name {
        Name::new(&self.schema, &self.name)
    }
}

/// A trigger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Trigger {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// As Postgres prints it.
    pub definition: String,
    /// `D` off, `R` replica, `A` always; absent for the default.
    pub enabled: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// A trigger that a partition has from its parent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Switched {
    /// Its name.
    pub name: String,
    /// `O` for the default, `D` off, `R` replica, `A` always.
    pub enabled: String,
}

/// A row security policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Policy {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// It takes away and does not give.
    #[serde(default)]
    pub restrictive: bool,
    /// `r`, `a`, `w`, `d`, or `*` for all.
    pub command: String,
    /// Whom it is for.
    #[serde(default, deserialize_with = "list")]
    pub roles: Vec<String>,
    /// Which rows are seen.
    pub using: Option<String>,
    /// Which rows may be written.
    pub check: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rule {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// As Postgres prints it.
    pub definition: String,
    /// `D` off, `R` replica, `A` always; absent for the default.
    pub enabled: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// Extended statistics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Statistics {
    /// Its number.
    pub oid: Oid,
    /// Its schema, which may be another than the table's.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// As Postgres prints it.
    pub definition: String,
    /// The statistics target, unless the default.
    pub target: Option<i32>,
    /// Its comment.
    pub comment: Option<String>,
}
