//! Filters: whole tables dropped at no cost, rows asked for where a filter decides by row.
//!
//! A row that leaves the filter becomes a delete, one that enters it an insert: the target holds exactly the rows
//! that pass. That an old row has what the filter reads was checked at `bind`.

use std::ops::Range;
use std::sync::Arc;

use event::{Batch, CellsBuilder, Chunk, Identity, Image, OldImage, Op, Step, Transaction, Value};
use plugin::Running;

use crate::facts::{self, Facts};
use crate::isolate::{Halved, Why, call, halve};
use crate::site::Site;
use crate::table::{Fate, RowFilter, Table};
use crate::{Counters, Error, Failures, OnError};

/// Takes all rows of a chunk out of a batch. Commit marks stay: a dropped row is a row done.
pub(crate) fn drop_chunk(batch: &mut Batch, at: usize) {
    let Some(chunk) = batch.chunks.get_mut(at) else { return };
    *chunk = Chunk {
        relation: Arc::clone(&chunk.relation),
        ops: Vec::new(),
        old_kinds: Vec::new(),
        transactions: Vec::new(),
        ordinals: Vec::new(),
        new: Image::default(),
        old: Image::default(),
        identity: Identity::Unknown,
        versions: Vec::new(),
    };
    batch.order.retain(|step| !matches!(step, Step::Rows { chunk, .. } if *chunk == at));
}

/// Asks the filters of a table for each row and changes the chunk accordingly. Gives the rows to keep.
pub(crate) fn by_row(
    chunk: &mut Chunk,
    transactions: &[Transaction],
    table: &Table,
    running: &mut [Running],
    failures: &mut [Failures],
    counters: &mut Counters,
    on_error: OnError,
) -> Result<Option<Vec<bool>>, Error> {
    let Fate::ByRow(filters) = &table.fate else { return Ok(None) };
    // No filter of rows knows "unchanged": under identity full the old row has the value.
    let new = completed(chunk, filters);
    let (new_facts, old_facts) = facts::of(chunk, transactions, false);
    let mut stays_new = vec![true; new.rows()];
    let mut stays_old = vec![true; chunk.old.rows()];
    for filter in filters {
        for (image, facts, stays) in
            [(&new, &new_facts, &mut stays_new), (&chunk.old, &old_facts, &mut stays_old)]
        {
            let (Some(running), Some(failures)) =
                (running.get_mut(filter.plugin), failures.get_mut(filter.plugin))
            else {
                continue;
            };
            let subject = "filter by row".to_owned();
            let mut work = Asking {
                site: Site {
                    running,
                    failures,
                    table,
                    image,
                    facts,
                    on_error: row_policy(on_error),
                    subject,
                    logged: 0,
                },
                filter,
                keep: Vec::with_capacity(image.rows()),
            };
            halve(&mut work, 0..image.rows())?;
            for (stays, keep) in stays.iter_mut().zip(work.keep) {
                *stays &= keep;
            }
        }
    }
    let moves = Moves::of(chunk, &stays_new, &stays_old);
    counters.filtered_by_row += moves.keep.iter().filter(|keep| !**keep).count() as u64;
    counters.left += moves.left as u64;
    counters.entered += moves.entered as u64;
    moves.apply(chunk, table)?;
    Ok(Some(moves.keep))
}

/// Whether a row passes cannot be answered with null, and to let it pass unasked would be a leak.
fn row_policy(on_error: OnError) -> OnError {
    match on_error {
        OnError::Drop => OnError::Drop,
        OnError::Stop | OnError::Null | OnError::Pass | OnError::DeadLetter => OnError::Stop,
    }
}

/// The new image with unchanged values of the filters' columns taken from the old row, where that has them.
fn completed(chunk: &Chunk, filters: &[RowFilter]) -> Image {
    let mut image = chunk.new.clone();
    let columns = filters.iter().flat_map(|filter| &filter.reads).map(|read| read.at);
    for at in columns {
        let Some(cells) = chunk.new.columns().get(at) else { continue };
        if !cells.states().contains(&(event::State::Unchanged as u8)) {
            continue;
        }
        let mut column = CellsBuilder::default();
        for row in walk(chunk) {
            let Some(new) = row.new else { continue };
            column.push(complete(chunk, at, new, row.old));
        }
        // One value for each row of the image, as before.
        let _ = image.replace(at, column.finish());
    }
    image
}

fn complete<'a>(chunk: &'a Chunk, at: usize, new: usize, old: Option<usize>) -> Value<'a> {
    match (chunk.new.value(at, new), old) {
        (Value::Unchanged, Some(old)) => match chunk.old.value(at, old) {
            // An old key has no value here.
            Value::Null | Value::Unchanged => Value::Unchanged,
            present @ Value::Present(_) => present,
        },
        (value, _) => value,
    }
}

/// A row of a chunk and its places in the images.
struct RowPlaces {
    op: Op,
    new: Option<usize>,
    old: Option<usize>,
}

fn walk(chunk: &Chunk) -> impl Iterator<Item = RowPlaces> + '_ {
    let (mut new, mut old) = (0, 0);
    chunk.ops.iter().zip(&chunk.old_kinds).map(move |(op, kind)| {
        let (has_new, has_old) = (*op != Op::Delete, *kind != OldImage::None);
        let places = RowPlaces { op: *op, new: has_new.then_some(new), old: has_old.then_some(old) };
        new += usize::from(has_new);
        old += usize::from(has_old);
        places
    })
}

/// What becomes of each row of a chunk.
struct Moves {
    keep: Vec<bool>,
    ops: Vec<Op>,
    left: usize,
    entered: usize,
}

impl Moves {
    fn of(chunk: &Chunk, stays_new: &[bool], stays_old: &[bool]) -> Self {
        let mut moves = Self { keep: Vec::new(), ops: Vec::new(), left: 0, entered: 0 };
        for row in walk(chunk) {
            let now = row.new.and_then(|new| stays_new.get(new)).copied();
            let before = row.old.and_then(|old| stays_old.get(old)).copied();
            let (keep, op) = match (row.op, before, now) {
                (Op::Insert, _, now) => (now.unwrap_or(false), Op::Insert),
                (Op::Delete, before, _) => (before.unwrap_or(false), Op::Delete),
                // Without an old image the columns of the identity, all that the filter reads, did not change.
                (Op::Update, None, now) => (now.unwrap_or(false), Op::Update),
                (Op::Update, Some(true), Some(true)) => (true, Op::Update),
                (Op::Update, Some(true), _) => {
                    moves.left += 1;
                    (true, Op::Delete)
                }
                (Op::Update, Some(false), Some(true)) => {
                    moves.entered += 1;
                    (true, Op::Insert)
                }
                (Op::Update, Some(false), _) => (false, Op::Update),
            };
            moves.keep.push(keep);
            moves.ops.push(op);
        }
        moves
    }

    /// Turns updates that left or entered into deletes and inserts. Rows to drop are left in place.
    fn apply(&self, chunk: &mut Chunk, table: &Table) -> Result<(), Error> {
        if self.left == 0 && self.entered == 0 {
            return Ok(());
        }
        let (mut keep_new, mut keep_old) = (Vec::new(), Vec::new());
        let mut entering = Vec::new();
        for (row, op) in walk(chunk).zip(&self.ops) {
            if let Some(new) = row.new {
                keep_new.push(*op != Op::Delete);
                if row.op == Op::Update && *op == Op::Insert {
                    entering.push((new, row.old));
                }
            }
            if row.old.is_some() {
                keep_old.push(*op != Op::Insert);
            }
        }
        fill_entering(chunk, table, &entering)?;
        chunk.new = chunk.new.retain(&keep_new);
        chunk.old = chunk.old.retain(&keep_old);
        for ((op, kind), now) in chunk.ops.iter_mut().zip(&mut chunk.old_kinds).zip(&self.ops) {
            if *now == Op::Insert {
                *kind = OldImage::None;
            }
            *op = *now;
        }
        Ok(())
    }
}

/// A row that enters is new to the target: it needs every value, also those that the update left alone.
fn fill_entering(chunk: &mut Chunk, table: &Table, entering: &[(usize, Option<usize>)]) -> Result<(), Error> {
    for (at, column) in table.relation.columns.iter().enumerate() {
        let lacks = |(new, _): &&(usize, Option<usize>)| chunk.new.value(at, *new) == Value::Unchanged;
        if !entering.iter().any(|row| lacks(&row)) {
            continue;
        }
        let mut filled = CellsBuilder::default();
        for new in 0..chunk.new.rows() {
            let place =
                entering.binary_search_by_key(&new, |(new, _)| *new).ok().and_then(|at| entering.get(at));
            let value = match place {
                Some((new, old)) => complete(chunk, at, *new, *old),
                None => chunk.new.value(at, new),
            };
            if place.is_some() && value == Value::Unchanged {
                return Err(Error::EnteringRowIncomplete {
                    table: table.relation.name.to_string(),
                    column: column.name.clone(),
                });
            }
            filled.push(value);
        }
        let _ = chunk.new.replace(at, filled.finish());
    }
    Ok(())
}

/// One filter on one image.
struct Asking<'a> {
    site: Site<'a>,
    filter: &'a RowFilter,
    keep: Vec<bool>,
}

impl Halved for Asking<'_> {
    type Out = Vec<u8>;
    type Error = Error;

    fn once(&mut self, rows: Range<usize>) -> Result<Vec<u8>, Why> {
        let Site { running, table, image, facts, .. } = &mut self.site;
        let facts: &Facts = facts;
        let place = (*image, facts, table.kinds.as_slice());
        let (keep, unreadable) = call(
            running,
            self.filter.bound,
            &self.filter.reads,
            place,
            rows.clone(),
            |running, bound, rows| running.keep(bound, rows),
        )?;
        if keep.len() != rows.len() || keep.iter().any(|keep| *keep > 1) {
            let breach = format!("{} answers of 0 or 1 wanted, {} given", rows.len(), keep.len());
            return Err(Why::of(plugin::CallError::Breach(breach), running));
        }
        if !unreadable.is_empty() {
            let shapes: Vec<String> = self.filter.reads.iter().map(|read| read.shape.to_string()).collect();
            return Err(Why::new("unreadable", format!("a value has no form as {}", shapes.join(" or "))));
        }
        Ok(keep)
    }

    fn bad(&mut self, row: usize, why: Why) -> Result<Vec<u8>, Error> {
        self.site.fail(row, why, &self.filter.reads, &[])?;
        Ok(vec![0])
    }

    fn done(&mut self, _: Range<usize>, keep: Vec<u8>) {
        self.keep.extend(keep.into_iter().map(|keep| keep == 1));
    }
}
