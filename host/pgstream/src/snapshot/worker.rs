//! A reader with its writer: takes one range after the other until there is none left.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use event::Batch;
use listen::snapshot::{Reader, Rows, Table, Task};
use modify::Route;
use sink::postgres::copy::{self, Copier};
use tokio::sync::mpsc;

use super::modifier::Handle;
use super::rows::{FAILED, GOING, Round, STALE, Way};
use crate::failure::Error;

/// How much is read before it is written.
pub(super) const PIECE: usize = 256 << 10;
/// How many pieces a reader may be ahead of its writer.
const AHEAD: usize = 4;

/// A reader with its writer.
pub(super) struct Worker {
    pub(super) reader: Reader,
    pub(super) copier: Copier,
    pub(super) modifier: Handle,
    pub(super) round: Arc<Round>,
}

impl Worker {
    pub(super) async fn run(mut self, halt: tokio_util::sync::CancellationToken) -> Result<(), Error> {
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
                Ok(true) => {}
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
        let range = &way.range;
        if self.reader.start(table, task, range.binary).await?.is_err() {
            return Ok(false);
        }
        self.copier.begin(range.clone()).await?;
        let (rows, bytes) = match way.route {
            Route::Through => self.through(table, task).await?,
            Route::AsTheyAre | Route::SchemaOnly | Route::Nowhere => self.as_they_are().await?,
        };
        self.reader.finish().await?;
        self.copier.finish(rows, bytes).await?;
        self.round.progress.range_ends(task.table, rows, bytes, task.bytes);
        if way.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            if range.into != range.table {
                self.copier.take_over(range, way.key.as_ref()).await?;
            }
            self.round.progress.table_ends(task.table, true);
            tracing::debug!(table = %range.table, "table copied");
        }
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
