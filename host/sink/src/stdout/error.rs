//! Why lines cannot be written.

use std::io::ErrorKind;

use event::TableName;
use miette::Diagnostic;

/// What stops the writer.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Nobody reads any more.
    #[error("the reader of stdout has gone away")]
    #[diagnostic(
        code(sink::stdout::closed),
        help(
            "start again: what was not confirmed comes again; for a part of the stream, let the reader read on"
        )
    )]
    Closed,
    /// The system refuses the output.
    #[error("stdout cannot be written: {reason}")]
    #[diagnostic(
        code(sink::stdout::output),
        help("make room where stdout goes, then start again: what was not confirmed comes again")
    )]
    Output {
        /// What it says.
        reason: String,
    },
    /// JSON is UTF-8.
    #[error("a value of column `{column}` of {table} is not UTF-8, which JSON has to be")]
    #[diagnostic(
        code(sink::stdout::encoding),
        help(
            "the database is in SQL_ASCII: leave the column out by a column list of the publication, or convert the database"
        )
    )]
    Encoding {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// A version of a schema that is not what the source's functions write.
    #[error(transparent)]
    #[diagnostic(
        code(sink::stdout::schema),
        help(
            "upgrade pgstream, or the source's functions by `pgstream run --upgrade`, so that both are of one version"
        )
    )]
    Schema(#[from] schema::Unreadable),
}

impl Error {
    /// What a failed write means.
    #[must_use]
    pub fn output(error: std::io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Output { reason: error.to_string() }
        }
    }
}
