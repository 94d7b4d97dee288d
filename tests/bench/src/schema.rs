//! What schema tracking costs: a statement on the source, with and without the event triggers, beside many tables or few; a
//! stream whose schema changes again and again; and a start beside many tables.

use std::time::Instant;

use serde_json::{Value, json};
use testbed::{Error, Postgres, Result};
use tokio_postgres::Client;

use crate::Arguments;
use crate::figures::{Spread, spread};
use crate::report::{Bound, Report};
use crate::system::{MARKS, Place, System};

/// Statements of the migration.
const STATEMENTS: u32 = 500;
/// Rows between two changes of the schema.
const ROWS: u64 = 1000;
/// What is done to it in turn. No column is dropped: each would stay in every row's description on both sides for ever, and after some
/// hundred of them nothing else would be measured.
const CHANGES: [&str; 4] = [
    "RENAME COLUMN n TO m",
    "ALTER COLUMN v SET DEFAULT 'x'",
    "RENAME COLUMN m TO n",
    "ALTER COLUMN v DROP DEFAULT",
];
const TABLE: &str = "CREATE TABLE public.load (id bigint PRIMARY KEY, v text, n int)";

/// What a table is like, by its name.
fn table(name: &str) -> String {
    format!(
        "CREATE TABLE app.{name} (id bigserial PRIMARY KEY, a text NOT NULL, b int DEFAULT 3, c timestamptz DEFAULT now(), \
         d numeric(10,2), UNIQUE (a), CHECK (b > 0))"
    )
}

/// Runs and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let sizes: &[u32] = if arguments.quick { &[10, 100] } else { &[10, 1000, 5000] };
    let mut text =
        "SCHEMA: a statement on the source with the event triggers and without, min / median / max\n"
            .to_owned();
    text.push_str(
        "tables  CREATE TABLE, ms: without                with   more    WAL, KiB more   500 statements\n",
    );
    let (mut samples, mut places) = (Vec::new(), Vec::new());
    for tables in sizes {
        let (line, sample, place) = statements(arguments, *tables, report).await?;
        text.push_str(&line);
        samples.push(sample);
        // No file is removed as long as there is something to measure: see Cost::measure.
        places.push(place);
    }
    drop(places);
    report.part("schema_statements", text.trim_end(), json!(samples))?;
    stream(arguments, report).await
}

/// A server with two databases of so many tables, one of them tracked.
async fn statements(
    arguments: &Arguments,
    tables: u32,
    report: &mut Report,
) -> Result<(String, Value, Place)> {
    let place = Place::start(arguments.major, &[MARKS, "CREATE SCHEMA app"]).await?;
    let many = |from: u32, to: u32| {
        let body = table("t%s").replace('\'', "''");
        format!(
            "DO $many$ BEGIN FOR n IN {from}..{to} LOOP EXECUTE format('{body}', n); END LOOP; END $many$"
        )
    };
    place.source.create_database("plain").await?;
    place.source.sql("plain", "CREATE SCHEMA app").await?;
    for database in ["bench", "plain"] {
        // A transaction for some, since each table takes locks.
        for from in (0..tables).step_by(500) {
            place.source.sql(database, &many(from, (from + 499).min(tables - 1))).await?;
        }
    }
    let ours = System::ours("pgstream", "ours", "");
    place.target.create_database("ours").await?;
    let start = Instant::now();
    let done = testbed::Pgstream::command(&["init"], &ours.config(&place))?;
    assert_eq!(done.code(), Some(0), "init: {}", done.stderr);
    let init = start.elapsed().as_secs_f64();
    eprintln!("schema: init beside {tables} tables takes {init:.2} s");

    // A slot that nobody reads keeps the server from cleaning up its catalog: every round would take longer than the one before.
    place.source.sql("bench", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots").await?;
    let (mut with, mut without) = (Cost::default(), Cost::default());
    for round in 0..arguments.rounds {
        for (database, cost) in [("plain", &mut without), ("bench", &mut with)] {
            cost.measure(&place.source, database, round).await?;
        }
    }
    let (plain, tracked) = (spread(without.create.iter().copied()), spread(with.create.iter().copied()));
    let wal = spread(with.wal.iter().copied()).middle - spread(without.wal.iter().copied()).middle;
    let ratios = with.migration.iter().zip(&without.migration).map(|(with, without)| with / without);
    let ratio = spread(ratios);
    let more = tracked.middle - plain.middle;
    let what = |of: &str| format!("schema: {tables} tables, {of}");
    let verdicts = [
        report.target(what("CREATE TABLE longer by"), " ms", Bound::AtMost(30.0), more),
        report.target(what("CREATE TABLE, more WAL"), " KiB", Bound::AtMost(100.0), wal),
        report.target(what("500 statements"), "x", Bound::AtMost(2.0), ratio.middle),
    ];
    let three = |it: Spread| format!("{:.1} / {:.1} / {:.1}", it.low, it.middle, it.high);
    let line = format!(
        "{tables:>6}{:>32}{:>20}{more:>7.1}{wal:>17.1}   {:.2} / {:.2} / {:.2}  {}\n",
        three(plain),
        three(tracked),
        ratio.low,
        ratio.middle,
        ratio.high,
        verdicts.join(", ")
    );
    let start = if tables >= 1000 || arguments.quick {
        Some(started(&place, &ours, tables, report).await?)
    } else {
        None
    };
    let sample = json!({
        "tables": tables, "init_seconds": init, "start": start,
        "create_ms": {"without": without.create, "with": with.create},
        "wal_kib": {"without": without.wal, "with": with.wal},
        "migration_seconds": {"without": without.migration, "with": with.migration},
    });
    Ok((line, sample, place))
}

/// What statements cost in one database.
#[derive(Default)]
struct Cost {
    /// Milliseconds of a CREATE TABLE.
    create: Vec<f64>,
    /// KiB of WAL of one.
    wal: Vec<f64>,
    /// Seconds of the migration.
    migration: Vec<f64>,
}

impl Cost {
    async fn measure(&mut self, server: &Postgres, database: &str, round: usize) -> Result<()> {
        let client = server.connect(database).await?;
        run(&client, "CHECKPOINT").await?;
        // Plans are made with the first statement of a session; an application's sessions live longer.
        run(&client, &table(&format!("first{round}"))).await?;
        for n in 0..5 {
            let before = position(&client).await?;
            let start = Instant::now();
            run(&client, &table(&format!("one{round}_{n}"))).await?;
            self.create.push(start.elapsed().as_secs_f64() * 1000.0);
            self.wal.push((position(&client).await? - before) / 1024.0);
        }
        let start = Instant::now();
        run(&client, "BEGIN").await?;
        for n in 0..STATEMENTS / 2 {
            run(&client, &table(&format!("m{round}_{n}"))).await?;
            run(&client, &format!("ALTER TABLE app.m{round}_{n} ADD COLUMN q int")).await?;
        }
        run(&client, "COMMIT").await?;
        self.migration.push(start.elapsed().as_secs_f64());
        // What it made stays: for a new file ext4 looks past each that was removed in the minute before, one by one, and every round
        // would take longer than the one before.
        run(&client, "VACUUM").await
    }
}

async fn run(client: &Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(Error::sql(sql))
}

async fn position(client: &Client) -> Result<f64> {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
    Ok(client.query_one(sql, &[]).await.map_err(Error::sql(sql))?.get(0))
}

/// A start beside so many tables: seconds to the first row, and memory.
async fn started(place: &Place, ours: &System, tables: u32, report: &mut Report) -> Result<Value> {
    // The target has what the source has.
    for sql in [MARKS, "CREATE SCHEMA app"] {
        place.target.sql(ours.database, sql).await?;
    }
    let names = "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'";
    let names = place.source.value("bench", names).await?;
    let names: Vec<&str> = names.split(' ').collect();
    for some in names.chunks(500) {
        let sql: String = some.iter().map(|name| table(name) + ";").collect();
        place.target.sql(ours.database, &sql).await?;
    }
    let done = testbed::Pgstream::command(&["init"], &ours.config(place))?;
    assert_eq!(done.code(), Some(0), "init: {}", done.stderr);
    place.write("INSERT INTO public.mark VALUES (1), (2)").await?;
    let run = ours.replicate(place, (1, 2)).await?;
    eprintln!(
        "schema: beside {tables} tables the first row comes after {:.2} s, peak {:.0} MiB",
        run.first, run.used.peak_mib
    );
    report.target(format!("schema: {tables} tables, to the first row"), " s", Bound::AtMost(5.0), run.first);
    report.target(
        format!("schema: {tables} tables, peak memory"),
        " MiB",
        Bound::AtMost(150.0),
        run.used.peak_mib,
    );
    Ok(json!({"first_seconds": run.first, "peak_mib": run.used.peak_mib}))
}

/// The same rows with and without a change of the schema every so many.
async fn stream(arguments: &Arguments, report: &mut Report) -> Result<()> {
    // A multiple of the changes, so that the table is what it was.
    let batches = ((50.0 * arguments.scale) as u64).max(2) * 4;
    let place = Place::start(arguments.major, &[MARKS, TABLE]).await?;
    let ours = System::ours("pgstream", "ours", "");
    ours.prepare(&place, &[MARKS, TABLE]).await?;
    let (mut still, mut changing) = (Vec::new(), Vec::new());
    let mut mark = 0;
    for round in 0..arguments.rounds {
        for (changes, seconds) in [(false, &mut still), (true, &mut changing)] {
            mark += 2;
            place.write(&format!("INSERT INTO public.mark VALUES ({})", mark - 1)).await?;
            for batch in 0..batches {
                let from = (round as u64 * 2 + u64::from(changes)) * batches * ROWS + batch * ROWS;
                if let Some(change) = CHANGES.get((batch % 4) as usize).filter(|_| changes) {
                    place.write(&format!("ALTER TABLE public.load {change}")).await?;
                }
                place
                    .write(&format!(
                        "INSERT INTO public.load SELECT i, 'row ' || i, i % 100 FROM generate_series({from}, {}) AS i",
                        from + ROWS - 1
                    ))
                    .await?;
            }
            place.write(&format!("INSERT INTO public.mark VALUES ({mark})")).await?;
            let run = ours.replicate(&place, (mark - 1, mark)).await?;
            seconds.push((run.seconds - run.first).max(0.001));
        }
    }
    place
        .same(&ours, "load", "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM public.load t")
        .await?;
    let rows = (batches * ROWS) as f64 / 1000.0;
    let speed = |seconds: &[f64]| spread(seconds.iter().map(|seconds| rows / seconds));
    let (plain, changed) = (speed(&still), speed(&changing));
    let share = spread(still.iter().zip(&changing).map(|(still, changing)| still / changing));
    let verdict =
        report.target("schema: a change every 1000 rows, speed kept", "", Bound::AtLeast(0.8), share.middle);
    let three = |it: Spread| format!("{:.0} / {:.0} / {:.0}", it.low, it.middle, it.high);
    let text = format!(
        "SCHEMA IN THE STREAM: krows/s of {rows:.0}k rows, min / median / max\n\
         no change {:>24}\n\
         a change every {ROWS} rows {:>10}   {:.2} / {:.2} / {:.2} of it  {verdict}",
        three(plain),
        three(changed),
        share.low,
        share.middle,
        share.high
    );
    report.part("schema_stream", &text, json!({"still_seconds": still, "changing_seconds": changing}))
}
