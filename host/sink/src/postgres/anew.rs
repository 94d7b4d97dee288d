//! Tables whose rows a change of the schema gives values that no statement can give them on the target: where that is wanted, they
//! are emptied and copied again, and the stream goes on.

use std::collections::HashSet;

use ::postgres::{Client, table as quoted};
use event::TableName;
use schema::{Change, Object, Rewrite, retypings};

use super::Error;
use super::copy::target;
use super::define::{Ddl, back, in_savepoint};
use super::error::{Call, call_of, lost};

/// What becomes of a change of the schema that gives rows values which only the source knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rewriting {
    /// The stream stops before it.
    #[default]
    Stop,
    /// The table is emptied on the target, and copied again beside the stream.
    Copy,
}

/// The tables of one change of the schema that are copied again.
pub(super) struct Anew<'a> {
    client: &'a Client,
    ddl: &'a Ddl,
    /// Triggers and foreign keys are off.
    replica: bool,
    /// Tables that are being copied anyway.
    copied: &'a HashSet<u32>,
    /// Those that were emptied, as they are called after the change.
    pub(super) tables: Vec<(u32, TableName)>,
}

impl<'a> Anew<'a> {
    pub(super) fn new(client: &'a Client, ddl: &'a Ddl, replica: bool, copied: &'a HashSet<u32>) -> Self {
        Self { client, ddl, replica, copied, tables: Vec::new() }
    }

    /// Whether a table may be copied again.
    fn may(&self, change: &Change) -> bool {
        self.ddl.rewriting == Rewriting::Copy || self.copied.contains(&change.oid.0)
    }

    /// Has the tables that were written anew be copied again: for their rows nothing else is to be done. False, with nothing
    /// done, if one of them may not.
    pub(super) async fn take_rewritten(&mut self, changes: &mut [Change], why: &str) -> Result<bool, Error> {
        let is_filled = |change: &&Change| change.rewritten.is_some_and(|it| !it.empty);
        if !changes.iter().filter(is_filled).all(|change| self.may(change)) {
            return Ok(false);
        }
        for change in changes.iter().filter(is_filled) {
            self.empty(change, why).await?;
        }
        for change in changes {
            // A root has no rows of its own, and is told of none.
            let retyped = !retypings(change).is_empty();
            if change.rewritten.is_some() || retyped {
                let Rewrite { default, type_changed, .. } = change.rewritten.unwrap_or_default();
                change.rewritten =
                    Some(Rewrite { default, type_changed: type_changed || retyped, empty: true });
            }
        }
        Ok(true)
    }

    /// Has one table be copied again. False if it may not.
    pub(super) async fn take(&mut self, change: &Change, why: &str) -> Result<bool, Error> {
        if !self.may(change) {
            return Ok(false);
        }
        self.empty(change, why).await?;
        Ok(true)
    }

    async fn empty(&mut self, change: &Change, why: &str) -> Result<(), Error> {
        let (Some(Object::Table(before)), Some(after)) = (&change.before, &change.after) else {
            return Ok(());
        };
        let before = TableName::new(&before.schema, &before.name);
        let name = quoted(&before);
        let truncate = format!("TRUNCATE {}{name}", if is_root(change) { "" } else { "ONLY " });
        if let Err(error) = in_savepoint(self.client, &truncate, self.ddl).await {
            match call_of(&error) {
                Call::Reconnect => return Err(lost(&error)),
                Call::Retry => return Err(Error::Contended { reason: ::postgres::describe(&error) }),
                Call::Room => {
                    return Err(::postgres::Error::statement(format!("empty {before}"), &error).into());
                }
                Call::LookAgain | Call::Exact => back(self.client).await?,
            }
            // Referenced by a foreign key, or not ours to truncate.
            target::delete(self.client, &before, self.replica).await?;
        }
        tracing::warn!(table = %before, why, "it is emptied on the target and will be copied again");
        let after = after.name();
        self.tables.push((change.oid.0, TableName::new(after.schema, after.name)));
        Ok(())
    }
}

fn is_root(change: &Change) -> bool {
    matches!(&change.before, Some(Object::Table(table)) if table.partition_by.is_some())
}
