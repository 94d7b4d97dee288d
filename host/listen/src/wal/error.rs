//! What can go wrong between us and a slot, each with its code and its remedy.

use std::fmt;

use event::{Lsn, ReplicaIdentity, TableName};
use miette::Diagnostic;

/// A table whose updates and deletes Postgres cannot send, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWithoutIdentity {
    /// The table.
    pub table: TableName,
    /// What it is set to: nothing, or something that it does not have.
    pub identity: ReplicaIdentity,
}

impl TableWithoutIdentity {
    /// The statement that mends it whatever the table is like.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("ALTER TABLE {} REPLICA IDENTITY FULL", postgres::table(&self.table))
    }
}

impl fmt::Display for TableWithoutIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lacks = match self.identity {
            ReplicaIdentity::Default => "no primary key (or a deferrable one)",
            ReplicaIdentity::Nothing => "REPLICA IDENTITY NOTHING",
            ReplicaIdentity::Index => "a replica identity index that is gone",
            ReplicaIdentity::Full => "REPLICA IDENTITY FULL",
        };
        write!(f, "{} has {lacks}", self.table)
    }
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn statements(tables: &[TableWithoutIdentity]) -> String {
    tables.iter().map(|table| table.sql() + ";").collect::<Vec<_>>().join(" ")
}

/// Why a slot cannot be made, read or removed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A connection or statement.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Postgres(postgres::Error),
    /// There is no room for what the server has to write: a snapshot, a slot, a transaction that it decodes.
    #[error("the disk of the source is full: cannot {what}: {reason}")]
    #[diagnostic(
        code(listen::disk_full),
        help(
            "make room on the source's disk, then run again: it goes on where it was. A transaction that does not fit into \
             logical_decoding_work_mem of the source is written to pg_replslot there while it is decoded"
        )
    )]
    DiskFull {
        /// What was tried.
        what: String,
        /// What the server said.
        reason: String,
    },
    /// No slot can have that name.
    #[error("`{name}` is no name for a replication slot")]
    #[diagnostic(
        code(listen::slot_name),
        help(
            "set a slot name of at most 63 characters a-z, 0-9 and _ (`source.postgres.replication.replication_slot`)"
        )
    )]
    SlotName {
        /// The name.
        name: String,
    },
    /// Too old.
    #[error("the source is Postgres {found}; logical replication as it is read here begins with 14")]
    #[diagnostic(code(listen::version), help("upgrade the source to Postgres 14 or newer"))]
    Version {
        /// What the server says it is.
        found: String,
    },
    /// The log does not hold what a slot needs.
    #[error("the source has wal_level = {found}, and replication slots need `logical`")]
    #[diagnostic(
        code(listen::wal_level),
        help(
            "run `ALTER SYSTEM SET wal_level = 'logical'` on the source and restart it (managed services have a parameter for it, such as rds.logical_replication = 1)"
        )
    )]
    WalLevel {
        /// The setting.
        found: String,
    },
    /// The role may not replicate.
    #[error("role `{role}` may not replicate")]
    #[diagnostic(
        code(listen::no_replication_right),
        help("run as a superuser: ALTER ROLE {} WITH REPLICATION (on RDS: GRANT rds_replication TO {})", postgres::ident(.role), postgres::ident(.role))
    )]
    NoReplicationRight {
        /// The role of the URL.
        role: String,
    },
    /// The role may not make our schema.
    #[error("role `{role}` may not create schema `pgstream` in database `{database}`")]
    #[diagnostic(
        code(listen::no_schema_right),
        help("run as the owner of the database: GRANT CREATE ON DATABASE {} TO {}", postgres::ident(.database), postgres::ident(.role))
    )]
    NoSchemaRight {
        /// The role of the URL.
        role: String,
        /// The database of the URL.
        database: String,
    },
    /// A schema of that name belongs to another program or version.
    #[error("schema `pgstream` of the source was not made by this program: it holds {}", listed(.tables))]
    #[diagnostic(
        code(listen::foreign_schema),
        help(
            "remove it with the program that made it (`pgstream destroy` of the version before), or rename it: ALTER SCHEMA pgstream RENAME TO pgstream_old"
        )
    )]
    ForeignSchema {
        /// Tables in it.
        tables: Vec<String>,
    },
    /// The owner of the schema could change what we put into it.
    #[error("schema `pgstream` of the source belongs to role `{owner}`, and `init` runs as `{role}`")]
    #[diagnostic(
        code(listen::schema_owner),
        help("who owns the schema could forge what the schema log says: run `init` as `{owner}`, or ALTER SCHEMA pgstream OWNER TO {}", postgres::ident(.role))
    )]
    SchemaOwner {
        /// Who owns it.
        owner: String,
        /// The role of the URL.
        role: String,
    },
    /// There is no schema log to read.
    #[error("the source has no schema log")]
    #[diagnostic(
        code(listen::no_schema_log),
        help("run `pgstream init`: it keeps what changes from then on")
    )]
    NoSchemaLog,
    /// The log has nothing of a schema.
    #[error("pgstream.schema_log has no such version of schema `{schema}`")]
    #[diagnostic(code(listen::no_schema_version), help("see what there is: pgstream schema log"))]
    NoSchemaVersion {
        /// The schema.
        schema: String,
    },
    /// The log had a version, and what came before `first` was taken out.
    #[error(
        "pgstream.schema_log tells schema `{schema}` from version {first} on, not as of version {version}"
    )]
    #[diagnostic(
        code(listen::pruned_schema_version),
        help(
            "the log begins there, or older versions were removed (pgstream schema prune); see what there is: pgstream schema log"
        )
    )]
    PrunedSchemaVersion {
        /// The schema.
        schema: String,
        /// What was asked for.
        version: u64,
        /// The oldest that can be told.
        first: u64,
    },
    /// A row of the log is not what our functions write.
    #[error("a document in pgstream.schema_log cannot be read (line {line}, column {column})")]
    #[diagnostic(
        code(listen::unreadable_schema_log),
        help(
            "the log was written by a newer version of pgstream, or by hand: use that version, or the row as `init` made it"
        )
    )]
    UnreadableSchemaLog {
        /// Where in the document.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// The schema was made by a newer program.
    #[error(
        "schema `pgstream` of the source is at version {found}, and this program knows versions up to {known}"
    )]
    #[diagnostic(
        code(listen::schema_too_new),
        help("use the version of pgstream that ran `init` last, or a newer one")
    )]
    SchemaTooNew {
        /// The last migration in the source.
        found: i32,
        /// The last that is known here.
        known: i32,
    },
    /// The role may not make the publication.
    #[error("role `{role}` may not create publication `{publication}`: {reason}")]
    #[diagnostic(
        code(listen::no_publication_right),
        help(
            "run as a superuser: {sql}; then repeat the command: a publication that is there is used as it is"
        )
    )]
    NoPublicationRight {
        /// The role of the URL.
        role: String,
        /// Its name.
        publication: String,
        /// What the server said.
        reason: String,
        /// The statement that makes it.
        sql: String,
    },
    /// There is no publication.
    #[error(
        "publication `{publication}` does not exist in database `{database}`, or not yet where the slot stands"
    )]
    #[diagnostic(
        code(listen::no_publication),
        help(
            "run `pgstream init`; a publication that was made after the slot is unknown to it: `pgstream destroy`, then `pgstream init`"
        )
    )]
    NoPublication {
        /// Its name.
        publication: String,
        /// The database of the URL.
        database: String,
    },
    /// There is no slot.
    #[error("replication slot `{slot}` does not exist")]
    #[diagnostic(
        code(listen::no_slot),
        help(
            "run `pgstream init`; if the slot was there before, changes since it was dropped are lost for the target: copy the tables again"
        )
    )]
    NoSlot {
        /// Its name.
        slot: String,
    },
    /// The slot reads another way or another database.
    #[error(
        "replication slot `{slot}` is {found}, and it should be a logical slot of plugin pgoutput in database `{database}`"
    )]
    #[diagnostic(
        code(listen::other_slot),
        help(
            "choose another slot name, or remove that slot if nobody needs it: SELECT pg_drop_replication_slot('{slot}')"
        )
    )]
    OtherSlot {
        /// Its name.
        slot: String,
        /// What it is.
        found: String,
        /// The database of the URL.
        database: String,
    },
    /// The log that the slot needs is gone.
    #[error("replication slot `{slot}` is lost: {reason}")]
    #[diagnostic(
        code(listen::slot_lost),
        help(
            "changes are missing for good: run `pgstream destroy` and `pgstream init`, then copy the tables again; a larger max_slot_wal_keep_size keeps more log"
        )
    )]
    SlotLost {
        /// Its name.
        slot: String,
        /// What the server says of it.
        reason: String,
    },
    /// Another session reads the slot.
    #[error("replication slot `{slot}` is in use by {holder}")]
    #[diagnostic(
        code(listen::slot_active),
        help(
            "stop the other reader; if it is dead and the server has not noticed: SELECT pg_terminate_backend({pid})"
        )
    )]
    SlotActive {
        /// Its name.
        slot: String,
        /// The session's process on the server.
        pid: i32,
        /// That process in words: application and address, where they are known.
        holder: String,
    },
    /// The server has no room for another slot.
    #[error("the source has no free replication slot: all {limit} are in use")]
    #[diagnostic(
        code(listen::no_free_slot),
        help(
            "drop a slot that nobody reads (SELECT slot_name, active FROM pg_replication_slots), or raise max_replication_slots and restart the source"
        )
    )]
    NoFreeSlot {
        /// `max_replication_slots`.
        limit: String,
    },
    /// The server has no room for another walsender.
    #[error("the source has no free walsender: {reason}")]
    #[diagnostic(code(listen::no_free_walsender), help("raise max_wal_senders and restart the source"))]
    NoFreeWalsender {
        /// What the server said.
        reason: String,
    },
    /// The replication connection reached another cluster than the SQL connection.
    #[error("the replication connection reached system {found}, the SQL connection system {expected}")]
    #[diagnostic(
        code(listen::other_system),
        help(
            "the URL leads to several servers (a pooler, a load balancer, a name with several addresses): use one that leads to the primary alone"
        )
    )]
    OtherSystem {
        /// System identifier on the SQL connection.
        expected: String,
        /// System identifier on the replication connection.
        found: String,
    },
    /// The position lies beyond the end of the log.
    #[error("the stream should go on at {start}, but the log of the source ends at {end}")]
    #[diagnostic(
        code(listen::ahead),
        help(
            "the source was restored from a backup or failed over to a server that was behind: copy the tables again, then run `pgstream destroy` and `pgstream init`"
        )
    )]
    Ahead {
        /// Where the stream should go on.
        start: Lsn,
        /// Where the log ends.
        end: Lsn,
    },
    /// Tables whose updates and deletes cannot be sent.
    #[error("updates and deletes cannot be replicated: {}", listed(.tables))]
    #[diagnostic(
        code(listen::no_replica_identity),
        help("add a primary key, or run: {} Until then Postgres itself refuses updates and deletes of a published table", statements(.tables))
    )]
    NoReplicaIdentity {
        /// The tables.
        tables: Vec<TableWithoutIdentity>,
    },
    /// Tables that should be published are not there.
    #[error("no such table on the source: {}", listed(.tables))]
    #[diagnostic(
        code(listen::no_table),
        help("correct the list of tables; a name is schema.table as the catalog has it")
    )]
    NoTable {
        /// The tables.
        tables: Vec<TableName>,
    },
    /// Tables that the publication does not send.
    #[error("publication `{publication}` does not send {}", listed(.tables))]
    #[diagnostic(
        code(listen::not_published),
        help("`pgstream table add` has the publication send them; of a partition, name the root")
    )]
    NotPublished {
        /// Its name.
        publication: String,
        /// The tables.
        tables: Vec<TableName>,
    },
    /// The stream is not what the protocol says.
    #[error("the replication stream is not understood: {reason}")]
    #[diagnostic(
        code(listen::protocol),
        help(
            "this is a bug of pgstream or of something between it and the server; report it with the server's version"
        )
    )]
    Protocol {
        /// What was wrong, and where.
        reason: String,
    },
    /// The server ended the stream with an error.
    #[error("the source ended the stream: {reason} (SQLSTATE {sqlstate})")]
    #[diagnostic(
        code(listen::stream),
        help("see the server's log and the SQLSTATE in the Postgres manual, appendix A")
    )]
    Stream {
        /// What the server said, without values.
        reason: String,
        /// The SQLSTATE.
        sqlstate: String,
    },
}

impl Error {
    /// Whether trying again later, unchanged, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Postgres(error) => error.is_transient(),
            // Others give their walsender back.
            Self::NoFreeWalsender { .. } => true,
            Self::DiskFull { .. }
            | Self::SlotName { .. }
            | Self::Version { .. }
            | Self::WalLevel { .. }
            | Self::NoReplicationRight { .. }
            | Self::NoSchemaRight { .. }
            | Self::ForeignSchema { .. }
            | Self::SchemaOwner { .. }
            | Self::NoSchemaLog
            | Self::NoSchemaVersion { .. }
            | Self::PrunedSchemaVersion { .. }
            | Self::UnreadableSchemaLog { .. }
            | Self::SchemaTooNew { .. }
            | Self::NoPublicationRight { .. }
            | Self::NoPublication { .. }
            | Self::NoSlot { .. }
            | Self::OtherSlot { .. }
            | Self::SlotLost { .. }
            // It was waited for already, for as long as the options say.
            | Self::SlotActive { .. }
            | Self::NoFreeSlot { .. }
            | Self::OtherSystem { .. }
            | Self::Ahead { .. }
            | Self::NoReplicaIdentity { .. }
            | Self::NoTable { .. }
            | Self::NotPublished { .. }
            | Self::Protocol { .. }
            | Self::Stream { .. } => false,
        }
    }

    /// A server that went away, in the words of crate `postgres`.
    pub(crate) fn lost(reason: impl Into<String>) -> Self {
        postgres::Error::Lost { reason: reason.into() }.into()
    }

    /// A statement that failed; `what` says what was tried.
    pub(crate) fn statement(what: &'static str) -> impl Fn(tokio_postgres::Error) -> Self {
        move |error| postgres::Error::statement(what, &error).into()
    }
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        match error.disk_full() {
            Ok((what, reason)) => Self::DiskFull { what, reason },
            Err(error) => Self::Postgres(error),
        }
    }
}
