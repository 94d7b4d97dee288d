//! The tables of a moment: what is read of each, and how large it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Relation, TableName};
use postgres::Client;

use super::{Error, Selection};
use crate::wal::{catalog, relation};

/// A table whose rows are wanted, as a stream would name it: partitions count as parts of their root where they are
/// published so.
#[derive(Clone, Debug)]
pub struct Table {
    /// The table with the columns that are read.
    pub relation: Arc<Relation>,
    /// What holds its rows: itself, or its partitions.
    pub parts: Vec<Part>,
    /// Every value has the same binary form on any server.
    pub portable: bool,
}

impl Table {
    /// Its size, what is stored out of line included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// A table with storage of its own.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) oid: u32,
    pub(crate) name: TableName,
    /// Its file: another one means that it was written anew.
    pub(crate) filenode: u32,
    /// How many pages it has at most for us.
    pub(crate) pages: u64,
    /// Bytes, what is stored out of line included.
    pub(crate) bytes: u64,
}

/// The parts that there are, with the oid of the table that they are published as. `$1`: the oids of published tables,
/// empty where there is no publication: then the root counts.
const PARTS: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, coalesce(pg_relation_filenode(c.oid), 0),
       coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int8, coalesce(pg_table_size(c.oid), 0),
       coalesce((SELECT a.relid::oid FROM pg_partition_ancestors(c.oid) WITH ORDINALITY AS a (relid, at)
                 WHERE cardinality($1::oid[]) = 0 OR a.relid::oid = ANY ($1) ORDER BY a.at DESC LIMIT 1), c.oid)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384 AND n.nspname <> 'pgstream'
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.oid";

/// Types whose binary form holds numbers of one database's catalog, or has no way back in.
const NOT_PORTABLE: &str = "
SELECT t.oid FROM pg_type AS t LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.oid = ANY ($1)
  AND (t.oid >= 16384 OR t.typname LIKE 'reg%' OR e.typname LIKE 'reg%' OR t.typtype = 'p' OR t.typreceive = 0::oid
       OR t.typname IN ('aclitem', '_aclitem'))";

/// What a name in the lists may be: where the schema is copied, views and foreign tables too.
const NAMED: &str = "rpvmf";

/// The wanted tables, the largest first, and the names of all.
pub(crate) async fn read(
    client: &Client,
    selection: &Selection,
    published: &[u32],
) -> Result<(Vec<Table>, Vec<TableName>), Error> {
    let fault = Error::statement("list the tables of the source");
    let mut parts: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
    for row in client.query(PARTS, &[&published]).await.map_err(fault)? {
        let number = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
        let part = Part {
            oid: row.get(0),
            name: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            filenode: row.get(3),
            pages: number(4),
            bytes: number(5),
        };
        parts.entry(row.get(6)).or_default().push(part);
    }
    let oids: Vec<u32> = parts.keys().copied().collect();
    let mut tables = Vec::new();
    let described = catalog::tables(client, &oids).await?;
    let types: Vec<u32> =
        described.iter().flat_map(|table| &table.columns).map(|column| column.type_oid).collect();
    let fault = Error::statement("look at the types of the source");
    let foreign: Vec<u32> =
        client.query(NOT_PORTABLE, &[&types]).await.map_err(fault)?.iter().map(|row| row.get(0)).collect();
    for table in described.iter().filter(|table| selection.wants_rows(&table.name)) {
        let stored = table.columns.iter().filter(|column| column.generated.is_none() && !column.dropped);
        let columns: Vec<String> = stored.clone().map(|column| column.name.clone()).collect();
        let portable = stored.clone().all(|column| !foreign.contains(&column.type_oid));
        let relation = Arc::new(relation::from_catalog(table, &columns));
        tables.push(Table { relation, parts: parts.remove(&table.oid).unwrap_or_default(), portable });
    }
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes()));
    let missing: Vec<TableName> =
        selection.named().filter(|name| !described.iter().any(|table| table.name == *name)).collect();
    let missing = catalog::missing_tables(client, &missing, NAMED).await?;
    let names = described.into_iter().map(|table| table.name).collect();
    if missing.is_empty() { Ok((tables, names)) } else { Err(Error::NoTable { tables: missing }) }
}
