//! The documents, as `migrations/0003_documents.sql` makes them.

use std::collections::BTreeMap;

use event::{IdentityColumn, Relation, ReplicaIdentity, TableName};
use serde::{Deserialize, Deserializer};

use crate::name::Name;
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
        let sent = self.columns.iter().filter(|column| column.generated_kind.is_empty());
        let columns = sent.map(|column| event::Column {
            name: column.name.clone(),
            id: format!("{oid}-{}", column.attnum),
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
            id: oid.to_string(),
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

/// A list that may be null, or not there.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

fn yes() -> bool {
    true
}
