//! The event triggers that keep the schema log, where the role may make them.

use postgres::Client;

use crate::wal::{Error, role};

const TRACKING: &str = include_str!("../../../../migrations/tracking.sql");

/// How schema changes are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Event triggers note every change of the schema, in its transaction.
    Full,
    /// The event triggers are not there, or off: only what the stream tells of a table's columns is seen.
    Reduced,
}

/// Whether the event triggers are there and on, whatever the session.
pub(crate) async fn find(client: &Client) -> Result<Tracking, Error> {
    const ON: &str = "SELECT count(*) = 3 FROM pg_event_trigger \
        WHERE evtname IN ('pgstream_log_ddl', 'pgstream_log_drop', 'pgstream_log_rewrite') AND evtenabled = 'A'";
    let row = client
        .query_one(ON, &[])
        .await
        .map_err(Error::statement("look for the event triggers of pgstream"))?;
    Ok(if row.get(0) { Tracking::Full } else { Tracking::Reduced })
}

/// Whether there is a schema log.
pub(crate) async fn exists(client: &Client) -> Result<bool, Error> {
    const EXISTS: &str = "SELECT to_regclass('pgstream.schema_log') IS NOT NULL";
    let row = client.query_one(EXISTS, &[]).await.map_err(Error::statement("look for the schema log"))?;
    Ok(row.get(0))
}

/// Whether the log is there, kept, and sent by the publication.
pub(crate) async fn is_streamed(client: &Client, publication: &str) -> Result<bool, Error> {
    const SENT: &str = "SELECT EXISTS (SELECT FROM pg_publication_tables \
                        WHERE pubname = $1 AND schemaname = 'pgstream' AND tablename = 'schema_log')";
    if find(client).await? != Tracking::Full {
        return Ok(false);
    }
    let row =
        client.query_one(SENT, &[&publication]).await.map_err(Error::statement("look for the schema log"))?;
    Ok(row.get(0))
}

/// Makes them. `Reduced` where the role may not: event triggers take a superuser.
pub(crate) async fn create(client: &mut Client) -> Result<Tracking, Error> {
    let fault = || Error::statement("make the event triggers of pgstream");
    let transaction = client.transaction().await.map_err(fault())?;
    match transaction.batch_execute(TRACKING).await {
        Err(error) if role::lacks_right(&error) => return Ok(Tracking::Reduced),
        other => other.map_err(fault())?,
    }
    transaction.commit().await.map_err(fault())?;
    Ok(Tracking::Full)
}

/// Puts into the log what it does not have of the schemas as they are now: all of it, the first time.
pub(crate) async fn refresh(client: &Client) -> Result<(), Error> {
    const SCHEMAS: &str = "SELECT nspname::text FROM pg_namespace WHERE NOT pgstream.is_system_schema(nspname) \
                           UNION SELECT schema_name FROM pgstream.objects ORDER BY 1";
    let schemas = client.query(SCHEMAS, &[]).await.map_err(Error::statement("list schemas"))?;
    for schema in schemas {
        let name: String = schema.get(0);
        client
            .execute("SELECT pgstream.refresh_schema($1)", &[&name])
            .await
            .map_err(Error::statement("put a schema into pgstream.schema_log"))?;
    }
    Ok(())
}

/// Objects of kinds that are not followed, as the log knows them: a text for each kind, with some of the names.
pub(crate) async fn others(client: &Client) -> Result<Vec<String>, Error> {
    const OTHERS: &str = "SELECT kind || ' ' || array_to_string((array_agg(name ORDER BY name))[1:5], ', ') \
                          || CASE WHEN count(*) > 5 THEN ' and ' || count(*) - 5 || ' more' ELSE '' END \
                          FROM pgstream.objects WHERE document::jsonb ? 'identity' GROUP BY kind ORDER BY kind";
    let rows = client.query(OTHERS, &[]).await.map_err(Error::statement("look for what is not followed"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
