//! The schema log as people ask for it: what changed when, and what a schema was like.

use postgres::Client;
use schema::{Change, Object};

use crate::wal::{Error, Options, server, tracking};

/// A version of a schema.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its number; those of one schema only grow.
    pub version: u64,
    /// The schema.
    pub schema: String,
    /// When it was written, UTC, as `YYYY-MM-DD HH:MM:SS`.
    pub created_at: String,
    /// What the statement was.
    pub command_tag: String,
    /// Every consumer has taken it over.
    pub acked: bool,
    /// What changed.
    pub changes: Vec<Change>,
}

/// The last versions, the newest first.
///
/// # Errors
/// A source that cannot be reached, or without a schema log.
pub async fn versions(options: &Options, schema: Option<&str>, limit: u32) -> Result<Vec<Version>, Error> {
    const VERSIONS: &str = "SELECT version, schema_name, to_char(created_at, 'YYYY-MM-DD HH24:MI:SS'), command_tag, acked, changes::text \
        FROM pgstream.schema_log WHERE $1::text IS NULL OR schema_name = $1 ORDER BY version DESC LIMIT $2";
    let client = connect(options).await?;
    let fault = Error::statement("read pgstream.schema_log");
    let rows = client.query(VERSIONS, &[&schema, &i64::from(limit)]).await.map_err(fault)?;
    let versions = rows.iter().map(|row| {
        Ok(Version {
            version: row.get::<_, i64>(0).unsigned_abs(),
            schema: row.get(1),
            created_at: row.get(2),
            command_tag: row.get(3),
            acked: row.get(4),
            changes: Change::read_all(row.get(5)).map_err(unreadable)?,
        })
    });
    versions.collect()
}

/// The objects of a schema as a version left them, or as they are known now.
///
/// # Errors
/// A source that cannot be reached, or without a schema log; [`Error::NoSchemaVersion`] if the log has nothing of the
/// schema up to there.
pub async fn objects(options: &Options, schema: &str, version: Option<u64>) -> Result<Vec<Object>, Error> {
    const OBJECTS: &str = "SELECT kind, document::text FROM pgstream.objects_at($1, $2)";
    let (client, version) = at(options, schema, version).await?;
    let fault = Error::statement("read pgstream.schema_log");
    let mut objects = Vec::new();
    for row in client.query(OBJECTS, &[&schema, &version]).await.map_err(fault)? {
        let document = serde_json::from_str(row.get(1)).map_err(unreadable)?;
        objects.extend(Object::read(row.get(0), document).map_err(unreadable)?);
    }
    Ok(objects)
}

/// The same as one document.
///
/// # Errors
/// Those of [`objects`].
pub async fn document(
    options: &Options,
    schema: &str,
    version: Option<u64>,
) -> Result<serde_json::Value, Error> {
    const DOCUMENT: &str = "SELECT pgstream.schema_at($1, $2)::text";
    let (client, version) = at(options, schema, version).await?;
    let fault = Error::statement("read pgstream.schema_log");
    let row = client.query_one(DOCUMENT, &[&schema, &version]).await.map_err(fault)?;
    serde_json::from_str(row.get(0)).map_err(unreadable)
}

/// A session with a source whose log has that version of the schema whole, and the version as SQL takes it.
async fn at(options: &Options, schema: &str, version: Option<u64>) -> Result<(Client, i64), Error> {
    const KNOWN: &str = "SELECT EXISTS (SELECT FROM pgstream.schema_log WHERE schema_name = $1 AND version <= $2), \
        pgstream.first_version($1)";
    let client = connect(options).await?;
    let version = version.map_or(i64::MAX, |version| i64::try_from(version).unwrap_or(i64::MAX));
    let fault = Error::statement("read pgstream.schema_log");
    let row = client.query_one(KNOWN, &[&schema, &version]).await.map_err(fault)?;
    let (is_known, first): (bool, Option<i64>) = (row.get(0), row.get(1));
    match first {
        Some(first) if version < first => {
            let (schema, version, first) = (schema.to_owned(), version.unsigned_abs(), first.unsigned_abs());
            Err(Error::PrunedSchemaVersion { schema, version, first })
        }
        _ if is_known => Ok((client, version)),
        _ => Err(Error::NoSchemaVersion { schema: schema.to_owned() }),
    }
}

/// Takes versions out of the log that are older than `keep`, an interval as Postgres reads it, and that nobody needs any
/// more. The number of rows that are gone.
///
/// # Errors
/// A source that cannot be reached, or without a schema log; an interval that Postgres does not understand.
pub async fn prune(options: &Options, keep: &str) -> Result<u64, Error> {
    const PRUNE: &str = "SELECT pgstream.prune_schema_log($1::text::interval)";
    let client = connect(options).await?;
    let fault = Error::statement("remove old versions from pgstream.schema_log");
    let removed: i64 = client.query_one(PRUNE, &[&keep]).await.map_err(fault)?.get(0);
    Ok(removed.unsigned_abs())
}

async fn connect(options: &Options) -> Result<Client, Error> {
    options.check()?;
    let client = server::connect(options).await?;
    if tracking::exists(&client).await? { Ok(client) } else { Err(Error::NoSchemaLog) }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::UnreadableSchemaLog { line: error.line(), column: error.column() }
}
