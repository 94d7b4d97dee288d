//! What stops the modifiers: problems of the configuration, all at once, and rows that no rule can handle.

use event::Lsn;

use crate::Problem;

/// The modifiers cannot start or cannot go on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// One thing is wrong with plugins or rules.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Problem(#[from] Problem),
    /// Several things are wrong with plugins or rules.
    #[error("{}", listed(problems))]
    #[diagnostic(code(modify::problems), help("mend each of them; nothing was replicated meanwhile"))]
    Problems {
        /// All of them.
        #[related]
        problems: Vec<Problem>,
    },
    /// A rule cannot handle a row, and `on_error` is `stop`.
    #[error(transparent)]
    #[diagnostic(
        code(modify::row_failed),
        help(
            "mend the rule or the row, or choose what becomes of such rows: `on_error: null`, `drop` or `pass-through`"
        )
    )]
    RowFailed(Box<FailedRow>),
    /// `on_error` is `null`, but the column takes none.
    #[error("{failed}; and `{column}` may not be null")]
    #[diagnostic(
        code(modify::null_refused),
        help(
            "a column that is NOT NULL or part of the identity cannot be nulled: use `on_error: stop` or `drop`"
        )
    )]
    NullRefused {
        /// The column.
        column: String,
        /// The row.
        failed: Box<FailedRow>,
    },
    /// Too many rows crashed a plugin.
    #[error(
        "plugin `{plugin}` crashed on {incidents} rows in {} s; the last time on {table} ({subject}): {reason}",
        window.as_secs()
    )]
    #[diagnostic(
        code(modify::plugin_gave_up),
        help(
            "this is a defect of the plugin: report it to its author, or raise `limits.incidents` of the plugin"
        )
    )]
    GaveUp {
        /// Name of the plugin.
        plugin: String,
        /// How many.
        incidents: usize,
        /// In which time.
        window: std::time::Duration,
        /// The table of the last one, quoted where needed.
        table: String,
        /// Which column, or what was asked.
        subject: String,
        /// The last crash.
        reason: String,
    },
    /// A plugin that crashed cannot be started again.
    #[error("plugin `{plugin}` is lost to {table} ({subject}): {reason}")]
    #[diagnostic(
        code(modify::plugin_lost),
        help(
            "look whether what its grants open is still there; else it is a defect of the plugin, whose `bind` must \
             answer alike each time"
        )
    )]
    Lost {
        /// Name of the plugin.
        plugin: String,
        /// The table, quoted where needed.
        table: String,
        /// Which column, or what was asked.
        subject: String,
        /// Why; never a value.
        reason: String,
    },
    /// A row comes into a filtered table with a value that the source did not send.
    #[error("a row enters the filter of {table}, but the source did not send the value of `{column}`")]
    #[diagnostic(code(modify::entering_row_incomplete), help("ALTER TABLE {table} REPLICA IDENTITY FULL"))]
    EnteringRowIncomplete {
        /// The table, quoted where needed.
        table: String,
        /// The column.
        column: String,
    },
}

/// A row that a plugin cannot handle.
#[derive(Debug, thiserror::Error)]
#[error(
    "plugin `{plugin}` cannot handle a row of {table} ({subject}, row {ordinal} of the transaction committed at \
     {lsn}): {reason} [{code}]"
)]
pub struct FailedRow {
    /// Name of the plugin.
    pub plugin: String,
    /// The table, quoted where needed.
    pub table: String,
    /// Which column, or what was asked.
    pub subject: String,
    /// Its transaction.
    pub lsn: Lsn,
    /// Its place in it, from 0.
    pub ordinal: u64,
    /// A word for machines.
    pub code: String,
    /// Why; never a value of the row.
    pub reason: String,
}

impl Error {
    /// One problem as itself, several as a list.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Result<(), Self> {
        match (problems.len(), problems.pop()) {
            (1, Some(problem)) => Err(problem.into()),
            (_, Some(last)) => {
                problems.push(last);
                Err(Self::Problems { problems })
            }
            (_, None) => Ok(()),
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    let mut text = format!("{} problems with plugins and rules", problems.len());
    for problem in problems {
        text.push_str("\n- ");
        text.push_str(&problem.to_string());
    }
    text
}
