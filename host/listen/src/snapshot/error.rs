//! What can end a snapshot, or the copy of one table.

use event::TableName;
use miette::Diagnostic;
use postgres::Failure;

/// Why tables cannot be read.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A connection or statement, and what a listener needs of a source.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] crate::wal::Error),
    /// The session that held the moment open is gone.
    #[error("the source no longer has the snapshot: {reason}")]
    #[diagnostic(
        code(listen::snapshot_lost),
        help(
            "run again: tables that are finished stay, the others are copied as of a new moment; behind a pooler or a load balancer, connect to the server itself"
        )
    )]
    Lost {
        /// What the server said.
        reason: String,
    },
    /// The replay of a standby has to stand still while a copy is begun that a stream follows.
    #[error("the source is a standby, and this role may not pause its replay")]
    #[diagnostic(
        code(listen::snapshot_standby),
        help(
            "on the primary: GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume(), \
             pg_get_wal_replay_pause_state() TO the role, or copy from the primary; a copy without a stream (`pgstream snapshot`) \
             needs no such right"
        )
    )]
    Standby,
    /// `pg_dump` has not seen what the moment sees.
    #[error("the schema was changed while its dump was made")]
    #[diagnostic(code(listen::snapshot_changed), help("nothing is to be done: it is tried again"))]
    Changed,
    /// It did not come to stand.
    #[error("the standby did not pause its replay in time")]
    #[diagnostic(
        code(listen::snapshot_paused),
        help(
            "queries on the standby may hold it up: see pg_stat_activity and max_standby_streaming_delay; it is tried again"
        )
    )]
    Paused,
    /// A table cannot be read.
    #[error("{table}: cannot be read: {reason}")]
    #[diagnostic(code(listen::snapshot_table), help("{remedy}"))]
    Table {
        /// The table.
        table: TableName,
        /// SQLSTATE and names; never a value.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The server sent rows that are not what COPY sends.
    #[error("{table}: the source sent rows that cannot be read: {reason}")]
    #[diagnostic(code(listen::snapshot_rows), help("this is a fault of pgstream: please report it"))]
    Rows {
        /// The table.
        table: TableName,
        /// What is wrong.
        reason: &'static str,
    },
    /// A name in the list of tables.
    #[error("`{pattern}` is no table, schema.table or pattern of them")]
    #[diagnostic(
        code(listen::snapshot_pattern),
        help("write `table`, `schema.table`, `schema.*`, `*.table` or `*`")
    )]
    Pattern {
        /// What was written.
        pattern: String,
    },
    /// Tables that were named are not there.
    #[error("the source has no table {}", .tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    #[diagnostic(
        code(listen::snapshot_no_table),
        help("correct the list of tables: source.postgres.snapshot.tables")
    )]
    NoTable {
        /// As they were written.
        tables: Vec<TableName>,
    },
}

impl Error {
    /// Whether trying again later, unchanged, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::Lost { .. } | Self::Paused | Self::Changed => true,
            Self::Standby
            | Self::Table { .. }
            | Self::Rows { .. }
            | Self::Pattern { .. }
            | Self::NoTable { .. } => false,
        }
    }

    /// A failure of a session of our own while it read `table`.
    pub(crate) fn reading(table: &TableName, failure: Failure) -> Self {
        match failure {
            Failure::Server { sqlstate, .. } if sqlstate == "42501" => Self::Table {
                table: table.clone(),
                reason: "permission denied (SQLSTATE 42501)".to_owned(),
                remedy: format!("GRANT SELECT ON {} TO the role of the source URL", postgres::table(table)),
            },
            Failure::Server { message, sqlstate } if sqlstate == postgres::DISK_FULL => {
                let (what, reason) = (format!("read {table}"), format!("{message} (SQLSTATE {sqlstate})"));
                crate::wal::Error::DiskFull { what, reason }.into()
            }
            Failure::Server { message, sqlstate } => {
                let code = tokio_postgres::error::SqlState::from_code(&sqlstate);
                match postgres::class_of(&code) {
                    postgres::Class::Reconnect => Self::lost(&format!("SQLSTATE {sqlstate}")),
                    // Its message would quote a value.
                    postgres::Class::Row => Self::unreadable(table, format!("SQLSTATE {sqlstate}")),
                    postgres::Class::RetryTransaction | postgres::Class::Stop => {
                        Self::unreadable(table, format!("{message} (SQLSTATE {sqlstate})"))
                    }
                }
            }
            Failure::Refused(error) => error.into(),
            Failure::Io(_) | Failure::Closed | Failure::Protocol(_) => Self::lost(&failure.to_string()),
        }
    }

    fn unreadable(table: &TableName, reason: String) -> Self {
        let remedy = format!("see what the source's log says about reading {}", postgres::table(table));
        Self::Table { table: table.clone(), reason, remedy }
    }

    pub(crate) fn lost(reason: &str) -> Self {
        postgres::Error::Lost { reason: reason.to_owned() }.into()
    }

    pub(crate) fn statement(what: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |error| postgres::Error::statement(what, &error).into()
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Source(error.into())
    }
}
