//! What the injector found, put on a chunk: the identity of its rows and their versions.

use std::ops::Range;

use event::{Cells, CellsBuilder, Chunk, Identity, Image, Op, State, Transaction, Value};
use plugin::{
    Bound, CallError, ColumnType, IdentityRule, Read, Rows, Running, Shape, Values, VersionRule, scatter,
};

use crate::facts::{self, Facts};
use crate::isolate::{Halved, Why, call, halve};
use crate::site::Site;
use crate::table::{Finder, Table};
use crate::{Error, Failures, OnError};

/// Versions, from the values as the source sent them: their order must be the source's.
pub(crate) fn versions(
    chunk: &mut Chunk,
    transactions: &[Transaction],
    table: &Table,
    running: &mut [Running],
    failures: &mut [Failures],
) -> Result<(), Error> {
    let Some(finder) = &table.finder else { return Ok(()) };
    let found = match &finder.version {
        VersionRule::CommitLsn => return Ok(()),
        VersionRule::Column(at) => {
            let kind = table.kinds.get(*at).copied().unwrap_or(ColumnType::Other);
            let shape = if kind.has(Shape::Ints) { Shape::Ints } else { Shape::Text };
            let reads = [Read { at: *at, shape }];
            ask(chunk, transactions, table, (running, failures), "version", &reads, column_version)?
        }
        VersionRule::Computed(reads) => {
            ask(chunk, transactions, table, (running, failures), "version", reads, |running, bound, rows| {
                let versions = running.versions(bound, rows)?;
                if versions.len() == rows.count {
                    return Ok(versions);
                }
                Err(CallError::Breach(format!("{} versions for {} rows", versions.len(), rows.count)))
            })?
        }
    };
    chunk.versions = found;
    Ok(())
}

/// Identities, from the values as they leave: one that is computed must not tell what a transformer hid.
pub(crate) fn identities(
    chunk: &mut Chunk,
    transactions: &[Transaction],
    table: &Table,
    running: &mut [Running],
    failures: &mut [Failures],
) -> Result<(), Error> {
    let Some(finder) = &table.finder else { return Ok(()) };
    chunk.identity = match &finder.identity {
        None => Identity::Unknown,
        Some(IdentityRule::None) => Identity::None,
        Some(IdentityRule::Columns(columns)) => Identity::Columns(columns.clone()),
        Some(IdentityRule::Computed(reads)) => {
            let found = ask(
                chunk,
                transactions,
                table,
                (running, failures),
                "identity",
                reads,
                |running, bound, rows| {
                    let packed = running.identities(bound, rows)?;
                    let column =
                        plugin::Column { at: 0, states: Vec::new().into(), values: Values::Text(packed) };
                    // A source in which every value is there.
                    let source: Cells = (0..rows.count).map(|_| Value::Present(b"")).collect();
                    let cells = scatter(column, ColumnType::Other, &source, 0..rows.count)
                        .map_err(CallError::Breach)?
                        .cells;
                    Ok((0..rows.count)
                        .map(|row| match cells.get(row) {
                            Value::Present(value) => value.to_vec(),
                            Value::Null | Value::Unchanged => Vec::new(),
                        })
                        .collect())
                },
            )?;
            let mut cells = CellsBuilder::default();
            for value in &found {
                cells.push(Value::Present(value));
            }
            Identity::Computed(cells.finish())
        }
    };
    Ok(())
}

/// The version column of each row. `ask` gives the rows; no plugin is called.
fn column_version(_: &mut Running, _: Bound, rows: &Rows<'_>) -> Result<Vec<i64>, CallError> {
    let missing =
        || CallError::Refused("a row has no version: the column is null, unchanged or no number".into());
    let column = rows.columns.first().ok_or_else(missing)?;
    if column.states.iter().any(|state| *state != State::Present as u8) {
        return Err(missing());
    }
    match &column.values {
        Values::Ints(values) => Ok(values.to_vec()),
        Values::Text(packed) => {
            let mut start = 0;
            let parse = |end: &u32| {
                let text = packed.data.get(start..*end as usize)?;
                start = *end as usize;
                std::str::from_utf8(text).ok()?.parse().ok()
            };
            packed.ends.iter().map(parse).collect::<Option<Vec<i64>>>().ok_or_else(missing)
        }
        Values::Bytes(_) | Values::Floats(_) | Values::Bools(_) => Err(missing()),
    }
}

/// One answer for each row of the chunk: from the new image, or for a delete from the old one.
fn ask<T>(
    chunk: &Chunk,
    transactions: &[Transaction],
    table: &Table,
    (running, failures): (&mut [Running], &mut [Failures]),
    subject: &str,
    reads: &[Read],
    mut question: impl FnMut(&mut Running, Bound, &Rows<'_>) -> Result<Vec<T>, CallError>,
) -> Result<Vec<T>, Error> {
    let Some(finder) = &table.finder else { return Ok(Vec::new()) };
    let (new_facts, old_facts) = facts::of(chunk, transactions, false);
    // Only deletes need their old rows.
    let deletes = chunk.ops.contains(&Op::Delete);
    let images = [(&chunk.new, &new_facts, true), (&chunk.old, &old_facts, deletes)];
    let mut answers = [Vec::new(), Vec::new()];
    for ((image, facts, wanted), answers) in images.into_iter().zip(&mut answers) {
        if !wanted {
            continue;
        }
        let (Some(running), Some(failures)) =
            (running.get_mut(finder.plugin), failures.get_mut(finder.plugin))
        else {
            continue;
        };
        let site = Site {
            running,
            failures,
            table,
            image,
            facts,
            on_error: OnError::Stop,
            subject: subject.to_owned(),
            logged: 0,
        };
        let mut work = Asking { site, finder, reads, question: &mut question, answers: Vec::new() };
        halve(&mut work, 0..image.rows())?;
        *answers = work.answers;
    }
    let [new, old] = answers;
    let (mut new, mut old) = (new.into_iter(), old.into_iter());
    let mut all = Vec::with_capacity(chunk.rows());
    for (op, kind) in chunk.ops.iter().zip(&chunk.old_kinds) {
        let of_old = if *kind == event::OldImage::None { None } else { old.next() };
        all.extend(if *op == Op::Delete { of_old } else { new.next() });
    }
    Ok(all)
}

/// One question on one image.
struct Asking<'a, T, F> {
    site: Site<'a>,
    finder: &'a Finder,
    reads: &'a [Read],
    question: &'a mut F,
    answers: Vec<T>,
}

impl<T, F> Halved for Asking<'_, T, F>
where
    F: FnMut(&mut Running, Bound, &Rows<'_>) -> Result<Vec<T>, CallError>,
{
    type Out = Vec<T>;
    type Error = Error;

    fn once(&mut self, rows: Range<usize>) -> Result<Vec<T>, Why> {
        let Site { running, table, image, facts, .. } = &mut self.site;
        let image: &Image = image;
        let facts: &Facts = facts;
        let place = (image, facts, table.kinds.as_slice());
        let (answers, unreadable) =
            call(running, self.finder.bound, self.reads, place, rows, &mut *self.question)?;
        if unreadable.is_empty() {
            return Ok(answers);
        }
        Err(Why::new("unreadable", "the value has no form in the shape that the plugin asks for"))
    }

    fn bad(&mut self, row: usize, why: Why) -> Result<Vec<T>, Error> {
        self.site.fail(row, why, self.reads, &[])?;
        Ok(Vec::new())
    }

    fn done(&mut self, _: Range<usize>, answers: Vec<T>) {
        self.answers.extend(answers);
    }
}
