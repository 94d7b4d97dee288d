//! The Postgres snapshoter: the rows of chosen tables as they all were at one moment.
//!
//! [`Moment`] holds that moment open and lists the tables; [`Task`]s cut them into ranges of pages, the largest table
//! first; each [`Reader`] copies one range after the other, as the server sends it or as batches of inserts.

mod error;
mod moment;
mod reader;
mod rows;
mod selection;
mod sequences;
mod standing;
mod tables;
mod tasks;

pub use error::Error;
pub use moment::{Moment, Options, system_id};
pub use reader::{Reader, Stale};
pub use rows::Rows;
pub use selection::Selection;
pub use sequences::Sequence;
pub use tables::{Part, Table};
pub use tasks::{Task, tasks};
