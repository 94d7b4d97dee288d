//! The net effect of a work: what each key of each table was at its start, and what it is at its end.
//!
//! A replica has no foreign keys and no triggers, so tables do not see each other and each may be folded by itself;
//! TRUNCATE is a barrier for all of them. Where the session is no replica, the order of the stream is kept, and only
//! neighbours that do the same to different rows of one table share a statement.
//!
//! A change that does not fit what is known of its key (an insert of a row that is there, a change of one that is
//! gone, a change of the key itself) closes what is collected for its table: it then meets the target as it would
//! have without any folding.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};

use event::{OldImage, Op, RowAt, Value, Walk};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Error;
use super::counters::Tally;
use super::plan::{Group, Job, Pick, Plan};
use super::rows::{At, KeyAt, Rows, has_old};
use super::statement::{self, Shape};
use super::table::{Key, Table, Tables};
use super::work::{Place, Work};
use super::writer::OnConflict;

/// How far changes may be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By table and key.
    Net,
    /// Neighbours only.
    Stream,
    /// Not at all: a statement a row.
    Exact,
}

/// What is known of a key.
struct Entry {
    hash: u64,
    key: KeyAt,
    /// Its row was there at the start.
    existed: bool,
    /// Its row went and came back.
    replaced: bool,
    /// What the row is now; none when it is gone.
    image: Option<u32>,
    place: Place,
}

/// What is collected for one table.
struct Segment {
    table: usize,
    entries: Vec<Entry>,
    index: HashTable<usize>,
    /// The one operation in it, where the order of the stream is kept.
    op: Op,
    /// What its updates leave alone, likewise.
    kept: Vec<usize>,
}

enum Task {
    Fold(Segment),
    Row { group: Group },
    Truncate(Job),
}

/// A change on its way into a segment.
struct Change {
    table: usize,
    at: At,
    row: RowAt,
    place: Place,
}

/// Makes the plan of a work and counts its rows.
pub(super) fn plan(
    work: &Work,
    tables: &Tables,
    of_work: &[Vec<usize>],
    order: Order,
    on_conflict: OnConflict,
) -> Result<(Plan, Tally), Error> {
    let rows = Rows::new(work);
    let mut folder = Folder {
        rows,
        tables,
        order,
        on_conflict,
        tasks: Vec::new(),
        open: Vec::new(),
        plan: Plan::default(),
        hasher: DefaultHashBuilder::default(),
    };
    let mut tally = Tally::default();
    for (piece_at, piece) in work.pieces.iter().enumerate() {
        for (step, walk) in piece.steps() {
            let place = Place { piece: piece_at, step };
            match walk {
                Walk::Row(row) => {
                    match row.op {
                        Op::Insert => tally.inserts += 1,
                        Op::Update => tally.updates += 1,
                        Op::Delete => tally.deletes += 1,
                    }
                    let table = of_work.get(piece_at).and_then(|tables| tables.get(row.chunk)).copied();
                    let change = Change {
                        table: table.unwrap_or(usize::MAX),
                        at: At::new(piece_at, &row),
                        row,
                        place,
                    };
                    folder.push(&change)?;
                }
                Walk::Truncate(truncate) => {
                    tally.truncates += 1;
                    folder.open.clear();
                    folder.tasks.push(Task::Truncate(Job::truncate(truncate, place)));
                }
                Walk::Begin(_) | Walk::Schema(_) | Walk::Commit { .. } | Walk::Heartbeat(_) => {}
            }
        }
    }
    Ok((folder.finish()?, tally))
}

struct Folder<'a> {
    rows: Rows<'a>,
    tables: &'a Tables,
    order: Order,
    on_conflict: OnConflict,
    tasks: Vec<Task>,
    /// By the table's place: the task that still takes changes.
    open: Vec<Option<usize>>,
    plan: Plan,
    hasher: DefaultHashBuilder,
}

impl<'a> Folder<'a> {
    fn push(&mut self, change: &Change) -> Result<(), Error> {
        let Some(table) = self.tables.get(change.table) else { return Ok(()) };
        let moved = change.row.op == Op::Update && self.moves(table, change);
        let without_key = match table.key {
            Key::None if change.row.op != Op::Insert => {
                return Err(Error::NoKey { table: table.name().clone() });
            }
            Key::Row => change.row.op != Op::Insert,
            Key::None | Key::Columns(_) => false,
        };
        if moved || without_key || self.order == Order::Exact {
            self.close(table.place);
            return self.alone(table, change, moved);
        }
        let at = self.segment(table, change);
        if !self.fold(table, at, change) {
            self.close(table.place);
            let at = self.segment(table, change);
            self.fold(table, at, change);
        }
        Ok(())
    }

    fn close(&mut self, place: usize) {
        match self.order {
            Order::Net => {
                if let Some(open) = self.open.get_mut(place) {
                    *open = None;
                }
            }
            Order::Stream | Order::Exact => self.open.clear(),
        }
    }

    /// A statement of its own.
    fn alone(&mut self, table: &Table, change: &Change, moved: bool) -> Result<(), Error> {
        let old = change.row.op == Op::Delete || has_old(&change.row);
        let key = KeyAt { at: change.at, old };
        let image = (change.row.op != Op::Delete).then(|| self.plan.image(change.at, None));
        let shape = match (change.row.op, image) {
            (Op::Insert, _) => Shape::Insert,
            (Op::Update, Some(image)) => statement::update(
                table,
                self.plan.kept(self.rows, table, image),
                moved || table.key == Key::Row,
            ),
            (Op::Update | Op::Delete, _) => Shape::Delete,
        };
        if let Key::Row = table.key
            && change.row.op != Op::Insert
        {
            self.whole_row(table, change)?;
        }
        let group = Group {
            table: change.table,
            shape,
            picks: vec![Pick { key, image }],
            quiet: false,
            place: change.place,
            copy: false,
        };
        self.tasks.push(Task::Row { group });
        Ok(())
    }

    /// A row that is found by all its values must have them.
    fn whole_row(&self, table: &Table, change: &Change) -> Result<(), Error> {
        if change.row.old_kind != OldImage::Full {
            return Err(Error::NoKey { table: table.name().clone() });
        }
        let unknown = |source: &usize| self.rows.before(change.at, *source) == Value::Unchanged;
        match table.columns.iter().map(|column| column.source).find(unknown) {
            Some(source) => Err(incomplete(table, source)),
            None => Ok(()),
        }
    }

    /// Whether an update gives its row another key.
    fn moves(&self, table: &Table, change: &Change) -> bool {
        has_old(&change.row)
            && table.key.columns().iter().any(|column| {
                let source = table.source(*column);
                let after = self.rows.after(change.at, source);
                after != Value::Unchanged && after != self.rows.before(change.at, source)
            })
    }

    /// The segment that takes the change, a new one if need be.
    fn segment(&mut self, table: &Table, change: &Change) -> usize {
        let place = if self.order == Order::Net { table.place } else { 0 };
        let kept = if self.order == Order::Stream { self.kept(table, change) } else { Vec::new() };
        if let Some(at) = self.open.get(place).copied().flatten()
            && let Some(Task::Fold(segment)) = self.tasks.get(at)
            && segment.table == change.table
            && (self.order == Order::Net || (segment.op == change.row.op && segment.kept == kept))
        {
            return at;
        }
        if self.open.len() <= place {
            self.open.resize(place + 1, None);
        }
        let at = self.tasks.len();
        self.tasks.push(Task::Fold(Segment {
            table: change.table,
            entries: Vec::new(),
            index: HashTable::new(),
            op: change.row.op,
            kept,
        }));
        if let Some(open) = self.open.get_mut(place) {
            *open = Some(at);
        }
        at
    }

    fn kept(&self, table: &Table, change: &Change) -> Vec<usize> {
        if change.row.op != Op::Update || !self.rows.has_unchanged(change.at) {
            return Vec::new();
        }
        let unchanged = |at: &usize| self.rows.after(change.at, table.source(*at)) == Value::Unchanged;
        table.writable().filter(unchanged).collect()
    }

    /// Puts the change into the segment; false if it does not fit what is known of its key.
    fn fold(&mut self, table: &Table, segment: usize, change: &Change) -> bool {
        let Some(Task::Fold(segment)) = self.tasks.get_mut(segment) else { return false };
        let op = change.row.op;
        // An update without an old image left its key alone: it is in the new one.
        let old = op == Op::Delete || (op == Op::Update && has_old(&change.row));
        let key = KeyAt { at: change.at, old };
        let columns = table.key.columns();
        let rows = self.rows;
        let hash = hash(&self.hasher, rows, table, key);
        let found = (!columns.is_empty())
            .then(|| {
                segment.index.find(hash, |at| {
                    segment
                        .entries
                        .get(*at)
                        .is_some_and(|entry| entry.hash == hash && same(rows, table, entry.key, key))
                })
            })
            .flatten()
            .copied();
        let Some(entry) = found.and_then(|at| segment.entries.get_mut(at)) else {
            let image = (op != Op::Delete).then(|| self.plan.image(change.at, None));
            let at = segment.entries.len();
            segment.entries.push(Entry {
                hash,
                key,
                existed: op != Op::Insert,
                replaced: false,
                image,
                place: change.place,
            });
            if !columns.is_empty() {
                let entries = &segment.entries;
                segment.index.insert_unique(hash, at, |at| entries.get(*at).map_or(0, |entry| entry.hash));
            }
            return true;
        };
        if self.order != Order::Net {
            return false;
        }
        let inserted = !entry.existed || entry.replaced;
        match (op, entry.image) {
            (Op::Insert, None) => {
                entry.image = Some(self.plan.image(change.at, None));
                entry.replaced = true;
            }
            // What becomes of an insert that may be left out is not known here.
            (Op::Update | Op::Delete, Some(_)) if inserted && self.on_conflict == OnConflict::Nothing => {
                return false;
            }
            (Op::Update, Some(before)) => {
                let before = rows.has_unchanged(change.at).then_some(before);
                entry.image = Some(self.plan.image(change.at, before));
            }
            (Op::Delete, Some(_)) => {
                entry.image = None;
                entry.replaced = false;
            }
            (Op::Insert, Some(_)) | (Op::Update | Op::Delete, None) => return false,
        }
        true
    }

    /// The jobs of all tasks, in order.
    fn finish(mut self) -> Result<Plan, Error> {
        for task in std::mem::take(&mut self.tasks) {
            match task {
                Task::Truncate(job) => self.plan.jobs.push(job),
                Task::Row { group } => {
                    self.complete(&group)?;
                    group.plan(&mut self.plan, self.rows, self.tables);
                }
                Task::Fold(segment) => {
                    for group in self.groups(segment) {
                        self.complete(&group)?;
                        group.plan(&mut self.plan, self.rows, self.tables);
                    }
                }
            }
        }
        Ok(self.plan)
    }

    /// Deletes, then updates, then inserts: what one frees, the next may take.
    fn groups(&self, segment: Segment) -> Vec<Group> {
        let Some(table) = self.tables.get(segment.table) else { return Vec::new() };
        let Some(first) = segment.entries.first().map(|entry| entry.place) else { return Vec::new() };
        let mut deletes = Vec::new();
        let mut quiet = Vec::new();
        let mut inserts = Vec::new();
        let mut updates: BTreeMap<Vec<usize>, Vec<Pick>> = BTreeMap::new();
        for entry in segment.entries {
            let pick = Pick { key: entry.key, image: entry.image };
            match (entry.existed, entry.image) {
                (true, Some(image)) if !entry.replaced => {
                    updates.entry(self.plan.kept(self.rows, table, image)).or_default().push(pick);
                }
                (true, Some(_)) => {
                    deletes.push(Pick { image: None, ..pick });
                    inserts.push(pick);
                }
                (true, None) => deletes.push(pick),
                (false, Some(_)) => inserts.push(pick),
                // Came and went. An insert that replaces a row takes that row with it.
                (false, None) if self.on_conflict == OnConflict::Update => quiet.push(pick),
                (false, None) => {}
            }
        }
        let group = |shape, picks, quiet| Group {
            table: segment.table,
            shape,
            picks,
            quiet,
            place: first,
            copy: self.on_conflict == OnConflict::Error && table.target.copies,
        };
        let mut groups = vec![group(Shape::Delete, deletes, false), group(Shape::Delete, quiet, true)];
        for (kept, picks) in updates {
            groups.push(group(statement::update(table, kept, false), picks, false));
        }
        groups.push(group(Shape::Insert, inserts, false));
        groups.retain(|group| !group.picks.is_empty());
        groups
    }

    /// An insert needs every value: null in the place of one that is not known would be a lie.
    fn complete(&self, group: &Group) -> Result<(), Error> {
        let Some(table) = self.tables.get(group.table) else { return Ok(()) };
        if group.shape != Shape::Insert {
            return Ok(());
        }
        for pick in &group.picks {
            let Some(image) = pick.image else { continue };
            if let Some(column) = self.plan.kept(self.rows, table, image).first() {
                return Err(incomplete(table, table.source(*column)));
            }
        }
        Ok(())
    }
}

fn incomplete(table: &Table, source: usize) -> Error {
    let column = table.relation.columns.get(source).map(|column| column.name.clone());
    Error::Incomplete { table: table.name().clone(), column: column.unwrap_or_default() }
}

fn hash(hasher: &DefaultHashBuilder, rows: Rows<'_>, table: &Table, key: KeyAt) -> u64 {
    let mut state = hasher.build_hasher();
    for column in table.key.columns() {
        match rows.of_key(key, table.source(*column)) {
            Value::Present(bytes) => {
                state.write_usize(bytes.len());
                state.write(bytes);
            }
            Value::Null | Value::Unchanged => state.write_usize(usize::MAX),
        }
    }
    state.finish()
}

fn same(rows: Rows<'_>, table: &Table, one: KeyAt, other: KeyAt) -> bool {
    table.key.columns().iter().all(|column| {
        let source = table.source(*column);
        rows.of_key(one, source) == rows.of_key(other, source)
    })
}
