//! Old versions are taken out of the log: what is kept reads as before, and what is gone is said to be gone.

use schema::Object;
use tokio_postgres::Client;

use crate::pair::Server;

/// Many objects: they take more than one row.
const MANY: &str =
    "DO $$ BEGIN FOR n IN 1..600 LOOP EXECUTE format('CREATE TABLE many.t%s (id int)', n); END LOOP; END $$";

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn prune(client: &Client, keep: &str) -> i64 {
    number(client, &format!("SELECT pgstream.prune_schema_log('{keep}')")).await
}

/// Each version of each schema from the oldest on that is told, with what it was.
async fn versions(client: &Client) -> Vec<(String, i64, String)> {
    let query = "SELECT l.schema_name, l.version, pgstream.schema_at(l.schema_name, l.version)::text FROM pgstream.schema_log AS l \
                 WHERE l.version >= coalesce(pgstream.first_version(l.schema_name), 0) ORDER BY 1, 2";
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn versions_that_are_kept_read_as_before_and_those_that_are_gone_say_so() {
    for major in testbed::majors() {
        let server = Server::start(major).await;
        let pair = server.pair("pruned").await;
        let source = &pair.source;
        source.batch_execute("CREATE SCHEMA many; CREATE SCHEMA gone").await.unwrap();
        source.batch_execute(MANY).await.unwrap();
        source
            .batch_execute(
                "CREATE TABLE t (id int, old text); CREATE TABLE dropped (id int); ALTER TABLE t RENAME old TO new; \
                 DROP TABLE dropped; CREATE TABLE gone.g (id int)",
            )
            .await
            .unwrap();
        source.batch_execute("ALTER TABLE gone.g SET SCHEMA public; DROP SCHEMA gone").await.unwrap();
        source
            .batch_execute("SELECT pg_create_logical_replication_slot('behind', 'pgoutput')")
            .await
            .unwrap();
        source.batch_execute("ALTER TABLE t ADD COLUMN a int").await.unwrap();
        let middle = number(source, "SELECT max(version) FROM pgstream.schema_log").await;
        source.batch_execute("ALTER TABLE t ADD COLUMN b int; ALTER TABLE t DROP COLUMN a").await.unwrap();
        let before = versions(source).await;

        // What nobody has taken over stays.
        assert_eq!(prune(source, "0").await, 0);
        source
            .execute("UPDATE pgstream.schema_log SET acked = true WHERE version <= $1", &[&middle])
            .await
            .unwrap();
        // And so does what is young.
        assert_eq!(prune(source, "1 day").await, 0);
        assert_eq!(versions(source).await, before, "{major}");
        // What a slot may send again stays, and all behind it.
        let removed = prune(source, "0").await;
        let sent = "SELECT count(*) FROM pgstream.schema_log WHERE lsn >= (SELECT restart_lsn FROM pg_replication_slots)";
        assert!(removed > 600 && number(source, sent).await == 3, "{major}: {removed}");
        source.batch_execute("SELECT pg_drop_replication_slot('behind')").await.unwrap();
        assert_eq!(prune(source, "0").await, 1);
        assert_eq!(prune(source, "0").await, 0);

        let after = versions(source).await;
        let expected: Vec<_> = before
            .iter()
            .filter(|(schema, version, _)| after.iter().any(|kept| (&kept.0, kept.1) == (schema, *version)))
            .cloned()
            .collect();
        assert_eq!(after, expected, "{major}");
        let public: Vec<i64> = after.iter().filter(|it| it.0 == "public").map(|it| it.1).collect();
        assert_eq!(public, [middle, middle + 1, middle + 2], "{major}");
        let rows = "SELECT count(*) FROM pgstream.schema_log WHERE schema_name = 'many'";
        assert_eq!(number(source, rows).await, 2, "{major}: 600 tables and a schema, 500 objects in a row");
        let made = "SELECT count(*) FROM pgstream.schema_log AS l, jsonb_array_elements(l.changes::jsonb) AS c \
                    WHERE l.schema_name = 'many' AND c ? 'made' AND c->>'kind' = 'table'";
        assert_eq!(number(source, made).await, 600, "{major}: tables that were made after the log began");
        // No value that stood in a statement is left of what is gone.
        let texts =
            "SELECT count(*) FROM pgstream.schema_log WHERE command_tag = 'BASE' AND statement IS NOT NULL";
        assert_eq!(number(source, texts).await, 0, "{major}");

        let sql = format!("SELECT pgstream.schema_at('public', {})", middle - 1);
        let error = source.batch_execute(&sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "P0002", "{error}");
        assert!(error.message().contains("no longer in pgstream.schema_log"), "{error}");
        assert!(error.hint().unwrap().contains(&middle.to_string()), "{error:?}");

        // A change goes on from what is known.
        source
            .batch_execute("ALTER TABLE t ADD COLUMN c int; ALTER TABLE many.t600 ADD b int")
            .await
            .unwrap();
        let known = pair.objects().await;
        let told = "SELECT o.kind, o.document::text FROM unnest(ARRAY['public', 'many', 'gone']) AS s (name), \
                    pgstream.objects_at(s.name, 9223372036854775807) AS o";
        let told = source.query(told, &[]).await.unwrap();
        let mut told: Vec<Object> = told
            .iter()
            .map(|row| Object::read(row.get(0), serde_json::from_str(row.get(1)).unwrap()).unwrap().unwrap())
            .collect();
        let mut known: Vec<Object> = known;
        told.sort_by_key(Object::oid);
        known.sort_by_key(Object::oid);
        assert_eq!(told, known, "{major}");
    }
}
