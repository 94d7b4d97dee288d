//! Applying a work in a target transaction: fast, and where that fails, exactly.

use std::collections::HashSet;
use std::time::Duration;

use ::postgres::{Client, describe};
use event::{Lsn, SchemaEntry};

use super::Error;
use super::counters::Tally;
use super::define::{self, Ddl};
use super::error::{Call, call_of, lost, remedy, sqlstate};
use super::fold::{self, Order};
use super::plan::{Job, Plan};
use super::progress::Mover;
use super::rows::Rows;
use super::run::{Failed, Pipeline, Statements, count, key_hash, send};
use super::statement::Shape;
use super::table::Tables;
use super::work::{Done, Work};
use super::writer::OnConflict;

/// How often a deadlock or a lock that was not to be had is tried again, and for how long the first time.
const ATTEMPTS: u32 = 6;
const BACKOFF: Duration = Duration::from_millis(50);

/// The stream stops.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) error: Error,
    /// What was applied and committed before.
    pub(super) done: Option<Done>,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self { error, done: None }
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        stop.error
    }
}

/// A try that failed.
#[derive(Debug)]
enum Fault {
    /// A statement, or the commit.
    Failed { failed: Failed, plan: Option<Plan>, committing: bool },
    /// Nothing that another way to apply would mend.
    Error(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A connection to the target with what is known of its tables.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) tables: Tables,
    statements: Statements,
    /// Triggers and foreign keys are off.
    replica: bool,
    on_conflict: OnConflict,
    /// Moves the progress row, once the stream is taken over.
    mover: Option<Mover>,
    /// A target transaction holds the first part of a source transaction.
    open: bool,
    /// What that part did.
    held: Tally,
    /// What was committed and not yet taken by the writer.
    pub(super) committed: Tally,
    /// What the open transaction has defined can be used only after its commit.
    settles: bool,
}

impl Session {
    pub(super) fn new(client: Client, replica: bool, on_conflict: OnConflict) -> Self {
        Self {
            client,
            tables: Tables::default(),
            statements: Statements::default(),
            replica,
            on_conflict,
            mover: None,
            open: false,
            held: Tally::default(),
            committed: Tally::default(),
            settles: false,
        }
    }

    pub(super) fn take_over(&mut self, mover: Mover) {
        self.mover = Some(mover);
    }

    pub(super) fn has_taken_over(&self) -> bool {
        self.mover.is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the open transaction has defined something that can be used only after its commit.
    pub(super) fn settles_at_commit(&self) -> bool {
        self.settles
    }

    /// Changes the schema in the open transaction.
    pub(super) async fn define(
        &mut self,
        entries: &[SchemaEntry],
        ddl: &Ddl,
        copied: &HashSet<u32>,
    ) -> Result<define::Done, Error> {
        // In one journey with the first statement.
        let (open, client) = (self.open, &self.client);
        let begin = async {
            if open { Ok(()) } else { client.batch_execute("BEGIN").await.map_err(|error| lost(&error)) }
        };
        let define = define::define(client, entries, ddl, self.replica, copied);
        let (begun, done) = tokio::join!(begin, define);
        begun?;
        self.open = true;
        let done = done?;
        self.settles |= done.settles_at_commit;
        match &done.tables {
            Some(names) => {
                let versions = self.tables.forget_some(names);
                self.statements.forget_some(&versions);
            }
            None => {
                self.tables.forget();
                self.statements.forget();
            }
        }
        fault::here!("schema-changed");
        Ok(done)
    }

    /// Applies a work. With `done` the target transaction ends with it; without it stays open for the rest of the
    /// source transaction.
    pub(super) async fn apply(&mut self, work: &Work, done: Option<Done>) -> Result<(), Stop> {
        let mut order = if self.replica { Order::Net } else { Order::Stream };
        let mut looked_again = false;
        let mut attempt = 0;
        loop {
            let (failed, plan, committing) = match self.attempt(work, done, order).await {
                Ok(()) => return Ok(()),
                Err(Fault::Error(error)) => return Err(error.into()),
                Err(Fault::Failed { failed, plan, committing }) => (failed, plan, committing),
            };
            let call = call_of(&failed.error);
            if call == Call::Room {
                return Err(Error::from(::postgres::Error::statement("apply changes", &failed.error)).into());
            }
            if call == Call::Reconnect || self.statements.is_out_of_step() {
                return Err(lost(&failed.error).into());
            }
            if committing && std::mem::take(&mut self.open) {
                // The parts before are gone with it: only a new start brings them again.
                self.held = Tally::default();
                return Err(match call {
                    Call::Retry => Error::Contended { reason: describe(&failed.error) }.into(),
                    _ => self.error(work, &failed, plan.as_ref(), committing).into(),
                });
            }
            self.back(committing).await?;
            match call {
                Call::Retry => {
                    // A deadlock has undone the savepoint's locks, not those of the parts before.
                    attempt += 1;
                    if self.open || attempt >= ATTEMPTS {
                        return Err(Error::Contended { reason: describe(&failed.error) }.into());
                    }
                    tracing::debug!(reason = %describe(&failed.error), attempt, "target contended, trying again");
                    tokio::time::sleep(BACKOFF * 2_u32.pow(attempt)).await;
                }
                Call::LookAgain if !looked_again => {
                    looked_again = true;
                    self.tables.forget();
                    self.statements.forget();
                }
                Call::Exact | Call::LookAgain | Call::Reconnect if order != Order::Exact => {
                    tracing::debug!(reason = %describe(&failed.error), "going row by row");
                    order = Order::Exact;
                }
                Call::Exact | Call::LookAgain | Call::Reconnect | Call::Room => {
                    return Err(self.stop(work, &failed, plan.as_ref(), committing).await);
                }
            }
        }
    }

    /// One try. After a failure the transaction is still to be rolled back.
    async fn attempt(&mut self, work: &Work, done: Option<Done>, order: Order) -> Result<(), Fault> {
        let failed = |failed, plan| Fault::Failed { failed, plan, committing: false };
        // Whatever fails from here on, a look into the catalog too, must not take the parts before with it. Both go in one
        // journey: what is sent first is run first.
        let (open, client) = (self.open, &self.client);
        let mark = async {
            if open {
                client.batch_execute("SAVEPOINT unit").await.map_err(|error| lost(&error))
            } else {
                Ok(())
            }
        };
        let (marked, of_work) = tokio::join!(mark, self.tables.of_work(client, work));
        marked?;
        let of_work = match of_work {
            // What is missing may have been made since the target was looked at.
            Err(Error::Target { .. }) => {
                self.tables.forget();
                self.statements.forget();
                self.tables.of_work(&self.client, work).await?
            }
            found => found?,
        };
        let order = if order == Order::Net && self.tables.fires() { Order::Stream } else { order };
        let (plan, mut tally) = fold::plan(work, &self.tables, &of_work, order, self.on_conflict)?;
        tally.exact = u64::from(order == Order::Exact);
        let statements = &mut self.statements;
        if let Err(error) = statements.prepare(&self.client, &self.tables, &plan, self.on_conflict).await {
            return Err(failed(error, Some(plan)));
        }
        let (Some(mover), client) = (&self.mover, &self.client) else { return Err(Error::NotStarted.into()) };
        fault::here!("applying");
        let rows = Rows::new(work);
        let mut pipeline = Pipeline::new();
        let sent = async {
            if !self.open {
                pipeline.command(client, "BEGIN").await?;
            }
            send(&mut pipeline, client, &self.statements, &self.tables, rows, &plan).await?;
            if let Some(done) = done {
                let answer = mover.advance(client, done.lsn, done.committed_at);
                pipeline.send(Some(plan.jobs.len()), 0, Box::pin(answer)).await?;
            }
            if self.open {
                pipeline.command(client, "RELEASE unit").await?;
            }
            pipeline.drain().await
        };
        let sent: Result<(), Failed> = sent.await;
        let found = std::mem::take(&mut pipeline.found);
        drop(pipeline);
        if let Err(error) = sent {
            return Err(failed(error, Some(plan)));
        }
        count(&found, &plan, &self.tables, &mut tally);
        self.held.add(tally);
        if done.is_none() {
            self.open = true;
            fault::here!("part-applied");
            return Ok(());
        }
        if !found.iter().any(|(job, rows)| *job == plan.jobs.len() && *rows == 1) {
            // Nothing of it may stay; a connection that is lost meanwhile rolls back by itself.
            let _ = self.client.batch_execute("ROLLBACK").await;
            return Err(mover.fenced().into());
        }
        // Every answer was a success, so this cannot be the COMMIT of a failed transaction, which would only say
        // "ROLLBACK" and raise nothing.
        fault::here!("committing");
        if let Err(error) = self.client.batch_execute("COMMIT").await {
            return Err(Fault::Failed { failed: error.into(), plan: Some(plan), committing: true });
        }
        fault::here!("committed");
        self.open = false;
        self.settles = false;
        self.committed.add(std::mem::take(&mut self.held));
        Ok(())
    }

    /// Back to where the last try began.
    async fn back(&mut self, committing: bool) -> Result<(), Error> {
        if committing {
            // The server has rolled all of it back.
            self.held = Tally::default();
            return Ok(());
        }
        let text = if self.open { "ROLLBACK TO SAVEPOINT unit; RELEASE SAVEPOINT unit" } else { "ROLLBACK" };
        self.client.batch_execute(text).await.map_err(|error| lost(&error))
    }

    /// Ends the stream at a row that the target does not take: applies the transactions before it, and says which.
    async fn stop(&mut self, work: &Work, failed: &Failed, plan: Option<&Plan>, committing: bool) -> Stop {
        let error = self.error(work, failed, plan, committing);
        if committing {
            return error.into();
        }
        let place = failed.job.and_then(|job| plan?.jobs.get(job)).map(Job::place);
        let Some(before) = place.map(|place| work.before(place)) else { return error.into() };
        let Some(done) = before.done().filter(|done| done.transactions > 0) else { return error.into() };
        match self.attempt(&before, Some(done), Order::Exact).await {
            Ok(()) => Stop { error, done: Some(done) },
            // It will be applied when the stream is taken up again.
            Err(_) => error.into(),
        }
    }

    /// The error of a row that failed by itself.
    fn error(&self, work: &Work, failed: &Failed, plan: Option<&Plan>, committing: bool) -> Error {
        let (reason, sqlstate) = (describe(&failed.error), sqlstate(&failed.error));
        if committing {
            return Error::Commit { reason, sqlstate };
        }
        let job = failed.job.and_then(|job| plan?.jobs.get(job));
        let (table, shape, picks) = match job {
            Some(Job::Rows { table, shape, picks, .. }) => (*table, shape, picks),
            Some(Job::Truncate { tables, .. }) => {
                let remedy = remedy(&failed.error, tables);
                return Error::Truncate { tables: tables.clone(), reason, sqlstate, remedy };
            }
            None => return ::postgres::Error::statement("apply to the target", &failed.error).into(),
        };
        let name = self.tables.get(table).map(|table| table.name().clone());
        let name = name.unwrap_or_else(|| event::TableName::new("", ""));
        let key = match (plan, picks.first()) {
            (Some(plan), Some(pick)) => key_hash(Rows::new(work), plan, &self.tables, table, pick),
            _ => String::new(),
        };
        let op = match shape {
            Shape::Insert => "insert",
            Shape::Update { .. } | Shape::Replace { .. } => "update",
            Shape::Delete => "delete",
        };
        let remedy = remedy(&failed.error, &::postgres::table(&name));
        Error::Row { table: name, op, key, reason, sqlstate, remedy }
    }

    /// Writes a position without data.
    pub(super) async fn store(&self, lsn: Lsn) -> Result<(), Error> {
        let Some(mover) = &self.mover else { return Err(Error::NotStarted) };
        match mover.advance(&self.client, lsn, None).await {
            Ok(1) => Ok(()),
            Ok(_) => Err(mover.fenced()),
            Err(error) => {
                Err(::postgres::Error::statement("write pgstream.progress on the target", &error).into())
            }
        }
    }

    /// Rolls back the part of a transaction whose end will not come.
    pub(super) async fn abandon(&mut self) -> Result<(), Error> {
        if !self.open {
            return Ok(());
        }
        self.open = false;
        self.held = Tally::default();
        self.client.batch_execute("ROLLBACK").await.map_err(|error| lost(&error))
    }
}
