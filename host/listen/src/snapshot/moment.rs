//! The moment of a snapshot: a transaction that holds it open, and what it sees.

use event::{Horizon, Lsn, TableName};
use postgres::{Client, Url};

use super::{Error, Selection, Sequence, Table, sequences, tables};
use crate::wal::{catalog, server};

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
        let server = server::describe(&client).await?;
        let published = match &options.publication {
            Some(publication) => catalog::published(&client, &server, publication).await?,
            None => Vec::new(),
        };
        let published: Vec<u32> = published.into_iter().map(|(oid, _)| oid).collect();
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(Error::statement("begin the snapshot"))?;
        const EXPORT: &str = "SELECT pg_export_snapshot()";
        let row = client.query_one(EXPORT, &[]).await.map_err(Error::statement("export the snapshot"))?;
        let horizon = catalog::horizon(&client).await?;
        // After it was taken: what it sees was committed before. Where commits are asynchronous that is in the log, and
        // not yet written.
        const WRITTEN: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text, pg_is_in_recovery()";
        let written =
            client.query_one(WRITTEN, &[]).await.map_err(Error::statement("read the end of the log"))?;
        if options.publication.is_some() && written.get::<_, bool>(1) {
            return Err(Error::Standby);
        }
        let (tables, names) = tables::read(&client, &options.selection, &published).await?;
        Ok(Self {
            name: row.get(0),
            horizon,
            lsn: written.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or_default(),
            version: server.number.unsigned_abs(),
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

    /// How many bytes of log the source keeps for a slot now.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn wal_kept(&self, slot: &str) -> Result<u64, Error> {
        const KEPT: &str = "SELECT coalesce(max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
            ELSE pg_current_wal_lsn() END, restart_lsn)), 0)::int8 FROM pg_replication_slots WHERE slot_name = $1";
        let row = self.client.query_one(KEPT, &[&slot]).await;
        let kept: i64 = row.map_err(Error::statement("look how much log the source keeps"))?.get(0);
        Ok(u64::try_from(kept).unwrap_or_default())
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
