//! The initial copy beside what everybody has: pg_dump with pg_restore, and bare pipes from COPY to COPY.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::{Installation, Pgstream, Postgres, Result};

use crate::Arguments;
use crate::figures::{Spread, spread};
use crate::machine::{self, Used};
use crate::report::{Bound, Report};
use crate::system::{LIMIT, Place};
use crate::work;

/// Sessions on each side, for all.
const STREAMS: usize = 2;

const WIDE: &str = "public.wide (id bigint, a int, b bigint, c numeric(12,2), d double precision, e text, f text, \
                    g varchar(40), h timestamptz, i date, j boolean, k uuid)";

/// Tables with rows.
struct Set {
    name: &'static str,
    what: &'static str,
    /// The tables, without anything that slows down the writing of rows.
    tables: String,
    /// What comes after the rows.
    indexes: &'static str,
    fill: Vec<String>,
    /// For each table, into how many ranges bare pipes cut it.
    ranges: &'static [(&'static str, u64)],
    /// Of `wide`.
    masks: bool,
}

fn sets(scale: f64) -> Vec<Set> {
    let rows = |full: f64| ((full * scale) as u64).max(100);
    let wide = format!(
        "INSERT INTO public.wide SELECT {} FROM generate_series(1, {}) i",
        work::ROW,
        rows(500_000.0)
    );
    let narrow = |full| {
        format!("INSERT INTO public.narrow SELECT i, i % 97 FROM generate_series(1, {}) i", rows(full))
    };
    let many = rows(1000.0);
    vec![
        Set {
            name: "mixed",
            what: "500,000 wide rows, two indexes and a key; 1,000,000 narrow ones with a key",
            tables: format!("CREATE TABLE {WIDE}; CREATE TABLE public.narrow (id bigint, n int)"),
            indexes: "ALTER TABLE public.wide ADD PRIMARY KEY (id); CREATE INDEX ON public.wide (b); \
                      CREATE INDEX ON public.wide (e); ALTER TABLE public.narrow ADD PRIMARY KEY (id)",
            fill: vec![wide, narrow(1_000_000.0)],
            ranges: &[("wide", 1), ("narrow", 1)],
            masks: true,
        },
        Set {
            name: "values",
            what: "400 rows with values of 1 MB",
            tables: "CREATE TABLE public.large (id int, v text); \
                     ALTER TABLE public.large ALTER v SET STORAGE EXTERNAL"
                .to_owned(),
            indexes: "ALTER TABLE public.large ADD PRIMARY KEY (id)",
            fill: vec![format!(
                "INSERT INTO public.large SELECT i, repeat(md5(i::text), 32768) FROM generate_series(1, {}) i",
                rows(400.0)
            )],
            ranges: &[("large", STREAMS as u64)],
            masks: false,
        },
        Set {
            name: "narrow",
            what: "10,000,000 narrow rows with a key",
            tables: "CREATE TABLE public.narrow (id bigint, n int)".to_owned(),
            indexes: "ALTER TABLE public.narrow ADD PRIMARY KEY (id)",
            fill: vec![narrow(10_000_000.0)],
            ranges: &[("narrow", STREAMS as u64)],
            masks: false,
        },
        Set {
            name: "many",
            what: "1,000 tables of 100 rows",
            tables: format!(
                "DO $$ BEGIN FOR n IN 1..{many} LOOP EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY, v text)', n); \
                 END LOOP; END $$"
            ),
            indexes: "",
            fill: vec![format!(
                "DO $$ BEGIN FOR n IN 1..{many} LOOP EXECUTE format('INSERT INTO public.t%s SELECT i, md5(i::text) \
                 FROM generate_series(1, 100) i', n); END LOOP; END $$"
            )],
            ranges: &[],
            masks: false,
        },
    ]
}

const MASKS: &str = "modifiers:
  transformations:
    table_transformers:
      - table: wide
        column_transformers:
          e: {name: masking, parameters: {type: email}}
          f: {name: masking, parameters: {type: name}}
          g: {name: masking, parameters: {type: mobile}}
";

/// The seconds of every round, one list a way.
#[derive(Default)]
struct Times {
    /// pg_dump and the data section of pg_restore.
    dump_data: Vec<f64>,
    /// pg_dump and pg_restore, all of it.
    dump_whole: Vec<f64>,
    pipes: Vec<f64>,
    /// Rows alone.
    ours: Vec<f64>,
    /// Schema, rows, indexes.
    whole: Vec<f64>,
    masked: Vec<f64>,
    used: Vec<Used>,
}

/// Runs, compares and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    // Of the servers' own version where they are installed: a newer pg_restore says things that an older server refuses.
    let installed = testbed::find_installation(arguments.major)?;
    let programs =
        if installed.program("pg_restore").is_some() { installed } else { testbed::client_programs()? };
    let mut text = format!(
        "SNAPSHOT: {STREAMS} sessions on each side, seconds min / median / max; ratios are medians\n\
         {:<14}{:>20}{:>20}{:>20}{:>20}{:>7}{:>7}{:>6}\n",
        "", "pg_dump, restore", "bare pipes", "pgstream", "3 masked", "/dump", "/pipes", "MiB"
    );
    let mut samples = Vec::new();
    for set in sets(arguments.scale) {
        let times = run(&set, arguments, &programs).await?;
        text.push_str(&line(&set, &times, report));
        samples.push(sample(&set, &times));
    }
    report.part("snapshot", text.trim_end(), json!(samples))
}

async fn run(set: &Set, arguments: &Arguments, programs: &Installation) -> Result<Times> {
    eprintln!("snapshot: {}", set.what);
    let place = Place::start(arguments.major, &[&set.tables]).await?;
    for fill in &set.fill {
        place.write(fill).await?;
    }
    place.write(set.indexes).await?;
    place.write("VACUUM FREEZE ANALYZE").await?;
    let mut times = Times::default();
    for round in 0..arguments.rounds {
        let (data, whole) = dump(&place, programs).await?;
        times.dump_data.push(data);
        times.dump_whole.push(whole);
        if !set.ranges.is_empty() {
            times.pipes.push(pipes(set, &place, programs).await?);
        }
        let (seconds, used) = ours(&place, Some(&set.tables), "").await?;
        times.ours.push(seconds);
        times.used.push(used);
        if round == 0 {
            same(&place).await?;
        }
        let (seconds, used) = ours(&place, None, "").await?;
        times.whole.push(seconds);
        times.used.push(used);
        if round == 0 {
            same(&place).await?;
        }
        if set.masks {
            times.masked.push(ours(&place, Some(&set.tables), MASKS).await?.0);
            let raw = "SELECT count(*) FROM public.wide WHERE NOT (e ~ '\\*' AND f ~ '\\*' AND g ~ '\\*')";
            assert_eq!(place.target.value("copy", raw).await?, "0", "rows that are not masked");
        }
    }
    Ok(times)
}

async fn fresh(target: &Postgres, ddl: &str) -> Result<()> {
    target.sql("postgres", "DROP DATABASE IF EXISTS copy WITH (FORCE)").await?;
    target.create_database("copy").await?;
    target.sql("copy", ddl).await?;
    target.sql("copy", "CHECKPOINT").await
}

/// What pg_dump and pg_restore take for the rows, and for everything.
async fn dump(place: &Place, programs: &Installation) -> Result<(f64, f64)> {
    fresh(&place.target, "").await?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (dump, streams) = (folder.path().join("dump").display().to_string(), format!("-j{STREAMS}"));
    let (source, target) = (place.source.url("bench"), place.target.url("copy"));
    let restore = |section: &str| {
        called(programs, "pg_restore", &[&streams, "--section", section, "-d", &target, &dump])
    };
    let dumped = called(programs, "pg_dump", &["-Fd", &streams, "-Z0", "-f", &dump, &source]);
    let (before, rows, after) = (restore("pre-data"), restore("data"), restore("post-data"));
    Ok((dumped + rows, dumped + before + rows + after))
}

/// Seconds that a program takes.
fn called(programs: &Installation, name: &str, arguments: &[&str]) -> f64 {
    let start = Instant::now();
    let program = programs.program(name).expect("the client programs");
    let output = Command::new(program).args(arguments).output().expect("a program that starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    start.elapsed().as_secs_f64()
}

/// What `psql … | psql …` takes, as many at a time as we have sessions.
async fn pipes(set: &Set, place: &Place, programs: &Installation) -> Result<f64> {
    fresh(&place.target, &set.tables).await?;
    let psql = programs.program("psql").expect("the client programs").display().to_string();
    let (source, target) = (place.source.url("bench"), place.target.url("copy"));
    let mut commands = VecDeque::new();
    for (table, ranges) in set.ranges {
        let pages: u64 = place
            .source
            .value("bench", &format!("SELECT pg_relation_size('{table}') / 8192"))
            .await?
            .parse()
            .expect("a number");
        for range in 0..*ranges {
            let (first, end) = (pages * range / ranges, pages * (range + 1) / ranges);
            let rows = format!("SELECT * FROM {table} WHERE ctid >= '({first},0)' AND ctid < '({end},0)'");
            commands.push_back(format!(
                "{psql} -X -q -c \"COPY ({rows}) TO STDOUT (FORMAT binary)\" '{source}' | \
                 {psql} -X -q -c \"COPY {table} FROM STDIN (FORMAT binary)\" '{target}'"
            ));
        }
    }
    let commands = Arc::new(Mutex::new(commands));
    let start = Instant::now();
    let workers: Vec<_> = (0..STREAMS)
        .map(|_| {
            let commands = Arc::clone(&commands);
            std::thread::spawn(move || {
                loop {
                    let next = commands.lock().expect("a queue").pop_front();
                    let Some(command) = next else { return };
                    let done = Command::new("sh").args(["-c", &command]).status().expect("a shell");
                    assert!(done.success(), "{command}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("a pipe that works");
    }
    Ok(start.elapsed().as_secs_f64())
}

/// What `pgstream snapshot` takes from its start to its end: of rows alone where the tables are made before.
async fn ours(place: &Place, tables: Option<&str>, modifiers: &str) -> Result<(f64, Used)> {
    fresh(&place.target, tables.unwrap_or_default()).await?;
    let mode = if tables.is_some() { "data" } else { "full" };
    let config = format!(
        "source:\n  postgres:\n    url: {}\n    mode: snapshot\n    snapshot: {{mode: {mode}, data: {{table_workers: {STREAMS}}}}}\n\
         target:\n  postgres:\n    url: {}\n{modifiers}",
        place.source.url("bench"),
        place.target.url("copy"),
    );
    let start = Instant::now();
    let mut pgstream = Pgstream::run_with(&["snapshot"], &config)?;
    let mut used = Used::default();
    let mut seconds = 0.0;
    while pgstream.is_running() {
        let now = machine::used(pgstream.pid());
        if now.peak_mib > 0.0 {
            used = now;
        }
        assert!(start.elapsed() < LIMIT, "the copy does not end: {}", pgstream.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
        seconds = start.elapsed().as_secs_f64();
    }
    let done = pgstream.finish(LIMIT).await?;
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    Ok((seconds, used))
}

/// Every row must be there.
async fn same(place: &Place) -> Result<()> {
    let tables = "SELECT string_agg(format('SELECT %L, count(*), sum(hashtextextended(t::text, 0)) FROM %I.%I t', tablename, \
                  schemaname, tablename), ' UNION ALL ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    let query = place.source.value("bench", tables).await?;
    let query = format!("{query} ORDER BY 1");
    let (want, got) = (place.source.rows("bench", &query).await?, place.target.rows("copy", &query).await?);
    // Hashes alone: nobody can read a row in them.
    assert_eq!(want, got, "source and target differ: table, rows, hash");
    Ok(())
}

fn line(set: &Set, times: &Times, report: &mut Report) -> String {
    let ratio = |of: &[f64], to: &[f64]| spread(of.iter().zip(to).map(|(of, to)| of / to)).middle;
    let peak = spread(times.used.iter().map(|used| used.peak_mib)).high;
    let what = |of: &str| format!("snapshot: {}, {of}", set.name);
    let dump = ratio(&times.dump_data, &times.ours);
    let whole = ratio(&times.dump_whole, &times.whole);
    let pipes = ratio(&times.pipes, &times.ours);
    if set.name == "many" {
        let seconds = spread(times.whole.iter().copied()).middle;
        report.target(what("everything"), " s", Bound::AtMost(20.0), seconds);
    } else {
        report.target(what("rows against bare pipes"), "x", Bound::AtLeast(0.9), pipes);
    }
    if set.name == "mixed" {
        report.target(what("rows against pg_dump"), "x", Bound::AtLeast(2.5), dump);
        report.target(what("everything against pg_dump"), "x", Bound::AtLeast(1.7), whole);
    }
    if set.masks {
        let masked = ratio(&times.ours, &times.masked);
        report.target(what("3 columns masked"), "x", Bound::AtLeast(0.5), masked);
    }
    report.target(what("peak"), " MiB", Bound::AtMost(128.0), peak);
    let three = |values: &[f64]| {
        let Spread { low, middle, high } = spread(values.iter().copied());
        if values.is_empty() { String::new() } else { format!("{low:.2} / {middle:.2} / {high:.2}") }
    };
    let shown = |ratio: f64| if ratio > 0.0 { format!("{ratio:.2}") } else { String::new() };
    format!(
        "{:<14}{:>20}{:>20}{:>20}{:>20}{dump:>7.2}{:>7}{peak:>6.0}\n{:<14}{:>20}{:>20}{:>20}{:>20}{whole:>7.2}\n",
        format!("{}, rows", set.name),
        three(&times.dump_data),
        three(&times.pipes),
        three(&times.ours),
        three(&times.masked),
        shown(pipes),
        "  everything",
        three(&times.dump_whole),
        "",
        three(&times.whole),
        "",
    )
}

fn sample(set: &Set, times: &Times) -> Value {
    json!({
        "set": set.name, "what": set.what,
        "rows": {"dump_and_restore": times.dump_data, "pipes": times.pipes, "pgstream": times.ours, "masked": times.masked},
        "everything": {"dump_and_restore": times.dump_whole, "pgstream": times.whole},
        "cpu_seconds": times.used.iter().map(|used| used.cpu).collect::<Vec<_>>(),
        "peak_mib": times.used.iter().map(|used| used.peak_mib).collect::<Vec<_>>(),
    })
}
