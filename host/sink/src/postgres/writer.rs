//! The stage: takes batches until the stream ends, applies them, confirms what is durable.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::postgres::{Client, Url, connect, describe};
use buffer::{Budget, Flush, Held, Unit, fill_unit};
use checkpoint::{Confirmer, Slot};
use event::{Lsn, Relation, SchemaEntry};
use schema::Change;
use tokio::sync::{mpsc, watch};

use super::anew::Rewriting;
use super::apply::Session;
use super::copy::asked;
use super::counters::{Notice, Summary};
use super::define::{Ddl, Fate};
use super::progress::{self, APPLICATION, Mover, Progress};
use super::work::{Done, Work};
use super::{Error, Problem};

/// What an insert does when the target has its row already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The stream stops.
    #[default]
    Error,
    /// The row on the target is overwritten.
    Update,
    /// The row on the target stays; counted as a conflict.
    Nothing,
}

/// How to apply.
#[derive(Clone, Debug)]
pub struct Options {
    /// The target.
    pub url: Url,
    /// When to apply what has come.
    pub flush: Flush,
    /// What an insert does when the target has its row already.
    pub on_conflict: OnConflict,
    /// Try to switch off triggers and foreign keys for this session, as native replication does. Where the role may
    /// not, or if this is false, the order of the stream is kept across tables.
    pub disable_triggers: bool,
    /// What becomes of changes of the schema.
    pub ddl: Ddl,
    /// How often a position without data is stored.
    pub heartbeat: Duration,
}

impl Options {
    /// The interval for [`Options::heartbeat`] that is meant for use.
    pub const HEARTBEAT: Duration = Duration::from_secs(10);
}

/// Settings of the session. Every statement finds its rows by a key, so plans are made once and always walk the
/// index: the planner's guesses for arrays of unknown length, or for a table that was empty when it looked, would
/// scan whole tables.
pub(super) const SETTINGS: [(&str, &str); 12] = [
    // A function may name what comes after it.
    ("check_function_bodies", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("statement_timeout", "0"),
    // A process that hangs, or is cut off, must not hold the target's locks, nor its successor, for long. The rest of a
    // transaction follows its beginning at once: the source sends it when it is committed.
    ("idle_in_transaction_session_timeout", "60s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("default_transaction_isolation", "read committed"),
];

/// How long a part of a transaction waits in memory for the rest before it goes to the target as it is.
const PATIENCE: Duration = Duration::from_millis(20);

/// The writer of one stream to one target.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    /// Where the stream comes from.
    source: Slot,
    session: Session,
    summary: Summary,
    shown: watch::Sender<Summary>,
    notice: Notice,
    started: Instant,
    /// A heartbeat that is not stored yet.
    heartbeat: Option<Lsn>,
    /// The rows of a statement that changes several schemas, until the last one has come.
    entries: Vec<SchemaEntry>,
    /// When the progress row was last written.
    stored: Instant,
    budget: Option<Budget>,
    /// Oids of tables that are copied meanwhile: such a copy begins anew when the table changes.
    watched: HashSet<u32>,
}

/// What the stream brought.
enum Next {
    Unit(Unit),
    /// Nothing for as long as something else could wait.
    Quiet,
    End,
}

impl Writer {
    /// Connects and makes the progress table where it is missing.
    ///
    /// # Errors
    /// A target that cannot be reached or lacks rights.
    pub async fn connect(options: Options, source: Slot) -> Result<Self, Error> {
        let client = connect(&options.url, APPLICATION, &SETTINGS).await?;
        progress::create_progress(&client).await?;
        if options.ddl.rewriting == Rewriting::Copy {
            asked::create(&client).await?;
        }
        fault::here!("progress-created");
        let replica = options.disable_triggers && become_replica(&client).await?;
        let session = Session::new(client, replica, options.on_conflict);
        let now = Instant::now();
        Ok(Self {
            options,
            source,
            session,
            summary: Summary::default(),
            shown: watch::Sender::new(Summary::default()),
            notice: Notice::default(),
            started: now,
            heartbeat: None,
            entries: Vec::new(),
            stored: now,
            budget: None,
            watched: HashSet::new(),
        })
    }

    /// Has the progress row tell what of this budget is used.
    pub fn tell_usage_of(&mut self, budget: Budget) {
        self.budget = Some(budget);
    }

    /// These tables are copied meanwhile.
    pub fn watch(&mut self, oids: HashSet<u32>) {
        self.watched = oids;
    }

    /// What the target says about this slot: the row of this system, else the last one of another.
    ///
    /// # Errors
    /// A target that cannot be read.
    pub async fn progress(&self) -> Result<Option<Progress>, Error> {
        progress::read(&self.session.client, &self.source.system_id, &self.source.name).await
    }

    /// Takes over the stream: from now on any other process that applies it stops. The answer is where to start:
    /// `lsn`, or what was applied since it was read.
    ///
    /// # Errors
    /// A target that cannot be written.
    pub async fn start_at(&mut self, lsn: Lsn, chain: &str) -> Result<Lsn, Error> {
        let (system_id, slot) = (&self.source.system_id, &self.source.name);
        let budget = self.budget.clone();
        let (mover, lsn) = Mover::claim(&self.session.client, system_id, slot, lsn, chain, budget).await?;
        fault::here!("stream-claimed");
        tracing::debug!(epoch = mover.epoch, %lsn, slot, "took over the stream");
        self.session.take_over(mover);
        self.summary.lsn = Some(lsn);
        Ok(lsn)
    }

    /// Looks whether the target has what these tables need.
    ///
    /// # Errors
    /// [`Error::Target`] with everything that is missing.
    pub async fn check(&mut self, relations: &[Arc<Relation>]) -> Result<(), Error> {
        let session = &mut self.session;
        let problems: Vec<Problem> =
            session.tables.check(&session.client, relations, &self.options.url.user).await?;
        if problems.is_empty() { Ok(()) } else { Err(Error::Target { problems }) }
    }

    /// A view of the counts, renewed after each target transaction.
    #[must_use]
    pub fn counts(&self) -> watch::Receiver<Summary> {
        self.shown.subscribe()
    }

    /// Applies what comes until the stream ends. A transaction whose end has not come is rolled back.
    ///
    /// # Errors
    /// Anything that stops the stream; [`Error::is_transient`] says whether to start again from the progress row.
    pub async fn run(
        mut self,
        mut input: mpsc::Receiver<Held>,
        confirm: Confirmer,
    ) -> Result<Summary, Error> {
        if !self.session.has_taken_over() {
            return Err(Error::NotStarted);
        }
        let result = self.apply_all(&mut input, &confirm).await;
        self.notice.say();
        result.map(|()| self.summary)
    }

    async fn apply_all(
        &mut self,
        input: &mut mpsc::Receiver<Held>,
        confirm: &Confirmer,
    ) -> Result<(), Error> {
        // What waits for the end of its transaction.
        let mut rest = Work::default();
        loop {
            match self.next(input, &rest).await {
                Next::Unit(unit) => {
                    rest.push(unit);
                    // What a transaction has defined for those after it alone.
                    if self.session.settles_at_commit() {
                        let (whole, part) = rest.split_first();
                        rest = part;
                        self.apply_whole(whole, confirm).await?;
                    }
                    let (whole, part) = rest.split();
                    rest = part;
                    self.apply_whole(whole, confirm).await?;
                    if rest.schema().is_some() {
                        self.define(std::mem::take(&mut rest)).await?;
                    } else if rest.rows() >= self.options.flush.rows
                        || rest.bytes() >= self.options.flush.bytes
                    {
                        self.session.apply(&std::mem::take(&mut rest), None).await?;
                    }
                }
                Next::Quiet => {
                    if !rest.is_empty() {
                        self.session.apply(&std::mem::take(&mut rest), None).await?;
                    }
                    self.store_heartbeat(confirm, false).await?;
                }
                Next::End => {
                    self.session.abandon().await?;
                    return self.store_heartbeat(confirm, true).await;
                }
            }
        }
    }

    /// Applies the part of a transaction that a change of the schema ends, then the change, in the same target
    /// transaction.
    async fn define(&mut self, part: Work) -> Result<(), Error> {
        let Some(entry) = part.schema().cloned() else { return Ok(()) };
        if !part.is_rowless() {
            self.session.apply(&part, None).await?;
        }
        drop(part);
        let is_last = entry.part >= entry.parts;
        self.entries.push(entry);
        if !is_last {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.entries);
        let tally = self.session.define(&entries, &self.options.ddl, &self.watched).await?;
        self.begin_anew(&entries).await?;
        if !tally.anew.is_empty() {
            let Slot { system_id, name, .. } = &self.source;
            asked::ask_within(&self.session.client, system_id, name, &tally.anew).await?;
            self.watched.extend(tally.anew.iter().map(|(oid, _)| *oid));
        }
        tracing::info!(
            schema = entries.iter().map(|entry| entry.schema.as_str()).collect::<Vec<_>>().join(", "),
            version = entries.iter().map(|entry| entry.version).max(),
            command = entries.first().map(|entry| entry.command_tag.as_str()),
            statements = tally.of(Fate::Done).count(),
            left_out = tally.of(Fate::LeftOut).count(),
            already = tally.of(Fate::Already).count(),
            "schema changed"
        );
        Ok(())
    }

    /// Tells the copies of tables that these entries change.
    async fn begin_anew(&self, entries: &[SchemaEntry]) -> Result<(), Error> {
        if self.watched.is_empty() {
            return Ok(());
        }
        let mut changed = Vec::new();
        for entry in entries {
            changed.extend(Change::of_entry(entry)?.into_iter().map(|change| change.oid.0));
        }
        changed.retain(|oid| self.watched.contains(oid));
        if !changed.is_empty() {
            let Slot { system_id, name, .. } = &self.source;
            asked::begin_anew(&self.session.client, system_id, name, &changed).await?;
        }
        Ok(())
    }

    /// Waits for a unit, as long as nothing that is held would get too old.
    async fn next(&self, input: &mut mpsc::Receiver<Held>, rest: &Work) -> Next {
        let patience = match (rest.is_empty(), self.heartbeat) {
            // What waits holds a share of the memory budget: the listener may be waiting for that very share.
            (false, _) => Some(PATIENCE),
            (true, Some(_)) if !self.session.is_open() => {
                Some(self.options.heartbeat.saturating_sub(self.stored.elapsed()))
            }
            (true, _) => None,
        };
        let first = match patience {
            Some(patience) => match tokio::time::timeout(patience, input.recv()).await {
                Ok(first) => first,
                Err(_) => return Next::Quiet,
            },
            None => input.recv().await,
        };
        match first {
            Some(first) => Next::Unit(fill_unit(first, input, &self.options.flush).await),
            None => Next::End,
        }
    }

    /// Applies whole transactions, or what ends the one that is open.
    async fn apply_whole(&mut self, work: Work, confirm: &Confirmer) -> Result<(), Error> {
        let Some(done) = work.done() else { return Ok(()) };
        if done.transactions == 0 {
            self.heartbeat = Some(done.lsn);
            return self.store_heartbeat(confirm, false).await;
        }
        match self.session.apply(&work, Some(done)).await {
            Ok(()) => {
                drop(work);
                self.committed(done, confirm);
                Ok(())
            }
            Err(stop) => {
                // What came before the row that stops the stream is in the target, if it is whole.
                if let Some(done) = stop.done {
                    self.committed(done, confirm);
                }
                Err(stop.error)
            }
        }
    }

    /// After COMMIT has returned.
    fn committed(&mut self, done: Done, confirm: &Confirmer) {
        confirm.confirm(done.lsn);
        fault::here!("confirmed");
        self.heartbeat = None;
        self.stored = Instant::now();
        let tally = std::mem::take(&mut self.session.committed);
        self.notice.add(&tally.conflicts);
        let summary = &mut self.summary;
        summary.add(tally);
        summary.transactions += done.transactions;
        summary.commits += 1;
        summary.lsn = Some(done.lsn);
        summary.committed_at = done.committed_at.or(summary.committed_at);
        summary.elapsed = self.started.elapsed();
        self.shown.send_modify(|shown| shown.clone_from(summary));
    }

    /// Stores a position without data: when it is due, or `now`.
    async fn store_heartbeat(&mut self, confirm: &Confirmer, now: bool) -> Result<(), Error> {
        let Some(lsn) = self.heartbeat else { return Ok(()) };
        if self.session.is_open() || !(now || self.stored.elapsed() >= self.options.heartbeat) {
            return Ok(());
        }
        fault::here!("heartbeat-storing");
        self.session.store(lsn).await?;
        fault::here!("heartbeat-stored");
        self.committed(Done { transactions: 0, lsn, committed_at: None }, confirm);
        Ok(())
    }
}

/// Switches triggers and foreign keys off for the session; false where the role may not.
pub(super) async fn become_replica(client: &Client) -> Result<bool, Error> {
    let Err(error) = client.batch_execute("SET session_replication_role = replica").await else {
        return Ok(true);
    };
    if error.code().is_some_and(|code| code.code() == "42501") {
        tracing::warn!(
            reason = %describe(&error),
            "session_replication_role cannot be set: triggers and foreign keys of the target stay on, and changes are \
             applied in the stream's order; GRANT SET ON PARAMETER session_replication_role (Postgres 15) lifts that"
        );
        return Ok(false);
    }
    Err(::postgres::Error::statement("set session_replication_role on the target", &error).into())
}
