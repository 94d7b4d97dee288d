//! How far a copy is, for people: a line now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the first line is told: most copies are over by then.
pub(super) const FIRST: Duration = Duration::from_secs(2);
/// How often a line is told.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Counts of a round, shared by its readers.
#[derive(Debug, Default)]
pub(super) struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    tables: AtomicU64,
    /// About how many bytes there are, as the source has them on disk.
    total: AtomicU64,
    /// How many of those are copied.
    done: AtomicU64,
}

impl Progress {
    /// So many bytes are to be copied.
    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A range of so many bytes on disk is copied.
    pub(super) fn range(&self, rows: u64, bytes: u64, of_total: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.done.fetch_add(of_total, Ordering::Relaxed);
    }

    /// A table is complete.
    pub(super) fn table(&self) {
        self.tables.fetch_add(1, Ordering::Relaxed);
    }

    /// One line.
    /// `wal_kept`: what the source keeps of its log for the stream.
    pub(super) fn line(&self, began: Instant, wal_kept: Option<u64>, what: &str) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (rows, bytes, tables) = (get(&self.rows), get(&self.bytes), get(&self.tables));
        let elapsed = began.elapsed().as_millis().max(1);
        let (total, done) = (get(&self.total).max(1), get(&self.done));
        let percent = (done.min(total) * 100) / total;
        let per_second = u128::from(bytes) * 1000 / elapsed / (1 << 20);
        let left =
            (done > 0).then(|| elapsed * u128::from(total.saturating_sub(done)) / u128::from(done) / 1000);
        tracing::info!(
            rows,
            mib = bytes >> 20,
            tables,
            percent,
            mib_per_second = u64::try_from(per_second).unwrap_or(u64::MAX),
            wal_kept_mib = wal_kept.map(|bytes| bytes >> 20),
            seconds_left = left.and_then(|left| u64::try_from(left).ok()),
            "{what}"
        );
    }
}
