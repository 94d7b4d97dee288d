//! Where a plugin is at work: one rule on one image of one chunk, and what becomes of a row that it cannot handle.

use event::Image;
use plugin::{Read, Running};

use crate::facts::Facts;
use crate::isolate::Why;
use crate::table::Table;
use crate::{Error, FailedRow, Failures, OnError};

/// One rule on one image.
pub(crate) struct Site<'a> {
    pub(crate) running: &'a mut Running,
    pub(crate) failures: &'a mut Failures,
    pub(crate) table: &'a Table,
    pub(crate) image: &'a Image,
    pub(crate) facts: &'a Facts,
    pub(crate) on_error: OnError,
    /// For messages: which column, or what was asked.
    pub(crate) subject: String,
    /// Lines logged so far.
    pub(crate) logged: usize,
}

/// Bad rows of one rule in one batch that are logged one by one; the counters have them all.
const LINES: usize = 5;

impl Site<'_> {
    /// A row cannot be handled. Counts it, and ends the work if `on_error` says so.
    pub(crate) fn fail(
        &mut self,
        row: usize,
        why: Why,
        reads: &[Read],
        writes: &[usize],
    ) -> Result<(), Error> {
        let columns: Vec<usize> = reads.iter().map(|read| read.at).chain(writes.iter().copied()).collect();
        if why.lost {
            self.failures.stopped += 1;
            return Err(Error::Lost {
                plugin: self.running.name().into(),
                table: self.table.relation.name.to_string(),
                subject: self.subject.clone(),
                reason: why.shown(self.image, &columns).reason,
            });
        }
        if why.crashed && self.running.incident() {
            self.failures.stopped += 1;
            let limits = self.running.limits();
            return Err(Error::GaveUp {
                plugin: self.running.name().into(),
                incidents: limits.incidents,
                window: limits.incident_window,
                table: self.table.relation.name.to_string(),
                subject: self.subject.clone(),
                reason: why.shown(self.image, &columns).reason,
            });
        }
        match self.on_error {
            OnError::Stop | OnError::DeadLetter => {
                return Err(Error::RowFailed(Box::new(self.stop(row, why, &columns))));
            }
            OnError::Null => {
                if let Some(column) = writes.iter().find(|at| self.must_not_be_null(**at)) {
                    let column = self.column(*column).to_owned();
                    return Err(Error::NullRefused {
                        column,
                        failed: Box::new(self.stop(row, why, &columns)),
                    });
                }
                self.failures.nulled += 1;
            }
            OnError::Drop => self.failures.dropped += 1,
            OnError::Pass => self.failures.passed += 1,
        }
        self.logged += 1;
        if self.logged <= LINES {
            let why = why.shown(self.image, &columns);
            let (lsn, ordinal) = self.facts.source(row);
            tracing::warn!(
                plugin = self.running.name(),
                table = %self.table.relation.name,
                subject = self.subject,
                %lsn,
                ordinal,
                code = why.code,
                on_error = ?self.on_error,
                "DATALOSS: a row could not be handled: {}",
                why.reason
            );
        } else if self.logged == LINES + 1 {
            tracing::warn!(plugin = self.running.name(), "DATALOSS: more rows of this batch, only counted");
        }
        Ok(())
    }

    fn stop(&mut self, row: usize, why: Why, columns: &[usize]) -> FailedRow {
        self.failures.stopped += 1;
        let why = why.shown(self.image, columns);
        let (lsn, ordinal) = self.facts.source(row);
        FailedRow {
            plugin: self.running.name().into(),
            table: self.table.relation.name.to_string(),
            subject: self.subject.clone(),
            lsn,
            ordinal,
            code: why.code,
            reason: why.reason,
        }
    }

    /// A NOT NULL column, or one by which the target finds the row. Under identity full both images are nulled
    /// alike.
    fn must_not_be_null(&self, at: usize) -> bool {
        let full = self.table.relation.replica_identity == event::ReplicaIdentity::Full;
        self.table
            .relation
            .columns
            .get(at)
            .is_some_and(|column| !column.nullable || (column.identity && !full))
    }

    fn column(&self, at: usize) -> &str {
        self.table.relation.columns.get(at).map_or("", |column| &column.name)
    }
}
