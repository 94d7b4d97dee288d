//! What happens in the demo, from the first line to the last.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testbed::{Error, Pgstream, Postgres, Result};

use crate::progress::{Progress, grouped, short};
use crate::stage::Stage;
use crate::traffic::{self, Customers, Probe};
use crate::{Wish, proof};

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A server, a client or the binary.
    #[error(transparent)]
    Testbed(#[from] Error),
    /// A file of the demo.
    #[error("cannot use {path}", path = .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// A command of pgstream.
    #[error("`pgstream {command}` ended with {status}:\n{log}")]
    Command {
        /// Which one.
        command: &'static str,
        /// Its exit status.
        status: String,
        /// What it wrote.
        log: String,
    },
    /// The target does not get any further.
    #[error("the target has not caught up within {0:?}; see .demo/pgstream.log")]
    Behind(Duration),
    /// The one thing that must not be.
    #[error("source and target differ")]
    Different,
}

/// How long the target may take for what is on its way.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(wish: &Wish) -> std::result::Result<(), Failure> {
    println!("pgstream demo: Postgres to Postgres, masked on the way\n");
    // Said first if it is missing, before servers are started.
    Pgstream::binary()?;
    let stage = Stage::set(wish.major).await?;
    let (source, target) = (&stage.source, &stage.target);
    println!("  source   {}   Postgres {}", source.url("shop"), source.installation().version);
    println!("  target   {}   Postgres {}", target.url("shop"), target.installation().version);
    println!("  config   {}", stage.config.display());

    traffic::past(source).await?;
    println!(
        "  before   {} customers on the source, nothing on the target",
        grouped(u64::from(traffic::PAST))
    );
    command(&stage, "init")?;
    let begun = Instant::now();
    let mut pgstream = start(&stage)?;
    pgstream.logs("stream started", PATIENCE).await?;
    println!("  copied   tables, rows and indexes after {}; from now on it streams", short(begun.elapsed()));
    let mut probe = Probe::new(source, target).await?;
    watch(&mut pgstream, async { probe.once().await.map_err(Failure::from) }).await?;

    let pgbench = traffic::pgbench(source);
    let by = if pgbench.is_some() { "pgbench" } else { "the demo's own driver: no pgbench here" };
    println!("  traffic  TPC-B by {by}; customers; {} s\n", wish.duration.as_secs());

    let bulk = watch(&mut pgstream, fill(source, pgbench.as_deref(), &mut probe)).await?;
    let before = changes(source).await?;
    let steady = watch(&mut pgstream, play(wish, &stage, pgbench.as_deref(), &mut probe)).await?;
    let changed = changes(source).await?.saturating_sub(before);

    println!(
        "  bulk     {} rows in one transaction, all there {} after its commit",
        grouped(bulk.rows),
        short(bulk.late)
    );
    println!("           = {} rows/s through filter and masks", per_second(bulk.rows, bulk.late));
    println!(
        "  steady   {} changes in {:.0} s = {} rows/s",
        grouped(changed),
        steady.took.as_secs_f64(),
        per_second(changed, steady.took),
    );
    let Customers { inserted, updated, deleted } = steady.customers;
    println!("           customers: {inserted} inserted, {updated} updates, {deleted} deletes");
    println!("  schema   meanwhile: a table made, a column added, one renamed, an index made;");
    println!("           each took effect on the target between the rows around it");
    println!(
        "  lag      from commit to seen on the target: p50 {}, p99 {} ({} probes)",
        short(percentile(&steady.lags, 50)),
        short(percentile(&steady.lags, 99)),
        steady.lags.len(),
    );
    println!("           the last change was there after {}\n", short(steady.last));

    let equal = proof::compare(source, target).await?;
    println!();
    proof::samples(source, target).await?;
    println!();

    if wish.keep {
        let stop = stage.keep(pgstream)?;
        println!("  left running: the URLs are above, the log is .demo/pgstream.log");
        println!("  stop it with: sh {}", stop.display());
    } else {
        end(&stage, pgstream).await?;
    }
    if !equal {
        return Err(Failure::Different);
    }
    println!("  PROVED: every row is there once, and no masked value was let through");
    Ok(())
}

fn start(stage: &Stage) -> std::result::Result<Pgstream, Failure> {
    let mut command = Pgstream::prepare(&["run", "-c"])?;
    command.arg(&stage.config);
    Ok(Pgstream::spawn(command, stage.log())?)
}

/// Drains and ends pgstream, then removes what it made on both sides.
async fn end(stage: &Stage, pgstream: Pgstream) -> std::result::Result<(), Failure> {
    let finished = pgstream.stop(Duration::from_secs(30)).await?;
    if finished.code() != Some(0) {
        let log = last_lines(&finished.stderr);
        return Err(Failure::Command { command: "run", status: finished.status.to_string(), log });
    }
    command(stage, "destroy")
}

/// Runs a command of pgstream to its end.
fn command(stage: &Stage, name: &'static str) -> std::result::Result<(), Failure> {
    let mut command = Pgstream::prepare(&[name, "-c"])?;
    let finished = Pgstream::finished(command.arg(&stage.config))?;
    if finished.code() != Some(0) {
        let log = last_lines(&finished.stderr);
        return Err(Failure::Command { command: name, status: finished.status.to_string(), log });
    }
    println!("  {name:<8} pgstream {name} -c {}", stage.config.display());
    Ok(())
}

/// Waits for `work`, but not for a pgstream that has ended.
async fn watch<T>(
    pgstream: &mut Pgstream,
    work: impl Future<Output = std::result::Result<T, Failure>>,
) -> std::result::Result<T, Failure> {
    let ended = async {
        while pgstream.is_running() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = ended => Err(Failure::Command {
            command: "run",
            status: "an error of its own".to_owned(),
            log: last_lines(&pgstream.log()),
        }),
    }
}

struct Bulk {
    rows: u64,
    late: Duration,
}

/// The bank's accounts, in one transaction.
async fn fill(
    source: &Postgres,
    pgbench: Option<&std::path::Path>,
    probe: &mut Probe,
) -> std::result::Result<Bulk, Failure> {
    traffic::fill(source, pgbench).await?;
    let late = caught_up(probe).await?;
    let rows = source.value("shop", "SELECT count(*) FROM pgbench_accounts").await?.parse().unwrap_or(0);
    Ok(Bulk { rows, late })
}

struct Steady {
    took: Duration,
    customers: Customers,
    lags: Vec<Duration>,
    last: Duration,
}

/// Everything at once, for the time that was wished.
async fn play(
    wish: &Wish,
    stage: &Stage,
    pgbench: Option<&std::path::Path>,
    probe: &mut Probe,
) -> std::result::Result<Steady, Failure> {
    let (over, lag) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let bank = async {
        let driven = traffic::transfers(&stage.source, pgbench, wish.duration).await;
        over.store(true, Ordering::Relaxed);
        driven
    };
    let (driven, customers, defined, lags, shown) = tokio::join!(
        bank,
        traffic::customers(&stage.source, &over),
        traffic::define(&stage.source, wish.duration),
        probe.until(&over, &lag),
        show(stage, &over, &lag, start),
    );
    driven?;
    defined?;
    shown?;
    let (customers, lags) = (customers?, lags?);
    let last = caught_up(probe).await?;
    Ok(Steady { took: start.elapsed(), customers, lags, last })
}

/// How long until the target has what is on the source now.
async fn caught_up(probe: &mut Probe) -> std::result::Result<Duration, Failure> {
    match tokio::time::timeout(PATIENCE, probe.once()).await {
        Ok(lag) => Ok(lag?),
        Err(_) => Err(Failure::Behind(PATIENCE)),
    }
}

async fn show(stage: &Stage, over: &AtomicBool, lag: &AtomicU64, start: Instant) -> Result<()> {
    let (source, target) = (stage.source.connect("shop").await?, stage.target.connect("shop").await?);
    let mut progress = Progress::new();
    while !over.load(Ordering::Relaxed) {
        let (on_source, on_target) = (transfers(&source).await?, transfers(&target).await?);
        let lag = Duration::from_micros(lag.load(Ordering::Relaxed));
        progress.show(&format!(
            "  {:>3} s   transfers: source {:>7}  target {:>7}   lag {:>7}",
            start.elapsed().as_secs(),
            grouped(on_source),
            grouped(on_target),
            short(lag),
        ));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    progress.end();
    Ok(())
}

async fn transfers(client: &tokio_postgres::Client) -> Result<u64> {
    let query = "SELECT count(*) FROM pgbench_history";
    let row = client.query_one(query, &[]).await.map_err(Error::sql(query))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// Rows that were inserted, updated or deleted in the replicated tables, by the server's own count.
async fn changes(source: &Postgres) -> Result<u64> {
    // Sessions hand in their counts within a second, or when they end.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let query = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname <> 'sessions' \
                 AND schemaname = 'public'";
    Ok(source.value("shop", query).await?.parse().unwrap_or(0))
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

#[allow(clippy::cast_precision_loss, reason = "a rate for the eye")]
fn per_second(rows: u64, took: Duration) -> String {
    let rate = rows as f64 / took.as_secs_f64().max(0.001);
    // Three digits are as many as are true.
    let step = 10f64.powi((rate.max(1.0).log10().floor() as i32 - 2).max(0));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
    let rounded = ((rate / step).round() * step) as u64;
    grouped(rounded)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(12)).map(|line| format!("    {line}\n")).collect()
}
