//! The systems that are compared.

use std::time::{Duration, Instant};

use testbed::{Pgstream, Postgres, Result};

use crate::work::{SEED_ROWS, TABLES, seed_wide};

/// Longer than any work takes.
const LIMIT: Duration = Duration::from_secs(600);

/// One way to replicate, with a target database of its own.
pub enum System {
    /// `CREATE SUBSCRIPTION`.
    Native,
    /// `pgstream run` with these modifiers.
    Pgstream {
        /// Its name in the report.
        name: &'static str,
        /// Database, slot.
        database: &'static str,
        /// YAML below source and target.
        modifiers: &'static str,
    },
}

/// One run.
#[derive(Clone, Copy)]
pub struct Run {
    /// From the start of the system to the last row in the target.
    pub seconds: f64,
    /// CPU seconds of the `pgstream` process; 0 for native.
    pub cpu: f64,
    /// Most memory that the `pgstream` process held, in MiB; 0 for native.
    pub peak_mib: f64,
}

const MASKED: &str = "modifiers:
  injector: {enabled: true}
  filter: {include_tables: ['public.*']}
  transformations:
    table_transformers:
      - schema: public
        table: wide
        column_transformers:
          e: {name: masking, parameters: {type: email}}
          f: {name: masking, parameters: {type: name}}
          g: {name: masking, parameters: {type: mobile}}
";

impl System {
    /// Native, ours twice, ours with three masked columns.
    pub fn all() -> Vec<Self> {
        let ours = |name, database, modifiers| Self::Pgstream { name, database, modifiers };
        vec![
            Self::Native,
            ours("pgstream", "ours", ""),
            ours("pgstream A'", "again", ""),
            ours("3 masked", "masked", MASKED),
        ]
    }

    /// Its name in the report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Pgstream { name, .. } => name,
        }
    }

    fn database(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Pgstream { database, .. } => database,
        }
    }

    fn config(&self, source: &Postgres, target: &Postgres) -> String {
        let Self::Pgstream { database, modifiers, .. } = self else { return String::new() };
        format!(
            "source:\n  postgres:\n    url: {}\n    mode: replication\n    replication:\n      replication_slot: {database}\n\
             target:\n  postgres:\n    url: {}\n{modifiers}",
            source.url("bench"),
            target.url(database)
        )
    }

    /// Makes the target database with the rows that the work starts from, and the slot.
    pub async fn prepare(&self, source: &Postgres, target: &Postgres) -> Result<()> {
        let database = self.database();
        target.create_database(database).await?;
        target.sql(database, TABLES).await?;
        target.sql(database, SEED_ROWS).await?;
        target.sql(database, &seed_wide()).await?;
        if source.value("bench", "SELECT count(*) FROM public.branch").await? == "0" {
            source.sql("bench", SEED_ROWS).await?;
            source.sql("bench", &seed_wide()).await?;
        }
        match self {
            Self::Native => {
                source.sql("bench", "CREATE PUBLICATION native FOR ALL TABLES").await?;
                source
                    .sql("bench", "SELECT pg_create_logical_replication_slot('native', 'pgoutput')")
                    .await?;
                let subscribe = format!(
                    "CREATE SUBSCRIPTION native CONNECTION '{}' PUBLICATION native WITH (enabled = false, create_slot = false, \
                     slot_name = native, copy_data = false)",
                    source.url("bench")
                );
                target.sql(database, &subscribe).await
            }
            Self::Pgstream { .. } => {
                let done = Pgstream::command(&["init"], &self.config(source, target))?;
                assert_eq!(done.code(), Some(0), "init: {}", done.stderr);
                Ok(())
            }
        }
    }

    /// Replicates what lies in the log, up to the mark.
    pub async fn replicate(&self, source: &Postgres, target: &Postgres, mark: u64) -> Result<Run> {
        let client = target.connect(self.database()).await?;
        let query = format!("SELECT 1 FROM public.mark WHERE id = {mark}");
        let start = Instant::now();
        let arrived = async || {
            while client.query_opt(&query, &[]).await.is_ok_and(|row| row.is_none()) {
                assert!(start.elapsed() < LIMIT, "{}: the mark does not arrive", self.name());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match self {
            Self::Native => {
                client.batch_execute("ALTER SUBSCRIPTION native ENABLE").await.expect("enable");
                arrived().await;
                let seconds = start.elapsed().as_secs_f64();
                client.batch_execute("ALTER SUBSCRIPTION native DISABLE").await.expect("disable");
                while source
                    .value("bench", "SELECT active FROM pg_replication_slots WHERE slot_name = 'native'")
                    .await?
                    == "t"
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(Run { seconds, cpu: 0.0, peak_mib: 0.0 })
            }
            Self::Pgstream { .. } => {
                let mut pgstream = Pgstream::run(&self.config(source, target))?;
                while client.query_opt(&query, &[]).await.is_ok_and(|row| row.is_none()) {
                    assert!(pgstream.is_running(), "{}", pgstream.log());
                    assert!(
                        start.elapsed() < LIMIT,
                        "{}: the mark does not arrive\n{}",
                        self.name(),
                        pgstream.log()
                    );
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let seconds = start.elapsed().as_secs_f64();
                let (cpu, peak_mib) = used(pgstream.pid());
                let done = pgstream.stop(LIMIT).await?;
                assert_eq!(done.code(), Some(0), "{}", done.stderr);
                Ok(Run { seconds, cpu, peak_mib })
            }
        }
    }

    /// The target must hold what the source holds; with masks, as many rows.
    pub async fn verify(&self, source: &Postgres, target: &Postgres) -> Result<()> {
        let masked = matches!(self, Self::Pgstream { name: "3 masked", .. });
        for table in ["wide", "branch", "teller", "account", "history"] {
            let columns = if masked && table == "wide" { "id, a, b, c, d, h, i, j, k" } else { "t.*" };
            let query = format!(
                "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(r::text, 0)), 0) FROM (SELECT {columns} FROM public.{table} t) r"
            );
            let (want, got) =
                (source.value("bench", &query).await?, target.value(self.database(), &query).await?);
            assert_eq!(want, got, "{}: {table} differs", self.name());
        }
        Ok(())
    }
}

/// CPU seconds and peak memory of a process, from /proc.
fn used(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: f64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0);
    // Linux counts process times in hundredths of a second.
    ((ticks(11) + ticks(12)) / 100.0, kib / 1024.0)
}
