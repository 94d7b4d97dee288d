//! What can be told of a source without reading its slot.

use event::Lsn;

use crate::wal::slot::{self, SlotStatus};
use crate::wal::tracking::{self, Tracking};
use crate::wal::{Error, Options, TableWithoutIdentity, catalog, migrate, publication, server};

/// A source and what `init` puts into it, as they are now.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// The server's version.
    pub version: String,
    /// `wal_level`.
    pub wal_level: String,
    /// The cluster's identifier.
    pub system_id: String,
    /// Where the log ends.
    pub end: Lsn,
    /// The slot, if it exists.
    pub slot: Option<SlotStatus>,
    /// How far the slot is behind the end of the log.
    pub lag_bytes: Option<u64>,
    /// How long ago the server wrote what is confirmed now, while a session reads the slot; none when everything is
    /// confirmed, or the role may not see it.
    pub lag_seconds: Option<f64>,
    /// Whether the publication exists.
    pub publication: bool,
    /// The last migration of schema `pgstream`; 0 without any, none if the schema is not there.
    pub migration: Option<i32>,
    /// How schema changes are seen.
    pub tracking: Tracking,
    /// Published tables whose updates and deletes cannot be sent.
    pub without_identity: Vec<TableWithoutIdentity>,
}

/// Looks at a source.
///
/// # Errors
/// A source that cannot be reached or asked; what is missing in it is no error.
pub async fn status(options: &Options) -> Result<SourceStatus, Error> {
    let client = server::connect(options).await?;
    let server = server::describe(&client).await?;
    let end = server::written(&client).await?;
    let slot = slot::find(&client, &server, &options.slot).await?;
    let publication = publication::find(&client, &options.publication).await?;
    let mut without_identity = Vec::new();
    if publication.is_some_and(|publication| publication.needs_identity()) {
        let published = catalog::published(&client, &server, &options.publication).await?;
        let oids: Vec<u32> = published.iter().map(|(oid, _)| *oid).collect();
        for without in catalog::without_identity(&client, &oids).await? {
            if !without_identity.contains(&without.table) {
                without_identity.push(without.table);
            }
        }
    }
    let migration = match migrate::exists(&client).await? {
        true => Some(migrate::version(&client).await?),
        false => None,
    };
    let lag_seconds = match slot.as_ref().and_then(|slot| slot.active_pid) {
        Some(pid) => client
            .query_opt(
                "SELECT extract(epoch FROM flush_lag)::float8 FROM pg_stat_replication WHERE pid = $1",
                &[&pid],
            )
            .await
            .map_err(Error::statement("read the lag of the slot's reader"))?
            .and_then(|row| row.get(0)),
        None => None,
    };
    Ok(SourceStatus {
        lag_seconds,
        version: server.version,
        wal_level: server.wal_level,
        system_id: server.system_id,
        end,
        lag_bytes: slot.as_ref().and_then(|slot| slot.confirmed).map(|confirmed| end.bytes_since(confirmed)),
        slot,
        publication: publication.is_some(),
        migration,
        tracking: tracking::find(&client).await?,
        without_identity,
    })
}
