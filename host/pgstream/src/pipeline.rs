//! The whole of a run into a database: what is connected and checked before the three stages of `flow.rs` run, and
//! what happens when one of them fails. There is one way to recover: start again from the target's progress row.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use buffer::Budget;
use event::Lsn;
use modify::Chain;
use sink::postgres::Summary;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::config::{Mode, Ready};
pub use crate::failure::Error;
use crate::flow::{self, Flow, bind};
use crate::shutdown::Stop;
use crate::snapshot::{self, Before, Beside, Standing};

/// How often a position without data is stored while tables are copied beside the stream.
const HASTE: Duration = Duration::from_secs(1);

/// Runs until a stop is asked for or an error ends it. An error before the first row could flow is final: it
/// is the configuration that is wrong. Later ones are tried again if they may pass.
///
/// # Errors
/// The first error that cannot be recovered from.
pub async fn run(ready: Ready, stop: Stop) -> Result<Summary, Error> {
    // Components block: never on a thread that others wait for.
    let mut chain = block_in_place(|| Chain::load(&ready.modifiers))?;
    if ready.source.mode != Mode::Replication {
        let (returned, copied) = snapshot::run(&ready, chain, &stop).await;
        chain = returned.ok_or(Error::Bug { stage: "modifiers" })?;
        if !copied? || ready.source.mode == Mode::Snapshot {
            return Ok(Summary::default());
        }
    }
    let mut flowing = Some(start(&ready, &mut chain, None).await?);
    let system_id =
        flowing.as_ref().map(|flowing| flowing.flow.source.system_id().to_owned()).unwrap_or_default();
    let mut beside = Beside::start(&ready, &stop, &system_id);
    while let Some(mut running) = flowing {
        beside.leaves_out(std::mem::take(&mut running.waiting));
        let began = Instant::now();
        let (returned, ended, standing) = running.finish_or_stand(chain, &stop, &mut beside).await;
        chain = returned.ok_or(Error::Bug { stage: "modifiers" })?;
        flowing = match (ended, standing) {
            (Ok(summary), None) => return Ok(summary),
            (Ok(summary), Some(standing)) => {
                standing.wait(&stop).await;
                if stop.is_requested() {
                    return Ok(summary);
                }
                match start(&ready, &mut chain, None).await {
                    Ok(again) => Some(again),
                    Err(error) => again(&ready, &mut chain, error, began, &stop).await?,
                }
            }
            (Err(error), _) => again(&ready, &mut chain, error, began, &stop).await?,
        };
    }
    Ok(Summary::default())
}

/// Starts again after an error that may pass; `None` if a stop came before.
async fn again(
    ready: &Ready,
    chain: &mut Chain,
    error: Error,
    began: Instant,
    stop: &Stop,
) -> Result<Option<Flowing>, Error> {
    let whose = |error: &Error| error.retry(ready);
    flow::again((error, began), stop, "the progress row", whose, async || start(ready, chain, None).await)
        .await
}

/// A stream that ends at a position, beside another one.
pub(crate) struct Until {
    /// What a copy has brought before it.
    pub(crate) before: Before,
    /// Everything that was committed before it is brought.
    pub(crate) until: Lsn,
}

/// Brings everything up to a position, and gives the chain back; less if a stop comes before.
pub(crate) async fn run_until(
    ready: &Ready,
    mut chain: Chain,
    stop: &Stop,
    beside: Until,
) -> Result<Chain, Error> {
    let until = beside.until;
    let flowing = start(ready, &mut chain, Some(beside)).await?;
    if flowing.flow.start >= until {
        return Ok(chain);
    }
    let (returned, ended) = flowing.finish(chain, stop.token()).await;
    ended?;
    returned.ok_or(Error::Bug { stage: "modifiers" })
}

/// Source and target, connected and checked against each other, with the position to go on from.
struct Flowing {
    flow: Flow,
    writer: sink::postgres::Writer,
    /// Tables that are copied beside it.
    waiting: HashSet<u32>,
}

/// What a source says of its slot.
pub(crate) fn slot_of(source: &listen::wal::Source) -> checkpoint::Slot {
    checkpoint::Slot {
        system_id: source.system_id().to_owned(),
        name: source.slot().to_owned(),
        confirmed: source.confirmed(),
    }
}

/// `beside`: for the stream beside the pipeline's.
async fn start(ready: &Ready, chain: &mut Chain, beside: Option<Until>) -> Result<Flowing, Error> {
    let mut source = listen::wal::Source::connect(ready.source.wal.clone()).await?;
    let before = match beside {
        Some(Until { before, until }) => {
            source.end_at(until);
            before
        }
        None => Before::of(ready, source.system_id()).await?,
    };
    let Before { since, copied, waiting } = before;
    let dropped = bind(&mut source, chain).await?;
    let slot = slot_of(&source);
    let digest = chain.digest();
    let mut options = ready.target.postgres.clone();
    if !waiting.is_empty() {
        // Their copy waits for the stream's position.
        options.heartbeat = options.heartbeat.min(HASTE);
    }
    let mut writer = sink::postgres::Writer::connect(options, slot.clone()).await?;
    let stored = writer.progress().await?.map(checkpoint::Stored::from);
    if let (None, Some(since)) = (&stored, since) {
        checkpoint::follows(&slot, since)?;
    }
    let start = checkpoint::resume(
        &slot,
        source.written().await?,
        stored.as_ref(),
        &digest,
        ready.accept_changed_modifiers,
    )?;
    let kept = source.relations().iter().filter(|relation| {
        !dropped.contains(&relation.name) && !source.is_pending(relation) && !copied.never_has(relation.oid)
    });
    writer.check(&kept.cloned().collect::<Vec<_>>()).await?;
    writer.watch(waiting.clone());
    source.leave_out(copied);
    let budget = Budget::new(ready.target.queue_bytes);
    writer.tell_usage_of(budget.clone());
    let start = writer.start_at(start, &digest).await?;
    Ok(Flowing { flow: Flow { source, start, budget }, writer, waiting })
}

impl Flowing {
    /// Runs until it ends, or until it is to stand still: then it has ended in order.
    async fn finish_or_stand(
        self,
        chain: Chain,
        stop: &Stop,
        beside: &mut Beside,
    ) -> (Option<Chain>, Result<Summary, Error>, Option<Standing>) {
        let halt = stop.token();
        let mut running = std::pin::pin!(self.finish(chain, halt.clone()));
        let standing = tokio::select! {
            biased;
            (chain, ended) = &mut running => return (chain, ended, None),
            standing = beside.asked() => standing,
        };
        halt.cancel();
        let (chain, ended) = running.await;
        (chain, ended, Some(standing))
    }

    /// Runs until it ends, and gives the chain back.
    async fn finish(self, chain: Chain, halt: CancellationToken) -> (Option<Chain>, Result<Summary, Error>) {
        let Self { flow, writer, .. } = self;
        flow.run(chain, halt, |input, confirm| tokio::spawn(writer.run(input, confirm))).await
    }
}
