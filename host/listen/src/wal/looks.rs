//! What a stream asks the source beside the stream: looks into the catalog and the schema log, none of which may take for ever.

use std::time::Duration;

use event::Lsn;
use postgres::Client;
use tokio::time::timeout;

use crate::wal::collect::Collector;
use crate::wal::decode::RelationMessage;
use crate::wal::relation::{self, Relations};
use crate::wal::stream::Tracked;
use crate::wal::{Error, catalog, log};

/// How long a commit may take to become visible after it was sent.
pub(super) const SETTLE: Duration = Duration::from_secs(5);
/// How long a look into the catalog may take.
const LOOK: Duration = Duration::from_secs(60);

/// What the server answers, unless it takes too long: that is a lost connection, for this reason.
pub(super) async fn answer<T>(or_else: &'static str, asked: impl Future<Output = T>) -> Result<T, Error> {
    timeout(LOOK, asked).await.map_err(|_| Error::lost(or_else))
}

/// Whether Postgres cannot send updates and deletes of a table, by the catalog once the transaction is visible in it.
pub(super) async fn is_without_identity(client: &Client, xid: u32, oid: u32) -> Result<bool, Error> {
    let look = async {
        catalog::settle(client, xid, SETTLE).await?;
        catalog::without_identity(client, &[oid]).await
    };
    Ok(!answer("no answer to a look into the catalog", look).await??.is_empty())
}

/// Tells the source which versions of schemas are done.
pub(super) async fn acknowledge(
    client: &Client,
    collector: &mut Collector,
    tracked: Option<&mut Tracked>,
    confirmed: Lsn,
) -> Result<(), Error> {
    let done = collector.log.done(confirmed);
    let Some(tracked) = tracked.filter(|tracked| tracked.acknowledges && !done.is_empty()) else {
        return Ok(());
    };
    fault::here!("schema-acknowledging");
    let told = log::acknowledge(client, &done);
    match answer("no answer to an acknowledgement in the schema log", told).await? {
        Ok(()) => Ok(()),
        Err(log::Unacknowledged::Refused(reason)) => {
            tracing::warn!(reason, "versions of the schema are not acknowledged in pgstream.schema_log");
            tracked.acknowledges = false;
            Ok(())
        }
        Err(log::Unacknowledged::Failed(error)) => Err(error),
    }
}

/// A table as it is at this place of the stream.
pub(super) async fn describe(
    client: &Client,
    relations: &Relations,
    message: &RelationMessage<'_>,
) -> Result<event::Relation, Error> {
    let tables = catalog::tables(client, &[message.oid]).await?;
    let before = relations.get(message.oid).map(|known| known.relation.as_ref());
    let context = relation::Context { table: tables.first(), before };
    let types = relation::unnamed_types(message, context);
    let mut names = Vec::with_capacity(types.len());
    if !types.is_empty() {
        for ((oid, _), name) in types.iter().zip(catalog::type_names(client, &types).await?) {
            let told = || relations.type_name(*oid).cloned();
            names.push(name.or_else(told).unwrap_or_else(|| format!("type {oid}")));
        }
    }
    Ok(relation::from_message(message, context, &names))
}
