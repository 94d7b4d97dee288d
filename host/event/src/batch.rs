//! A batch: some hundred changes, column by column, with the order in which the stream brought them.

use std::sync::Arc;

use crate::{Cells, Image, Lsn, Relation, SchemaEntry, Value};

/// What a change does to its row. The numbers are those of `wit/v0/data.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// A new row: new image only.
    Insert = 0,
    /// A changed row: new image, and an old one if the identity changed or is full.
    Update = 1,
    /// A removed row: old image only.
    Delete = 2,
}

/// What a row's old image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldImage {
    /// No old image: an insert, or an update that left the replica identity alone.
    None,
    /// The columns of the replica identity; the others are null and mean nothing.
    Key,
    /// The whole old row.
    Full,
}

/// One transaction of the source, or the part of it that is in this batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Where its commit record starts: the same for each of its rows, and its name in the source.
    pub commit_lsn: Lsn,
    /// Commit time, microseconds since 1970-01-01 UTC.
    pub committed_at: i64,
    /// Transaction id.
    pub xid: u32,
}

/// `TRUNCATE` of one or more tables at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncate {
    /// The tables, as the source listed them (with the ones that CASCADE reached).
    pub relations: Vec<Arc<Relation>>,
    /// `CASCADE` was given.
    pub cascade: bool,
    /// `RESTART IDENTITY` was given.
    pub restart_identity: bool,
}

/// The order of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `transactions[i]` starts, or goes on from the batch before.
    Begin(usize),
    /// The next `count` rows of `chunks[chunk]`.
    Rows {
        /// Index into `Batch::chunks`.
        chunk: usize,
        /// How many rows.
        count: usize,
    },
    /// Tables are emptied.
    Truncate(Truncate),
    /// The schema changes: the last step of its batch, so that what follows meets the new one.
    Schema(Box<SchemaEntry>),
    /// The transaction is whole. Everything before `end` is done once it is applied.
    Commit {
        /// Where the next record starts: the position to confirm.
        end: Lsn,
    },
    /// Between transactions: the source has nothing for us before this position.
    Heartbeat(Lsn),
}

/// The identity of each row of a chunk, as the injector found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// No injector has looked: sinks fall back on the replica identity.
    #[default]
    Unknown,
    /// The table has none.
    None,
    /// These columns.
    Columns(Vec<usize>),
    /// A value for each row of the chunk.
    Computed(Cells),
}

/// Changes to one version of one table.
///
/// Row `i` has an entry in `ops`, `old_kinds`, `transactions` and `ordinals`. Its place in `new` is its rank among
/// the rows that are not deletes, its place in `old` its rank among those with an old image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The table.
    pub relation: Arc<Relation>,
    /// One a row.
    pub ops: Vec<Op>,
    /// One a row.
    pub old_kinds: Vec<OldImage>,
    /// One a row: index into `Batch::transactions`.
    pub transactions: Vec<usize>,
    /// One a row: its place in its transaction from 0, counted before any filter, so that it is the same
    /// when the row is delivered again.
    pub ordinals: Vec<u64>,
    /// Inserts and updates after the change.
    pub new: Image,
    /// Updates and deletes before the change.
    pub old: Image,
    /// What the injector found.
    pub identity: Identity,
    /// Versions that the injector gave, one a row; empty means the commit LSN.
    pub versions: Vec<i64>,
}

impl Chunk {
    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ops.len()
    }

    /// Rows that have the new image, as a mask over the chunk's rows.
    fn has_new(&self) -> impl Iterator<Item = bool> + '_ {
        self.ops.iter().map(|op| *op != Op::Delete)
    }

    /// Rows that have an old image, as a mask over the chunk's rows.
    fn has_old(&self) -> impl Iterator<Item = bool> + '_ {
        self.old_kinds.iter().map(|kind| *kind != OldImage::None)
    }

    /// Operations of the rows in `new`, in its order.
    pub fn new_ops(&self) -> impl Iterator<Item = Op> + '_ {
        self.ops.iter().copied().filter(|op| *op != Op::Delete)
    }

    /// Operations of the rows in `old`, in its order.
    pub fn old_ops(&self) -> impl Iterator<Item = Op> + '_ {
        self.ops.iter().copied().zip(self.has_old()).filter(|(_, has)| *has).map(|(op, _)| op)
    }

    /// Transactions of the rows in `new`, in its order.
    pub fn new_transactions(&self) -> impl Iterator<Item = usize> + '_ {
        self.transactions.iter().copied().zip(self.has_new()).filter(|(_, has)| *has).map(|(at, _)| at)
    }

    /// Transactions of the rows in `old`, in its order.
    pub fn old_transactions(&self) -> impl Iterator<Item = usize> + '_ {
        self.transactions.iter().copied().zip(self.has_old()).filter(|(_, has)| *has).map(|(at, _)| at)
    }

    fn retain(&mut self, keep: &[bool]) {
        let keep_new: Vec<bool> = self.has_new().zip(keep).filter(|(has, _)| *has).map(|(_, k)| *k).collect();
        let keep_old: Vec<bool> = self.has_old().zip(keep).filter(|(has, _)| *has).map(|(_, k)| *k).collect();
        self.new = self.new.retain(&keep_new);
        self.old = self.old.retain(&keep_old);
        retain(&mut self.ops, keep);
        retain(&mut self.old_kinds, keep);
        retain(&mut self.transactions, keep);
        retain(&mut self.ordinals, keep);
        retain(&mut self.versions, keep);
        if let Identity::Computed(cells) = &self.identity {
            self.identity = Identity::Computed(cells.retain(keep));
        }
    }

    fn weight(&self) -> usize {
        self.new.weight() + self.old.weight() + self.rows() * 24 + 256
    }
}

fn retain<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    items.retain(|_| keep.next().copied().unwrap_or(true));
}

/// One change as it is pushed into a [`BatchBuilder`](crate::BatchBuilder); values in the order of `Relation::columns`.
#[derive(Clone, Copy, Debug)]
pub enum RowChange<'a> {
    /// A new row.
    Insert {
        /// The row.
        new: &'a [Value<'a>],
    },
    /// A changed row.
    Update {
        /// The old image, if the source sent one.
        old: Option<(OldImage, &'a [Value<'a>])>,
        /// The row after the change.
        new: &'a [Value<'a>],
    },
    /// A removed row.
    Delete {
        /// Key or whole row.
        old: (OldImage, &'a [Value<'a>]),
    },
}

/// Where one row of a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowAt {
    /// Index into `Batch::chunks`.
    pub chunk: usize,
    /// Row of the chunk.
    pub row: usize,
    /// Row of `Chunk::new`, unless it is a delete.
    pub new: Option<usize>,
    /// Row of `Chunk::old`, if it has an old image.
    pub old: Option<usize>,
    /// What the old image holds.
    pub old_kind: OldImage,
    /// What the change does.
    pub op: Op,
    /// Its place in its transaction, from 0: with the commit LSN the identity of the event.
    pub ordinal: u64,
}

/// One step of [`Batch::walk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk<'a> {
    /// A transaction starts or goes on.
    Begin(&'a Transaction),
    /// A change.
    Row(RowAt),
    /// Tables are emptied.
    Truncate(&'a Truncate),
    /// The schema changes.
    Schema(&'a SchemaEntry),
    /// The transaction is whole.
    Commit {
        /// The position to confirm.
        end: Lsn,
    },
    /// Nothing for us before this position.
    Heartbeat(Lsn),
}

/// Some hundred changes in stream order; may start or end inside a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In stream order.
    pub transactions: Vec<Transaction>,
    /// One for each version of a table that occurs.
    pub chunks: Vec<Chunk>,
    /// What happened, in order.
    pub order: Vec<Step>,
}

impl Batch {
    /// How many changed rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(Chunk::rows).sum()
    }

    /// Memory that the batch holds on to, in bytes; an estimate that never forgets the values.
    #[must_use]
    pub fn weight(&self) -> usize {
        let schema = self.schema().map_or(0, SchemaEntry::weight);
        self.chunks.iter().map(Chunk::weight).sum::<usize>() + self.order.len() * 32 + schema + 256
    }

    /// The change of the schema that it ends with.
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaEntry> {
        match self.order.last() {
            Some(Step::Schema(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The last position that is done once this batch is applied, if it ends a transaction.
    #[must_use]
    pub fn end(&self) -> Option<Lsn> {
        self.order.iter().rev().find_map(|step| match step {
            Step::Commit { end } => Some(*end),
            Step::Heartbeat(lsn) => Some(*lsn),
            Step::Begin(_) | Step::Rows { .. } | Step::Truncate(_) | Step::Schema(_) => None,
        })
    }

    /// Drops the rows of a chunk for which `keep` is false. Commit marks stay: a dropped row is a row done.
    pub fn retain_rows(&mut self, chunk: usize, keep: &[bool]) {
        let Some(rows) = self.chunks.get_mut(chunk) else { return };
        rows.retain(keep);
        let mut keep = keep.iter().copied();
        for step in &mut self.order {
            if let Step::Rows { chunk: at, count } = step
                && *at == chunk
            {
                *count = keep.by_ref().take(*count).filter(|keep| *keep).count();
            }
        }
        self.order.retain(|step| !matches!(step, Step::Rows { count: 0, .. }));
    }

    /// Every step in stream order, rows one by one.
    pub fn walk(&self) -> impl Iterator<Item = Walk<'_>> + '_ {
        let mut cursors = vec![(0_usize, 0_usize, 0_usize); self.chunks.len()];
        let mut left = 0;
        let mut steps = self.order.iter();
        let mut current = 0;
        std::iter::from_fn(move || {
            if left == 0 {
                match steps.next()? {
                    Step::Begin(at) => return Some(Walk::Begin(self.transactions.get(*at)?)),
                    Step::Truncate(truncate) => return Some(Walk::Truncate(truncate)),
                    Step::Schema(entry) => return Some(Walk::Schema(entry)),
                    Step::Commit { end } => return Some(Walk::Commit { end: *end }),
                    Step::Heartbeat(lsn) => return Some(Walk::Heartbeat(*lsn)),
                    Step::Rows { chunk, count } => {
                        current = *chunk;
                        left = *count;
                    }
                }
            }
            left = left.checked_sub(1)?;
            let (row, new, old) = cursors.get_mut(current)?;
            let chunk = self.chunks.get(current)?;
            let op = *chunk.ops.get(*row)?;
            let old_kind = *chunk.old_kinds.get(*row)?;
            let at = RowAt {
                chunk: current,
                row: *row,
                new: (op != Op::Delete).then_some(*new),
                old: (old_kind != OldImage::None).then_some(*old),
                old_kind,
                op,
                ordinal: *chunk.ordinals.get(*row)?,
            };
            *row += 1;
            *new += usize::from(at.new.is_some());
            *old += usize::from(at.old.is_some());
            Some(Walk::Row(at))
        })
    }
}
