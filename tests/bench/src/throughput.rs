//! Rows a second: the same work through native replication and through pgstream without and with plugins.
//!
//! One source server, one target server, a target database for each system. In each round each kind of work is
//! written to the source once; then the systems replicate it one after the other, in an order that turns from
//! work to work. A run is timed from the start of the system to the moment when the last row is visible in
//! its target, so start-up is in the figure. Two runs of the same `pgstream` (A and A') show the noise.

use serde_json::json;

use crate::Arguments;
use crate::figures::{Spread, spread};
use crate::report::{Bound, Report};
use crate::system::{COMPONENTS, MARKS, Place, Run, System};
use crate::work::{CHECKS, MASKS, TABLES, Work, seeds};

const OURS: &str = "pgstream A";
const MASKED: &str = "3 masked";

/// One run of one system on one kind of work.
struct Sample {
    round: usize,
    work: &'static str,
    rows: u64,
    system: &'static str,
    run: Run,
}

/// Runs, checks and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> testbed::Result<()> {
    let chosen = |work: &Work| match arguments.kinds.as_slice() {
        [] => work.name != "single",
        kinds => kinds.iter().any(|kind| kind == work.name),
    };
    let works: Vec<Work> = Work::all(arguments.scale).into_iter().filter(chosen).collect();
    let seeds = seeds(arguments.scale, arguments.rounds);
    let ddl = [MARKS, TABLES, &seeds];
    let place = Place::start(arguments.major, &ddl).await?;
    let names = [
        System::native(),
        System::ours(OURS, "ours", ""),
        System::ours("pgstream A'", "again", ""),
        System::ours("filter, injector", "components", COMPONENTS),
        System::ours(MASKED, "masked", MASKS),
    ];
    for system in &names {
        system.prepare(&place, &ddl).await?;
    }
    let mut order: Vec<&System> = names.iter().collect();
    let mut samples = Vec::new();
    let mut number = 0;
    for round in 0..arguments.rounds {
        for work in &works {
            number += 1;
            let marks = work.write(&place, number).await?;
            for system in &order {
                let run = system.replicate(&place, marks).await?;
                let rate = work.rows as f64 / run.seconds;
                eprintln!(
                    "round {} {:<7} {:<17} {:>6.2} s {rate:>8.0} rows/s",
                    round + 1,
                    work.name,
                    system.name,
                    run.seconds
                );
                samples.push(Sample { round, work: work.name, rows: work.rows, system: system.name, run });
            }
            // The first in line finds colder caches: everybody is first in turn.
            order.rotate_left(1);
        }
    }
    for system in &names {
        verify(&place, system).await?;
    }
    tell(&samples, &works, &names, report)
}

/// The target must hold what the source holds, and masked what is to be masked.
async fn verify(place: &Place, system: &System) -> testbed::Result<()> {
    let masked = system.name == MASKED;
    for (table, kept, raw) in CHECKS {
        let columns = if masked { kept } else { "t.*" };
        let query = format!(
            "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(r::text, 0)), 0) FROM (SELECT {columns} FROM public.{table} t) r"
        );
        place.same(system, table, &query).await?;
        if masked {
            let query = format!("SELECT count(*) FROM public.{table} WHERE {raw}");
            let raw = place.target.value(system.database, &query).await?;
            assert_eq!(raw, "0", "rows of {table} that are not masked");
        }
    }
    Ok(())
}

/// Of each round: seconds of a system for one kind of work, or for all.
fn seconds(samples: &[Sample], work: Option<&str>, system: &str, of: impl Fn(&Run) -> f64) -> Vec<f64> {
    let rounds = samples.last().map_or(0, |last| last.round + 1);
    let mut sums = vec![0.0; rounds];
    for sample in samples {
        if sample.system == system && work.is_none_or(|work| work == sample.work) {
            sums[sample.round] += of(&sample.run);
        }
    }
    sums
}

/// How many times faster than another system, round by round.
fn ratio(ours: &[f64], theirs: &[f64]) -> Spread {
    spread(ours.iter().zip(theirs).map(|(ours, theirs)| theirs / ours))
}

/// The target of a system on a kind of work.
fn bound(work: &str, system: &str) -> Option<Bound> {
    match (work, system) {
        ("all", OURS) => Some(Bound::AtLeast(1.0)),
        ("all", MASKED) => Some(Bound::AtLeast(0.95)),
        ("update" | "small" | "mix", OURS) => Some(Bound::AtLeast(1.2)),
        _ => None,
    }
}

fn tell(samples: &[Sample], works: &[Work], systems: &[System], report: &mut Report) -> testbed::Result<()> {
    let mut table = format!(
        "THROUGHPUT: krows/s and x native, min / median / max of {} rounds; peak in MiB\n{:<7} {:<17}{:>21}{:>22}{:>8}{:>6}  target\n",
        samples.last().map_or(0, |last| last.round + 1),
        "work",
        "system",
        "krows/s",
        "x native",
        "first s",
        "peak"
    );
    let all: u64 = works.iter().map(|work| work.rows).sum();
    let kinds = works.iter().map(|work| (work.name, Some(work.name), work.rows)).chain([("all", None, all)]);
    for (name, work, rows) in kinds {
        let of = |system: &str| seconds(samples, work, system, |run| run.seconds);
        let native = of("native");
        for System { name: system, .. } in systems {
            let taken = of(system);
            let Spread { low, middle, high } = spread(taken.iter().map(|taken| rows as f64 / taken / 1000.0));
            let times = ratio(&taken, &native);
            let mine = || {
                samples
                    .iter()
                    .filter(|sample| sample.system == *system && work.is_none_or(|work| work == sample.work))
            };
            let first = spread(mine().map(|sample| sample.run.first)).middle;
            let peak = mine().map(|sample| sample.run.used.peak_mib).fold(0.0, f64::max);
            let verdict = bound(name, system).map(|bound| {
                report.target(format!("throughput: {name}, {system}, of native"), "x", bound, times.middle)
            });
            table.push_str(&format!(
                "{name:<7} {system:<17}{:>21}{:>22}{first:>8.2}{peak:>6.0}  {}\n",
                format!("{low:.1} / {middle:.1} / {high:.1}"),
                format!("{:.2} / {:.2} / {:.2}", times.low, times.middle, times.high),
                verdict.unwrap_or_default()
            ));
        }
    }
    let total = |system: &str| seconds(samples, None, system, |run| run.seconds);
    let cost = ratio(&total(OURS), &total(MASKED));
    let noise = ratio(&total("pgstream A'"), &total(OURS));
    let after = |system| seconds(samples, None, system, |run| run.seconds - run.first);
    let late = |system| ratio(&after(system), &after("native")).middle;
    let percent = |times: f64| (times - 1.0) * 100.0;
    let verdict = report.target(
        "throughput: all, time with 3 masked, of pgstream A",
        "x",
        Bound::AtMost(1.1),
        cost.middle,
    );
    table.push_str(&format!(
        "3 masked columns add {:.1} / {:.1} / {:.1} % to the time of pgstream A: {verdict}\n\
         Noise: A' is faster than A by {:.1} / {:.1} / {:.1} %\n\
         From the first row to the last, without the start: pgstream A {:.2}x native, 3 masked {:.2}x\n",
        percent(cost.low),
        percent(cost.middle),
        percent(cost.high),
        percent(noise.low),
        percent(noise.middle),
        percent(noise.high),
        late(OURS),
        late(MASKED)
    ));
    for Work { name, rows, what, .. } in works {
        table.push_str(&format!("{name}: {rows} rows, {what}\n"));
    }
    let samples: Vec<_> = samples
        .iter()
        .map(|Sample { round, work, rows, system, run: Run { seconds, first, used } }| {
            json!({"round": round, "work": work, "rows": rows, "system": system, "seconds": seconds,
                   "first_row_seconds": first, "cpu_seconds": used.cpu, "peak_mib": used.peak_mib})
        })
        .collect();
    report.part("throughput", table.trim_end(), json!(samples))
}
