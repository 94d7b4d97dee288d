//! The moment of a snapshot: a transaction that holds it open, and what it sees.

use std::sync::Mutex;

use event::{Horizon, Lsn, TableName};
use postgres::{Client, CopyOut, Url};

use super::{Error, Reader, Selection, Sequence, Table, sequences, standing, tables};
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
    /// How many will read at the same time.
    pub readers: usize,
}

/// A moment that is held open. Dropping it lets go.
#[derive(Debug)]
pub struct Moment {
    client: Client,
    /// By this name another session, or another program, sees the same; none on a standby.
    pub name: Option<String>,
    url: Url,
    /// On a standby: sessions that see it.
    standing: Mutex<Vec<CopyOut>>,
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
        let Seen { name, horizon, lsn, readers } = if standing::is_standby(&client).await? {
            on_standby(&client, options).await?
        } else {
            see(&client).await?
        };
        let (tables, names) = tables::read(&client, &options.selection, &published).await?;
        Ok(Self {
            name,
            url: options.url.clone(),
            standing: Mutex::new(readers),
            horizon,
            lsn,
            version: server.number.unsigned_abs(),
            tables,
            names,
            client,
        })
    }

    /// A session that reads what the moment sees.
    ///
    /// # Errors
    /// A source that cannot be reached.
    pub async fn reader(&self) -> Result<Reader, Error> {
        match &self.name {
            Some(name) => Reader::connect(&self.url, name).await,
            None => {
                let session = self.standing.lock().ok().and_then(|mut standing| standing.pop());
                let none = || Error::Lost { reason: "no session is left that sees it".to_owned() };
                Ok(Reader::standing(self.url.clone(), session.ok_or_else(none)?))
            }
        }
    }

    /// How many can read at the same time, of so many.
    #[must_use]
    pub fn readers(&self, wanted: usize) -> usize {
        match self.name {
            Some(_) => wanted,
            None => wanted.min(self.standing.lock().map_or(0, |standing| standing.len())),
        }
    }

    /// Whether the schema log has nothing that the moment does not see: then a program that cannot share the moment has
    /// described what it sees. True where there is no log to tell.
    ///
    /// # Errors
    /// A source that cannot be reached.
    pub async fn is_latest_schema(&self) -> Result<bool, Error> {
        const LOG: &str = "SELECT to_regclass('pgstream.schema_log') IS NOT NULL";
        const LAST: &str = "SELECT coalesce(max(version), 0) FROM pgstream.schema_log";
        let fault = |error| Error::statement("look for changes of the schema")(error);
        if !self.client.query_one(LOG, &[]).await.map_err(fault)?.get::<_, bool>(0) {
            return Ok(true);
        }
        let now = postgres::connect(&self.url, APPLICATION, &SETTINGS).await?;
        let last = |row: tokio_postgres::Row| row.get::<_, i64>(0);
        let then = self.client.query_one(LAST, &[]).await.map(last).map_err(fault)?;
        Ok(now.query_one(LAST, &[]).await.map(last).map_err(fault)? == then)
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

/// A snapshot, and what it sees.
struct Seen {
    name: Option<String>,
    readers: Vec<CopyOut>,
    horizon: Horizon,
    lsn: Lsn,
}

const EXPORT: &str = "SELECT pg_export_snapshot()";

/// Takes the snapshot.
async fn see(client: &Client) -> Result<Seen, Error> {
    // After it was taken: what it sees was committed before. Where commits are asynchronous that is in the log, and not yet
    // written.
    const WRITTEN: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text";
    let begun = client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    begun.map_err(Error::statement("begin the snapshot"))?;
    let row = client.query_one(EXPORT, &[]).await.map_err(Error::statement("export the snapshot"))?;
    let horizon = catalog::horizon(client).await?;
    let written =
        client.query_one(WRITTEN, &[]).await.map_err(Error::statement("read the end of the log"))?;
    let lsn = written.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Seen { name: row.get(0), readers: Vec::new(), horizon, lsn })
}

/// Takes it on a standby. A copy that no stream follows need not know as of when it is: one reader sees the same all the time.
async fn on_standby(client: &Client, options: &Options) -> Result<Seen, Error> {
    let (horizon, lsn, readers) = match standing::begin(client, &options.url, options.readers).await {
        Ok((lsn, readers)) => (Horizon::of_all(), lsn, readers),
        Err(Error::Standby) if options.publication.is_none() => {
            if options.readers > 1 {
                tracing::warn!(
                    "one reader only: this role may not pause the standby, so that several see the same"
                );
            }
            let session = CopyOut::connect(&options.url, APPLICATION, &SETTINGS).await;
            let mut session = session.map_err(|failure| Error::reading(&TableName::new("", ""), failure))?;
            let begun = session.row("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1").await;
            begun.map_err(|failure| Error::reading(&TableName::new("", ""), failure))?;
            let Seen { horizon, lsn, .. } = see(client).await?;
            (horizon, lsn, vec![session])
        }
        Err(error) => return Err(error),
    };
    Ok(Seen { name: None, readers, horizon, lsn })
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
