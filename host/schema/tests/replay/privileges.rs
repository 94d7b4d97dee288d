//! Owners and grants, where they are followed: `pg_dump` with them finds no difference.

use crate::dump::Dump;
use crate::pair::Server;

/// Roles are the server's: both databases have them.
const ROLES: &str = "CREATE ROLE amy; CREATE ROLE \"Odd \"\"role\"; CREATE ROLE bob LOGIN";

const STORY: &[&str] = &[
    "CREATE SCHEMA s AUTHORIZATION amy",
    "CREATE TABLE s.t (id serial PRIMARY KEY, a text, b int GENERATED ALWAYS AS IDENTITY)",
    "ALTER TABLE s.t OWNER TO bob",
    "GRANT SELECT, INSERT ON s.t TO amy",
    "GRANT SELECT ON s.t TO PUBLIC",
    "GRANT UPDATE ON s.t TO \"Odd \"\"role\" WITH GRANT OPTION",
    "REVOKE GRANT OPTION FOR UPDATE ON s.t FROM \"Odd \"\"role\"",
    "REVOKE INSERT ON s.t FROM amy",
    "GRANT ALL ON s.t TO amy",
    "REVOKE DELETE, TRUNCATE ON s.t FROM bob",
    "GRANT SELECT (a), UPDATE (a, id) ON s.t TO amy",
    "REVOKE UPDATE (a) ON s.t FROM amy",
    "ALTER TABLE s.t RENAME a TO z",
    "ALTER TABLE s.t OWNER TO amy",
    "GRANT USAGE, CREATE ON SCHEMA s TO bob",
    "REVOKE ALL ON SCHEMA s FROM bob",
    "CREATE SEQUENCE s.q",
    "GRANT USAGE ON SEQUENCE s.q, s.t_id_seq TO bob",
    "ALTER SEQUENCE s.q OWNER TO bob",
    "CREATE VIEW s.v AS SELECT * FROM s.t",
    "ALTER VIEW s.v OWNER TO bob",
    "GRANT SELECT (id) ON s.v TO amy",
    "CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS one",
    "ALTER MATERIALIZED VIEW s.m OWNER TO bob",
    "GRANT SELECT ON ALL TABLES IN SCHEMA s TO \"Odd \"\"role\"",
    "CREATE TYPE s.e AS ENUM ('x')",
    "ALTER TYPE s.e OWNER TO amy",
    "REVOKE USAGE ON TYPE s.e FROM PUBLIC",
    "CREATE DOMAIN s.d AS int",
    "ALTER DOMAIN s.d OWNER TO amy",
    "GRANT USAGE ON DOMAIN s.d TO bob",
    "CREATE TYPE s.c AS (a int)",
    "ALTER TYPE s.c OWNER TO bob",
    "CREATE FUNCTION s.f(i int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "REVOKE EXECUTE ON FUNCTION s.f FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION s.f TO amy, bob",
    "ALTER FUNCTION s.f OWNER TO bob",
    "CREATE PROCEDURE s.p() LANGUAGE sql AS ''",
    "ALTER PROCEDURE s.p OWNER TO amy",
    "CREATE AGGREGATE s.a(int) (SFUNC = int4pl, STYPE = int)",
    "REVOKE ALL ON FUNCTION s.a(int) FROM PUBLIC",
    "ALTER AGGREGATE s.a(int) OWNER TO amy",
    "CREATE TABLE s.parts (a int) PARTITION BY LIST (a)",
    "CREATE TABLE s.part PARTITION OF s.parts DEFAULT",
    "GRANT INSERT ON s.part TO bob",
    // What default privileges give to a table is told with the table.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO bob; CREATE TABLE s.later (id int); \
     ALTER DEFAULT PRIVILEGES IN SCHEMA s REVOKE SELECT ON TABLES FROM bob",
    "BEGIN; CREATE TABLE s.both (id int); GRANT SELECT ON s.both TO bob; ALTER TABLE s.both OWNER TO bob; COMMIT",
    "ALTER SCHEMA s OWNER TO bob",
    // Postgres tells no trigger of this one.
    "REASSIGN OWNED BY amy TO bob; SELECT pgstream.refresh_schema('s')",
    "REVOKE ALL ON ALL TABLES IN SCHEMA s FROM \"Odd \"\"role\"",
    "DROP OWNED BY bob CASCADE",
];

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_grants_become_those_of_the_source() {
    let dump = Dump::new(true);
    for major in testbed::majors() {
        let server = Server::start(major).await;
        let mut pair = server.pair("privileges").await;
        pair.source.batch_execute(ROLES).await.unwrap();
        pair.with_privileges = true;
        for sql in STORY {
            let told = match pair.step(sql).await {
                Ok(()) => pair.compare_dumps(&dump, sql).await,
                failed => failed,
            };
            assert_eq!(told.err().unwrap_or_default(), "", "{major}");
        }
    }
}
