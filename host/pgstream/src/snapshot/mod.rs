//! The initial copy: schema, rows, indexes and constraints; at the end the stream goes on where it leaves off.
//!
//! What is done is in the ledger on the target, so a copy that ended in the middle goes on: tables that are complete
//! stay as they are, the others are copied again as of a new moment. The stream leaves out, for each table, what its
//! moment saw, so that nothing comes twice and nothing is missed.

mod beside;
mod modifier;
mod print;
mod progress;
mod queue;
mod rows;
mod schema;
mod worker;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use checkpoint::Slot;
use event::{Lsn, TableName};
use listen::snapshot::{Moment, Options, Table};
use listen::wal::{Copied, Source};
use modify::{Chain, Route};
use sink::postgres::copy::{self, Archive, Entry, Ledger, Phase, State, Status, Wanted, Whole, set_sequence};

pub(crate) use self::beside::{Beside, Standing};
use self::modifier::Modifier;
pub(crate) use self::print::print;
use self::schema::Schema;
use crate::config::{self, Mode, Ready, What};
use crate::failure::Error;
use crate::pipeline::slot_of;
use crate::shutdown::Stop;

/// How often a table that changes while it is read is tried again.
const ROUNDS: usize = 5;

/// Copies what is not copied yet. False if a stop came before the end.
pub(crate) async fn run(
    ready: &Ready,
    mut chain: Chain,
    stop: &Stop,
) -> (Option<Chain>, Result<bool, Error>) {
    let (mut outage, mut attempt) = (Instant::now(), 0);
    loop {
        let began = Instant::now();
        let (returned, result) = copy(ready, chain, stop).await;
        let Some(back) = returned else { return (None, Err(Error::Bug { stage: "modifiers" })) };
        chain = back;
        let error = match result {
            Err(error) if error.is_transient() && !stop.is_requested() => error,
            other => return (Some(chain), other),
        };
        let retry = error.retry(ready);
        if began.elapsed() >= retry.longest {
            (outage, attempt) = (Instant::now(), 0);
        }
        let Some(pause) = retry.pause(attempt, outage.elapsed()) else { return (Some(chain), Err(error)) };
        tracing::warn!(%error, ?pause, "copying on, as of a new moment");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.requested() => return (Some(chain), Ok(false)),
        }
        attempt += 1;
    }
}

async fn copy(ready: &Ready, chain: Chain, stop: &Stop) -> (Option<Chain>, Result<bool, Error>) {
    let digest = chain.digest();
    let modifier = Modifier::start(chain);
    let result = Copy { ready, stop, modifier: &modifier, digest, asked: None }.run().await;
    (modifier.end().await, result)
}

/// One attempt.
struct Copy<'a> {
    ready: &'a Ready,
    stop: &'a Stop,
    modifier: &'a Modifier,
    digest: String,
    /// None for the initial copy.
    asked: Option<Asking<'a>>,
}

/// Tables that were asked for beside a stream, in whose ledger people say what they want of them.
struct Asking<'a> {
    slot: &'a str,
    tables: &'a [Wanted],
}

impl Copy<'_> {
    async fn run(&self) -> Result<bool, Error> {
        let streams = self.ready.source.mode == Mode::SnapshotAndReplication;
        self.schema(Vec::new()).database().await?;
        let slot = if streams { Some(self.slot().await?) } else { None };
        let ledger = self.ledger(slot.as_ref()).await?;
        // Without a stream, a copy that is complete is none of the next one's business.
        let whole = ledger.whole().await?.filter(|whole| streams || whole.phase != Phase::Done);
        let mut phase = whole.as_ref().map(|whole| whole.phase);
        if let Some(whole) = &whole {
            if whole.phase != Phase::Done
                && whole.chain != self.digest
                && !self.ready.accept_changed_modifiers
            {
                return Err(Error::ChangedModifiers);
            }
            if let Some(slot) = slot.as_ref().filter(|_| whole.phase != Phase::Done) {
                checkpoint::follows(slot, whole.lsn)?;
            }
            if whole.phase == Phase::Rows {
                tracing::info!("going on with the copy");
            }
        }
        let mut rounds = 0;
        while phase.is_none_or(|phase| phase == Phase::Rows) {
            let moment = self.moment().await?;
            if phase.is_none() {
                self.begin(&ledger, &moment).await?;
                phase = Some(Phase::Rows);
            } else {
                self.begin_anew(&ledger, &moment).await?;
            }
            rounds += 1;
            let left = match self.ready.source.snapshot.what {
                What::Schema => rows::Left::default(),
                What::Full | What::Data => rows::round(self, &ledger, &moment, rounds == ROUNDS).await?,
            };
            if self.stop.is_requested() {
                return Ok(false);
            }
            if !left.failed.is_empty() {
                return Err(Error::Tables { failed: left.failed });
            }
            if left.stale == 0 {
                self.set_sequences(&ledger, &moment).await?;
                ledger.set_phase(Phase::Finish).await?;
                phase = Some(Phase::Finish);
            }
        }
        if phase == Some(Phase::Finish) {
            if let Some(Archive { bytes, kept_back, .. }) = ledger.archive().await? {
                self.schema(kept_back).after_data(&bytes, self.stop).await?;
                if self.stop.is_requested() {
                    return Ok(false);
                }
            }
            ledger.set_phase(Phase::Done).await?;
            fault::here!("copy-done");
            tracing::info!("everything is copied");
        }
        Ok(true)
    }

    /// The slot of the stream that goes on from here: what it lacks is found before hours of copying.
    async fn slot(&self) -> Result<Slot, Error> {
        Ok(slot_of(&Source::connect(self.ready.source.wal.clone()).await?))
    }

    /// That of the slot; a copy without a stream has one without a name.
    async fn ledger(&self, slot: Option<&Slot>) -> Result<Ledger, Error> {
        let url = &self.ready.target.postgres.url;
        Ok(match slot {
            Some(slot) => Ledger::open(url, &slot.system_id, &slot.name).await?,
            None => {
                let system_id = listen::snapshot::system_id(&self.ready.source.wal.url).await?;
                Ledger::open(url, &system_id, "").await?
            }
        })
    }

    async fn moment(&self) -> Result<Moment, Error> {
        let moment = Moment::take(&options(&self.ready.source)).await?;
        fault::here!("copy-moment");
        tracing::info!(tables = moment.tables.len(), lsn = %moment.lsn, "moment of the copy taken");
        Ok(moment)
    }

    /// Makes the tables, and notes that they are there, in one transaction.
    async fn begin(&self, ledger: &Ledger, moment: &Moment) -> Result<(), Error> {
        let schema = self.schema(self.kept_back(moment).await?);
        let archive = match self.ready.source.snapshot.what {
            What::Data => None,
            What::Full | What::Schema => Some(schema.dump(moment).await?),
        };
        ledger.transaction("BEGIN").await?;
        self.make(ledger, moment, schema, archive).await?;
        ledger.transaction("COMMIT").await?;
        fault::here!("copy-begun");
        Ok(())
    }

    async fn make(
        &self,
        ledger: &Ledger,
        moment: &Moment,
        schema: Schema<'_>,
        archive: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let (horizon, lsn, chain) = (moment.horizon.clone(), moment.lsn, self.digest.clone());
        let (fresh, with_schema) = (ledger.is_fresh().await?, archive.is_some());
        let whole = Whole { phase: Phase::Rows, horizon, lsn, chain, fresh, with_schema };
        let mut made = None;
        if let Some(bytes) = archive {
            let all_ours = schema.before_data(&bytes, ledger.client()).await?;
            made = Some(Archive { bytes, kept_back: schema.kept_back, all_ours });
        }
        Ok(ledger.begin(&whole, made.as_ref()).await?)
    }

    /// Where the source has changed tables since they were made, and they are not complete, everything that was made is
    /// dropped and made as it is now. To change single tables would not do: the stream has rows from before and from behind
    /// the change; and rows that are copied into a table as it was may lose something without a word.
    async fn begin_anew(&self, ledger: &Ledger, moment: &Moment) -> Result<(), Error> {
        let Some(before) = ledger.archive().await? else { return Ok(()) };
        let complete = ledger.entries().await?;
        let is_left = |table: &&Table| {
            !complete.iter().any(|entry| entry.oid == table.relation.oid && entry.state == State::Done)
        };
        let left: Vec<TableName> =
            moment.tables.iter().filter(is_left).map(|table| table.relation.name.clone()).collect();
        let (old, new) = (self.schema(before.kept_back), self.schema(self.kept_back(moment).await?));
        let archive = new.dump(moment).await?;
        if new.is_same(&before.bytes, &archive, &left)? {
            return Ok(());
        }
        if !before.all_ours {
            return Err(Error::ChangedTables);
        }
        tracing::warn!("the source's tables were changed while they were copied: the copy begins anew");
        ledger.transaction("BEGIN").await?;
        old.drop_all(&before.bytes, ledger.client()).await?;
        self.make(ledger, moment, new, Some(archive)).await?;
        ledger.transaction("COMMIT").await?;
        Ok(())
    }

    /// Tables that the modifiers keep from the target: they are not made there either.
    async fn kept_back(&self, moment: &Moment) -> Result<Vec<TableName>, Error> {
        let relations: Vec<_> = moment.tables.iter().map(|table| Arc::clone(&table.relation)).collect();
        let routes = self.modifier.bind(relations.clone(), moment.names.clone()).await?;
        let kept_back = relations.iter().zip(routes).filter(|(_, route)| *route == Route::Nowhere);
        Ok(kept_back.map(|(relation, _)| relation.name.clone()).collect())
    }

    fn schema(&self, kept_back: Vec<TableName>) -> Schema<'_> {
        Schema { ready: self.ready, kept_back, there: HashSet::new() }
    }

    async fn set_sequences(&self, ledger: &Ledger, moment: &Moment) -> Result<(), Error> {
        let selection = &self.ready.source.snapshot.selection;
        let mut missing = 0;
        for sequence in moment.sequences().await? {
            let set = set_sequence(ledger.client(), &sequence.name, sequence.last_value).await?;
            missing += usize::from(!set && selection.wants_table(&sequence.name));
        }
        if missing > 0 {
            tracing::warn!(
                sequences = missing,
                "the target lacks sequences of the source: they were not set"
            );
        }
        Ok(())
    }
}

/// Microseconds since 1970-01-01 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What a moment is taken with.
fn options(source: &config::Source) -> Options {
    Options {
        url: source.wal.url.clone(),
        selection: source.snapshot.selection.clone(),
        publication: (source.mode == Mode::SnapshotAndReplication).then(|| source.wal.publication.clone()),
        readers: source.snapshot.workers,
    }
}

/// What copies have brought before a stream, or bring beside it.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Since when the stream must have everything; `None`: from wherever it begins.
    pub(crate) since: Option<Lsn>,
    /// What the stream leaves out.
    pub(crate) copied: Copied,
    /// Tables that wait to be copied beside it.
    pub(crate) waiting: HashSet<u32>,
}

impl Before {
    /// As the ledger of the slot says.
    ///
    /// # Errors
    /// [`Error::Incomplete`] while the initial copy goes on.
    pub(crate) async fn of(ready: &Ready, system_id: &str) -> Result<Self, Error> {
        let mut before = Self::default();
        let slot = &ready.source.wal.slot;
        let Some(status) = copy::status(&ready.target.postgres.url, system_id, slot).await? else {
            return Ok(before);
        };
        let Status { whole, entries, .. } = status;
        if let Some(whole) = whole {
            if whole.phase != Phase::Done {
                return Err(Error::Incomplete);
            }
            before.since = Some(whole.lsn);
            // A stream that goes on beside the copy of some tables has to follow what became of the others.
            if whole.fresh {
                before.copied.schemas(whole.horizon, whole.lsn, whole.with_schema);
            }
        }
        for Entry { oid, state, horizon, lsn, .. } in entries {
            match state {
                State::Done => before.copied.table(oid, horizon.clone(), lsn),
                State::Waiting | State::Copying | State::Failed | State::Gone => {
                    before.copied.leave_out(oid);
                    // What the target lacks cannot be altered there, whether its copy waits or has failed.
                    before.copied.made(oid, horizon, lsn);
                }
            }
            if state == State::Waiting {
                before.waiting.insert(oid);
            }
        }
        Ok(before)
    }
}

/// A table and why it was not copied.
pub(crate) fn failure(table: &TableName, reason: &dyn std::fmt::Display) -> String {
    let reason = reason.to_string();
    let told = reason.starts_with(&format!("{table}:"));
    if told { reason } else { format!("{table}: {reason}") }
}
