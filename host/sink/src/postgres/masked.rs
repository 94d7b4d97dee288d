//! Defaults of columns that a rule masks: they are the source's values, and reach no target by way of a definition.

use ::postgres::{Client, literal};
use event::SchemaEntry;
use schema::{Change, Column, Object};

use super::Error;
use super::anew::Anew;
use super::define::is_so;

/// Takes the defaults of masked columns out. Rows of the stream bring their own values; what rows that are there would get
/// by a new column is the source's, and nobody has masked it: the stream stops, unless the target has the column or no rows.
pub(super) async fn leave_out_defaults(
    client: &Client,
    changes: &mut [Change],
    entries: &[SchemaEntry],
    anew: &mut Anew<'_>,
) -> Result<(), Error> {
    let Some(entry) = entries.first() else { return Ok(()) };
    // By the name alone: what is done to a table is done to its heirs, and those may have the rules.
    let is_masked = |column: &Column| {
        column.generated_kind.is_empty()
            && entries.iter().flat_map(|entry| &entry.masked).any(|name| *name == column.name)
    };
    for change in changes {
        let Some(Object::Table(table)) = &change.after else { continue };
        // Few have one, and the change as it came is kept for those.
        if !table.columns.iter().any(|column| column.default.is_some() && is_masked(column)) {
            continue;
        }
        let whole = change.clone();
        let Change { before, after: Some(Object::Table(after)), missing, .. } = change else { continue };
        let mut before = match before {
            Some(Object::Table(before)) => Some(before),
            _ => None,
        };
        let name = after.full_name().to_string();
        for new in after.columns.iter_mut().filter(|column| column.default.is_some() && is_masked(column)) {
            let old =
                before.as_mut().and_then(|it| it.columns.iter_mut().find(|old| old.attnum == new.attnum));
            let default = new.default.take();
            if let Some(old) = old {
                if old.default == default {
                    old.default = None;
                    continue;
                }
            } else if missing.remove(&new.attnum).flatten().is_some()
                && !is_ready(client, &name, &new.name).await?
                && !anew.take(&whole, "a rule masks a new column that has a default").await?
            {
                return Err(Error::MaskedDefault {
                    schema: entry.schema.clone(),
                    version: entry.version,
                    command: entry.command_tag.clone(),
                    table: name,
                    column: new.name.clone(),
                });
            }
            tracing::warn!(
                table = name,
                column = new.name,
                "the default of a masked column is left out on the target"
            );
        }
    }
    Ok(())
}

/// Whether no row of the target would need a value: it has none, or has the column.
async fn is_ready(client: &Client, table: &str, column: &str) -> Result<bool, Error> {
    let sql = format!(
        "SELECT NOT EXISTS (SELECT FROM {table}) OR EXISTS ( \
            SELECT FROM pg_attribute WHERE attrelid = to_regclass({}) AND attname = {} AND NOT attisdropped)",
        literal(table),
        literal(column)
    );
    is_so(client, &sql, &[], "look at the rows of a table on the target").await
}
