//! From the start of the process to the first row: after a stop, with nothing compiled yet, and after SIGKILL under
//! load, when the source may still hold the slot for the process that is gone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::{Pgstream, Result};
use tokio_postgres::Client;

use crate::Arguments;
use crate::figures::spread;
use crate::memory::RULES;
use crate::report::{Bound, Report};
use crate::system::{LIMIT, Place, System, released};

/// The rules of the part before need their table.
const TABLES: &str = "CREATE TABLE public.big (id bigint PRIMARY KEY, email text, name text, phone text);
CREATE TABLE public.load (id bigint PRIMARY KEY, body text)";

/// What a kill interrupts.
const LOAD: Duration = Duration::from_millis(1200);

/// Runs, checks and tells.
pub async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let count = if arguments.quick { 2 } else { 5 };
    let place = Place::start(arguments.major, &[TABLES]).await?;
    let system = System::ours("pgstream", "ours", RULES);
    system.prepare(&place, &[TABLES]).await?;
    let target = place.target.connect(system.database).await?;
    let config = system.config(&place);

    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for sample in 0..=count {
        let row = sample as i64 + 1;
        place.write(&format!("INSERT INTO public.load VALUES ({row}, 'one row')")).await?;
        let empty = tempfile::tempdir().expect("a folder");
        // The first one finds no compiled components, as on a machine that is new.
        let cache = (sample == 0).then_some(empty.path());
        let start = Instant::now();
        let mut pgstream = run(&config, empty.path(), cache)?;
        reaches(&mut pgstream, &target, row, start).await;
        let seconds = start.elapsed().as_secs_f64();
        if sample == 0 { &mut cold } else { &mut warm }.push(seconds);
        eprintln!("start {sample}: first row after {seconds:.3} s");
        let done = pgstream.stop(LIMIT).await?;
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        released(&place, system.database).await?;
    }
    let killed = kills(&place, &system, &target, count).await?;

    let mut table =
        "STARTS: seconds from the start of the process to the first new row, min / median / max\n".to_owned();
    let mut line = |what: &str, seconds: &[f64], target: Option<&str>| {
        let all = spread(seconds.iter().copied());
        // Each of them must be in time, so the slowest counts.
        let verdict = target
            .map(|target| report.target(target, " s", Bound::AtMost(2.0), all.high))
            .unwrap_or_default();
        let figures = format!("{:.3} / {:.3} / {:.3}", all.low, all.middle, all.high);
        table.push_str(&format!("{what:<44}{figures:>24}  {verdict}\n"));
    };
    line("after a stop", &warm, Some("starts: to the first row"));
    line("with no compiled components in the cache", &cold, None);
    line("after SIGKILL under load, from the kill on", &killed, Some("starts: SIGKILL to the first new row"));
    let samples = json!({"warm_seconds": warm, "cold_seconds": cold, "killed_seconds": killed});
    report.part("starts", table.trim_end(), samples)
}

/// Kills it under load and starts it again at once: seconds from the kill to a row that was written after it.
async fn kills(place: &Place, system: &System, target: &Client, count: usize) -> Result<Vec<f64>> {
    let config = system.config(place);
    let written = Arc::new(AtomicI64::new(1000));
    let over = Arc::new(AtomicBool::new(false));
    let writer =
        tokio::spawn(load(place.source.connect("bench").await?, Arc::clone(&written), Arc::clone(&over)));
    let folder = tempfile::tempdir().expect("a folder");
    let mut pgstream = run(&config, folder.path(), None)?;
    let mut samples = Vec::new();
    for sample in 0..count {
        // It is at work when it is killed.
        reaches(&mut pgstream, target, written.load(Ordering::Relaxed), Instant::now()).await;
        tokio::time::sleep(LOAD).await;
        let start = Instant::now();
        pgstream.kill()?;
        // What its session was still writing to the target when it was killed may become visible and is not counted.
        let row = written.load(Ordering::Relaxed) + 1;
        pgstream = run(&config, folder.path(), None)?;
        reaches(&mut pgstream, target, row, start).await;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("kill {}: first new row after {seconds:.3} s", sample + 1);
        samples.push(seconds);
    }
    over.store(true, Ordering::Relaxed);
    writer.await.expect("the writer")?;
    reaches(&mut pgstream, target, written.load(Ordering::Relaxed), Instant::now()).await;
    let done = pgstream.stop(LIMIT).await?;
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let query = "SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)) FROM public.load t";
    place.same(system, "what was written while it was killed", query).await?;
    Ok(samples)
}

/// Some hundred commits a second until it is told to stop; says how far it is.
async fn load(client: Client, written: Arc<AtomicI64>, over: Arc<AtomicBool>) -> Result<()> {
    let sql = "INSERT INTO public.load VALUES ($1, 'a row of the load')";
    let insert = client.prepare(sql).await.map_err(testbed::Error::sql(sql))?;
    while !over.load(Ordering::Relaxed) {
        let row = written.load(Ordering::Relaxed) + 1;
        client.execute(&insert, &[&row]).await.map_err(testbed::Error::sql(sql))?;
        written.store(row, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn run(config: &str, folder: &Path, cache: Option<&Path>) -> Result<Pgstream> {
    let file = folder.join("config.yaml");
    std::fs::write(&file, config).expect("the configuration is written");
    let mut command = Pgstream::prepare(&["run"])?;
    command.arg("-c").arg(file);
    if let Some(cache) = cache {
        command.env("XDG_CACHE_HOME", cache);
    }
    Pgstream::spawn(command, folder.join("log"))
}

/// Waits until a row is visible in the target.
async fn reaches(pgstream: &mut Pgstream, target: &Client, row: i64, start: Instant) {
    let query = target.prepare("SELECT coalesce(max(id), 0) FROM public.load").await.expect("the target");
    while target.query_one(&query, &[]).await.expect("the target").get::<_, i64>(0) < row {
        assert!(pgstream.is_running(), "it ended:\n{}", pgstream.log());
        assert!(start.elapsed() < LIMIT, "row {row} does not come:\n{}", pgstream.log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
