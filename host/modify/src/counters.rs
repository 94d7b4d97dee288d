//! What the modifiers did, for status and summary.

use std::time::Duration;

/// Counts since the chain was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows that came in.
    pub rows: u64,
    /// Rows of tables that are filtered out.
    pub filtered: u64,
    /// Rows that a filter by row left out.
    pub filtered_by_row: u64,
    /// Updates that became deletes because the row left a filter.
    pub left: u64,
    /// Updates that became inserts because the row entered a filter.
    pub entered: u64,
    /// One a plugin.
    pub plugins: Vec<PluginCounters>,
}

/// Counts of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginCounters {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Data calls.
    pub calls: u64,
    /// Rows in them, counted again when a batch is halved.
    pub rows: u64,
    /// Bytes that went in.
    pub bytes_in: u64,
    /// Time inside data calls.
    pub time: Duration,
    /// Calls that ended in a crash.
    pub crashes: u64,
    /// New stores after a crash or a broken contract.
    pub restarts: u64,
    /// The most linear memory that was in use, in bytes.
    pub memory: usize,
    /// Rows that it could not handle, by what became of them.
    pub failures: Failures,
}

/// Rows that a plugin could not handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The pipeline stopped.
    pub stopped: u64,
    /// Values became null.
    pub nulled: u64,
    /// Rows were dropped.
    pub dropped: u64,
    /// Values went on as they were.
    pub passed: u64,
}

impl Failures {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.stopped + self.nulled + self.dropped + self.passed
    }
}
