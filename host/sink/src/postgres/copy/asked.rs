//! Tables that are copied while the stream goes on: who asked for it, and how they come back into the stream.
//!
//! An entry that waits in the stream's ledger is left out by the stream. The copy has a ledger and a progress row of its
//! own, under the name of its slot. When it has arrived where the stream stands still, one transaction makes the entry
//! `done` as of that position, unless the stream has changed the table since the copy began: then its epoch is another.

use std::collections::HashSet;

use ::postgres::{Client, Url, connect, table as quoted};
use event::{Horizon, Lsn, TableName};

use super::ledger::{CREATE, Phase, SNAPSHOTS, State, entries, whole};
use super::{Error, LEDGER, target};
use crate::postgres::progress::{self, APPLICATION};

/// A table that waits for its copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its oid on the source.
    pub oid: u32,
    /// Its name when it was asked for.
    pub table: TableName,
    /// Changes with each change of the table's schema, and when it is asked for again.
    pub epoch: i64,
    /// The target did not have it when it was asked for, and has not got it since.
    pub is_missing: bool,
}

const NOTE: &str = "note that a table is to be copied";
const READ: &str = "read which tables are to be copied";

async fn open(url: &Url) -> Result<Client, Error> {
    let client = connect(url, APPLICATION, &[("idle_session_timeout", "0")]).await?;
    create(&client).await?;
    Ok(client)
}

/// Makes the ledger where it is missing.
pub(in crate::postgres) async fn create(client: &Client) -> Result<(), ::postgres::Error> {
    progress::create(client, SNAPSHOTS, CREATE).await
}

/// Notes that tables are to be copied beside the stream of a slot. What they have on the target will go. Of those that are
/// `missing` there, what the source does to their schema is not the stream's before they are made.
///
/// # Errors
/// A target that cannot be reached or written, and [`Error::Initial`].
pub async fn ask(
    url: &Url,
    system_id: &str,
    slot: &str,
    tables: &[(u32, TableName)],
    missing: &[TableName],
) -> Result<(), Error> {
    let client = open(url).await?;
    if whole(&client, system_id, slot).await?.is_some_and(|whole| whole.phase != Phase::Done) {
        return Err(Error::Initial { slot: slot.to_owned() });
    }
    let (missing, there): (Vec<_>, Vec<_>) =
        tables.iter().cloned().partition(|(_, table)| missing.contains(table));
    ask_as_of(&client, system_id, slot, &missing, Lsn::MAX).await?;
    Ok(ask_within(&client, system_id, slot, &there).await?)
}

/// As [`ask`], in the transaction that is open.
pub(in crate::postgres) async fn ask_within(
    client: &Client,
    system_id: &str,
    slot: &str,
    tables: &[(u32, TableName)],
) -> Result<(), ::postgres::Error> {
    ask_as_of(client, system_id, slot, tables, Lsn::ZERO).await
}

async fn ask_as_of(
    client: &Client,
    system_id: &str,
    slot: &str,
    tables: &[(u32, TableName)],
    made_at: Lsn,
) -> Result<(), ::postgres::Error> {
    const ASK: &str = "INSERT INTO pgstream.snapshot_tables AS t \
            (system_id, slot, oid, schema_name, table_name, state, horizon, lsn, epoch, ours, ranges, total_bytes) \
        VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7::text::pg_lsn, 1, true, 0, 0) \
        ON CONFLICT (system_id, slot, oid) DO UPDATE SET schema_name = EXCLUDED.schema_name, \
            table_name = EXCLUDED.table_name, state = 'waiting', horizon = EXCLUDED.horizon, lsn = EXCLUDED.lsn, \
            epoch = t.epoch + 1, ours = true, ranges_done = 0, \
            paused = false, rows = 0, bytes = 0, reason = NULL, ended_at = NULL";
    let (horizon, lsn) = (Horizon::of_all().to_string(), made_at.to_string());
    for (oid, TableName { schema, name }) in tables {
        let asked = client.execute(ASK, &[&system_id, &slot, oid, schema, name, &horizon, &lsn]).await;
        asked.map_err(|error| ::postgres::Error::statement(NOTE, &error))?;
    }
    Ok(())
}

/// Has tables wait no longer: they stay out of the stream until they are asked for again. How many of them waited.
///
/// # Errors
/// A target that cannot be reached or written.
pub async fn give_up(
    url: &Url,
    system_id: &str,
    slot: &str,
    oids: &[u32],
    reason: &str,
) -> Result<u64, Error> {
    const GIVE_UP: &str = "UPDATE pgstream.snapshot_tables SET state = 'failed', reason = $4, epoch = epoch + 1, paused = false, \
            ended_at = now() \
        WHERE system_id = $1 AND slot = $2 AND oid = ANY ($3) AND state = 'waiting'";
    let given_up = open(url).await?.execute(GIVE_UP, &[&system_id, &slot, &oids, &reason]).await;
    given_up.map_err(Error::statement(NOTE))
}

/// Has the copies of tables wait, or go on. The oids of those that are still to be copied, or are being copied.
///
/// # Errors
/// A target that cannot be reached or written.
pub async fn pause(
    url: &Url,
    system_id: &str,
    slot: &str,
    oids: &[u32],
    paused: bool,
) -> Result<Vec<u32>, Error> {
    const PAUSE: &str = "UPDATE pgstream.snapshot_tables SET paused = $4 \
        WHERE system_id = $1 AND slot = $2 AND oid = ANY ($3) AND state IN ('waiting', 'copying') RETURNING oid";
    let rows = open(url).await?.query(PAUSE, &[&system_id, &slot, &oids, &paused]).await;
    Ok(rows.map_err(Error::statement(NOTE))?.iter().map(|row| row.get(0)).collect())
}

/// Which of these tables the target lacks, and which of them have rows.
///
/// # Errors
/// A target that cannot be reached or read.
pub async fn look(url: &Url, tables: &[TableName]) -> Result<(Vec<TableName>, Vec<TableName>), Error> {
    let client = connect(url, APPLICATION, &[]).await?;
    let missing = missing(&client, tables).await?;
    let mut full = Vec::new();
    for table in tables.iter().filter(|table| !missing.contains(table)) {
        if target::has_rows(&client, table).await? {
            full.push(table.clone());
        }
    }
    Ok((missing, full))
}

/// The tables of the target.
///
/// # Errors
/// A target that does not answer.
pub async fn tables(client: &Client) -> Result<HashSet<TableName>, Error> {
    const TABLES: &str = "SELECT n.nspname::text, c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384";
    let rows = client.query(TABLES, &[]).await.map_err(Error::statement("list the tables of the target"))?;
    Ok(rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}

/// Which of these tables the target lacks.
///
/// # Errors
/// A target that does not answer.
pub async fn missing(client: &Client, tables: &[TableName]) -> Result<Vec<TableName>, Error> {
    const THERE: &str = "SELECT to_regclass($1) IS NOT NULL";
    let mut missing = Vec::new();
    for table in tables {
        let there = client.query_one(THERE, &[&quoted(table)]).await;
        if !there.map_err(Error::statement("look for a table of the target"))?.get::<_, bool>(0) {
            missing.push(table.clone());
        }
    }
    Ok(missing)
}

/// The stream's ledger learns that tables were made as of a moment, in the transaction that makes them: what changed their
/// schema before is not to be done to them again.
///
/// # Errors
/// A target that does not answer.
pub async fn made(
    client: &Client,
    system_id: &str,
    slot: &str,
    oids: &[u32],
    (horizon, lsn): (&Horizon, Lsn),
) -> Result<(), Error> {
    const MADE: &str = "UPDATE pgstream.snapshot_tables SET horizon = $4, lsn = $5::text::pg_lsn \
        WHERE system_id = $1 AND slot = $2 AND oid = ANY ($3) AND state = 'waiting'";
    let (horizon, lsn) = (horizon.to_string(), lsn.to_string());
    let made = client.execute(MADE, &[&system_id, &slot, &oids, &horizon, &lsn]).await;
    made.map(|_| ()).map_err(Error::statement(NOTE))
}

/// The streams' states of tables in a slot's ledger, by oid.
///
/// # Errors
/// A target that cannot be reached or written.
pub async fn states(url: &Url, system_id: &str, slot: &str) -> Result<Vec<(u32, State)>, Error> {
    let client = open(url).await?;
    let entries = entries(&client, system_id, slot).await?;
    Ok(entries.into_iter().map(|entry| (entry.oid, entry.state)).collect())
}

/// A session that looks after such tables of a slot's stream.
#[derive(Debug)]
pub struct Asked {
    client: Client,
    system_id: String,
    slot: String,
    /// The ledger is there: who asks makes it.
    is_there: bool,
}

impl Asked {
    /// Opens the session.
    ///
    /// # Errors
    /// A target that cannot be reached.
    pub async fn open(url: &Url, system_id: &str, slot: &str) -> Result<Self, Error> {
        let client = connect(url, APPLICATION, &[("idle_session_timeout", "0")]).await?;
        Ok(Self { client, system_id: system_id.to_owned(), slot: slot.to_owned(), is_there: false })
    }

    /// The tables that wait for a copy, and for nothing else.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn waiting(&mut self) -> Result<Vec<Wanted>, Error> {
        self.is_there = self.is_there || progress::exists(&self.client, SNAPSHOTS).await?;
        if !self.is_there {
            return Ok(Vec::new());
        }
        const WAITING: &str = "SELECT oid, schema_name, table_name, epoch, lsn = 'FFFFFFFF/FFFFFFFF' FROM pgstream.snapshot_tables \
            WHERE system_id = $1 AND slot = $2 AND state = 'waiting' AND NOT paused ORDER BY oid";
        let rows = self.client.query(WAITING, &[&self.system_id, &self.slot]).await;
        let wanted = |row: &tokio_postgres::Row| Wanted {
            oid: row.get(0),
            table: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            epoch: row.get(3),
            is_missing: row.get(4),
        };
        Ok(rows.map_err(Error::statement(READ))?.iter().map(wanted).collect())
    }

    /// Has others wait in the place of tables.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn replace(&self, by: &[(u32, (u32, TableName))]) -> Result<(), Error> {
        const GONE: &str = "DELETE FROM pgstream.snapshot_tables \
            WHERE system_id = $1 AND slot = $2 AND oid = ANY ($3) AND state = 'waiting'";
        let Self { client, system_id, slot, .. } = self;
        let mut others: Vec<(u32, TableName)> = by.iter().map(|(_, other)| other.clone()).collect();
        others.sort_by_key(|(oid, _)| *oid);
        others.dedup();
        ask_within(client, system_id, slot, &others).await?;
        let oids: Vec<u32> = by.iter().map(|(oid, _)| *oid).collect();
        let gone = client.execute(GONE, &[system_id, slot, &oids]).await;
        gone.map(|_| ()).map_err(Error::statement(NOTE))
    }

    /// Up to where the target has what a slot's stream brought.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn applied(&self, slot: &str) -> Result<Lsn, Error> {
        let progress = progress::of(&self.client, &self.system_id, slot).await?;
        Ok(progress.map(|progress| progress.lsn).unwrap_or_default())
    }

    /// Whether the rows of the slot's stream are made by the modifiers of that digest.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn is_made_by(&self, chain: &str) -> Result<bool, Error> {
        let progress = progress::of(&self.client, &self.system_id, &self.slot).await?;
        Ok(progress.is_none_or(|progress| progress.chain == chain))
    }

    /// A table could not be copied, or is gone; nothing if it was asked for again since.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn settle(&self, wanted: &Wanted, state: State, reason: Option<&str>) -> Result<(), Error> {
        const SETTLE: &str = "UPDATE pgstream.snapshot_tables SET state = $5, reason = $6, ended_at = now() \
            WHERE system_id = $1 AND slot = $2 AND oid = $3 AND epoch = $4 AND state = 'waiting'";
        let Self { client, system_id, slot, .. } = self;
        let (oid, epoch, word) = (wanted.oid, wanted.epoch, state.word());
        let settled = client.execute(SETTLE, &[system_id, slot, &oid, &epoch, &word, &reason]).await;
        settled.map(|_| ()).map_err(Error::statement(NOTE))
    }

    /// From `lsn` on these tables are the stream's again: the copy under the name `beside` has all that was committed before
    /// it, and nothing else. The answer are those that are what they were when the copy began; nothing is done for others.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn hand_over(&self, tables: &[Wanted], beside: &str, lsn: Lsn) -> Result<Vec<u32>, Error> {
        const HAND_OVER: &str = "UPDATE pgstream.snapshot_tables AS t \
            SET state = 'done', horizon = $6, lsn = $7::text::pg_lsn, ended_at = now(), \
                schema_name = c.schema_name, table_name = c.table_name, rows = c.rows, bytes = c.bytes, \
                total_bytes = c.total_bytes \
            FROM unnest($3::oid[], $4::int8[]) AS w (oid, epoch), pgstream.snapshot_tables AS c \
            WHERE t.system_id = $1 AND t.slot = $2 AND t.oid = w.oid AND t.epoch = w.epoch AND t.state = 'waiting' \
              AND c.system_id = $1 AND c.slot = $5 AND c.oid = w.oid AND c.state = 'done' RETURNING t.oid";
        let Self { client, system_id, slot, .. } = self;
        let oids: Vec<u32> = tables.iter().map(|wanted| wanted.oid).collect();
        let epochs: Vec<i64> = tables.iter().map(|wanted| wanted.epoch).collect();
        let (horizon, at) = (Horizon::of_all().to_string(), lsn.to_string());
        fault::here!("tables-handing-over");
        let rows = client.query(HAND_OVER, &[system_id, slot, &oids, &epochs, &beside, &horizon, &at]).await;
        let rows = rows.map_err(Error::statement("hand tables over to the stream"))?;
        fault::here!("tables-handed-over");
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Removes what a copy has left on the target beside rows.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn forget(&self, beside: &str) -> Result<(), Error> {
        for table in LEDGER.into_iter().chain([progress::PROGRESS]) {
            let sql = format!("DELETE FROM {table} WHERE system_id = $1 AND slot = $2");
            let gone = self.client.execute(&sql, &[&self.system_id, &beside]).await;
            gone.map_err(Error::statement("forget the copy of single tables"))?;
        }
        Ok(())
    }
}

/// Has the copies of these tables begin anew, in the transaction that changes their schema: what they bring may have
/// been read before the change.
pub(in crate::postgres) async fn begin_anew(
    client: &Client,
    system_id: &str,
    slot: &str,
    oids: &[u32],
) -> Result<(), ::postgres::Error> {
    const ANEW: &str = "UPDATE pgstream.snapshot_tables SET epoch = epoch + 1 \
        WHERE system_id = $1 AND slot = $2 AND oid = ANY ($3) AND state = 'waiting'";
    let anew = client.execute(ANEW, &[&system_id, &slot, &oids]).await;
    anew.map(|_| ()).map_err(|error| ::postgres::Error::statement("have a table's copy begin anew", &error))
}
