//! Running a plan: statements prepared once, sent ahead of the answers, counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use ::postgres::Client;
use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use futures_util::future::try_join_all;
use tokio_postgres::Statement;

use super::counters::Tally;
use super::encode::{Argument, Source, line};
use super::plan::{Job, Pick, Plan};
use super::rows::Rows;
use super::statement::{How, Shape, params, sql};
use super::table::Tables;
use super::writer::OnConflict;

/// How much may be on its way to the server before an answer is waited for.
const WINDOW_BYTES: usize = 4 << 20;
const WINDOW_STATEMENTS: usize = 256;

/// Statements kept prepared. Each costs the server some ten kilobytes.
const KEPT: usize = 4_096;

/// How much of a COPY goes into one message.
const COPY_MESSAGE: usize = 64 << 10;

/// A statement failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: tokio_postgres::Error,
    /// Which of the plan's jobs; none if it was none of them.
    pub(super) job: Option<usize>,
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self { error, job: None }
    }
}

/// Prepared statements of one session.
#[derive(Debug, Default)]
pub(super) struct Statements {
    by_shape: HashMap<(usize, Shape, How), Statement>,
    /// A COPY was refused before it began. The driver ends it twice then, and takes the answer to the second end for
    /// that to the next statement: nothing that this session says can be trusted any more.
    out_of_step: AtomicBool,
}

impl Statements {
    pub(super) fn forget(&mut self) {
        self.by_shape.clear();
    }

    /// Those of some versions of tables.
    pub(super) fn forget_some(&mut self, versions: &HashSet<usize>) {
        self.by_shape.retain(|(table, ..), _| !versions.contains(table));
    }

    /// Whether the session can be used no longer.
    pub(super) fn is_out_of_step(&self) -> bool {
        self.out_of_step.load(Ordering::Relaxed)
    }

    fn get(&self, table: usize, shape: &Shape, how: How) -> Option<&Statement> {
        self.by_shape.get(&(table, shape.clone(), how))
    }

    /// Prepares what a plan needs and is not there yet, all in one round trip.
    pub(super) async fn prepare(
        &mut self,
        client: &Client,
        tables: &Tables,
        plan: &Plan,
        on_conflict: OnConflict,
    ) -> Result<(), Failed> {
        if self.by_shape.len() > KEPT {
            self.by_shape.clear();
        }
        let mut wanted: Vec<(usize, Shape, How, usize)> = Vec::new();
        let mut seen = HashSet::new();
        for (at, job) in plan.jobs.iter().enumerate() {
            let Job::Rows { table, shape, how, .. } = job else { continue };
            let key = (*table, shape.clone(), *how);
            if !self.by_shape.contains_key(&key) && seen.insert(key) {
                wanted.push((*table, shape.clone(), *how, at));
            }
        }
        let prepared = wanted.into_iter().filter_map(|(at, shape, how, job)| {
            let text = sql(tables.get(at)?, &shape, how, on_conflict);
            Some(async move {
                match client.prepare(&text).await {
                    Ok(statement) => Ok(((at, shape, how), statement)),
                    Err(error) => Err(Failed { error, job: Some(job) }),
                }
            })
        });
        self.by_shape.extend(try_join_all(prepared).await?);
        Ok(())
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'a>>;

/// Statements on their way, in order.
pub(super) struct Pipeline<'a> {
    running: VecDeque<(Option<usize>, usize, Answer<'a>)>,
    bytes: usize,
    /// Rows that each job found, as far as it has answered.
    pub(super) found: Vec<(usize, u64)>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new() -> Self {
        Self { running: VecDeque::new(), bytes: 0, found: Vec::new() }
    }

    /// Sends a statement; waits for the first answers if too much is on its way.
    pub(super) async fn send(
        &mut self,
        job: Option<usize>,
        bytes: usize,
        mut answer: Answer<'a>,
    ) -> Result<(), Failed> {
        // The first poll hands the statement to the connection.
        let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        match first {
            Poll::Ready(result) => {
                // Answered (or refused) at once: those before it are asked first, it may be their error's echo.
                self.drain().await?;
                self.answered(job, result)?;
            }
            Poll::Pending => {
                self.bytes += bytes;
                self.running.push_back((job, bytes, answer));
            }
        }
        while self.bytes > WINDOW_BYTES || self.running.len() > WINDOW_STATEMENTS {
            self.next().await?;
        }
        Ok(())
    }

    /// Waits for all answers.
    pub(super) async fn drain(&mut self) -> Result<(), Failed> {
        while !self.running.is_empty() {
            self.next().await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<(), Failed> {
        let Some((job, bytes, answer)) = self.running.pop_front() else { return Ok(()) };
        self.bytes = self.bytes.saturating_sub(bytes);
        let result = answer.await;
        self.answered(job, result)
    }

    fn answered(
        &mut self,
        job: Option<usize>,
        result: Result<u64, tokio_postgres::Error>,
    ) -> Result<(), Failed> {
        let found = result.map_err(|error| Failed { error, job })?;
        if let Some(job) = job {
            self.found.push((job, found));
        }
        Ok(())
    }

    /// A command without parameters.
    pub(super) async fn command(&mut self, client: &'a Client, text: &'a str) -> Result<(), Failed> {
        self.send(None, 0, Box::pin(async move { client.batch_execute(text).await.map(|()| 0) })).await
    }
}

/// Sends every statement of a plan.
pub(super) async fn send<'a>(
    pipeline: &mut Pipeline<'a>,
    client: &'a Client,
    statements: &'a Statements,
    tables: &'a Tables,
    rows: Rows<'a>,
    plan: &'a Plan,
) -> Result<(), Failed> {
    for (at, job) in plan.jobs.iter().enumerate() {
        match job {
            Job::Truncate { tables, restart_identity, .. } => {
                let restart = if *restart_identity { " RESTART IDENTITY" } else { "" };
                let text = format!("TRUNCATE {tables}{restart}");
                let answer = async move { client.batch_execute(&text).await.map(|()| 0) };
                pipeline.send(Some(at), 0, Box::pin(answer)).await?;
            }
            Job::Rows { table, shape, how, picks, bytes, .. } => {
                let (Some(bound), Some(statement)) =
                    (tables.get(*table), statements.get(*table, shape, *how))
                else {
                    continue;
                };
                if *how == How::Copy {
                    // One that is sent behind a statement that fails is refused, and see `out_of_step`.
                    pipeline.drain().await?;
                }
                let source = Source::new(plan, rows, bound, picks);
                let answer: Answer<'a> = match how {
                    How::One | How::Many => {
                        let many = *how == How::Many;
                        let params = params(bound, shape);
                        let arguments: Vec<_> =
                            params.into_iter().map(|param| Argument::new(&source, param, many)).collect();
                        Box::pin(client.execute_raw(statement, arguments))
                    }
                    How::Copy => Box::pin(copy(client, statements, statement, source, shape)),
                };
                pipeline.send(Some(at), *bytes, answer).await?;
            }
        }
    }
    Ok(())
}

async fn copy(
    client: &Client,
    statements: &Statements,
    statement: &Statement,
    source: Source<'_>,
    shape: &Shape,
) -> Result<u64, tokio_postgres::Error> {
    let params = source.columns(&params(source.table, shape));
    let begun = client.copy_in::<_, Bytes>(statement).await;
    let mut sink = pin!(begun.inspect_err(|_| statements.out_of_step.store(true, Ordering::Relaxed))?);
    let mut out = BytesMut::with_capacity(COPY_MESSAGE + 4096);
    for row in source.found.iter() {
        line(&source, &params, row, &mut out);
        if out.len() >= COPY_MESSAGE {
            sink.send(out.split().freeze()).await?;
            out.reserve(COPY_MESSAGE + 4096);
        }
    }
    if !out.is_empty() {
        sink.send(out.freeze()).await?;
    }
    sink.finish().await
}

/// Adds to the tally what did not find its row.
pub(super) fn count(found: &[(usize, u64)], plan: &Plan, tables: &Tables, tally: &mut Tally) {
    for (job, found) in found {
        let Some(Job::Rows { table, picks, quiet: false, .. }) = plan.jobs.get(*job) else { continue };
        let missed = (picks.len() as u64).saturating_sub(*found);
        if missed > 0
            && let Some(table) = tables.get(*table)
        {
            *tally.conflicts.entry(table.name().clone()).or_default() += missed;
        }
    }
}

/// The key of a row as a hash that tells rows apart in a message and gives nothing away.
pub(super) fn key_hash(rows: Rows<'_>, plan: &Plan, tables: &Tables, table: usize, pick: &Pick) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    if let Some(table) = tables.get(table) {
        let key = table.key.columns();
        let all: Vec<usize> = if key.is_empty() { (0..table.columns.len()).collect() } else { key.to_vec() };
        for (at, column) in all.iter().enumerate() {
            if at > 0 {
                hash.update(b",");
            }
            let value = match pick.image {
                Some(image) if !pick.key.old => plan.value(rows, Some(image), table.source(*column)),
                _ => rows.of_key(pick.key, table.source(*column)),
            };
            if let event::Value::Present(bytes) = value {
                hash.update(bytes);
            }
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
