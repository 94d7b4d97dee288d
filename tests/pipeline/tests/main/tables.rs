//! Single tables are copied while the stream goes on: afterwards each of their rows is there once, whatever happened meanwhile.

use std::time::Duration;

use pipeline::{Ledgered, PATIENCE, Rig, seeds};
use testbed::{Pgstream, Postgres, Random, eventually_within};

use crate::faults::{dying, places};

/// Tables of the load: with a key, without one, with partitions.
pub(crate) const TABLES: [&str; 3] = ["load.plain", "load.no_key", "load.partitioned"];

/// Runs `pgstream table` and says what it printed.
pub(crate) fn table(arguments: &[&str], config: &str) -> String {
    let told = Pgstream::command(&[&["table"], arguments].concat(), config).unwrap();
    assert_eq!(told.code(), Some(0), "{}{}", told.stdout, told.stderr);
    told.stdout
}

/// Waits until no table waits any more.
pub(crate) async fn joined(target: &Postgres, pgstream: &mut Pgstream) {
    let waiting = "SELECT count(*) FROM pgstream.snapshot_tables WHERE state = 'waiting'";
    let none = eventually_within(PATIENCE, "the tables join the stream", || async {
        target.value("target", waiting).await.is_ok_and(|count| count == "0")
    });
    if none.await.is_err() {
        panic!("running: {}\n{}", pgstream.is_running(), pgstream.log());
    }
}

/// Has the target's rows of [`TABLES`] differ from the source's in every way.
pub(crate) async fn spoil(target: &Postgres) {
    let sql = "SET session_replication_role = replica; DELETE FROM load.plain WHERE id % 3 = 0; \
        UPDATE load.plain SET v = 'spoilt'; INSERT INTO load.no_key SELECT * FROM load.no_key; TRUNCATE load.partitioned; \
        INSERT INTO load.plain (id, v) SELECT i, 'more' FROM generate_series(100000, 100100) AS i ON CONFLICT DO NOTHING";
    target.sql("target", sql).await.unwrap();
}

/// Nothing of a copy is left but its entries.
pub(crate) async fn nothing_is_left(source: &Postgres, target: &Postgres) {
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(source.value("source", slots).await.unwrap(), "1");
    let rows = "SELECT (SELECT count(*) FROM pgstream.progress) || ' ' || (SELECT count(DISTINCT slot) FROM pgstream.snapshot_tables)";
    assert_eq!(target.value("target", rows).await.unwrap(), "1 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_copied_again_under_load_and_their_rows_come_once() {
    for major in testbed::majors() {
        let pair = Ledgered::start(major, "").await.unwrap();
        let load = pair.load(1);
        let mut pgstream = Pgstream::run(&pair.config()).unwrap();
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        spoil(&pair.target).await;
        let told = table(&[&["resync"], &TABLES[..]].concat(), &pair.config());
        assert!(told.contains("load.plain will be copied"), "{told}");
        joined(&pair.target, &mut pgstream).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(load.stop().await.unwrap().committed > 50);
        pair.settles(&mut pgstream).await.unwrap();
        nothing_is_left(&pair.source, &pair.target).await;
        pair.drain(pgstream).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_such_a_copy_each_row_comes_once() {
    let pair = Ledgered::start(15, "").await.unwrap();
    let load = pair.load(2);
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    pgstream.kill().unwrap();
    for seed in seeds(5) {
        spoil(&pair.target).await;
        table(&[&["resync"], &TABLES[..]].concat(), &pair.config());
        let mut pgstream = Pgstream::run(&pair.config()).unwrap();
        tokio::time::sleep(Duration::from_millis(u64::from(Random::new(seed).below(4000)))).await;
        assert!(pgstream.is_running(), "seed {seed}: it ended: {}", pgstream.log());
        pgstream.kill().unwrap();
    }
    let places: Vec<String> = {
        // That a table is made has a test of its own.
        let is_here = |place: &String| place.starts_with("tables-") && place != "tables-made";
        places().into_iter().filter(is_here).collect()
    };
    assert!(places.len() >= 4, "{places:?}");
    for place in &places {
        spoil(&pair.target).await;
        table(&[&["resync"], &TABLES[..]].concat(), &pair.config());
        let done = dying(&["run"], &pair.config(), place, 0).finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), None, "{place} is not reached: {}", done.stderr);
    }
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    joined(&pair.target, &mut pgstream).await;
    load.stop().await.unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    nothing_is_left(&pair.source, &pair.target).await;
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_altered_while_it_is_copied_is_copied_anew() {
    let ddl =
        "CREATE TABLE t (id int PRIMARY KEY, n int, v text); CREATE TABLE other (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.source("INSERT INTO t SELECT i, i, 'v' || i FROM generate_series(1, 2000) AS i").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    for change in [
        "ALTER TABLE t ADD COLUMN more text DEFAULT 'more'",
        "ALTER TABLE t ALTER n TYPE bigint USING n * 2",
        "ALTER TABLE t RENAME v TO w",
        "ALTER TABLE t RENAME TO u",
        "CREATE INDEX ON t (n)",
        "ALTER TABLE t DROP COLUMN more",
        "TRUNCATE t; INSERT INTO t (id, n) SELECT i, i FROM generate_series(1, 500) AS i",
    ] {
        // The copy waits for this lock; the stream does not, before the change comes.
        let lock = rig.server.connect("target").await.unwrap();
        lock.batch_execute("BEGIN; LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE").await.unwrap();
        table(&["resync", "t"], &rig.config);
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
        eventually_within(PATIENCE, "the copy waits", || async {
            rig.server.value("target", waits).await.is_ok_and(|count| count == "1")
        })
        .await
        .unwrap();
        rig.source(change).await.unwrap();
        rig.source("INSERT INTO other VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = other.v || 'x'")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        lock.batch_execute("ROLLBACK").await.unwrap();
        joined(&rig.server, &mut pgstream).await;
        rig.caught_up(&mut pgstream).await.unwrap();
        let name = if change.ends_with("TO u") { "u" } else { "t" };
        rig.same(&format!("SELECT * FROM {name} ORDER BY 1")).await.unwrap();
        rig.same("SELECT * FROM other ORDER BY 1").await.unwrap();
        if name == "u" {
            rig.source("ALTER TABLE u RENAME TO t").await.unwrap();
            rig.caught_up(&mut pgstream).await.unwrap();
        }
    }
    nothing_is_left(&rig.server, &rig.server).await;
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_streamed_joins_with_what_belongs_to_it() {
    for major in testbed::majors() {
        // A publication of some tables, which the role owns.
        let ddl = "CREATE TABLE old (id int PRIMARY KEY, v text)";
        let mut rig = Rig::start(major, ddl, "").await.unwrap();
        rig.set_programs(&testbed::client_programs().unwrap().programs);
        rig.server.sql("source", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; \
            DROP PUBLICATION pgstream_source; CREATE PUBLICATION pgstream_source FOR TABLE old, mark, pgstream.schema_log \
            WITH (publish_via_partition_root = true)").await.unwrap();
        let done = Pgstream::command(&["init"], &rig.config).unwrap();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        let mut pgstream = rig.run().unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        for sql in [
            "CREATE TYPE mood AS ENUM ('good', 'bad')",
            "CREATE TABLE fresh (id bigserial PRIMARY KEY, o int REFERENCES old, m mood DEFAULT 'good', v text CHECK (v <> ''))",
            "CREATE INDEX fresh_v ON fresh (lower(v))",
            "INSERT INTO old SELECT i, 'o' FROM generate_series(1, 10) AS i",
            "INSERT INTO fresh (o, v) SELECT 1 + i % 10, 'v' || i FROM generate_series(1, 1000) AS i",
            "CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY HASH (id)",
            "CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
            "CREATE TABLE part_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            "INSERT INTO parts SELECT i, 'p' FROM generate_series(1, 100) AS i",
        ] {
            rig.source(sql).await.unwrap();
        }
        let refused = Pgstream::command(&["table", "resync", "fresh"], &rig.config).unwrap();
        assert!(refused.code() == Some(1) && refused.stderr.contains("table add"), "{}", refused.stderr);
        let refused = Pgstream::command(&["table", "add", "part_0"], &rig.config).unwrap();
        assert!(refused.code() == Some(1) && refused.stderr.contains("name the root"), "{}", refused.stderr);
        let refused = Pgstream::command(&["table", "add", "old"], &rig.config).unwrap();
        assert!(refused.code() == Some(2) && refused.stderr.contains("table resync"), "{}", refused.stderr);
        rig.drain(pgstream).await.unwrap();
        table(&["add", "fresh", "parts"], &rig.config);
        let died = dying(&["run"], &rig.config, "tables-made", 0).finish(PATIENCE).await.unwrap();
        assert_eq!(died.code(), None, "{}", died.stderr);
        let mut pgstream = rig.run().unwrap();
        // While it joins, its schema and its rows change.
        for n in 0..40 {
            rig.source(&format!("INSERT INTO fresh (o, v) VALUES (1, 'while {n}'); UPDATE parts SET v = v || {n} WHERE id % 10 = 0"))
                .await
                .unwrap();
            if n == 20 {
                rig.source("ALTER TABLE fresh ADD COLUMN later int DEFAULT 7").await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        joined(&rig.server, &mut pgstream).await;
        rig.source("ALTER TABLE fresh RENAME v TO w; INSERT INTO fresh (o, w) VALUES (2, 'behind')")
            .await
            .unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        let states = "SELECT string_agg(table_name || ' ' || state || coalesce(': ' || reason, ''), ', ' ORDER BY table_name) FROM pgstream.snapshot_tables";
        let states = rig.server.value("target", states).await.unwrap();
        assert_eq!(states, "fresh done, parts done", "{}", pgstream.log());
        rig.same("SELECT * FROM fresh ORDER BY id").await.unwrap();
        rig.same("SELECT tableoid::regclass::text, * FROM parts ORDER BY id").await.unwrap();
        rig.same("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1").await.unwrap();
        rig.same("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'fresh'::regclass ORDER BY 1").await.unwrap();
        nothing_is_left(&rig.server, &rig.server).await;
        rig.drain(pgstream).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_copied_stays_out_and_is_told_and_the_stream_goes_on() {
    let ddl = "CREATE TABLE bad (id int PRIMARY KEY, v text); CREATE TABLE good (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.source(
        "INSERT INTO bad SELECT i, 'v' FROM generate_series(1, 100) AS i; INSERT INTO good SELECT * FROM bad",
    )
    .await
    .unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    // A stream that nobody asks for anything makes no ledger, for which its role may lack the right.
    let ledger = "SELECT to_regclass('pgstream.snapshot_tables')";
    assert_eq!(rig.server.value("target", ledger).await.unwrap(), "");
    rig.server
        .sql("target", "ALTER TABLE bad ADD CHECK (id < 50) NOT VALID; DELETE FROM good")
        .await
        .unwrap();
    table(&["resync", "bad", "good"], &rig.config);
    joined(&rig.server, &mut pgstream).await;
    rig.source("UPDATE good SET v = 'w'; UPDATE bad SET v = 'w'").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM good ORDER BY id").await.unwrap();
    let told = Pgstream::command(&["status"], &rig.config).unwrap();
    assert_eq!(told.code(), Some(3));
    assert!(told.stdout.contains("public.bad") && told.stdout.contains("23514"), "{}", told.stdout);
    // Mended, it joins; and one that is not to be copied after all waits no longer.
    rig.server.sql("target", "ALTER TABLE bad DROP CONSTRAINT bad_id_check").await.unwrap();
    table(&["resync", "bad"], &rig.config);
    joined(&rig.server, &mut pgstream).await;
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM bad ORDER BY id").await.unwrap();
    rig.drain(pgstream).await.unwrap();
    table(&["resync", "bad"], &rig.config);
    let told = table(&["cancel", "bad", "good"], &rig.config);
    assert!(
        told.contains("public.bad is not copied") && told.contains("public.good does not wait"),
        "{told}"
    );
    let mut pgstream = rig.run().unwrap();
    rig.source("UPDATE bad SET v = 'x'; UPDATE good SET v = 'x'").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM good ORDER BY id").await.unwrap();
    let left = rig.server.value("target", "SELECT count(*) FROM bad WHERE v = 'x'").await.unwrap();
    assert_eq!(left, "0");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_the_target_lacks_joins_whatever_the_log_says_of_it() {
    let mut rig = Rig::start(15, "CREATE TABLE old (id int PRIMARY KEY, v text)", "").await.unwrap();
    rig.server.sql("target", "DROP TABLE old").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert!(done.code() == Some(1) && done.stderr.contains("pgstream table add"), "{}", done.stderr);
    for sql in [
        "ALTER TABLE old ADD COLUMN n int DEFAULT 1",
        "INSERT INTO old SELECT i, 'v' || i FROM generate_series(1, 200) AS i",
        "ALTER TABLE old RENAME v TO w",
    ] {
        rig.source(sql).await.unwrap();
    }
    // One that cannot be made stays out with all that is done to it, and the stream goes on.
    let nowhere = tempfile::tempdir().unwrap();
    rig.set_programs(nowhere.path());
    table(&["add", "old"], &rig.config);
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("tables left out of the stream", PATIENCE).await.unwrap();
    rig.source("ALTER TABLE old ADD COLUMN meanwhile int").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.drain(pgstream).await.unwrap();
    rig.set_programs(&testbed::client_programs().unwrap().programs);
    table(&["add", "old"], &rig.config);
    let mut pgstream = rig.run().unwrap();
    rig.source("ALTER TABLE old ADD COLUMN late text; UPDATE old SET late = w WHERE id < 50").await.unwrap();
    joined(&rig.server, &mut pgstream).await;
    rig.source("ALTER TABLE old ALTER n SET NOT NULL; INSERT INTO old (id, w, n, late) VALUES (1000, 'w', 2, 'late')")
        .await
        .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM old ORDER BY id").await.unwrap();
    let columns = "SELECT attnum, attname, atttypid::regtype::text, attnotnull FROM pg_attribute \
        WHERE attrelid = 'old'::regclass AND attnum > 0 ORDER BY attnum";
    rig.same(columns).await.unwrap();
    nothing_is_left(&rig.server, &rig.server).await;
    rig.drain(pgstream).await.unwrap();
}
