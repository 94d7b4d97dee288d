//! Rows that the target has before the copy: with `upsert` and `append` they stay, whatever ends in the middle.
//!
//! | what could go wrong | test |
//! |---|---|
//! | kinds of keys, columns, names, partitions, triggers | `upsert_keeps_…` |
//! | no key, or one that ON CONFLICT cannot name | `without_a_key_…` |
//! | a rule hides a value, or makes keys equal | `masked_values_…` |
//! | a kill at any moment, under writes: half a table, a table twice, rows of an earlier moment | `killed_…` |
//! | a table that is empty gets rows of others while it is copied | `rows_that_others_…` |
//! | tables aside that nobody needs any more | `no_table_aside_…` |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pipeline::{PATIENCE, Rig, seeds};
use testbed::{Pgstream, Postgres, Random};

use crate::faults::dying;

/// The rig's pipeline with such a copy of small ranges before the stream.
fn copying(rig: &mut Rig, mode: &str, existing: &str) {
    let mode = format!(
        "mode: {mode}\n    snapshot: {{mode: data, data: {{batch_bytes: 64KiB, table_workers: 3, existing_rows: {existing}}}}}"
    );
    rig.config = rig.config.replacen("mode: replication", &mode, 1);
}

/// How many tables aside the target has.
async fn asides(server: &Postgres) -> String {
    let asides = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('pgstream') AND relname LIKE 'copy\\_%'";
    server.value("target", asides).await.unwrap()
}

/// The rows of a table of the target, each on a line.
async fn rows(server: &Postgres, query: &str) -> String {
    let rows = server.rows("target", query).await.unwrap();
    let cell = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "-".to_owned());
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

const TABLES: &str = r#"
CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE TABLE two (a int, b text, v text, PRIMARY KEY (b, a));
CREATE TABLE keys (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE "Odd ""Name" ("I d" int PRIMARY KEY, "SELECT" text);
CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, w text GENERATED ALWAYS AS (v || '!') STORED);
CREATE TABLE counted (id int PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY, v text);
CREATE TABLE spelled (n numeric PRIMARY KEY, v text);
CREATE TABLE parts (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY LIST (at);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parts FOR VALUES IN (2);
CREATE TABLE by_index (id int NOT NULL, v text);
CREATE UNIQUE INDEX by_index_id ON by_index (id);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_id;
CREATE TABLE child (id int PRIMARY KEY, plain int REFERENCES plain);
"#;

#[tokio::test]
async fn upsert_keeps_the_rows_of_the_target_but_those_whose_key_is_copied() {
    for major in testbed::majors() {
        let mut rig = Rig::start(major, TABLES, "").await.unwrap();
        copying(&mut rig, "snapshot", "upsert");
        rig.source(
            r#"INSERT INTO plain VALUES (1, 'new'), (2, NULL); INSERT INTO two VALUES (1, 'x', 'new'), (2, 'x', 'new');
               INSERT INTO keys VALUES (1, 1), (1, 2); INSERT INTO "Odd ""Name" VALUES (1, 'new');
               INSERT INTO made OVERRIDING SYSTEM VALUE VALUES (7, 'new'); INSERT INTO spelled VALUES (1.00, 'new');
               INSERT INTO counted OVERRIDING SYSTEM VALUE VALUES (1, 70, 'new'), (2, 71, 'new');
               INSERT INTO parts VALUES (1, 1, 'new'), (1, 2, 'new'); INSERT INTO by_index VALUES (1, 'new'); INSERT INTO child VALUES (1, 1)"#,
        )
        .await
        .unwrap();
        // The same key in another order, a unique index instead of a primary key, a column of the target's own, and what
        // would be in the way.
        rig.server
            .sql(
                "target",
                r#"INSERT INTO plain VALUES (1, 'old'), (2, 'old'), (7, 'mine'); INSERT INTO child VALUES (7, 7);
                   ALTER TABLE plain ADD COLUMN own text DEFAULT 'own'; ALTER TABLE plain DROP CONSTRAINT plain_pkey CASCADE;
                   CREATE UNIQUE INDEX ON plain (id); ALTER TABLE plain ALTER id SET NOT NULL;
                   ALTER TABLE two DROP CONSTRAINT two_pkey, ADD PRIMARY KEY (a, b); INSERT INTO two VALUES (1, 'x', 'old'), (1, 'y', 'mine');
                   INSERT INTO keys VALUES (1, 1), (7, 7); INSERT INTO "Odd ""Name" VALUES (1, 'old'), (7, 'mine');
                   INSERT INTO made OVERRIDING SYSTEM VALUE VALUES (7, 'old'), (8, 'mine'); INSERT INTO spelled VALUES (1.0, 'old'), (7, 'mine');
                   INSERT INTO counted OVERRIDING SYSTEM VALUE VALUES (1, 1, 'old'), (7, 2, 'mine');
                   INSERT INTO parts VALUES (1, 1, 'old'), (7, 2, 'mine'); INSERT INTO by_index VALUES (1, 'old'), (7, 'mine');
                   CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''never''; END';
                   CREATE TRIGGER never BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION never()"#,
            )
            .await
            .unwrap();
        // Twice, and the second time nothing is other.
        for _ in 0..2 {
            let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
            assert_eq!(done.code(), Some(0), "{}", done.stderr);
            for (query, want) in [
                ("SELECT id, v, own FROM plain ORDER BY 1", "1 new own, 2 - own, 7 mine own"),
                ("SELECT * FROM two ORDER BY 1, 2", "1 x new, 1 y mine, 2 x new"),
                ("SELECT * FROM keys ORDER BY 1, 2", "1 1, 1 2, 7 7"),
                (r#"SELECT * FROM "Odd ""Name" ORDER BY 1"#, "1 new, 7 mine"),
                ("SELECT * FROM made ORDER BY 1", "7 new new!, 8 mine mine!"),
                ("SELECT * FROM counted ORDER BY 1", "1 70 new, 2 71 new, 7 2 mine"),
                ("SELECT * FROM spelled ORDER BY 1", "1.00 new, 7 mine"),
                (
                    "SELECT tableoid::regclass, * FROM parts ORDER BY 2, 3",
                    "part_1 1 1 new, part_2 1 2 new, part_2 7 2 mine",
                ),
                ("SELECT * FROM by_index ORDER BY 1", "1 new, 7 mine"),
                ("SELECT * FROM child ORDER BY 1", "1 1, 7 7"),
            ] {
                assert_eq!(rows(&rig.server, query).await, want, "Postgres {major}: {query}");
            }
            assert_eq!(asides(&rig.server).await, "0");
        }
    }
}

#[tokio::test]
async fn where_the_schema_is_copied_too_a_table_that_was_there_keeps_its_rows() {
    let mut rig = Rig::start(15, "", "").await.unwrap();
    let programs = testbed::client_programs().unwrap().programs;
    let mode = format!(
        "mode: snapshot_and_replication\n    snapshot: {{data: {{existing_rows: upsert}}, schema: {{pgdump_pgrestore: {{bin_directory: {}}}}}}}",
        programs.display()
    );
    rig.config = rig.config.replacen("mode: replication", &mode, 1);
    for sql in ["CREATE TABLE old (id int PRIMARY KEY, v text)", "INSERT INTO old VALUES (1, 'source')"] {
        rig.source(sql).await.unwrap();
    }
    rig.source("CREATE TABLE fresh (v text); INSERT INTO fresh VALUES ('x'), ('x')").await.unwrap();
    rig.source("CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed VALUES (1)").await.unwrap();
    let there =
        "CREATE TABLE old (id int PRIMARY KEY, v text); INSERT INTO old VALUES (1, 'target'), (2, 'mine')";
    rig.server.sql("target", there).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rows(&rig.server, "SELECT * FROM old ORDER BY 1").await, "1 source, 2 mine");
    assert_eq!(rows(&rig.server, "SELECT * FROM fresh").await, "x, x");
    rig.same("SELECT conname FROM pg_constraint WHERE conrelid = 'keyed'::regclass AND contype = 'p'")
        .await
        .unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn without_a_key_on_both_sides_upsert_is_refused_by_name_and_nothing_is_written() {
    let tables = [
        "good (id int PRIMARY KEY)",
        "no_key (id int NOT NULL)",
        "no_index (id int PRIMARY KEY)",
        "other (id int PRIMARY KEY, n int NOT NULL)",
        "partial (id int PRIMARY KEY)",
        "deferred (id int PRIMARY KEY)",
        "nullable (id int PRIMARY KEY)",
        "expression (id int PRIMARY KEY)",
    ];
    let mut ddl: String = tables.iter().map(|table| format!("CREATE TABLE {table};")).collect();
    ddl.push_str("ALTER TABLE no_key REPLICA IDENTITY FULL");
    let mut rig = Rig::start(15, &ddl, "").await.unwrap();
    copying(&mut rig, "snapshot_and_replication", "upsert");
    rig.source("INSERT INTO good VALUES (1); INSERT INTO no_key VALUES (1)").await.unwrap();
    let mut target = "INSERT INTO good VALUES (7); CREATE UNIQUE INDEX ON no_key (id);".to_owned();
    for table in ["no_index", "other", "partial", "deferred", "nullable", "expression"] {
        target.push_str(&format!("ALTER TABLE {table} DROP CONSTRAINT {table}_pkey;"));
    }
    target.push_str(
        "CREATE UNIQUE INDEX ON other (id, n); CREATE UNIQUE INDEX ON partial (id) WHERE id > 0; \
         ALTER TABLE deferred ADD PRIMARY KEY (id) DEFERRABLE; CREATE UNIQUE INDEX ON expression ((id + 0)); \
         ALTER TABLE nullable ALTER id DROP NOT NULL; CREATE UNIQUE INDEX ON nullable (id)",
    );
    rig.server.sql("target", &target).await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    let bad = ["no_key", "no_index", "other", "partial", "deferred", "nullable", "expression"];
    for word in bad.map(|table| format!("public.{table}")).iter().map(String::as_str).chain([
        "sink::copy::no_key",
        "existing_rows: upsert",
        "unique index",
    ]) {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    assert!(!done.stderr.contains("public.good"), "{}", done.stderr);
    assert_eq!(rows(&rig.server, "SELECT * FROM good").await, "7");
    assert_eq!(rows(&rig.server, "SELECT count(*) FROM pgstream.snapshot_tables").await, "0");
    assert_eq!(asides(&rig.server).await, "0");
    // A role that may insert alone is told what it lacks.
    rig.server
        .sql("target", "CREATE ROLE writer LOGIN; GRANT INSERT ON ALL TABLES IN SCHEMA public TO writer; GRANT ALL ON SCHEMA pgstream TO writer; \
                        GRANT ALL ON ALL TABLES IN SCHEMA pgstream TO writer")
        .await
        .unwrap();
    let writer = rig.server.url_as("writer", "x", "target");
    let config = rig.config.replacen(&rig.server.url("target"), &writer, 1);
    let done = Pgstream::run(&config).unwrap().finish(PATIENCE).await.unwrap();
    assert!(
        done.code() == Some(1) && done.stderr.contains("GRANT SELECT, UPDATE ON \"public\".\"good\""),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn masked_values_are_masked_aside_too_and_keys_that_a_rule_makes_equal_lose_no_row() {
    let modifiers = "modifiers:\n  transformations:\n    table_transformers:\n      \
        - {table: t, column_transformers: {v: {name: masking, parameters: {type: default}}}}\n      \
        - {table: u, column_transformers: {id: {name: literal_string, parameters: {literal: same}, allow_uniqueness_loss: true}}}\n";
    let ddl = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id text PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, modifiers).await.unwrap();
    copying(&mut rig, "snapshot_and_replication", "upsert");
    rig.source("INSERT INTO t SELECT i, 'raw ' || i FROM generate_series(1, 5000) AS i").await.unwrap();
    let there = "INSERT INTO t SELECT i, 'there' FROM generate_series(-9, 10) AS i; INSERT INTO u VALUES ('same', 'there')";
    rig.server.sql("target", there).await.unwrap();
    let died = dying(&["run"], &rig.config, "aside-taken-over", 0).finish(PATIENCE).await.unwrap();
    assert_eq!(died.code(), None, "{}", died.stderr);
    let aside = "SELECT relname FROM pg_class WHERE relnamespace = 'pgstream'::regnamespace AND relname LIKE 'copy\\_%' \
        ORDER BY pg_relation_size(oid) DESC LIMIT 1";
    let aside = rig.server.value("target", aside).await.unwrap();
    let raw = format!(
        "SELECT count(*), count(*) FILTER (WHERE (to_jsonb(a) ->> 'v') LIKE '%raw%') FROM pgstream.\"{aside}\" AS a"
    );
    let [count, raw] = &rig.server.rows("target", &raw).await.unwrap()[0][..] else { panic!() };
    assert!(count.as_deref() != Some("0") && raw.as_deref() == Some("0"), "{count:?} {raw:?}");
    rig.source("INSERT INTO u VALUES ('a', 'one'), ('b', 'two')").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("public.u") && done.stderr.contains("21000"), "{}", done.stderr);
    assert_eq!(rows(&rig.server, "SELECT * FROM u").await, "same there");
    assert_eq!(asides(&rig.server).await, "0");
    rig.source("DELETE FROM u WHERE id = 'a'").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rows(&rig.server, "SELECT * FROM u").await, "same two");
    let counts =
        "SELECT count(*), count(*) FILTER (WHERE v = 'there'), count(*) FILTER (WHERE v LIKE '%raw%') FROM t";
    assert_eq!(rows(&rig.server, counts).await, "5010 10 0");
    rig.drain(pgstream).await.unwrap();
}

/// Writes to `keyed` and `unkeyed` of the source until it is told to stop.
fn writing(rig: &Rig) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u32>) {
    let (server, stop) = (Arc::clone(&rig.server), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(async move {
        let client = server.connect("source").await.unwrap();
        let mut random = Random::new(11);
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            count += 1;
            let (one, other) = (1 + random.below(900), 1000 + random.below(19_000));
            let mut sql = format!(
                "UPDATE keyed SET v = v + 1 WHERE id IN ({one}, {other}); DELETE FROM keyed WHERE id = {other} + 7; \
                 INSERT INTO keyed VALUES ({}, 0, repeat('n', 50)); INSERT INTO unkeyed VALUES ({count}, 'new')",
                100_000 + count
            );
            // Each is read anew, as of another moment.
            if count % 150 == 0 {
                sql = "VACUUM FULL unkeyed".to_owned();
            }
            client.batch_execute(&sql).await.unwrap();
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        count
    });
    (stop, task)
}

/// Under writes, killed at every place and at random moments, the target has its own rows and those of the source, each once.
async fn killed(existing: &str) {
    let ddl = "CREATE TABLE keyed (id int PRIMARY KEY, v int, w text); CREATE TABLE unkeyed (n int, v text); \
               ALTER TABLE unkeyed REPLICA IDENTITY FULL";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    copying(&mut rig, "snapshot_and_replication", existing);
    let mut there = "INSERT INTO keyed SELECT -i, i, 'mine' FROM generate_series(1, 500) AS i;".to_owned();
    if existing == "upsert" {
        // Of these the source deletes none.
        there.push_str("INSERT INTO keyed SELECT i, -1, 'old' FROM generate_series(1, 900) AS i;");
        rig.config = rig.config.replacen("mode: data,", "mode: data, excluded_tables: [unkeyed],", 1);
    } else {
        there.push_str("INSERT INTO unkeyed SELECT -i, 'mine' FROM generate_series(1, 500) AS i;");
    }
    rig.server.sql("target", &there).await.unwrap();
    rig.source(
        "INSERT INTO keyed SELECT i, 0, repeat('x', 50) FROM generate_series(1, 20000) AS i; \
                INSERT INTO unkeyed SELECT i, repeat('x', 50) FROM generate_series(1, 10000) AS i",
    )
    .await
    .unwrap();
    let (stop, task) = writing(&rig);
    for (place, passes) in [
        ("aside-made", 0),
        ("copy-planned", 1),
        ("copy-range-written", 7),
        ("copy-range-committed", 15),
        ("aside-taken-over", 0),
        ("aside-committed", 0),
    ] {
        let died = dying(&["run"], &rig.config, place, passes).finish(PATIENCE).await.unwrap();
        assert_eq!(died.code(), None, "{place} is not reached: {}", died.stderr);
        let own = "SELECT count(*) FROM keyed WHERE id < 0 AND w = 'mine'";
        assert_eq!(rows(&rig.server, own).await, "500", "{place}");
        if place != "aside-committed" {
            let copied = rows(&rig.server, "SELECT count(*) FROM keyed WHERE id >= 1000").await;
            assert_eq!(copied, "0", "{place}: a part of the table is there");
        }
    }
    for seed in seeds(6) {
        let mut pgstream = rig.run().unwrap();
        tokio::time::sleep(Duration::from_millis(u64::from(Random::new(seed).below(900)))).await;
        assert!(pgstream.is_running(), "seed {seed}: it ended: {}", pgstream.log());
        pgstream.kill().unwrap();
    }
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(task.await.unwrap() > 100);
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM keyed WHERE id > 0 ORDER BY id").await.unwrap();
    assert_eq!(
        rows(&rig.server, "SELECT count(*), count(DISTINCT id) FROM keyed WHERE id < 0").await,
        "500 500"
    );
    if existing == "append" {
        rig.same("SELECT * FROM unkeyed WHERE n > 0 ORDER BY n, v").await.unwrap();
        let own = "SELECT count(*), count(DISTINCT n) FROM unkeyed WHERE n < 0";
        assert_eq!(rows(&rig.server, own).await, "500 500");
    }
    assert_eq!(asides(&rig.server).await, "0");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_an_upsert_each_row_is_there_once() {
    killed("upsert").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_an_append_each_row_is_there_once() {
    killed("append").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_of_a_copy_without_a_stream_a_table_is_there_whole_or_not_at_all() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text)", "").await.unwrap();
    copying(&mut rig, "snapshot", "upsert");
    rig.source("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 30000) AS i").await.unwrap();
    let there = "INSERT INTO t SELECT i, 'target' FROM generate_series(-99, 100) AS i";
    let looks =
        "SELECT count(*), count(*) FILTER (WHERE v = 'source'), count(*) FILTER (WHERE v = 'target') FROM t";
    let (seeds, mut ended) = (seeds(12), 0);
    for seed in &seeds {
        rig.server.sql("target", &format!("TRUNCATE t; {there}")).await.unwrap();
        let mut pgstream = rig.run().unwrap();
        tokio::time::sleep(Duration::from_millis(u64::from(Random::new(*seed).below(700)))).await;
        ended += usize::from(!pgstream.is_running());
        pgstream.kill().unwrap();
        // A commit that was sent may still be on its way.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let look = rows(&rig.server, looks).await;
        assert!(["200 0 200", "30100 30000 100"].contains(&look.as_str()), "seed {seed}: {look}");
    }
    assert!(ended < seeds.len(), "each had ended before it was killed");
    rig.server
        .sql(
            "target",
            &format!("TRUNCATE t; {there}; DROP TABLE pgstream.snapshots, pgstream.snapshot_tables"),
        )
        .await
        .unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert_eq!(rows(&rig.server, looks).await, "30100 30000 100");
    assert_eq!(asides(&rig.server).await, "0");
}

#[tokio::test]
async fn no_table_aside_outlives_what_it_was_for_and_none_is_taken_for_a_users() {
    let ddl = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    // The target is a source too.
    let next = rig
        .config
        .replace(&rig.server.url("target"), "x")
        .replace(&rig.server.url("source"), &rig.server.url("target"));
    let next = next.replacen("url: x", &format!("url: {}", rig.server.url("source")), 1);
    let done = Pgstream::command(&["init"], &next).unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    copying(&mut rig, "snapshot", "upsert");
    rig.source("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 5000) AS i; INSERT INTO u VALUES (1, 'source')").await.unwrap();
    rig.server.sql("target", "INSERT INTO t VALUES (1, 'old'), (-1, 'mine')").await.unwrap();
    let dies = async |config: &str| {
        let died = dying(&["run"], config, "copy-range-committed", 3).finish(PATIENCE).await.unwrap();
        assert_eq!(died.code(), None, "{}", died.stderr);
        assert_ne!(asides(&rig.server).await, "0");
    };
    let runs = async |config: &str| {
        let done = Pgstream::run(config).unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        assert_eq!(asides(&rig.server).await, "0");
    };
    dies(&rig.config).await;
    let log = "SELECT count(*) FROM pgstream.schema_log WHERE to_jsonb(schema_log)::text LIKE '%copy\\_%'";
    assert_eq!(rig.server.value("target", log).await.unwrap(), "0");
    // The ledger is forgotten.
    rig.server.sql("target", "DROP TABLE pgstream.snapshots, pgstream.snapshot_tables").await.unwrap();
    runs(&rig.config).await;
    assert_eq!(rows(&rig.server, "SELECT count(*) FROM t").await, "5001");
    // Other rows are wanted.
    dies(&rig.config).await;
    runs(&rig.config.replacen("upsert", "truncate", 1)).await;
    assert_eq!(rows(&rig.server, "SELECT count(*) FROM t").await, "5000");
    // None are wanted.
    dies(&rig.config).await;
    let refused = Pgstream::run(&rig.config.replacen("upsert", "refuse", 1)).unwrap();
    let refused = refused.finish(PATIENCE).await.unwrap();
    assert!(refused.stderr.contains("sink::copy::not_empty"), "{}", refused.stderr);
    assert_eq!(asides(&rig.server).await, "0");
    assert_eq!(rows(&rig.server, "SELECT count(*) FROM t").await, "5000");
    // Nothing is wanted any more.
    dies(&rig.config).await;
    let destroyed = Pgstream::command(&["destroy"], &rig.config).unwrap();
    assert!(destroyed.stdout.contains("ledger of the copy: removed"), "{destroyed:?}");
    assert_eq!(asides(&rig.server).await, "0");
    // The table is gone.
    dies(&rig.config).await;
    rig.source("DROP TABLE t").await.unwrap();
    rig.server.sql("target", "DROP TABLE t").await.unwrap();
    runs(&rig.config).await;
    assert_eq!(rows(&rig.server, "SELECT * FROM u").await, "1 source");
}

#[tokio::test]
async fn rows_that_others_write_meanwhile_stay_too() {
    for there in ["INSERT INTO t VALUES (-1, 'mine')", "SELECT 1"] {
        let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text)", "").await.unwrap();
        copying(&mut rig, "snapshot", "append");
        rig.source("INSERT INTO t SELECT i, 'source' FROM generate_series(1, 30000) AS i").await.unwrap();
        rig.server.sql("target", there).await.unwrap();
        let before = rows(&rig.server, "SELECT * FROM t").await;
        let died = dying(&["run"], &rig.config, "copy-range-committed", 3).finish(PATIENCE).await.unwrap();
        assert_eq!(died.code(), None, "{}", died.stderr);
        assert_eq!(rows(&rig.server, "SELECT * FROM t").await, before);
        rig.server.sql("target", "INSERT INTO t VALUES (-2, 'another')").await.unwrap();
        let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        let want = format!("{before}{}-2 another", if before.is_empty() { "" } else { ", " });
        assert_eq!(rows(&rig.server, "SELECT * FROM t WHERE id < 0 ORDER BY id DESC").await, want);
        rig.same("SELECT * FROM t WHERE id > 0 ORDER BY id").await.unwrap();
    }
}
