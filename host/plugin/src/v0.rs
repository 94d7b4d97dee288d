//! Version 0 of the contract (`wit/v0`): the generated bindings behind the host's own trait.
//!
//! One set of bindings serves the three worlds: the world below exports everything, and of its interfaces only the
//! one that a plugin has is looked up.

mod convert;

use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker, ResourceAny};

use crate::column::Packed;
use crate::guest::{Answer, Guest, Handle, crash};
use crate::sandbox::{Level, State, ticks};
use crate::{CallError, Description, Limits, Output, PluginKind, Rows, Rule};

/// The newest version of the contract that this host has.
pub(crate) const VERSION: &str = "0.1.0";

/// The versions that this host has, for people.
pub(crate) const TRACK: &str = "0.1.x";

/// Whether this module serves that version.
pub(crate) fn speaks(version: &str) -> bool {
    version.starts_with("0.1.")
}

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package pgstream:host;
            world every-plugin {
                import pgstream:plugin/host@0.1.0;
                export pgstream:plugin/about@0.1.0;
                export pgstream:plugin/transformer@0.1.0;
                export pgstream:plugin/filter@0.1.0;
                export pgstream:plugin/injector@0.1.0;
            }
        ",
        path: "../../wit/v0",
        world: "pgstream:host/every-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use bindings::exports::pgstream::plugin::{about, filter, injector, transformer};
use bindings::pgstream::plugin::{data, host};

/// What the host lends to every plugin.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    data::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    host::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl data::Host for State {}

impl host::Host for State {
    fn log(&mut self, level: host::Level, message: String) {
        let level = match level {
            host::Level::Trace => Level::Trace,
            host::Level::Debug => Level::Debug,
            host::Level::Info => Level::Info,
            host::Level::Warn => Level::Warn,
            host::Level::Error => Level::Error,
        };
        self.log.line(level, &message);
    }
}

/// The compiled code of a plugin with its exports looked up.
#[derive(Clone)]
pub(crate) struct Code {
    pre: InstancePre<State>,
    about: about::GuestIndices,
    kind: KindIndices,
}

#[derive(Clone)]
enum KindIndices {
    Transformer(transformer::GuestIndices),
    Filter(filter::GuestIndices),
    Injector(injector::GuestIndices),
}

impl Code {
    pub(crate) fn new(pre: InstancePre<State>, kind: PluginKind) -> wasmtime::Result<Self> {
        let about = about::GuestIndices::new(&pre)?;
        let kind = match kind {
            PluginKind::Transformer => KindIndices::Transformer(transformer::GuestIndices::new(&pre)?),
            PluginKind::Filter => KindIndices::Filter(filter::GuestIndices::new(&pre)?),
            PluginKind::Injector => KindIndices::Injector(injector::GuestIndices::new(&pre)?),
        };
        Ok(Self { pre, about, kind })
    }

    /// A store of its own with the plugin in it.
    pub(crate) fn start(&self, state: State, limits: &Limits) -> Result<Box<dyn Guest>, CallError> {
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(ticks(limits.bind));
        store.set_hostcall_fuel(limits.output);
        let Limits { bind, memory, output, .. } = *limits;
        let instance = self
            .pre
            .instantiate(&mut store)
            .map_err(|error| CallError::Crashed(crash(&error, store.data(), bind, memory, output)))?;
        let (about, exports) = self
            .exports(&mut store, &instance)
            .map_err(|error| CallError::Breach(format!("its functions have other types ({error:#})")))?;
        Ok(Box::new(Started { store, about, exports, bound: Vec::new(), limits: *limits }))
    }

    /// The functions of an instance; here their types are checked.
    fn exports(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<(about::Guest, Exports)> {
        let about = self.about.load(&mut *store, instance)?;
        let exports = match &self.kind {
            KindIndices::Transformer(indices) => Exports::Transformer(indices.load(store, instance)?),
            KindIndices::Filter(indices) => Exports::Filter(indices.load(store, instance)?),
            KindIndices::Injector(indices) => Exports::Injector(indices.load(store, instance)?),
        };
        Ok((about, exports))
    }
}

enum Exports {
    Transformer(transformer::Guest),
    Filter(filter::Guest),
    Injector(injector::Guest),
}

/// A plugin in its store.
struct Started {
    store: Store<State>,
    about: about::Guest,
    exports: Exports,
    bound: Vec<Option<ResourceAny>>,
    limits: Limits,
}

impl Started {
    /// Sets the limits of a call that sees no data.
    fn enter(&mut self) {
        self.store.set_epoch_deadline(ticks(self.limits.bind));
        self.store.set_hostcall_fuel(self.limits.output);
    }

    /// Sets the limits of a data call.
    fn enter_with(&mut self, rows: &Rows<'_>) {
        self.store.set_epoch_deadline(ticks(self.limits.call));
        self.store.set_hostcall_fuel(self.fuel(rows));
    }

    fn fuel(&self, rows: &Rows<'_>) -> usize {
        rows.weight().saturating_mul(2).saturating_add(self.limits.output)
    }

    fn crashed(&self, error: &wasmtime::Error) -> CallError {
        let Limits { bind, memory, output, .. } = self.limits;
        CallError::Crashed(crash(error, self.store.data(), bind, memory, output))
    }

    fn crashed_with(&self, error: &wasmtime::Error, rows: &Rows<'_>) -> CallError {
        let Limits { call, memory, .. } = self.limits;
        CallError::Crashed(crash(error, self.store.data(), call, memory, self.fuel(rows)))
    }

    fn resource(&self, handle: Handle) -> Result<ResourceAny, CallError> {
        self.bound
            .get(handle.0)
            .copied()
            .flatten()
            .ok_or_else(|| CallError::Breach("a rule that is not bound".into()))
    }

    fn hold(&mut self, resource: ResourceAny) -> Handle {
        match self.bound.iter_mut().enumerate().find(|(_, place)| place.is_none()) {
            Some((at, place)) => {
                *place = Some(resource);
                Handle(at)
            }
            None => {
                self.bound.push(Some(resource));
                Handle(self.bound.len() - 1)
            }
        }
    }
}

fn other_kind() -> CallError {
    CallError::Breach("it is a plugin of another kind".into())
}

impl Guest for Started {
    fn describe(&mut self) -> Result<Description, CallError> {
        self.enter();
        let described = self.about.call_describe(&mut self.store);
        described.map(convert::description).map_err(|error| self.crashed(&error))
    }

    fn bind(&mut self, rule: &Rule) -> Result<(Handle, Answer), CallError> {
        self.enter();
        let lists = convert::RuleLists::new(rule);
        let rule = lists.rule(rule);
        let store = &mut self.store;
        let answer = match &self.exports {
            Exports::Transformer(guest) => guest.transform().call_bind(store, rule).map(|bound| {
                bound.map(|(resource, needs)| (resource, Answer::Transform(convert::needs(&needs))))
            }),
            Exports::Filter(guest) => guest.row_filter().call_bind(store, rule).map(|bound| {
                bound.map(|(resource, verdict)| (resource, Answer::Filter(convert::verdict(&verdict))))
            }),
            Exports::Injector(guest) => guest.finder().call_bind(store, rule).map(|bound| {
                bound.map(|(resource, findings)| (resource, Answer::Finder(convert::findings(&findings))))
            }),
        };
        let (resource, answer) = answer.map_err(|error| self.crashed(&error))?.map_err(CallError::Refused)?;
        Ok((self.hold(resource), answer))
    }

    fn apply(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Output, CallError> {
        let resource = self.resource(handle)?;
        self.enter_with(rows);
        let Exports::Transformer(guest) = &self.exports else { return Err(other_kind()) };
        let columns = convert::columns(rows);
        let answer = guest.transform().call_apply(&mut self.store, resource, convert::rows(rows, &columns));
        let output = answer.map_err(|error| self.crashed_with(&error, rows))?.map_err(CallError::Refused)?;
        Ok(convert::output(output))
    }

    fn keep(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Vec<u8>, CallError> {
        let resource = self.resource(handle)?;
        self.enter_with(rows);
        let Exports::Filter(guest) = &self.exports else { return Err(other_kind()) };
        let columns = convert::columns(rows);
        let answer = guest.row_filter().call_keep(&mut self.store, resource, convert::rows(rows, &columns));
        answer.map_err(|error| self.crashed_with(&error, rows))?.map_err(CallError::Refused)
    }

    fn identities(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Packed<'static>, CallError> {
        let resource = self.resource(handle)?;
        self.enter_with(rows);
        let Exports::Injector(guest) = &self.exports else { return Err(other_kind()) };
        let columns = convert::columns(rows);
        let answer = guest.finder().call_identities(&mut self.store, resource, convert::rows(rows, &columns));
        let packed = answer.map_err(|error| self.crashed_with(&error, rows))?.map_err(CallError::Refused)?;
        Ok(convert::packed(packed))
    }

    fn versions(&mut self, handle: Handle, rows: &Rows<'_>) -> Result<Vec<i64>, CallError> {
        let resource = self.resource(handle)?;
        self.enter_with(rows);
        let Exports::Injector(guest) = &self.exports else { return Err(other_kind()) };
        let columns = convert::columns(rows);
        let answer = guest.finder().call_versions(&mut self.store, resource, convert::rows(rows, &columns));
        answer.map_err(|error| self.crashed_with(&error, rows))?.map_err(CallError::Refused)
    }

    fn release(&mut self, handle: Handle) -> Result<(), CallError> {
        self.enter();
        let Some(resource) = self.bound.get_mut(handle.0).and_then(Option::take) else { return Ok(()) };
        resource.resource_drop(&mut self.store).map_err(|error| self.crashed(&error))
    }

    fn memory(&self) -> usize {
        self.store.data().memory.used
    }

    fn state(&mut self) -> &mut State {
        self.store.data_mut()
    }
}
