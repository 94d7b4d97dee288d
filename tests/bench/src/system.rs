//! The systems that are compared, each with a target database of its own.

use std::time::{Duration, Instant};

use testbed::{Options, Pgstream, Postgres, Result};
use tokio_postgres::Client;

use crate::machine::{self, Used};

/// Longer than any work takes.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The table whose rows stand before and behind a work.
pub const MARKS: &str = "CREATE TABLE public.mark (id int PRIMARY KEY)";

/// The standard components with nothing to do for a row.
pub const COMPONENTS: &str =
    "modifiers:\n  injector: {enabled: true}\n  filter: {include_tables: ['public.*']}\n";

/// All that is replicated, without the tables that `pgstream init` makes in the source for itself.
const PUBLISH: &str = "DO $publish$ BEGIN EXECUTE (SELECT 'CREATE PUBLICATION native FOR TABLE ' || \
    string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = 'public'); END $publish$";

/// Two servers, and the database of the source.
pub struct Place {
    /// Where the work is written.
    pub source: Postgres,
    /// Where it goes.
    pub target: Postgres,
}

impl Place {
    /// Fresh servers, and a source database with these tables.
    pub async fn start(major: u16, ddl: &[&str]) -> Result<Self> {
        let start = || {
            Postgres::start(
                Options::major(major)
                    .set("max_wal_size", "8GB")
                    .set("shared_buffers", "512MB")
                    .set("autovacuum", "off")
                    // Else a subscription that is enabled again within 5 s waits for the rest of them.
                    .set("wal_retrieve_retry_interval", "10ms"),
            )
        };
        let place = Self { source: start()?, target: start()? };
        place.source.create_database("bench").await?;
        for statements in ddl {
            place.source.sql("bench", statements).await?;
        }
        Ok(place)
    }

    /// Runs statements on the source.
    pub async fn write(&self, statements: &str) -> Result<()> {
        self.source.sql("bench", statements).await
    }

    /// The same query on the source and on a target; it ends the run when the answers differ.
    pub async fn same(&self, system: &System, what: &str, query: &str) -> Result<()> {
        let want = self.source.value("bench", query).await?;
        let got = self.target.value(system.database, query).await?;
        assert_eq!(want, got, "{}: {what} differs between source and target", system.name);
        Ok(())
    }
}

/// One way to replicate.
pub struct System {
    /// Its name in the report.
    pub name: &'static str,
    /// Target database, and slot.
    pub database: &'static str,
    /// YAML below source and target; none for `CREATE SUBSCRIPTION`.
    modifiers: Option<&'static str>,
}

/// One run.
#[derive(Clone, Copy)]
pub struct Run {
    /// From the start of the system to the last row in the target.
    pub seconds: f64,
    /// From the start of the system to the first row in the target.
    pub first: f64,
    /// What the `pgstream` process used; nothing for native.
    pub used: Used,
}

impl System {
    /// `CREATE SUBSCRIPTION`.
    pub const fn native() -> Self {
        Self { name: "native", database: "native", modifiers: None }
    }

    /// `pgstream run` with these modifiers.
    pub const fn ours(name: &'static str, database: &'static str, modifiers: &'static str) -> Self {
        Self { name, database, modifiers: Some(modifiers) }
    }

    /// Ours, not native.
    pub fn is_ours(&self) -> bool {
        self.modifiers.is_some()
    }

    /// The configuration of `pgstream`.
    pub fn config(&self, place: &Place) -> String {
        format!(
            "source:\n  postgres:\n    url: {}\n    mode: replication\n    replication:\n      replication_slot: {}\n\
             target:\n  postgres:\n    url: {}\n{}",
            place.source.url("bench"),
            self.database,
            place.target.url(self.database),
            self.modifiers.unwrap_or_default()
        )
    }

    /// Makes the target database with these tables and rows, and the slot. The source must hold the same by now.
    pub async fn prepare(&self, place: &Place, ddl: &[&str]) -> Result<()> {
        place.target.create_database(self.database).await?;
        for statements in ddl {
            place.target.sql(self.database, statements).await?;
        }
        if self.is_ours() {
            let done = Pgstream::command(&["init"], &self.config(place))?;
            assert_eq!(done.code(), Some(0), "init: {}", done.stderr);
            return Ok(());
        }
        place.write(PUBLISH).await?;
        place.write("SELECT pg_create_logical_replication_slot('native', 'pgoutput')").await?;
        let subscribe = format!(
            "CREATE SUBSCRIPTION native CONNECTION '{}' PUBLICATION native WITH (enabled = false, create_slot = false, \
             slot_name = native, copy_data = false)",
            place.source.url("bench")
        );
        place.target.sql(self.database, &subscribe).await
    }

    /// Starts it.
    pub async fn start(&self, place: &Place) -> Result<Running<'_>> {
        if self.is_ours() {
            return Ok(Running { system: self, pgstream: Some(Pgstream::run(&self.config(place))?) });
        }
        place.target.sql(self.database, "ALTER SUBSCRIPTION native ENABLE").await?;
        Ok(Running { system: self, pgstream: None })
    }

    /// Replicates what lies in the log: the time until the marks before and behind the work are there.
    pub async fn replicate(&self, place: &Place, marks: (i32, i32)) -> Result<Run> {
        let client = place.target.connect(self.database).await?;
        let start = Instant::now();
        let mut running = self.start(place).await?;
        running.reached(&client, marks.0, start).await;
        let first = start.elapsed().as_secs_f64();
        running.reached(&client, marks.1, start).await;
        let seconds = start.elapsed().as_secs_f64();
        let used = running.used();
        running.stop(place).await?;
        Ok(Run { seconds, first, used })
    }
}

/// A system at work.
pub struct Running<'a> {
    system: &'a System,
    pgstream: Option<Pgstream>,
}

impl Running<'_> {
    /// What the `pgstream` process has used; nothing for native.
    pub fn used(&self) -> Used {
        self.pgstream.as_ref().map(|pgstream| machine::used(pgstream.pid())).unwrap_or_default()
    }

    /// Ends the run of the benchmark when the system has ended, or works for too long.
    pub fn check(&mut self, start: Instant) {
        if let Some(pgstream) = &mut self.pgstream {
            assert!(pgstream.is_running(), "{} ended:\n{}", self.system.name, pgstream.log());
        }
        let log = || self.pgstream.as_ref().map(Pgstream::log).unwrap_or_default();
        assert!(start.elapsed() < LIMIT, "{}: what is waited for does not come\n{}", self.system.name, log());
    }

    /// Waits for a mark.
    async fn reached(&mut self, client: &Client, mark: i32, start: Instant) {
        let query = client.prepare("SELECT max(id) FROM public.mark").await.expect("marks can be read");
        while client.query_one(&query, &[]).await.expect("mark").get::<_, Option<i32>>(0) < Some(mark) {
            self.check(start);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Asks it to end, and waits until it has let go of its slot.
    pub async fn stop(self, place: &Place) -> Result<()> {
        match self.pgstream {
            Some(pgstream) => {
                let done = pgstream.stop(LIMIT).await?;
                assert_eq!(done.code(), Some(0), "{}", done.stderr);
            }
            None => place.target.sql(self.system.database, "ALTER SUBSCRIPTION native DISABLE").await?,
        }
        released(place, self.system.database).await
    }
}

/// Waits until no walsender holds the slot.
pub async fn released(place: &Place, slot: &str) -> Result<()> {
    let query = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    testbed::eventually("the slot is free", || async {
        place.source.value("bench", &query).await.is_ok_and(|active| active == "f")
    })
    .await
}
