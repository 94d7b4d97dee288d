//! What the demo plays on: two servers with tables, the configuration, the folder that both are written into.

use std::path::{Path, PathBuf};

use testbed::{Options, Pgstream, Postgres, tpcb};

use crate::story::Failure;

/// The example of the documentation, and so known to work.
const CONFIG: &str = include_str!("../../../../../examples/postgres-to-postgres-masked/config.yaml");
const CUSTOMERS: &str = include_str!("../../../../../examples/postgres-to-postgres-masked/tables.sql");
/// History has no key: a change of it would need the whole row.
const MORE: &str = "
    CREATE TABLE sessions (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint, token text);
    ALTER TABLE pgbench_history REPLICA IDENTITY FULL;";
const PROBE: &str = "CREATE TABLE probe (id bigint PRIMARY KEY);";

/// Two servers and a configuration.
pub(crate) struct Stage {
    pub(crate) source: Postgres,
    pub(crate) target: Postgres,
    pub(crate) config: PathBuf,
    folder: PathBuf,
}

impl Stage {
    /// Starts both servers and makes their tables.
    pub(crate) async fn set(major: u16) -> Result<Self, Failure> {
        let folder = PathBuf::from(".demo");
        std::fs::create_dir_all(&folder).map_err(|error| Failure::File(folder.clone(), error))?;
        stop_what_was_kept(&folder);

        let source = Postgres::start(Options::major(major))?;
        let target = Postgres::start(Options::major(major))?;
        for server in [&source, &target] {
            server.create_database("shop").await?;
        }
        // The target has nothing: that is what the copy is for.
        source.sql("shop", &[tpcb::DDL, CUSTOMERS, PROBE, MORE].join("\n")).await?;

        let config = folder.join("config.yaml");
        let text = CONFIG
            .replace("${SOURCE_URL}", &source.url("shop"))
            .replace("${TARGET_URL}", &target.url("shop"))
            // Where no Postgres is installed, its programs are a package of the demo's own.
            .replace(
                "mode: snapshot_and_replication",
                &format!(
                    "mode: snapshot_and_replication\n    snapshot: {{schema: {{pgdump_pgrestore: {{bin_directory: {}}}}}}}",
                    testbed::client_programs()?.programs.display()
                ),
            )
            // A new table will come, and would stop the stream until it is listed.
            .replace("validation_mode: table_level", "validation_mode: relaxed")
            .replace("        validation_mode: strict\n", "");
        std::fs::write(&config, text).map_err(|error| Failure::File(config.clone(), error))?;
        Ok(Self { source, target, config, folder })
    }

    /// The log of `pgstream run`.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("pgstream.log")
    }

    /// Leaves all of it running and says how to stop it.
    pub(crate) fn keep(mut self, mut pgstream: Pgstream) -> Result<PathBuf, Failure> {
        let mut script =
            String::from("#!/bin/sh\n# Stops what `make demo KEEP=1` left running, and removes it.\n");
        script.push_str(&stop_line(pgstream.pid(), "TERM", "pgstream"));
        for server in [&self.source, &self.target] {
            if let Some(pid) = server.pid() {
                script.push_str(&stop_line(pid.unsigned_abs(), "INT", "postgres"));
                script.push_str(&format!("rm -rf '{}'\n", server.folder().display()));
            }
        }
        script.push_str("rm -f \"$0\"\n");
        let path = self.folder.join("stop");
        std::fs::write(&path, script).map_err(|error| Failure::File(path.clone(), error))?;
        pgstream.keep();
        self.source.keep();
        self.target.keep();
        Ok(path)
    }
}

/// Sends a signal to a process and waits for its end, if it still is the program that it was.
fn stop_line(pid: u32, signal: &str, program: &str) -> String {
    format!(
        "if [ \"$(cat /proc/{pid}/comm 2>/dev/null)\" = {program} ]; then\n    \
         kill -{signal} {pid}\n    \
         n=0; while kill -0 {pid} 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done\nfi\n"
    )
}

/// A demo that was kept and is now followed by another one.
fn stop_what_was_kept(folder: &Path) {
    let script = folder.join("stop");
    if script.is_file() {
        println!("  stopping what the last demo left running");
        // At worst it goes on running: the new demo does not need its ports.
        let _stopped = std::process::Command::new("sh").arg(&script).status();
    }
}
