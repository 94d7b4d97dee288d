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
use crate::flow::{self, Flow, bind};
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
    let mut flowing = start(&print, &mut chain, &written).await?;
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
        let (returned, ended) = flowing.run(chain, stop.token(), print_all).await;
        chain = returned.ok_or(Error::Bug { stage: "modifiers" })?;
        let error = match ended {
            Ok(summary) => return Ok(summary),
            Err(error) => error,
        };
        let whose = |_: &Error| &print.source.retry;
        let start = async || start(&print, &mut chain, &written).await;
        let Some(next) = flow::again((error, began), &stop, "what is written", whose, start).await? else {
            return Ok(Summary::default());
        };
        flowing = next;
    }
}

/// Connects, binds the rules, and finds where to go on.
async fn start(print: &Print, chain: &mut Chain, written: &AtomicU64) -> Result<Flow, Error> {
    let mut source = Source::connect(print.source.wal.clone()).await?;
    bind(&mut source, chain).await?;
    let start = source.confirmed().max(Lsn(written.load(Ordering::Relaxed)));
    Ok(Flow { source, start, budget: Budget::new(print.queue_bytes) })
}
