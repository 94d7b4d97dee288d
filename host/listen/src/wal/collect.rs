//! Turns the messages of the stream into batches. No I/O: the tables are told by the caller.

use std::sync::Arc;

use event::{
    Batch, BatchBuilder, Lsn, OldImage, Relation, RowChange, SchemaEntry, Transaction, Truncate, Value,
};

use crate::wal::Error;
use crate::wal::copied::Copied;
use crate::wal::decode::{self, Message, RelationMessage, Row};
use crate::wal::log::{self, Log};
use crate::wal::relation::{Known, Relations};

/// A batch is full at this many rows; beyond, a larger one costs more than it saves.
const ROWS: usize = 1000;
/// Or at this many bytes of values.
const BYTES: usize = 256 * 1024;
/// Or at this many transactions.
const COMMITS: usize = 1000;

/// Where the stream is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Between transactions.
    Outside,
    /// In a transaction that has brought nothing for us so far.
    Announced,
    /// In a transaction that the builder has begun.
    Inside,
}

/// Collects what the stream brings until somebody cuts.
pub(crate) struct Collector {
    pub(crate) relations: Relations,
    builder: BatchBuilder,
    place: Place,
    commits: usize,
    /// The transaction that is open, or was the last.
    transaction: Transaction,
    /// What is in the target without the stream.
    copied: Copied,
    /// The last position that was passed on.
    position: Lsn,
    /// A position further on before which there is nothing for us.
    quiet: Lsn,
    /// Transactions that were committed from there on are not wanted.
    until: Option<Lsn>,
    /// Versions of schemas.
    pub(crate) log: Log,
    /// Room for a row.
    row: Row<'static>,
}

impl Collector {
    /// A collector for a stream that goes on at `start`.
    pub(crate) fn new(relations: Relations, start: Lsn, copied: Copied) -> Self {
        Self {
            relations,
            copied,
            transaction: Transaction { commit_lsn: Lsn::ZERO, committed_at: 0, xid: 0 },
            builder: BatchBuilder::default(),
            place: Place::Outside,
            commits: 0,
            position: start,
            quiet: start,
            until: None,
            log: Log::default(),
            row: Row::default(),
        }
    }

    /// Has it take only what was committed before `until`.
    pub(crate) fn end_at(&mut self, until: Option<Lsn>) {
        self.until = until;
    }

    /// Whether everything is taken that was to be: nothing more may be given to it.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| self.quiet >= until)
    }

    /// The server has told everything before `position`.
    fn arrive(&mut self, position: Lsn) {
        if let Some(until) = self.until
            && position >= until
        {
            self.quiet = self.quiet.max(until);
        }
    }

    /// The number of the transaction that is open, or was the last.
    pub(crate) fn xid(&self) -> u32 {
        self.transaction.xid
    }

    /// A transaction starts. It is passed on with its first row: one that only touched tables which are not data is
    /// a position and no more.
    pub(crate) fn begin(&mut self, transaction: Transaction) -> Result<(), Error> {
        match self.place {
            Place::Outside => {
                self.arrive(transaction.commit_lsn);
                if self.is_over() {
                    return Ok(());
                }
                self.place = Place::Announced;
                self.transaction = transaction;
                self.copied.passed(&transaction);
            }
            Place::Announced | Place::Inside => {
                return Err(protocol("a transaction begins inside another"));
            }
        }
        Ok(())
    }

    /// A transaction is whole; everything before `end` is done with it.
    pub(crate) fn commit(&mut self, end: Lsn) -> Result<(), Error> {
        match self.place {
            Place::Outside => return Err(protocol("a commit without a transaction")),
            Place::Announced => self.quiet = self.quiet.max(end),
            Place::Inside => {
                self.builder.commit(end);
                self.commits += 1;
                self.position = self.position.max(end);
            }
        }
        self.place = Place::Outside;
        self.arrive(end);
        self.log.committed(end);
        Ok(())
    }

    /// The server has read its log up to `end`. Inside a transaction that says nothing of what is done.
    pub(crate) fn keepalive(&mut self, end: Lsn) {
        if matches!(self.place, Place::Outside) {
            self.arrive(end);
            self.quiet = self.quiet.max(self.until.map_or(end, |until| end.min(until)));
        }
    }

    /// Whether there is a position to pass on that no commit has brought.
    pub(crate) fn has_heartbeat(&self) -> bool {
        matches!(self.place, Place::Outside) && self.quiet > self.position
    }

    /// When the transaction that is open, or was announced, was committed.
    pub(crate) fn committed_at(&self) -> Option<i64> {
        match self.place {
            Place::Announced => Some(self.transaction.committed_at),
            Place::Outside | Place::Inside => None,
        }
    }

    /// Puts that position into the batch.
    pub(crate) fn heartbeat(&mut self) {
        if self.has_heartbeat() {
            self.builder.heartbeat(self.quiet);
            self.position = self.quiet;
        }
    }

    /// Takes one message. A description of a table is given back: it takes a look into the catalog.
    pub(crate) fn take<'a>(&mut self, data: &'a [u8]) -> Result<Option<RelationMessage<'a>>, Error> {
        let mut row = std::mem::take(&mut self.row).recycle();
        let message = decode::decode(data, &mut row).map_err(|error| protocol(&error.to_string()))?;
        let relation = self.act(message, &mut row)?;
        self.row = row.recycle();
        Ok(relation)
    }

    fn act<'a>(
        &mut self,
        message: Message<'a>,
        row: &mut Row<'a>,
    ) -> Result<Option<RelationMessage<'a>>, Error> {
        match message {
            Message::Insert { relation } => {
                if let Some(table) = self.table(relation, row)? {
                    self.builder.row(&table, RowChange::Insert { new: &row.new });
                } else if let Some(known) = self.relations.get(relation)
                    && known.is_log
                {
                    let entry = log::read(&known.relation, &row.new)
                        .ok_or_else(|| protocol("a row of pgstream.schema_log is not as it should be"))?;
                    self.define(entry)?;
                }
            }
            Message::Update { relation, old } => {
                if let Some(table) = self.table(relation, row)? {
                    complete(&table, old, row);
                    let old = (old != OldImage::None).then_some((old, row.old.as_slice()));
                    self.builder.row(&table, RowChange::Update { old, new: &row.new });
                }
            }
            Message::Delete { relation, old } => {
                if let Some(table) = self.table(relation, row)? {
                    self.builder.row(&table, RowChange::Delete { old: (old, &row.old) });
                }
            }
            Message::Truncate { relations, cascade, restart_identity } => {
                let mut tables = Vec::with_capacity(relations.len());
                for oid in relations {
                    let known = self.known(oid)?;
                    if !known.ours && !self.copied.has_rows(oid, &self.transaction) {
                        tables.push(Arc::clone(&known.relation));
                    }
                }
                if !tables.is_empty() {
                    self.enter()?;
                    self.builder.truncate(Truncate { relations: tables, cascade, restart_identity });
                }
            }
            Message::Relation(relation) => return Ok(Some(relation)),
            Message::Type { oid, schema, name } => self.relations.name_type(oid, schema, name),
            Message::Begin { commit_lsn, committed_at, xid } => {
                self.begin(Transaction { commit_lsn, committed_at, xid })?;
            }
            Message::Commit { end } => self.commit(end)?,
            Message::Origin | Message::Logical => {}
        }
        Ok(None)
    }

    /// A version of a schema takes effect here, unless it has done so already.
    pub(crate) fn define(&mut self, mut entry: SchemaEntry) -> Result<(), Error> {
        if self.log.is_new(&entry) {
            // One that cannot be read is told by the modifiers.
            if !entry.id.is_empty()
                && let Ok(changes) = schema::Change::read_all(&entry.changes)
            {
                for change in &changes {
                    if let Some(schema::Object::Table(table)) = &change.after {
                        self.relations.tell(table);
                    }
                }
                let made = changes.iter().map(|change| change.oid.0);
                entry.left_out.extend(made.filter(|oid| self.copied.has_made(*oid, &self.transaction)));
            }
            if !self.copied.has_schema(&self.transaction) {
                self.enter()?;
                self.builder.schema(entry);
            }
        }
        Ok(())
    }

    fn known(&self, oid: u32) -> Result<&Known, Error> {
        self.relations
            .get(oid)
            .ok_or_else(|| protocol(&format!("a change of table {oid}, which was not described")))
    }

    /// The table of a row, if the row is data; the transaction is begun.
    fn table(&mut self, oid: u32, row: &Row<'_>) -> Result<Option<Arc<Relation>>, Error> {
        let known = self.known(oid)?;
        let want = known.relation.columns.len();
        for values in [&row.new, &row.old] {
            if !values.is_empty() && values.len() != want {
                let (name, got) = (&known.relation.name, values.len());
                return Err(protocol(&format!("a row of {name} has {got} values for {want} columns")));
            }
        }
        if known.ours || self.copied.has_rows(oid, &self.transaction) {
            return Ok(None);
        }
        let relation = Arc::clone(&known.relation);
        self.enter()?;
        Ok(Some(relation))
    }

    fn enter(&mut self) -> Result<(), Error> {
        match self.place {
            Place::Outside => Err(protocol("a change outside of a transaction")),
            Place::Announced => {
                self.builder.begin(self.transaction);
                self.place = Place::Inside;
                Ok(())
            }
            Place::Inside => Ok(()),
        }
    }

    /// Whether a batch should be cut whatever follows.
    pub(crate) fn is_full(&self) -> bool {
        self.builder.rows() >= ROWS
            || self.builder.bytes() >= BYTES
            || self.commits >= COMMITS
            // What follows must meet the new schema.
            || self.builder.ends_with_schema()
    }

    /// Whether there is nothing to pass on.
    pub(crate) fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Whether a transaction is open that has been passed on, or will be, in part.
    pub(crate) fn in_transaction(&self) -> bool {
        matches!(self.place, Place::Inside)
    }

    /// The batch so far.
    pub(crate) fn cut(&mut self) -> Batch {
        self.commits = 0;
        self.builder.take()
    }
}

/// Puts values that the update left alone into the new image, where the old one has them: the whole row under
/// identity full, a long key under the others.
fn complete(table: &Relation, old: OldImage, row: &mut Row<'_>) {
    if old == OldImage::None {
        return;
    }
    for ((new, old_value), column) in row.new.iter_mut().zip(&row.old).zip(&table.columns) {
        let told = match old {
            OldImage::Full => true,
            OldImage::Key => column.identity,
            OldImage::None => false,
        };
        if told && *new == Value::Unchanged && *old_value != Value::Unchanged {
            *new = *old_value;
        }
    }
}

fn protocol(reason: &str) -> Error {
    Error::Protocol { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
