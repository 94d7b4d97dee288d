//! `pgstream run`: streams until it is told to stop.

use std::process::ExitCode;

use listen::wal::Parts;

use super::{Error, init};
use crate::config::{Mode, Run};
use crate::shutdown::Stop;
use crate::{pipeline, print};

/// Runs the pipeline to its end; before, it does what `init` does for these parts.
pub(super) async fn run(wanted: Run, first: Option<Parts>) -> Result<ExitCode, Error> {
    let stop = Stop::on_signals().map_err(Error::System)?;
    let source = match &wanted {
        Run::Apply(ready) => &ready.source,
        Run::Print(print) => &print.source,
    };
    if let Some(parts) = first {
        init::init(&source.wal, parts).await?;
    }
    let streams = source.mode != Mode::Snapshot;
    let summary = match wanted {
        Run::Apply(ready) => pipeline::run(*ready, stop).await?,
        Run::Print(print) => print::run(*print, stop).await?,
    };
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
