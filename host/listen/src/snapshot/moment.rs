//! The moment of a snapshot: a transaction that holds it open, and what it sees.

use event::{Horizon, Lsn, ParseHorizonError, TableName};
use postgres::{Client, Url};

use super::{Error, Selection, Sequence, Table, sequences, tables};

/// What `pg_stat_activity` shows.
pub(super) const APPLICATION: &str = "pgstream snapshot";

/// A snapshot may be held for hours, whatever the server's settings are.
pub(super) const SETTINGS: [(&str, &str); 3] =
    [("statement_timeout", "0"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];

/// What is read, and from where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source.
    pub url: Url,
    /// Which tables.
    pub selection: Selection,
    /// The publication of the stream that follows; it says what counts as one table. `None`: a root with all its partitions.
    pub publication: Option<String>,
}

/// A moment that is held open. Dropping it lets go.
#[derive(Debug)]
pub struct Moment {
    client: Client,
    /// By this name another session, or another program, sees the same.
    pub name: String,
    /// The transactions that it sees.
    pub horizon: Horizon,
    /// All of those were committed before it.
    pub lsn: Lsn,
    /// `server_version_num` of the source.
    pub version: u32,
    /// The wanted tables, the largest first.
    pub tables: Vec<Table>,
    /// Every table that there is.
    pub names: Vec<TableName>,
}

impl Moment {
    /// Takes a snapshot and lists what is in it.
    ///
    /// # Errors
    /// A source that cannot be reached or read, and tables that are named and not there.
    pub async fn take(options: &Options) -> Result<Self, Error> {
        let client = postgres::connect(&options.url, APPLICATION, &SETTINGS).await?;
        // The published tables as they are now: one that changes its place meanwhile is found when it is read.
        let published = match &options.publication {
            Some(publication) => published(&client, publication).await?,
            None => Vec::new(),
        };
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(Error::statement("begin the snapshot"))?;
        const TAKE: &str = "SELECT pg_export_snapshot(), pg_current_snapshot()::text, current_setting('server_version_num')::int4";
        let row = client.query_one(TAKE, &[]).await.map_err(Error::statement("export the snapshot"))?;
        let horizon: String = row.get(1);
        // After it was taken: what it sees was committed before.
        const WRITTEN: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text";
        let written =
            client.query_one(WRITTEN, &[]).await.map_err(Error::statement("read the end of the log"))?;
        let horizon: Horizon =
            horizon.parse().map_err(|error: ParseHorizonError| Error::Lost { reason: error.to_string() })?;
        let (tables, names) = tables::read(&client, &options.selection, &published).await?;
        Ok(Self {
            name: row.get(0),
            horizon,
            lsn: written.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or_default(),
            version: row.get::<_, i32>(2).unsigned_abs(),
            tables,
            names,
            client,
        })
    }

    /// Whether the source has a table of that oid now.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn is_there(&self, oid: u32) -> Result<bool, Error> {
        // What the function says is as of now, whatever the snapshot sees.
        const THERE: &str = "SELECT pg_table_is_visible($1) IS NOT NULL";
        let row = self.client.query_one(THERE, &[&oid]).await;
        Ok(row.map_err(Error::statement("look for a table of the source"))?.get(0))
    }

    /// The sequences as they are now: they are in no snapshot.
    ///
    /// # Errors
    /// A lost connection, or a sequence that may not be read.
    pub async fn sequences(&self) -> Result<Vec<Sequence>, Error> {
        sequences::read(&self.client).await
    }
}

/// The identifier of the source's cluster.
///
/// # Errors
/// A source that cannot be reached.
pub async fn system_id(url: &Url) -> Result<String, Error> {
    const ID: &str = "SELECT system_identifier::text FROM pg_control_system()";
    let client = postgres::connect(url, APPLICATION, &[]).await?;
    let row =
        client.query_one(ID, &[]).await.map_err(Error::statement("read the source's system identifier"))?;
    Ok(row.get(0))
}

/// The oids of the tables that a publication names: a root where it sends changes as the root's.
async fn published(client: &Client, publication: &str) -> Result<Vec<u32>, Error> {
    const PUBLISHED: &str = "SELECT c.oid FROM pg_publication_tables AS p \
        JOIN pg_namespace AS n ON n.nspname = p.schemaname \
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = $1::text";
    let fault = Error::statement("read the tables of the publication");
    let rows = client.query(PUBLISHED, &[&publication]).await.map_err(fault)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
