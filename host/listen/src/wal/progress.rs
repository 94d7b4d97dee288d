//! How far a stream is, and what it did until its end.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use event::Lsn;

/// How far a stream is. Read by whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    pub(crate) transactions: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) committed_at: AtomicI64,
}

impl Progress {
    /// Transactions with rows that were passed on whole.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Rows that were passed on.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The last position that was passed on.
    #[must_use]
    pub fn received(&self) -> Lsn {
        Lsn(self.received.load(Ordering::Relaxed))
    }

    /// Commit time of the last transaction that was passed on, microseconds since 1970-01-01 UTC; 0 before the first.
    #[must_use]
    pub fn committed_at(&self) -> i64 {
        self.committed_at.load(Ordering::Relaxed)
    }
}

/// What a stream did until its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Transactions with rows that were passed on whole.
    pub transactions: u64,
    /// Rows that were passed on.
    pub rows: u64,
    /// The last position that was passed on.
    pub received: Lsn,
    /// The last position that was confirmed.
    pub confirmed: Lsn,
    /// The server has stored that position in the slot.
    pub acknowledged: bool,
}

impl Summary {
    /// Of a stream that was stopped before it began.
    pub(crate) fn at(start: Lsn) -> Self {
        Self { transactions: 0, rows: 0, received: start, confirmed: start, acknowledged: true }
    }
}
