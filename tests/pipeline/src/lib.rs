//! One source, one target and a `pgstream` between them, for tests that look at the whole.

mod definer;
mod ledgered;

pub use definer::Definer;
pub use ledgered::{Ledgered, seeds};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use testbed::{Finished, Options, Pgstream, Postgres, Result, eventually_within};

/// How long a change may take to reach the target in a test on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server with the databases `source` and `target`, and the configuration of a pipeline between them.
pub struct Rig {
    /// The server; tasks of a test may share it.
    pub server: Arc<Postgres>,
    /// The text of the configuration file.
    pub config: String,
    marks: u32,
}

impl Rig {
    /// Starts a server, runs `ddl` in both databases, and `pgstream init`. `modifiers` is YAML that follows the
    /// source and the target.
    ///
    /// # Errors
    /// A server that does not start, DDL or an `init` that fails.
    pub async fn start(major: u16, ddl: &str, modifiers: &str) -> Result<Self> {
        Self::start_with(Options::major(major), ddl, modifiers).await
    }

    /// As [`Rig::start`] with other settings of the server.
    ///
    /// # Errors
    /// A server that does not start, DDL or an `init` that fails.
    pub async fn start_with(options: Options, ddl: &str, modifiers: &str) -> Result<Self> {
        let server = Arc::new(Postgres::start(options)?);
        for database in ["source", "target"] {
            server.create_database(database).await?;
            server.sql(database, "CREATE TABLE public.mark (id int PRIMARY KEY)").await?;
            server.sql(database, ddl).await?;
        }
        let config = format!(
            "source:\n  postgres:\n    url: {}\n    mode: replication\ntarget:\n  postgres:\n    url: {}\n{modifiers}\n",
            server.url("source"),
            server.url("target"),
        );
        let rig = Self { server, config, marks: 0 };
        let done = Pgstream::command(&["init"], &rig.config)?;
        assert_eq!(done.code(), Some(0), "init: {}{}", done.stdout, done.stderr);
        Ok(rig)
    }

    /// Starts `pgstream run`.
    ///
    /// # Errors
    /// The program is not there.
    pub fn run(&self) -> Result<Pgstream> {
        Pgstream::run(&self.config)
    }

    /// Has it look for `pg_dump` in a folder: a machine may have none where programs usually are.
    pub fn set_programs(&mut self, folder: &Path) {
        let before = "    mode: replication\n";
        let key = "    snapshot: {schema: {pgdump_pgrestore: {bin_directory: ";
        let rest: Vec<&str> = self.config.lines().filter(|line| !line.starts_with(key)).collect();
        let line = format!("{before}{key}{}}}}}}}\n", folder.display());
        self.config = format!("{}\n", rest.join("\n")).replacen(before, &line, 1);
    }

    /// Adds a line to what the configuration says of the target.
    pub fn set_target(&mut self, line: &str) {
        let before = "target:\n  postgres:\n";
        self.config = self.config.replacen(before, &format!("{before}    {line}\n"), 1);
    }

    /// Runs SQL on the source.
    ///
    /// # Errors
    /// What the server says.
    pub async fn source(&self, sql: &str) -> Result<()> {
        self.server.sql("source", sql).await
    }

    /// Writes a mark to the source and waits until it is in the target: everything before it is there too.
    ///
    /// # Errors
    /// It does not come.
    pub async fn caught_up(&mut self, pgstream: &mut Pgstream) -> Result<()> {
        self.marks += 1;
        let mark = self.marks;
        self.source(&format!("INSERT INTO public.mark VALUES ({mark})")).await?;
        let query = format!("SELECT count(*) FROM public.mark WHERE id = {mark}");
        let server = &self.server;
        let arrived = eventually_within(PATIENCE, "the mark reaches the target", || async {
            server.value("target", &query).await.is_ok_and(|count| count == "1")
        });
        let arrived = arrived.await;
        if arrived.is_err() {
            eprintln!("running: {}\n{}", pgstream.is_running(), pgstream.log());
        }
        arrived
    }

    /// The rows of a query on source and target, which must be equal.
    ///
    /// # Errors
    /// What the servers say.
    ///
    /// # Panics
    /// When they differ.
    pub async fn same(&self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        let source = self.server.rows("source", query).await?;
        let target = self.server.rows("target", query).await?;
        let differs = source.iter().zip(&target).find(|(source, target)| source != target);
        let rows = (source.len(), target.len());
        assert!(source == target, "source and target differ: {query}: {rows:?} rows, first {differs:?}");
        Ok(target)
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
