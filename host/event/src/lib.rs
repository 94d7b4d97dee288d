//! The words of the stream: relations, batches of changes, values and positions.
//!
//! No I/O, no async, no WASM: every stage depends on this crate and on no other stage.

mod batch;
mod builder;
mod cells;
mod horizon;
mod lsn;
mod pattern;
mod relation;
mod schema;
mod time;

pub use batch::{Batch, Chunk, Identity, OldImage, Op, RowAt, RowChange, Step, Transaction, Truncate, Walk};
pub use builder::BatchBuilder;
pub use cells::{Cells, CellsBuilder, Image, InvalidCells, State, Value};
pub use horizon::{Horizon, ParseHorizonError};
pub use lsn::{Lsn, ParseLsnError};
pub use pattern::TablePattern;
pub use relation::{Column, GeneratedKind, IdentityColumn, Relation, ReplicaIdentity, TableName};
pub use schema::SchemaEntry;
pub use time::{date, rfc3339, timestamp};
