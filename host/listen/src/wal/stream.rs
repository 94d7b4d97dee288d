//! The loop: receives, collects, sends batches, tells the server what is confirmed, ends in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buffer::{Budget, Held};
use bytes::Bytes;
use event::{Lsn, ReplicaIdentity};
use postgres::{Client, Message};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::wal::collect::Collector;
use crate::wal::copied::Copied;
use crate::wal::ending::{FAREWELL, arrives, is_released};
use crate::wal::looks::{SETTLE, acknowledge, answer, describe, is_without_identity};
use crate::wal::progress::{Progress, Summary};
use crate::wal::relation::{self, Relations};
use crate::wal::server::Server;
use crate::wal::session::Session;
use crate::wal::source::Wanted;
use crate::wal::{Error, Options, SCHEMA, catalog, log, slot};

/// While commits follow each other closely, a batch waits this long for more: what it costs to pass a batch on is
/// shared by all that it holds. The first commit after a pause waits for nothing.
const LINGER: Duration = Duration::from_millis(2);
/// Commits closer than this follow each other closely.
const PAUSE: Duration = Duration::from_millis(5);
/// The server sends a transaction only when it is committed, so its rest is on its way: a part of it may wait longer.
const REST: Duration = Duration::from_millis(10);
/// Positions without rows are passed on at most this often.
const BEAT: Duration = Duration::from_secs(1);
/// How long a stop waits for the end of an open transaction.
const GRACE: Duration = Duration::from_millis(250);
/// After so long without a message the server is asked whether it still has a reader for the slot.
const SILENCE: Duration = Duration::from_secs(30);
/// Versions of schemas are acknowledged at most this often.
const ACKNOWLEDGE: Duration = Duration::from_millis(100);
/// So many messages found by one read are load.
const BUSY: usize = 16;
/// Under load the connection is left alone for so long between two reads: a server that is read after each row wakes
/// us for each, and both do little else.
const BREATH: Duration = Duration::from_millis(1);

/// What a stream is made of.
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) server: Server,
    pub(crate) session: Session,
    pub(crate) client: Client,
    pub(crate) relations: Relations,
    pub(crate) copied: Copied,
    /// Where it ends; `None`: when it is stopped.
    pub(crate) until: Option<Lsn>,
    pub(crate) wanted: Wanted,
    pub(crate) tracked: Option<Tracked>,
    pub(crate) progress: Arc<Progress>,
    /// What the slot had confirmed before.
    pub(crate) acknowledged: Lsn,
    pub(crate) start: Lsn,
    pub(crate) out: mpsc::Sender<Held>,
    pub(crate) budget: Budget,
    pub(crate) confirmed: watch::Receiver<Lsn>,
    pub(crate) stop: CancellationToken,
}

/// The schema log is in the stream.
pub(crate) struct Tracked {
    /// Tables with versions that were not acknowledged when the stream began.
    pub(crate) pending: HashSet<u32>,
    /// The publication, if it is one of some tables only: what happens to others is left out.
    pub(crate) publication: Option<String>,
    /// Versions may be acknowledged; not on a standby, nor without the right to.
    pub(crate) acknowledges: bool,
}

/// A stream at work.
pub(crate) struct Stream {
    options: Options,
    server: Server,
    session: Session,
    client: Client,
    wanted: Wanted,
    tracked: Option<Tracked>,
    progress: Arc<Progress>,
    acknowledged: Lsn,
    out: mpsc::Sender<Held>,
    budget: Budget,
    confirmed: Confirmed,
    stop: CancellationToken,
    collector: Collector,
    /// When versions should be acknowledged, if there may be some.
    acknowledge_at: Option<Instant>,
    /// When the batch that is being collected should go, if it is not empty.
    cut_at: Option<Instant>,
    last_cut: Instant,
    last_beat: Instant,
    last_message: Instant,
    /// Set once a stop was asked for: when it has to be.
    stop_by: Option<Instant>,
    /// Nothing may be sent any more: something was left out, or all is there.
    ended: bool,
    /// The replication connection works.
    alive: bool,
}

/// The way back: what may be acknowledged.
struct Confirmed {
    receiver: watch::Receiver<Lsn>,
    open: bool,
}

impl Confirmed {
    /// Waits for the next position. Never returns once no position can follow.
    async fn moved(&mut self) {
        if !self.open {
            std::future::pending::<()>().await;
        }
        self.open = self.receiver.changed().await.is_ok();
    }

    fn tell(&mut self, session: &mut Session) -> Lsn {
        let lsn = *self.receiver.borrow_and_update();
        fault::here!("acknowledging");
        session.confirm(lsn);
        lsn
    }
}

impl Stream {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        parts.progress.received.store(parts.start.0, Ordering::Relaxed);
        let mut collector = Collector::new(parts.relations, parts.start, parts.copied);
        collector.end_at(parts.until);
        Self {
            collector,
            confirmed: Confirmed { receiver: parts.confirmed, open: true },
            options: parts.options,
            server: parts.server,
            session: parts.session,
            client: parts.client,
            wanted: parts.wanted,
            tracked: parts.tracked,
            progress: parts.progress,
            acknowledged: parts.acknowledged,
            out: parts.out,
            budget: parts.budget,
            stop: parts.stop,
            acknowledge_at: None,
            cut_at: None,
            last_cut: now,
            last_beat: now,
            last_message: now,
            stop_by: None,
            ended: false,
            alive: true,
        }
    }

    /// Streams, then ends in order.
    pub(crate) async fn run(mut self) -> Result<Summary, Error> {
        // What the channel holds at the start is durable already.
        self.confirmed.tell(&mut self.session);
        let result = self.receive().await;
        if let Err(error) = &result {
            tracing::warn!(%error, "stream ended");
        }
        let alive = self.alive;
        let summary = self.finish().await;
        match result {
            Err(error) => Err(error),
            Ok(()) if !alive => Err(Error::lost("the stream ended without a reason")),
            Ok(()) => Ok(summary),
        }
    }

    async fn receive(&mut self) -> Result<(), Error> {
        loop {
            let busy = self.take_what_is_there().await? >= BUSY;
            if self.is_over() {
                return Ok(());
            }
            let wake = self.wake();
            let due = self.session.due();
            let read_from = if busy { Instant::now() + BREATH } else { Instant::now() };
            let session = &mut self.session;
            let more = async {
                if busy {
                    session.pause()?;
                    sleep_until(read_from).await;
                }
                session.fill().await
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if self.stop_by.is_none() => self.stop_by = Some(Instant::now() + GRACE),
                () = self.confirmed.moved() => {
                    self.confirmed.tell(&mut self.session);
                    if self.collector.log.is_waiting() {
                        self.acknowledge_at.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE);
                    }
                }
                () = sleep_until(due) => self.tell().await?,
                () = sleep_until(wake) => self.woken().await?,
                read = more => {
                    self.last_message = Instant::now();
                    self.alive(read)?;
                }
            }
        }
    }

    /// Takes every message that has arrived already, without waiting, and says how many.
    async fn take_what_is_there(&mut self) -> Result<usize, Error> {
        let mut taken = 0;
        while !self.ended {
            let next = self.session.next();
            let Some(message) = self.alive(next)? else { break };
            self.take(message).await?;
            taken += 1;
        }
        Ok(taken)
    }

    /// After an error of the session nothing can be sent or told any more.
    fn alive<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.alive = false;
            self.ended = true;
        }
        result
    }

    async fn tell(&mut self) -> Result<(), Error> {
        let told = self.session.tell().await;
        self.alive(told)
    }

    async fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Data(data) => {
                self.take_data(data).await?;
                if let Some(committed_at) = self.collector.committed_at() {
                    self.progress.committed_at.store(committed_at, Ordering::Relaxed);
                }
            }
            Message::KeepAlive { end, reply } => {
                self.collector.keepalive(end);
                // A server that asks may be waiting for us before it shuts down.
                if reply {
                    self.collector.heartbeat();
                }
            }
        }
        if self.collector.is_over() {
            self.collector.heartbeat();
            if !self.collector.is_empty() {
                self.pass().await?;
            }
            self.ended = true;
            return Ok(());
        }
        if self.collector.is_full() {
            return self.pass().await;
        }
        self.plan();
        Ok(())
    }

    async fn take_data(&mut self, data: Bytes) -> Result<(), Error> {
        let Some(message) = self.collector.take(&data)? else { return Ok(()) };
        let is_new = message.schema != SCHEMA
            && self.tracked.as_mut().is_some_and(|tracked| {
                tracked.pending.remove(&message.oid) || self.collector.relations.get(message.oid).is_none()
            });
        if is_new {
            self.bring_forward(message.oid).await?;
        }
        let relation = match self.collector.relations.of_message(&message, self.collector.xid()) {
            Some(relation) => relation,
            None => {
                let look = async {
                    catalog::settle(&self.client, self.collector.xid(), SETTLE).await?;
                    describe(&self.client, &self.collector.relations, &message).await
                };
                answer("no answer to a look into the catalog", look).await??
            }
        };
        if let Some(table) = relation::without_identity(&relation)
            && relation.name.schema != SCHEMA
            && (self.wanted)(&relation.name)
            // The message says what the table was then: only inserts can have come, since Postgres itself refused the
            // rest. Once the table is mended, they must not stop the stream any more.
            && is_without_identity(&self.client, self.collector.xid(), relation.oid).await?
        {
            // Who makes a table cannot know of us, and Postgres itself refuses what could not be sent.
            let before = self.collector.relations.get(relation.oid);
            let had_one = before.is_some_and(|known| relation::without_identity(&known.relation).is_none());
            if had_one && !is_new || table.identity != ReplicaIdentity::Default {
                return Err(Error::NoReplicaIdentity { tables: vec![table] });
            }
            if is_new {
                tracing::warn!(table = %table.table, "only inserts can be replicated: no primary key");
            }
        }
        if self.tracked.is_none()
            && let Some(known) = self.collector.relations.get(relation.oid)
            && !known.ours
            // The catalog may be ahead: only what the stream has shown before is what came before.
            && known.is_sent
            && let Some(entry) = log::seen(&known.relation, &relation)
        {
            tracing::warn!(
                table = %relation.name,
                "columns have changed; without the schema log defaults, constraints and indexes are not followed"
            );
            self.collector.define(entry)?;
            self.pass().await?;
        }
        self.collector.relations.learn(relation);
        Ok(())
    }

    /// A table is new, and its first row may come before the version that makes it: then that takes effect here.
    async fn bring_forward(&mut self, oid: u32) -> Result<(), Error> {
        let look = async {
            catalog::settle(&self.client, self.collector.xid(), SETTLE).await?;
            log::of_new_table(&self.client, self.collector.xid(), oid).await
        };
        for entry in answer("no answer to a look into the schema log", look).await?? {
            self.collector.define(entry)?;
            if self.collector.is_full() {
                self.pass().await?;
            }
        }
        Ok(())
    }

    /// Decides when the batch goes, once it holds something.
    fn plan(&mut self) {
        if self.collector.is_empty() {
            self.cut_at = None;
        } else if self.cut_at.is_none() {
            let now = Instant::now();
            let closely = now.duration_since(self.last_cut) < PAUSE;
            self.cut_at = Some(if closely { now + LINGER } else { now });
        }
    }

    /// When there is something to do although no message comes.
    fn wake(&self) -> Instant {
        let beat = self.collector.has_heartbeat().then_some(self.last_beat + BEAT);
        let silence = self.last_message + SILENCE;
        [self.due(), beat, self.stop_by, self.acknowledge_at]
            .into_iter()
            .flatten()
            .fold(silence, Instant::min)
    }

    /// When the batch goes.
    fn due(&self) -> Option<Instant> {
        let rest = if self.collector.in_transaction() { REST } else { Duration::ZERO };
        self.cut_at.map(|at| at + rest)
    }

    async fn woken(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.collector.has_heartbeat() && now >= self.last_beat + BEAT {
            self.last_beat = now;
            self.collector.heartbeat();
            self.plan();
        }
        if self.acknowledge_at.is_some_and(|at| now >= at) {
            self.acknowledge_at = None;
            let confirmed = self.confirmed.tell(&mut self.session);
            acknowledge(&self.client, &mut self.collector, self.tracked.as_mut(), confirmed).await?;
        }
        if now >= self.last_message + SILENCE {
            self.last_message = now;
            self.ask_for_reader().await?;
        }
        if self.due().is_some_and(|due| now >= due) {
            return self.pass().await;
        }
        Ok(())
    }

    /// Whether the stream should end here.
    fn is_over(&self) -> bool {
        let near = !self.collector.in_transaction() || self.stop_by.is_some_and(|by| Instant::now() >= by);
        self.ended || (self.stop_by.is_some() && near)
    }

    /// A connection that died without a word looks like silence; the server knows better.
    async fn ask_for_reader(&mut self) -> Result<(), Error> {
        let look = slot::find(&self.client, &self.server, &self.options.slot);
        let slot = answer("the server does not answer", look).await??;
        let slot = slot.ok_or_else(|| Error::NoSlot { slot: self.options.slot.clone() })?;
        slot.check(&self.options)?;
        if slot.active_pid.is_none() {
            self.alive = false;
            return Err(Error::lost("the server has no reader for the slot any more"));
        }
        Ok(())
    }

    /// Sends the batch. Waits where the budget is spent or the next stage is slow; what is confirmed meanwhile is
    /// still told, and the session goes on to answer the server.
    async fn pass(&mut self) -> Result<(), Error> {
        let mut batch = self.collector.cut();
        if let Some(event::Step::Schema(entry)) = batch.order.last_mut()
            && let Some(Tracked { publication: Some(publication), .. }) = &self.tracked
        {
            let look = log::unpublished(&self.client, publication, &entry.changes);
            entry.left_out.extend(answer("no answer to a look into the publication", look).await??);
        }
        fault::here!("batch-cut");
        self.cut_at = None;
        let rows = batch.rows() as u64;
        let commits =
            batch.order.iter().filter(|step| matches!(step, event::Step::Commit { .. })).count() as u64;
        let end = batch.end();
        let (budget, out) = (&self.budget, &self.out);
        let send = async move {
            let held = budget.hold(batch).await;
            out.send(held).await.is_ok()
        };
        tokio::pin!(send);
        let sent = loop {
            let stop_by = self.stop_by.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                sent = &mut send => break sent,
                () = self.confirmed.moved() => { self.confirmed.tell(&mut self.session); }
                () = sleep_until(self.session.due()) => {
                    // The error will be found when the next message is read.
                    if self.session.tell().await.is_err() {
                        self.alive = false;
                        break false;
                    }
                }
                () = self.stop.cancelled(), if self.stop_by.is_none() => self.stop_by = Some(Instant::now() + GRACE),
                () = sleep_until(stop_by), if self.stop_by.is_some() => break false,
            }
        };
        self.last_cut = Instant::now();
        if !sent {
            // It comes again, since nobody confirms it; what follows it must not be sent without it.
            self.ended = true;
            return Ok(());
        }
        fault::here!("batch-passed-on");
        self.progress.rows.fetch_add(rows, Ordering::Relaxed);
        self.progress.transactions.fetch_add(commits, Ordering::Relaxed);
        if let Some(end) = end {
            self.progress.received.store(end.0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Closes the way out, follows the confirmed position to its end, and leaves the slot with it.
    async fn finish(self) -> Summary {
        let Self { out, mut session, client, server, options, mut confirmed, progress, mut alive, .. } = self;
        let (mut collector, mut tracked) = (self.collector, self.tracked);
        drop(out);
        while confirmed.open {
            tokio::select! {
                biased;
                () = confirmed.moved() => { confirmed.tell(&mut session); }
                () = sleep_until(session.due()), if alive => alive = session.tell().await.is_ok(),
            }
        }
        let last = confirmed.tell(&mut session);
        if alive {
            // What is not told now is told by the next run.
            let _told = acknowledge(&client, &mut collector, tracked.as_mut(), last).await;
        }
        let mut acknowledged = last <= self.acknowledged;
        if alive {
            let told = timeout(FAREWELL, session.tell()).await.is_ok_and(|told| told.is_ok());
            acknowledged = acknowledged || (told && arrives(&client, &server, &options.slot, last).await);
            fault::here!("acknowledged");
            // One that takes too long is ended by being dropped.
            let _ended = timeout(FAREWELL, session.close()).await;
            is_released(&client, &server, &options.slot).await;
        }
        tracing::info!(slot = options.slot, confirmed = %last, acknowledged, "stream closed");
        Summary {
            transactions: progress.transactions(),
            rows: progress.rows(),
            received: progress.received(),
            confirmed: last,
            acknowledged,
        }
    }
}
