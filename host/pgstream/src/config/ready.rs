//! The configuration ready to use: nothing in it can be wrong by itself any more.

use std::time::Duration;

use super::problem::Problem;
use crate::telemetry::Logging;

/// Rows that a target transaction holds at most, unless `batch.size` says otherwise.
pub const BATCH_ROWS: usize = 10_000;
/// Bytes that a target transaction holds at most, unless `batch.max_bytes` says otherwise.
pub const BATCH_BYTES: usize = 8 << 20;
/// Bytes that wait between source and target at most, unless `batch.max_queue_bytes` says otherwise.
pub const QUEUE_BYTES: usize = 100 << 20;
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

/// The source, which is all that `init` and `destroy` need.
#[derive(Clone, Debug)]
pub struct Source {
    /// The slot and what it is read with.
    pub wal: listen::wal::Options,
    /// How often and when to connect again.
    pub retry: Retry,
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
