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

/// The objects of a schema at one version.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The objects.
    pub objects: Vec<Object>,
    /// All of them in one document.
    pub document: serde_json::Value,
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

/// A schema as a version left it, or as it is known now.
///
/// # Errors
/// A source that cannot be reached, or without a schema log; [`Error::NoSchemaVersion`] if the log has nothing of the
/// schema up to there.
pub async fn snapshot(options: &Options, schema: &str, version: Option<u64>) -> Result<Snapshot, Error> {
    const OBJECTS: &str = "SELECT kind, after::text FROM ( \
            SELECT DISTINCT ON (c->>'class', c->>'oid') c->>'kind' AS kind, c->'after' AS after \
            FROM pgstream.schema_log, jsonb_array_elements(changes) AS c \
            WHERE schema_name = $1 AND version <= $2 ORDER BY c->>'class', c->>'oid', version DESC) AS last \
        WHERE after IS NOT NULL";
    let client = connect(options).await?;
    let version = version.map_or(i64::MAX, |version| i64::try_from(version).unwrap_or(i64::MAX));
    let known = "SELECT EXISTS (SELECT FROM pgstream.schema_log WHERE schema_name = $1 AND version <= $2)";
    let fault = || Error::statement("read pgstream.schema_log");
    if !client.query_one(known, &[&schema, &version]).await.map_err(fault())?.get::<_, bool>(0) {
        return Err(Error::NoSchemaVersion { schema: schema.to_owned() });
    }
    let mut objects = Vec::new();
    for row in client.query(OBJECTS, &[&schema, &version]).await.map_err(fault())? {
        let (kind, document): (String, String) = (row.get(0), row.get(1));
        let document = serde_json::from_str(&document).map_err(unreadable)?;
        objects.extend(Object::read(&kind, document).map_err(unreadable)?);
    }
    let whole = "SELECT pgstream.schema_at($1, $2)::text";
    let row = client.query_one(whole, &[&schema, &version]).await.map_err(fault())?;
    let document = serde_json::from_str(row.get(0)).map_err(unreadable)?;
    Ok(Snapshot { objects, document })
}

async fn connect(options: &Options) -> Result<Client, Error> {
    options.check()?;
    let client = server::connect(options).await?;
    if tracking::exists(&client).await? { Ok(client) } else { Err(Error::NoSchemaLog) }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::UnreadableSchemaLog { line: error.line(), column: error.column() }
}
