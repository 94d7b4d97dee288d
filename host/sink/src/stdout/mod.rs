//! The stdout writer: one line of JSON an event, in the form that consumers of the original read.
//!
//! At least once: a position is confirmed once its lines are written, and what was written behind the last
//! confirmed one comes again after a start, with the same `lsn` and `ordinal`. The lines of a transaction stand
//! together, in commit order.

mod ddl;
mod error;
mod json;

use std::io::Write;
use std::time::Instant;

use buffer::Held;
use checkpoint::Confirmer;
use event::{Batch, Op, Walk};
use tokio::sync::mpsc;

use crate::postgres::Summary;

pub use error::Error;

/// Writes what comes until the stream ends. Blocks: for a thread of its own.
///
/// # Errors
/// An output that takes no more, an event that has no form as JSON.
pub fn run(
    mut input: mpsc::Receiver<Held>,
    confirm: &Confirmer,
    output: &mut impl Write,
) -> Result<Summary, Error> {
    let started = Instant::now();
    let mut summary = Summary::default();
    let mut lines = Vec::new();
    while let Some(held) = input.blocking_recv() {
        lines.clear();
        write(&held.batch, &mut lines, &mut summary)?;
        output.write_all(&lines).and_then(|()| output.flush()).map_err(Error::output)?;
        if let Some(end) = held.batch.end() {
            confirm.confirm(end);
            summary.lsn = Some(end);
            summary.commits += 1;
        }
    }
    summary.elapsed = started.elapsed();
    Ok(summary)
}

/// Writes the lines of a batch.
///
/// # Errors
/// As [`run`].
pub fn write_to(batch: &Batch, output: &mut impl Write) -> Result<(), Error> {
    let mut lines = Vec::new();
    write(batch, &mut lines, &mut Summary::default())?;
    output.write_all(&lines).map_err(Error::output)
}

/// Appends the lines of a batch.
fn write(batch: &Batch, lines: &mut Vec<u8>, summary: &mut Summary) -> Result<(), Error> {
    let metadata: Vec<String> = batch.chunks.iter().map(json::metadata).collect();
    let mut transaction = None;
    for step in batch.walk() {
        match step {
            Walk::Begin(begun) => transaction = Some(*begun),
            Walk::Row(row) => {
                let counted = match row.op {
                    Op::Insert => &mut summary.inserts,
                    Op::Update => &mut summary.updates,
                    Op::Delete => &mut summary.deletes,
                };
                *counted += 1;
                let metadata = metadata.get(row.chunk).map_or("null", String::as_str);
                json::row(batch, row, transaction, metadata, lines)?;
            }
            Walk::Truncate(truncate) => {
                summary.truncates += 1;
                json::truncate(truncate, transaction, lines);
            }
            Walk::Schema(entry) => ddl::entry(entry, transaction, lines)?,
            Walk::Commit { .. } => {
                summary.transactions += 1;
                summary.committed_at = transaction.map(|it| it.committed_at).or(summary.committed_at);
            }
            Walk::Heartbeat(_) => {}
        }
    }
    Ok(())
}
