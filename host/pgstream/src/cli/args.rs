//! The command line as it is typed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use listen::wal::Parts;

use crate::config::{Given, Input, Mode};
use crate::telemetry::{FORMATS, LEVELS, Logging};

/// Streams the changes of a Postgres database to another one, through sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "pgstream", version, max_term_width = 80, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 stopped by an error, 2 bad usage or configuration, \
    3 problem found (status, schema plan), 130 or 143 stopped at once by a second signal.")]
pub(crate) struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command has.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration: a .yaml, .yml or .env file
    #[arg(short, long, global = true, env = "PGSTREAM_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: trace, debug, info, warn or error [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How to log: console or json [default: console]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// No colour in logs and errors
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prepare the source: publication and replication slot
    Init(Init),
    /// Stream until stopped (SIGTERM or Ctrl-C drains and ends with 0)
    Run(Run),
    /// Copy schema and rows as they are now, and end
    Snapshot(Snapshot),
    /// Copy single tables while the stream goes on
    #[command(subcommand)]
    Table(TableCommand),
    /// Show slot, lag and position, and what is wrong
    Status(Status),
    /// Show what changed in the source's schemas, and what they were
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Remove everything that init made
    #[command(alias = "tear-down")]
    Destroy(Destroy),
}

/// Flags of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// The parts
    #[command(flatten)]
    pub parts: PartFlags,
    /// Accepted for the original's sake: the injector needs nothing in the source
    #[arg(long, hide = true)]
    pub with_injector: bool,
    /// Accepted for the original's sake: what an older version made is brought up to date anyway
    #[arg(long, hide = true)]
    pub upgrade: bool,
}

/// Flags of `destroy`.
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// Address of the target, whose progress goes too
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// The parts
    #[command(flatten)]
    pub parts: PartFlags,
    /// As for init
    #[arg(long, hide = true)]
    pub with_injector: bool,
}

/// Which parts of a source `init` and `destroy` care for.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PartFlags {
    /// Only the schema pgstream
    #[arg(long)]
    pub migrations_only: bool,
    /// Only the replication slot and its publication
    #[arg(long)]
    pub slot_only: bool,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// Address of the target
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Looks at the source alone.
    #[command(flatten)]
    Look(SchemaLook),
    /// Print what the changes on their way would do on the target, and whether the stream would stop
    Plan(SchemaPlan),
}

/// What to show of the schema log.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaLook {
    /// List the versions, the newest first
    Log(SchemaLog),
    /// Print a schema as it was, as SQL
    Show(SchemaShow),
    /// Print the statements that lead from one version to another
    Diff(SchemaDiff),
    /// Remove old versions that every consumer has taken over
    Prune(SchemaPrune),
}

/// Flags of `schema plan`.
#[derive(Debug, Args)]
pub(crate) struct SchemaPlan {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// Address of the target
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `schema log`.
#[derive(Debug, Args)]
pub(crate) struct SchemaLog {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// Only this schema
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `schema show`.
#[derive(Debug, Args)]
pub(crate) struct SchemaShow {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// The schema
    #[arg(default_value = "public")]
    pub schema: String,
    /// As that version left it [default: as it is now]
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
    /// Print the whole document as JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `schema diff`.
#[derive(Debug, Args)]
pub(crate) struct SchemaDiff {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// The version to start from
    pub from: u64,
    /// The version to arrive at [default: as it is now]
    pub to: Option<u64>,
    /// The schema
    #[arg(long, value_name = "NAME", default_value = "public")]
    pub schema: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with tables.
#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Have tables streamed that are not: made on the target where they are missing, and copied
    Add(TableFlags),
    /// Copy tables again: their rows on the target go first
    Resync(TableFlags),
    /// Copy tables no longer that were asked for; they stay out of the stream
    Cancel(TableFlags),
    /// Have the copies of tables wait where they are, the initial one too
    Pause(TableFlags),
    /// Have paused copies go on
    Resume(TableFlags),
}

/// Which tables, and where.
#[derive(Debug, Args)]
pub(crate) struct TableFlags {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// Address of the target
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// The tables (`users`, `app.orders`)
    #[arg(value_name = "TABLE", required = true)]
    pub tables: Vec<String>,
}

impl TableCommand {
    pub(super) fn flags(&self) -> &TableFlags {
        match self {
            Self::Add(flags)
            | Self::Resync(flags)
            | Self::Cancel(flags)
            | Self::Pause(flags)
            | Self::Resume(flags) => flags,
        }
    }
}

/// Flags of `schema prune`.
#[derive(Debug, Args)]
pub(crate) struct SchemaPrune {
    /// The source
    #[command(flatten)]
    pub source: SourceFlags,
    /// Versions that are younger stay (90d, `6 months`: an interval of Postgres)
    #[arg(long, value_name = "AGE")]
    pub keep: String,
}

impl SchemaCommand {
    fn source(&self) -> &SourceFlags {
        match self {
            Self::Look(
                SchemaLook::Log(SchemaLog { source, .. })
                | SchemaLook::Show(SchemaShow { source, .. })
                | SchemaLook::Diff(SchemaDiff { source, .. })
                | SchemaLook::Prune(SchemaPrune { source, .. }),
            )
            | Self::Plan(SchemaPlan { source, .. }) => source,
        }
    }
}

/// Where to read.
#[derive(Debug, Args)]
pub(crate) struct SourceFlags {
    /// Address of the source
    #[arg(long, alias = "source-url", value_name = "URL")]
    pub postgres_url: Option<String>,
    /// Name of the replication slot (default: `pgstream_DATABASE_slot`)
    #[arg(long, value_name = "NAME")]
    pub replication_slot: Option<String>,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Kind of source; so far postgres
    #[arg(long, value_name = "KIND", value_parser = ["postgres", "kafka"], hide_possible_values = true)]
    pub source: Option<String>,
    /// Address of the source
    #[arg(long, alias = "postgres-url", value_name = "URL")]
    pub source_url: Option<String>,
    /// Kind of target: postgres, or stdout for one line of JSON an event
    #[arg(
        long,
        value_name = "KIND",
        value_parser = ["postgres", "stdout", "kafka", "opensearch", "elasticsearch"],
        hide_possible_values = true
    )]
    pub target: Option<String>,
    /// Address of the target
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// Name of the replication slot (default: `pgstream_DATABASE_slot`)
    #[arg(long, value_name = "NAME")]
    pub replication_slot: Option<String>,
    /// Add a component to the run (may be given again)
    #[arg(long, value_name = "FILE.wasm")]
    pub plugin: Vec<PathBuf>,
    /// Do what init does first
    #[arg(long)]
    pub init: bool,
    /// Bring what an older version made in the source up to date first
    #[arg(long)]
    pub upgrade: bool,
    /// Copy these tables first (`app.*`, `users`; separated by commas)
    #[arg(long, value_name = "TABLES", value_delimiter = ',', num_args = 1..)]
    pub snapshot_tables: Vec<String>,
    /// What the copy creates is dropped on the target first
    #[arg(long)]
    pub reset: bool,
    /// Write the schema of the copy to a file too
    #[arg(long, value_name = "FILE")]
    pub dump_file: Option<String>,
    /// Switch the injector on
    #[arg(long)]
    pub with_injector: bool,
    /// Go on though rules or plugins are not those that wrote the target
    #[arg(long)]
    pub accept_changed_modifiers: bool,
}

/// Flags of `snapshot`.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// Address of the source
    #[arg(long, alias = "source-url", value_name = "URL")]
    pub postgres_url: Option<String>,
    /// Kind of target: postgres, or stdout for one line of JSON a row
    #[arg(long, value_name = "KIND", value_parser = ["postgres", "stdout"], hide_possible_values = true)]
    pub target: Option<String>,
    /// Address of the target
    #[arg(long, value_name = "URL")]
    pub target_url: Option<String>,
    /// Which tables (`app.*`, `users`; separated by commas) [default: all]
    #[arg(long, value_name = "TABLES", value_delimiter = ',', num_args = 1..)]
    pub tables: Vec<String>,
    /// What is to be created is dropped on the target first
    #[arg(long)]
    pub reset: bool,
    /// Write the schema to a file too
    #[arg(long, value_name = "FILE")]
    pub dump_file: Option<String>,
    /// Add a component to the run (may be given again)
    #[arg(long, value_name = "FILE.wasm")]
    pub plugin: Vec<PathBuf>,
    /// Go on though rules or plugins are not those that wrote the target
    #[arg(long)]
    pub accept_changed_modifiers: bool,
}

const TABLES: &[&str] = &["source", "postgres", "snapshot", "tables"];
const CLEAN: &[&str] = &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "clean_target_db"];
const DUMP_FILE: &[&str] = &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "dump_file"];
const SOURCE_URL: &[&str] = &["source", "postgres", "url"];
const TARGET_URL: &[&str] = &["target", "postgres", "url"];
const TARGET_KIND: &[&str] = &["target", "kind"];
const SLOT: &[&str] = &["source", "postgres", "replication", "replication_slot"];

impl Cli {
    /// How to tell an error that comes before the configuration is read: by flags and environment alone.
    #[must_use]
    pub(crate) fn logging(&self, environment: &BTreeMap<String, String>) -> Logging {
        let chosen = |flag: &Option<String>, variable: &str| {
            flag.as_ref().or_else(|| environment.get(variable)).cloned()
        };
        let default = Logging::default();
        let level = chosen(&self.global.log_level, "PGSTREAM_LOG_LEVEL");
        let format = chosen(&self.global.log_format, "PGSTREAM_LOG_FORMAT");
        Logging {
            level: level.and_then(|level| word(&level, LEVELS)).unwrap_or(default.level),
            format: format.and_then(|format| word(&format, FORMATS)).unwrap_or(default.format),
            no_color: self.global.no_color,
        }
    }

    /// What the configuration is to be read from.
    #[must_use]
    pub(crate) fn input(&self, environment: BTreeMap<String, String>) -> Input {
        let mut input = Input { file: self.global.config.clone(), environment, ..Input::default() };
        let mut give = |flag, path, text: Option<&str>| {
            input.flags.extend(text.map(|text| Given { flag, path, text: text.to_owned() }));
        };
        give("--log-level", &["logging", "level"], self.global.log_level.as_deref());
        give("--log-format", &["logging", "format", "type"], self.global.log_format.as_deref());
        give("--no-color", &["logging", "format", "no_color"], self.global.no_color.then_some("true"));
        match &self.command {
            Command::Init(Init { source, .. }) => {
                give("--postgres-url", SOURCE_URL, source.postgres_url.as_deref());
                give("--replication-slot", SLOT, source.replication_slot.as_deref());
            }
            Command::Status(Status { source, target_url, .. })
            | Command::Destroy(Destroy { source, target_url, .. }) => {
                give("--postgres-url", SOURCE_URL, source.postgres_url.as_deref());
                give("--replication-slot", SLOT, source.replication_slot.as_deref());
                give("--target-url", TARGET_URL, target_url.as_deref());
            }
            Command::Table(command) => {
                let TableFlags { source, target_url, .. } = command.flags();
                give("--postgres-url", SOURCE_URL, source.postgres_url.as_deref());
                give("--replication-slot", SLOT, source.replication_slot.as_deref());
                give("--target-url", TARGET_URL, target_url.as_deref());
            }
            Command::Schema(command) => {
                give("--postgres-url", SOURCE_URL, command.source().postgres_url.as_deref());
                give("--replication-slot", SLOT, command.source().replication_slot.as_deref());
                if let SchemaCommand::Plan(SchemaPlan { target_url, .. }) = command {
                    give("--target-url", TARGET_URL, target_url.as_deref());
                }
            }
            Command::Snapshot(snapshot) => {
                give("--postgres-url", SOURCE_URL, snapshot.postgres_url.as_deref());
                give("--target-url", TARGET_URL, snapshot.target_url.as_deref());
                give("--target", TARGET_KIND, snapshot.target.as_deref());
                let tables = snapshot.tables.join(" ");
                give("--tables", TABLES, Some(tables.as_str()).filter(|tables| !tables.is_empty()));
                give("--reset", CLEAN, snapshot.reset.then_some("true"));
                give("--dump-file", DUMP_FILE, snapshot.dump_file.as_deref());
                input.mode = Some(Mode::Snapshot);
                input.plugins.clone_from(&snapshot.plugin);
                input.accept_changed_modifiers = snapshot.accept_changed_modifiers;
            }
            Command::Run(run) => {
                give("--source-url", SOURCE_URL, run.source_url.as_deref());
                give("--target-url", TARGET_URL, run.target_url.as_deref());
                give("--target", TARGET_KIND, run.target.as_deref());
                give("--replication-slot", SLOT, run.replication_slot.as_deref());
                let injector = &["modifiers", "injector", "enabled"];
                give("--with-injector", injector, run.with_injector.then_some("true"));
                let tables = run.snapshot_tables.join(" ");
                give("--snapshot-tables", TABLES, Some(tables.as_str()).filter(|tables| !tables.is_empty()));
                give("--reset", CLEAN, run.reset.then_some("true"));
                give("--dump-file", DUMP_FILE, run.dump_file.as_deref());
                input.mode = (!run.snapshot_tables.is_empty()).then_some(Mode::SnapshotAndReplication);
                input.plugins.clone_from(&run.plugin);
                input.accept_changed_modifiers = run.accept_changed_modifiers;
            }
        }
        input
    }
}

impl PartFlags {
    /// In the listener's words.
    pub(super) fn parts(self) -> Parts {
        match (self.migrations_only, self.slot_only) {
            (true, _) => Parts::Migrations,
            (_, true) => Parts::Slot,
            (false, false) => Parts::All,
        }
    }
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}
