//! What the role of the URL may do.

use postgres::Client;

use crate::wal::Error;

/// Refuses a role that the server would not let replicate.
pub(crate) async fn check_replication(client: &Client) -> Result<(), Error> {
    // On RDS and Aurora the attribute stays off and a membership stands for it.
    let row = client
        .query_one(
            "SELECT rolname::text, rolsuper OR rolreplication OR EXISTS ( \
                 SELECT FROM pg_roles AS service \
                 WHERE service.rolname IN ('rds_replication', 'rdsrepladmin') \
                   AND pg_has_role(role.oid, service.oid, 'member')) \
             FROM pg_roles AS role WHERE rolname = current_user",
            &[],
        )
        .await
        .map_err(Error::statement("read the rights of the role"))?;
    let (role, may): (String, bool) = (row.get(0), row.get(1));
    if may { Ok(()) } else { Err(Error::NoReplicationRight { role }) }
}

/// The name of the role.
pub(crate) async fn name(client: &Client) -> Result<String, Error> {
    let row = client
        .query_one("SELECT current_user::text", &[])
        .await
        .map_err(Error::statement("read the name of the role"))?;
    Ok(row.get(0))
}

/// A right is what a statement lacked.
pub(crate) fn lacks_right(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE)
}
