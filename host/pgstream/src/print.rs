//! The flow whose sink is stdout: there is no database to look at, and none to keep a position in.
//!
//! What is written is confirmed to the slot, and that is where a start goes on. Within one run it goes on from what was
//! written last, so that a lost connection brings nothing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use buffer::Budget;
use event::Lsn;
use listen::wal::Source;
use modify::Chain;
use sink::postgres::Summary;
use tokio::task::{block_in_place, spawn_blocking};

use crate::config::{Mode, Print};
use crate::failure::Error;
use crate::flow::{Flow, bind};
use crate::shutdown::Stop;
use crate::snapshot;

/// Prints until a stop is asked for or an error ends it. As with [`pipeline::run`](crate::pipeline::run), an error before the first row could
/// flow is final.
///
/// # Errors
/// The first error that cannot be recovered from.
pub(crate) async fn run(print: Print, stop: Stop) -> Result<Summary, Error> {
    let mut chain = block_in_place(|| Chain::load(&print.modifiers))?;
    if print.source.mode == Mode::Snapshot {
        snapshot::print(&print, chain, &stop).await?;
        return Ok(Summary::default());
    }
    let written = Arc::new(AtomicU64::new(0));
    let mut flow = start(&print, &mut chain, &written).await?;
    let (mut outage, mut attempt) = (Instant::now(), 0);
    loop {
        let began = Instant::now();
        let position = Arc::clone(&written);
        let print_all = move |input, confirm| {
            spawn_blocking(move || {
                let printed = sink::stdout::run(input, &confirm, &mut std::io::stdout().lock());
                position.fetch_max(confirm.position().0, Ordering::Relaxed);
                printed
            })
        };
        let (returned, ended) = flow.run(chain, stop.token(), print_all).await;
        chain = returned.ok_or(Error::Bug { stage: "modifiers" })?;
        let mut error = match ended {
            Ok(summary) => return Ok(summary),
            Err(error) => error,
        };
        let retry = &print.source.retry;
        if began.elapsed() >= retry.longest {
            (outage, attempt) = (Instant::now(), 0);
        }
        flow = loop {
            let pause = retry.pause(attempt, outage.elapsed()).filter(|_| error.is_transient());
            let Some(pause) = pause else { return Err(error) };
            tracing::warn!(%error, ?pause, "starting again from what is written");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.requested() => return Ok(Summary::default()),
            }
            attempt += 1;
            match start(&print, &mut chain, &written).await {
                Ok(flow) => break flow,
                Err(next) => error = next,
            }
        };
    }
}

/// Connects, binds the rules, and finds where to go on.
async fn start(print: &Print, chain: &mut Chain, written: &AtomicU64) -> Result<Flow, Error> {
    let mut source = Source::connect(print.source.wal.clone()).await?;
    bind(&mut source, chain).await?;
    let start = source.confirmed().max(Lsn(written.load(Ordering::Relaxed)));
    Ok(Flow { source, start, budget: Budget::new(print.queue_bytes) })
}
