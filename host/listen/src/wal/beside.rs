//! A second stream beside the first, for tables that are copied while the first goes on: its slot, and the tables.

use event::{Lsn, TableName};
use postgres::{Client, table as quoted};

use crate::wal::options::NAME_LIMIT;
use crate::wal::{Error, Options, Outcome, admin, catalog, publication, role, server, slot};

impl Options {
    /// Of the stream beside that of these options, which reads a slot of its own.
    #[must_use]
    pub fn beside(&self) -> Self {
        const OF_TABLES: &str = "_tables";
        // The name of a slot is ASCII.
        let room = NAME_LIMIT - OF_TABLES.len();
        let name = self.slot.get(..room.min(self.slot.len())).unwrap_or(&self.slot);
        Self { slot: format!("{name}{OF_TABLES}"), ..self.clone() }
    }
}

/// Makes the slot of such a stream. One that an earlier process left goes before.
///
/// # Errors
/// [`Error::NoFreeSlot`], [`Error::SlotActive`], a server that does not answer.
pub async fn make_slot(options: &Options) -> Result<(), Error> {
    remove_slot(options).await?;
    let client = server::connect(options).await?;
    slot::create(&client, &options.slot).await
}

/// Removes it. False if it was not there.
///
/// # Errors
/// [`Error::SlotActive`], [`Error::OtherSlot`], a server that does not answer.
pub async fn remove_slot(options: &Options) -> Result<bool, Error> {
    let client = server::connect(options).await?;
    let server = server::describe(&client).await?;
    let removed = admin::remove_slot(&client, &server, options, options.slot_wait).await?;
    Ok(removed == Outcome::Removed)
}

/// Where the source's log ends now.
///
/// # Errors
/// A server that does not answer.
pub async fn written(options: &Options) -> Result<Lsn, Error> {
    server::written(&server::connect(options).await?).await
}

/// A session, and the oids of the tables that the publication sends.
async fn published(options: &Options) -> Result<(Client, Vec<u32>), Error> {
    let client = server::connect(options).await?;
    let server = server::describe(&client).await?;
    let published = catalog::published(&client, &server, &options.publication).await?;
    Ok((client, published.into_iter().map(|(oid, _)| oid).collect()))
}

/// A table of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub table: TableName,
    /// Its oid.
    pub oid: u32,
    /// The publication sends it.
    pub is_published: bool,
    /// It does not, and could: it is no part of another table.
    pub may_be_published: bool,
}

/// Looks tables up.
///
/// # Errors
/// [`Error::NoTable`] with those that are not there, [`Error::NoPublication`], a server that does not answer.
pub async fn find_tables(options: &Options, tables: &[TableName]) -> Result<Vec<Found>, Error> {
    const LOOK: &str = "SELECT oid, relispartition FROM pg_class WHERE oid = to_regclass($1)";
    let (client, published) = published(options).await?;
    let publication = publication::require(&client, options).await?;
    let missing = catalog::missing_tables(&client, tables, "rp").await?;
    if !missing.is_empty() {
        return Err(Error::NoTable { tables: missing });
    }
    let mut found = Vec::new();
    for table in tables {
        let row =
            client.query_opt(LOOK, &[&quoted(table)]).await.map_err(Error::statement("look for a table"))?;
        let row = row.ok_or_else(|| Error::NoTable { tables: vec![table.clone()] })?;
        let (oid, is_part) = (row.get(0), row.get::<_, bool>(1));
        let is_published = published.contains(&oid);
        let may_be_published = !is_published && !publication.all_tables && !is_part;
        found.push(Found { table: table.clone(), oid, is_published, may_be_published });
    }
    Ok(found)
}

/// What the publication sends tables as that it does not send themselves: partitions as their root, or a root as its partitions.
/// Each with the oid that stands for it.
///
/// # Errors
/// A server that does not answer.
pub async fn sent_as(options: &Options, oids: &[u32]) -> Result<Vec<(u32, (u32, TableName))>, Error> {
    const FAMILY: &str = "SELECT w.oid, c.oid, n.nspname::text, c.relname::text \
        FROM unnest($1::oid[]) AS w (oid) \
        CROSS JOIN LATERAL (SELECT relid FROM pg_partition_ancestors(w.oid) UNION SELECT relid FROM pg_partition_tree(w.oid)) AS of \
        JOIN pg_class AS c ON c.oid = of.relid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE c.oid = ANY ($2) AND NOT w.oid = ANY ($2)";
    let (client, published) = published(options).await?;
    let rows =
        client.query(FAMILY, &[&oids, &published]).await.map_err(Error::statement("look for partitions"))?;
    let sent = |row: &tokio_postgres::Row| {
        let name = TableName::new(row.get::<_, String>(2), row.get::<_, String>(3));
        (row.get(0), (row.get(1), name))
    };
    Ok(rows.iter().map(sent).collect())
}

/// Has the publication send these tables, as far as it does not and they are there; `is_trial`: only finds out whether that could
/// be done. Which it did not send.
///
/// # Errors
/// [`Error::NoPublicationRight`], [`Error::NoReplicaIdentity`], a server that does not answer.
pub async fn publish(options: &Options, oids: &[u32], is_trial: bool) -> Result<Vec<TableName>, Error> {
    const NAMES: &str = "SELECT n.nspname::text, c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE c.oid = ANY ($1)";
    let (client, published) = published(options).await?;
    let unpublished: Vec<u32> = oids.iter().copied().filter(|oid| !published.contains(oid)).collect();
    let rows = client.query(NAMES, &[&unpublished]).await.map_err(Error::statement("look for tables"))?;
    let tables: Vec<TableName> =
        rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect();
    if tables.is_empty() {
        return Ok(tables);
    }
    let without =
        catalog::tables_without_identity(&client, &tables, options.publish_via_partition_root).await?;
    if !without.is_empty() {
        return Err(Error::NoReplicaIdentity { tables: without });
    }
    let names: Vec<String> = tables.iter().map(quoted).collect();
    let sql =
        format!("ALTER PUBLICATION {} ADD TABLE {}", postgres::ident(&options.publication), names.join(", "));
    let end = if is_trial { "ROLLBACK" } else { "COMMIT" };
    match client.batch_execute(&format!("BEGIN; {sql}; {end}")).await {
        Ok(()) => Ok(tables),
        Err(error) if role::lacks_right(&error) => Err(Error::NoPublicationRight {
            role: role::name(&client).await?,
            publication: options.publication.clone(),
            reason: postgres::describe(&error),
            sql,
        }),
        Err(error) => Err(Error::statement("add tables to the publication")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_beside_has_a_name_that_postgres_takes() {
        let url = postgres::Url::parse("postgres://u@localhost/shop").unwrap();
        for slot in ["s".to_owned(), "x".repeat(63)] {
            let options = Options::named(url.clone(), slot.clone(), "p".to_owned()).beside();
            assert!(options.check().is_ok() && options.slot != slot, "{}", options.slot);
        }
    }
}
