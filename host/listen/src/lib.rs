//! Listeners: what reads a source and makes batches of it.
//!
//! [`wal`] reads a logical replication slot of Postgres, [`snapshot`] the rows that its tables have. Kafka is a listener
//! of its own.

pub mod snapshot;
pub mod wal;
