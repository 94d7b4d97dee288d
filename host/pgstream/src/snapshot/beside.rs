//! Tables that are copied while the stream goes on, and then join it.
//!
//! The stream stands still for a moment and goes on without the tables. They are copied as of a moment of the source, and a
//! second slot brings what was committed since, never beyond where the stream is: whatever changes their schema reaches
//! the target through the stream, and has the copy begin anew. In the end the stream stands still once more, the second one
//! comes to the same position, and from there on the tables are the stream's.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use event::{Lsn, TableName};
use listen::snapshot::{Moment, Selection};
use listen::wal::{Copied, make_slot, remove_slot};
use modify::Chain;
use sink::postgres::copy::{self, Asked, Entry, Existing, Ledger, Phase, State, Wanted, Whole};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, block_in_place};

use super::modifier::Modifier;
use super::schema::Schema;
use super::{Asking, Before, Copy, options, rows};
use crate::config::{Mode, Ready, What};
use crate::failure::Error;
use crate::pipeline;
use crate::shutdown::Stop;

/// How often somebody looks whether tables are to be copied.
const PERIOD: Duration = Duration::from_secs(1);
/// How often somebody looks where the stream is.
const LOOK: Duration = Duration::from_millis(100);
/// The second stream is near enough once it needs no longer than this to come to where the first was.
const NEAR: Duration = Duration::from_secs(1);
/// How long to wait after something failed that may pass.
const PAUSE: Duration = Duration::from_secs(5);

/// The stream is asked to stand still.
#[derive(Debug)]
pub(crate) struct Standing {
    stands: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

impl Standing {
    /// The stream stands still: waits until it may go on.
    pub(crate) async fn wait(self, stop: &Stop) {
        if self.stands.send(()).is_ok() {
            tokio::select! {
                // Who has ended has nothing against it.
                _ = self.go_on => {}
                () = stop.requested() => {}
            }
        }
    }
}

/// What the stream has of the task.
#[derive(Debug)]
pub(crate) struct Beside {
    asks: mpsc::Receiver<Standing>,
    left_out: watch::Sender<HashSet<u32>>,
    /// Ends with this.
    _task: JoinSet<()>,
}

impl Beside {
    /// Starts the task that looks after such tables.
    pub(crate) fn start(ready: &Ready, stop: &Stop, system_id: &str) -> Self {
        let (to, asks) = mpsc::channel(1);
        let (left_out, seen) = watch::channel(HashSet::new());
        let task =
            Task { ready: ready.clone(), stop: stop.clone(), system_id: system_id.to_owned(), to, seen };
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run());
        Self { asks, left_out, _task: tasks }
    }

    /// The stream has begun, and leaves these tables out.
    pub(crate) fn leaves_out(&self, oids: HashSet<u32>) {
        self.left_out.send_replace(oids);
    }

    /// Waits until the stream is to stand still.
    pub(crate) async fn asked(&mut self) -> Standing {
        match self.asks.recv().await {
            Some(standing) => standing,
            None => std::future::pending().await,
        }
    }
}

struct Task {
    ready: Ready,
    stop: Stop,
    system_id: String,
    to: mpsc::Sender<Standing>,
    /// What the stream leaves out.
    seen: watch::Receiver<HashSet<u32>>,
}

/// How an attempt ended that met no error.
enum End {
    /// All that were wanted have come to an end.
    Done,
    /// Some have changed meanwhile, or a stop has come.
    Again,
}

impl Task {
    async fn run(mut self) {
        // A process that was ended while it copied has left its slot; if nothing waits any more, nobody else removes it.
        if let Err(error) = remove_slot(&self.ready.source.wal.beside()).await {
            tracing::debug!(%error, "the slot of tables beside the stream");
        }
        let mut session = None;
        loop {
            let mut pause = PERIOD;
            if let Err(error) = self.look(&mut session).await {
                // One that is broken is opened anew.
                session = None;
                pause = PAUSE;
                tracing::warn!(%error, "tables beside the stream: trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.requested() => return,
            }
        }
    }

    /// Copies what waits. An error is one that may pass.
    async fn look(&mut self, session: &mut Option<Asked>) -> Result<(), Error> {
        let asked = match session {
            Some(asked) => asked,
            None => {
                let url = &self.ready.target.postgres.url;
                session.insert(Asked::open(url, &self.system_id, &self.ready.source.wal.slot).await?)
            }
        };
        let mut wanted = asked.waiting().await?;
        if wanted.is_empty() {
            return Ok(());
        }
        let oids: Vec<u32> = wanted.iter().map(|wanted| wanted.oid).collect();
        let others = listen::wal::sent_as(&self.ready.source.wal, &oids).await?;
        if !others.is_empty() {
            asked.replace(&others).await?;
            wanted = asked.waiting().await?;
        }
        let names = names_of(&wanted);
        tracing::info!(tables = names, "copying tables beside the stream");
        self.leave_out(&wanted).await?;
        let oids: Vec<u32> = wanted.iter().map(|wanted| wanted.oid).collect();
        // A role that may not is told with the statement; the copy then finds that they are not sent.
        if let Err(error) = listen::wal::publish(&self.ready.source.wal, &oids, false).await {
            tracing::error!(tables = names, %error, "the publication does not send them");
        }
        let mut groups = vec![wanted];
        while let Some(mut group) = groups.pop() {
            let error = match self.attempt(asked, &group).await {
                Ok(End::Done) => continue,
                Ok(End::Again) => {
                    tracing::info!(
                        tables = names_of(&group),
                        "not copied as they are wanted now: looking again"
                    );
                    return Ok(());
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => error,
            };
            if group.len() > 1 && may_be_of_one(&error) {
                // What one of them lacks does not keep the others.
                tracing::warn!(tables = names_of(&group), %error, "copying each half by itself");
                groups.push(group.split_off(group.len() / 2));
                groups.push(group);
                continue;
            }
            let tables = names_of(&group);
            tracing::error!(tables, %error, "tables left out of the stream: they cannot be copied");
            for wanted in &group {
                asked.settle(wanted, State::Failed, Some(&error.to_string())).await?;
            }
        }
        Ok(())
    }

    /// Copies tables and has them join, with a slot of its own.
    async fn attempt(&self, asked: &Asked, wanted: &[Wanted]) -> Result<End, Error> {
        let beside = self.ready.source.wal.beside();
        asked.forget(&beside.slot).await?;
        make_slot(&beside).await?;
        let ended = self.copy(asked, wanted).await;
        let removed = remove_slot(&beside).await;
        asked.forget(&beside.slot).await?;
        let ended = ended?;
        removed?;
        Ok(ended)
    }

    /// Has the stream begin again without these tables, unless it leaves them out already.
    async fn leave_out(&mut self, wanted: &[Wanted]) -> Result<(), Error> {
        let all = |oids: &HashSet<u32>| wanted.iter().all(|wanted| oids.contains(&wanted.oid));
        if !all(&self.seen.borrow()) {
            drop(self.stand().await?);
            self.seen.wait_for(all).await.map_err(|_| STREAM)?;
        }
        Ok(())
    }

    /// Has the stream stand still until the answer is dropped. It may be in an outage meanwhile.
    async fn stand(&self) -> Result<oneshot::Sender<()>, Error> {
        let (stands, standing) = oneshot::channel();
        let (going_on, go_on) = oneshot::channel();
        self.to.send(Standing { stands, go_on }).await.map_err(|_| STREAM)?;
        standing.await.map_err(|_| Error::Interrupted)?;
        Ok(going_on)
    }

    async fn copy(&self, asked: &Asked, wanted: &[Wanted]) -> Result<End, Error> {
        let ready = self.beside();
        let slot = &self.ready.source.wal.slot;
        // A moment keeps the source from cleaning up: it is not taken for a stream that is far behind.
        let written = listen::wal::written(&ready.source.wal).await?;
        if !self.arrives(asked, slot, written).await? {
            return Ok(End::Again);
        }
        let ledger =
            Ledger::open(&ready.target.postgres.url, &self.system_id, &ready.source.wal.slot).await?;
        let chain = block_in_place(|| Chain::load(&ready.modifiers))?;
        let digest = chain.digest();
        // A file may have been replaced since the stream loaded it.
        if !asked.is_made_by(&digest).await? {
            return Err(Error::ChangedModifiers);
        }
        let modifier = Modifier::start(chain);
        let asking = Asking { slot, tables: wanted };
        let copy = Copy {
            ready: &ready,
            stop: &self.stop,
            modifier: &modifier,
            digest: digest.clone(),
            asked: Some(asking),
        };
        let mut moment = self.moment(&ready, wanted).await?;
        if !self.arrives(asked, slot, moment.lsn).await? {
            return Ok(End::Again);
        }
        // Now they have the names that the moment gives them, if they are there.
        let missing = missing(&copy, &ledger, &moment, wanted).await?;
        if !missing.is_empty() {
            moment = self.make(&copy, &ledger, wanted, &missing).await?;
            if !self.arrives(asked, slot, moment.lsn).await? {
                return Ok(End::Again);
            }
        }
        let (horizon, lsn) = (moment.horizon.clone(), moment.lsn);
        let whole = Whole {
            phase: Phase::Rows,
            horizon: horizon.clone(),
            lsn,
            chain: digest,
            fresh: true,
            with_schema: false,
        };
        ledger.begin(&whole, None).await?;
        let round = rows::round(&copy, &ledger, &moment, false).await;
        let chain = modifier.end().await.ok_or(Error::Bug { stage: "modifiers" })?;
        let stale = round?.stale;
        if self.stop.is_requested() {
            return Ok(End::Again);
        }
        let copied = self.settle(asked, wanted, &ledger, &moment).await?;
        drop((moment, ledger));
        if copied.is_empty() {
            return Ok(if stale > 0 { End::Again } else { End::Done });
        }
        fault::here!("tables-copied");
        let mut of = Copied::default();
        of.only(copied.iter().map(|wanted| wanted.oid));
        for wanted in &copied {
            of.table(wanted.oid, horizon.clone(), lsn);
        }
        let joined = self.join(asked, &ready, chain, &copied, (lsn, of)).await?;
        Ok(if stale > 0 { End::Again } else { joined })
    }

    /// The moment of the copy, with the wanted tables alone.
    async fn moment(&self, ready: &Ready, wanted: &[Wanted]) -> Result<Moment, Error> {
        let mut moment = Moment::take(&options(&ready.source)).await?;
        moment.tables.retain(|table| wanted.iter().any(|wanted| wanted.oid == table.relation.oid));
        Ok(moment)
    }

    /// Makes tables that the target lacks, as of a new moment, while the stream stands still: what the source did to them
    /// before is in them, and what it does later comes by the stream.
    async fn make(
        &self,
        copy: &Copy<'_>,
        ledger: &Ledger,
        wanted: &[Wanted],
        missing: &HashSet<u32>,
    ) -> Result<Moment, Error> {
        let stood = self.stand().await?;
        let moment = self.moment(copy.ready, wanted).await?;
        let mut ready = copy.ready.clone();
        let made = moment.tables.iter().filter(|table| missing.contains(&table.relation.oid));
        let names: Vec<String> = made.map(|table| postgres::table(&table.relation.name)).collect();
        ready.source.snapshot.selection = Selection::parse(&names, &[], &[])?;
        ready.source.snapshot.schema.clean = false;
        ready.source.snapshot.schema.global_objects = false;
        let there = copy::tables(ledger.client()).await?;
        let schema = Schema { ready: &ready, kept_back: Vec::new(), there };
        let archive = schema.dump(&moment).await?;
        let oids: Vec<u32> = missing.iter().copied().collect();
        ledger.transaction("BEGIN").await?;
        schema.at_once(&archive, ledger.client()).await?;
        let (slot, at) = (&self.ready.source.wal.slot, (&moment.horizon, moment.lsn));
        copy::made(ledger.client(), &self.system_id, slot, &oids, at).await?;
        ledger.transaction("COMMIT").await?;
        fault::here!("tables-made");
        drop(stood);
        Ok(moment)
    }

    /// Notes what became of those that will not join, and says which will.
    async fn settle(
        &self,
        asked: &Asked,
        wanted: &[Wanted],
        ledger: &Ledger,
        moment: &Moment,
    ) -> Result<Vec<Wanted>, Error> {
        let entries = ledger.entries().await?;
        let mut copied = Vec::new();
        for wanted in wanted {
            let entry = entries.iter().find(|entry| entry.oid == wanted.oid);
            let (state, reason) = match entry {
                Some(entry) if entry.state == State::Done => {
                    copied.push(wanted.clone());
                    continue;
                }
                // Emptied or written anew since the moment: as of another one.
                Some(Entry { state: State::Waiting | State::Copying, .. }) => continue,
                Some(entry) => (entry.state, entry.reason.as_deref()),
                None if !moment.is_there(wanted.oid).await? => (State::Gone, None),
                None if moment.tables.iter().any(|table| table.relation.oid == wanted.oid) => {
                    (State::Failed, Some("the modifiers keep it from the target"))
                }
                None => (State::Failed, Some("the publication does not send it")),
            };
            tracing::error!(table = %wanted.table, reason, "table left out of the stream");
            asked.settle(wanted, state, reason).await?;
        }
        Ok(copied)
    }

    /// Brings what was committed since the moment, then the tables back into the stream.
    async fn join(
        &self,
        asked: &Asked,
        ready: &Ready,
        chain: Chain,
        tables: &[Wanted],
        (since, copied): (Lsn, Copied),
    ) -> Result<End, Error> {
        let (slot, beside) = (&self.ready.source.wal.slot, &ready.source.wal.slot);
        let before = |until| pipeline::Until {
            before: Before { since: Some(since), copied: copied.clone(), waiting: HashSet::new() },
            until,
        };
        let mut chain = chain;
        loop {
            let began = Instant::now();
            let until = asked.applied(slot).await?;
            chain = pipeline::run_until(ready, chain, &self.stop, before(until)).await?;
            if self.stop.is_requested() {
                return Ok(End::Again);
            }
            if began.elapsed() < NEAR {
                break;
            }
        }
        fault::here!("tables-near");
        let stood = self.stand().await?;
        let began = Instant::now();
        let until = asked.applied(slot).await?;
        pipeline::run_until(ready, chain, &self.stop, before(until)).await?;
        if asked.applied(beside).await? < until {
            return Ok(End::Again);
        }
        let joined = asked.hand_over(tables, beside, until).await?;
        drop(stood);
        let paused = began.elapsed();
        for wanted in tables.iter().filter(|wanted| joined.contains(&wanted.oid)) {
            tracing::info!(table = %wanted.table, lsn = %until, ?paused, "the stream has the table again");
        }
        Ok(if joined.len() == tables.len() { End::Done } else { End::Again })
    }

    /// Waits until the target has everything before `lsn` from the stream. False if a stop came before.
    async fn arrives(&self, asked: &Asked, slot: &str, lsn: Lsn) -> Result<bool, Error> {
        while asked.applied(slot).await? < lsn {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.requested() => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The configuration of the copy and of the second stream.
    fn beside(&self) -> Ready {
        let mut ready = self.ready.clone();
        ready.source.wal = ready.source.wal.beside();
        ready.source.mode = Mode::SnapshotAndReplication;
        let snapshot = &mut ready.source.snapshot;
        snapshot.selection = Selection::parse(&[], &[], &[]).unwrap_or_default();
        snapshot.what = What::Data;
        snapshot.existing = Existing::Truncate;
        // That it is the stream's chain is looked at.
        ready.accept_changed_modifiers = true;
        ready
    }
}

fn names_of(tables: &[Wanted]) -> String {
    tables.iter().map(|wanted| wanted.table.to_string()).collect::<Vec<_>>().join(", ")
}

/// Whether an error may be of one table alone.
fn may_be_of_one(error: &Error) -> bool {
    matches!(
        error,
        Error::Snapshot(_) | Error::Modify(_) | Error::Dump(_) | Error::Restore(_) | Error::Copy(_)
    )
}

/// The oids of tables of the moment that the target lacks and that the modifiers do not keep from it.
async fn missing(
    copy: &Copy<'_>,
    ledger: &Ledger,
    moment: &Moment,
    wanted: &[Wanted],
) -> Result<HashSet<u32>, Error> {
    let kept_back = copy.kept_back(moment).await?;
    let names = moment.tables.iter().map(|table| table.relation.name.clone());
    let names: Vec<TableName> = names.filter(|name| !kept_back.contains(name)).collect();
    let missing = copy::missing(ledger.client(), &names).await?;
    // One that was made by hand meanwhile stays as it is; as of when it is has to be noted all the same.
    let was_missing = |oid| wanted.iter().any(|wanted| wanted.oid == oid && wanted.is_missing);
    let tables = moment.tables.iter().map(|table| &table.relation).filter(|relation| {
        !kept_back.contains(&relation.name) && (missing.contains(&relation.name) || was_missing(relation.oid))
    });
    Ok(tables.map(|relation| relation.oid).collect())
}

const STREAM: Error = Error::Bug { stage: "stream" };
