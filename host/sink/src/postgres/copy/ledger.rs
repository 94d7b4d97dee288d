//! The ledger of a snapshot, on the target: which tables, how far each is, as of which moment of the source.
//!
//! `epoch` keeps two processes apart, as in the progress row: who begins takes a new one, and a range that was written
//! under an old one finds no row, so its transaction is rolled back.

use ::postgres::{Client, Url, connect};
use event::{Horizon, Lsn, TableName};

use super::{Error, aside};
use crate::postgres::progress::{self, APPLICATION};

pub(super) const SNAPSHOTS: &str = "pgstream.snapshots";
/// The tables of the ledger.
pub(in crate::postgres) const LEDGER: [&str; 2] = [SNAPSHOTS, "pgstream.snapshot_tables"];

pub(super) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS pgstream.snapshots (
    system_id text NOT NULL,
    slot      text NOT NULL,
    phase     text NOT NULL CHECK (phase IN ('rows', 'finish', 'done')),
    horizon   text NOT NULL,
    lsn       pg_lsn NOT NULL,
    chain     text NOT NULL,
    archive   bytea,
    kept_back text[],
    all_ours  boolean,
    fresh     boolean NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz,
    PRIMARY KEY (system_id, slot));
CREATE TABLE IF NOT EXISTS pgstream.snapshot_tables (
    system_id   text NOT NULL,
    slot        text NOT NULL,
    oid         oid NOT NULL,
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    state       text NOT NULL CHECK (state IN ('waiting', 'copying', 'done', 'failed', 'gone')),
    horizon     text NOT NULL,
    lsn         pg_lsn NOT NULL,
    epoch       bigint NOT NULL,
    ours        boolean NOT NULL,
    ranges      bigint NOT NULL,
    ranges_done bigint NOT NULL DEFAULT 0,
    rows        bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    total_bytes bigint NOT NULL,
    paused      boolean NOT NULL DEFAULT false,
    reason      text,
    ended_at    timestamptz,
    PRIMARY KEY (system_id, slot, oid)) WITH (fillfactor = 50);
COMMENT ON TABLE pgstream.snapshots IS 'initial copies that pgstream makes or has made';
COMMENT ON TABLE pgstream.snapshot_tables IS 'how far pgstream has copied each table, and as of which moment of the source';";

/// Where a snapshot is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The tables are there; rows are being copied.
    Rows,
    /// All rows are there; indexes and constraints come.
    Finish,
    /// All is there.
    Done,
}

impl Phase {
    /// As the ledger has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Finish => "finish",
            Self::Done => "done",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Rows, Self::Finish, Self::Done].into_iter().find(|phase| phase.word() == word)
    }
}

/// The schema that a snapshot made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// What pg_dump wrote.
    pub bytes: Vec<u8>,
    /// Tables in it that were not made.
    pub kept_back: Vec<TableName>,
    /// The target had nothing of what is in it.
    pub all_ours: bool,
}

/// A snapshot as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Where it is.
    pub phase: Phase,
    /// The schema is as these transactions left it.
    pub horizon: Horizon,
    /// All of those were committed before it.
    pub lsn: Lsn,
    /// Digest of the modifiers that make the rows.
    pub chain: String,
    /// No stream had written to the target before: what the schema was is nobody's business any more.
    pub fresh: bool,
    /// The schema was copied too.
    pub with_schema: bool,
}

/// Where a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is there.
    Waiting,
    /// A part of its ranges is there.
    Copying,
    /// All of it is there.
    Done,
    /// It could not be copied.
    Failed,
    /// The source dropped it meanwhile.
    Gone,
}

impl State {
    /// As the ledger has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Copying => "copying",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Copying, Self::Done, Self::Failed, Self::Gone]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// A table in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its oid on the source.
    pub oid: u32,
    /// Its name.
    pub table: TableName,
    /// Where it is.
    pub state: State,
    /// Its rows are as these transactions left them.
    pub horizon: Horizon,
    /// All of those were committed before it.
    pub lsn: Lsn,
    /// Every row that the target has of it was copied by us.
    pub ours: bool,
    /// How many rows are there.
    pub rows: u64,
    /// How many bytes were copied.
    pub bytes: u64,
    /// About how many there are to copy.
    pub total_bytes: u64,
    /// Somebody wants its copy to wait.
    pub paused: bool,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What people want of a table now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its oid on the source.
    pub oid: u32,
    /// As in [`super::Wanted`]: another one, and what is copied now is of no use any more.
    pub epoch: i64,
    /// Its copy is to wait.
    pub paused: bool,
}

/// The ledger of one slot's snapshot. While it is open, no other process copies.
#[derive(Debug)]
pub struct Ledger {
    client: Client,
    pub(super) system_id: String,
    pub(super) slot: String,
    pub(super) epoch: i64,
}

impl Ledger {
    /// Opens it, and makes it where it is missing. `slot` is empty for a snapshot without a stream.
    ///
    /// # Errors
    /// A target that cannot be reached or lacks rights, and [`Error::Busy`].
    pub async fn open(url: &Url, system_id: &str, slot: &str) -> Result<Self, Error> {
        let client = connect(url, APPLICATION, &[("idle_session_timeout", "0")]).await?;
        progress::create(&client, SNAPSHOTS, CREATE).await?;
        const LOCK: &str =
            "SELECT pg_try_advisory_lock(hashtextextended('pgstream snapshot ' || $1 || ' ' || $2, 0))";
        let lock = client.query_one(LOCK, &[&system_id, &slot]).await;
        if !lock.map_err(Error::statement("lock the ledger of snapshots"))?.get::<_, bool>(0) {
            return Err(Error::Busy { slot: slot.to_owned() });
        }
        let ledger = Self { client, system_id: system_id.to_owned(), slot: slot.to_owned(), epoch: 0 };
        // Of a copy that did not end, whatever became of its tables or of the ledger since.
        ledger.drop_asides().await?;
        const EPOCH: &str = "SELECT coalesce(max(epoch), 0) + 1 FROM pgstream.snapshot_tables WHERE system_id = $1 AND slot = $2";
        let epoch = ledger.client.query_one(EPOCH, &[&system_id, &slot]).await;
        let epoch = epoch.map_err(Error::statement("read the ledger of snapshots"))?.get(0);
        Ok(Self { epoch, ..ledger })
    }

    /// Drops the tables aside that are left: what was not taken over is copied again.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn drop_asides(&self) -> Result<(), Error> {
        Ok(aside::drop_all(&self.client, &self.system_id, &self.slot).await?)
    }

    /// Whether no stream of the slot has written to the target.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn is_fresh(&self) -> Result<bool, Error> {
        Ok(progress::of(&self.client, &self.system_id, &self.slot).await?.is_none())
    }

    /// The snapshot as a whole; `None` if it has not begun.
    ///
    /// # Errors
    /// A target that does not answer, and [`Error::Ledger`].
    pub async fn whole(&self) -> Result<Option<Whole>, Error> {
        whole(&self.client, &self.system_id, &self.slot).await
    }

    /// The tables are there, as of a moment; now come the rows. `archive` holds what is made after them.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn begin(&self, whole: &Whole, archive: Option<&Archive>) -> Result<(), Error> {
        // Not what was asked for beside the stream, which has no moment yet.
        const FORGET: &str = "DELETE FROM pgstream.snapshot_tables \
            WHERE system_id = $1 AND slot = $2 AND NOT (state = 'waiting' AND lsn IN ('0/0', 'FFFFFFFF/FFFFFFFF'))";
        const BEGIN: &str = "INSERT INTO pgstream.snapshots AS s (system_id, slot, phase, horizon, lsn, chain, archive, kept_back, all_ours, fresh) \
            VALUES ($1, $2, $3, $4, $5::text::pg_lsn, $6, $7, $8, $9, $10) \
            ON CONFLICT (system_id, slot) DO UPDATE SET phase = EXCLUDED.phase, horizon = EXCLUDED.horizon, \
                lsn = EXCLUDED.lsn, chain = EXCLUDED.chain, archive = EXCLUDED.archive, kept_back = EXCLUDED.kept_back, \
                all_ours = EXCLUDED.all_ours, \
                fresh = EXCLUDED.fresh, begun_at = now(), ended_at = NULL";
        let fault = Error::statement("write the ledger of snapshots");
        let (system_id, slot) = (&self.system_id, &self.slot);
        self.client.execute(FORGET, &[system_id, slot]).await.map_err(&fault)?;
        let (horizon, lsn) = (whole.horizon.to_string(), whole.lsn.to_string());
        let (bytes, all_ours) = (archive.map(|it| it.bytes.as_slice()), archive.map(|it| it.all_ours));
        // Schema and name in turn.
        let names = |name: &TableName| [name.schema.clone(), name.name.clone()];
        let kept_back: Option<Vec<String>> = archive.map(|it| it.kept_back.iter().flat_map(names).collect());
        self.client
            .execute(
                BEGIN,
                &[
                    system_id,
                    slot,
                    &whole.phase.word(),
                    &horizon,
                    &lsn,
                    &whole.chain,
                    &bytes,
                    &kept_back,
                    &all_ours,
                    &whole.fresh,
                ],
            )
            .await
            .map_err(&fault)?;
        Ok(())
    }

    /// It is at `phase` now.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn set_phase(&self, phase: Phase) -> Result<(), Error> {
        const SET: &str = "UPDATE pgstream.snapshots SET phase = $3, \
                ended_at = CASE WHEN $3 = 'done' THEN now() END, archive = CASE WHEN $3 <> 'done' THEN archive END \
            WHERE system_id = $1 AND slot = $2";
        let set = self.client.execute(SET, &[&self.system_id, &self.slot, &phase.word()]).await;
        set.map(|_| ()).map_err(Error::statement("write the ledger of snapshots"))
    }

    /// The schema that was made, unless the tables were there before.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn archive(&self) -> Result<Option<Archive>, Error> {
        const ARCHIVE: &str = "SELECT archive, kept_back, all_ours FROM pgstream.snapshots \
            WHERE system_id = $1 AND slot = $2 AND archive IS NOT NULL";
        let row = self.client.query_opt(ARCHIVE, &[&self.system_id, &self.slot]).await;
        let row = row.map_err(Error::statement("read the ledger of snapshots"))?;
        Ok(row.map(|row| {
            let names: Vec<String> = row.get(1);
            let pairs = names.chunks_exact(2).filter_map(|pair| <&[String; 2]>::try_from(pair).ok());
            let kept_back = pairs.map(|[schema, name]| TableName::new(schema, name)).collect();
            Archive { bytes: row.get(0), kept_back, all_ours: row.get(2) }
        }))
    }

    /// All tables.
    ///
    /// # Errors
    /// As [`Ledger::whole`].
    pub async fn entries(&self) -> Result<Vec<Entry>, Error> {
        entries(&self.client, &self.system_id, &self.slot).await
    }

    /// A table is to be copied as of a moment, in so many ranges: from now on no other process can write to it. `ours`:
    /// the target has no rows of it but what we copied.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn plan(&self, entry: &Entry, ranges: u64) -> Result<(), Error> {
        const PLAN: &str = "INSERT INTO pgstream.snapshot_tables \
            (system_id, slot, oid, schema_name, table_name, state, horizon, lsn, epoch, ours, ranges, total_bytes) \
            VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7::text::pg_lsn, $8, $9, $10, $11) \
            ON CONFLICT (system_id, slot, oid) DO UPDATE SET \
                schema_name = EXCLUDED.schema_name, table_name = EXCLUDED.table_name, horizon = EXCLUDED.horizon, \
                lsn = EXCLUDED.lsn, epoch = EXCLUDED.epoch, ours = EXCLUDED.ours, ranges = EXCLUDED.ranges, \
                total_bytes = EXCLUDED.total_bytes, state = 'waiting', ranges_done = 0, rows = 0, bytes = 0, \
                reason = NULL, ended_at = NULL";
        self.client
            .execute(
                PLAN,
                &[
                    &self.system_id,
                    &self.slot,
                    &entry.oid,
                    &entry.table.schema,
                    &entry.table.name,
                    &entry.horizon.to_string(),
                    &entry.lsn.to_string(),
                    &self.epoch,
                    &entry.ours,
                    &signed(ranges),
                    &signed(entry.total_bytes),
                ],
            )
            .await
            .map(|_| ())
            .map_err(Error::statement("write the ledger of snapshots"))
    }

    /// A table could not be copied, or is gone.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn give_up(&self, oid: u32, state: State, reason: Option<&str>) -> Result<(), Error> {
        const GIVE_UP: &str = "UPDATE pgstream.snapshot_tables SET state = $4, reason = $5, ended_at = now() \
                               WHERE system_id = $1 AND slot = $2 AND oid = $3";
        self.client
            .execute(GIVE_UP, &[&self.system_id, &self.slot, &oid, &state.word(), &reason])
            .await
            .map(|_| ())
            .map_err(Error::statement("write the ledger of snapshots"))
    }

    /// What people want of the tables. `slot`: they say it in the ledger of another one.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn wishes(&self, slot: Option<&str>) -> Result<Vec<Wish>, Error> {
        const WISHES: &str = "SELECT oid, epoch, paused FROM pgstream.snapshot_tables \
            WHERE system_id = $1 AND slot = $2 AND state IN ('waiting', 'copying')";
        let rows = self.client.query(WISHES, &[&self.system_id, &slot.unwrap_or(&self.slot)]).await;
        let rows = rows.map_err(Error::statement("read the ledger of snapshots"))?;
        let wish =
            |row: &tokio_postgres::Row| Wish { oid: row.get(0), epoch: row.get(1), paused: row.get(2) };
        Ok(rows.iter().map(wish).collect())
    }

    /// `BEGIN` or `COMMIT`: what is made by [`Ledger::client`] in between is there together with what the ledger says.
    ///
    /// # Errors
    /// A target that does not answer.
    pub async fn transaction(&self, word: &str) -> Result<(), Error> {
        let done = self.client.batch_execute(word).await;
        done.map_err(Error::statement("make the tables and their ledger on the target"))
    }

    /// The session of the ledger: for looks at the target.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn unreadable(what: &str) -> Error {
    Error::Ledger { reason: format!("`{what}` has no place in it") }
}

fn moment(horizon: &str, lsn: &str) -> Result<(Horizon, Lsn), Error> {
    let horizon = horizon.parse().map_err(|_| unreadable(horizon))?;
    Ok((horizon, lsn.parse().map_err(|_| unreadable(lsn))?))
}

pub(super) async fn whole(client: &Client, system_id: &str, slot: &str) -> Result<Option<Whole>, Error> {
    const WHOLE: &str = "SELECT phase, horizon, lsn::text, chain, fresh, kept_back IS NOT NULL FROM pgstream.snapshots WHERE system_id = $1 AND slot = $2";
    let fault = Error::statement("read the ledger of snapshots");
    let Some(row) = client.query_opt(WHOLE, &[&system_id, &slot]).await.map_err(fault)? else {
        return Ok(None);
    };
    let (horizon, lsn) = moment(row.get(1), row.get(2))?;
    let phase = Phase::of(row.get(0)).ok_or_else(|| unreadable(row.get(0)))?;
    Ok(Some(Whole { phase, horizon, lsn, chain: row.get(3), fresh: row.get(4), with_schema: row.get(5) }))
}

pub(super) async fn entries(client: &Client, system_id: &str, slot: &str) -> Result<Vec<Entry>, Error> {
    const ENTRIES: &str = "SELECT oid, schema_name, table_name, state, horizon, lsn::text, ours, rows, bytes, total_bytes, reason, paused \
        FROM pgstream.snapshot_tables WHERE system_id = $1 AND slot = $2 ORDER BY total_bytes DESC, oid";
    let fault = Error::statement("read the ledger of snapshots");
    let rows = client.query(ENTRIES, &[&system_id, &slot]).await.map_err(fault)?;
    let entry = |row: &tokio_postgres::Row| {
        let (horizon, lsn) = moment(row.get(4), row.get(5))?;
        Ok(Entry {
            oid: row.get(0),
            table: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            state: State::of(row.get(3)).ok_or_else(|| unreadable(row.get(3)))?,
            horizon,
            lsn,
            ours: row.get(6),
            rows: unsigned(row.get(7)),
            bytes: unsigned(row.get(8)),
            total_bytes: unsigned(row.get(9)),
            reason: row.get(10),
            paused: row.get(11),
        })
    };
    rows.iter().map(entry).collect()
}

/// What a target knows of a snapshot.
#[derive(Clone, Debug)]
pub struct Status {
    /// The snapshot as a whole; `None` where only single tables were copied, beside a stream.
    pub whole: Option<Whole>,
    /// Its tables, the largest first.
    pub entries: Vec<Entry>,
    /// A process is at it.
    pub alive: bool,
}

/// What a target knows of a slot's snapshot, without taking part in it.
///
/// # Errors
/// A target that cannot be reached or read.
pub async fn status(url: &Url, system_id: &str, slot: &str) -> Result<Option<Status>, Error> {
    const ALIVE: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
        AND (classid::int8 << 32) | objid::int8 = hashtextextended('pgstream snapshot ' || $1::text || ' ' || $2::text, 0))";
    let client = connect(url, APPLICATION, &[]).await?;
    if !progress::exists(&client, SNAPSHOTS).await? {
        return Ok(None);
    }
    let whole = whole(&client, system_id, slot).await?;
    let entries = entries(&client, system_id, slot).await?;
    if whole.is_none() && entries.is_empty() {
        return Ok(None);
    }
    let alive = client.query_one(ALIVE, &[&system_id, &slot]).await;
    let alive = alive.map_err(Error::statement("look who is at the snapshot"))?.get(0);
    Ok(Some(Status { whole, entries, alive }))
}
