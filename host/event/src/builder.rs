//! Collects changes, row by row, into batches that are kept column by column.

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::{Batch, Chunk, Identity, OldImage, Op, RowChange, Step, Transaction, Truncate};
use crate::{CellsBuilder, Image, Lsn, Relation, SchemaEntry, Value};

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
    use crate::{ReplicaIdentity, TableName, Walk};

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
