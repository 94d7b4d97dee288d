//! The publication: which tables are sent, which of their changes, and whose publication it is.

use postgres::{Client, ident, literal};

use crate::wal::{Error, Options, catalog, role, tracking};

/// What marks a publication as made by `init`, so that `destroy` drops no other.
const MARK: &str = "made by pgstream init";

/// A row of `pg_publication`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    /// Updates are sent.
    pub(crate) updates: bool,
    /// Deletes are sent.
    pub(crate) deletes: bool,
    /// Made by `init`.
    pub(crate) ours: bool,
    /// It sends every table.
    pub(crate) all_tables: bool,
}

impl Publication {
    /// Old rows must be found again, so tables need a replica identity.
    pub(crate) fn needs_identity(self) -> bool {
        self.updates || self.deletes
    }
}

/// Looks the publication up.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<Publication>, Error> {
    let row = client
        .query_opt(
            "SELECT pubupdate, pubdelete, \
                    coalesce(obj_description(oid, 'pg_publication') = $2::text, false), puballtables \
             FROM pg_publication WHERE pubname = $1::text",
            &[&name, &MARK],
        )
        .await
        .map_err(Error::statement("read the publication"))?;
    Ok(row.map(|row| Publication {
        updates: row.get(0),
        deletes: row.get(1),
        ours: row.get(2),
        all_tables: row.get(3),
    }))
}

/// The publication, which must be there.
pub(crate) async fn require(client: &Client, options: &Options) -> Result<Publication, Error> {
    find(client, &options.publication).await?.ok_or_else(|| Error::NoPublication {
        publication: options.publication.clone(),
        database: options.url.database.clone(),
    })
}

/// Makes the publication.
///
/// From that moment on Postgres refuses updates and deletes of published tables that have no replica identity:
/// the user's own writes. So such tables are refused here, before.
pub(crate) async fn create(client: &Client, options: &Options) -> Result<(), Error> {
    let without =
        catalog::tables_without_identity(client, &options.tables, options.publish_via_partition_root).await?;
    if !without.is_empty() {
        return Err(Error::NoReplicaIdentity { tables: without });
    }
    let missing = catalog::missing_tables(client, &options.tables, "rp").await?;
    if !missing.is_empty() {
        return Err(Error::NoTable { tables: missing });
    }
    let sql = create_statement(options, tracking::exists(client).await?);
    let mark = format!("COMMENT ON PUBLICATION {} IS {}", ident(&options.publication), literal(MARK));
    // Several statements in one simple query are one transaction.
    match client.batch_execute(&format!("{sql}; {mark}")).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::DUPLICATE_OBJECT) => Ok(()),
        Err(error) if role::lacks_right(&error) => Err(Error::NoPublicationRight {
            role: role::name(client).await?,
            publication: options.publication.clone(),
            reason: postgres::describe(&error),
            sql,
        }),
        Err(error) => Err(Error::statement("create the publication")(error)),
    }
}

fn create_statement(options: &Options, with_log: bool) -> String {
    let mut tables: Vec<String> = options.tables.iter().map(postgres::table).collect();
    if with_log && !tables.is_empty() {
        tables.push("pgstream.schema_log".to_owned());
    }
    let scope =
        if tables.is_empty() { "ALL TABLES".to_owned() } else { format!("TABLE {}", tables.join(", ")) };
    format!(
        "CREATE PUBLICATION {} FOR {scope} WITH (publish_via_partition_root = {})",
        ident(&options.publication),
        options.publish_via_partition_root
    )
}

/// Drops the publication.
pub(crate) async fn drop(client: &Client, name: &str) -> Result<(), Error> {
    let sql = format!("DROP PUBLICATION IF EXISTS {}", ident(name));
    client.batch_execute(&sql).await.map_err(Error::statement("drop the publication"))
}
