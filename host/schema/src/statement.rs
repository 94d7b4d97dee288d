//! A statement for the target, with what has to be known to decide about it.

use std::fmt;

/// What kind of object a statement is about: the words of the original's `include_ddl_object_types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A schema.
    Schema,
    /// An extension.
    Extension,
    /// A table, its columns left out.
    Table,
    /// A column of a table.
    Column,
    /// A constraint, foreign keys too.
    Constraint,
    /// An index.
    Index,
    /// A sequence.
    Sequence,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A function or an aggregate.
    Function,
    /// A procedure.
    Procedure,
    /// An enum, domain, composite type or range.
    Type,
    /// A trigger.
    Trigger,
    /// A row security policy.
    Policy,
    /// A rule.
    Rule,
    /// Extended statistics.
    Statistics,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Schema,
        Self::Extension,
        Self::Table,
        Self::Column,
        Self::Constraint,
        Self::Index,
        Self::Sequence,
        Self::View,
        Self::MaterializedView,
        Self::Function,
        Self::Procedure,
        Self::Type,
        Self::Trigger,
        Self::Policy,
        Self::Rule,
        Self::Statistics,
    ];

    /// As Postgres and the original's configuration call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Table => "table",
            Self::Column => "table column",
            Self::Constraint => "table constraint",
            Self::Index => "index",
            Self::Sequence => "sequence",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Type => "type",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::Rule => "rule",
            Self::Statistics => "statistics object",
        }
    }

    /// The kind of that name; an underscore is as good as a space.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.replace('_', " ");
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a statement does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something new: it may be there already.
    Create,
    /// Something is changed.
    Alter,
    /// Something is removed that holds no rows: it may be gone already.
    Remove,
    /// Rows or values are removed with it.
    Destroy,
}

/// One statement for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text, without a semicolon.
    pub sql: String,
    /// What kind of object it is about.
    pub kind: Kind,
    /// Which one, for people.
    pub subject: String,
    /// What it does.
    pub effect: Effect,
    /// What it does may be used only after a commit (a new label of an enum).
    pub settles_at_commit: bool,
    /// It gives an object its owner, or a role a right.
    pub privilege: bool,
}

impl Statement {
    /// What is told of it as JSON.
    #[must_use]
    pub fn told(&self) -> serde_json::Value {
        serde_json::json!({
            "sql": self.sql,
            "kind": self.kind.name(),
            "subject": self.subject,
            "destructive": self.effect == Effect::Destroy,
        })
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}
