//! What `init` puts into a source: the numbered files of `migrations/`, each applied once, and taken back by `destroy`.

use postgres::Client;

use crate::wal::{Error, SCHEMA, role};

/// One numbered change of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    pub(crate) number: i32,
    pub(crate) name: &'static str,
    apply: &'static str,
    undo: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal, $file:literal) => {
        Migration {
            number: $number,
            name: $name,
            apply: include_str!(concat!("../../../../migrations/", $file)),
            undo: include_str!(concat!("../../../../migrations/undo/", $file)),
        }
    };
}

/// All of them, in order. A file that was released is never changed: another one follows.
const MIGRATIONS: [Migration; 6] = [
    migration!(1, "schema", "0001_schema.sql"),
    migration!(2, "ids", "0002_ids.sql"),
    migration!(3, "documents", "0003_documents.sql"),
    migration!(4, "schema_log", "0004_schema_log.sql"),
    migration!(5, "history", "0005_history.sql"),
    migration!(6, "changes", "0006_changes.sql"),
];

/// Two `init` at once do not meet: an advisory lock for the transaction, its number any that is ours.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7377126540195164271)";

/// The same lock for the session.
pub(crate) const LOCK_SESSION: &str = "SELECT pg_advisory_lock(7377126540195164271)";

/// What was applied, and what was there before.
pub(crate) type Applied = Vec<(Migration, bool)>;

/// Applies what is missing, in one transaction. `true` for each migration that was applied now.
pub(crate) async fn apply(client: &mut Client, database: &str) -> Result<Applied, Error> {
    let transaction = client.transaction().await.map_err(Error::statement("begin a transaction"))?;
    transaction.batch_execute(LOCK).await.map_err(Error::statement("take the lock of the migrations"))?;
    check_owner(transaction.client()).await?;
    let at = version(transaction.client()).await?;
    let known = MIGRATIONS.last().map_or(0, |migration| migration.number);
    if at > known {
        return Err(Error::SchemaTooNew { found: at, known });
    }
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        let missing = migration.number > at;
        if missing {
            match transaction.batch_execute(migration.apply).await {
                Err(error) if role::lacks_right(&error) => {
                    drop(transaction);
                    let role = role::name(client).await?;
                    return Err(Error::NoSchemaRight { role, database: database.to_owned() });
                }
                other => other.map_err(Error::statement("apply a migration to schema pgstream"))?,
            }
            transaction
                .execute(
                    "INSERT INTO pgstream.migrations (number, name) VALUES ($1, $2)",
                    &[&migration.number, &migration.name],
                )
                .await
                .map_err(Error::statement("record a migration in schema pgstream"))?;
        }
        applied.push((migration, missing));
    }
    transaction.commit().await.map_err(Error::statement("commit the migrations"))?;
    Ok(applied)
}

/// Refuses a schema that another role than ours, or a superuser, owns: it could put rows of its own in place of ours.
async fn check_owner(client: &tokio_postgres::Client) -> Result<(), Error> {
    let row = client
        .query_opt(
            "SELECT o.rolname::text, current_user::text FROM pg_namespace AS n JOIN pg_roles AS o ON o.oid = n.nspowner \
             WHERE n.nspname = $1 AND o.rolname <> current_user AND NOT o.rolsuper",
            &[&SCHEMA],
        )
        .await
        .map_err(Error::statement("look at the owner of schema pgstream"))?;
    row.map_or(Ok(()), |row| Err(Error::SchemaOwner { owner: row.get(0), role: row.get(1) }))
}

/// What is left of the schema after `undo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It was not there.
    WasMissing,
    /// Nothing.
    Nothing,
    /// Tables that are not ours: those of a pipeline that has this database as its target.
    Tables(Vec<String>),
}

/// Takes back what was applied, and the schema itself if nothing else is in it.
pub(crate) async fn undo(client: &mut Client) -> Result<Left, Error> {
    let transaction = client.transaction().await.map_err(Error::statement("begin a transaction"))?;
    transaction.batch_execute(LOCK).await.map_err(Error::statement("take the lock of the migrations"))?;
    if !exists(transaction.client()).await? {
        return Ok(Left::WasMissing);
    }
    let at = version(transaction.client()).await?;
    for migration in MIGRATIONS.iter().rev().filter(|migration| migration.number <= at) {
        transaction
            .batch_execute(migration.undo)
            .await
            .map_err(Error::statement("take back a migration of schema pgstream"))?;
    }
    let tables = tables(transaction.client()).await?;
    if tables.is_empty() {
        let sql = format!("DROP SCHEMA {SCHEMA} CASCADE");
        transaction.batch_execute(&sql).await.map_err(Error::statement("drop schema pgstream"))?;
    }
    transaction.commit().await.map_err(Error::statement("commit the removal of schema pgstream"))?;
    Ok(if tables.is_empty() { Left::Nothing } else { Left::Tables(tables) })
}

/// Whether the schema is there.
pub(crate) async fn exists(client: &tokio_postgres::Client) -> Result<bool, Error> {
    let row = client
        .query_one("SELECT to_regnamespace($1::text) IS NOT NULL", &[&SCHEMA])
        .await
        .map_err(Error::statement("look for schema pgstream"))?;
    Ok(row.get(0))
}

/// The last migration that was applied; 0 without any.
///
/// A schema that the Go implementation made has its bookkeeping and not ours: it is refused, not mixed with ours.
pub(crate) async fn version(client: &tokio_postgres::Client) -> Result<i32, Error> {
    let tables = tables(client).await?;
    if !tables.iter().any(|table| table == "migrations") {
        let foreign: Vec<String> =
            tables.into_iter().filter(|table| table.starts_with("schema_migrations")).collect();
        return if foreign.is_empty() { Ok(0) } else { Err(Error::ForeignSchema { tables: foreign }) };
    }
    let row = client
        .query_one("SELECT coalesce(max(number), 0) FROM pgstream.migrations", &[])
        .await
        .map_err(Error::statement("read the migrations of schema pgstream"))?;
    Ok(row.get(0))
}

async fn tables(client: &tokio_postgres::Client) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "SELECT relname::text FROM pg_class \
             WHERE relnamespace = to_regnamespace($1::text) AND relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1",
            &[&SCHEMA],
        )
        .await
        .map_err(Error::statement("list the tables of schema pgstream"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
