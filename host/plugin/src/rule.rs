//! What a plugin is bound to, and what it answers: the host's own words for the records of `wit/`.

use std::sync::Arc;

use event::Relation;

use crate::Shape;
use crate::column::Column;

/// One configured rule on one version of one table.
#[derive(Clone)]
pub struct Rule {
    /// Which offer of the plugin.
    pub offer: String,
    /// Names of parameters with values in JSON.
    pub settings: Vec<(String, String)>,
    /// The table.
    pub relation: Arc<Relation>,
    /// Columns that the rule is written for; none for a filter or an injector.
    pub targets: Vec<usize>,
    /// 32 bytes from [`crate::RootKey::derive`]; empty when there is no root key.
    pub key: Vec<u8>,
}

/// Neither the key nor the settings (which may hold one) are printed.
impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule")
            .field("offer", &self.offer)
            .field("table", &self.relation.name)
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

/// A column that a plugin wants to see, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Index into `Relation::columns`.
    pub at: usize,
    /// In this form.
    pub shape: Shape,
}

/// What a transformer needs for each batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Columns to see.
    pub reads: Vec<Read>,
    /// Columns that it gives back.
    pub writes: Vec<usize>,
    /// Whether it wants [`Rows::nonces`].
    pub nonces: bool,
}

/// What a filter does with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything goes on.
    Keep,
    /// Nothing goes on.
    Drop,
    /// Schema changes go on, rows do not.
    SchemaOnly,
    /// Asked for each batch, with these columns.
    ByRow(Vec<Read>),
}

/// How an injector finds the identity of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRule {
    /// The table has none.
    None,
    /// These columns.
    Columns(Vec<usize>),
    /// Asked for each batch, with these columns.
    Computed(Vec<Read>),
}

/// How an injector finds the version of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionRule {
    /// The position of the commit.
    CommitLsn,
    /// The value of this column.
    Column(usize),
    /// Asked for each batch, with these columns.
    Computed(Vec<Read>),
}

/// What an injector found out about a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Identity of its rows.
    pub identity: IdentityRule,
    /// Version of its rows.
    pub version: VersionRule,
}

/// Rows of one table as a plugin sees them: only the columns that it asked for.
#[derive(Clone, Default)]
pub struct Rows<'a> {
    /// How many.
    pub count: usize,
    /// One a row, as [`event::Op`] numbers them.
    pub ops: &'a [u8],
    /// Commit times, microseconds since 1970 UTC, one a row.
    pub committed_at: &'a [i64],
    /// A number of its own for each row; empty unless asked for.
    pub nonces: &'a [u64],
    /// Seeds the random numbers of the call: that of the first row, asked for or not.
    pub seed: u64,
    /// The columns.
    pub columns: Vec<Column<'a>>,
}

impl Rows<'_> {
    /// Bytes that cross into the plugin.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.count * 17 + self.columns.iter().map(Column::weight).sum::<usize>()
    }
}

/// A row that a transformer could not handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which row of the call.
    pub row: usize,
    /// A word for machines.
    pub code: String,
    /// A text for people. It should hold no value, but it is the plugin's.
    pub message: String,
}

/// What a transformer gave back.
pub struct Output {
    /// The columns of [`Needs::writes`].
    pub columns: Vec<Column<'static>>,
    /// The rows that it could not handle.
    pub failures: Vec<Failure>,
}
