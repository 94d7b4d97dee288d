//! `pgstream run`: streams until it is told to stop.

use std::process::ExitCode;

use listen::wal::Parts;

use super::{Error, init};
use crate::config::{Mode, Ready};
use crate::pipeline;
use crate::shutdown::Stop;

/// Runs the pipeline to its end; before, it does what `init` does for these parts.
pub(super) async fn run(ready: Ready, first: Option<Parts>) -> Result<ExitCode, Error> {
    let stop = Stop::on_signals().map_err(Error::System)?;
    if let Some(parts) = first {
        init::init(&ready.source.wal, parts).await?;
    }
    let streams = ready.source.mode != Mode::Snapshot;
    let summary = pipeline::run(ready, stop).await?;
    if !streams {
        return Ok(ExitCode::SUCCESS);
    }
    tracing::info!(
        transactions = summary.transactions,
        inserts = summary.inserts,
        updates = summary.updates,
        deletes = summary.deletes,
        truncates = summary.truncates,
        conflicts = summary.all_conflicts(),
        lsn = summary.lsn.map(tracing::field::display),
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}
