//! What `status` prints: the fields of its JSON, and the table for people.
//!
//! The names are an interface: monitoring reads them. A field that is not known is `null`.

use event::rfc3339;
use serde::Serialize;
use sink::postgres::Progress;
use sink::postgres::copy::{Entry, Phase, State, Status};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns of the names at the left.
const NAMES: usize = 13;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Look {
    /// There are no problems.
    pub(super) healthy: bool,
    pub(super) pipeline: LookPipeline,
    pub(super) lag: LookLag,
    pub(super) slot: LookSlot,
    pub(super) publication: LookPublication,
    /// The last migration in schema `pgstream` of the source.
    pub(super) schema_version: Option<i32>,
    /// How schema changes are seen: `full` by event triggers, `reduced` in the stream alone; `null` before `init`.
    pub(super) schema_tracking: Option<&'static str>,
    pub(super) source: LookSource,
    /// `null` if the configuration names none.
    pub(super) target: Option<LookTarget>,
    /// The initial copy; `null` if there was none.
    pub(super) copy: Option<LookCopy>,
    pub(super) problems: Vec<LookProblem>,
}

#[derive(Debug, Serialize)]
pub(super) struct LookPipeline {
    /// Somebody reads the slot.
    pub(super) alive: bool,
}

/// How far the confirmed position is behind the end of the source's log.
#[derive(Debug, Serialize)]
pub(super) struct LookLag {
    pub(super) bytes: Option<u64>,
    pub(super) seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct LookSlot {
    pub(super) name: String,
    pub(super) exists: bool,
    pub(super) plugin: Option<String>,
    /// The server's process that reads it.
    pub(super) active_pid: Option<i32>,
    /// From where on the source keeps its log.
    pub(super) restart_lsn: Option<String>,
    /// Everything before it is in the target.
    pub(super) confirmed_lsn: Option<String>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub(super) wal_status: Option<String>,
    /// Bytes that may still be written before the slot is in danger; `null` without a limit.
    pub(super) safe_wal_bytes: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct LookPublication {
    pub(super) name: String,
    pub(super) exists: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct LookSource {
    /// Without its password.
    pub(super) url: String,
    pub(super) reachable: bool,
    pub(super) version: Option<String>,
    pub(super) wal_level: Option<String>,
    pub(super) system_id: Option<String>,
    /// Where the log ends.
    pub(super) end_lsn: Option<String>,
}

/// The target and its progress row.
#[derive(Debug, Serialize)]
pub(super) struct LookTarget {
    /// Without its password.
    pub(super) url: String,
    pub(super) reachable: bool,
    /// Everything before it is in the target; `null` before the first run.
    pub(super) lsn: Option<String>,
    /// Commit time, on the source, of the last transaction.
    pub(super) last_commit_at: Option<String>,
    /// When the row was written.
    pub(super) updated_at: Option<String>,
    /// How many times a run has begun.
    pub(super) epoch: Option<i64>,
    /// What the pipeline used when the row was written.
    pub(super) memory: Option<LookMemory>,
}

#[derive(Debug, Serialize)]
pub(super) struct LookMemory {
    /// Everything that the process holds.
    pub(super) resident_bytes: Option<u64>,
    /// Of it, batches between source and target.
    pub(super) waiting_bytes: u64,
    /// The most that may wait (`max_queue_bytes`).
    pub(super) limit_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct LookCopy {
    /// `rows`, `finish` or `done`.
    pub(super) phase: &'static str,
    /// A process is at it.
    pub(super) alive: bool,
    /// How many tables are complete.
    pub(super) tables_done: usize,
    /// Rows in the target by now.
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// The largest first.
    pub(super) tables: Vec<LookTable>,
}

#[derive(Debug, Serialize)]
pub(super) struct LookTable {
    pub(super) schema: String,
    pub(super) table: String,
    /// `waiting`, `copying`, `paused`, `done`, `failed` or `gone`.
    pub(super) state: &'static str,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// What it has on the source's disk.
    pub(super) disk_bytes: u64,
    /// Why it failed.
    pub(super) reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct LookProblem {
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) remedy: Option<String>,
}

impl LookTarget {
    pub(super) fn new(url: String, reachable: bool, progress: Option<&Progress>) -> Self {
        Self {
            url,
            reachable,
            lsn: progress.map(|progress| progress.lsn.to_string()),
            last_commit_at: progress.and_then(|progress| progress.committed_at).map(rfc3339),
            updated_at: progress.map(|progress| rfc3339(progress.updated_at)),
            epoch: progress.map(|progress| progress.epoch),
            memory: progress.and_then(|progress| progress.usage).map(|usage| LookMemory {
                resident_bytes: usage.resident,
                waiting_bytes: usage.waiting,
                limit_bytes: usage.limit,
            }),
        }
    }
}

impl LookCopy {
    pub(super) fn new(status: &Status) -> Self {
        let table = |entry: &Entry| LookTable {
            schema: entry.table.schema.clone(),
            table: entry.table.name.clone(),
            state: match entry.state {
                State::Waiting | State::Copying if entry.paused => "paused",
                state => state.word(),
            },
            rows: entry.rows,
            bytes: entry.bytes,
            disk_bytes: entry.total_bytes,
            reason: entry.reason.clone(),
        };
        let entries = &status.entries;
        Self {
            phase: phase(status),
            alive: status.alive,
            tables_done: entries.iter().filter(|entry| entry.state == State::Done).count(),
            rows: entries.iter().map(|entry| entry.rows).sum(),
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            tables: entries.iter().map(table).collect(),
        }
    }

    /// One line.
    fn line(&self) -> String {
        let state = match (self.phase, self.alive) {
            (phase @ ("done" | "beside the stream"), _) => phase,
            (phase, true) => phase,
            (_, false) => "not complete, nobody is at it",
        };
        let (done, all) = (self.tables_done, self.tables.len());
        let mut line = format!("{state}: {done} of {all} tables, {} rows, {}", self.rows, size(self.bytes));
        let paused = self.tables.iter().filter(|table| table.state == "paused");
        let paused: Vec<String> = paused.map(|table| format!("{}.{}", table.schema, table.table)).collect();
        if !paused.is_empty() {
            line.push_str(&format!("; paused: {}", paused.join(", ")));
        }
        line
    }
}

/// Where a copy is as a whole, or that single tables are copied beside the stream.
fn phase(status: &Status) -> &'static str {
    let is_waiting = |entry: &Entry| entry.state == State::Waiting;
    match &status.whole {
        Some(whole) if whole.phase != Phase::Done => whole.phase.word(),
        _ if status.entries.iter().any(is_waiting) => "beside the stream",
        _ => Phase::Done.word(),
    }
}

impl Look {
    /// The table, no line longer than a terminal is wide.
    pub(super) fn table(&self) -> String {
        let unknown = || "unknown".to_owned();
        let state = |exists: bool| if exists { "" } else { ", missing" };
        let mut table = String::new();
        let version = self.source.version.as_ref().map(|version| format!(" (Postgres {version})"));
        let version = version.unwrap_or_else(|| ", not reachable".to_owned());
        row(&mut table, "source", &format!("{}{version}", self.source.url));
        if self.source.reachable {
            row(&mut table, "slot", &format!("{}{}", self.slot.name, state(self.slot.exists)));
            row(
                &mut table,
                "publication",
                &format!("{}{}", self.publication.name, state(self.publication.exists)),
            );
            if self.schema_version.is_some() && self.schema_tracking != Some("full") {
                row(
                    &mut table,
                    "schema",
                    "no event triggers: columns that come, go or change type are followed",
                );
            }
            row(&mut table, "pipeline", if self.pipeline.alive { "running" } else { "not running" });
            row(&mut table, "confirmed", self.slot.confirmed_lsn.as_deref().unwrap_or("nothing"));
            let bytes = self.lag.bytes.map_or_else(unknown, size);
            let seconds = self.lag.seconds.map_or_else(unknown, |seconds| format!("{seconds:.1} s"));
            row(&mut table, "lag", &format!("{bytes}, {seconds}"));
        }
        if let Some(target) = &self.target {
            let state = if target.reachable { "" } else { ", not reachable" };
            row(&mut table, "target", &format!("{}{state}", target.url));
            if target.reachable {
                row(&mut table, "applied", target.lsn.as_deref().unwrap_or("nothing"));
                row(&mut table, "last commit", target.last_commit_at.as_deref().unwrap_or("none"));
                if let Some(memory) = target.memory.as_ref().filter(|_| self.pipeline.alive) {
                    let resident = memory.resident_bytes.map_or_else(unknown, size);
                    let (waiting, limit) = (size(memory.waiting_bytes), size(memory.limit_bytes));
                    row(
                        &mut table,
                        "memory",
                        &format!("{resident}, of it waiting {waiting} of at most {limit}"),
                    );
                }
            }
        }
        if let Some(copy) = &self.copy {
            row(&mut table, "copy", &copy.line());
        }
        if self.problems.is_empty() {
            row(&mut table, "problems", "none");
        }
        for problem in &self.problems {
            let code = problem.code.as_ref().map(|code| format!("[{code}] ")).unwrap_or_default();
            row(&mut table, "problem", &format!("{code}{}", problem.message));
            if let Some(remedy) = &problem.remedy {
                row(&mut table, "  remedy", remedy);
            }
        }
        table
    }
}

/// A name and its value, wrapped between words; a word that is longer than a line is cut.
fn row(table: &mut String, name: &str, value: &str) {
    let mut line = format!("{name:<NAMES$}");
    let mut empty = true;
    for word in value.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let room = WIDTH.saturating_sub(line.chars().count() + usize::from(!empty));
            if word.len() > room && !empty {
                table.push_str(&line);
                table.push('\n');
                (line, empty) = (" ".repeat(NAMES), true);
                continue;
            }
            if !empty {
                line.push(' ');
            }
            line.extend(word.drain(..word.len().min(room)));
            empty = false;
        }
    }
    table.push_str(&line);
    table.push('\n');
}

fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB"].iter();
    let mut unit = "B";
    while size >= 1024.0
        && let Some(larger) = units.next()
    {
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Look {
        Look {
            healthy: false,
            pipeline: LookPipeline { alive: true },
            lag: LookLag { bytes: Some(3 << 19), seconds: Some(12.34) },
            slot: LookSlot {
                name: "pgstream_shop_slot".into(),
                exists: true,
                plugin: Some("pgoutput".into()),
                active_pid: None,
                restart_lsn: Some("0/1A2B3C0".into()),
                confirmed_lsn: Some("0/1A2B3C8".into()),
                wal_status: Some("reserved".into()),
                safe_wal_bytes: None,
            },
            publication: LookPublication { name: "pgstream_shop".into(), exists: false },
            schema_version: Some(1),
            schema_tracking: Some("reduced"),
            source: LookSource {
                url: format!("postgres://app@{}.example.com:5432/shop", "source".repeat(12)),
                reachable: true,
                version: Some("15.4".into()),
                wal_level: Some("logical".into()),
                system_id: Some("7".into()),
                end_lsn: Some("0/1BAB3C8".into()),
            },
            target: Some(LookTarget {
                url: "postgres://app@target:5432/shop".into(),
                reachable: true,
                lsn: Some("0/1A2B3C8".into()),
                last_commit_at: Some(rfc3339(1_767_225_599_000_001)),
                updated_at: Some(rfc3339(1_767_225_600_000_000)),
                epoch: Some(2),
                memory: Some(LookMemory {
                    resident_bytes: Some(45 << 20),
                    waiting_bytes: 3 << 19,
                    limit_bytes: 100 << 20,
                }),
            }),
            copy: Some(LookCopy {
                phase: "rows",
                alive: true,
                tables_done: 1,
                rows: 41,
                bytes: 3 << 19,
                tables: vec![LookTable {
                    schema: "public".into(),
                    table: "t".into(),
                    state: "failed",
                    rows: 41,
                    bytes: 3 << 19,
                    disk_bytes: 5 << 19,
                    reason: Some("permission denied (SQLSTATE 42501)".into()),
                }],
            }),
            problems: vec![LookProblem {
                code: Some("listen::no_publication".into()),
                message: "publication `pgstream_shop` does not exist in database `shop`, or not yet".into(),
                remedy: Some("run `pgstream init`".into()),
            }],
        }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let table = look().table();
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_json_has_these_names() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&look()).unwrap());
    }

    #[test]
    fn sizes_have_units() {
        for (bytes, expected) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (5 << 40, "5.0 TiB")] {
            assert_eq!(size(bytes), expected);
        }
    }
}
