//! The progress row: how far the target is, for each source and slot, written in the same transaction as the data.
//!
//! `epoch` keeps two processes apart: who starts takes a new one, and an update that still names an old one finds
//! no row, so its transaction is rolled back.

use ::postgres::{Client, Url, connect};
use buffer::{Budget, Usage};
use checkpoint::Stored;
use event::Lsn;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::{Error, copy};

/// The name that `pg_stat_activity` shows.
pub(super) const APPLICATION: &str = "pgstream";

pub(super) const PROGRESS: &str = "pgstream.progress";

const CREATE: &str = "
CREATE TABLE IF NOT EXISTS pgstream.progress (
    system_id    text NOT NULL,
    slot         text NOT NULL,
    lsn          pg_lsn NOT NULL,
    committed_at timestamptz,
    chain        text NOT NULL,
    epoch        bigint NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    memory       bigint[],
    PRIMARY KEY (system_id, slot)
) WITH (fillfactor = 50);
COMMENT ON TABLE pgstream.progress IS 'how far pgstream has applied each replication slot';";

const READ: &str = "
SELECT system_id, lsn::text, chain, epoch,
       (extract(epoch FROM committed_at) * 1000000)::bigint, (extract(epoch FROM updated_at) * 1000000)::bigint, memory
FROM pgstream.progress WHERE slot = $1
ORDER BY system_id = $2 DESC, updated_at DESC LIMIT 1";

/// A later position is never taken back: what the row says was applied is in the target.
const CLAIM: &str = "
INSERT INTO pgstream.progress AS p (system_id, slot, lsn, chain, epoch)
VALUES ($1, $2, $3::text::pg_lsn, $4, 1)
ON CONFLICT (system_id, slot) DO UPDATE
SET lsn = greatest(p.lsn, EXCLUDED.lsn), chain = EXCLUDED.chain, epoch = p.epoch + 1, updated_at = now()
RETURNING epoch, lsn::text";

/// Moves the row in the open transaction; no row means that another process has taken a new epoch.
const MOVE: &str = "
UPDATE pgstream.progress
SET lsn = greatest(lsn, $4::text::pg_lsn), updated_at = clock_timestamp(), memory = $6,
    committed_at = coalesce('epoch'::timestamptz + $5::bigint * interval '1 microsecond', committed_at)
WHERE system_id = $1 AND slot = $2 AND epoch = $3";

/// A progress row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The cluster that the rows came from.
    pub system_id: String,
    /// Everything before it is in the target.
    pub lsn: Lsn,
    /// Digest of the modifiers that made the rows.
    pub chain: String,
    /// How many times the stream was taken up.
    pub epoch: i64,
    /// Commit time of the last transaction on the source, microseconds since 1970-01-01 UTC.
    pub committed_at: Option<i64>,
    /// When the row was written, likewise.
    pub updated_at: i64,
    /// What the process used then.
    pub usage: Option<Usage>,
}

impl From<Progress> for Stored {
    fn from(progress: Progress) -> Self {
        Self { system_id: progress.system_id, lsn: progress.lsn, chain: progress.chain }
    }
}

/// What [`destroy`] removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// The progress rows of the slot.
    pub row: bool,
    /// The table `pgstream.progress`, which stays when it holds the progress of other streams.
    pub table: bool,
    /// The ledger of the slot's copy.
    pub copy: bool,
    /// The schema `pgstream`, which stays when others have put something into it.
    pub schema: bool,
}

/// Whether the target has a table of ours.
pub(super) async fn exists(client: &Client, table: &str) -> Result<bool, ::postgres::Error> {
    const EXISTS: &str = "SELECT to_regclass($1) IS NOT NULL";
    let row = client.query_one(EXISTS, &[&table]).await;
    let fault = |error| ::postgres::Error::statement(format!("look for {table} on the target"), &error);
    Ok(row.map_err(fault)?.get(0))
}

/// Creates the schema and, with `ddl`, a table of ours and what belongs to it, where they are missing. Two that create
/// at once would fail on each other's catalog rows, hence the lock ("pgstream" in ASCII).
pub(super) async fn create(client: &Client, table: &str, ddl: &str) -> Result<(), ::postgres::Error> {
    if exists(client, table).await? {
        return Ok(());
    }
    let create = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(8099568107204472173); CREATE SCHEMA IF NOT EXISTS pgstream; {ddl} COMMIT;"
    );
    let Err(error) = client.batch_execute(&create).await else { return Ok(()) };
    // A dead connection says so by itself at the next statement.
    let _ = client.batch_execute("ROLLBACK").await;
    Err(::postgres::Error::statement(format!("create schema pgstream and {table} on the target"), &error))
}

/// Creates the table of progress where it is missing.
pub(super) async fn create_progress(client: &Client) -> Result<(), Error> {
    Ok(create(client, PROGRESS, CREATE).await?)
}

/// The row for the slot: that of this system, else the last one of another.
pub(super) async fn read(client: &Client, system_id: &str, slot: &str) -> Result<Option<Progress>, Error> {
    let what = "read pgstream.progress on the target";
    let fault = |error| ::postgres::Error::statement(what, &error);
    let Some(row) = client.query_opt(READ, &[&slot, &system_id]).await.map_err(fault)? else {
        return Ok(None);
    };
    let lsn: String = row.try_get(1).map_err(fault)?;
    Ok(Some(Progress {
        system_id: row.try_get(0).map_err(fault)?,
        lsn: lsn.parse()?,
        chain: row.try_get(2).map_err(fault)?,
        epoch: row.try_get(3).map_err(fault)?,
        committed_at: row.try_get(4).map_err(fault)?,
        updated_at: row.try_get(5).map_err(fault)?,
        usage: row
            .try_get::<_, Option<Vec<Option<i64>>>>(6)
            .map_err(fault)?
            .and_then(|memory| usage(&memory)),
    }))
}

/// Waiting, limit and resident bytes; a column of three, since nobody computes with them in SQL.
fn usage(memory: &[Option<i64>]) -> Option<Usage> {
    let [waiting, limit, resident] = memory else { return None };
    let bytes = |value: &Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Some(Usage { waiting: bytes(waiting)?, limit: bytes(limit)?, resident: bytes(resident) })
}

/// Moves the progress row of a stream that is ours.
#[derive(Debug)]
pub(super) struct Mover {
    system_id: String,
    slot: String,
    pub(super) epoch: i64,
    statement: Statement,
    budget: Option<Budget>,
}

impl Mover {
    /// Takes a new epoch; with the mover comes the position from which to apply.
    pub(super) async fn claim(
        client: &Client,
        system_id: &str,
        slot: &str,
        lsn: Lsn,
        chain: &str,
        budget: Option<Budget>,
    ) -> Result<(Self, Lsn), Error> {
        let fault = |error| ::postgres::Error::statement("write pgstream.progress on the target", &error);
        let row =
            client.query_one(CLAIM, &[&system_id, &slot, &lsn.to_string(), &chain]).await.map_err(fault)?;
        let stored: String = row.try_get(1).map_err(fault)?;
        let mover = Self {
            system_id: system_id.to_owned(),
            slot: slot.to_owned(),
            epoch: row.try_get(0).map_err(fault)?,
            statement: client.prepare(MOVE).await.map_err(fault)?,
            budget,
        };
        Ok((mover, stored.parse()?))
    }

    /// Moves the row, in the transaction that is open; the answer is 1 if the stream is still ours.
    pub(super) async fn advance(
        &self,
        client: &Client,
        lsn: Lsn,
        committed_at: Option<i64>,
    ) -> Result<u64, tokio_postgres::Error> {
        let lsn = lsn.to_string();
        let usage = self.budget.as_ref().map(Budget::usage);
        let signed = |bytes: u64| i64::try_from(bytes).ok();
        let memory =
            usage.map(|usage| [signed(usage.waiting), signed(usage.limit), usage.resident.and_then(signed)]);
        let memory = memory.as_ref().map(<[_; 3]>::as_slice);
        let arguments: [&(dyn ToSql + Sync); 6] =
            [&self.system_id, &self.slot, &self.epoch, &lsn, &committed_at, &memory];
        client.execute(&self.statement, &arguments).await
    }

    /// The error for an answer that is not 1.
    pub(super) fn fenced(&self) -> Error {
        Error::Fenced { slot: self.slot.clone() }
    }
}

/// The progress row that a target holds for a slot, without taking part in the stream.
///
/// # Errors
/// A target that cannot be reached or read.
pub async fn status(url: &Url, system_id: &str, slot: &str) -> Result<Option<Progress>, Error> {
    of(&connect(url, APPLICATION, &[]).await?, system_id, slot).await
}

/// As [`status`], with a session that is there.
pub(super) async fn of(client: &Client, system_id: &str, slot: &str) -> Result<Option<Progress>, Error> {
    if !exists(client, PROGRESS).await? {
        return Ok(None);
    }
    read(client, system_id, slot).await
}

/// Removes what the sink has put into a target for the slot besides the data; the last one takes table and schema
/// away.
///
/// # Errors
/// A target that cannot be reached, or a role that may not remove it.
pub async fn destroy(url: &Url, slot: &str) -> Result<Destroyed, Error> {
    let client = connect(url, APPLICATION, &[]).await?;
    let had = exists(&client, PROGRESS).await?;
    let row = forget(&client, PROGRESS, slot).await?;
    let table = had && !exists(&client, PROGRESS).await?;
    let mut copy = false;
    copy::drop_asides(&client, slot).await?;
    for ledger in copy::LEDGER {
        copy |= forget(&client, ledger, slot).await?;
    }
    let schema = match client.batch_execute("DROP SCHEMA pgstream").await {
        Ok(()) => true,
        // 2BP01: not empty. 3F000: not there. 42501: somebody else's, not ours to drop.
        Err(error) if matches!(error.code().map(|code| code.code()), Some("2BP01" | "3F000" | "42501")) => {
            false
        }
        Err(error) => {
            return Err(::postgres::Error::statement("drop schema pgstream on the target", &error).into());
        }
    };
    Ok(Destroyed { row, table, copy, schema })
}

/// Removes the rows of a slot from a table of ours, and the table with the last one. True if there were some.
async fn forget(client: &Client, table: &str, slot: &str) -> Result<bool, ::postgres::Error> {
    if !exists(client, table).await? {
        return Ok(false);
    }
    let fault = |error| ::postgres::Error::statement(format!("remove rows of {table} on the target"), &error);
    // A copy that no stream follows is that of no slot.
    let removed = client
        .execute(&format!("DELETE FROM {table} WHERE slot IN ($1, '')"), &[&slot])
        .await
        .map_err(fault)?;
    // One statement, so that a stream which begins meanwhile keeps its row.
    let empty = format!(
        "LOCK TABLE {table}; DO $$ BEGIN IF NOT EXISTS (SELECT FROM {table}) THEN DROP TABLE {table}; END IF; END $$"
    );
    let fault = |error| ::postgres::Error::statement(format!("drop {table} on the target"), &error);
    client.batch_execute(&empty).await.map_err(fault)?;
    Ok(removed > 0)
}
