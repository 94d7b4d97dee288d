//! What a statement takes does not grow with the tables beside it, whatever the server knows of their number.

use crate::pair::Server;

const TABLES: i64 = 300;

#[tokio::test]
async fn a_statement_looks_at_what_it_changed_and_not_at_everything() {
    for major in testbed::majors() {
        let server = Server::start(major).await;
        let source = server.pair("effort").await.source;
        // The worst guesses: nothing was ever counted.
        let many = format!(
            "DO $$ BEGIN FOR n IN 1..{TABLES} LOOP EXECUTE format('CREATE TABLE many.t%s (id bigserial PRIMARY KEY, v text UNIQUE)', n); \
             END LOOP; END $$"
        );
        let off =
            ["ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()", "CREATE SCHEMA many", &many];
        for statement in off {
            source.batch_execute(statement).await.unwrap();
        }
        // They go on from one transaction to the next, for a while.
        let read = async |table: &str| -> i64 {
            let sql = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_all_tables WHERE relid = $1::text::regclass";
            source.query_one(sql, &[&table]).await.unwrap().get(0)
        };
        let tables =
            ["pgstream.objects", "pgstream.table_ids", "pg_depend", "pg_class", "pg_constraint", "pg_index"];
        for (sql, most) in [
            (
                "CREATE TABLE many.one (id bigserial PRIMARY KEY, v text UNIQUE, r bigint REFERENCES many.t1)",
                TABLES,
            ),
            ("ALTER TABLE many.t2 ADD COLUMN n int", TABLES),
            ("ALTER TABLE many.t2 RENAME v TO w", TABLES),
            ("CREATE INDEX ON many.t3 (v)", TABLES),
            ("COMMENT ON TABLE many.t3 IS 'c'", TABLES),
            ("CREATE VIEW many.v AS SELECT * FROM many.t4", TABLES),
            ("ALTER TABLE many.t5 DROP COLUMN v", 2 * TABLES),
            ("DROP TABLE many.t6", 2 * TABLES),
            // As many as there are, each some times, and not each as often as there are others.
            ("DROP SCHEMA many CASCADE", 100 * TABLES),
        ] {
            source.batch_execute("BEGIN").await.unwrap();
            let mut before = Vec::new();
            for table in tables {
                before.push(read(table).await);
            }
            source.batch_execute(sql).await.unwrap();
            for (table, before) in tables.iter().zip(before) {
                let rows = read(table).await - before;
                assert!(rows < most, "{major}: {sql} reads {rows} rows of {table}");
            }
            source.batch_execute("ROLLBACK").await.unwrap();
        }
    }
}
