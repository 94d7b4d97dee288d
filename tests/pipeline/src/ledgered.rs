//! A source under load, a target on a server of its own, and what must be true between them.

use std::time::{Duration, Instant};

use testbed::ledger::{self, Load, check};
use testbed::{Error, Finished, Options, Pgstream, Postgres, Result};

use crate::PATIENCE;
use crate::definer::{self, Definer};

/// Two servers with the tables of the load, and the configuration of a pipeline between them.
pub struct Ledgered {
    /// The server that is written to.
    pub source: Postgres,
    /// The server that follows.
    pub target: Postgres,
    /// YAML that follows source and target.
    pub settings: String,
    /// What a run does, and YAML that follows in `source.postgres`.
    pub mode: String,
}

impl Ledgered {
    /// Starts both servers and runs `pgstream init`.
    ///
    /// # Errors
    /// A server that does not start, an `init` that fails.
    pub async fn start(major: u16, settings: &str) -> Result<Self> {
        let pair = Self::bare(major, settings).await?;
        let done = Pgstream::command(&["init"], &pair.config())?;
        assert_eq!(done.code(), Some(0), "init: {}{}", done.stdout, done.stderr);
        Ok(pair)
    }

    /// As [`Ledgered::start`], without `init`.
    ///
    /// # Errors
    /// A server that does not start.
    pub async fn bare(major: u16, settings: &str) -> Result<Self> {
        let pair = Self {
            source: Postgres::start(Options::major(major))?,
            target: Postgres::start(Options::major(major))?,
            settings: settings.to_owned(),
            mode: "replication".to_owned(),
        };
        for (server, database) in [(&pair.source, "source"), (&pair.target, "target")] {
            server.create_database(database).await?;
            ledger::create(server, database).await?;
        }
        ledger::watch_source(&pair.source, "source").await?;
        Ok(pair)
    }

    /// The text of the configuration file.
    pub fn config(&self) -> String {
        self.config_of(&self.source.url("source"), &self.target.url("target"))
    }

    /// The same with other ways to the servers.
    pub fn config_of(&self, source: &str, target: &str) -> String {
        // A small batch, so that a transaction is often more than one; short pauses, so that a fault is soon over.
        let retry = "    retry_policy: {exponential: {initial_interval: 50ms, max_interval: 300ms}}";
        format!(
            "source:\n  postgres:\n    url: {source}\n    mode: {}\n{retry}\n\
             target:\n  postgres:\n    url: {target}\n    batch: {{size: 200}}\n{retry}\n{}\n",
            self.mode, self.settings
        )
    }

    /// Starts the writers.
    pub fn load(&self, seed: u64) -> Load {
        Load::start(&self.source.url("source"), seed, 4)
    }

    /// Starts to change the schema.
    pub fn definer(&self, seed: u64) -> Definer {
        Definer::start(&self.source.url("source"), seed)
    }

    /// The tables that a [`Definer`] has made must be the same on both sides, with their rows, once everything has arrived.
    ///
    /// # Errors
    /// What the servers say.
    ///
    /// # Panics
    /// When they differ.
    pub async fn same_side_tables(&self) -> Result<()> {
        let source = definer::look(&self.source, "source").await?;
        let target = definer::look(&self.target, "target").await?;
        assert_eq!(source, target);
        Ok(())
    }

    /// Starts to look at the target.
    pub fn watcher(&self) -> check::Watcher {
        check::Watcher::start(&self.target.url("target"))
    }

    /// Whether the target is at least where the slot says that it is. The slot is asked first, since both move on.
    ///
    /// # Errors
    /// What the servers say.
    pub async fn slot_is_not_ahead(&self) -> Result<bool> {
        let slot =
            self.source.value("source", "SELECT confirmed_flush_lsn FROM pg_replication_slots").await?;
        // The table is made by the first run.
        if self.target.value("target", "SELECT to_regclass('pgstream.progress')").await?.is_empty() {
            return Ok(true);
        }
        let query = format!("SELECT coalesce(bool_and(lsn >= '{slot}'), true) FROM pgstream.progress");
        Ok(self.target.value("target", &query).await? == "t")
    }

    /// Waits until the target has all of the ledger; then it must be that of the source, and the tables with it.
    ///
    /// # Errors
    /// [`Error::Ledger`] with what is wrong, [`Error::TimedOut`] when it does not arrive.
    pub async fn settles(&self, pgstream: &mut Pgstream) -> Result<()> {
        let source = self.source.connect("source").await?;
        let target = self.target.connect("target").await?;
        let want = check::summary(&source).await?;
        let start = Instant::now();
        while check::summary(&target).await? != want {
            if !pgstream.is_running() || start.elapsed() > PATIENCE {
                return Err(Error::TimedOut {
                    what: "the ledger to arrive".to_owned(),
                    seconds: start.elapsed().as_secs(),
                    detail: format!(
                        ": running {}, {:?} of {want:?}\n{}",
                        pgstream.is_running(),
                        check::summary(&target).await?,
                        pgstream.log()
                    ),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (side, client) in [("source", &source), ("target", &target)] {
            let problems = check::problems(client).await?;
            if !problems.is_empty() {
                return Err(Error::Ledger { looks: 0, problems: [vec![side.to_owned()], problems].concat() });
            }
        }
        Ok(())
    }

    /// Asks `pgstream` to drain and end, which it must do with exit code 0.
    ///
    /// # Errors
    /// It does not end.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub async fn drain(&self, pgstream: Pgstream) -> Result<Finished> {
        let done = pgstream.stop(PATIENCE).await?;
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        Ok(done)
    }
}

/// So many seeds: those given, or as many as `PGSTREAM_SEEDS` says; or the one of `PGSTREAM_SEED`.
pub fn seeds(usual: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("PGSTREAM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("PGSTREAM_SEEDS").unwrap_or(usual)).collect(),
    }
}
