//! What the tables look like on the target: columns, types, unique indexes, rights.

use std::collections::HashMap;

use ::postgres::Client;
use event::{Column, TableName};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::Problem;
use super::narrower::loses;

/// A column of a target table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetColumn {
    pub(super) name: String,
    /// Its type.
    pub(super) oid: u32,
    /// Type without its modifier, qualified: a cast to it never cuts anything off.
    pub(super) type_name: String,
    /// Type with its modifier: what the server makes of a text when it is stored.
    pub(super) declared: String,
    /// What stands between the elements of an array of this type.
    pub(super) delimiter: u8,
    /// An array of it cannot be unnested to single values: the elements travel as text and are cast.
    pub(super) as_text: bool,
    /// Values that are equal have the same text.
    pub(super) exact: bool,
    /// The operator for "the same key"; none where the type has no equality.
    pub(super) equals: Option<String>,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`: UPDATE may not set it.
    pub(super) always: bool,
}

/// A unique index over whole columns that are all NOT NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unique {
    pub(super) primary: bool,
    /// Checked at once, so that ON CONFLICT may name it.
    pub(super) immediate: bool,
    pub(super) columns: Vec<String>,
}

/// A table of the target.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) name: TableName,
    pub(super) columns: Vec<TargetColumn>,
    /// Primary key first.
    pub(super) unique: Vec<Unique>,
    /// Has triggers that fire even for a replica, so the order across tables may matter.
    pub(super) fires: bool,
    /// Takes COPY: a table, and no policy decides over its rows.
    pub(super) copies: bool,
    /// Of INSERT, UPDATE and DELETE, those that the role lacks.
    pub(super) lacking: Vec<String>,
}

impl Target {
    /// What keeps values of a column of the source from arriving whole.
    pub(super) fn problem(&self, column: &Column) -> Option<Problem> {
        let (table, name, type_name) = (self.name.clone(), column.name.clone(), column.type_name.clone());
        match self.column(&column.name).and_then(|at| self.columns.get(at)) {
            None => Some(Problem::Column { table, column: name, type_name }),
            Some(found) if loses(&type_name, &found.declared) => {
                Some(Problem::Narrower { table, column: name, found: found.declared.clone(), type_name })
            }
            Some(_) => None,
        }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// Tables. `pg_catalog` is the whole search path, so type names come qualified.
const TABLES: &str = "
SELECT w.schema, w.name, c.oid,
       EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled IN ('A', 'R')),
       array_remove(ARRAY[
           CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END,
           CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END], NULL),
       c.relkind IN ('r', 'p') AND NOT row_security_active(c.oid)
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
JOIN pg_namespace n ON n.nspname = w.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p', 'f', 'v')";

/// Their columns. The base type of a domain says how its values compare.
const COLUMNS: &str = "
SELECT a.attrelid, a.attname::text, format_type(a.atttypid, -1), format_type(a.atttypid, a.atttypmod),
       t.typdelim::text,
       t.typarray = 0 OR base.typtype IN ('c', 'p') OR (t.typtype <> 'd' AND t.typcategory = 'A'),
       (base.oid IN (16, 17, 18, 19, 20, 21, 23, 25, 26, 1043, 1082, 1083, 1114, 1184, 2950) OR base.typtype = 'e')
           AND coalesce(l.collisdeterministic, true),
       CASE WHEN o.schema IS NULL OR o.schema = 'pg_catalog' THEN NULL ELSE o.schema END,
       o.schema IS NOT NULL OR base.typtype IN ('e', 'r', 'm', 'c') OR base.typcategory = 'A',
       a.attnotnull, a.attgenerated <> '', a.attidentity = 'a', a.atttypid
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
    WITH RECURSIVE b AS (
        SELECT t.oid, t.typtype, t.typcategory, t.typbasetype
        UNION ALL
        SELECT p.oid, p.typtype, p.typcategory, p.typbasetype FROM b JOIN pg_type p ON p.oid = b.typbasetype
        WHERE b.typtype = 'd')
    SELECT * FROM b WHERE b.typtype <> 'd' LIMIT 1) base
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN LATERAL (
    SELECT s.nspname::text AS schema
    FROM pg_opclass k
    JOIN pg_am m ON m.oid = k.opcmethod AND m.amname = 'btree'
    JOIN pg_amop x ON x.amopfamily = k.opcfamily AND x.amopstrategy = 3
        AND x.amoplefttype = k.opcintype AND x.amoprighttype = k.opcintype
    JOIN pg_operator p ON p.oid = x.amopopr
    JOIN pg_namespace s ON s.oid = p.oprnamespace
    WHERE k.opcdefault
      AND k.opcintype = CASE base.oid WHEN 1043 THEN 25 ELSE base.oid END
    LIMIT 1) o ON true
WHERE a.attrelid = ANY({NAMED}) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

const UNIQUE: &str = "
SELECT i.indrelid, i.indisprimary, i.indimmediate, array_agg(a.attname::text ORDER BY k.ord)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = ANY({NAMED}) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.ord <= i.indnkeyatts
GROUP BY i.indexrelid, i.indrelid, i.indisprimary, i.indimmediate
HAVING bool_and(a.attnotnull)
ORDER BY i.indrelid, i.indisprimary DESC, count(*), i.indexrelid";

/// The oids of the tables, for the other two queries: so none of the three waits for another.
const NAMED: &str = "
ARRAY(SELECT c.oid FROM unnest($1::text[], $2::text[]) AS w(schema, name)
      JOIN pg_namespace n ON n.nspname = w.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name)";

/// The three queries, planned once.
#[derive(Clone, Debug)]
pub(super) struct Queries {
    tables: Statement,
    columns: Statement,
    unique: Statement,
}

impl Queries {
    /// Prepares them.
    pub(super) async fn prepare(client: &Client) -> Result<Self, ::postgres::Error> {
        let fault = |error| ::postgres::Error::statement("prepare to read the target's catalog", &error);
        Ok(Self {
            tables: client.prepare(TABLES).await.map_err(fault)?,
            columns: client.prepare(&COLUMNS.replace("{NAMED}", NAMED)).await.map_err(fault)?,
            unique: client.prepare(&UNIQUE.replace("{NAMED}", NAMED)).await.map_err(fault)?,
        })
    }
}

/// Reads tables; one that is not there is not in the answer.
pub(super) async fn read(
    client: &Client,
    queries: &Queries,
    names: &[TableName],
) -> Result<Vec<Target>, ::postgres::Error> {
    let fault = |error| ::postgres::Error::statement("read the target's catalog", &error);
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let of: [&(dyn ToSql + Sync); 2] = [&schemas, &tables];
    let (rows, columns, unique) = tokio::try_join!(
        client.query(&queries.tables, &of),
        client.query(&queries.columns, &of),
        client.query(&queries.unique, &of)
    )
    .map_err(fault)?;
    let mut targets = Vec::with_capacity(rows.len());
    let mut by_oid = HashMap::new();
    for row in &rows {
        let oid: u32 = row.try_get(2).map_err(fault)?;
        by_oid.insert(oid, targets.len());
        let name = TableName::new(
            row.try_get::<_, String>(0).map_err(fault)?,
            row.try_get::<_, String>(1).map_err(fault)?,
        );
        targets.push(Target {
            name,
            columns: Vec::new(),
            unique: Vec::new(),
            fires: row.try_get(3).map_err(fault)?,
            copies: row.try_get(5).map_err(fault)?,
            lacking: row.try_get(4).map_err(fault)?,
        });
    }
    for row in &columns {
        let oid: u32 = row.try_get(0).map_err(fault)?;
        let column = column(row).map_err(fault)?;
        if let Some(target) = by_oid.get(&oid).and_then(|at| targets.get_mut(*at)) {
            target.columns.push(column);
        }
    }
    for row in &unique {
        let oid: u32 = row.try_get(0).map_err(fault)?;
        let unique = Unique {
            primary: row.try_get(1).map_err(fault)?,
            immediate: row.try_get(2).map_err(fault)?,
            columns: row.try_get(3).map_err(fault)?,
        };
        if let Some(target) = by_oid.get(&oid).and_then(|at| targets.get_mut(*at)) {
            target.unique.push(unique);
        }
    }
    Ok(targets)
}

fn column(row: &tokio_postgres::Row) -> Result<TargetColumn, tokio_postgres::Error> {
    let delimiter: String = row.try_get(4)?;
    let elsewhere: Option<String> = row.try_get(7)?;
    let comparable: bool = row.try_get(8)?;
    // An operator of an extension, such as citext's, is not found by a search path of pg_catalog alone.
    let equals = comparable.then(|| match elsewhere {
        Some(schema) => format!("OPERATOR({}.=)", ::postgres::ident(&schema)),
        None => "=".to_owned(),
    });
    Ok(TargetColumn {
        name: row.try_get(1)?,
        type_name: row.try_get(2)?,
        declared: row.try_get(3)?,
        delimiter: delimiter.as_bytes().first().copied().unwrap_or(b','),
        as_text: row.try_get(5)?,
        exact: row.try_get(6)?,
        equals,
        not_null: row.try_get(9)?,
        generated: row.try_get(10)?,
        always: row.try_get(11)?,
        oid: row.try_get(12)?,
    })
}
