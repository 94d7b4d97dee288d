//! The plugin host: the only crate that knows wasmtime.
//!
//! [`Engine::load`] turns a component into a [`Plugin`], [`Plugin::start`] gives it a store with limits and
//! grants, and a [`Running`] plugin binds rules and is called with packed columns. A crash costs the store, not the
//! process: the next call starts a new one and binds again. Whoever calls isolates the row that did it.
//!
//! Calls block, and WASI blocks on its own runtime inside: use a plain thread, never one that drives an async runtime.

mod column;
mod description;
mod engine;
mod error;
mod grant;
mod guest;
mod key;
mod limits;
mod load;
mod rule;
mod running;
mod sandbox;
mod v0;
mod words;

pub use column::{Column, ColumnType, Gathered, Misfit, Packed, Scattered, Values, gather, scatter};
pub use description::{Description, Offer, Parameter, ParameterKind, PluginKind, Shape, Uniqueness};
pub use engine::{CacheDirectory, Engine};
pub use error::{CallError, Crash, LoadError};
pub use grant::{Grant, ParseGrantError};
pub use key::{InvalidRootKey, RootKey};
pub use limits::{Limits, MAX_COMPONENT};
pub use load::{Plugin, Source};
pub use rule::{Failure, Findings, IdentityRule, Needs, Output, Read, Rows, Rule, Verdict, VersionRule};
pub use running::{Bound, Calls, Running};
pub use words::one_line;
