//! The moment of a snapshot: a transaction that holds it open, and what it sees.

use event::{Horizon, Lsn, TableName};
use postgres::{Client, Url};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

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
        let Seen { name, horizon, lsn } = match &options.publication {
            Some(_) if is_standby(&client).await? => on_standby(&client, &options.url).await?,
            _ => see(&client).await?,
        };
        let (tables, names) = tables::read(&client, &options.selection, &published).await?;
        Ok(Self { name, horizon, lsn, version: server.number.unsigned_abs(), tables, names, client })
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
    name: String,
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
    Ok(Seen { name: row.get(0), horizon, lsn })
}

async fn is_standby(client: &Client) -> Result<bool, Error> {
    let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await;
    Ok(row.map_err(Error::statement("ask whether the source is a standby"))?.get(0))
}

/// Takes it on a standby, which does not know what its primary runs, so that numbers of transactions tell nothing. While it replays
/// nothing, it sees what was committed before the position where it stands, and that alone.
///
/// One message asks for all of it: a standby that stands still must not wait for a client that has died.
async fn on_standby(client: &Client, url: &Url) -> Result<Seen, Error> {
    const SEE: &str = "BEGIN; SELECT pg_wal_replay_pause(); \
        DO $$ BEGIN FOR n IN 1..3000 LOOP \
            EXIT WHEN pg_get_wal_replay_pause_state() = 'paused'; PERFORM pg_sleep(0.01); \
        END LOOP; END $$; \
        SELECT pg_export_snapshot(), pg_last_wal_replay_lsn(), pg_get_wal_replay_pause_state() = 'paused'; ";
    const RESUME: &str = "SELECT pg_wal_replay_resume()";
    const PAUSED: &str = "SELECT pg_is_wal_replay_paused()";
    let was_paused: bool = client.query_one(PAUSED, &[]).await.map_err(right)?.get(0);
    // Of a session whose snapshots come and go, since the first one is from before the pause.
    let other = postgres::connect(url, APPLICATION, &SETTINGS).await?;
    let seen = other.simple_query(&format!("{SEE}{}", if was_paused { "" } else { RESUME })).await;
    let rows = match seen {
        Ok(rows) => rows,
        Err(error) => {
            if !was_paused {
                // What it would have done itself. If it may not, it could not pause it either.
                let _resumed = client.batch_execute(RESUME).await;
            }
            return Err(right(error));
        }
    };
    let mut rows = rows.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) if row.len() == 3 => Some([row.get(0), row.get(1), row.get(2)]),
        _ => None,
    });
    let Some([Some(name), Some(lsn), Some("t")]) = rows.next() else { return Err(Error::Paused) };
    let import = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
        postgres::literal(name)
    );
    client.batch_execute(&import).await.map_err(Error::statement("begin the snapshot"))?;
    let row = client.query_one(EXPORT, &[]).await.map_err(Error::statement("export the snapshot"))?;
    Ok(Seen { name: row.get(0), horizon: Horizon::of_all(), lsn: lsn.parse().unwrap_or_default() })
}

/// An error of a function that only some may call.
fn right(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Error::Standby,
        _ => Error::statement("pause the replay of the standby")(error),
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
