//! `make bench`: the same work through `pgstream` and through Postgres's own logical replication.
//!
//! One source server, one target server, a target database for each system. In each round each kind of work is
//! written to the source once; then the systems replicate it one after the other, in an order that turns from
//! round to round. A run is timed from the start of the system to the moment when the last row is visible in
//! its target, so start-up is in the figure. Two runs of the same `pgstream` (A and A') show the noise.

mod report;
mod system;
mod work;

use clap::Parser;
use testbed::{Options, Postgres, Result};

use crate::report::Sample;
use crate::system::System;
use crate::work::Work;

/// Compares pgstream with native logical replication.
#[derive(Parser)]
struct Arguments {
    /// Rounds; each runs every kind of work through every system.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rows, as a part of the full size of each kind of work.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Major version of both servers.
    #[arg(long, default_value_t = 15)]
    major: u16,
    /// Only these kinds of work.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the samples go, as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let source = start(arguments.major)?;
    let target = start(arguments.major)?;
    source.create_database("bench").await?;
    source.sql("bench", work::TABLES).await?;
    let mut systems = System::all();
    for system in &systems {
        system.prepare(&source, &target).await?;
    }
    let works: Vec<Work> = Work::all(arguments.scale)
        .into_iter()
        .filter(|work| arguments.only.is_empty() || arguments.only.iter().any(|name| name == work.name))
        .collect();

    let mut samples = Vec::new();
    let mut mark = 0;
    for round in 0..arguments.rounds {
        for work in &works {
            mark += 1;
            work.write(&source, mark).await?;
            for system in &systems {
                let run = system.replicate(&source, &target, mark).await?;
                eprintln!(
                    "round {} {:<7} {:<12} {:>7.2} s {:>9.0} rows/s",
                    round + 1,
                    work.name,
                    system.name(),
                    run.seconds,
                    work.rows as f64 / run.seconds
                );
                samples.push(Sample { round, work: work.name, rows: work.rows, system: system.name(), run });
            }
            // The first in line finds colder caches: everybody is first in turn.
            systems.rotate_left(1);
        }
    }
    for system in &systems {
        system.verify(&source, &target).await?;
    }
    print!("{}", report::table(&samples, &works));
    if let Some(path) = &arguments.json {
        std::fs::write(path, report::json(&samples)).map_err(|error| testbed::Error::File {
            action: "write",
            path: path.clone(),
            source: error,
        })?;
    }
    Ok(())
}

fn start(major: u16) -> Result<Postgres> {
    Postgres::start(
        Options::major(major)
            .set("max_wal_size", "8GB")
            .set("shared_buffers", "512MB")
            .set("autovacuum", "off"),
    )
}
