//! What a slot is read with, and the names that are taken where none are given.

use std::time::Duration;

use event::TableName;
use postgres::Url;

use crate::wal::Error;

/// The schema of ours in a source. Its tables are never data.
pub const SCHEMA: &str = "pgstream";

/// Longest name of a slot or publication (`NAMEDATALEN - 1`).
pub(crate) const NAME_LIMIT: usize = 63;

/// What a slot is read with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source.
    pub url: Url,
    /// The slot. It belongs to one database.
    pub slot: String,
    /// The publication that says which tables and which of their changes are sent.
    pub publication: String,
    /// When `init` makes the publication: these tables, or all of them if there are none here.
    /// A publication of all tables needs a superuser, one of some tables only their owner.
    pub tables: Vec<TableName>,
    /// When `init` makes the publication: changes to a partition are sent as changes to the partitioned table.
    pub publish_via_partition_root: bool,
    /// Longest time between two status updates; progress is told sooner.
    pub status_interval: Duration,
    /// How long a slot that another session holds is waited for. After a crash of ours the server may take
    /// some seconds to notice that its session is dead.
    pub slot_wait: Duration,
}

impl Options {
    /// The usual settings for a source, with the default names.
    ///
    /// # Errors
    /// [`Error::SlotName`] when no slot can be named after the database.
    pub fn new(url: Url) -> Result<Self, Error> {
        let (slot, publication) = (default_slot(&url.database)?, default_publication(&url.database)?);
        Ok(Self::named(url, slot, publication))
    }

    /// The usual settings for a source, with names of the user's.
    #[must_use]
    pub fn named(url: Url, slot: String, publication: String) -> Self {
        Self {
            slot,
            publication,
            url,
            tables: Vec::new(),
            publish_via_partition_root: true,
            status_interval: Duration::from_secs(10),
            slot_wait: Duration::from_secs(10),
        }
    }

    /// Refuses a slot name that Postgres would refuse.
    ///
    /// # Errors
    /// [`Error::SlotName`].
    pub fn check(&self) -> Result<(), Error> {
        check_name(&self.slot)
    }
}

/// `pgstream_<db>_slot`.
///
/// # Errors
/// [`Error::SlotName`] when the database's name does not make one.
pub fn default_slot(database: &str) -> Result<String, Error> {
    let name = format!("pgstream_{}_slot", folded(database));
    check_name(&name).map(|()| name)
}

/// `pgstream_<db>`.
///
/// # Errors
/// [`Error::SlotName`] when the database's name does not make one.
pub fn default_publication(database: &str) -> Result<String, Error> {
    let name = format!("pgstream_{}", folded(database));
    check_name(&name).map(|()| name)
}

fn folded(database: &str) -> String {
    database.to_lowercase().replace(['.', '-'], "_")
}

/// Slot names: <https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS-MANIPULATION>.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(plain) {
        return Err(Error::SlotName { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_from_the_database() {
        assert_eq!(default_slot("shop").unwrap(), "pgstream_shop_slot");
        assert_eq!(default_slot("My-Shop.v2").unwrap(), "pgstream_my_shop_v2_slot");
        assert_eq!(default_publication("My-Shop.v2").unwrap(), "pgstream_my_shop_v2");
    }

    #[test]
    fn a_database_that_makes_no_slot_name_is_told_so() {
        for bad in ["my shop", "größe", &"x".repeat(60)] {
            assert!(matches!(default_slot(bad), Err(Error::SlotName { .. })), "{bad}");
        }
    }
}
