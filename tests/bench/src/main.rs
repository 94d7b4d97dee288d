//! `make bench`: everything that pgstream promises as a number, measured in one run on real servers, most of it beside
//! Postgres's own logical replication on the same work.
//!
//! Each part prints its table when it is done; the list of targets comes last. A target that is missed is a figure
//! like another; a target database that differs from the source ends the run.

mod figures;
mod latency;
mod machine;
mod memory;
mod report;
mod schema;
mod snapshot;
mod starts;
mod system;
mod tables;
mod throughput;
mod value;
mod work;

/// The source of the standard mask, compiled for this machine.
#[path = "../../../guests/mask/src"]
#[allow(dead_code, reason = "a part of it is measured")]
mod guest {
    pub(crate) mod masking;
}

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use testbed::Result;

use crate::report::Report;

/// Measures pgstream, beside Postgres's own logical replication.
#[derive(Parser)]
pub struct Arguments {
    /// What to measure [default: everything].
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds; in each, every system does every kind of work.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rows, as a part of the full size of each kind of work.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// A smoke run: one round, small and short. Its figures say little.
    #[arg(long, conflicts_with_all = ["rounds", "scale"])]
    quick: bool,
    /// Only these kinds of work in `throughput`: bulk, small, update, delete, mix, and single, which has no target.
    #[arg(long, value_delimiter = ',', value_parser = ["bulk", "small", "update", "delete", "mix", "single"])]
    kinds: Vec<String>,
    /// Major version of the servers.
    #[arg(long, default_value_t = 15)]
    major: u16,
    /// Where every sample goes, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Rows a second against native replication, without and with plugins.
    Throughput,
    /// Nanoseconds a value: the mask through WebAssembly against the same code native.
    Value,
    /// Memory with one huge transaction and at rest; time to the first row after a start and after a kill.
    Memory,
    /// From commit to visible, one row a commit.
    Latency,
    /// A thousand tables in turn against native replication.
    Tables,
    /// What schema tracking costs the source, and a stream whose schema changes.
    Schema,
    /// The initial copy against pg_dump with pg_restore, and against bare pipes from COPY to COPY.
    Snapshot,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        (arguments.rounds, arguments.scale) = (1, 0.05);
    }
    let chosen = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let mut report = Report::new(&arguments);
    if chosen(Part::Value) {
        // Components block: on a thread that drives nothing else.
        let measured = tokio::task::spawn_blocking(value::measure).await.expect("the measuring of values");
        value::tell(&measured, &mut report)?;
    }
    if chosen(Part::Throughput) {
        throughput::measure(&arguments, &mut report).await?;
    }
    if chosen(Part::Tables) {
        tables::measure(&arguments, &mut report).await?;
    }
    if chosen(Part::Latency) {
        latency::measure(&arguments, &mut report).await?;
    }
    if chosen(Part::Memory) {
        memory::measure(&arguments, &mut report).await?;
        starts::measure(&arguments, &mut report).await?;
    }
    if chosen(Part::Schema) {
        schema::measure(&arguments, &mut report).await?;
    }
    if chosen(Part::Snapshot) {
        snapshot::measure(&arguments, &mut report).await?;
    }
    report.finish();
    Ok(())
}
