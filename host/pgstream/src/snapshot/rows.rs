//! One round of copying: every table that is not complete, as of one moment, by several readers at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use listen::snapshot::{Moment, Table, tasks};
use modify::Route;
use sink::postgres::copy::{self, Copier, Entry, Existing, Key, Ledger, Plan, Range, State};

use super::progress::{FIRST, PERIOD, Progress, Telling};
use super::queue::Queue;
use super::worker::Worker;
use super::{Copy, failure, now};
use crate::config::{Snapshot, What};
use crate::failure::Error;

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
pub(super) struct Round {
    pub(super) tables: Vec<Table>,
    /// One a table.
    pub(super) ways: Vec<Way>,
    pub(super) queue: Queue,
    pub(super) progress: Arc<Progress>,
    pub(super) lsn: event::Lsn,
    pub(super) taken_at: i64,
}

/// How a table goes, and how far it is.
pub(super) struct Way {
    pub(super) route: Route,
    /// Each of its ranges.
    pub(super) range: Range,
    /// Whose place its rows take once they leave their table aside.
    pub(super) key: Option<Key>,
    /// Ranges that are left.
    pub(super) left: AtomicU64,
    /// See [`GOING`] and what follows.
    pub(super) fate: AtomicUsize,
    pub(super) reason: Mutex<Option<String>>,
}

pub(super) const GOING: usize = 0;
pub(super) const STALE: usize = 1;
pub(super) const FAILED: usize = 2;
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
    let user = &ready.target.postgres.url.user;
    let plans = copy::check(ledger.client(), user, &relations, settings.existing).await?;
    let ours = ours(&tables, &plans, &entries, settings)?;
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
    for (at, ((table, plan), (route, ours))) in
        tables.iter().zip(plans).zip(routed.into_iter().zip(ours)).enumerate()
    {
        let ranges = tasks.iter().filter(|task| task.table == at).count() as u64;
        let relation = &table.relation;
        let entry = Entry {
            oid: relation.oid,
            table: relation.name.clone(),
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
        let mut into = relation.name.clone();
        if !ours {
            into = copier.make_aside(relation).await?;
            fault::here!("aside-made");
        } else if plan.has_rows || entry_of(table).is_some() {
            copier.empty(&relation.name).await?;
            fault::here!("copy-emptied");
        }
        let range = Range {
            oid: relation.oid,
            table: relation.name.clone(),
            into,
            columns: relation.columns.iter().map(|column| column.name.clone()).collect(),
            binary: route == Route::AsTheyAre && table.portable && plan.same_types,
        };
        let key = plan.key.filter(|_| settings.existing == Existing::Upsert);
        let (left, fate) = (AtomicU64::new(ranges), AtomicUsize::new(GOING));
        ways.push(Way { route, range, key, left, fate, reason: Mutex::default() });
    }
    let round = Arc::new(Round {
        tables,
        ways,
        queue: Queue::new(tasks),
        progress: Arc::clone(&progress),
        lsn: moment.lsn,
        taken_at: now(),
    });
    let mut telling = Telling::new(&ready.source, moment, &progress);
    let result = work(copy, ledger, (moment, &round), copier, &mut telling).await;
    progress.end(result.is_ok());
    progress.line(None, if result.is_ok() { "rows copied" } else { "copy interrupted" });
    let left = settle(ledger, moment, &round, last).await;
    result?;
    // Those of tables that could not be copied, or have to be again. After a stop a session may not have ended yet.
    if !copy.stop.is_requested() {
        ledger.drop_asides().await?;
    }
    left
}

/// Whether a table that was not planned before has no rows on the target but those that we copy. One that is empty may get
/// rows of others while it is copied, unless the copy has just made it: then it has no key yet either.
fn becomes_ours(plan: &Plan, settings: &Snapshot) -> bool {
    match settings.existing {
        Existing::Refuse | Existing::Truncate => true,
        Existing::Append | Existing::Upsert => {
            settings.what == What::Full && !plan.has_rows && plan.key.is_none()
        }
    }
}

/// Of which tables the target has no rows but ours. Others are refused where nobody said anything about such rows, or no
/// key finds them.
fn ours(
    tables: &[Table],
    plans: &[Plan],
    entries: &[Entry],
    settings: &Snapshot,
) -> Result<Vec<bool>, Error> {
    let (mut all, mut full, mut without_key) = (Vec::new(), Vec::new(), Vec::new());
    for (table, plan) in tables.iter().zip(plans) {
        let (oid, name) = (table.relation.oid, &table.relation.name);
        let known = entries.iter().any(|entry| entry.oid == oid && entry.ours);
        let ours = known || becomes_ours(plan, settings);
        all.push(ours);
        match settings.existing {
            Existing::Refuse if plan.has_rows && !known => full.push(name.clone()),
            Existing::Upsert if plan.key.is_none() && !ours => without_key.push(name.clone()),
            Existing::Refuse | Existing::Truncate | Existing::Append | Existing::Upsert => {}
        }
    }
    if !full.is_empty() {
        return Err(copy::Error::NotEmpty { tables: full }.into());
    }
    if without_key.is_empty() { Ok(all) } else { Err(copy::Error::NoKey { tables: without_key }.into()) }
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
