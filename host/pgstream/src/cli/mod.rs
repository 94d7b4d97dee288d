//! The command line: what was typed, what it needs, what it prints, and how it ends.

mod args;
mod destroy;
mod error;
mod init;
mod later;
mod look;
mod plan;
mod run;
mod schema;
mod status;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use listen::wal::Parts;

use self::args::{Cli, Command, SchemaCommand};
use crate::config::{Input, Loaded};
use crate::report;
use crate::telemetry::Logging;

pub use self::error::Error;

/// Reads the command line, does what it says, and tells how it went.
#[must_use]
pub fn main() -> ExitCode {
    // Usage errors end with 2, `--help` and `--version` with 0, both by clap.
    let matches = later::known(Cli::command()).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => Some(cli),
        // A hidden command, known only to be refused.
        Err(_) if later::asked_for(&matches).is_some() => None,
        Err(error) => error.exit(),
    };
    // Non-UTF-8 variables cannot be ours.
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut logging = cli.as_ref().map_or_else(Logging::default, |cli| cli.logging(&environment));
    let result = match (later::asked_for(&matches), cli) {
        (Some(what), _) => Err(Error::NotBuilt { what }),
        (None, Some(cli)) => execute(&cli, &cli.input(environment), &mut logging),
        (None, None) => Ok(ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report::print(&error, &logging);
            error.exit_code()
        }
    }
}

/// Does what the command line says. `logging` becomes what the configuration says as soon as that is read.
fn execute(cli: &Cli, input: &Input, logging: &mut Logging) -> Result<ExitCode, Error> {
    match &cli.command {
        Command::Run(run) => {
            let ready = started(input.run()?, logging);
            let first = match (run.init, run.upgrade) {
                (true, _) => Some(Parts::All),
                (false, true) => Some(Parts::Migrations),
                (false, false) => None,
            };
            runtime()?.block_on(run::run(ready, first))
        }
        Command::Snapshot(_) => {
            let ready = started(input.run()?, logging);
            runtime()?.block_on(run::run(ready, None))
        }
        Command::Init(init) => {
            let (source, _) = started(input.ends()?, logging);
            runtime()?.block_on(init::init(&source.wal, init.parts.parts()))
        }
        Command::Destroy(destroy) => {
            let (source, target) = started(input.ends()?, logging);
            runtime()?.block_on(destroy::destroy(&source.wal, target.as_ref(), destroy.parts.parts()))
        }
        Command::Schema(SchemaCommand::Plan(wanted)) => {
            let ready = started(input.ready()?, logging);
            runtime()?.block_on(plan::plan(&ready, wanted.json))
        }
        Command::Schema(SchemaCommand::Look(command)) => {
            let (source, _) = started(input.ends()?, logging);
            runtime()?.block_on(schema::schema(&source.wal, command))
        }
        Command::Table(command) => {
            let (source, target) = started(input.both_ends()?, logging);
            runtime()?.block_on(table::table(&source, &target, command))
        }
        Command::Status(status) => {
            let (source, target) = started(input.ends()?, logging);
            runtime()?.block_on(status::status(&source, target.as_ref(), status.json))
        }
    }
}

/// Starts logging as the configuration says, and tells its warnings.
fn started<T>(loaded: Loaded<T>, logging: &mut Logging) -> T {
    *logging = loaded.logging;
    logging.start();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    loaded.ready
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::System)
}

/// Writes to stdout. A reader that has gone away has seen enough.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _gone = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
