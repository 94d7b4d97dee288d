//! The replication slot: what the server says of it, whether it can be read, making and dropping it.

use std::time::Duration;

use event::Lsn;
use postgres::Client;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::wal::server::Server;
use crate::wal::{Error, Options};

/// The plugin that we read.
const PLUGIN: &str = "pgoutput";

/// How often a slot in use is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A slot that takes longer than this to make waits for transactions that were open before.
const SLOW: Duration = Duration::from_secs(10);

/// A row of `pg_replication_slots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// Its plugin; none for a physical slot.
    pub plugin: Option<String>,
    /// Its database; none for a physical slot.
    pub database: Option<String>,
    /// The session that reads it.
    pub active_pid: Option<i32>,
    /// From where on the server keeps its log for this slot.
    pub restart: Option<Lsn>,
    /// Up to where the stream is confirmed.
    pub confirmed: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// How many bytes may still be written before the slot is in danger; none where there is no limit.
    pub safe_wal_size: Option<i64>,
    /// Why it was invalidated (Postgres 17 and newer; `conflict` on 16).
    pub invalidation_reason: Option<String>,
}

impl SlotStatus {
    /// The reason that its log is gone, if it is.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        if let Some(reason) = &self.invalidation_reason {
            return Some(format!("the server invalidated it ({reason})"));
        }
        if self.wal_status.as_deref() == Some("lost") {
            return Some("the server removed log that it needs (wal_status = lost)".to_owned());
        }
        if self.plugin.is_some() && self.restart.is_none() {
            return Some("the server keeps no log for it (restart_lsn is null)".to_owned());
        }
        None
    }

    /// Refuses a slot that is not a `pgoutput` slot of this database, or whose log is gone.
    ///
    /// # Errors
    /// [`Error::OtherSlot`], [`Error::SlotLost`].
    pub fn check(&self, options: &Options) -> Result<(), Error> {
        let database = &options.url.database;
        let found = match (&self.plugin, &self.database) {
            (Some(plugin), _) if plugin != PLUGIN => Some(format!("a slot of plugin {plugin}")),
            (Some(_), Some(other)) if other != database => Some(format!("a slot of database `{other}`")),
            (Some(_), _) => None,
            (None, _) => Some("a physical slot".to_owned()),
        };
        let slot = options.slot.clone();
        if let Some(found) = found {
            return Err(Error::OtherSlot { slot, found, database: database.clone() });
        }
        match self.lost() {
            Some(reason) => Err(Error::SlotLost { slot, reason }),
            None => Ok(()),
        }
    }
}

/// Looks the slot up.
pub(crate) async fn find(client: &Client, server: &Server, slot: &str) -> Result<Option<SlotStatus>, Error> {
    let reason = match server.number {
        170_000.. => "invalidation_reason::text",
        160_000.. => "CASE WHEN conflicting THEN 'conflict with recovery' END",
        _ => "NULL::text",
    };
    let sql = format!(
        "SELECT plugin::text, database::text, active_pid, restart_lsn::text, confirmed_flush_lsn::text, \
                wal_status, safe_wal_size, {reason} \
         FROM pg_replication_slots WHERE slot_name = $1::text"
    );
    let row =
        client.query_opt(&sql, &[&slot]).await.map_err(Error::statement("read the replication slot"))?;
    let Some(row) = row else { return Ok(None) };
    let lsn = |at: usize| row.get::<_, Option<&str>>(at).and_then(|text| text.parse().ok());
    Ok(Some(SlotStatus {
        plugin: row.get(0),
        database: row.get(1),
        active_pid: row.get(2),
        restart: lsn(3),
        confirmed: lsn(4),
        wal_status: row.get(5),
        safe_wal_size: row.get(6),
        invalidation_reason: row.get(7),
    }))
}

/// The slot if it can be read; one that is in use is waited for, `options.slot_wait` long.
pub(crate) async fn ready(client: &Client, server: &Server, options: &Options) -> Result<SlotStatus, Error> {
    let deadline = Instant::now() + options.slot_wait;
    loop {
        let slot = find(client, server, &options.slot).await?;
        let slot = slot.ok_or_else(|| Error::NoSlot { slot: options.slot.clone() })?;
        slot.check(options)?;
        let Some(pid) = slot.active_pid else { return Ok(slot) };
        if Instant::now() >= deadline {
            return Err(active(client, &options.slot, pid).await);
        }
        tracing::debug!(slot = options.slot, pid, "slot in use, waiting for it");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The error for a slot in use, with what is known of its reader.
pub(crate) async fn active(client: &Client, slot: &str, pid: i32) -> Error {
    let row = client
        .query_opt(
            "SELECT application_name, coalesce(host(client_addr), 'a local socket') \
             FROM pg_stat_activity WHERE pid = $1",
            &[&pid],
        )
        .await;
    let mut holder = format!("process {pid}");
    // Without the right to see other sessions both are null.
    if let Ok(Some(row)) = row
        && let (Some(application), Some(address)) =
            (row.get::<_, Option<String>>(0), row.get::<_, Option<String>>(1))
    {
        holder.push_str(&format!(" (`{application}` from {address})"));
    }
    Error::SlotActive { slot: slot.to_owned(), pid, holder }
}

/// Makes the slot.
pub(crate) async fn create(client: &Client, slot: &str) -> Result<(), Error> {
    let names: [&(dyn ToSql + Sync); 2] = [&slot, &PLUGIN];
    let create = client.query_one("SELECT pg_create_logical_replication_slot($1::text, $2::text)", &names);
    tokio::pin!(create);
    let result = tokio::select! {
        result = &mut create => result,
        () = tokio::time::sleep(SLOW) => {
            tracing::warn!(
                slot,
                "the slot waits for transactions that are open on the source; on a standby, \
                 run `SELECT pg_log_standby_snapshot()` on its primary"
            );
            create.await
        }
    };
    let Err(error) = result else { return Ok(()) };
    let code = error.code().cloned();
    if code == Some(SqlState::DUPLICATE_OBJECT) {
        // Somebody was quicker; the caller looks at what it is.
        return Ok(());
    }
    if code == Some(SqlState::CONFIGURATION_LIMIT_EXCEEDED) {
        let limit = client.query_one("SELECT current_setting('max_replication_slots')", &[]).await;
        let limit = limit.map_err(Error::statement("read max_replication_slots"))?.get(0);
        return Err(Error::NoFreeSlot { limit });
    }
    Err(Error::statement("create the replication slot")(error))
}

/// Drops the slot.
pub(crate) async fn drop(client: &Client, slot: &str) -> Result<(), Error> {
    let result = client.execute("SELECT pg_drop_replication_slot($1::text)", &[&slot]).await;
    match result {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(()),
        Err(error) => Err(Error::statement("drop the replication slot")(error)),
        Ok(_) => Ok(()),
    }
}
