//! Memory: with one transaction of two million rows, which the target must see at once, and at rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::Result;
use tokio_postgres::Client;

use crate::Arguments;
use crate::report::{Bound, Report};
use crate::system::{LIMIT, MARKS, Place, System};

/// Half a kilobyte a row.
const TABLE: &str = "CREATE TABLE public.big (id bigint PRIMARY KEY, a int, email text, name text, phone text, note text, at timestamptz)";

/// Everything that is standard is loaded and works.
pub const RULES: &str = "modifiers:
  injector: {enabled: true}
  filter: {include_tables: ['public.*']}
  transformations:
    table_transformers:
      - table: big
        column_transformers:
          email: {name: masking, parameters: {type: email}}
          name: {name: masking, parameters: {type: name}}
          phone: {name: masking, parameters: {type: mobile}}
";

/// Places in the transaction at which the watcher looks.
const PLACES: u64 = 40;
const REST: Duration = Duration::from_secs(10);

/// Runs, checks and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let rows = ((2_000_000.0 * arguments.scale) as u64).max(1000);
    let place = Place::start(arguments.major, &[MARKS, TABLE]).await?;
    let system = System::ours("pgstream", "ours", RULES);
    system.prepare(&place, &[MARKS, TABLE]).await?;
    place.write("INSERT INTO public.mark VALUES (1)").await?;
    let client = place.target.connect(system.database).await?;
    let start = Instant::now();
    let mut running = system.start(&place).await?;
    while count(&client, "SELECT count(*) FROM public.mark").await == 0 {
        running.check(start);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eprintln!("memory: at rest for {} s", REST.as_secs());
    tokio::time::sleep(REST).await;
    let idle = running.used();
    running.check(Instant::now());

    eprintln!("memory: a transaction of {rows} rows");
    let over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(place.target.connect(system.database).await?, rows, Arc::clone(&over)));
    let start = Instant::now();
    place
        .write(&format!(
            "INSERT INTO public.big SELECT i, i % 1000, 'customer' || i || '@example.com', 'Name ' || i || ' Surname', \
             '+49 170 ' || i, repeat(md5(i::text), 12), now() FROM generate_series(1, {rows}) i"
        ))
        .await?;
    let written = start.elapsed().as_secs_f64();
    let start = Instant::now();
    while !watcher.is_finished() {
        if start.elapsed() > LIMIT {
            over.store(true, Ordering::Relaxed);
        }
        running.check(start);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let looks = watcher.await.expect("the watcher saw nothing, then everything");
    let seconds = start.elapsed().as_secs_f64();
    let busy = running.used();
    running.stop(&place).await?;

    let query = "SELECT count(*) || ' ' || sum(hashtextextended(r::text, 0)) FROM (SELECT id, a, note, at FROM public.big) r";
    place.same(&system, "the large transaction", query).await?;
    let raw = "SELECT count(*) FROM public.big WHERE NOT (email ~ '\\*' AND name ~ '\\*' AND phone ~ '\\*')";
    assert_eq!(count(&client, raw).await, 0, "rows that are not masked");
    let size = "SELECT sum(pg_column_size(b.*))::bigint FROM public.big b";
    let mib = count(&place.source.connect("bench").await?, size).await as f64 / (1024.0 * 1024.0);

    let resting =
        report.target("memory: at rest, standard components loaded", " MiB", Bound::AtMost(50.0), idle.mib);
    let peak = report.target(
        format!("memory: peak, one transaction of {rows} rows ({mib:.0} MiB)"),
        " MiB",
        Bound::AtMost(256.0),
        busy.peak_mib,
    );
    let table = format!(
        "MEMORY: with injector, filter and three masked columns\n\
         {:<44}{:>8.1} MiB  {resting}\n{:<44}{:>8.1} MiB  {peak}\n\
         {mib:.0} MiB of rows, visible {seconds:.1} s after a commit that took {written:.1} s; CPU {:.1} s\n\
         The target was looked at {looks} times meanwhile and held no row, then all.",
        format!("at rest for {} s", REST.as_secs()),
        idle.mib,
        format!("peak, one transaction of {rows} rows"),
        busy.peak_mib,
        busy.cpu - idle.cpu
    );
    let samples = json!({"rows": rows, "mib_of_rows": mib, "idle_mib": idle.mib, "peak_mib": busy.peak_mib,
        "seconds_to_commit": written, "seconds_from_commit_to_visible": seconds, "cpu_seconds": busy.cpu - idle.cpu,
        "looks": looks});
    report.part("memory", &table, samples)
}

/// Looks at rows all over the transaction until they are there; returns how often it looked.
async fn watch(client: Client, rows: u64, over: Arc<AtomicBool>) -> u64 {
    // Counting all rows would walk over all that are not committed yet, each time.
    let ids: Vec<i64> = (0..PLACES).map(|at| (1 + at * (rows - 1) / (PLACES - 1)) as i64).collect();
    let query =
        client.prepare("SELECT count(*) FROM public.big WHERE id = ANY ($1)").await.expect("the watcher");
    let mut looks = 0;
    while !over.load(Ordering::Relaxed) {
        let seen: i64 = client.query_one(&query, &[&ids]).await.expect("the watcher").get(0);
        looks += 1;
        if seen == PLACES as i64 {
            let all = count(&client, "SELECT count(*) FROM public.big").await;
            assert_eq!(all as u64, rows, "a part of a transaction was visible");
            break;
        }
        assert_eq!(seen, 0, "a part of a transaction was visible");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    looks
}

async fn count(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.expect("a number").get(0)
}
