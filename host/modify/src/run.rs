//! The stage: batches in, batches out, on a thread of its own.

use buffer::Held;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::{Chain, Error};

/// Passes batches on until the listener or the sink ends, or a batch cannot go on. Gives the chain back, so that a
/// restart of the pipeline loads nothing again.
///
/// For a plain thread: it blocks.
pub fn run(mut chain: Chain, mut input: Receiver<Held>, output: Sender<Held>) -> (Chain, Result<(), Error>) {
    while let Some(mut held) = input.blocking_recv() {
        let batch = std::mem::take(&mut held.batch);
        let batch = match chain.apply(batch) {
            Ok(batch) => batch,
            Err(error) => return (chain, Err(error)),
        };
        fault::here!("modified");
        if output.blocking_send(held.with(batch)).is_err() {
            // The sink has ended and says itself why.
            break;
        }
    }
    (chain, Ok(()))
}
