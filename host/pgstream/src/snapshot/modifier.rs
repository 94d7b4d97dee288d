//! The chain of plugins on a thread of its own, for many readers at once.

use event::{Batch, Relation, TableName};
use modify::{Chain, Route};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::failure::Error;

/// What is asked of the chain.
enum Ask {
    Bind(Vec<Arc<Relation>>, Vec<TableName>, oneshot::Sender<Result<Vec<Route>, modify::Error>>),
    Apply(Batch, oneshot::Sender<Result<Batch, modify::Error>>),
}

/// The chain while a copy runs.
pub(super) struct Modifier {
    to: mpsc::Sender<Ask>,
    thread: JoinHandle<Chain>,
}

impl Modifier {
    /// Takes the chain.
    pub(super) fn start(chain: Chain) -> Self {
        let (to, from) = mpsc::channel(4);
        // Components are called synchronously and may take a second.
        let thread = tokio::task::spawn_blocking(move || serve(chain, from));
        Self { to, thread }
    }

    /// Binds tables; a rule may be for any of `names`. What becomes of the rows of each.
    pub(super) async fn bind(
        &self,
        relations: Vec<Arc<Relation>>,
        names: Vec<TableName>,
    ) -> Result<Vec<Route>, Error> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Bind(relations, names, reply)).await?;
        Ok(answer.await.map_err(|_| BUG)??)
    }

    /// Another handle.
    pub(super) fn handle(&self) -> Handle {
        Handle { to: self.to.clone() }
    }

    /// Gives the chain back.
    pub(super) async fn end(self) -> Option<Chain> {
        drop(self.to);
        self.thread.await.ok()
    }

    async fn ask(&self, ask: Ask) -> Result<(), Error> {
        self.to.send(ask).await.map_err(|_| BUG)
    }
}

/// What a reader has of it.
#[derive(Clone)]
pub(super) struct Handle {
    to: mpsc::Sender<Ask>,
}

impl Handle {
    /// Passes a batch through the chain.
    pub(super) async fn apply(&self, batch: Batch) -> Result<Batch, Error> {
        let (reply, answer) = oneshot::channel();
        self.to.send(Ask::Apply(batch, reply)).await.map_err(|_| BUG)?;
        Ok(answer.await.map_err(|_| BUG)??)
    }
}

const BUG: Error = Error::Bug { stage: "modifiers" };

fn serve(mut chain: Chain, mut from: mpsc::Receiver<Ask>) -> Chain {
    while let Some(ask) = from.blocking_recv() {
        // Who asked may have ended.
        match ask {
            Ask::Bind(relations, names, reply) => {
                let _ = reply.send(bind(&mut chain, &relations, &names));
            }
            Ask::Apply(batch, reply) => {
                let _ = reply.send(chain.apply(batch));
            }
        }
    }
    chain
}

fn bind(
    chain: &mut Chain,
    relations: &[Arc<Relation>],
    names: &[TableName],
) -> Result<Vec<Route>, modify::Error> {
    for warning in &chain.bind_some(relations, names)?.warnings {
        tracing::warn!("{warning}");
    }
    relations.iter().map(|relation| chain.route(relation)).collect()
}
