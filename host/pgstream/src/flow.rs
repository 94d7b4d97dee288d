//! The three stages: a listener, the modifiers and a sink.
//!
//! Batches go from left to right through two links; the confirmed position comes back on one channel. Each stage
//! ends when the one before it has closed its link, so a stop at the listener drains everything, and an error anywhere
//! ends all three.

use std::collections::HashSet;
use std::time::Instant;

use buffer::{Budget, Held};
use checkpoint::Confirmer;
use event::{Lsn, TableName};
use listen::wal::Source;
use modify::Chain;
use sink::postgres::Summary;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, block_in_place};
use tokio_util::sync::CancellationToken;

use crate::config::Retry;
use crate::failure::Error;
use crate::shutdown::Stop;

/// Binds the rules to the tables that the source sends; those whose rows they keep from the sink.
pub(crate) async fn bind(source: &mut Source, chain: &mut Chain) -> Result<HashSet<TableName>, Error> {
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
    Ok(dropped)
}

/// A source that is ready to send, and where it goes on.
pub(crate) struct Flow {
    pub(crate) source: Source,
    pub(crate) start: Lsn,
    pub(crate) budget: Budget,
}

impl Flow {
    /// Runs the three stages until all have ended, and gives the chain back. `sink` starts the last one.
    pub(crate) async fn run<E>(
        self,
        chain: Chain,
        halt: CancellationToken,
        sink: impl FnOnce(mpsc::Receiver<Held>, Confirmer) -> JoinHandle<Result<Summary, E>>,
    ) -> (Option<Chain>, Result<Summary, Error>)
    where
        Error: From<E>,
    {
        let (to_modify, from_listener) = buffer::link();
        let (to_sink, from_modify) = buffer::link();
        let (confirmer, confirmed) = checkpoint::channel(self.start);
        // A stage that ends in the middle would be noticed only with the next row: it stops the listener.
        let stream = self.source.stream(self.start, to_modify, self.budget, confirmed, halt.clone());
        let listener = tokio::spawn(stream);
        // Components are called synchronously and may take a second: on a thread of their own.
        let ends = halt.clone().drop_guard();
        let modifiers = tokio::task::spawn_blocking(move || {
            let _ends = ends;
            modify::run(chain, from_listener, to_sink)
        });
        let sink = sink(from_modify, confirmer);
        let writer = async {
            let _ends = halt.drop_guard();
            sink.await
        };
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

/// Starts again after an error that ended what began then, if the error may pass; `None` if a stop came before. `whose` patience
/// counts depends on the error.
pub(crate) async fn again<'r, T>(
    (mut error, began): (Error, Instant),
    stop: &Stop,
    from: &str,
    whose: impl Fn(&Error) -> &'r Retry,
    mut start: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    // A run that lasted is the end of one outage; another starts here.
    let mut outage = Instant::now();
    let mut attempt = 0;
    loop {
        if !error.is_transient() {
            return Err(error);
        }
        let retry = whose(&error);
        if attempt == 0 && began.elapsed() < retry.longest {
            outage = began;
            attempt = 1;
        }
        let Some(pause) = retry.pause(attempt, outage.elapsed()) else { return Err(error) };
        tracing::warn!(%error, ?pause, "starting again from {from}");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.requested() => return Ok(None),
        }
        attempt += 1;
        match start().await {
            Ok(again) => return Ok(Some(again)),
            Err(next) => error = next,
        }
    }
}
