//! What waits between two stages: batches under one budget of bytes, and the rule for when a sink flushes.
//!
//! A batch takes its share of the budget when the listener sends it and gives it back when the sink drops
//! it. The share travels with the batch, so the stages between cannot starve each other; when the budget is
//! spent, the listener stops reading and the source feels it.

use std::sync::Arc;
use std::time::Duration;

use event::Batch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// One permit of the semaphore stands for this many bytes, so that a budget fits its 32-bit counts.
const UNIT: usize = 1024;

/// How many batches may lie between two stages, whatever they weigh: enough that neither waits for the
/// other's wake-up, few enough that a stop is quick.
const DEPTH: usize = 32;

/// A number of bytes that everything which waits shares.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    units: u32,
}

impl Budget {
    /// A budget of `bytes` (at least 1 KiB, at most 4 TiB).
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        (self.units as usize).saturating_sub(self.free.available_permits()) * UNIT
    }

    /// Bytes in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.units as usize * UNIT
    }

    /// What waits, and what the process holds in all.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { waiting: self.used() as u64, limit: self.total() as u64, resident: resident() }
    }

    /// Waits until there is room for the batch. One that is heavier than the whole budget takes all of it.
    pub async fn hold(&self, batch: Batch) -> Held {
        let units = u32::try_from(batch.weight().div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        // The semaphore is never closed; without a permit the batch goes on uncounted.
        let share = Arc::clone(&self.free).acquire_many_owned(units).await.ok();
        Held { batch, share }
    }
}

/// Memory in use, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Batches on their way.
    pub waiting: u64,
    /// The most that may wait.
    pub limit: u64,
    /// Everything that the process holds: code, plugins, batches. Unknown where there is no `/proc`.
    pub resident: Option<u64>,
}

/// Resident memory of this process (proc(5), `statm`: the second field, in pages).
fn resident() -> Option<u64> {
    // Linux on x86-64 and arm64, as it is delivered; a kernel with larger pages shows too little.
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE)
}

/// A batch with its share of the budget; dropping it gives the share back.
#[derive(Debug)]
pub struct Held {
    /// The batch.
    pub batch: Batch,
    share: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// The same share for what a stage made of the batch.
    #[must_use]
    pub fn with(self, batch: Batch) -> Self {
        Self { batch, share: self.share }
    }
}

/// A link between two stages.
#[must_use]
pub fn link() -> (mpsc::Sender<Held>, mpsc::Receiver<Held>) {
    mpsc::channel(DEPTH)
}

/// When a sink applies what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Rows (`batch.size`).
    pub rows: usize,
    /// Bytes (`batch.max_bytes`).
    pub bytes: usize,
    /// How long the first batch waits for company (`batch.timeout`). Zero: no longer than it takes to see
    /// that nothing else is there.
    pub linger: Duration,
}

/// The batches that a sink applies together.
#[derive(Debug, Default)]
pub struct Unit {
    /// In stream order.
    pub batches: Vec<Held>,
    /// Rows in them.
    pub rows: usize,
    /// Bytes in them.
    pub bytes: usize,
}

impl Unit {
    fn push(&mut self, held: Held) {
        self.rows += held.batch.rows();
        self.bytes += held.batch.weight();
        self.batches.push(held);
    }

    /// A change of the schema is the last of its unit: what follows is another matter.
    fn is_full(&self, flush: &Flush) -> bool {
        let ends = self.batches.last().is_some_and(|held| held.batch.schema().is_some());
        self.rows >= flush.rows || self.bytes >= flush.bytes || ends
    }
}

/// Waits for a batch, then takes what comes until the unit is full or the first has waited long enough.
/// `None` when the stage before has ended and everything was taken.
pub async fn next_unit(input: &mut mpsc::Receiver<Held>, flush: &Flush) -> Option<Unit> {
    let first = input.recv().await?;
    Some(fill_unit(first, input, flush).await)
}

/// The same for a batch that was taken already, by a sink that waits for other things besides. Dropped half-way,
/// the batches that it took are lost.
pub async fn fill_unit(first: Held, input: &mut mpsc::Receiver<Held>, flush: &Flush) -> Unit {
    let mut unit = Unit::default();
    unit.push(first);
    let deadline = Instant::now() + flush.linger;
    while !unit.is_full(flush) {
        let next = match input.try_recv() {
            Ok(held) => Some(held),
            Err(_) if flush.linger.is_zero() => None,
            Err(_) => tokio::time::timeout_at(deadline, input.recv()).await.ok().flatten(),
        };
        match next {
            Some(held) => unit.push(held),
            None => break,
        }
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(lsn: u64) -> Batch {
        Batch { order: vec![event::Step::Heartbeat(event::Lsn(lsn))], ..Batch::default() }
    }

    #[tokio::test]
    async fn the_listener_waits_when_the_budget_is_spent_and_goes_on_when_the_sink_drops() {
        let budget = Budget::new(UNIT);
        let first = budget.hold(heartbeat(1)).await;
        assert_eq!(budget.used(), UNIT);
        let waiting = tokio::time::timeout(Duration::from_millis(20), budget.hold(heartbeat(2))).await;
        assert!(waiting.is_err(), "no room");
        drop(first);
        budget.hold(heartbeat(2)).await;
    }

    #[tokio::test]
    async fn a_batch_heavier_than_the_budget_still_passes_alone() {
        let budget = Budget::new(1);
        let held = budget.hold(Batch { order: vec![event::Step::Begin(0); 1000], ..Batch::default() }).await;
        assert_eq!(budget.used(), budget.total());
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_unit_takes_what_is_there_and_does_not_linger_when_told_so() {
        let budget = Budget::new(1 << 20);
        let (send, mut receive) = link();
        for lsn in 1..=3 {
            send.send(budget.hold(heartbeat(lsn)).await).await.unwrap();
        }
        let flush = Flush { rows: 100, bytes: 1 << 20, linger: Duration::ZERO };
        assert_eq!(next_unit(&mut receive, &flush).await.unwrap().batches.len(), 3);
        drop(send);
        assert!(next_unit(&mut receive, &flush).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_lingers_for_company() {
        let budget = Budget::new(1 << 20);
        let (send, mut receive) = link();
        let flush = Flush { rows: 100, bytes: 1 << 20, linger: Duration::from_secs(1) };
        send.send(budget.hold(heartbeat(1)).await).await.unwrap();
        let late = budget.hold(heartbeat(2)).await;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            send.send(late).await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        assert_eq!(next_unit(&mut receive, &flush).await.unwrap().batches.len(), 2);
    }
}
