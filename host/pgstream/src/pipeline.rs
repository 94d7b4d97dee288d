//! The whole flow: a listener, the modifiers and a sink, and what happens when one of them fails.
//!
//! Batches go from left to right through two links; the confirmed position comes back on one channel. Each stage
//! ends when the one before it has closed its link, so a stop at the listener drains everything, and an error anywhere
//! ends all three. There is one way to recover: start again from the target's progress row.

use std::time::Instant;

use buffer::Budget;
use modify::Chain;
use sink::postgres::Summary;
use tokio::task::block_in_place;

use crate::config::{Mode, Ready};
pub use crate::failure::Error;
use crate::shutdown::Stop;
use crate::snapshot;

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
    let mut flowing = start(&ready, &mut chain).await?;
    loop {
        let began = Instant::now();
        let (returned, ended) = flowing.finish(chain, &stop).await;
        chain = returned.ok_or(Error::Bug { stage: "modifiers" })?;
        let mut error = match ended {
            Ok(summary) => return Ok(summary),
            Err(error) => error,
        };
        // A run that lasted is the end of one outage; another starts here.
        let mut outage = Instant::now();
        let mut attempt = 0;
        flowing = loop {
            if !error.is_transient() {
                return Err(error);
            }
            let retry = error.retry(&ready);
            if attempt == 0 && began.elapsed() < retry.longest {
                outage = began;
                attempt = 1;
            }
            let Some(pause) = retry.pause(attempt, outage.elapsed()) else { return Err(error) };
            tracing::warn!(%error, ?pause, "starting again from the progress row");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.requested() => return Ok(Summary::default()),
            }
            attempt += 1;
            match start(&ready, &mut chain).await {
                Ok(again) => break again,
                Err(next) => error = next,
            }
        };
    }
}

/// Source and target, connected and checked against each other, with the position to go on from.
struct Flowing {
    source: listen::wal::Source,
    writer: sink::postgres::Writer,
    start: event::Lsn,
    budget: Budget,
}

async fn start(ready: &Ready, chain: &mut Chain) -> Result<Flowing, Error> {
    let mut source = listen::wal::Source::connect(ready.source.wal.clone()).await?;
    let copied = snapshot::copied(ready, source.system_id()).await?;
    let dropped = source.dropped(chain.missing(source.relations())).await?;
    chain.let_go(dropped);
    let bound = block_in_place(|| chain.bind(source.relations()))?;
    for warning in &bound.warnings {
        tracing::warn!("{warning}");
    }
    let dropped = bound.dropped();
    source
        .check_identities({
            let dropped = dropped.clone();
            move |table| !dropped.contains(table)
        })
        .await?;
    let slot = checkpoint::Slot {
        system_id: source.system_id().to_owned(),
        name: source.slot().to_owned(),
        confirmed: source.confirmed(),
    };
    let digest = chain.digest();
    let mut writer = sink::postgres::Writer::connect(ready.target.postgres.clone(), slot.clone()).await?;
    let stored = writer.progress().await?.map(checkpoint::Stored::from);
    if let (None, Some((since, _))) = (&stored, &copied) {
        checkpoint::follows(&slot, *since)?;
    }
    source.leave_out(copied.map(|(_, copied)| copied).unwrap_or_default());
    let start = checkpoint::resume(
        &slot,
        source.written().await?,
        stored.as_ref(),
        &digest,
        ready.accept_changed_modifiers,
    )?;
    let kept = source
        .relations()
        .iter()
        .filter(|relation| !dropped.contains(&relation.name) && !source.is_pending(relation));
    writer.check(&kept.cloned().collect::<Vec<_>>()).await?;
    let budget = Budget::new(ready.target.queue_bytes);
    writer.tell_usage_of(budget.clone());
    let start = writer.start_at(start, &digest).await?;
    Ok(Flowing { source, writer, start, budget })
}

impl Flowing {
    /// Runs the three stages until all have ended, and gives the chain back.
    async fn finish(self, chain: Chain, stop: &Stop) -> (Option<Chain>, Result<Summary, Error>) {
        let (to_modify, from_listener) = buffer::link();
        let (to_sink, from_modify) = buffer::link();
        let (confirmer, confirmed) = checkpoint::channel(self.start);
        // A stage that ends in the middle would be noticed only with the next row: it stops the listener.
        let halt = stop.token();
        let stream = self.source.stream(self.start, to_modify, self.budget, confirmed, halt.clone());
        let listener = tokio::spawn(stream);
        // Components are called synchronously and may take a second: on a thread of their own.
        let ends = halt.clone().drop_guard();
        let modifiers = tokio::task::spawn_blocking(move || {
            let _ends = ends;
            modify::run(chain, from_listener, to_sink)
        });
        let writer = tokio::spawn(async move {
            let _ends = halt.drop_guard();
            self.writer.run(from_modify, confirmer).await
        });
        let (listened, modified, written) = tokio::join!(listener, modifiers, writer);
        let Ok((chain, modified)) = modified else {
            return (None, Err(Error::Bug { stage: "modifiers" }));
        };
        // The sink's reason first: when it ends, the others end with it.
        let ended = match (written, modified, listened) {
            (Ok(Err(error)), _, _) => Err(error.into()),
            (_, Err(error), _) => Err(error.into()),
            (_, _, Ok(Err(error))) => Err(error.into()),
            (Err(_), _, _) => Err(Error::Bug { stage: "sink" }),
            (_, _, Err(_)) => Err(Error::Bug { stage: "listener" }),
            (Ok(Ok(summary)), Ok(()), Ok(Ok(_))) => Ok(summary),
        };
        (Some(chain), ended)
    }
}
