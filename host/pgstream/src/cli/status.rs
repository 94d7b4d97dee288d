//! `pgstream status`: slot, lag, position and pipeline, looked at from outside, with everything that is wrong.

use std::process::ExitCode;
use std::time::Duration;

use checkpoint::Slot;
use event::Lsn;
use listen::wal::{Options, SourceStatus, Tracking};
use miette::Diagnostic;
use postgres::Url;
use sink::postgres::Progress;
use sink::postgres::copy::{self, Phase, State};

use super::look::{
    Look, LookCopy, LookLag, LookPipeline, LookProblem, LookPublication, LookSlot, LookSource, LookTarget,
};
use super::{Error, print};
use crate::config::{Mode, Source, Target};
use crate::failure::Error as Failure;
use crate::snapshot;

/// A server that does not answer in this time is told to be unreachable: somebody is waiting for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong, beside the errors that the other crates have for it.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum Problem {
    #[error("no pipeline reads replication slot `{slot}`: the source keeps its log for it")]
    #[diagnostic(
        code(status::stopped),
        help("start `pgstream run`, or remove the slot by `pgstream destroy`")
    )]
    Stopped { slot: String },
    #[error("schema `pgstream` is missing on the source")]
    #[diagnostic(code(status::no_schema), help("run `pgstream init`"))]
    NoSchema,
}

/// Looks at both ends and prints what is there. The exit code is 3 if something is wrong.
pub(super) async fn status(source: &Source, target: Option<&Target>, json: bool) -> Result<ExitCode, Error> {
    let look = look(source, target).await;
    if json {
        let text = serde_json::to_string_pretty(&look).unwrap_or_default();
        print(&format!("{text}\n"));
    } else {
        print(&look.table());
    }
    Ok(if look.healthy { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

async fn look(source: &Source, target: Option<&Target>) -> Look {
    let mut problems = Vec::new();
    let (mode, source) = (source.mode, &source.wal);
    let mut options = source.clone();
    options.url.connect_timeout = options.url.connect_timeout.min(PATIENCE);
    let found = match listen::wal::status(&options).await {
        Ok(found) => Some(found),
        Err(error) => {
            problems.push(problem(&error));
            None
        }
    };
    let mut progress = None;
    let mut copy = None;
    let mut reachable = false;
    if let Some(target) = target {
        let mut url = target.postgres.url.clone();
        url.connect_timeout = url.connect_timeout.min(PATIENCE);
        let system_id = found.as_ref().map_or("", |found| found.system_id.as_str());
        match sink::postgres::status(&url, system_id, &source.slot).await {
            Ok(row) => (reachable, progress) = (true, row),
            Err(error) => problems.push(problem(&error)),
        }
        let slot = if mode == Mode::Snapshot { "" } else { &source.slot };
        if reachable {
            match copies(&url, system_id, slot, &source.beside().slot).await {
                Ok(status) => copy = status,
                Err(error) => problems.push(problem(&error)),
            }
        }
    }
    let copies = copy.as_ref().is_some_and(|copy| copy.alive);
    if let Some(found) = found.as_ref().filter(|_| mode != Mode::Snapshot) {
        source_problems(source, found, copies, &mut problems);
    }
    copy.iter().for_each(|copy| copy_problems(copy, &mut problems));
    if let (Some(found), Some(progress)) = (&found, &progress) {
        fit_problems(source, found, progress, &mut problems);
    }
    let slot = found.as_ref().and_then(|found| found.slot.as_ref());
    Look {
        healthy: problems.is_empty(),
        pipeline: LookPipeline { alive: copies || slot.is_some_and(|slot| slot.active_pid.is_some()) },
        lag: LookLag {
            bytes: found.as_ref().and_then(|found| found.lag_bytes),
            seconds: found.as_ref().and_then(|found| seconds_behind(found, progress.as_ref())),
        },
        slot: LookSlot {
            name: source.slot.clone(),
            exists: slot.is_some(),
            plugin: slot.and_then(|slot| slot.plugin.clone()),
            active_pid: slot.and_then(|slot| slot.active_pid),
            restart_lsn: slot.and_then(|slot| slot.restart).map(|lsn| lsn.to_string()),
            confirmed_lsn: slot.and_then(|slot| slot.confirmed).map(|lsn| lsn.to_string()),
            wal_status: slot.and_then(|slot| slot.wal_status.clone()),
            safe_wal_bytes: slot.and_then(|slot| slot.safe_wal_size),
        },
        publication: LookPublication {
            name: source.publication.clone(),
            exists: found.as_ref().is_some_and(|found| found.publication),
        },
        schema_version: found.as_ref().and_then(|found| found.migration),
        schema_tracking: found.as_ref().filter(|found| found.migration.is_some()).map(|found| {
            match found.tracking {
                Tracking::Full => "full",
                Tracking::Reduced => "reduced",
            }
        }),
        source: LookSource {
            url: source.url.to_string(),
            reachable: found.is_some(),
            version: found.as_ref().map(|found| found.version.clone()),
            wal_level: found.as_ref().map(|found| found.wal_level.clone()),
            system_id: found.as_ref().map(|found| found.system_id.clone()),
            end_lsn: found.as_ref().map(|found| found.end.to_string()),
        },
        target: target
            .map(|target| LookTarget::new(target.postgres.url.to_string(), reachable, progress.as_ref())),
        copy: copy.as_ref().map(LookCopy::new),
        problems,
    }
}

/// What is missing or broken in the source, in the words of the errors that `run` would stop with.
fn source_problems(options: &Options, found: &SourceStatus, copies: bool, problems: &mut Vec<LookProblem>) {
    use listen::wal::Error as Refusal;
    if found.wal_level != "logical" {
        problems.push(problem(&Refusal::WalLevel { found: found.wal_level.clone() }));
    }
    if found.migration.is_none_or(|number| number == 0) {
        problems.push(problem(&Problem::NoSchema));
    }
    if !found.publication {
        let (publication, database) = (options.publication.clone(), options.url.database.clone());
        problems.push(problem(&Refusal::NoPublication { publication, database }));
    }
    if !found.without_identity.is_empty() {
        problems.push(problem(&Refusal::NoReplicaIdentity { tables: found.without_identity.clone() }));
    }
    let name = options.slot.clone();
    match &found.slot {
        None => problems.push(problem(&Refusal::NoSlot { slot: name })),
        Some(slot) => {
            if let Err(refusal) = slot.check(options) {
                problems.push(problem(&refusal));
            }
            if slot.active_pid.is_none() && !copies {
                problems.push(problem(&Problem::Stopped { slot: name }));
            }
        }
    }
}

/// What the ledger of a slot says; of tables that wait to be copied beside the stream, what the copy's own says.
async fn copies(
    url: &Url,
    system_id: &str,
    slot: &str,
    beside: &str,
) -> Result<Option<copy::Status>, copy::Error> {
    let Some(mut status) = copy::status(url, system_id, slot).await? else { return Ok(None) };
    if status.entries.iter().any(|entry| entry.state == State::Waiting)
        && let Some(copying) = copy::status(url, system_id, beside).await?
    {
        for entry in status.entries.iter_mut().filter(|entry| entry.state == State::Waiting) {
            let Some(of) = copying.entries.iter().find(|of| of.oid == entry.oid) else { continue };
            (entry.rows, entry.bytes, entry.total_bytes) = (of.rows, of.bytes, of.total_bytes);
        }
    }
    Ok(Some(status))
}

/// Tables that could not be copied, and a copy that nobody goes on with.
fn copy_problems(copy: &copy::Status, problems: &mut Vec<LookProblem>) {
    let failed = copy.entries.iter().filter(|entry| entry.state == State::Failed);
    let failed: Vec<String> = failed
        .map(|entry| {
            let reason = entry.reason.as_deref().unwrap_or("the reason is not known");
            snapshot::failure(&entry.table, &reason)
        })
        .collect();
    if !failed.is_empty() {
        problems.push(problem(&Failure::Tables { failed }));
    } else if !copy.alive && copy.whole.as_ref().is_some_and(|whole| whole.phase != Phase::Done) {
        problems.push(problem(&Failure::Incomplete));
    }
}

/// Whether the stream could go on from what the target has.
fn fit_problems(
    options: &Options,
    found: &SourceStatus,
    progress: &Progress,
    problems: &mut Vec<LookProblem>,
) {
    let Some((slot, confirmed)) = found.slot.as_ref().and_then(|slot| Some((slot, slot.confirmed?))) else {
        return;
    };
    // A stream that runs may have moved the target since the source was asked.
    let written = if slot.active_pid.is_some() { Lsn(u64::MAX) } else { found.end };
    let slot = Slot { system_id: found.system_id.clone(), name: options.slot.clone(), confirmed };
    let stored = progress.clone().into();
    if let Err(error) = checkpoint::resume(&slot, written, Some(&stored), &progress.chain, false) {
        problems.push(problem(&error));
    }
}

/// How old the oldest change is that the target does not have. While a pipeline runs, the source measures it; for
/// a stopped one it is the time since the target last moved.
fn seconds_behind(found: &SourceStatus, progress: Option<&Progress>) -> Option<f64> {
    let slot = found.slot.as_ref()?;
    if found.lag_bytes == Some(0) {
        return Some(0.0);
    }
    if slot.active_pid.is_some() {
        // The server clears it once everything is confirmed.
        return Some(found.lag_seconds.unwrap_or(0.0).max(0.0));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    let moved = Duration::from_micros(u64::try_from(progress?.updated_at).ok()?);
    Some(now.saturating_sub(moved).as_secs_f64())
}

fn problem(error: &dyn Diagnostic) -> LookProblem {
    LookProblem {
        code: error.code().map(|code| code.to_string()),
        message: error.to_string(),
        remedy: error.help().map(|remedy| remedy.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use listen::wal::SlotStatus;

    use super::*;

    #[test]
    fn a_clock_that_jumps_gives_no_lag_below_zero() {
        let hour = 3_600_000_000;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_micros()).unwrap();
        let mut found = SourceStatus {
            version: "17.0".into(),
            wal_level: "logical".into(),
            system_id: "7".into(),
            end: Lsn(200),
            slot: Some(SlotStatus {
                plugin: Some("pgoutput".into()),
                database: Some("shop".into()),
                active_pid: None,
                restart: Some(Lsn(50)),
                confirmed: Some(Lsn(100)),
                wal_status: Some("reserved".into()),
                safe_wal_size: None,
                invalidation_reason: None,
            }),
            lag_bytes: Some(100),
            lag_seconds: None,
            publication: true,
            migration: Some(1),
            tracking: Tracking::Full,
            without_identity: Vec::new(),
        };
        for (moved, least, most) in [(now + hour, 0.0, 0.0), (now - hour, 3_600.0, 3_700.0)] {
            let progress = Progress {
                system_id: "7".into(),
                lsn: Lsn(100),
                chain: String::new(),
                epoch: 1,
                committed_at: Some(moved),
                updated_at: moved,
                usage: None,
            };
            let lag = seconds_behind(&found, Some(&progress)).unwrap();
            assert!((least..=most).contains(&lag), "{lag}");
        }
        found.lag_seconds = Some(-3_600.0);
        found.slot.as_mut().unwrap().active_pid = Some(1);
        assert_eq!(seconds_behind(&found, None), Some(0.0));
    }
}
