//! The documents of types.

use serde::Deserialize;

use super::part::Constraint;
use super::table::NotNull;
use super::{Oid, list};

/// A type.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Type {
    /// Its number.
    pub oid: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is made of.
    #[serde(flatten)]
    pub kind: TypeKind,
    /// Who owns it.
    pub owner: Option<String>,
    /// Who may use it.
    pub acl: Option<Vec<String>>,
    /// Its comment.
    pub comment: Option<String>,
    /// What it cannot be made without.
    #[serde(default, deserialize_with = "list")]
    pub(crate) needs: Vec<Oid>,
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TypeKind {
    /// Labels.
    Enum {
        /// In their order.
        labels: Vec<Label>,
    },
    /// A type with conditions.
    Domain {
        /// The type.
        #[serde(rename = "type")]
        base: String,
        /// It may be null.
        nullable: bool,
        /// The expression of its default.
        default: Option<String>,
        /// Its collation, unless it is its type's.
        collation: Option<String>,
        /// The conditions.
        constraints: Vec<Constraint>,
        /// NOT NULL as a constraint, which it is since Postgres 17.
        not_null: Option<NotNull>,
    },
    /// Attributes.
    Composite {
        /// By number.
        attributes: Vec<Attribute>,
    },
    /// A range.
    Range {
        /// Of what.
        subtype: String,
        /// The operator class of its order, unless the default.
        subtype_opclass: Option<String>,
        /// The collation of its order, unless the subtype's.
        collation: Option<String>,
        /// The function that gives the canonical form.
        canonical: Option<String>,
        /// The function that gives the distance of two values.
        subtype_diff: Option<String>,
        /// The type of several ranges.
        multirange: String,
        /// Its schema, unless it is the range's.
        multirange_schema: Option<String>,
    },
}

/// A label of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Its number.
    pub oid: Oid,
    /// The label.
    pub name: String,
}

/// An attribute of a composite type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Attribute {
    /// The number that it keeps for life.
    pub attnum: i16,
    /// Its name.
    pub name: String,
    /// Its type as `format_type` prints it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its collation, unless it is its type's.
    pub collation: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}
