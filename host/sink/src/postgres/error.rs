//! What can stop the Postgres sink: each error with a code, what is concerned, and what to do.

use std::fmt;

use ::postgres::{Class, class_of, describe};
use event::TableName;
use miette::Diagnostic;

/// Something that the target lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A table.
    Table {
        /// Its name.
        table: TableName,
    },
    /// A column.
    Column {
        /// The table that lacks it.
        table: TableName,
        /// Its name.
        column: String,
        /// Its type on the source.
        type_name: String,
    },
    /// A column of a type that keeps less than the source's, without an error.
    Narrower {
        /// Its table.
        table: TableName,
        /// Its name.
        column: String,
        /// Its type on the target.
        found: String,
        /// Its type on the source.
        type_name: String,
    },
    /// Rights on a table.
    Rights {
        /// The table.
        table: TableName,
        /// The missing ones, as GRANT spells them.
        rights: String,
        /// The role that needs them.
        role: String,
    },
}

impl Problem {
    /// The SQL that mends it, as far as it is known here.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Table { table } => format!(
                "create {table} on the target, exclude it, or have `pgstream table add` make and copy it"
            ),
            Self::Column { table, column, type_name } => format!(
                "ALTER TABLE {} ADD COLUMN {} {type_name};",
                ::postgres::table(table),
                ::postgres::ident(column)
            ),
            Self::Narrower { table, column, type_name, .. } => format!(
                "ALTER TABLE {} ALTER COLUMN {} TYPE {type_name};",
                ::postgres::table(table),
                ::postgres::ident(column)
            ),
            Self::Rights { table, rights, role } => {
                format!("GRANT {rights} ON {} TO {};", ::postgres::table(table), ::postgres::ident(role))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { table } => write!(f, "table {table} is missing on the target"),
            Self::Column { table, column, type_name } => {
                write!(f, "column `{column}` ({type_name}) of {table} is missing on the target")
            }
            Self::Narrower { table, column, found, type_name } => write!(
                f,
                "column `{column}` of {table} is {found} on the target, and {type_name} on the source: values would be rounded or cut \
                 off in silence"
            ),
            Self::Rights { table, rights, role } => {
                write!(f, "role `{role}` may not {rights} on {table} of the target")
            }
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

fn remedies(problems: &[Problem]) -> String {
    problems.iter().map(Problem::remedy).collect::<Vec<_>>().join("\n")
}

/// Why the sink stopped.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The server could not be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Server(::postgres::Error),
    /// There is no room for what is to be written.
    #[error("the disk of the target is full: cannot {what}: {reason}")]
    #[diagnostic(
        code(sink::postgres::disk_full),
        help(
            "make room on the target's disk, then run again: it goes on where it was, and the source keeps what has not arrived"
        )
    )]
    DiskFull {
        /// What was tried.
        what: String,
        /// What the server said.
        reason: String,
    },
    /// Tables, columns or rights are missing.
    #[error("the target does not fit: {}", listed(problems))]
    #[diagnostic(code(sink::postgres::target), help("{}", remedies(problems)))]
    Target {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Another process has taken over this stream.
    #[error("another process applies slot `{slot}` to this target since")]
    #[diagnostic(
        code(sink::postgres::fenced),
        help(
            "let one pgstream run for each slot and target; this one has stopped and changed nothing after the other began"
        )
    )]
    Fenced {
        /// The slot.
        slot: String,
    },
    /// A row that the target does not take.
    #[error("{table}: cannot {op} the row with key hash {key}: {reason}")]
    #[diagnostic(code(sink::postgres::row), help("{remedy}"))]
    Row {
        /// The table.
        table: TableName,
        /// insert, update, delete.
        op: &'static str,
        /// First 16 hexadecimal digits of the SHA-256 of the key's text.
        key: String,
        /// SQLSTATE and names; never a value.
        reason: String,
        /// The SQLSTATE.
        sqlstate: String,
        /// What to do.
        remedy: String,
    },
    /// A change of the schema that the target does not take.
    #[error(
        "version {version} of schema `{schema}` ({command}): cannot {verb} {kind} {subject} on the target: {reason}"
    )]
    #[diagnostic(code(sink::postgres::schema), help("{remedy}"))]
    Schema {
        /// The schema.
        schema: String,
        /// Its version in pgstream.schema_log.
        version: u64,
        /// What the statement on the source was.
        command: String,
        /// create, alter, remove.
        verb: &'static str,
        /// What kind of object.
        kind: &'static str,
        /// Which one, as SQL.
        subject: String,
        /// SQLSTATE and names; never a value.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The source could not describe a change of its schema.
    #[error(
        "version {version} of the schema log: the source could not describe what {command} did (SQLSTATE {sqlstate})"
    )]
    #[diagnostic(
        code(sink::postgres::undescribed),
        help(
            "see the statement in pgstream.schema_log; make the change on the target by hand, bring the log up to date (SELECT pgstream.refresh_schema('name') on the source), then run with `ignore_ddl: true` past this version"
        )
    )]
    Undescribed {
        /// Its version in pgstream.schema_log.
        version: u64,
        /// What the statement on the source was.
        command: String,
        /// Why.
        sqlstate: String,
    },
    /// A change that would remove rows or values of the target.
    #[error("version {version} of schema `{schema}` ({command}) removes {kind} {subject} with what is in it")]
    #[diagnostic(
        code(sink::postgres::destructive_ddl),
        help(
            "`destructive_ddl: stop` is set: remove it on the target by hand or leave it there, then run with `destructive_ddl: apply` or `keep`"
        )
    )]
    Destructive {
        /// The schema.
        schema: String,
        /// Its version in pgstream.schema_log.
        version: u64,
        /// What the statement on the source was.
        command: String,
        /// What kind of object.
        kind: &'static str,
        /// Which one, as SQL.
        subject: String,
    },
    /// A table was written anew in a way that only its source knows.
    #[error(
        "version {version} of schema `{schema}` ({command}) gave the rows of {table} values that only the source knows: {why}"
    )]
    #[diagnostic(
        code(sink::postgres::rewritten),
        help(
            "`rewriting_ddl: copy` has such a table copied again while the stream goes on; or make the change on the target by hand and copy the values of {table} anew, then run with `ignore_ddl: true` past this version"
        )
    )]
    Rewritten {
        /// The schema.
        schema: String,
        /// Its version in pgstream.schema_log.
        version: u64,
        /// What the statement on the source was.
        command: String,
        /// The table, as SQL.
        table: String,
        /// What the statement did.
        why: &'static str,
    },
    /// A foreign key of the target would take rows out of other tables.
    #[error(
        "{table}: it cannot be emptied on the target: the rows of other tables would be deleted or changed with its own"
    )]
    #[diagnostic(
        code(sink::postgres::referenced),
        help(
            "let the role of the target URL set session_replication_role (GRANT SET ON PARAMETER session_replication_role, Postgres 15), or drop the foreign keys with ON DELETE CASCADE, SET NULL or SET DEFAULT that name it for the copy"
        )
    )]
    Referenced {
        /// The table.
        table: TableName,
    },
    /// Rows of the target would get the default of a new column that a rule masks, as it is.
    #[error(
        "version {version} of schema `{schema}` ({command}) gives the rows of {table} the default of column `{column}`, which a rule masks"
    )]
    #[diagnostic(
        code(sink::postgres::masked_default),
        help(
            "`rewriting_ddl: copy` has the table copied again, through the rule; or add the column on the target by hand, without the default, give its rows masked values, and start again"
        )
    )]
    MaskedDefault {
        /// The schema.
        schema: String,
        /// Its version in pgstream.schema_log.
        version: u64,
        /// What the statement on the source was.
        command: String,
        /// The table, as SQL.
        table: String,
        /// The column.
        column: String,
    },
    /// A row of the schema log is not what our functions write.
    #[error(transparent)]
    #[diagnostic(
        code(sink::postgres::unreadable_schema),
        help(
            "the log was written by a newer version of pgstream, or by hand: use that version, or the row as `init` made it"
        )
    )]
    UnreadableSchema(#[from] schema::Unreadable),
    /// TRUNCATE failed.
    #[error("cannot truncate {tables}: {reason}")]
    #[diagnostic(code(sink::postgres::truncate), help("{remedy}"))]
    Truncate {
        /// The tables, as SQL.
        tables: String,
        /// What the server said.
        reason: String,
        /// The SQLSTATE.
        sqlstate: String,
        /// What to do.
        remedy: String,
    },
    /// The target refused to commit what it had accepted row by row.
    #[error("the target refused to commit: {reason}")]
    #[diagnostic(
        code(sink::postgres::commit),
        help(
            "a deferred constraint of the target does not hold for the source's rows: compare its definition on both sides"
        )
    )]
    Commit {
        /// SQLSTATE and names; never a value.
        reason: String,
        /// The SQLSTATE.
        sqlstate: String,
    },
    /// A change without a value that its row needs.
    #[error(
        "{table}: the stream brings a row without the value of column `{column}`, and nothing before it has it"
    )]
    #[diagnostic(
        code(sink::postgres::incomplete),
        help(
            "ALTER TABLE {} REPLICA IDENTITY FULL; on the source makes it send large values that an update left alone",
            ::postgres::table(table)
        )
    )]
    Incomplete {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
    },
    /// An update or delete of a table without a key, or of one whose key the stream does not carry.
    #[error("{table}: an update or delete came without anything to find its row by")]
    #[diagnostic(
        code(sink::postgres::no_key),
        help(
            "give the table a primary key, or ALTER TABLE {} REPLICA IDENTITY FULL; on the source",
            ::postgres::table(table)
        )
    )]
    NoKey {
        /// The table.
        table: TableName,
    },
    /// Locks or concurrent changes of others were in the way too often.
    #[error("others are in the way on the target: {reason}")]
    #[diagnostic(
        code(sink::postgres::contended),
        help(
            "it is tried again by itself; if it goes on, look for other writers on the target in pg_stat_activity and pg_locks"
        )
    )]
    Contended {
        /// SQLSTATE and names.
        reason: String,
    },
    /// `run` before `start_at`: a fault of the caller.
    #[error("the sink was run before its position was set")]
    #[diagnostic(code(sink::postgres::not_started), help("this is a fault of pgstream: please report it"))]
    NotStarted,
    /// A progress row that is not what this program writes.
    #[error("the target's progress row holds no log position")]
    #[diagnostic(
        code(sink::postgres::progress),
        help("look at pgstream.progress on the target; `pgstream destroy` removes it")
    )]
    Progress(#[from] event::ParseLsnError),
}

impl Error {
    /// Whether trying again later, unchanged, may succeed: the run loop then starts again from the progress row.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Server(error) => error.is_transient(),
            Self::Contended { .. } => true,
            // To try on would fill what others make free, again and again.
            Self::DiskFull { .. }
            | Self::Target { .. }
            | Self::Fenced { .. }
            | Self::Row { .. }
            | Self::Schema { .. }
            | Self::Undescribed { .. }
            | Self::Destructive { .. }
            | Self::Rewritten { .. }
            | Self::MaskedDefault { .. }
            | Self::Referenced { .. }
            | Self::UnreadableSchema(_)
            | Self::Truncate { .. }
            | Self::Commit { .. }
            | Self::Incomplete { .. }
            | Self::NoKey { .. }
            | Self::NotStarted
            | Self::Progress(_) => false,
        }
    }
}

impl From<::postgres::Error> for Error {
    fn from(error: ::postgres::Error) -> Self {
        match error.disk_full() {
            Ok((what, reason)) => Self::DiskFull { what, reason },
            Err(error) => Self::Server(error),
        }
    }
}

/// What a failed statement asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The connection is gone.
    Reconnect,
    /// The same again.
    Retry,
    /// The target's tables are not what we took them for: look again.
    LookAgain,
    /// Row by row.
    Exact,
    /// Room on the disk: no row is the reason.
    Room,
}

/// What to do about a failed statement.
pub(super) fn call_of(error: &tokio_postgres::Error) -> Call {
    let Some(code) = error.code() else { return Call::Reconnect };
    match (class_of(code), code.code()) {
        (Class::Reconnect, _) => Call::Reconnect,
        (Class::RetryTransaction, _) => Call::Retry,
        (_, ::postgres::DISK_FULL) => Call::Room,
        // Undefined column, table or type; a plan that no longer fits its table.
        (_, "42703" | "42P01" | "42704" | "0A000") => Call::LookAgain,
        (Class::Row | Class::Stop, _) => Call::Exact,
    }
}

/// What the user can do about a row that the target refuses.
pub(super) fn remedy(error: &tokio_postgres::Error, table: &str) -> String {
    let code = error.code().map(tokio_postgres::error::SqlState::code).unwrap_or_default();
    let column = error.as_db_error().and_then(|db| db.column());
    let column =
        column.map_or_else(|| "the column".to_owned(), |name| format!("column {}", ::postgres::ident(name)));
    match code {
        "23505" => "the target has a row with this key already: set on_conflict_action to update or nothing, or remove the row on the target".to_owned(),
        "23503" => "the target lacks the row that this one refers to: allow session_replication_role (disable_triggers), replicate the other table too, or drop the foreign key on the target".to_owned(),
        "23502" => format!("ALTER TABLE {table} ALTER {column} DROP NOT NULL; on the target, or give it a default, or write it by a rule"),
        "23514" | "23P01" => format!("the target's constraint is not the source's: compare the definitions of {table} on both sides"),
        "22001" | "22003" | "22026" => format!("widen {column} of {table} on the target to the source's type"),
        _ if code.starts_with("22") => format!("the source's value does not fit {column} of {table} on the target: give it the source's type, or change the rule that makes the value"),
        "42501" => format!("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {table} TO the role of the target URL"),
        "42804" | "42883" | "42846" => format!("give the columns of {table} on the target the source's types"),
        "42P01" | "42703" => format!("make {table} on the target have the source's columns"),
        "42P10" => format!("on_conflict_action update wants a unique index over the key of {table} on the target"),
        _ => "see the SQLSTATE in the Postgres manual, appendix A".to_owned(),
    }
}

/// SQLSTATE of an error, empty if it has none.
pub(super) fn sqlstate(error: &tokio_postgres::Error) -> String {
    error.code().map(|code| code.code().to_owned()).unwrap_or_default()
}

/// The error for a connection that ended.
pub(super) fn lost(error: &tokio_postgres::Error) -> Error {
    Error::Server(::postgres::Error::Lost { reason: describe(error) })
}
