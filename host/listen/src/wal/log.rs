//! Rows of `pgstream.schema_log`: read from the stream, looked for ahead of it, and acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use event::{Lsn, Relation, SchemaEntry, TableName, Value};
use postgres::Client;
use tokio_postgres::types::ToSql;

use crate::wal::Error;

/// The table.
pub(crate) const TABLE: &str = "schema_log";
/// What a schema is when the log begins: nobody has to do anything about it.
const BASE: &str = "BASE";

/// Which versions the stream has passed on, and which of them may be acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Of the open transaction.
    passed: Vec<String>,
    /// Of transactions that are whole, with their ends.
    waiting: VecDeque<(Lsn, Vec<String>)>,
}

impl Log {
    /// Whether somebody has to do something about a version: false for the beginning of a log, and for one that was
    /// passed on ahead of its place.
    pub(crate) fn is_new(&mut self, entry: &SchemaEntry) -> bool {
        let is_new = entry.command_tag != BASE && !self.passed.contains(&entry.id);
        // One that the stream itself showed is nobody's row.
        if is_new && !entry.id.is_empty() {
            self.passed.push(entry.id.clone());
        }
        is_new
    }

    /// The open transaction is whole.
    pub(crate) fn committed(&mut self, end: Lsn) {
        if !self.passed.is_empty() {
            self.waiting.push_back((end, std::mem::take(&mut self.passed)));
        }
    }

    /// Whether versions were passed on that are not done yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Versions that are done, now that everything before `confirmed` is.
    pub(crate) fn done(&mut self, confirmed: Lsn) -> Vec<String> {
        let mut done = Vec::new();
        while let Some((_, ids)) = self.waiting.pop_front_if(|(end, _)| *end <= confirmed) {
            done.extend(ids);
        }
        done
    }
}

/// A row as the stream sends it. `None` if it is not what our migrations make.
pub(crate) fn read(table: &Relation, row: &[Value<'_>]) -> Option<SchemaEntry> {
    let value = |name: &str| match row.get(table.column(name)?)? {
        Value::Present(text) => std::str::from_utf8(text).ok().map(str::to_owned),
        Value::Null | Value::Unchanged => None,
    };
    Some(SchemaEntry {
        id: value("id")?,
        version: value("version")?.parse().ok()?,
        schema: value("schema_name")?,
        command_tag: value("command_tag")?,
        statement: value("statement"),
        part: value("part")?.parse().ok()?,
        parts: value("parts")?.parse().ok()?,
        changes: value("changes")?,
        failed: value("failed"),
        left_out: Vec::new(),
        masked: Vec::new(),
    })
}

/// What the stream itself shows of a table's change, where no log tells it.
pub(crate) fn seen(before: &Relation, after: &Relation) -> Option<SchemaEntry> {
    Some(SchemaEntry {
        id: String::new(),
        version: 0,
        schema: after.name.schema.clone(),
        command_tag: "seen in the stream".to_owned(),
        statement: None,
        part: 1,
        parts: 1,
        changes: schema::seen(before, after)?,
        failed: None,
        left_out: Vec::new(),
        masked: Vec::new(),
    })
}

/// The versions that a transaction gives to a table which it makes. Rows come before them where a table is made from a
/// query: CREATE TABLE AS fills it, and is noted at its end. The transaction is visible already.
pub(crate) async fn of_new_table(client: &Client, xid: u32, oid: u32) -> Result<Vec<SchemaEntry>, Error> {
    // The stream has the lower half of a transaction's number.
    const ENTRIES: &str = "WITH ours AS ( \
            SELECT l.* FROM pgstream.schema_log AS l, pg_snapshot_xmax(pg_current_snapshot()) AS now \
            WHERE l.transaction_id = ((now::text::int8 - ((now::text::int8 - $1) & 4294967295))::text::xid8) \
        ) \
        SELECT id::text, version, schema_name, command_tag, statement, part, parts, changes::text, failed \
        FROM ours \
        WHERE statement_id = ( \
            SELECT statement_id FROM ours, jsonb_array_elements(changes::jsonb) AS c \
            WHERE c->>'oid' = $2 AND c->>'kind' = 'table' AND NOT c ? 'before' \
            ORDER BY version LIMIT 1) \
        ORDER BY part";
    let fault = Error::statement("look for the version of a new table in pgstream.schema_log");
    let rows = client.query(ENTRIES, &[&i64::from(xid), &oid.to_string()]).await.map_err(fault)?;
    Ok(rows.iter().map(entry).collect())
}

/// An entry out of a row with id, version, schema_name, command_tag, statement, part, parts, changes and failed.
pub(crate) fn entry(row: &tokio_postgres::Row) -> SchemaEntry {
    SchemaEntry {
        id: row.get(0),
        version: row.get::<_, i64>(1).unsigned_abs(),
        schema: row.get(2),
        command_tag: row.get(3),
        statement: row.get(4),
        part: row.get::<_, i32>(5).unsigned_abs(),
        parts: row.get::<_, i32>(6).unsigned_abs(),
        changes: row.get(7),
        failed: row.get(8),
        left_out: Vec::new(),
        masked: Vec::new(),
    }
}

/// Tables that versions are about which nobody has acknowledged, or which were written behind `start`: the catalog is
/// ahead of the stream with them.
pub(crate) async fn pending(client: &Client, start: Lsn) -> Result<HashSet<u32>, Error> {
    const PENDING: &str = "SELECT DISTINCT (c->>'oid')::oid FROM pgstream.schema_log, jsonb_array_elements(changes::jsonb) AS c \
                           WHERE (NOT acked OR lsn >= $1::text::pg_lsn) AND command_tag <> 'BASE' AND c->>'kind' = 'table'";
    let fault = Error::statement("look for versions that are not acknowledged in pgstream.schema_log");
    let rows = client.query(PENDING, &[&start.to_string()]).await.map_err(fault)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether the log knows tables of this name, and none of them is there, under whatever name.
async fn is_dropped(client: &Client, table: &TableName) -> Result<bool, Error> {
    const KNOWN: &str = "SELECT count(*) > 0 AND bool_and(NOT EXISTS (SELECT FROM pg_class AS t WHERE t.oid = (c->>'oid')::oid)) \
        FROM pgstream.schema_log, jsonb_array_elements(changes::jsonb) AS c \
        WHERE c->>'kind' = 'table' AND ( \
            (c->'before'->>'schema', c->'before'->>'name') = ($1, $2) OR (c->'after'->>'schema', c->'after'->>'name') = ($1, $2))";
    is_so(client, KNOWN, &[&table.schema, &table.name]).await
}

/// Whether the log knows columns of this name in a table, and none of them is there, under whatever name.
async fn is_column_dropped(client: &Client, oid: u32, column: &str) -> Result<bool, Error> {
    const KNOWN: &str = "SELECT count(*) > 0 AND bool_and(NOT EXISTS ( \
            SELECT FROM pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum = (it->>'attnum')::int AND NOT a.attisdropped)) \
        FROM pgstream.schema_log, jsonb_array_elements(changes::jsonb) AS c, \
            jsonb_array_elements(coalesce(c->'before'->'columns', '[]') || coalesce(c->'after'->'columns', '[]')) AS it \
        WHERE c->>'kind' = 'table' AND (c->>'oid')::oid = $1 AND it->>'name' = $2";
    is_so(client, KNOWN, &[&oid, &column]).await
}

async fn is_so(client: &Client, sql: &str, of: &[&(dyn ToSql + Sync)]) -> Result<bool, Error> {
    let fault = Error::statement("look for what was dropped in pgstream.schema_log");
    Ok(client.query_one(sql, of).await.map_err(fault)?.get::<_, Option<bool>>(0).unwrap_or_default())
}

/// Which of these tables and columns, that are not among `relations`, were dropped.
pub(crate) async fn dropped(
    client: &Client,
    relations: &[Arc<Relation>],
    missing: Vec<(TableName, Option<String>)>,
) -> Result<Vec<(TableName, Option<String>)>, Error> {
    let mut dropped = Vec::new();
    for (table, column) in missing {
        let relation = relations.iter().find(|relation| relation.name == table);
        let is_gone = match (&column, relation) {
            (None, None) => is_dropped(client, &table).await?,
            (Some(column), Some(relation)) => is_column_dropped(client, relation.oid, column).await?,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if is_gone {
            dropped.push((table, column));
        }
    }
    Ok(dropped)
}

/// Which of these tables were made after the log began.
pub(crate) async fn made_later(client: &Client, oids: &[u32]) -> Result<HashSet<u32>, Error> {
    const MADE: &str = "SELECT DISTINCT (c->>'oid')::oid FROM pgstream.schema_log, jsonb_array_elements(changes::jsonb) AS c \
        WHERE (command_tag <> 'BASE' OR c ? 'made') AND c->>'kind' = 'table' AND NOT c ? 'before' AND (c->>'oid')::oid = ANY ($1)";
    let fault = Error::statement("look for new tables in pgstream.schema_log");
    let rows = client.query(MADE, &[&oids]).await.map_err(fault)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Oids of tables in these changes that the publication does not send.
pub(crate) async fn unpublished(
    client: &Client,
    publication: &str,
    changes: &str,
) -> Result<Vec<u32>, Error> {
    // By oid: by now a table may have another name. A sequence goes with its table.
    const UNPUBLISHED: &str = "WITH changed AS ( \
            SELECT (c->>'oid')::oid AS oid, c->'after'->'partition_of' AS root, \
                   CASE c->>'kind' WHEN 'table' THEN (c->>'oid')::oid \
                       ELSE (coalesce(c->'after', c->'before')->'owned_by'->>'oid')::oid END AS of_table \
            FROM jsonb_array_elements($2::text::jsonb) AS c WHERE c->>'kind' IN ('table', 'sequence') \
        ), published AS ( \
            SELECT c.oid FROM pg_publication_tables AS p JOIN pg_namespace AS n ON n.nspname = p.schemaname \
                JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = $1 \
        ) \
        SELECT c.oid FROM changed AS c WHERE c.of_table IS NOT NULL \
          AND NOT EXISTS (SELECT FROM published AS p WHERE p.oid = c.of_table OR p.oid = (c.root->>'oid')::oid)";
    let fault = Error::statement("look which tables are published");
    let rows = client.query(UNPUBLISHED, &[&publication, &changes]).await.map_err(fault)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Versions could not be acknowledged.
pub(crate) enum Unacknowledged {
    /// The server does not let us: a standby, or a role without the right. The reason.
    Refused(String),
    /// It did not answer.
    Failed(Error),
}

/// Tells the source which versions everybody has taken over.
pub(crate) async fn acknowledge(client: &Client, ids: &[String]) -> Result<(), Unacknowledged> {
    use tokio_postgres::error::SqlState;
    const ACK: &str =
        "UPDATE pgstream.schema_log SET acked = true WHERE id = ANY ($1::text[]::bpchar[]) AND NOT acked";
    let Err(error) = client.execute(ACK, &[&ids]).await else { return Ok(()) };
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::READ_ONLY_SQL_TRANSACTION) => {
            Err(Unacknowledged::Refused(postgres::describe(&error)))
        }
        _ => Err(Unacknowledged::Failed(Error::statement("acknowledge versions in pgstream.schema_log")(
            error,
        ))),
    }
}
