//! What can end the copy of a table, or all of them.

use event::TableName;
use miette::Diagnostic;

fn listed(tables: &[TableName]) -> String {
    tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why rows cannot be copied.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The target could not be used, or lacks tables, columns or rights.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Target(#[from] super::super::Error),
    /// Tables of the target have rows already.
    #[error("tables of the target have rows already: {}", listed(tables))]
    #[diagnostic(
        code(sink::copy::not_empty),
        help(
            "empty them or name others, or say what to do with them: source.postgres.snapshot.data.existing_rows: truncate (they go), append (they stay beside the copied ones) or upsert (they stay, but for those whose key a copied row has)"
        )
    )]
    NotEmpty {
        /// Which.
        tables: Vec<TableName>,
    },
    /// Tables whose copied rows cannot be told to be the same as those that are there.
    #[error("no key finds the rows of these tables on the target: {}", listed(tables))]
    #[diagnostic(
        code(sink::copy::no_key),
        help(
            "existing_rows: upsert needs the source's primary key or replica identity index, and on the target a primary key or a unique index over the same columns, all NOT NULL, neither partial nor deferrable: make one, name other tables, or choose append or truncate"
        )
    )]
    NoKey {
        /// Which.
        tables: Vec<TableName>,
    },
    /// The target did not take the rows.
    #[error("{table}: the target does not take the rows: {reason}")]
    #[diagnostic(code(sink::copy::rows), help("{remedy}"))]
    Rows {
        /// The table.
        table: TableName,
        /// SQLSTATE and names; never a value.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The target has more or less than what was sent.
    #[error("{table}: {sent} rows were read and {written} written")]
    #[diagnostic(
        code(sink::copy::count),
        help(
            "a trigger or rule of the target drops or adds rows: `disable_triggers: true`, or remove it for the copy"
        )
    )]
    Count {
        /// The table.
        table: TableName,
        /// Rows that were sent.
        sent: u64,
        /// Rows that the target says it has written.
        written: u64,
    },
    /// Another process copies to the target.
    #[error("another process copies slot `{slot}` to this target")]
    #[diagnostic(code(sink::copy::busy), help("let one pgstream run for each slot and target"))]
    Busy {
        /// The slot.
        slot: String,
    },
    /// Single tables are copied beside a stream, and that has not begun.
    #[error("the initial copy of slot `{slot}` is not complete")]
    #[diagnostic(
        code(sink::copy::initial),
        help(
            "it copies the table too: let `pgstream run` end it first (`pgstream status` tells how far it is)"
        )
    )]
    Initial {
        /// The slot.
        slot: String,
    },
    /// A ledger that is not what this program writes.
    #[error("the ledger of the snapshot on the target cannot be read: {reason}")]
    #[diagnostic(
        code(sink::copy::ledger),
        help("it was written by another version, or by hand: `pgstream destroy` removes it")
    )]
    Ledger {
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// Whether trying again later, unchanged, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Target(error) => error.is_transient(),
            Self::NotEmpty { .. }
            | Self::NoKey { .. }
            | Self::Rows { .. }
            | Self::Count { .. }
            | Self::Busy { .. }
            | Self::Initial { .. }
            | Self::Ledger { .. } => false,
        }
    }

    pub(super) fn statement(what: &'static str) -> impl Fn(tokio_postgres::Error) -> Self {
        move |error| ::postgres::Error::statement(what, &error).into()
    }
}

impl From<::postgres::Error> for Error {
    fn from(error: ::postgres::Error) -> Self {
        Self::Target(error.into())
    }
}
