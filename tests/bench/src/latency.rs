//! From commit to visible: rows are committed one by one at a steady rate, and the target is asked every millisecond
//! for the newest one.
//!
//! The clock of a row starts when its commit has returned and stops when the answer that shows it has arrived, so up
//! to a millisecond of waiting for the next question is in each figure, for native too.

use std::time::{Duration, Instant};

use serde_json::json;
use testbed::Result;
use tokio_postgres::Client;

use crate::Arguments;
use crate::figures::{at, sorted};
use crate::report::{Bound, Report};
use crate::system::{Place, System};
use crate::work::MASKS;

const RATE: u32 = 500;
const TURNS: usize = 2;
const OURS: &str = "pgstream";
const MASKED: &str = "3 masked";

/// Of the shape that the masks are for.
const TABLE: &str =
    "CREATE TABLE public.wide (id bigint PRIMARY KEY, e text, f text, g varchar(40), h timestamptz);
CREATE TABLE public.account (aid int PRIMARY KEY, filler char(84));
CREATE TABLE public.teller (tid int PRIMARY KEY, filler char(84));
CREATE TABLE public.history (hid bigint PRIMARY KEY, filler char(22));";

/// Runs and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let seconds = if arguments.quick { 2 } else { 20 / TURNS as u32 };
    let place = Place::start(arguments.major, &[TABLE]).await?;
    let systems = [System::native(), System::ours(OURS, "ours", ""), System::ours(MASKED, "masked", MASKS)];
    for system in &systems {
        system.prepare(&place, &[TABLE]).await?;
    }
    let mut samples = [const { Vec::new() }; 3];
    let mut next = 1;
    let mut slowest = f64::MAX;
    for turn in 0..TURNS {
        let mut order: Vec<(&System, &mut Vec<f64>)> = systems.iter().zip(&mut samples).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for (system, samples) in order {
            let (latencies, rate) = one(&place, system, next, i64::from(seconds * RATE)).await?;
            next += i64::from(seconds * RATE) + 1;
            let sorted = sorted(latencies.iter().copied());
            eprintln!(
                "latency {:<9} p50 {:>6.2} ms, p99 {:>6.2} ms",
                system.name,
                at(&sorted, 0.5),
                at(&sorted, 0.99)
            );
            samples.extend(latencies);
            slowest = slowest.min(rate);
        }
    }
    tell(&systems, &samples, seconds * TURNS as u32, slowest, report)
}

/// Commits `count` rows from the id `from + 1` on while a system runs. Milliseconds from commit to visible
/// of each, and how many commits a second the source reached.
async fn one(place: &Place, system: &System, from: i64, count: i64) -> Result<(Vec<f64>, f64)> {
    let reader = place.target.connect(system.database).await?;
    let writer = place.source.connect("bench").await?;
    let insert = "INSERT INTO public.wide SELECT $1::bigint, 'customer' || $1 || '@example.com', 'Name ' || $1 || ' Surname', \
                  '+49 170 ' || $1, clock_timestamp()";
    let insert = writer.prepare(insert).await.map_err(testbed::Error::sql(insert))?;
    let mut running = system.start(place).await?;
    // What the systems before this one have replicated comes first, and a row that tells that it is through.
    writer.execute(&insert, &[&from]).await.map_err(testbed::Error::sql("insert"))?;
    let start = Instant::now();
    while newest(&reader).await? < from {
        running.check(start);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;

    let commits = tokio::spawn(async move {
        let mut commits = Vec::new();
        let start = tokio::time::Instant::now();
        for row in 0..count {
            tokio::time::sleep_until(start + Duration::from_secs(1) / RATE * row as u32).await;
            writer.execute(&insert, &[&(from + 1 + row)]).await.map_err(testbed::Error::sql("insert"))?;
            commits.push(Instant::now());
        }
        Ok(commits)
    });
    let query = reader.prepare(NEWEST).await.map_err(testbed::Error::sql(NEWEST))?;
    let start = Instant::now();
    let mut seen = Vec::new();
    let mut last = from;
    while last < from + count {
        let row = reader.query_one(&query, &[]).await.map_err(testbed::Error::sql(NEWEST))?;
        let now = Instant::now();
        let newest: i64 = row.get(0);
        if newest > last {
            // Rows become visible in the order of their commits: all up to the newest did.
            seen.extend((last..newest).map(|_| now));
            last = newest;
        }
        if seen.len() % 100 == 0 {
            running.check(start);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let commits: Result<Vec<Instant>> = commits.await.expect("the writer");
    let commits = commits?;
    running.stop(place).await?;
    // What the source writes later, while others are measured, reaches this target later.
    let kept = if system.name == MASKED { "id, h" } else { "t.*" };
    let query = format!(
        "SELECT count(*) || ' ' || sum(hashtextextended(r::text, 0)) FROM (SELECT {kept} FROM public.wide t WHERE id <= {last}) r"
    );
    place.same(system, "the table", &query).await?;
    let latency =
        |(commit, seen): (&Instant, &Instant)| seen.saturating_duration_since(*commit).as_secs_f64() * 1000.0;
    let latencies = commits.iter().zip(&seen).map(latency).collect();
    let took = commits.last().map(|last| last.duration_since(start)).unwrap_or_default();
    Ok((latencies, count as f64 / took.as_secs_f64()))
}

const NEWEST: &str = "SELECT coalesce(max(id), 0) FROM public.wide";

async fn newest(reader: &Client) -> Result<i64> {
    let row = reader.query_one(NEWEST, &[]).await.map_err(testbed::Error::sql(NEWEST))?;
    Ok(row.get(0))
}

fn tell(
    systems: &[System],
    samples: &[Vec<f64>],
    seconds: u32,
    slowest: f64,
    report: &mut Report,
) -> Result<()> {
    let mut table = format!(
        "LATENCY: ms from commit to visible, {RATE} single-row commits a second for {seconds} s\n{:<10}{:>7}{:>7}{:>7}{:>7}{:>7}{:>7}  target\n",
        "system", "rows", "min", "p50", "p90", "p99", "max"
    );
    for (system, samples) in systems.iter().zip(samples) {
        let sorted = sorted(samples.iter().copied());
        let mut verdict = String::new();
        if system.name == OURS {
            verdict = "p50 ".to_owned();
            verdict += &report.target("latency: p50", " ms", Bound::AtMost(10.0), at(&sorted, 0.5));
            verdict += ", p99 ";
            verdict += &report.target("latency: p99", " ms", Bound::AtMost(50.0), at(&sorted, 0.99));
        }
        table.push_str(&format!("{:<10}{:>7}", system.name, sorted.len()));
        for share in [0.0, 0.5, 0.9, 0.99, 1.0] {
            table.push_str(&format!("{:>7.2}", at(&sorted, share)));
        }
        table.push_str(&format!("  {verdict}\n"));
    }
    table.push_str(&format!("The source reached {slowest:.0} commits a second in the slowest turn."));
    let samples: Vec<_> = systems
        .iter()
        .zip(samples)
        .map(|(system, samples)| json!({"system": system.name, "milliseconds": samples}))
        .collect();
    report.part("latency", &table, json!({"slowest_commits_a_second": slowest, "systems": samples}))
}
