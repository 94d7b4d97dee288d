//! What is to be run for a work, in order: few statements for many rows, or one for each row.

use event::{Image as Cells, TableName, Truncate, Value};

use super::rows::{At, KeyAt, Rows};
use super::statement::{How, Param, Shape};
use super::table::{Table, Tables};
use super::work::Place;

/// A row of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    /// What finds it; for an insert where it is.
    pub(super) key: KeyAt,
    /// Index into [`Plan::images`] of what it becomes.
    pub(super) image: Option<u32>,
}

/// The image of a row after a change, and the one before it for what that change left alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) at: At,
    pub(super) before: Option<u32>,
}

/// One statement to be run.
#[derive(Debug)]
pub(super) enum Job {
    /// Rows of one table.
    Rows {
        /// Index into the tables.
        table: usize,
        /// What is done to them.
        shape: Shape,
        /// How many fit.
        how: How,
        /// The rows.
        picks: Vec<Pick>,
        /// Rows that are not there are no conflict.
        quiet: bool,
        /// The size of the values.
        bytes: usize,
        /// Where the change is in the stream; of many the first.
        place: Place,
    },
    /// Tables are emptied.
    Truncate {
        /// The tables, as SQL.
        tables: String,
        /// Counters start again.
        restart_identity: bool,
        /// Where it is in the stream.
        place: Place,
    },
}

impl Job {
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Rows { place, .. } | Self::Truncate { place, .. } => *place,
        }
    }

    pub(super) fn truncate(truncate: &Truncate, place: Place) -> Self {
        let mut names: Vec<&TableName> = truncate.relations.iter().map(|relation| &relation.name).collect();
        names.sort();
        names.dedup();
        let tables = names.into_iter().map(::postgres::table).collect::<Vec<_>>().join(", ");
        Self::Truncate { tables, restart_identity: truncate.restart_identity, place }
    }
}

/// Where the values of a pick are, found once for all its columns.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    key: Option<(&'a Cells, usize)>,
    new: Option<(&'a Cells, usize)>,
    /// The image before the new one, for what the last change left alone.
    before: Option<u32>,
}

/// Statements in order, and the images that they take their values from.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    pub(super) images: Vec<Image>,
}

impl Plan {
    /// Keeps an image.
    pub(super) fn image(&mut self, at: At, before: Option<u32>) -> u32 {
        self.images.push(Image { at, before });
        u32::try_from(self.images.len() - 1).unwrap_or(u32::MAX)
    }

    /// A value of an image; where a change left it alone, that of the image before.
    pub(super) fn value<'a>(&self, rows: Rows<'a>, image: Option<u32>, column: usize) -> Value<'a> {
        let mut next = image;
        while let Some(image) = next.and_then(|at| self.images.get(at as usize)) {
            let value = rows.after(image.at, column);
            if value != Value::Unchanged {
                return value;
            }
            next = image.before;
        }
        Value::Unchanged
    }

    /// Finds the values of a pick.
    pub(super) fn found<'a>(&self, rows: Rows<'a>, pick: &Pick) -> Found<'a> {
        let image = pick.image.and_then(|at| self.images.get(at as usize));
        Found {
            key: rows.key_image(pick.key),
            new: image.and_then(|image| rows.new_image(image.at)),
            before: image.and_then(|image| image.before),
        }
    }

    /// The value of a parameter; `column` is its place on the source.
    #[inline]
    pub(super) fn parameter<'a>(
        &self,
        rows: Rows<'a>,
        found: &Found<'a>,
        key: bool,
        column: usize,
    ) -> Value<'a> {
        let image = if key { found.key } else { found.new };
        match image.map_or(Value::Unchanged, |(cells, row)| cells.value(column, row)) {
            Value::Unchanged if !key => self.value(rows, found.before, column),
            value => value,
        }
    }

    /// The bound columns of which an image knows nothing: they stay.
    pub(super) fn kept(&self, rows: Rows<'_>, table: &Table, image: u32) -> Vec<usize> {
        let Some(last) = self.images.get(image as usize) else { return Vec::new() };
        if !rows.has_unchanged(last.at) {
            return Vec::new();
        }
        table
            .writable()
            .filter(|column| self.value(rows, Some(image), table.source(*column)) == Value::Unchanged)
            .collect()
    }
}

/// The widest statement. More rows at once plan and hash worse (measured); what is wider than this in bytes gains
/// nothing by company.
const ROWS: usize = 1_000;
const BYTES: usize = 1 << 20;

/// From this many rows on, COPY is worth its extra round trip.
const COPY_ROWS: usize = 32;

/// Rows of one shape of one table, to be cut into jobs.
pub(super) struct Group {
    pub(super) table: usize,
    pub(super) shape: Shape,
    pub(super) picks: Vec<Pick>,
    pub(super) quiet: bool,
    pub(super) place: Place,
    /// COPY may be used.
    pub(super) copy: bool,
}

impl Group {
    /// Cuts the group into jobs and appends them.
    pub(super) fn plan(self, plan: &mut Plan, rows: Rows<'_>, tables: &Tables) {
        let Some(table) = tables.get(self.table) else { return };
        let params = super::statement::params(table, &self.shape);
        let many = super::statement::takes_many(table, &self.shape);
        let copy = self.copy && self.shape == Shape::Insert && self.picks.len() >= COPY_ROWS;
        let widest = if copy { usize::MAX } else { ROWS };
        let mut picks = Vec::with_capacity(self.picks.len().min(widest));
        let mut bytes = 0;
        for pick in self.picks {
            let found = plan.found(rows, &pick);
            let value = |param: &Param| plan.parameter(rows, &found, param.key, table.source(param.column));
            let size = params.iter().map(|param| size(value(param))).sum::<usize>();
            let full = picks.len() >= widest || (!copy && bytes + size > BYTES) || !many;
            if full && !picks.is_empty() {
                let full = std::mem::take(&mut picks);
                plan.jobs.push(job(self.table, &self.shape, full, copy, self.quiet, bytes, self.place));
                bytes = 0;
            }
            bytes += size;
            picks.push(pick);
        }
        if !picks.is_empty() {
            plan.jobs.push(job(self.table, &self.shape, picks, copy, self.quiet, bytes, self.place));
        }
    }
}

fn job(
    table: usize,
    shape: &Shape,
    picks: Vec<Pick>,
    copy: bool,
    quiet: bool,
    bytes: usize,
    place: Place,
) -> Job {
    let how = match picks.len() {
        _ if copy => How::Copy,
        0 | 1 => How::One,
        _ => How::Many,
    };
    Job::Rows { table, shape: shape.clone(), how, picks, quiet, bytes, place }
}

fn size(value: Value<'_>) -> usize {
    match value {
        Value::Present(bytes) => bytes.len() + 3,
        Value::Null | Value::Unchanged => 5,
    }
}
