//! Measures the listener: fills a table, then streams the backlog and prints rows a second.
//!
//! `cargo run --release -p listen --example backlog -- postgres://postgres@localhost:5432/scratch [rows] [rows a transaction]`

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::time::{Duration, Instant};

use buffer::Budget;
use event::Lsn;
use listen::wal::{self, DestroyOptions, Options, Source};
use postgres::Url;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = Url::parse(&arguments.next().ok_or("give the URL of a database that may be written to")?)?;
    let rows: i64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let each: i64 = arguments.next().map_or(Ok(rows), |text| text.parse())?;
    let mut options = Options::new(url.clone())?;
    options.slot = "pgstream_backlog_slot".into();
    options.publication = "pgstream_backlog".into();

    let client = postgres::connect(&url, "backlog", &[]).await?;
    client
        .batch_execute(
            "DROP TABLE IF EXISTS public.backlog; \
             CREATE TABLE public.backlog (id bigint PRIMARY KEY, a int, b int, c text, d text, e timestamptz, \
                 f numeric, g boolean, h text, i text, j int, k text)",
        )
        .await?;
    wal::init(&options, wal::Parts::All).await?;
    let mut from = 0;
    while from < rows {
        let to = (from + each).min(rows);
        client
            .batch_execute(&format!(
                "INSERT INTO public.backlog SELECT i, i % 1000, i * 7 % 100000, 'customer number ' || i, md5(i::text), \
                     now(), i / 100.0, i % 2 = 0, 'street ' || i % 777, 'city ' || i % 99, 1, NULL \
                 FROM generate_series({from} + 1, {to}) AS i"
            ))
            .await?;
        from = to;
    }
    let end: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.get(0);
    let end: Lsn = end.parse()?;

    let source = Source::connect(options.clone()).await?;
    let start = source.confirmed();
    let (out, mut batches) = buffer::link();
    let (confirm, confirmed) = watch::channel(start);
    let stop = CancellationToken::new();
    let began = Instant::now();
    let stream = tokio::spawn(source.stream(start, out, Budget::new(64 << 20), confirmed, stop.clone()));
    let (mut seen, mut cut, mut bytes) = (0, 0, 0);
    while let Some(held) = batches.recv().await {
        seen += held.batch.rows();
        bytes += held.batch.weight();
        cut += 1;
        if let Some(done) = held.batch.end() {
            confirm.send_replace(done);
            if done >= end {
                break;
            }
        }
    }
    let took = began.elapsed();
    stop.cancel();
    drop(confirm);
    drop(batches);
    let summary = stream.await??;
    println!(
        "{seen} rows in {:.2} s: {:.0} rows/s, {cut} batches, {} bytes each; acknowledged: {}",
        took.as_secs_f64(),
        f64::from(u32::try_from(seen)?) / took.as_secs_f64(),
        bytes / cut.max(1),
        summary.acknowledged,
    );
    wal::destroy(&options, DestroyOptions { wait: Duration::from_secs(5), ..DestroyOptions::default() })
        .await?;
    client.batch_execute("DROP TABLE public.backlog").await?;
    Ok(())
}
