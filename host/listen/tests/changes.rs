//! What each kind of change becomes.

use std::time::{Duration, Instant};

use event::{Lsn, Step};

use crate::bed::{DATABASE, on_each_major};

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_under_every_replica_identity() {
    on_each_major!(bed, {
        bed.sql(
            "CREATE TABLE by_key (id int PRIMARY KEY, v text); \
             CREATE TABLE by_full (id int PRIMARY KEY, v text); ALTER TABLE by_full REPLICA IDENTITY FULL; \
             CREATE TABLE by_index (a int, b text NOT NULL, v text); CREATE UNIQUE INDEX b_key ON by_index (b); \
             ALTER TABLE by_index REPLICA IDENTITY USING INDEX b_key",
        )
        .await;
        bed.init().await;
        let lines = bed
            .lines(
                "BEGIN; INSERT INTO by_key VALUES (1, 'a'), (2, NULL); UPDATE by_key SET v = 'b' WHERE id = 1; \
                 UPDATE by_key SET id = 3 WHERE id = 2; DELETE FROM by_key WHERE id = 1; COMMIT; \
                 BEGIN; INSERT INTO by_full VALUES (1, 'a'); UPDATE by_full SET v = NULL; DELETE FROM by_full; COMMIT; \
                 BEGIN; INSERT INTO by_index VALUES (1, 'k', 'a'); UPDATE by_index SET v = 'b'; \
                 UPDATE by_index SET b = 'l'; DELETE FROM by_index; COMMIT; \
                 BEGIN; INSERT INTO by_key VALUES (9, 'never'); ROLLBACK",
            )
            .await;
        assert_eq!(
            lines,
            [
                "begin",
                "insert public.by_key (id=1 v=a)",
                "insert public.by_key (id=2 v=null)",
                "update public.by_key (id=1 v=b)",
                "update public.by_key key (id=2) (id=3 v=null)",
                "delete public.by_key key (id=1)",
                "commit",
                "begin",
                "insert public.by_full (id=1 v=a)",
                "update public.by_full old (id=1 v=a) (id=1 v=null)",
                "delete public.by_full old (id=1 v=null)",
                "commit",
                "begin",
                "insert public.by_index (a=1 b=k v=a)",
                "update public.by_index (a=1 b=k v=b)",
                "update public.by_index key (b=k) (a=1 b=l v=b)",
                "delete public.by_index key (b=l)",
                "commit",
            ]
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_update_left_alone_is_unchanged_unless_the_old_row_tells_it() {
    on_each_major!(bed, {
        bed.sql(
            "CREATE TABLE by_key (id int PRIMARY KEY, v text, long text); \
             CREATE TABLE by_full (id int PRIMARY KEY, v text, long text); \
             CREATE TABLE by_long (id text PRIMARY KEY, v text); \
             ALTER TABLE by_key ALTER long SET STORAGE EXTERNAL; ALTER TABLE by_full ALTER long SET STORAGE EXTERNAL; \
             ALTER TABLE by_long ALTER id SET STORAGE EXTERNAL; \
             ALTER TABLE by_full REPLICA IDENTITY FULL; \
             INSERT INTO by_key VALUES (1, 'a', repeat('x', 9000)); INSERT INTO by_full TABLE by_key; \
             INSERT INTO by_long VALUES (repeat('k', 2500), 'a')",
        )
        .await;
        bed.init().await;
        let lines = bed
            .lines(
                "UPDATE by_key SET v = 'b'; UPDATE by_key SET id = 2; UPDATE by_key SET long = NULL; \
                 UPDATE by_full SET v = 'b'; UPDATE by_full SET long = 'short'; UPDATE by_long SET v = 'b'",
            )
            .await;
        let changes: Vec<&String> = lines.iter().filter(|line| line.starts_with("update")).collect();
        assert_eq!(
            changes,
            [
                "update public.by_key (id=1 v=b long=unchanged)",
                "update public.by_key key (id=1) (id=2 v=b long=unchanged)",
                "update public.by_key (id=2 v=b long=null)",
                "update public.by_full old (id=1 v=a long=<9000 B>) (id=1 v=b long=<9000 B>)",
                "update public.by_full old (id=1 v=b long=<9000 B>) (id=1 v=b long=short)",
                "update public.by_long key (id=<2500 B>) (id=<2500 B> v=b)",
            ]
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn truncate_names_all_its_tables() {
    on_each_major!(bed, {
        bed.sql(
            "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); \
             CREATE TABLE c (id int PRIMARY KEY)",
        )
        .await;
        bed.init().await;
        let lines = bed.lines("TRUNCATE a, c RESTART IDENTITY CASCADE; TRUNCATE c").await;
        assert_eq!(lines[1], "truncate public.a public.c public.b cascade restart");
        assert_eq!(lines[2], "truncate public.c");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_origins_and_our_own_tables_are_not_data() {
    on_each_major!(bed, {
        bed.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
        bed.init().await;
        let lines = bed
            .lines(
                "SELECT pg_logical_emit_message(true, 'pgstream.ddl', 'DROP TABLE t'); \
                 SELECT pg_logical_emit_message(false, 'x', 'y'); \
                 SELECT pg_replication_origin_create('elsewhere'); \
                 SELECT pg_replication_origin_session_setup('elsewhere'); \
                 BEGIN; SELECT pg_replication_origin_xact_setup('0/1234', now()); INSERT INTO t VALUES (1); COMMIT; \
                 SELECT pg_replication_origin_session_reset(); \
                 BEGIN; UPDATE pgstream.migrations SET name = name; INSERT INTO t VALUES (2); COMMIT; \
                 UPDATE pgstream.migrations SET name = name",
            )
            .await;
        let want = ["begin", "insert public.t (id=1)", "commit", "begin", "insert public.t (id=2)", "commit"];
        assert_eq!(lines, want);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_come_when_they_are_committed() {
    on_each_major!(bed, {
        bed.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
        bed.init().await;
        bed.sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'").await;
        bed.sql("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'").await;
        bed.sql("INSERT INTO t VALUES (3)").await;
        bed.sql("COMMIT PREPARED 'one'").await;
        let lines = bed.lines("ROLLBACK PREPARED 'two'").await;
        let rows: Vec<&String> = lines.iter().filter(|line| line.starts_with("insert")).collect();
        assert_eq!(rows, ["insert public.t (id=3)", "insert public.t (id=1)"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn values_have_the_text_form_of_the_pinned_session_whatever_the_database_is_set_to() {
    on_each_major!(bed, {
        bed.sql(
            "ALTER DATABASE shop SET DateStyle = 'SQL, DMY'; ALTER DATABASE shop SET TimeZone = 'Asia/Tokyo'; \
             ALTER DATABASE shop SET IntervalStyle = 'iso_8601'; ALTER DATABASE shop SET bytea_output = 'escape'; \
             ALTER DATABASE shop SET extra_float_digits = 0; \
             CREATE TABLE t (id int PRIMARY KEY, d date, z timestamptz, i interval, b bytea, f float8)",
        )
        .await;
        bed.init().await;
        let lines = bed
            .lines("INSERT INTO t VALUES (1, '2026-02-01', '2026-02-01 00:00+00', '1 day 2 hours', '\\x00ff', 0.1::float8 + 0.2)")
            .await;
        assert_eq!(
            lines[1],
            "insert public.t (id=1 d=2026-02-01 z=2026-02-01 00:00:00+00 i=1 day 02:00:00 b=\\x00ff f=0.30000000000000004)"
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transaction_is_cut_and_keeps_its_order() {
    on_each_major!(bed, {
        bed.sql("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
        bed.init().await;
        let mut running = bed.stream().await;
        bed.sql("INSERT INTO t SELECT i, repeat('x', i % 600) FROM generate_series(0, 19999) AS i").await;
        let (mut next, mut batches, mut begins, mut ordinals) = (0, 0, 0, 0);
        let lsn = loop {
            let held = running.batch().await;
            let batch = &held.batch;
            batches += 1;
            assert!(batch.rows() <= 1000, "{} rows", batch.rows());
            for chunk in &batch.chunks {
                for (row, ordinal) in chunk.ordinals.iter().enumerate() {
                    assert_eq!(chunk.new.value(0, row), event::Value::Present(next.to_string().as_bytes()));
                    assert_eq!(*ordinal, ordinals);
                    next += 1;
                    ordinals += 1;
                }
            }
            begins += batch.order.iter().filter(|step| matches!(step, Step::Begin(_))).count();
            if let Some(end) = batch.end() {
                break end;
            }
        };
        assert_eq!(next, 20_000);
        assert_eq!(begins, batches, "each part says whose it is");
        assert!(batches < 60, "{batches} batches: cut for nothing");
        assert!(lsn > Lsn(0));
        running.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_commit_waits_for_nothing() {
    on_each_major!(bed, {
        bed.sql("CREATE TABLE t (id serial PRIMARY KEY)").await;
        bed.init().await;
        let mut running = bed.stream().await;
        let client = bed.server.connect(DATABASE).await.unwrap();
        let mut waits = Vec::new();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            client.batch_execute("INSERT INTO t DEFAULT VALUES").await.unwrap();
            let committed = Instant::now();
            while running.batch().await.batch.rows() == 0 {}
            waits.push(committed.elapsed());
        }
        waits.sort();
        assert!(waits[10] < Duration::from_millis(100), "{waits:?}");
        running.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_database_moves_on_with_the_log_of_its_neighbours() {
    on_each_major!(bed, {
        bed.init().await;
        let mut running = bed.stream().await;
        bed.server.sql("postgres", "CREATE TABLE noise AS SELECT generate_series(1, 10000)").await.unwrap();
        let end: Lsn = bed.value("SELECT pg_current_wal_lsn()").await.parse().unwrap();
        bed.server.sql("postgres", "CREATE TABLE more AS SELECT 1").await.unwrap();
        loop {
            let held = running.batch().await;
            assert_eq!(held.batch.rows(), 0);
            if held.batch.end().is_some_and(|lsn| lsn >= end) {
                break;
            }
        }
        running.end().await.unwrap();
    });
}
