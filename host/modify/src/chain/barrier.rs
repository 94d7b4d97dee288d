//! The schema barrier: a change of the schema goes on only when every plugin has accepted the tables that it leaves.

use std::sync::Arc;

use event::{SchemaEntry, Step, TableName};
use schema::{Change, Object};

use super::{Chain, Fate, Table};
use crate::{Error, Problem};

impl Chain {
    /// Binds the tables of a change of the schema, and leaves out those that a filter drops.
    pub(super) fn pass_barrier(&mut self, order: &mut [Step]) -> Result<(), Error> {
        let Some(Step::Schema(entry)) = order.last_mut() else { return Ok(()) };
        let changes = Change::of_entry(entry).map_err(Problem::from)?;
        let mut problems = Vec::new();
        for change in changes {
            self.accept(&change, entry, &mut problems);
        }
        Error::of(problems)
    }

    fn accept(&mut self, change: &Change, entry: &mut SchemaEntry, problems: &mut Vec<Problem>) {
        let Some(Object::Table(_)) = change.object() else { return };
        self.note_gone(change);
        // What the table was holds defaults too, of columns that it has no more.
        let was = self.tables.bound.iter().rposition(|table| table.relation.oid == change.oid.0);
        if let Some(was) = was.and_then(|at| self.tables.bound.get(at)) {
            entry.masked.extend(masked(was));
        }
        if let Some(Object::Table(before)) = &change.before
            && let Some(rules) = self.rules.of(&TableName::new(&before.schema, &before.name))
        {
            // It may not have been bound: the catalog was ahead when the stream began.
            let masks = rules.columns.iter().filter(|rule| rule.transformer.is_some());
            entry.masked.extend(masks.map(|rule| rule.column.clone()));
        }
        let at = match &change.after {
            Some(Object::Table(table)) => {
                let relation = Arc::new(table.relation());
                if self.tables.find(&relation).is_none() {
                    self.check_unlisted(&relation, problems);
                }
                self.bind_one(&relation, problems)
            }
            // Of a table that is gone its last version tells.
            _ => was,
        };
        let Some(table) = at.and_then(|at| self.tables.bound.get(at)) else { return };
        if matches!(table.fate, Fate::Drop) {
            entry.left_out.push(change.oid.0);
        }
        entry.masked.extend(masked(table));
    }
}

/// The columns that something masks.
fn masked(table: &Table) -> impl Iterator<Item = String> {
    let columns = table.transforms.iter().flat_map(|transform| &transform.needs.writes);
    columns.filter_map(|column| table.relation.columns.get(*column).map(|column| column.name.clone()))
}
