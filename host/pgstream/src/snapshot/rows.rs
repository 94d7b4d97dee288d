//! One round of copying: every table that is not complete, as of one moment, by several readers at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use event::Batch;
use listen::snapshot::{Moment, Reader, Rows, Table, Task, tasks};
use modify::Route;
use sink::postgres::copy::{self, Copier, Entry, Existing, Ledger, Plan, Range, State};
use tokio::sync::mpsc;

use super::modifier::Handle;
use super::progress::{FIRST, PERIOD, Progress, Telling};
use super::queue::Queue;
use super::{Copy, failure};
use crate::failure::Error;

/// How much is read before it is written.
const PIECE: usize = 256 << 10;
/// How many pieces a reader may be ahead of its writer.
const AHEAD: usize = 4;

/// How often somebody looks what people want.
const LOOK: Duration = Duration::from_secs(1);

/// What a round has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Tables that were changed while they were read: for a round with a new moment.
    pub(super) stale: usize,
    /// Tables that could not be copied, each with its reason.
    pub(super) failed: Vec<String>,
}

/// What all readers of a round share.
struct Round {
    tables: Vec<Table>,
    /// One a table.
    ways: Vec<Way>,
    queue: Queue,
    progress: Arc<Progress>,
    lsn: event::Lsn,
    taken_at: i64,
}

/// How a table goes, and how far it is.
struct Way {
    route: Route,
    binary: bool,
    /// Ranges that are left.
    left: AtomicU64,
    /// See [`GOING`] and what follows.
    fate: AtomicUsize,
    reason: Mutex<Option<String>>,
}

const GOING: usize = 0;
const STALE: usize = 1;
const FAILED: usize = 2;
/// Nobody wants it as it is being copied.
const UNWANTED: usize = 3;

/// Copies what is not complete. In the `last` round a table that changes under the reader has failed.
pub(super) async fn round(
    copy: &Copy<'_>,
    ledger: &Ledger,
    moment: &Moment,
    last: bool,
) -> Result<Left, Error> {
    let ready = copy.ready;
    let settings = &ready.source.snapshot;
    let entries = ledger.entries().await?;
    let entry_of = |table: &Table| entries.iter().find(|entry| entry.oid == table.relation.oid);
    let complete = |entry: &Entry| matches!(entry.state, State::Done | State::Gone);
    let mut tables: Vec<Table> = moment.tables.clone();
    tables.retain(|table| !entry_of(table).is_some_and(complete));
    let relations: Vec<_> = tables.iter().map(|table| Arc::clone(&table.relation)).collect();
    let routes = copy.modifier.bind(relations, moment.names.clone()).await?;
    let mut routes = routes.into_iter();
    let mut routed = Vec::new();
    tables.retain(|_| {
        let route = routes.next().unwrap_or(Route::Nowhere);
        let keeps = matches!(route, Route::AsTheyAre | Route::Through);
        routed.extend(keeps.then_some(route));
        keeps
    });
    let relations: Vec<_> = tables.iter().map(|table| Arc::clone(&table.relation)).collect();
    let plans = copy::check(ledger.client(), &ready.target.postgres.url.user, &relations).await?;
    refuse_rows(&tables, &plans, &entries, settings.existing)?;
    // What the source dropped since the last round.
    for entry in entries.iter().filter(|entry| !complete(entry)) {
        if !moment.names.contains(&entry.table) && !moment.is_there(entry.oid).await? {
            tracing::warn!(table = %entry.table, "the source has dropped it");
            ledger.give_up(entry.oid, State::Gone, None).await?;
        }
    }
    let range_bytes = u64::try_from(settings.range_bytes).unwrap_or(u64::MAX);
    let tasks = tasks(&tables, range_bytes, |_| true);
    let total = tables.iter().map(Table::bytes).sum();
    let progress = Arc::new(Progress::begin(total, settings.disable_progress));
    let mut copier = connect(copy, ledger).await?;
    let mut ways = Vec::new();
    for (at, ((table, plan), route)) in tables.iter().zip(&plans).zip(routed).enumerate() {
        let ranges = tasks.iter().filter(|task| task.table == at).count() as u64;
        let known = entry_of(table);
        let ours = known
            .map_or_else(|| !plan.has_rows || settings.existing == Existing::Truncate, |entry| entry.ours);
        let entry = Entry {
            oid: table.relation.oid,
            table: table.relation.name.clone(),
            state: State::Waiting,
            horizon: moment.horizon.clone(),
            lsn: moment.lsn,
            ours,
            rows: 0,
            bytes: 0,
            total_bytes: table.bytes(),
            paused: false,
            reason: None,
        };
        ledger.plan(&entry, ranges).await?;
        fault::here!("copy-planned");
        if ours && (plan.has_rows || known.is_some()) {
            copier.empty(&table.relation.name).await?;
            fault::here!("copy-emptied");
        }
        let binary = route == Route::AsTheyAre && table.portable && plan.same_types;
        let (left, fate) = (AtomicU64::new(ranges), AtomicUsize::new(GOING));
        ways.push(Way { route, binary, left, fate, reason: Mutex::default() });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let round = Arc::new(Round {
        tables,
        ways,
        queue: Queue::new(tasks),
        progress: Arc::clone(&progress),
        lsn: moment.lsn,
        taken_at: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
    });
    let mut telling = Telling::new(&ready.source, moment, &progress);
    let result = work(copy, ledger, (moment, &round), copier, &mut telling).await;
    progress.end(result.is_ok());
    progress.line(None, if result.is_ok() { "rows copied" } else { "copy interrupted" });
    let left = settle(ledger, moment, &round, last).await;
    result?;
    left
}

/// Rows that a target has already, and that nobody said anything about.
fn refuse_rows(tables: &[Table], plans: &[Plan], entries: &[Entry], existing: Existing) -> Result<(), Error> {
    let mut full = Vec::new();
    for (table, plan) in tables.iter().zip(plans) {
        let name = &table.relation.name;
        match entries.iter().find(|entry| entry.oid == table.relation.oid) {
            Some(entry) if entry.ours => {}
            Some(entry) if entry.state == State::Copying || entry.rows > 0 => {
                return Err(copy::Error::Unfinished { table: name.clone() }.into());
            }
            Some(_) => {}
            None if plan.has_rows && existing == Existing::Refuse => full.push(name.clone()),
            None => {}
        }
    }
    if full.is_empty() { Ok(()) } else { Err(copy::Error::NotEmpty { tables: full }.into()) }
}

async fn connect(copy: &Copy<'_>, ledger: &Ledger) -> Result<Copier, Error> {
    let target = &copy.ready.target.postgres;
    Ok(Copier::connect(&target.url, ledger, target.disable_triggers).await?)
}

/// Runs the readers until there is nothing left, a stop comes, or one meets what all would meet.
async fn work(
    copy: &Copy<'_>,
    ledger: &Ledger,
    (moment, round): (&Moment, &Arc<Round>),
    first: Copier,
    telling: &mut Telling<'_>,
) -> Result<(), Error> {
    follow(copy, ledger, round).await;
    let workers = moment.readers(copy.ready.source.snapshot.workers).min(round.queue.len());
    let halt = copy.stop.token();
    let mut readers = tokio::task::JoinSet::new();
    let mut first = Some(first);
    for _ in 0..workers {
        let copier = match first.take() {
            Some(copier) => copier,
            None => connect(copy, ledger).await?,
        };
        let reader = moment.reader().await?;
        let worker = Worker { reader, copier, modifier: copy.modifier.handle(), round: Arc::clone(round) };
        readers.spawn(worker.run(halt.clone()));
    }
    let mut result = Ok(());
    let mut periods = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, PERIOD);
    let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
    loop {
        let ended = tokio::select! {
            ended = readers.join_next() => ended,
            _ = periods.tick() => {
                telling.tell().await;
                continue;
            }
            _ = looks.tick() => {
                follow(copy, ledger, round).await;
                continue;
            }
        };
        let Some(ended) = ended else { return result };
        let ended = ended.unwrap_or(Err(Error::Bug { stage: "reader of a snapshot" }));
        if let Err(error) = ended {
            halt.cancel();
            if result.is_ok() {
                result = Err(error);
            }
        }
    }
}

/// Follows what people want of the tables: some wait, others are not read any further.
async fn follow(copy: &Copy<'_>, ledger: &Ledger, round: &Round) {
    let (slot, asked) = copy.asked.as_ref().map_or((None, &[][..]), |asked| (Some(asked.slot), asked.tables));
    let wishes = match ledger.wishes(slot).await {
        Ok(wishes) => wishes,
        Err(error) => {
            // Writers meet it too, and say so.
            tracing::debug!(%error, "nobody knows whether tables are paused");
            return;
        }
    };
    let wish_of = |oid: u32| wishes.iter().find(|wish| wish.oid == oid);
    let mut paused = HashSet::new();
    let mut names = Vec::new();
    for (at, (table, way)) in round.tables.iter().zip(&round.ways).enumerate() {
        let oid = table.relation.oid;
        let wanted = asked.iter().find(|wanted| wanted.oid == oid);
        if wanted.is_some_and(|wanted| wish_of(oid).is_none_or(|wish| wish.epoch != wanted.epoch)) {
            let _ = way.fate.compare_exchange(GOING, UNWANTED, Ordering::Relaxed, Ordering::Relaxed);
        } else if wish_of(oid).is_some_and(|wish| wish.paused) && way.left.load(Ordering::Relaxed) > 0 {
            paused.insert(at);
            names.push(table.relation.name.to_string());
        }
    }
    if !round.queue.pause(paused) {
        return;
    }
    if names.is_empty() {
        tracing::info!("no table is paused any more");
    } else {
        let tables = names.join(", ");
        tracing::warn!(
            tables,
            "paused: the source keeps old row versions and its log for them until they are resumed or cancelled"
        );
    }
}

/// Notes what became of the tables that are not complete.
async fn settle(ledger: &Ledger, moment: &Moment, round: &Round, last: bool) -> Result<Left, Error> {
    let mut left = Left::default();
    for (table, way) in round.tables.iter().zip(&round.ways) {
        let (oid, name) = (table.relation.oid, &table.relation.name);
        match way.fate.load(Ordering::Relaxed) {
            STALE if !moment.is_there(oid).await? => {
                tracing::warn!(table = %name, "the source has dropped it");
                ledger.give_up(oid, State::Gone, None).await?;
            }
            STALE if !last => {
                tracing::warn!(table = %name, "it was changed while it was read: it is copied again");
                left.stale += 1;
            }
            STALE => {
                let reason = "it is changed again and again while it is read";
                ledger.give_up(oid, State::Failed, Some(reason)).await?;
                left.failed.push(failure(name, &reason));
            }
            UNWANTED => left.stale += 1,
            FAILED => {
                let reason = way.reason.lock().map_or(None, |mut reason| reason.take()).unwrap_or_default();
                ledger.give_up(oid, State::Failed, Some(&reason)).await?;
                left.failed.push(failure(name, &reason));
            }
            _ => {}
        }
    }
    Ok(left)
}

/// A reader with its writer.
struct Worker {
    reader: Reader,
    copier: Copier,
    modifier: Handle,
    round: Arc<Round>,
}

impl Worker {
    async fn run(mut self, halt: tokio_util::sync::CancellationToken) -> Result<(), Error> {
        let round = Arc::clone(&self.round);
        loop {
            let task = tokio::select! {
                biased;
                () = halt.cancelled() => return Ok(()),
                task = round.queue.next() => task,
            };
            let Some(task) = task else { return Ok(()) };
            let (Some(table), Some(way)) = (round.tables.get(task.table), round.ways.get(task.table)) else {
                continue;
            };
            if way.fate.load(Ordering::Relaxed) != GOING {
                continue;
            }
            round.progress.range_begins(task.table, &table.relation.name, table.bytes());
            let copied = tokio::select! {
                biased;
                () = halt.cancelled() => return Ok(()),
                copied = self.copy(table, way, &task) => copied,
            };
            match copied {
                Ok(true) => {
                    if way.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        round.progress.table_ends(task.table, true);
                        tracing::debug!(table = %table.relation.name, "table copied");
                    }
                }
                Ok(false) => {
                    way.fate.store(STALE, Ordering::Relaxed);
                    round.progress.table_ends(task.table, false);
                }
                Err(error) if is_of_table(&error) => {
                    tracing::error!(table = %table.relation.name, %error, "table left: the others go on");
                    if let Ok(mut reason) = way.reason.lock() {
                        reason.get_or_insert_with(|| error.to_string());
                    }
                    way.fate.store(FAILED, Ordering::Relaxed);
                    round.progress.table_ends(task.table, false);
                    self.copier.abandon().await?;
                    self.reader.abandon().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies one range; false if its table is not what it was.
    async fn copy(&mut self, table: &Table, way: &Way, task: &Task) -> Result<bool, Error> {
        if self.reader.start(table, task, way.binary).await?.is_err() {
            return Ok(false);
        }
        let range = Range {
            oid: table.relation.oid,
            table: table.relation.name.clone(),
            columns: table.relation.columns.iter().map(|column| column.name.clone()).collect(),
            binary: way.binary,
        };
        self.copier.begin(range).await?;
        let (rows, bytes) = match way.route {
            Route::Through => self.through(table, task).await?,
            Route::AsTheyAre | Route::SchemaOnly | Route::Nowhere => self.as_they_are().await?,
        };
        self.reader.finish().await?;
        self.copier.finish(rows, bytes).await?;
        self.round.progress.range_ends(task.table, rows, bytes, task.bytes);
        Ok(true)
    }

    /// Rows from server to server, without a look into them. One side is read while the other is written.
    async fn as_they_are(&mut self) -> Result<(u64, u64), Error> {
        let (reader, copier) = (&mut self.reader, &mut self.copier);
        let (to, mut from) = mpsc::channel::<Bytes>(AHEAD);
        let read = async move {
            let mut bytes = 0;
            loop {
                let mut piece = BytesMut::with_capacity(PIECE + (PIECE >> 2));
                let end = reader.read(&mut piece, PIECE).await?;
                bytes += piece.len() as u64;
                // Without a receiver the writer's error is what counts.
                let _ = to.send(piece.freeze()).await;
                if let Some(rows) = end {
                    return Ok::<_, Error>((rows, bytes));
                }
            }
        };
        let write = async {
            while let Some(piece) = from.recv().await {
                copier.write(piece).await?;
            }
            Ok(())
        };
        let (read, ()) = tokio::try_join!(read, write)?;
        Ok(read)
    }

    /// Rows through the chain.
    async fn through(&mut self, table: &Table, task: &Task) -> Result<(u64, u64), Error> {
        let mut rows = Rows::new(table, task, self.round.lsn, self.round.taken_at);
        let (reader, copier, modifier) = (&mut self.reader, &mut self.copier, &self.modifier);
        let (to, mut from) = mpsc::channel::<Batch>(AHEAD);
        let read = async move {
            let mut bytes = 0;
            loop {
                let before = rows.input().len();
                let end = reader.read(rows.input(), PIECE).await?;
                bytes += (rows.input().len() - before) as u64;
                while let Some(batch) = rows.batch()? {
                    let _ = to.send(modifier.apply(batch).await?).await;
                }
                if end.is_some() {
                    return Ok::<_, Error>(bytes);
                }
            }
        };
        let write = async {
            while let Some(batch) = from.recv().await {
                copier.write_batch(&batch).await?;
            }
            Ok(())
        };
        let (bytes, ()) = tokio::try_join!(read, write)?;
        Ok((self.copier.sent(), bytes))
    }
}

/// Whether an error is of one table alone.
fn is_of_table(error: &Error) -> bool {
    use listen::snapshot::Error as Read;
    matches!(
        error,
        Error::Snapshot(Read::Table { .. } | Read::Rows { .. })
            | Error::Copy(copy::Error::Rows { .. } | copy::Error::Count { .. })
            | Error::Modify(_)
    )
}
