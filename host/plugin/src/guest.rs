//! A started plugin of any version of the contract: what the host asks of it, and how its crashes are told apart.

use std::time::Duration;

use wasmtime::Trap;

use crate::column::Packed;
use crate::sandbox::State;
use crate::{CallError, Crash, Description, Findings, Needs, Output, Rows, Rule, Verdict};

/// A rule inside a started plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(pub(crate) usize);

/// What a plugin answered to a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Transform(Needs),
    Filter(Verdict),
    Finder(Findings),
}

/// One store with one plugin in it. After [`CallError::Crashed`] it is of no use any more.
///
/// One implementation for each major version of `wit/`; the box is chosen once, when the plugin is loaded.
pub(crate) trait Guest: Send {
    fn describe(&mut self) -> Result<Description, CallError>;
    fn bind(&mut self, rule: &Rule) -> Result<(Handle, Answer), CallError>;
    fn apply(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Output, CallError>;
    fn keep(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Vec<u8>, CallError>;
    fn identities(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Packed<'static>, CallError>;
    fn versions(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Vec<i64>, CallError>;
    fn release(&mut self, handle: Handle) -> Result<(), CallError>;
    /// Linear memory in use, in bytes.
    fn memory(&self) -> usize;
    /// The clock, the random numbers and the log of the next call.
    fn state(&mut self) -> &mut State;
}

/// What ended a call, from wasmtime's error and what the store remembers.
pub(crate) fn crash(
    error: &wasmtime::Error,
    state: &State,
    time: Duration,
    memory: usize,
    output: usize,
) -> Crash {
    // A backtrace names functions of the guest, never values.
    tracing::debug!(error = ?error, "a plugin crashed");
    if state.memory.denied {
        return Crash::Memory(memory);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Crash::Time(time),
        Some(Trap::UnreachableCodeReached) => Crash::Panic,
        Some(Trap::StackOverflow) => Crash::Stack,
        Some(trap) => Crash::Trap(trap.to_string()),
        None => {
            let reason = error.root_cause().to_string();
            if reason.contains("fuel") { Crash::Output(output) } else { Crash::Trap(reason) }
        }
    }
}
