//! A thousand tables in turn, one row each: traffic in which no two rows that follow each other belong together.

use serde_json::json;

use crate::Arguments;
use crate::figures::spread;
use crate::report::{Bound, Report};
use crate::system::{COMPONENTS, MARKS, Place, Run, System};

const TABLES: u64 = 1000;
/// Rows of a transaction, each in another table.
const ROWS_A_TRANSACTION: u64 = 10;
/// What pgstream may hold, in MiB.
const CAP: f64 = 256.0;
const OURS: &str = "pgstream A";

/// Each table, and a digest over all of them.
fn ddl() -> String {
    format!(
        "DO $ddl$ BEGIN FOR n IN 0..{last} LOOP \
         EXECUTE format('CREATE TABLE public.t%s (id bigint PRIMARY KEY, a int, b text, at timestamptz)', n); \
         END LOOP; END $ddl$; \
         CREATE FUNCTION public.digest() RETURNS text LANGUAGE plpgsql AS $digest$ \
         DECLARE rows bigint := 0; hash numeric := 0; r bigint; h numeric; BEGIN FOR n IN 0..{last} LOOP \
         EXECUTE format('SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM public.t%s t', n) INTO r, h; \
         rows := rows + r; hash := hash + h * (n + 1); END LOOP; RETURN rows || ' ' || hash; END $digest$",
        last = TABLES - 1
    )
}

/// Runs, checks and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> testbed::Result<()> {
    let transactions = ((50_000.0 * arguments.scale) as u64).max(1000) / ROWS_A_TRANSACTION;
    let rows = transactions * ROWS_A_TRANSACTION;
    let ddl = ddl();
    let ddl = [MARKS, &ddl];
    let place = Place::start(arguments.major, &ddl).await?;
    let systems = [
        System::native(),
        System::ours(OURS, "ours", ""),
        System::ours("pgstream A'", "again", ""),
        System::ours("filter, injector", "components", COMPONENTS),
    ];
    for system in &systems {
        system.prepare(&place, &ddl).await?;
    }
    let mut order: Vec<&System> = systems.iter().collect();
    let mut samples = Vec::new();
    for round in 0..arguments.rounds {
        let marks = (round as i32 * 2 + 1, round as i32 * 2 + 2);
        place.write(&format!("INSERT INTO public.mark VALUES ({})", marks.0)).await?;
        place.write(&work(round as u64 * rows, transactions)).await?;
        place.write(&format!("INSERT INTO public.mark VALUES ({})", marks.1)).await?;
        for system in &order {
            let run = system.replicate(&place, marks).await?;
            eprintln!("round {} tables {:<17} {:>6.2} s", round + 1, system.name, run.seconds);
            samples.push((round, system.name, run));
        }
        order.rotate_left(1);
    }
    for system in &systems {
        place.same(system, "one of the tables", "SELECT public.digest()").await?;
    }
    tell(rows, &samples, &systems, report)
}

fn work(from: u64, transactions: u64) -> String {
    format!(
        "DO $work$ DECLARE row bigint; BEGIN FOR n IN 0..{} LOOP FOR k IN 0..{} LOOP \
         row := {from} + n * {ROWS_A_TRANSACTION} + k; \
         EXECUTE format('INSERT INTO public.t%s VALUES ($1, $1 %% 1000, ''row '' || $1, now())', row % {TABLES}) USING row; \
         END LOOP; COMMIT; END LOOP; END $work$",
        transactions - 1,
        ROWS_A_TRANSACTION - 1
    )
}

fn tell(
    rows: u64,
    samples: &[(usize, &'static str, Run)],
    systems: &[System],
    report: &mut Report,
) -> testbed::Result<()> {
    let mut table = format!(
        "TABLES: {rows} rows, one each into {TABLES} tables in turn, {ROWS_A_TRANSACTION} a transaction\n\
         {:<17}{:>24}{:>24}{:>9}{:>8}  target\n",
        "system", "krows/s", "x native", "first s", "peak"
    );
    let runs = |name: &str| -> Vec<Run> {
        samples.iter().filter(|(_, system, _)| *system == name).map(|(_, _, run)| *run).collect()
    };
    let native = runs("native");
    let mut memory = String::new();
    for System { name, .. } in systems {
        let mine = runs(name);
        let rate = spread(mine.iter().map(|run| rows as f64 / run.seconds / 1000.0));
        let times = spread(mine.iter().zip(&native).map(|(run, native)| native.seconds / run.seconds));
        let first = spread(mine.iter().map(|run| run.first)).middle;
        let peak = mine.iter().map(|run| run.used.peak_mib).fold(0.0, f64::max);
        let mut verdict = String::new();
        if *name == OURS {
            verdict = report.target("tables: pgstream A, of native", "x", Bound::AtLeast(1.0), times.middle);
            memory = report.target("tables: peak memory", " MiB", Bound::AtMost(CAP), peak);
        }
        table.push_str(&format!(
            "{name:<17}{:>24}{:>24}{first:>9.2}{peak:>8.0}  {verdict}\n",
            format!("{:.1} / {:.1} / {:.1}", rate.low, rate.middle, rate.high),
            format!("{:.2} / {:.2} / {:.2}", times.low, times.middle, times.high),
        ));
    }
    table.push_str(&format!("Peak memory of {OURS}, in MiB: {memory}"));
    let samples: Vec<_> = samples
        .iter()
        .map(|(round, system, Run { seconds, first, used })| {
            json!({"round": round, "rows": rows, "system": system, "seconds": seconds, "first_row_seconds": first,
                   "cpu_seconds": used.cpu, "peak_mib": used.peak_mib})
        })
        .collect();
    report.part("tables", &table, json!(samples))
}
