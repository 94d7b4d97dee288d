//! Rules for what was dropped: they have nothing to do, and stop nobody. What was renamed is not gone.

use std::sync::Arc;

use event::{Relation, TableName};
use schema::{Change, Object, Table};

use super::Chain;
use crate::rules::place;

/// A table, or one of its columns.
pub type Gone = (TableName, Option<String>);

/// The columns of a table that are gone.
pub(super) fn columns(gone: &[Gone], table: &TableName) -> Vec<String> {
    let of_table = gone.iter().filter(|(name, _)| name == table);
    of_table.filter_map(|(_, column)| column.clone()).collect()
}

impl Chain {
    /// Tables and columns that rules name and the source does not have. Whether they were dropped, or are called otherwise, or
    /// never were, the source's log knows.
    #[must_use]
    pub fn missing(&self, relations: &[Arc<Relation>]) -> Vec<Gone> {
        let mut missing = Vec::new();
        for rules in &self.rules.tables {
            let Some(relation) = relations.iter().find(|relation| relation.name == rules.table) else {
                missing.push((rules.table.clone(), None));
                continue;
            };
            let columns = rules.columns.iter().filter(|rule| relation.column(&rule.column).is_none());
            missing.extend(columns.map(|rule| (rules.table.clone(), Some(rule.column.clone()))));
        }
        missing
    }

    /// These were dropped, and are none of another name.
    pub fn let_go(&mut self, gone: Vec<Gone>) {
        for (table, column) in gone.iter().filter(|it| !self.gone.contains(it)) {
            let subject = column.as_ref().map_or(table.to_string(), |column| place(table, column));
            tracing::warn!(
                subject,
                "it was dropped on the source: its rules have nothing to do, and can be removed"
            );
        }
        self.gone = gone;
    }

    pub(super) fn is_gone(&self, table: &TableName) -> bool {
        self.gone.contains(&(table.clone(), None))
    }

    /// What a change of the schema drops that has rules. What is there again is not gone.
    pub(super) fn note_gone(&mut self, change: &Change) {
        // The catalog may be ahead: a table that was dropped later has rules under its old name, bound or not.
        if let Some(Object::Table(before)) = &change.before
            && self.rules.of(&name(before)).is_some()
        {
            self.ruled.insert(change.oid.0, name(before));
        }
        let mut gone = self.gone.clone();
        if let Some(Object::Table(table)) = &change.after {
            let name = name(table);
            // What had the name until now may be called otherwise: it is gone only if it is dropped, see below.
            let was = |column: &String| matches!(&change.before, Some(Object::Table(it)) if has(it, column));
            gone.retain(|(of, column)| {
                *of != name || column.as_ref().is_some_and(|column| !has(table, column) && !was(column))
            });
        }
        match (&change.before, &change.after) {
            (Some(Object::Table(before)), Some(Object::Table(after))) => {
                let name = name(after);
                let dropped = before.columns.iter().filter(|old| {
                    after.columns.iter().all(|new| new.attnum != old.attnum) && !has(after, &old.name)
                });
                gone.extend(dropped.map(|old| (name.clone(), Some(old.name.clone()))));
            }
            (Some(Object::Table(before)), None) => gone.push((name(before), None)),
            _ => {}
        }
        gone.retain(|(table, column)| {
            self.rules.of(table).is_some_and(|rules| {
                column.as_ref().is_none_or(|column| rules.columns.iter().any(|rule| rule.column == *column))
            })
        });
        self.let_go(gone);
    }
}

fn name(table: &Table) -> TableName {
    TableName::new(&table.schema, &table.name)
}

fn has(table: &Table, column: &str) -> bool {
    table.columns.iter().any(|it| it.name == column)
}
