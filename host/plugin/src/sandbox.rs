//! The sandbox: what is behind each WASI import of a plugin. Everything is linked and nothing is open.
//!
//! Without grants a plugin's answers depend on its input alone, so that a batch that is delivered again gives the
//! same output: the clock is the commit time of the batch in hand, random numbers are seeded from the pipeline's
//! secret, the plugin, the rule and the first row, and a sleep costs no time.

mod clock;
mod output;
mod random;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

pub(crate) use clock::{Time, link as link_clock};
pub(crate) use output::{Level, Log};
use random::Random;

use crate::{Grant, LoadError};

/// What a plugin is let in with.
pub(crate) struct Sandbox {
    /// Its name, for log lines.
    pub(crate) plugin: Arc<str>,
    memory: usize,
    grants: Vec<Grant>,
    seed: [u8; 32],
    /// One for all stores, so that a plugin that crashes has no more lines than another.
    log: Log,
}

/// What a store owns.
pub(crate) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    /// Memory in use, and its cap.
    pub(crate) memory: Memory,
    /// The clock of the batch in hand.
    pub(crate) time: Time,
    random: Random,
    /// Log lines of the plugin.
    pub(crate) log: Log,
}

impl Sandbox {
    /// For the plugin of this name: most bytes of memory, what is open, and a seed from the pipeline's secret and the
    /// plugin's digest.
    pub(crate) fn new(plugin: &str, memory: usize, grants: Vec<Grant>, seed: [u8; 32]) -> Self {
        let plugin = Arc::from(plugin);
        let log = Log::new(Arc::clone(&plugin));
        Self { plugin, memory, grants, seed, log }
    }

    /// A fresh state for a store.
    pub(crate) fn open(&self) -> Result<State, LoadError> {
        let time = Time::new(self.grants.contains(&Grant::Clock));
        let random = Random::new(self.seed);
        let log = self.log.clone();
        log.during_data(false);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(log.stream("stdout")).stderr(log.stream("stderr"));
        wasi.wall_clock(time.clone());
        // A call of the host's is not interrupted: it must not take long.
        wasi.max_random_size(RANDOM);
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        if !self.grants.contains(&Grant::Random) {
            wasi.secure_random(random.clone()).insecure_random(random.clone());
            let mut seed = [0; 16];
            seed.copy_from_slice(self.seed.first_chunk::<16>().unwrap_or(&[0; 16]));
            wasi.insecure_random_seed(u128::from_le_bytes(seed));
        }
        for grant in &self.grants {
            match grant {
                Grant::Clock | Grant::Random => {}
                Grant::Env(name) => {
                    let value =
                        std::env::var(name).map_err(|_| self.refused(grant, "the variable is not set"))?;
                    wasi.env(name, value);
                }
                Grant::Read(path) => {
                    wasi.preopened_dir(path, path.to_string_lossy(), FsPerms::ReadOnly)
                        .map_err(|error| self.refused(grant, &error.root_cause().to_string()))?;
                }
            }
        }
        let memory = Memory { limit: self.memory, used: 0, denied: false };
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Ok(State { wasi: wasi.build(), table, memory, time, random, log })
    }

    fn refused(&self, grant: &Grant, reason: &str) -> LoadError {
        LoadError::Grant {
            plugin: self.plugin.as_ref().into(),
            grant: grant.to_string(),
            reason: reason.into(),
        }
    }
}

impl State {
    /// Before a data call: its clock and its random numbers.
    pub(crate) fn prepare(&mut self, committed_at: i64, rule: &[u8], first_row: u64) {
        self.time.set(committed_at);
        self.random.reseed(rule, first_row);
        self.log.during_data(true);
    }

    /// Before a rule is bound again, beside others that may have seen data.
    pub(crate) fn prepare_again(&mut self, rule: &[u8]) {
        self.time.set(0);
        self.random.reseed(rule, 0);
        self.log.during_data(true);
    }

    /// Before a call in a store that has seen no data.
    pub(crate) fn prepare_without_data(&mut self, rule: &[u8]) {
        self.time.set(0);
        self.random.reseed(rule, 0);
        self.log.during_data(false);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Most things of the host (timers, streams) that a plugin may hold.
const RESOURCES: usize = 1_000;

/// Most random bytes in one call.
const RANDOM: u64 = 1 << 20;

/// Counts memory over all linear memories and tables of a store.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    /// Bytes in use. A guest's allocator never gives any back.
    pub(crate) used: usize,
    /// The limit was hit: what follows is a trap.
    pub(crate) denied: bool,
}

impl Memory {
    fn take(&mut self, more: usize) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(more);
        if used > self.limit {
            self.denied = true;
            // A refusal that the guest could see would be one more behaviour to test. A trap is plain.
            return Err(wasmtime::Error::msg("memory limit"));
        }
        self.used = used;
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.take(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.take(desired.saturating_sub(current).saturating_mul(size_of::<usize>()))
    }

    fn instances(&self) -> usize {
        100
    }

    fn tables(&self) -> usize {
        100
    }

    fn memories(&self) -> usize {
        16
    }
}

/// How long one tick of the epoch is: the precision of time limits.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks for a time limit; one more, because the first may be over at once.
pub(crate) fn ticks(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX - 1).saturating_add(1)
}
