//! `pgstream destroy`: removes what `init` made in the source and what `run` left in the target.

use std::process::ExitCode;
use std::time::Duration;

use listen::wal::{DestroyOptions, Options, Outcome, Parts, Subject};

use super::{Error, print};
use crate::config::Target;

/// How long a slot may still be in use: a run that was just stopped needs a moment to let it go.
const WAIT: Duration = Duration::from_secs(5);

/// Cleans up both ends. The source first: without its slot nobody can go on from the target's progress.
pub(super) async fn destroy(
    source: &Options,
    target: Option<&Target>,
    parts: Parts,
) -> Result<ExitCode, Error> {
    for action in listen::wal::destroy(source, DestroyOptions { parts, wait: WAIT }).await? {
        print(&format!("source: {action}\n"));
    }
    if let Some(target) = target.filter(|_| parts == Parts::All) {
        let destroyed = sink::postgres::destroy(&target.postgres.url, &source.slot).await?;
        let told = |removed| if removed { Outcome::Removed } else { Outcome::NotThere };
        print(&format!("target: progress of slot `{}`: {}\n", source.slot, told(destroyed.row)));
        if destroyed.copy {
            print(&format!("target: ledger of the copy: {}\n", Outcome::Removed));
        }
        if destroyed.schema {
            print(&format!("target: {}: {}\n", Subject::Schema, Outcome::Removed));
        }
    }
    Ok(ExitCode::SUCCESS)
}
