//! How far a copy is: bars on a terminal, else a line now and then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event::TableName;
use indicatif::ProgressBar;
use listen::snapshot::Moment;

use crate::bars;
use crate::config::{Mode, Source};

/// When the first line is told: most copies are over by then.
pub(super) const FIRST: Duration = Duration::from_secs(2);
/// How often a line is told.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Counts of a round, shared by its readers.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    rows: AtomicU64,
    bytes: AtomicU64,
    tables: AtomicU64,
    /// About how many bytes there are, as the source has them on disk.
    total: u64,
    /// How many of those are copied.
    done: AtomicU64,
    bar: Option<ProgressBar>,
    /// Of the tables that are being copied, by their place.
    bars: Mutex<HashMap<usize, Bar>>,
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    rows: u64,
}

impl Progress {
    /// Nothing yet of so many bytes.
    pub(super) fn begin(total: u64, quiet: bool) -> Self {
        let bar = if quiet { None } else { bars::of_bytes("all tables", total) };
        Self {
            began: Instant::now(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            tables: AtomicU64::new(0),
            total: total.max(1),
            done: AtomicU64::new(0),
            bar,
            bars: Mutex::default(),
        }
    }

    /// A range of the table at a place is begun.
    pub(super) fn range_begins(&self, at: usize, table: &TableName, total: u64) {
        if self.bar.is_none() {
            return;
        }
        let Ok(mut bars) = self.bars.lock() else { return };
        if !bars.contains_key(&at)
            && let Some(bar) = bars::of_bytes(&table.to_string(), total)
        {
            bars.insert(at, Bar { bar, rows: 0 });
        }
    }

    /// It is copied: so many rows and bytes, and so many bytes of the disk.
    pub(super) fn range_ends(&self, at: usize, rows: u64, bytes: u64, on_disk: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.done.fetch_add(on_disk, Ordering::Relaxed);
        let Some(all) = &self.bar else { return };
        all.inc(on_disk);
        all.set_message(counted(self.rows.load(Ordering::Relaxed)));
        let Ok(mut bars) = self.bars.lock() else { return };
        if let Some(Bar { bar, rows: so_far }) = bars.get_mut(&at) {
            *so_far += rows;
            bar.inc(on_disk);
            bar.set_message(counted(*so_far));
        }
    }

    /// A table is complete, or given up.
    pub(super) fn table_ends(&self, at: usize, is_complete: bool) {
        self.tables.fetch_add(u64::from(is_complete), Ordering::Relaxed);
        if let Ok(mut bars) = self.bars.lock()
            && let Some(Bar { bar, .. }) = bars.remove(&at)
        {
            bar.finish_and_clear();
        }
    }

    /// The round is over: nothing more is drawn. Sizes on disk are about right only, so one that is complete says so.
    pub(super) fn end(&self, is_complete: bool) {
        if is_complete {
            self.done.store(self.total, Ordering::Relaxed);
        }
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
        if let Ok(mut bars) = self.bars.lock() {
            bars.drain().for_each(|(_, Bar { bar, .. })| bar.finish_and_clear());
        }
    }

    /// One line. `wal_kept`: what the source keeps of its log for the stream.
    pub(super) fn line(&self, wal_kept: Option<u64>, what: &str) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (rows, bytes, tables, done) =
            (get(&self.rows), get(&self.bytes), get(&self.tables), get(&self.done));
        let elapsed = self.began.elapsed().as_millis().max(1);
        let percent = (done.min(self.total) * 100) / self.total;
        let per_second = u128::from(bytes) * 1000 / elapsed / (1 << 20);
        let left = (done > 0)
            .then(|| elapsed * u128::from(self.total.saturating_sub(done)) / u128::from(done) / 1000);
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

/// A number of rows as people read it.
fn counted(rows: u64) -> String {
    match rows {
        0..100_000 => format!("{rows} rows"),
        100_000..100_000_000 => format!("{} k rows", rows / 1000),
        _ => format!("{} M rows", rows / 1_000_000),
    }
}

/// Says how far a round is, and what it costs the source.
pub(super) struct Telling<'a> {
    source: &'a Source,
    moment: &'a Moment,
    progress: &'a Progress,
    /// How much log was kept when it was last warned of.
    warned: u64,
}

impl<'a> Telling<'a> {
    pub(super) fn new(source: &'a Source, moment: &'a Moment, progress: &'a Progress) -> Self {
        Self { source, moment, progress, warned: 0 }
    }

    pub(super) async fn tell(&mut self) {
        let mut kept = None;
        if self.source.mode == Mode::SnapshotAndReplication {
            // A moment that is lost ends the readers too: they say so.
            kept = self.moment.wal_kept(&self.source.wal.slot).await.ok();
        }
        let limit = self.source.snapshot.wal_warning_bytes as u64;
        if let Some(kept) = kept.filter(|kept| *kept >= limit.max(self.warned * 2)) {
            self.warned = kept;
            tracing::warn!(
                mib = kept >> 20,
                "the source keeps its log until the copy is complete: see that it has room, and that max_slot_wal_keep_size \
                 does not end the slot before"
            );
        }
        if !self.source.snapshot.disable_progress && self.progress.bar.is_none() {
            self.progress.line(kept, "copying");
        }
    }
}

/// How far indexes, constraints and the rest are.
pub(super) struct Making {
    quiet: bool,
    began: Instant,
    /// The period that a line was last told in.
    told: AtomicI64,
    bar: Mutex<Option<ProgressBar>>,
}

impl Making {
    pub(super) fn begin(quiet: bool) -> Self {
        Self { quiet, began: Instant::now(), told: AtomicI64::new(0), bar: Mutex::default() }
    }

    /// So many of all are made.
    pub(super) fn made(&self, done: usize, all: usize) {
        const WHAT: &str = "indexes, constraints and what follows";
        if self.quiet {
            return;
        }
        if bars::are_shown() {
            let Ok(mut bar) = self.bar.lock() else { return };
            if bar.is_none() {
                *bar = bars::of_things(WHAT, all as u64);
            }
            bar.iter().for_each(|bar| bar.set_position(done as u64));
            return;
        }
        let periods = i64::try_from(self.began.elapsed().as_secs() / PERIOD.as_secs()).unwrap_or_default();
        if self.told.swap(periods, Ordering::Relaxed) < periods {
            tracing::info!(done, all, "{WHAT}");
        }
    }

    /// Nothing more is drawn.
    pub(super) fn end(&self) {
        if let Ok(bar) = self.bar.lock() {
            bar.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_rows_fits_its_column() {
        for (rows, told) in
            [(0, "0 rows"), (99_999, "99999 rows"), (100_000, "100 k rows"), (99_999_999, "99999 k rows")]
        {
            assert_eq!(counted(rows), told);
        }
        assert!(counted(u64::from(u32::MAX)).len() <= 13);
    }
}
