//! The configuration ready to use: nothing in it can be wrong by itself any more.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Problem;
use crate::telemetry::Logging;

/// Rows that a target transaction holds at most, unless `batch.size` says otherwise.
pub const BATCH_ROWS: usize = 10_000;
/// Bytes that a target transaction holds at most, unless `batch.max_bytes` says otherwise.
pub const BATCH_BYTES: usize = 8 << 20;
/// Bytes that wait between source and target at most, unless `batch.max_queue_bytes` says otherwise.
pub const QUEUE_BYTES: usize = 100 << 20;
/// Bytes that a reader of a snapshot copies at a time, unless `snapshot.data.batch_bytes` says otherwise.
pub const RANGE_BYTES: usize = 80 << 20;
/// Log that the source keeps during a copy and that is warned of, unless `snapshot.wal_warning_bytes` says otherwise.
pub const WAL_WARNING_BYTES: usize = 10 << 30;
/// Readers of a snapshot, unless `snapshot.data.table_workers` says otherwise.
pub const WORKERS: usize = 4;
/// The original's retry: 500 ms, doubled up to 30 s, for ever.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// See [`FIRST_PAUSE`].
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Everything that `pgstream run` needs.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where rows come from.
    pub source: Source,
    /// Where rows go.
    pub target: Target,
    /// What happens to them on the way.
    pub modifiers: modify::Options,
    /// Go on though the modifiers are not the ones that wrote the target.
    pub accept_changed_modifiers: bool,
}

/// What `pgstream run` does.
#[derive(Clone, Debug)]
pub enum Run {
    /// Keeps a database like the source.
    Apply(Box<Ready>),
    /// Prints what happens.
    Print(Box<Print>),
}

/// Everything that printing needs.
#[derive(Clone, Debug)]
pub struct Print {
    /// Where rows come from.
    pub source: Source,
    /// What happens to them on the way.
    pub modifiers: modify::Options,
    /// What may wait between source and output, in bytes.
    pub queue_bytes: usize,
}

/// Where rows go.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    Postgres(Box<Target>),
    Stdout { queue_bytes: usize },
}

/// The source, which is all that `init` and `destroy` need.
#[derive(Clone, Debug)]
pub struct Source {
    /// What to do.
    pub mode: Mode,
    /// The slot and what it is read with.
    pub wal: listen::wal::Options,
    /// What is copied first.
    pub snapshot: Snapshot,
    /// How often and when to connect again.
    pub retry: Retry,
}

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Streams the changes from the slot's position on.
    #[default]
    Replication,
    /// Copies what there is, and ends.
    Snapshot,
    /// Copies what there is, then streams the changes since.
    SnapshotAndReplication,
}

/// What a snapshot copies, and how.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Schema, rows or both.
    pub what: What,
    /// Which tables.
    pub selection: listen::snapshot::Selection,
    /// How many read and write at the same time.
    pub workers: usize,
    /// About how many bytes each takes at a time.
    pub range_bytes: usize,
    /// What becomes of rows that the target has.
    pub existing: sink::postgres::copy::Existing,
    /// So many bytes of log that the source keeps for the slot are warned of.
    pub wal_warning_bytes: usize,
    /// No lines about how far it is.
    pub disable_progress: bool,
    /// How the schema is copied.
    pub schema: SchemaCopy,
}

/// What of a database is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// Everything.
    #[default]
    Full,
    /// No rows.
    Schema,
    /// Rows alone: the tables are there.
    Data,
}

/// How a schema is copied: the keys of `pgdump_pgrestore`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaCopy {
    /// `clean_target_db`: what is to be created is dropped first.
    pub clean: bool,
    /// `create_target_db`.
    pub create_database: bool,
    /// `include_global_db_objects`: extensions, event triggers and the like too.
    pub global_objects: bool,
    /// `no_owner`.
    pub no_owner: bool,
    /// `no_privileges`.
    pub no_privileges: bool,
    /// `role`: who reads the source and owns what is made.
    pub role: Option<String>,
    /// `roles_snapshot_mode`: with passwords, without, or no roles at all.
    pub roles: Option<bool>,
    /// `excluded_security_labels`: providers.
    pub excluded_security_labels: Vec<String>,
    /// `refresh_materialized_views`.
    pub refresh_materialized_views: bool,
    /// `index_constraint_session_settings`: `name=value` for the sessions that make indexes and constraints.
    pub session_settings: Vec<String>,
    /// `dump_file`: where a readable copy of the schema goes.
    pub dump_file: Option<PathBuf>,
    /// `include_object_types`; none means all.
    pub included_types: Vec<String>,
    /// `exclude_object_types`.
    pub excluded_types: Vec<String>,
    /// `bin_directory`: where `pg_dump` and `pg_restore` are.
    pub programs: Option<PathBuf>,
}

/// The target.
#[derive(Clone, Debug)]
pub struct Target {
    /// The database and what is written with.
    pub postgres: sink::postgres::Options,
    /// What may wait between source and target, in bytes.
    pub queue_bytes: usize,
    /// How often and when to connect again.
    pub retry: Retry,
}

/// When to try again after a lost connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The pause before the first attempt.
    pub first: Duration,
    /// The longest pause; each is twice the one before.
    pub longest: Duration,
    /// How many attempts; `None`: no end.
    pub attempts: Option<u64>,
    /// How long in all; `None`: no end.
    pub elapsed: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: FIRST_PAUSE, longest: LONGEST_PAUSE, attempts: None, elapsed: None }
    }
}

impl Retry {
    /// The pause before attempt `number` (the first is 0) of an outage that has lasted `since`; `None`: give up.
    #[must_use]
    pub fn pause(&self, number: u64, since: Duration) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| number >= attempts) {
            return None;
        }
        if self.elapsed.is_some_and(|elapsed| since >= elapsed) {
            return None;
        }
        let doublings = u32::try_from(number).unwrap_or(u32::MAX).min(31);
        Some(self.first.saturating_mul(1 << doublings).min(self.longest))
    }
}

/// What was read, with what is worth a warning.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub ready: T,
    /// How to log.
    pub logging: Logging,
    /// What has no effect, and the like.
    pub warnings: Vec<Problem>,
}
