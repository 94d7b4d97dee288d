//! The clock of a plugin: commit time on the wall, a counter from there on underneath, and sleeps that end at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostWallClock, ResourceTable, async_trait};

use super::State;

/// The time that a plugin sees.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    /// With the grant: the system's clock.
    system: bool,
    start: Instant,
    wall: Arc<AtomicI64>,
    count: Arc<AtomicU64>,
}

impl Time {
    pub(super) fn new(system: bool) -> Self {
        Self { system, start: Instant::now(), wall: Arc::default(), count: Arc::default() }
    }

    /// The commit time of the batch in hand, microseconds since 1970 UTC. The counter starts there anew: what a call
    /// sees must not depend on the calls before it.
    pub(super) fn set(&self, committed_at: i64) {
        self.wall.store(committed_at, Ordering::Relaxed);
        self.count.store(u64::try_from(committed_at).unwrap_or(0).saturating_mul(1_000), Ordering::Relaxed);
    }

    fn monotonic(&self) -> u64 {
        if self.system {
            return u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        }
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// A sleep moves the counter on.
    fn slept(&self, nanos: u64) {
        if !self.system {
            self.count.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

impl HostWallClock for Time {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        if self.system {
            return SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        }
        // A commit before 1970 has no WASI time.
        Duration::from_micros(u64::try_from(self.wall.load(Ordering::Relaxed)).unwrap_or(0))
    }
}

/// The view of a store that `wasi:clocks/monotonic-clock` works on.
pub(crate) struct Clock<'a> {
    time: &'a Time,
    table: &'a mut ResourceTable,
}

struct HasClock;

impl HasData for HasClock {
    type Data<'a> = Clock<'a>;
}

/// Puts our monotonic clock in the place of the one of wasmtime-wasi, whose sleep would block the host where no
/// time limit reaches.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, HasClock>(linker, |state| Clock {
        time: &state.time,
        table: &mut state.table,
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

impl monotonic_clock::Host for Clock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.time.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.time.monotonic();
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.time.slept(nanos);
        let over = self.table.push(Over)?;
        subscribe(self.table, over)
    }
}

/// A sleep that is over.
struct Over;

#[async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}
