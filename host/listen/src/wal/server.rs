//! The server behind the URL: its version, its log level, its name among all clusters.

use std::time::Duration;

use event::Lsn;
use postgres::Client;

use crate::wal::{Error, Options};

/// What `pg_stat_activity` shows.
pub(crate) const APPLICATION: &str = "pgstream";

/// The oldest that is read: protocol and catalog are the same from here on.
const OLDEST: i32 = 140_000;

/// What is asked of a server once.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// `server_version_num`.
    pub(crate) number: i32,
    /// `server_version`.
    pub(crate) version: String,
    /// `wal_level`.
    pub(crate) wal_level: String,
    /// `pg_control_system().system_identifier`.
    pub(crate) system_id: String,
    /// `wal_sender_timeout`: a reader that is silent for so long is thrown out.
    pub(crate) patience: Option<Duration>,
}

impl Server {
    /// Refuses a server that has no logical slots of the kind that is read here.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.number < OLDEST {
            return Err(Error::Version { found: self.version.clone() });
        }
        if self.wal_level != "logical" {
            return Err(Error::WalLevel { found: self.wal_level.clone() });
        }
        Ok(())
    }
}

/// A session for everything but the stream.
pub(crate) async fn connect(options: &Options) -> Result<Client, Error> {
    // A lock that another session holds on the catalog must not stop the stream without a word.
    Ok(postgres::connect(&options.url, APPLICATION, &[("lock_timeout", "30s")]).await?)
}

/// Asks the server what it is.
pub(crate) async fn describe(client: &Client) -> Result<Server, Error> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), \
                    current_setting('wal_level'), system_identifier::text, \
                    (SELECT setting::int8 FROM pg_settings WHERE name = 'wal_sender_timeout') \
             FROM pg_control_system()",
            &[],
        )
        .await
        .map_err(Error::statement("read the server's version and system identifier"))?;
    let patience = row.get::<_, Option<i64>>(4).and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0);
    Ok(Server {
        number: row.get(0),
        version: row.get(1),
        wal_level: row.get(2),
        system_id: row.get(3),
        patience: patience.map(Duration::from_millis),
    })
}

/// Where the log ends.
pub(crate) async fn written(client: &Client) -> Result<Lsn, Error> {
    let row = client
        .query_one(
            "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text",
            &[],
        )
        .await
        .map_err(Error::statement("read the end of the log"))?;
    Ok(row.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or_default())
}
