//! What the catalog knows of tables that the stream does not tell: attribute numbers, type names, keys.

use std::time::Duration;

use event::{GeneratedKind, Horizon, IdentityColumn, ParseHorizonError, ReplicaIdentity, TableName};
use postgres::Client;
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::wal::server::Server;
use crate::wal::{Error, TableWithoutIdentity};

/// A table as it is now, which may be later than where the stream is.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    /// What schema tracking has given it for life.
    pub(crate) id: Option<String>,
    pub(crate) name: TableName,
    pub(crate) identity: ReplicaIdentity,
    /// By attribute number, with those that were dropped.
    pub(crate) columns: Vec<Attribute>,
}

/// A row of `pg_attribute`.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) attnum: i16,
    pub(crate) name: String,
    pub(crate) dropped: bool,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    pub(crate) type_name: String,
    pub(crate) nullable: bool,
    pub(crate) primary: bool,
    /// In the replica identity.
    pub(crate) identity: bool,
    pub(crate) unique: bool,
    pub(crate) generated: Option<GeneratedKind>,
    pub(crate) identity_column: Option<IdentityColumn>,
}

/// How soon it is looked again whether a commit is visible.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The columns of an index that make its key; `INCLUDE` columns follow them.
const KEY: &str = "(i.indkey::int2[])[0:i.indnkeyatts - 1]";

/// Which transactions a statement that begins now will see, or more.
pub(crate) async fn horizon(client: &Client) -> Result<Horizon, Error> {
    const SEES: &str = "SELECT pg_current_snapshot()::text";
    let fault = Error::statement("see which transactions are visible");
    let text: String = client.query_one(SEES, &[]).await.map_err(fault)?.get(0);
    text.parse().map_err(|error: ParseHorizonError| Error::Protocol { reason: error.to_string() })
}

/// Waits until other sessions see what the transaction did: a commit is sent once it is in the log, and that is a moment
/// before it is visible. With a synchronous standby the moment is longer, and never ends if we are that standby: after
/// `limit` the catalog is taken as it is.
pub(crate) async fn settle(client: &Client, xid: u32, limit: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    while !horizon(client).await?.sees(xid) && Instant::now() < deadline {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Reads tables by oid; those that are gone are missing in the answer.
pub(crate) async fn tables(client: &Client, oids: &[u32]) -> Result<Vec<Table>, Error> {
    // In one query: a table that is dropped meanwhile is there with its identifier, or not at all.
    let (id, ids) = match has_lasting_ids(client).await? {
        true => ("ids.id::text", "LEFT JOIN pgstream.table_ids AS ids ON ids.oid = c.oid::bigint"),
        false => ("NULL::text", ""),
    };
    // A deferrable primary key is no replica identity: `indimmediate`.
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relreplident::text, \
                a.attnum, a.attname::text, a.attisdropped, a.atttypid, a.atttypmod, \
                coalesce(format_type(a.atttypid, a.atttypmod), ''), NOT a.attnotnull, \
                coalesce(k.is_primary, false), coalesce(k.is_identity, false) OR c.relreplident = 'f', \
                coalesce(k.is_unique, false), a.attgenerated::text, a.attidentity::text, {id} \
         FROM pg_class AS c \
         JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 \
         LEFT JOIN LATERAL ( \
             SELECT bool_or(i.indisprimary) AS is_primary, \
                    bool_or(CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate \
                                                WHEN 'i' THEN i.indisreplident ELSE false END) AS is_identity, \
                    bool_or(i.indnkeyatts = 1) AS is_unique \
             FROM pg_index AS i \
             WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL \
               AND a.attnum = ANY ({KEY}) \
         ) AS k ON true {ids} \
         WHERE c.oid = ANY ($1) ORDER BY c.oid, a.attnum"
    );
    let rows = client.query(&sql, &[&oids]).await.map_err(Error::statement("read tables in the catalog"))?;
    let mut tables: Vec<Table> = Vec::new();
    for row in &rows {
        let oid: u32 = row.get(0);
        if tables.last().is_none_or(|table| table.oid != oid) {
            tables.push(Table {
                oid,
                id: row.get(16),
                name: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
                identity: identity(row.get(3)),
                columns: Vec::new(),
            });
        }
        if let Some(table) = tables.last_mut() {
            table.columns.push(attribute(row));
        }
    }
    Ok(tables)
}

/// Whether tables have identifiers that they keep for life, and the role may read them.
async fn has_lasting_ids(client: &Client) -> Result<bool, Error> {
    const READABLE: &str = "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE n.nspname = 'pgstream' AND c.relname = 'table_ids' AND has_schema_privilege(n.oid, 'USAGE') \
          AND has_table_privilege(c.oid, 'SELECT'))";
    let row = client.query_one(READABLE, &[]).await;
    Ok(row.map_err(Error::statement("look for the identifiers of tables"))?.get(0))
}

fn attribute(row: &Row) -> Attribute {
    Attribute {
        attnum: row.get(4),
        name: row.get(5),
        dropped: row.get(6),
        type_oid: row.get(7),
        type_modifier: row.get(8),
        type_name: row.get(9),
        nullable: row.get(10),
        primary: row.get(11),
        identity: row.get(12),
        unique: row.get(13),
        generated: match row.get(14) {
            "s" => Some(GeneratedKind::Stored),
            "v" => Some(GeneratedKind::Virtual),
            _ => None,
        },
        identity_column: match row.get(15) {
            "a" => Some(IdentityColumn::Always),
            "d" => Some(IdentityColumn::ByDefault),
            _ => None,
        },
    }
}

fn identity(letter: &str) -> ReplicaIdentity {
    match letter {
        "n" => ReplicaIdentity::Nothing,
        "f" => ReplicaIdentity::Full,
        "i" => ReplicaIdentity::Index,
        _ => ReplicaIdentity::Default,
    }
}

/// The names of types with their modifiers; `None` for a type that is gone.
pub(crate) async fn type_names(client: &Client, types: &[(u32, i32)]) -> Result<Vec<Option<String>>, Error> {
    let (oids, modifiers): (Vec<u32>, Vec<i32>) = types.iter().copied().unzip();
    let rows = client
        .query(
            "SELECT CASE WHEN EXISTS (SELECT FROM pg_type WHERE oid = t.oid) \
                    THEN format_type(t.oid, t.modifier) END \
             FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS t (oid, modifier, at) ORDER BY at",
            &[&oids, &modifiers],
        )
        .await
        .map_err(Error::statement("read the names of types"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The tables of a publication, as it sends them: oid and the names of the columns.
pub(crate) async fn published(
    client: &Client,
    server: &Server,
    publication: &str,
) -> Result<Vec<(u32, Vec<String>)>, Error> {
    // From 18 on the view is exact. Before, the server never sends generated columns, and 14 has no column lists.
    let columns = match server.number {
        180_000.. => "p.attnames::text[]",
        150_000.. => {
            "ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 \
                      AND NOT a.attisdropped AND a.attgenerated = '' AND a.attname = ANY (p.attnames))"
        }
        _ => {
            "ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 \
              AND NOT a.attisdropped AND a.attgenerated = '')"
        }
    };
    let sql = format!(
        "SELECT c.oid, {columns} FROM pg_publication_tables AS p \
         JOIN pg_namespace AS n ON n.nspname = p.schemaname \
         JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename \
         WHERE p.pubname = $1::text ORDER BY c.oid"
    );
    let rows = client
        .query(&sql, &[&publication])
        .await
        .map_err(Error::statement("read the tables of the publication"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// A table without a usable replica identity, and the published table that it is or belongs to.
pub(crate) struct WithoutIdentity {
    /// Of the table.
    pub(crate) oid: u32,
    pub(crate) published: TableName,
    pub(crate) table: TableWithoutIdentity,
}

/// Which of the tables, or of their partitions, have no usable replica identity.
pub(crate) async fn without_identity(client: &Client, oids: &[u32]) -> Result<Vec<WithoutIdentity>, Error> {
    let rows = client
        .query(
            "SELECT bn.nspname::text, b.relname::text, n.nspname::text, c.relname::text, c.relreplident::text, c.oid \
             FROM pg_class AS b JOIN pg_namespace AS bn ON bn.oid = b.relnamespace \
             CROSS JOIN LATERAL ( \
                 SELECT b.oid UNION SELECT relid::oid FROM pg_partition_tree(b.oid) WHERE b.relkind = 'p') AS t (oid) \
             JOIN pg_class AS c ON c.oid = t.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE b.oid = ANY ($1) AND c.relkind IN ('r', 'p') AND c.relreplident <> 'f' AND NOT EXISTS ( \
                 SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid \
                    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate \
                                            WHEN 'i' THEN i.indisreplident ELSE false END) \
             ORDER BY 1, 2, 3, 4",
            &[&oids],
        )
        .await
        .map_err(Error::statement("read replica identities"))?;
    Ok(rows
        .iter()
        .map(|row| WithoutIdentity {
            oid: row.get(5),
            published: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
            table: TableWithoutIdentity {
                table: TableName::new(row.get::<_, String>(2), row.get::<_, String>(3)),
                identity: identity(row.get(4)),
            },
        })
        .collect())
}

/// The same for a publication that is still to be made: of these tables, or of all if there are none here.
/// A partitioned table counts only where it is sent itself.
pub(crate) async fn tables_without_identity(
    client: &Client,
    tables: &[TableName],
    via_root: bool,
) -> Result<Vec<TableWithoutIdentity>, Error> {
    // Oids below 16384 are the system's own, information_schema included.
    let rows = client
        .query(
            "SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384 AND n.nspname <> 'pgstream' \
               AND (cardinality($1::text[]) = 0 OR EXISTS ( \
                    SELECT FROM unnest($1::text[], $2::text[]) AS wanted (schema, name) \
                    WHERE wanted.schema = n.nspname AND wanted.name = c.relname))",
            &names(tables).params(),
        )
        .await
        .map_err(Error::statement("list the tables"))?;
    let oids: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    let partitioned = partitioned(client, &oids).await?;
    let mut found: Vec<TableWithoutIdentity> = Vec::new();
    for without in without_identity(client, &oids).await? {
        let skip = !via_root && partitioned.contains(&without.table.table);
        if !skip && !found.contains(&without.table) {
            found.push(without.table);
        }
    }
    Ok(found)
}

async fn partitioned(client: &Client, oids: &[u32]) -> Result<Vec<TableName>, Error> {
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text FROM pg_class AS c \
             JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1) AND c.relkind = 'p'",
            &[&oids],
        )
        .await
        .map_err(Error::statement("list the partitioned tables"))?;
    Ok(rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}

/// Which of the tables are not there, by the letters of `pg_class.relkind`.
pub(crate) async fn missing_tables(
    client: &Client,
    tables: &[TableName],
    kinds: &str,
) -> Result<Vec<TableName>, Error> {
    let Names { schemas, names } = names(tables);
    let rows = client
        .query(
            "SELECT wanted.schema, wanted.name FROM unnest($1::text[], $2::text[]) AS wanted (schema, name) \
             WHERE NOT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                               WHERE n.nspname = wanted.schema AND c.relname = wanted.name \
                                 AND strpos($3, c.relkind::text) > 0)",
            &[&schemas, &names, &kinds],
        )
        .await
        .map_err(Error::statement("look for the tables"))?;
    Ok(rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}

/// Names as two arrays.
struct Names {
    schemas: Vec<String>,
    names: Vec<String>,
}

impl Names {
    fn params(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 2] {
        [&self.schemas, &self.names]
    }
}

fn names(tables: &[TableName]) -> Names {
    let (schemas, names) = tables.iter().map(|table| (table.schema.clone(), table.name.clone())).unzip();
    Names { schemas, names }
}
