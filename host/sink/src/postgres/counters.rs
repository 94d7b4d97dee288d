//! What the sink has done so far.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event::{Lsn, TableName};

/// Counts since the sink started; rows as the source sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Source transactions.
    pub transactions: u64,
    /// Rows inserted.
    pub inserts: u64,
    /// Rows updated.
    pub updates: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// TRUNCATE commands.
    pub truncates: u64,
    /// Updates and deletes that found no row, and inserts that were left out since their row was there.
    pub conflicts: BTreeMap<TableName, u64>,
    /// Target transactions.
    pub commits: u64,
    /// Units that were applied row by row after a statement had failed.
    pub exact: u64,
    /// Everything before it is in the target.
    pub lsn: Option<Lsn>,
    /// Commit time of the last source transaction, microseconds since 1970-01-01 UTC.
    pub committed_at: Option<i64>,
    /// Time since the start.
    pub elapsed: Duration,
}

impl Summary {
    /// Rows of any kind.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.inserts + self.updates + self.deletes
    }

    /// Conflicts of all tables.
    #[must_use]
    pub fn all_conflicts(&self) -> u64 {
        self.conflicts.values().sum()
    }

    /// Takes in what a target transaction did, once it is committed.
    pub(super) fn add(&mut self, tally: Tally) {
        self.inserts += tally.inserts;
        self.updates += tally.updates;
        self.deletes += tally.deletes;
        self.truncates += tally.truncates;
        self.exact += tally.exact;
        for (table, count) in tally.conflicts {
            *self.conflicts.entry(table).or_default() += count;
        }
    }
}

/// Counts of a target transaction that is not committed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) inserts: u64,
    pub(super) updates: u64,
    pub(super) deletes: u64,
    pub(super) truncates: u64,
    pub(super) exact: u64,
    pub(super) conflicts: BTreeMap<TableName, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
        self.truncates += other.truncates;
        self.exact += other.exact;
        for (table, count) in other.conflicts {
            *self.conflicts.entry(table).or_default() += count;
        }
    }
}

/// Says that there were conflicts, at most once in ten seconds, and then about all of them since.
#[derive(Debug, Default)]
pub(super) struct Notice {
    said: Option<Instant>,
    waiting: BTreeMap<TableName, u64>,
}

impl Notice {
    const EVERY: Duration = Duration::from_secs(10);

    pub(super) fn add(&mut self, conflicts: &BTreeMap<TableName, u64>) {
        for (table, count) in conflicts {
            *self.waiting.entry(table.clone()).or_default() += count;
        }
        if self.said.is_none_or(|said| said.elapsed() >= Self::EVERY) {
            self.say();
        }
    }

    pub(super) fn say(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (table, rows) in std::mem::take(&mut self.waiting) {
            tracing::warn!(%table, rows, "conflicts: rows to update or delete were not there, or were there before");
        }
        self.said = Some(Instant::now());
    }
}
