//! Transformers on the two images of a chunk, with the same rule and key on both.

use std::collections::BTreeMap;
use std::ops::Range;

use event::{Cells, CellsBuilder, Chunk, Image, OldImage, State, Transaction, Value};
use plugin::{Output, Running, scatter};

use crate::facts;
use crate::isolate::{Halved, Why, call, halve};
use crate::site::Site;
use crate::table::{Table, Transform};
use crate::{Error, Failures, OnError};

/// Transforms a chunk. Gives the rows that are to be dropped, as a mask that keeps the others, if there are any.
///
/// Every rule sees the values as the source sent them, whatever the order of the rules.
pub(crate) fn transform(
    chunk: &mut Chunk,
    transactions: &[Transaction],
    table: &Table,
    running: &mut [Running],
    failures: &mut [Failures],
    on_error: OnError,
) -> Result<Option<Vec<bool>>, Error> {
    if table.transforms.is_empty() {
        return Ok(None);
    }
    let (new_facts, old_facts) = facts::of(chunk, transactions, table.nonces);
    let full = chunk.old_kinds.contains(&OldImage::Full);
    let mut dropped = Vec::new();
    let (mut new, mut old) = (Vec::new(), Vec::new());
    for rule in &table.transforms {
        let (Some(running), Some(failures)) = (running.get_mut(rule.plugin), failures.get_mut(rule.plugin))
        else {
            continue;
        };
        let images = [
            (&chunk.new, &new_facts, &mut new, true),
            (&chunk.old, &old_facts, &mut old, full || rule.in_key),
        ];
        for (image, facts, columns, wanted) in images {
            // An old key holds nothing but the columns of the identity.
            if !wanted || image.rows() == 0 {
                continue;
            }
            let subject = format!("column `{}`, `{}`", rule.column, rule.offer);
            let site = Site { running, failures, table, image, facts, on_error, subject, logged: 0 };
            apply(site, rule, columns, &mut dropped)?;
        }
    }
    put(&mut chunk.new, new);
    put(&mut chunk.old, old);
    if dropped.is_empty() {
        return Ok(None);
    }
    let mut keep = vec![true; chunk.rows()];
    for row in dropped {
        if let Some(keep) = keep.get_mut(row) {
            *keep = false;
        }
    }
    Ok(Some(keep))
}

fn put(image: &mut Image, columns: Vec<(usize, Cells)>) {
    for (at, cells) in columns {
        // The length was checked when the column was scattered or put together.
        let put = image.replace(at, cells);
        debug_assert!(put.is_ok(), "a column has one value a row");
    }
}

/// One rule on one image: the columns that it writes.
fn apply(
    site: Site<'_>,
    rule: &Transform,
    columns: &mut Vec<(usize, Cells)>,
    dropped: &mut Vec<usize>,
) -> Result<(), Error> {
    let (image, facts, on_error) = (site.image, site.facts, site.on_error);
    let mut work = Work { site, rule, parts: Vec::new(), failed: BTreeMap::new() };
    halve(&mut work, 0..image.rows())?;
    let Work { mut site, parts, failed, .. } = work;
    let bad: Vec<usize> = failed.keys().copied().collect();
    for (row, why) in failed {
        if let Some(why) = why {
            site.fail(row, why, &rule.needs.reads, &rule.needs.writes)?;
        }
    }
    if on_error == OnError::Drop {
        dropped.extend(bad.iter().filter_map(|row| facts.rows.get(*row)));
    }
    match parts.as_slice() {
        // The usual case: nothing is copied.
        [_] if bad.is_empty() => {
            let whole = parts.into_iter().flat_map(|(_, cells)| cells);
            columns.extend(rule.needs.writes.iter().copied().zip(whole));
        }
        parts => {
            for (place, at) in rule.needs.writes.iter().enumerate() {
                columns.push((*at, join(parts, place, image, *at, &bad, on_error)));
            }
        }
    }
    Ok(())
}

/// Puts a column together from its parts; a bad row has what `on_error` says.
fn join(
    parts: &[(Range<usize>, Vec<Cells>)],
    place: usize,
    image: &Image,
    at: usize,
    bad: &[usize],
    on_error: OnError,
) -> Cells {
    let mut column = CellsBuilder::default();
    for (rows, cells) in parts {
        for (offset, row) in rows.clone().enumerate() {
            if bad.binary_search(&row).is_err() {
                column.push(cells.get(place).map_or(Value::Null, |cells| cells.get(offset)));
                continue;
            }
            match image.value(at, row) {
                Value::Present(value) if on_error == OnError::Pass => column.push(Value::Present(value)),
                Value::Present(_) | Value::Null => column.push(Value::Null),
                Value::Unchanged => column.push(Value::Unchanged),
            }
        }
    }
    column.finish()
}

/// What a call gave.
#[derive(Default)]
struct Taken {
    /// The columns of `needs.writes`.
    cells: Vec<Cells>,
    /// Rows of the image that failed.
    failed: Vec<(usize, Why)>,
}

struct Work<'a> {
    site: Site<'a>,
    rule: &'a Transform,
    parts: Vec<(Range<usize>, Vec<Cells>)>,
    /// Rows that cannot be handled; `None` when the row was dealt with already.
    failed: BTreeMap<usize, Option<Why>>,
}

impl Halved for Work<'_> {
    type Out = Taken;
    type Error = Error;

    fn once(&mut self, rows: Range<usize>) -> Result<Self::Out, Why> {
        let Site { running, table, image, facts, .. } = &mut self.site;
        let place = (*image, *facts, table.kinds.as_slice());
        let (output, unreadable) = call(
            running,
            self.rule.bound,
            &self.rule.needs.reads,
            place,
            rows.clone(),
            |running, bound, rows| running.apply(bound, rows),
        )?;
        let taken = take(output, self.rule, table, image, &rows);
        let mut taken = taken.map_err(|breach| Why::of(plugin::CallError::Breach(breach), running))?;
        let reason = "the value has no form in the shape that the plugin asks for";
        let unreadable = unreadable.into_iter();
        taken.failed.extend(unreadable.map(|row| (rows.start + row, Why::new("unreadable", reason))));
        Ok(taken)
    }

    fn bad(&mut self, row: usize, why: Why) -> Result<Self::Out, Error> {
        // At once: with `stop` the other rows need not be looked at.
        self.site.fail(row, why, &self.rule.needs.reads, &self.rule.needs.writes)?;
        self.failed.insert(row, None);
        Ok(Taken::default())
    }

    fn done(&mut self, rows: Range<usize>, Taken { cells, failed }: Taken) {
        self.parts.push((rows, cells));
        for (row, why) in failed {
            self.failed.entry(row).or_insert(Some(why));
        }
    }
}

/// Checks what a transformer gave back and puts it into the host's form.
fn take(
    output: Output,
    rule: &Transform,
    table: &Table,
    image: &Image,
    rows: &Range<usize>,
) -> Result<Taken, String> {
    let Output { columns, failures } = output;
    let writes = &rule.needs.writes;
    if columns.len() != writes.len() {
        return Err(format!("{} columns where it said it writes {}", columns.len(), writes.len()));
    }
    if failures.len() > rows.len() * writes.len() {
        return Err(format!("{} failures of {} rows", failures.len(), rows.len()));
    }
    let mut failed = Vec::new();
    for failure in failures {
        if failure.row >= rows.len() {
            return Err(format!("a failure of row {} of {}", failure.row, rows.len()));
        }
        failed.push((rows.start + failure.row, Why::told(failure.code, failure.message)));
    }
    let mut taken: Vec<Option<Cells>> = vec![None; writes.len()];
    for column in columns {
        let Some(place) = writes.iter().position(|at| *at == column.at) else {
            return Err(format!("column {}, which it did not say it writes", column.at));
        };
        let (Some(source), Some(kind)) = (image.columns().get(column.at), table.kinds.get(column.at)) else {
            return Err(format!("column {}, which the table does not have", column.at));
        };
        let column_at = column.at;
        let scattered = scatter(column, *kind, source, rows.clone())?;
        if table.relation.columns.get(column_at).is_some_and(|column| !column.nullable) {
            failed.extend(new_nulls(&scattered.cells, source, rows));
        }
        let misfits = scattered.misfits.into_iter();
        failed.extend(misfits.map(|misfit| (rows.start + misfit.row, Why::new(misfit.code, misfit.reason))));
        if let Some(taken) = taken.get_mut(place) {
            *taken = Some(scattered.cells);
        }
    }
    let cells: Option<Vec<Cells>> = taken.into_iter().collect();
    Ok(Taken { cells: cells.ok_or("one column twice and another not at all")?, failed })
}

/// Values that a plugin made null where the column takes none: the target would refuse them.
fn new_nulls(cells: &Cells, source: &Cells, rows: &Range<usize>) -> Vec<(usize, Why)> {
    if cells.states().is_empty() {
        return Vec::new();
    }
    let made_null =
        |row: &usize| cells.state(*row - rows.start) == State::Null && source.state(*row) == State::Present;
    let reason = "it gives NULL for a column that is NOT NULL";
    rows.clone().filter(made_null).map(|row| (row, Why::new("not_null", reason))).collect()
}
