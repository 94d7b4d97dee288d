//! A plugin that runs: its store, the rules bound in it, and a new store after each crash.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::column::Packed;
use crate::guest::{Answer, Guest, Handle};
use crate::sandbox::Sandbox;
use crate::{
    CallError, Crash, Findings, Grant, Limits, LoadError, Needs, Output, Plugin, Rows, Rule, Verdict,
};

/// A rule of a running plugin. It stays valid over crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound(usize);

/// What a plugin did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
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
    /// New stores after the first: after a crash, a broken contract, or because a clean one was needed.
    pub restarts: u64,
    /// The most linear memory that was in use, in bytes.
    pub memory: usize,
}

/// A plugin with its own limits and grants. It belongs to one thread at a time.
pub struct Running {
    /// What runs.
    pub plugin: Plugin,
    limits: Limits,
    sandbox: Sandbox,
    guest: Option<Box<dyn Guest>>,
    started: bool,
    /// The present store was given values.
    saw_data: bool,
    memory_at_start: usize,
    rules: Vec<Option<Slot>>,
    calls: Calls,
    incidents: VecDeque<Instant>,
}

/// A rule, and where it is in the present store.
struct Slot {
    rule: Rule,
    /// Tells the rule's random numbers from another's.
    id: [u8; 32],
    answer: Answer,
    handle: Option<Handle>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.plugin)
    }
}

impl Plugin {
    /// Starts the plugin under `name`. `secret` seeds its random numbers.
    ///
    /// # Errors
    /// A grant that cannot be given.
    pub fn start(
        &self,
        name: &str,
        limits: Limits,
        grants: Vec<Grant>,
        secret: &[u8],
    ) -> Result<Running, LoadError> {
        let mut seed = Sha256::new();
        seed.update(secret);
        seed.update(self.digest);
        let sandbox = Sandbox::new(name, limits.memory, grants, seed.finalize().into());
        // Grants are tried now: later they could only be refused in the middle of the stream.
        drop(sandbox.open()?);
        Ok(Running {
            plugin: self.clone(),
            limits,
            sandbox,
            guest: None,
            started: false,
            saw_data: false,
            memory_at_start: 0,
            rules: Vec::new(),
            calls: Calls::default(),
            incidents: VecDeque::new(),
        })
    }
}

impl Running {
    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.sandbox.plugin
    }

    /// What it did so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let now = self.guest.as_ref().map_or(0, |guest| guest.memory());
        Calls { memory: self.calls.memory.max(now), ..self.calls }
    }

    /// Binds a rule of a transformer.
    ///
    /// # Errors
    /// The plugin refuses the rule, crashes, or is no transformer.
    pub fn bind_transform(&mut self, rule: Rule) -> Result<(Bound, Needs), CallError> {
        let (bound, answer) = self.bind(rule)?;
        match answer {
            Answer::Transform(needs) => Ok((bound, needs)),
            Answer::Filter(_) | Answer::Finder(_) => Err(CallError::Breach("it is no transformer".into())),
        }
    }

    /// Binds a table to a filter.
    ///
    /// # Errors
    /// The plugin refuses the table, crashes, or is no filter.
    pub fn bind_filter(&mut self, rule: Rule) -> Result<(Bound, Verdict), CallError> {
        let (bound, answer) = self.bind(rule)?;
        match answer {
            Answer::Filter(verdict) => Ok((bound, verdict)),
            Answer::Transform(_) | Answer::Finder(_) => Err(CallError::Breach("it is no filter".into())),
        }
    }

    /// Binds a table to an injector.
    ///
    /// # Errors
    /// The plugin refuses the table, crashes, or is no injector.
    pub fn bind_finder(&mut self, rule: Rule) -> Result<(Bound, Findings), CallError> {
        let (bound, answer) = self.bind(rule)?;
        match answer {
            Answer::Finder(findings) => Ok((bound, findings)),
            Answer::Transform(_) | Answer::Filter(_) => Err(CallError::Breach("it is no injector".into())),
        }
    }

    /// Transforms rows.
    ///
    /// # Errors
    /// See [`CallError`]; after a crash the next call starts a new store by itself.
    pub fn apply(&mut self, bound: Bound, rows: &Rows<'_>) -> Result<Output, CallError> {
        self.call(bound, rows, |guest, handle, rows| guest.apply(handle, rows))
    }

    /// Asks which rows stay: 1 keeps a row.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn keep(&mut self, bound: Bound, rows: &Rows<'_>) -> Result<Vec<u8>, CallError> {
        self.call(bound, rows, |guest, handle, rows| guest.keep(handle, rows))
    }

    /// Asks for the identity of each row.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn identities(&mut self, bound: Bound, rows: &Rows<'_>) -> Result<Packed<'static>, CallError> {
        self.call(bound, rows, |guest, handle, rows| guest.identities(handle, rows))
    }

    /// Asks for the version of each row.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn versions(&mut self, bound: Bound, rows: &Rows<'_>) -> Result<Vec<i64>, CallError> {
        self.call(bound, rows, |guest, handle, rows| guest.versions(handle, rows))
    }

    /// Forgets a rule.
    pub fn release(&mut self, bound: Bound) {
        let slot = self.rules.get_mut(bound.0).and_then(Option::take);
        if let (Some(guest), Some(handle)) = (&mut self.guest, slot.and_then(|slot| slot.handle))
            && let Err(error) = guest.release(handle)
        {
            tracing::debug!(plugin = self.name(), %error, "the plugin crashed while it let go of a rule");
            self.discard();
        }
    }

    /// Throws the store away: what a plugin that broke its contract has in memory is not to be trusted. The next
    /// call starts a new one.
    pub fn discard(&mut self) {
        self.calls = self.calls();
        self.guest = None;
        self.saw_data = false;
        for slot in self.rules.iter_mut().flatten() {
            slot.handle = None;
        }
    }

    /// Counts one bad row that crashed the plugin. True when that is once too often: see [`Limits::incidents`].
    pub fn incident(&mut self) -> bool {
        if self.limits.incidents == 0 {
            return false;
        }
        let now = Instant::now();
        while self.incidents.front().is_some_and(|at| now.duration_since(*at) > self.limits.incident_window) {
            self.incidents.pop_front();
        }
        self.incidents.push_back(now);
        self.incidents.len() >= self.limits.incidents
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn bind(&mut self, rule: Rule) -> Result<(Bound, Answer), CallError> {
        let id = identity(&rule);
        // What `bind` says, a refusal or a line for the log, is shown: it must come out of a store without values.
        if self.saw_data {
            self.discard();
        }
        let bound = self.guest().and_then(|guest| {
            guest.state().prepare_without_data(&id);
            guest.bind(&rule)
        });
        let (handle, answer) = bound.inspect_err(|error| self.after(error))?;
        let slot = Slot { rule, id, answer: answer.clone(), handle: Some(handle) };
        let at = match self.rules.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.rules.push(None);
                self.rules.len() - 1
            }
        };
        if let Some(place) = self.rules.get_mut(at) {
            *place = Some(slot);
        }
        Ok((Bound(at), answer))
    }

    fn call<T>(
        &mut self,
        bound: Bound,
        rows: &Rows<'_>,
        call: impl FnOnce(&mut dyn Guest, Handle, &Rows<'_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let (handle, id) = self.handle(bound)?;
        let committed_at = rows.committed_at.first().copied().unwrap_or(0);
        let seed = rows.seed;
        let start = Instant::now();
        self.saw_data = true;
        let result = self.guest().and_then(|guest| {
            guest.state().prepare(committed_at, &id, seed);
            call(guest, handle, rows)
        });
        self.calls.time += start.elapsed();
        self.calls.calls += 1;
        self.calls.rows += rows.count as u64;
        self.calls.bytes_in += rows.weight() as u64;
        match &result {
            Ok(_) => self.mind_memory(),
            Err(error) => self.after(error),
        }
        result
    }

    /// A guest's allocator gives nothing back. Near the limit a new store is cheaper than the crash to come; one
    /// that needs as much from the start is left alone.
    fn mind_memory(&mut self) {
        let used = self.guest.as_ref().map_or(0, |guest| guest.memory());
        if used > self.limits.memory / 5 * 4 && used / 2 > self.memory_at_start {
            tracing::debug!(
                plugin = self.name(),
                used,
                "the plugin is near its memory limit and is started anew"
            );
            self.discard();
        }
    }

    /// Where a rule is in the present store; after a restart it is bound again.
    fn handle(&mut self, bound: Bound) -> Result<(Handle, [u8; 32]), CallError> {
        let unknown = || CallError::Breach("the rule was let go".into());
        let slot = self.rules.get(bound.0).and_then(Option::as_ref).ok_or_else(unknown)?;
        let id = slot.id;
        if let Some(handle) = slot.handle {
            return Ok((handle, id));
        }
        let (rule, before) = (slot.rule.clone(), slot.answer.clone());
        let again = self.guest().and_then(|guest| {
            guest.state().prepare_again(&id);
            guest.bind(&rule)
        });
        let (handle, answer) = again.inspect_err(|error| self.after(error)).map_err(|error| match error {
            CallError::Crashed(crash) => CallError::Lost(format!("it cannot be bound again: {crash}")),
            // Its words may hold a value now.
            CallError::Refused(_) => CallError::Lost("it refuses a rule that it took the first time".into()),
            other => other,
        })?;
        if answer != before {
            return Err(CallError::Lost("`bind` answers otherwise than the first time".into()));
        }
        if let Some(slot) = self.rules.get_mut(bound.0).and_then(Option::as_mut) {
            slot.handle = Some(handle);
        }
        Ok((handle, id))
    }

    fn guest(&mut self) -> Result<&mut dyn Guest, CallError> {
        if self.guest.is_none() {
            // The grants were tried in `start`; a directory may be gone since.
            let state = self
                .sandbox
                .open()
                .map_err(|error| CallError::Crashed(Crash::Trap(format!("it cannot start: {error}"))))?;
            let guest = self.plugin.code.start(state, &self.limits)?;
            self.memory_at_start = guest.memory();
            self.guest = Some(guest);
            self.calls.restarts += u64::from(self.started);
            self.started = true;
        }
        match &mut self.guest {
            Some(guest) => Ok(guest.as_mut()),
            None => Err(CallError::Breach("it did not start".into())),
        }
    }

    /// A crashed store is poisoned.
    fn after(&mut self, error: &CallError) {
        if let CallError::Crashed(crash) = error {
            tracing::debug!(
                plugin = self.name(),
                kind = crash.kind(),
                "the plugin crashed and is started anew"
            );
            self.calls.crashes += 1;
            self.discard();
        }
    }
}

/// What makes a rule another rule, as a hash.
fn identity(rule: &Rule) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(rule.offer.as_bytes());
    for (name, value) in &rule.settings {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    part(rule.relation.name.schema.as_bytes());
    part(rule.relation.name.name.as_bytes());
    for target in &rule.targets {
        let name = rule.relation.columns.get(*target).map_or("", |column| column.name.as_str());
        part(name.as_bytes());
    }
    hash.finalize().into()
}
