//! The Postgres listener: a `pgoutput` slot, what it takes to have one, and the stream that comes out of it.
//!
//! The way of a change: [`Source::stream`] receives messages (`stream`), they are decoded without a copy
//! (`decode`), tables are looked up in the catalog once for each of their versions (`relation`, `catalog`), rows
//! are collected column by column (`collect`) and leave in batches.

mod admin;
mod beside;
pub(crate) mod catalog;
mod collect;
mod copied;
mod decode;
mod ending;
mod error;
mod history;
mod log;
mod looks;
mod migrate;
mod options;
mod pending;
mod progress;
mod publication;
pub(crate) mod relation;
mod role;
pub(crate) mod server;
mod session;
mod slot;
mod source;
mod status;
mod stream;
mod tracking;

pub use admin::{Action, DestroyOptions, Outcome, Parts, Subject, destroy, init};
pub use beside::{Found, find_tables, make_slot, publish, remove_slot, sent_as, written};
pub use copied::Copied;
pub use error::{Error, TableWithoutIdentity};
pub use history::{Version, document, objects, prune, versions};
pub use options::{Options, SCHEMA, default_publication, default_slot};
pub use pending::{Pending, pending};
pub use progress::{Progress, Summary};
pub use slot::SlotStatus;
pub use source::Source;
pub use status::{SourceStatus, status};
pub use tracking::Tracking;
