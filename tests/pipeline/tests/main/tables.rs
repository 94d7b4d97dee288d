//! Single tables are copied while the stream goes on: afterwards each of their rows is there once, whatever happened meanwhile.

use std::time::Duration;

use pipeline::{Ledgered, PATIENCE, Rig, seeds};
use testbed::{Pgstream, Postgres, Random, eventually_within};

use crate::faults::{dying, places};

/// Tables of the load: with a key, without one, with partitions.
const TABLES: [&str; 3] = ["load.plain", "load.no_key", "load.partitioned"];

/// Runs `pgstream table` and says what it printed.
fn table(arguments: &[&str], config: &str) -> String {
    let told = Pgstream::command(&[&["table"], arguments].concat(), config).unwrap();
    assert_eq!(told.code(), Some(0), "{}{}", told.stdout, told.stderr);
    told.stdout
}

/// Waits until no table waits any more.
async fn joined(target: &Postgres, pgstream: &mut Pgstream) {
    let waiting = "SELECT count(*) FROM pgstream.snapshot_tables WHERE state = 'waiting'";
    let none = eventually_within(PATIENCE, "the tables join the stream", || async {
        target.value("target", waiting).await.is_ok_and(|count| count == "0")
    });
    if none.await.is_err() {
        panic!("running: {}\n{}", pgstream.is_running(), pgstream.log());
    }
}

/// Has the target's rows of [`TABLES`] differ from the source's in every way.
async fn spoil(target: &Postgres) {
    let sql = "SET session_replication_role = replica; DELETE FROM load.plain WHERE id % 3 = 0; \
        UPDATE load.plain SET v = 'spoilt'; INSERT INTO load.no_key SELECT * FROM load.no_key; TRUNCATE load.partitioned; \
        INSERT INTO load.plain (id, v) SELECT i, 'more' FROM generate_series(100000, 100100) AS i ON CONFLICT DO NOTHING";
    target.sql("target", sql).await.unwrap();
}

/// Nothing of a copy is left but its entries.
async fn nothing_is_left(source: &Postgres, target: &Postgres) {
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
    let places: Vec<String> = places().into_iter().filter(|place| place.starts_with("tables-")).collect();
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
