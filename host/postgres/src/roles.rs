//! Roles of a cluster: what others must have so that owners and grants mean the same.

use tokio_postgres::error::SqlState;

use crate::{Client, Error, ident, literal};

/// A role, without what makes it powerful: nobody becomes a superuser by a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What stands behind `CREATE ROLE name`.
    attributes: String,
    /// The roles that it is a member of.
    member_of: Vec<String>,
}

/// Roles of the server and of managed clouds are the target's own business.
const READ: &str = "
SELECT r.rolname::text,
       concat_ws(' ', CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
                 CASE WHEN NOT r.rolinherit THEN 'NOINHERIT' END,
                 CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
                 CASE WHEN r.rolconnlimit >= 0 THEN 'CONNECTION LIMIT ' || r.rolconnlimit END,
                 'VALID UNTIL ' || quote_literal(r.rolvaliduntil)),
       ARRAY(SELECT g.rolname::text FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
             WHERE m.member = r.oid ORDER BY 1)
FROM pg_roles AS r
WHERE r.oid >= 16384 AND r.rolname <> current_user AND r.rolname !~ '^(pg_|rds|cloudsql|alloydb|azure|neon_|supabase_|xata)'
ORDER BY r.rolname";

/// The roles of a source; with passwords where the session may read them.
///
/// # Errors
/// A server that does not answer, or passwords that may not be read.
pub async fn read_roles(client: &Client, with_passwords: bool) -> Result<Vec<Role>, Error> {
    let fault = |error| Error::statement("read the roles of the source", &error);
    let mut roles: Vec<Role> = client
        .query(READ, &[])
        .await
        .map_err(fault)?
        .iter()
        .map(|row| Role { name: row.get(0), attributes: row.get(1), member_of: row.get(2) })
        .collect();
    if with_passwords {
        const PASSWORDS: &str =
            "SELECT rolname::text, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL";
        let fault = |error| {
            Error::statement("read the passwords of the source's roles (roles_snapshot_mode)", &error)
        };
        for row in client.query(PASSWORDS, &[]).await.map_err(fault)? {
            let (name, hash): (String, String) = (row.get(0), row.get(1));
            if let Some(role) = roles.iter_mut().find(|role| role.name == name) {
                role.attributes.push_str(&format!(" PASSWORD {}", literal(&hash)));
            }
        }
    }
    Ok(roles)
}

/// Makes those that a target lacks; memberships of theirs too. The names of those that the session may not make.
///
/// # Errors
/// A server that does not answer.
pub async fn create_roles(client: &Client, roles: &[Role]) -> Result<Vec<String>, Error> {
    const THERE: &str = "SELECT rolname::text FROM pg_roles";
    let fault = |error| Error::statement("read the roles of the target", &error);
    let rows = client.query(THERE, &[]).await.map_err(fault)?;
    let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    for role in roles.iter().filter(|role| !there.contains(&role.name)) {
        let name = ident(&role.name);
        match client.batch_execute(&format!("CREATE ROLE {name} {}", role.attributes)).await {
            Ok(()) => made.push(role),
            Err(error) if may_not(&error) => refused.push(role.name.clone()),
            // Another made it meanwhile.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {}
            Err(error) => return Err(Error::statement("create a role on the target", &error)),
        }
    }
    for role in made {
        for group in &role.member_of {
            let grant = format!("GRANT {} TO {}", ident(group), ident(&role.name));
            match client.batch_execute(&grant).await {
                Ok(()) => {}
                Err(error) if may_not(&error) || error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                    refused.push(format!("{} as a member of {group}", role.name));
                }
                Err(error) => return Err(Error::statement("grant a role on the target", &error)),
            }
        }
    }
    Ok(refused)
}

fn may_not(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}
