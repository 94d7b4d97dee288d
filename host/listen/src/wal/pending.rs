//! Versions of schemas that the stream has not brought yet, for those who want to know beforehand what they would do.

use std::sync::Arc;

use event::{Relation, SchemaEntry, TableName};
use postgres::Client;

use crate::wal::source::relations;
use crate::wal::{Error, Options, log, publication, server, tracking};

/// What is on its way.
#[derive(Debug)]
pub struct Pending {
    client: Client,
    /// The versions that nobody has acknowledged, in the order in which they were written: that of the stream, but for transactions
    /// that ran at the same time.
    pub entries: Vec<SchemaEntry>,
    /// The published tables as they are now.
    pub relations: Vec<Arc<Relation>>,
}

impl Pending {
    /// As [`Source::dropped`](super::Source::dropped).
    ///
    /// # Errors
    /// A log that cannot be read.
    pub async fn dropped(
        &self,
        missing: Vec<(TableName, Option<String>)>,
    ) -> Result<Vec<(TableName, Option<String>)>, Error> {
        log::dropped(&self.client, &self.relations, missing).await
    }
}

/// Looks for versions that no stream has brought to its end.
///
/// # Errors
/// [`Error::NoSchemaLog`], [`Error::NoPublication`], a server that does not answer.
pub async fn pending(options: &Options) -> Result<Pending, Error> {
    const ENTRIES: &str = "SELECT id::text, version, schema_name, command_tag, statement, part, parts, changes::text, failed \
        FROM pgstream.schema_log WHERE NOT acked AND command_tag <> 'BASE' ORDER BY id";
    let client = server::connect(options).await?;
    let server = server::describe(&client).await?;
    if !tracking::exists(&client).await? {
        return Err(Error::NoSchemaLog);
    }
    let publication = publication::require(&client, options).await?;
    let (relations, _) = relations(&client, &server, &options.publication).await?;
    let rows = client.query(ENTRIES, &[]).await;
    let rows = rows.map_err(Error::statement("read the versions that nobody has acknowledged"))?;
    let mut entries = Vec::new();
    for row in &rows {
        let mut entry = log::entry(row);
        if !publication.all_tables {
            entry.left_out = log::unpublished(&client, &options.publication, &entry.changes).await?;
        }
        entries.push(entry);
    }
    Ok(Pending { client, entries, relations })
}
