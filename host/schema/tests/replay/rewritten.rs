//! Statements that write a table anew: what they do to its rows is told, whether or not they change how it is described.

use schema::Change;

use crate::pair::{Pair, Server};

/// The rewrites that the rows of the log behind a version tell: kind and reason.
async fn told(pair: &Pair, version: i64) -> Vec<String> {
    let query = "SELECT c->>'name' || CASE WHEN c->'before' = c->'after' THEN ' as before, ' ELSE ' changed, ' END \
            || coalesce(c->>'rewritten', 'kept') || CASE WHEN c ? 'empty' THEN ', ' || (c->>'empty') ELSE '' END \
        FROM pgstream.schema_log AS l, jsonb_array_elements(l.changes::jsonb) AS c WHERE l.version > $1 ORDER BY l.version, 1";
    let rows = pair.source.query(query, &[&version]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_rewrite_is_told_by_the_statement_that_did_it_and_by_no_other() {
    let stories: [(&str, &[&str]); 11] = [
        ("ALTER TABLE t ALTER v TYPE text USING upper(v)", &["t as before, 4, false"]),
        ("ALTER TABLE e ALTER v TYPE text USING upper(v)", &["e as before, 4, true"]),
        ("ALTER TABLE p ALTER v TYPE text USING upper(v)", &["p1 as before, 4, false"]),
        ("ALTER TABLE t ALTER n TYPE bigint, DROP COLUMN gone", &["t changed, 4, false"]),
        ("ALTER TABLE t ADD COLUMN r float8 DEFAULT random()", &["t changed, 2, false"]),
        ("ALTER TABLE t SET UNLOGGED", &["t changed, 1, false"]),
        ("CREATE TEMP TABLE own AS SELECT '1' AS v; ALTER TABLE own ALTER v TYPE int USING 1", &[]),
        ("ALTER MATERIALIZED VIEW m SET (fillfactor = 50)", &["m changed, kept"]),
        // Nothing of all that is told of the next, whatever else writes the table anew.
        (
            "COMMENT ON TABLE t IS 'text'; COMMENT ON TABLE e IS 'text'; COMMENT ON TABLE p1 IS 'text'",
            &["t changed, kept", "e changed, kept", "p1 changed, kept"],
        ),
        ("CLUSTER t USING t_pkey", &[]),
        ("ALTER TABLE t ADD COLUMN x int", &["t changed, kept"]),
    ];
    for major in testbed::majors() {
        let server = Server::start(major).await;
        let pair = server.pair("rewritten").await;
        pair.source
            .batch_execute(
                "CREATE TABLE t (id int PRIMARY KEY, v text, n int, gone int); CREATE TABLE e (v text); \
                 CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); \
                 CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; INSERT INTO t VALUES (1, 'a', 1); INSERT INTO p VALUES (1, 'a')",
            )
            .await
            .unwrap();
        for (sql, expected) in stories {
            let last = "SELECT max(version) FROM pgstream.schema_log";
            let before: i64 = pair.source.query_one(last, &[]).await.unwrap().get(0);
            pair.source.batch_execute(sql).await.unwrap();
            assert_eq!(told(&pair, before).await, expected, "{major}: {sql}");
            let left = "SELECT count(*) FROM pgstream.rewritten";
            assert_eq!(pair.source.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0, "{major}: {sql}");
        }
    }
}

#[tokio::test]
async fn an_expression_that_is_set_again_tells_its_rewrite() {
    let server = Server::start(17).await;
    let pair = server.pair("expression").await;
    pair.source
        .batch_execute(
            "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED); INSERT INTO t VALUES (1)",
        )
        .await
        .unwrap();
    let last: i64 =
        pair.source.query_one("SELECT max(version) FROM pgstream.schema_log", &[]).await.unwrap().get(0);
    pair.source.batch_execute("ALTER TABLE t ALTER b SET EXPRESSION AS (a + 1)").await.unwrap();
    let changes = "SELECT changes::text FROM pgstream.schema_log WHERE version > $1";
    let row = pair.source.query_one(changes, &[&last]).await.unwrap();
    let changes = Change::read_all(row.get(0)).unwrap();
    assert!(changes[0].rewritten.unwrap().default && changes[0].before.is_some(), "{changes:?}");
}
