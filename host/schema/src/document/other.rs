//! The documents of views, sequences and functions.

use serde::Deserialize;

use super::part::{Index, Rule, Trigger};
use super::table::Stored;
use super::{Oid, list, yes};

/// A view, materialised or not.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct View {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The query, as Postgres prints it.
    pub definition: String,
    /// By attribute number.
    #[serde(default, deserialize_with = "list")]
    pub columns: Vec<ViewColumn>,
    /// Of a materialised view.
    #[serde(default, deserialize_with = "list")]
    pub indexes: Vec<Index>,
    /// A materialised view has rows.
    #[serde(default = "yes")]
    pub populated: bool,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who may do what with it.
    pub acl: Option<Vec<String>>,
    /// Its comment.
    pub comment: Option<String>,
    /// Options.
    #[serde(default, deserialize_with = "list")]
    pub options: Vec<String>,
    /// Storage parameters of the TOAST table of a materialised view.
    #[serde(default, deserialize_with = "list")]
    pub toast_options: Vec<String>,
    /// The access method of a materialised view, unless it is `heap`.
    pub access_method: Option<String>,
    /// Triggers.
    #[serde(default, deserialize_with = "list")]
    pub triggers: Vec<Trigger>,
    /// Rules, without the one that makes it a view.
    #[serde(default, deserialize_with = "list")]
    pub rules: Vec<Rule>,
    /// What it cannot be made without.
    #[serde(default, deserialize_with = "list")]
    pub(crate) needs: Vec<Oid>,
}

/// A column of a view.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ViewColumn {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` prints it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Who may do what with it.
    pub acl: Option<Vec<String>>,
    /// What an insert through the view puts there.
    pub default: Option<String>,
    /// How a materialised view keeps its values.
    #[serde(flatten)]
    pub stored: Stored,
    /// Its comment.
    pub metadata: Option<String>,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Sequence {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `smallint`, `integer` or `bigint`.
    pub data_type: String,
    /// The first value.
    pub start_value: String,
    /// The least value.
    pub minimum_value: String,
    /// The greatest.
    pub maximum_value: String,
    /// The step.
    pub increment: String,
    /// `YES` or `NO`.
    pub cycle_option: String,
    /// How many values a session takes at a time, unless one.
    pub cache: Option<String>,
    /// The column that it goes with.
    pub owned_by: Option<OwnedBy>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who may do what with it.
    pub acl: Option<Vec<String>>,
    /// It does not survive a crash.
    #[serde(default)]
    pub unlogged: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// The column that a sequence goes with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OwnedBy {
    /// The table's number.
    pub oid: Oid,
    /// The table's schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column's number.
    pub attnum: i16,
    /// The column.
    pub column: String,
}

/// A function, procedure or aggregate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Function {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The arguments that tell it from others of its name.
    pub arguments: String,
    /// As Postgres prints it: `CREATE OR REPLACE ...`.
    pub definition: String,
    /// What it returns; a procedure returns nothing.
    pub result: Option<String>,
    /// It is a procedure.
    #[serde(skip)]
    pub is_procedure: bool,
    /// It is an aggregate.
    #[serde(skip)]
    pub is_aggregate: bool,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who may call it.
    pub acl: Option<Vec<String>>,
    /// Its comment.
    pub comment: Option<String>,
    /// What it cannot be made without.
    #[serde(default, deserialize_with = "list")]
    pub(crate) needs: Vec<Oid>,
}
