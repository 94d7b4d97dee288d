//! One session that writes ranges, each in a transaction with its mark in the ledger.

use std::pin::Pin;

use ::postgres::{Class, Client, Url, class_of, connect, describe, ident, table as quoted};
use bytes::{Bytes, BytesMut};
use event::{Batch, TableName, Walk};
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;
use tokio_postgres::error::SqlState;

use super::ledger::signed;
use super::{Error, Ledger, target};
use crate::postgres::encode;
use crate::postgres::progress::APPLICATION;
use crate::postgres::writer::become_replica;

/// A transaction that is lost with the target's power is lost with its mark: it need not be waited for.
const SETTINGS: [(&str, &str); 4] = [
    ("synchronous_commit", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
];

/// A range that is about to be written.
#[derive(Clone, Debug)]
pub struct Range {
    /// The oid of its table on the source.
    pub oid: u32,
    /// The table.
    pub table: TableName,
    /// Where its rows go: itself, or its table aside.
    pub into: TableName,
    /// The columns, in the order of the values.
    pub columns: Vec<String>,
    /// In the binary form of COPY.
    pub binary: bool,
}

/// A session that writes.
pub struct Copier {
    pub(super) client: Client,
    pub(super) system_id: String,
    pub(super) slot: String,
    pub(super) epoch: i64,
    /// Triggers and foreign keys are off.
    pub(super) replica: bool,
    open: Option<(Range, Pin<Box<CopyInSink<Bytes>>>)>,
    sent: u64,
}

impl std::fmt::Debug for Copier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copier").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Copier {
    /// Opens a session. `disable_triggers`: as for the stream.
    ///
    /// # Errors
    /// A target that cannot be reached.
    pub async fn connect(url: &Url, ledger: &Ledger, disable_triggers: bool) -> Result<Self, Error> {
        let client = connect(url, APPLICATION, &SETTINGS).await?;
        let replica = disable_triggers && become_replica(&client).await?;
        let (system_id, slot, epoch) = (ledger.system_id.clone(), ledger.slot.clone(), ledger.epoch);
        Ok(Self { client, system_id, slot, epoch, replica, open: None, sent: 0 })
    }

    /// Takes all rows out of a table: those of a copy that did not end, or those that were told to go.
    ///
    /// # Errors
    /// A target that does not answer, a role that may not, and rows of others that would go too.
    pub async fn empty(&mut self, table: &TableName) -> Result<(), Error> {
        target::empty(&self.client, table, self.replica).await
    }

    /// Begins a range.
    ///
    /// # Errors
    /// A target that does not answer or does not take COPY into the table.
    pub async fn begin(&mut self, range: Range) -> Result<(), Error> {
        let columns: Vec<String> = range.columns.iter().map(|column| ident(column)).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        let format = if range.binary { " (FORMAT binary)" } else { "" };
        let sql = format!("COPY {}{columns} FROM STDIN{format}", quoted(&range.into));
        let begun = async {
            self.client.batch_execute("BEGIN").await?;
            self.client.copy_in::<_, Bytes>(&sql).await
        };
        let sink = begun.await.map_err(|error| failed(&range.table, &error))?;
        self.open = Some((range, Box::pin(sink)));
        self.sent = 0;
        Ok(())
    }

    /// Writes what the source sent.
    ///
    /// # Errors
    /// A target that does not take it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let Some((range, sink)) = &mut self.open else { return Ok(()) };
        sink.send(bytes).await.map_err(|error| failed(&range.table, &error))
    }

    /// Writes the inserts of a batch as text.
    ///
    /// # Errors
    /// As [`Copier::write`].
    pub async fn write_batch(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut out = BytesMut::new();
        for step in batch.walk() {
            let Walk::Row(row) = step else { continue };
            let (Some(chunk), Some(new)) = (batch.chunks.get(row.chunk), row.new) else { continue };
            for column in 0..chunk.relation.columns.len() {
                if column > 0 {
                    out.extend_from_slice(b"\t");
                }
                encode::field(chunk.new.value(column, new), &mut out);
            }
            out.extend_from_slice(b"\n");
            self.sent += 1;
        }
        self.write(out.freeze()).await
    }

    /// How many rows [`Copier::write_batch`] has written of the range.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Ends the range of `sent` rows and `bytes`: commits it with its mark.
    ///
    /// # Errors
    /// A target that does not take it, another number of rows, another process that has taken over.
    pub async fn finish(&mut self, sent: u64, bytes: u64) -> Result<(), Error> {
        // Where rows of others stay, it is done once it has the rows from its table aside.
        const MARK: &str = "UPDATE pgstream.snapshot_tables SET ranges_done = ranges_done + 1, rows = rows + $5, \
                bytes = bytes + $6, \
                state = CASE WHEN ours AND ranges_done + 1 = ranges THEN 'done' ELSE 'copying' END, \
                ended_at = CASE WHEN ours AND ranges_done + 1 = ranges THEN now() END \
            WHERE system_id = $1 AND slot = $2 AND oid = $3 AND epoch = $4 AND state IN ('waiting', 'copying')";
        let Some((range, mut sink)) = self.open.take() else { return Ok(()) };
        let fault = |error: tokio_postgres::Error| failed(&range.table, &error);
        let written = sink.as_mut().finish().await.map_err(fault)?;
        if written != sent {
            self.back().await?;
            return Err(Error::Count { table: range.table, sent, written });
        }
        fault::here!("copy-range-written");
        let marked = self
            .client
            .execute(
                MARK,
                &[&self.system_id, &self.slot, &range.oid, &self.epoch, &signed(written), &signed(bytes)],
            )
            .await
            .map_err(fault)?;
        if marked != 1 {
            self.back().await?;
            return Err(Error::Busy { slot: self.slot.clone() });
        }
        self.client.batch_execute("COMMIT").await.map_err(fault)?;
        fault::here!("copy-range-committed");
        Ok(())
    }

    /// Leaves the range: nothing of it stays.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn abandon(&mut self) -> Result<(), Error> {
        // Dropped without an end, a COPY fails.
        self.open = None;
        self.back().await
    }

    async fn back(&mut self) -> Result<(), Error> {
        let back = self.client.batch_execute("ROLLBACK").await;
        back.map_err(Error::statement("roll back a range on the target"))
    }
}

pub(super) fn failed(table: &TableName, error: &tokio_postgres::Error) -> Error {
    let refuses = |code: &&SqlState| {
        matches!(class_of(code), Class::Row | Class::Stop) && code.code() != ::postgres::DISK_FULL
    };
    let Some(code) = error.code().filter(refuses) else {
        return ::postgres::Error::statement(format!("copy rows of {table} to the target"), error).into();
    };
    let remedy = match code.code() {
        "23505" => "the target has such rows already (`existing_rows: upsert` has copied rows take the place of those with the same key), or the rules make values of a key equal: see `allow_uniqueness_loss`".to_owned(),
        "21000" => "several copied rows have the same key on the target: the rules make them equal (see `allow_uniqueness_loss`), or the type or collation of its columns does".to_owned(),
        _ => format!("compare {} on both sides, or leave it out", quoted(table)),
    };
    Error::Rows { table: table.clone(), reason: describe(error), remedy }
}
