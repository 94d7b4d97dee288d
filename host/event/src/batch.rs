//! A batch: some hundred changes, column by column, with the order in which the stream brought them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Cells, CellsBuilder, Image, Lsn, Relation, SchemaEntry, Value};

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

/// One change as it is pushed into a [`BatchBuilder`]; values in the order of `Relation::columns`.
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

/// Collects changes into a [`Batch`]. The caller cuts it with [`BatchBuilder::take`].
#[derive(Default)]
pub struct BatchBuilder {
    transactions: Vec<Transaction>,
    chunks: Vec<ChunkBuilder>,
    /// Address of the relation → its chunk. A relation is kept alive by its chunk.
    by_relation: HashMap<usize, usize>,
    order: Vec<Step>,
    rows: usize,
    bytes: usize,
    /// The transaction that is open.
    open: Option<Transaction>,
    /// The ordinal of its next row.
    ordinal: u64,
}

struct ChunkBuilder {
    relation: Arc<Relation>,
    ops: Vec<Op>,
    old_kinds: Vec<OldImage>,
    transactions: Vec<usize>,
    ordinals: Vec<u64>,
    new: Vec<CellsBuilder>,
    old: Vec<CellsBuilder>,
    new_rows: usize,
    old_rows: usize,
}

impl BatchBuilder {
    /// A transaction starts.
    pub fn begin(&mut self, transaction: Transaction) {
        self.begin_at(transaction, 0);
    }

    /// A transaction goes on with the row of that number.
    pub fn begin_at(&mut self, transaction: Transaction, ordinal: u64) {
        self.ordinal = ordinal;
        self.enter(transaction);
    }

    fn enter(&mut self, transaction: Transaction) {
        self.open = Some(transaction);
        self.order.push(Step::Begin(self.transactions.len()));
        self.transactions.push(transaction);
    }

    /// A row of the open transaction. A value that is missing at the end of a slice counts as null.
    pub fn row(&mut self, relation: &Arc<Relation>, change: RowChange<'_>) {
        self.reopen();
        let transaction = self.transactions.len().saturating_sub(1);
        let at = self.chunk(relation);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        self.bytes += chunk.push(change, transaction, self.ordinal);
        self.rows += 1;
        self.ordinal += 1;
        match self.order.last_mut() {
            Some(Step::Rows { chunk, count }) if *chunk == at => *count += 1,
            _ => self.order.push(Step::Rows { chunk: at, count: 1 }),
        }
    }

    /// Tables are emptied in the open transaction.
    pub fn truncate(&mut self, truncate: Truncate) {
        self.reopen();
        self.order.push(Step::Truncate(truncate));
    }

    /// The schema changes in the open transaction. The batch has to be taken before anything else is pushed.
    pub fn schema(&mut self, entry: SchemaEntry) {
        self.reopen();
        self.bytes += entry.weight();
        self.order.push(Step::Schema(Box::new(entry)));
    }

    /// Whether the batch ends with a change of the schema.
    #[must_use]
    pub fn ends_with_schema(&self) -> bool {
        matches!(self.order.last(), Some(Step::Schema(_)))
    }

    /// The open transaction is whole.
    pub fn commit(&mut self, end: Lsn) {
        self.reopen();
        self.open = None;
        self.order.push(Step::Commit { end });
    }

    /// Between transactions: nothing for us before `lsn`. Ignored inside one.
    pub fn heartbeat(&mut self, lsn: Lsn) {
        if self.open.is_some() {
            return;
        }
        if let Some(Step::Heartbeat(last)) = self.order.last_mut() {
            *last = lsn;
            return;
        }
        self.order.push(Step::Heartbeat(lsn));
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of values so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when there is nothing to pass on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// True between the begin and the commit of a transaction.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The batch so far; the open transaction goes on in the next one.
    #[must_use]
    pub fn take(&mut self) -> Batch {
        self.rows = 0;
        self.bytes = 0;
        self.by_relation.clear();
        Batch {
            transactions: std::mem::take(&mut self.transactions),
            chunks: self.chunks.drain(..).map(ChunkBuilder::finish).collect(),
            order: std::mem::take(&mut self.order),
        }
    }

    /// After a cut inside a transaction, the next step first says which transaction goes on.
    fn reopen(&mut self) {
        if self.order.is_empty()
            && let Some(open) = self.open
        {
            self.enter(open);
        }
    }

    fn chunk(&mut self, relation: &Arc<Relation>) -> usize {
        let address = Arc::as_ptr(relation) as usize;
        if let Some(at) = self.by_relation.get(&address) {
            return *at;
        }
        let columns = relation.columns.len();
        self.chunks.push(ChunkBuilder {
            relation: Arc::clone(relation),
            ops: Vec::new(),
            old_kinds: Vec::new(),
            transactions: Vec::new(),
            ordinals: Vec::new(),
            new: (0..columns).map(|_| CellsBuilder::default()).collect(),
            old: (0..columns).map(|_| CellsBuilder::default()).collect(),
            new_rows: 0,
            old_rows: 0,
        });
        let at = self.chunks.len() - 1;
        self.by_relation.insert(address, at);
        at
    }
}

impl ChunkBuilder {
    /// Appends a change and gives the bytes of its values.
    fn push(&mut self, change: RowChange<'_>, transaction: usize, ordinal: u64) -> usize {
        let (op, old, new) = match change {
            RowChange::Insert { new } => (Op::Insert, None, Some(new)),
            RowChange::Update { old, new } => (Op::Update, old, Some(new)),
            RowChange::Delete { old } => (Op::Delete, Some(old), None),
        };
        self.ops.push(op);
        self.transactions.push(transaction);
        self.ordinals.push(ordinal);
        self.old_kinds.push(old.map_or(OldImage::None, |(kind, _)| kind));
        let mut bytes = 0;
        if let Some(values) = new {
            self.new_rows += 1;
            bytes += fill(&mut self.new, values);
        }
        if let Some((_, values)) = old {
            self.old_rows += 1;
            bytes += fill(&mut self.old, values);
        }
        bytes
    }

    fn finish(self) -> Chunk {
        Chunk {
            relation: self.relation,
            ops: self.ops,
            old_kinds: self.old_kinds,
            transactions: self.transactions,
            ordinals: self.ordinals,
            new: image(self.new_rows, self.new),
            old: image(self.old_rows, self.old),
            identity: Identity::Unknown,
            versions: Vec::new(),
        }
    }
}

fn fill(columns: &mut [CellsBuilder], values: &[Value<'_>]) -> usize {
    let mut bytes = 0;
    for (at, column) in columns.iter_mut().enumerate() {
        let value = values.get(at).copied().unwrap_or(Value::Null);
        if let Value::Present(text) = value {
            bytes += text.len();
        }
        column.push(value);
    }
    bytes
}

/// An image that no row has keeps no columns, so that it costs nothing.
fn image(rows: usize, columns: Vec<CellsBuilder>) -> Image {
    if rows == 0 {
        return Image::default();
    }
    // Each builder was given exactly one value a row.
    Image::new(rows, columns.into_iter().map(CellsBuilder::finish).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReplicaIdentity, TableName};

    fn table(name: &str) -> Arc<Relation> {
        let column = |name: &str, key: bool| crate::Column {
            name: name.into(),
            id: String::new(),
            attnum: 1,
            type_oid: 25,
            type_name: "text".into(),
            nullable: !key,
            primary: key,
            identity: key,
            unique: key,
            generated: None,
            identity_column: None,
        };
        Arc::new(Relation {
            oid: 1,
            id: "1".into(),
            name: TableName::new("public", name),
            replica_identity: ReplicaIdentity::Default,
            version: 0,
            columns: vec![column("id", true), column("v", false)],
        })
    }

    fn transaction(lsn: u64) -> Transaction {
        Transaction { commit_lsn: Lsn(lsn), committed_at: 0, xid: 1 }
    }

    fn row(text: &'static str) -> [Value<'static>; 2] {
        [Value::Present(text.as_bytes()), Value::Null]
    }

    #[test]
    fn order_across_tables_is_kept_and_images_hold_only_the_rows_that_have_them() {
        let (a, b) = (table("a"), table("b"));
        let mut builder = BatchBuilder::default();
        builder.begin(transaction(10));
        builder.row(&a, RowChange::Insert { new: &row("1") });
        builder.row(&b, RowChange::Delete { old: (OldImage::Key, &row("2")) });
        builder.row(&a, RowChange::Update { old: Some((OldImage::Key, &row("1"))), new: &row("3") });
        builder.commit(Lsn(11));
        let batch = builder.take();
        let seen: Vec<String> = batch
            .walk()
            .map(|step| match step {
                Walk::Begin(t) => format!("begin {}", t.commit_lsn),
                Walk::Row(at) => {
                    format!("{}{} {:?} {:?} {:?} #{}", at.chunk, at.row, at.op, at.new, at.old, at.ordinal)
                }
                Walk::Truncate(_) => "truncate".into(),
                Walk::Schema(_) => "schema".into(),
                Walk::Commit { end } => format!("commit {end}"),
                Walk::Heartbeat(lsn) => format!("heartbeat {lsn}"),
            })
            .collect();
        assert_eq!(
            seen,
            [
                "begin 0/A",
                "00 Insert Some(0) None #0",
                "10 Delete None Some(0) #1",
                "01 Update Some(1) Some(0) #2",
                "commit 0/B"
            ]
        );
        assert_eq!(batch.chunks[1].new.rows(), 0);
        assert_eq!(batch.chunks[0].old.rows(), 1);
        assert_eq!(batch.end(), Some(Lsn(11)));
    }

    #[test]
    fn a_transaction_cut_in_two_goes_on_with_its_ordinals() {
        let a = table("a");
        let mut builder = BatchBuilder::default();
        builder.begin(transaction(10));
        builder.row(&a, RowChange::Insert { new: &row("1") });
        let first = builder.take();
        assert_eq!(first.end(), None);
        builder.heartbeat(Lsn(99));
        assert!(builder.is_empty(), "no heartbeat inside a transaction");
        builder.row(&a, RowChange::Insert { new: &row("2") });
        builder.commit(Lsn(11));
        let second = builder.take();
        let ordinals: Vec<u64> = second
            .walk()
            .filter_map(|step| if let Walk::Row(at) = step { Some(at.ordinal) } else { None })
            .collect();
        assert_eq!(ordinals, [1]);
        assert_eq!(second.transactions[0].commit_lsn, Lsn(10));
        assert!(!builder.in_transaction());
    }

    #[test]
    fn dropped_rows_leave_their_commit() {
        let (a, b) = (table("a"), table("b"));
        let mut builder = BatchBuilder::default();
        builder.begin(transaction(10));
        builder.row(&a, RowChange::Insert { new: &row("1") });
        builder.row(&b, RowChange::Insert { new: &row("2") });
        builder.row(&a, RowChange::Delete { old: (OldImage::Key, &row("1")) });
        builder.commit(Lsn(11));
        let mut batch = builder.take();
        batch.retain_rows(0, &[false, true]);
        let rows: Vec<(usize, Op)> = batch
            .walk()
            .filter_map(|step| if let Walk::Row(at) = step { Some((at.chunk, at.op)) } else { None })
            .collect();
        assert_eq!(rows, [(1, Op::Insert), (0, Op::Delete)]);
        batch.retain_rows(0, &[false]);
        batch.retain_rows(1, &[false]);
        assert_eq!(batch.rows(), 0);
        assert_eq!(batch.end(), Some(Lsn(11)));
    }

    #[test]
    fn two_heartbeats_in_a_row_are_one() {
        let mut builder = BatchBuilder::default();
        builder.heartbeat(Lsn(1));
        builder.heartbeat(Lsn(2));
        assert_eq!(builder.take().order, [Step::Heartbeat(Lsn(2))]);
    }
}
