//! Listeners: what reads a source and makes batches of it.
//!
//! [`wal`] reads a logical replication slot of Postgres. Snapshots and Kafka are listeners of their own.

pub mod wal;
