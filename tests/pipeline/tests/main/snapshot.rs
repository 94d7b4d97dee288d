//! The initial copy: what is there comes once, what changes meanwhile comes once, whatever ends in the middle.
//!
//! | what could go wrong | test |
//! |---|---|
//! | a kill in the middle of a table | `killed_at_…`, `schema_copy::killed_at_every_place_…` |
//! | finished tables are read again | `a_copy_that_ended_in_the_middle_…` |
//! | rows change, come, go, get another key while they are copied; a table is emptied | `what_is_there_and_what_changes_meanwhile_…` |
//! | a table is emptied, written anew or dropped before its turn | `what_happens_to_a_table_while_it_waits_is_seen` |
//! | a column is added, renamed, dropped, retyped; a table renamed | `schema_copy::tables_that_are_altered_…` |
//! | no key, duplicates, partitions, values out of line | the tables of the load, in the first three |
//! | a target with rows | `a_target_with_rows_…`, `existing::…` |
//! | a kill between copy and stream, a slot made anew | `a_slot_that_is_younger_…` |
//! | what is confirmed at the hand-over does not reach the source | `confirmations_that_are_lost_…` |
//! | the first thing after the copy is a change of the schema | `schema_copy::an_empty_target_…` |
//! | a standby ends a read, or does not know what its primary runs | `standby::…` |
//! | a table is copied again, added, altered, cancelled, killed while the stream goes on | `tables::…` |
//! | it is paused, resumed, stopped, killed at random | `pausing::…` |
//! | a target that would round values | `types::a_target_that_would_round_…` |
//! | one table that the target does not take | `one_table_that_cannot_be_copied_…` |

use std::time::Duration;

use pipeline::{Ledgered, PATIENCE, Rig, seeds};
use testbed::{Network, Pgstream, Proxy, Random, eventually_within};

use crate::faults::{dying, places};

/// Small ranges, so that a table is many of them.
const COPY: &str =
    "snapshot_and_replication\n    snapshot: {mode: data, data: {batch_bytes: 64KiB, table_workers: 3}}";
/// One reader, so that tables come one after the other, the largest first.
const ONE: &str = "snapshot_and_replication\n    snapshot: {mode: data, data: {table_workers: 1}}";

/// The rig's pipeline with a copy before the stream.
fn copying(rig: &mut Rig, mode: &str) {
    rig.config = rig.config.replacen("mode: replication", &format!("mode: {mode}"), 1);
}

/// Waits until what the source has now came by the stream: before it starts, the mark would come by the copy.
async fn streamed(rig: &mut Rig, pgstream: &mut Pgstream) -> testbed::Result<()> {
    pgstream.logs("stream started", PATIENCE).await?;
    rig.caught_up(pgstream).await
}

/// What `pgstream status` says.
fn status(rig: &Rig) -> serde_json::Value {
    let told = Pgstream::command(&["status", "--json"], &rig.config).unwrap();
    serde_json::from_str(&told.stdout).unwrap()
}

/// A pair of servers whose source has been written to for a while.
async fn filled(seed: u64) -> Ledgered {
    let mut pair = Ledgered::start(15, "").await.unwrap();
    pair.mode = COPY.to_owned();
    let load = pair.load(seed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(load.stop().await.unwrap().committed > 50);
    pair
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_and_what_changes_meanwhile_comes_once() {
    for major in testbed::majors() {
        let mut pair = Ledgered::start(major, "").await.unwrap();
        pair.mode = COPY.to_owned();
        let load = pair.load(1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut pgstream = Pgstream::run(&pair.config()).unwrap();
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        // A table that was emptied while it was copied has a moment of its own: until the stream is past the last one,
        // tables are as of different moments.
        let past = "SELECT lsn >= (SELECT max(lsn) FROM pgstream.snapshot_tables) FROM pgstream.progress";
        let target = &pair.target;
        testbed::eventually_within(PATIENCE, "the stream is past the copy", || async {
            target.value("target", past).await.is_ok_and(|past| past == "t")
        })
        .await
        .unwrap();
        let watcher = pair.watcher();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(load.stop().await.unwrap().committed > 50);
        pair.settles(&mut pgstream).await.unwrap();
        watcher.stop().await.unwrap();
        let waiting = "SELECT count(*) FROM pgstream.snapshot_tables WHERE state <> 'done'";
        assert_eq!(pair.target.value("target", waiting).await.unwrap(), "0");
        pair.drain(pgstream).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmations_that_are_lost_at_the_hand_over_hold_nothing_up() {
    let pair = filled(6).await;
    let sql = "ALTER SYSTEM SET wal_sender_timeout = '4s'; SELECT pg_reload_conf()";
    for statement in sql.split(';') {
        pair.source.sql("postgres", statement).await.unwrap();
    }
    let proxy = Proxy::start(pair.source.port()).await.unwrap();
    let config = pair.config_of(&proxy.before(&pair.source.url("source")), &pair.target.url("target"));
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    let at_first = pair.source.value("source", confirmed).await.unwrap();
    proxy.becomes(Network::Unconfirmed);
    let load = pair.load(7);
    let mut pgstream = Pgstream::run(&config).unwrap();
    // Rows arrive all the same; the server, which hears nothing, ends the connection, and that is told.
    pgstream.logs("starting again", Duration::from_secs(60)).await.unwrap();
    assert!(load.stop().await.unwrap().committed > 50);
    pair.settles(&mut pgstream).await.unwrap();
    assert_eq!(pair.source.value("source", confirmed).await.unwrap(), at_first);
    proxy.becomes(Network::Works);
    let end = pair.source.value("source", "SELECT pg_current_wal_lsn()").await.unwrap();
    let moved = format!("SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots");
    eventually_within(PATIENCE, "the source hears of it", || async {
        pair.source.value("source", &moved).await.is_ok_and(|moved| moved == "t")
    })
    .await
    .unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_of_the_copy_each_row_comes_once() {
    let pair = filled(2).await;
    let load = pair.load(3);
    for seed in seeds(10) {
        let mut random = Random::new(seed);
        let mut pgstream = Pgstream::run(&pair.config()).unwrap();
        tokio::time::sleep(Duration::from_millis(u64::from(random.below(900)))).await;
        assert!(pgstream.is_running(), "seed {seed}: it ended: {}", pgstream.log());
        pgstream.kill().unwrap();
    }
    load.stop().await.unwrap();
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_place_of_the_copy_each_row_comes_once() {
    let pair = filled(4).await;
    let load = pair.load(5);
    // Where the schema is copied too: see `schema_copy`.
    let others = ["copy-schema-made", "copy-object-made", "copy-finished"];
    let is_here = |place: &String| place.starts_with("copy-") && !others.contains(&place.as_str());
    let mut places: Vec<String> = places().into_iter().filter(is_here).collect();
    // Only what an earlier run has planned is emptied; after its end nothing is copied.
    places.sort_by_key(|place| (place == "copy-done", place == "copy-emptied"));
    assert!(places.len() >= 6, "{places:?}");
    for place in &places {
        let passes = u32::from(place.contains("range")) * 5;
        let done = dying(&["run"], &pair.config(), place, passes).finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), None, "{place} is not reached: {}", done.stderr);
    }
    load.stop().await.unwrap();
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_ended_in_the_middle_reads_no_finished_table_again() {
    let ddl =
        "CREATE TABLE large (id int PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    copying(&mut rig, ONE);
    rig.source("INSERT INTO large SELECT i, repeat('x', 100) FROM generate_series(1, 5000) AS i")
        .await
        .unwrap();
    rig.source("INSERT INTO small SELECT i, 'small' FROM generate_series(1, 10) AS i").await.unwrap();
    // The large one comes first; the small one waits for a lock.
    let lock = rig.server.connect("target").await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE small IN SHARE MODE").await.unwrap();
    let pgstream = rig.run().unwrap();
    let server = &rig.server;
    let done = "SELECT count(*) FROM pgstream.snapshot_tables WHERE table_name = 'large' AND state = 'done'";
    testbed::eventually_within(PATIENCE, "the large table is copied", || async {
        server.value("target", done).await.is_ok_and(|count| count == "1")
    })
    .await
    .unwrap();
    let look = status(&rig);
    assert_eq!(
        (&look["copy"]["alive"], &look["pipeline"]["alive"]),
        (&true.into(), &true.into()),
        "{look:#}"
    );
    pgstream.kill().unwrap();
    lock.batch_execute("ROLLBACK").await.unwrap();
    let look = status(&rig);
    assert_eq!(look["copy"]["phase"], "rows", "{look:#}");
    assert_eq!(look["copy"]["tables"][0]["state"], "done", "{look:#}");
    assert_eq!(look["copy"]["rows"], 5000, "{look:#}");
    assert!(look.to_string().contains("snapshot::incomplete"), "{look:#}");
    rig.source("CREATE ROLE reader LOGIN REPLICATION; GRANT USAGE ON SCHEMA pgstream TO reader; \
                GRANT SELECT ON ALL TABLES IN SCHEMA pgstream TO reader; GRANT SELECT ON small, mark TO reader; \
                UPDATE large SET v = 'changed' WHERE id = 7; DELETE FROM large WHERE id = 8")
        .await
        .unwrap();
    let reader = rig.server.url_as("reader", "x", "source");
    let config = rig.config.replacen(&rig.server.url("source"), &reader, 1);
    let mut pgstream = Pgstream::run(&config).unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT * FROM large ORDER BY id").await.unwrap().len(), 4999);
    assert_eq!(rig.same("SELECT * FROM small ORDER BY id").await.unwrap().len(), 10);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_target_with_rows_is_refused_by_name_unless_told() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text)", "").await.unwrap();
    copying(&mut rig, ONE);
    rig.source("INSERT INTO t VALUES (1, 'source')").await.unwrap();
    rig.server.sql("target", "INSERT INTO t VALUES (7, 'target')").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(
        done.stderr.contains("sink::copy::not_empty") && done.stderr.contains("public.t"),
        "{}",
        done.stderr
    );
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM t").await.unwrap(), "1");
    for (existing, rows) in [("append", "2"), ("truncate", "1")] {
        let config = rig.config.replacen(
            "table_workers: 1",
            &format!("table_workers: 1, existing_rows: {existing}"),
            1,
        );
        let config = config.replacen("snapshot_and_replication", "snapshot", 1);
        let done = Pgstream::run(&config).unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        assert_eq!(rig.server.value("target", "SELECT count(*) FROM t").await.unwrap(), rows, "{existing}");
    }
}

#[tokio::test]
async fn what_happens_to_a_table_while_it_waits_is_seen() {
    let ddl = "CREATE TABLE first (id int PRIMARY KEY, v text); CREATE TABLE vacuumed (id int PRIMARY KEY, v text); \
               CREATE TABLE truncated (id int PRIMARY KEY, v text); CREATE TABLE dropped (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    copying(&mut rig, ONE);
    rig.source("INSERT INTO first SELECT i, repeat('x', 100) FROM generate_series(1, 5000) AS i")
        .await
        .unwrap();
    for table in ["vacuumed", "truncated", "dropped"] {
        let fill = format!(
            "INSERT INTO {table} SELECT i, 'v' FROM generate_series(1, 1000) AS i; DELETE FROM {table} WHERE id < 500"
        );
        rig.source(&fill).await.unwrap();
    }
    let lock = rig.server.connect("target").await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE first IN SHARE MODE").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    let server = &rig.server;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'target' AND wait_event_type = 'Lock' AND query LIKE 'COPY%'";
    testbed::eventually_within(PATIENCE, "the first table is being copied", || async {
        server.value("target", waits).await.is_ok_and(|count| count == "1")
    })
    .await
    .unwrap();
    rig.source("VACUUM FULL vacuumed").await.unwrap();
    rig.source("INSERT INTO vacuumed VALUES (2000, 'new')").await.unwrap();
    rig.source("TRUNCATE truncated; INSERT INTO truncated VALUES (1, 'new')").await.unwrap();
    rig.source("INSERT INTO dropped VALUES (1, 'new'); DROP TABLE dropped").await.unwrap();
    lock.batch_execute("COMMIT").await.unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT * FROM vacuumed ORDER BY id").await.unwrap().len(), 502);
    assert_eq!(rig.same("SELECT * FROM truncated ORDER BY id").await.unwrap().len(), 1);
    assert_eq!(rig.same("SELECT * FROM first ORDER BY id").await.unwrap().len(), 5000);
    assert_eq!(rig.server.value("target", "SELECT to_regclass('dropped') IS NULL").await.unwrap(), "t");
    assert!(pgstream.log().contains("it is copied again"), "{}", pgstream.log());
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn values_of_a_copy_go_through_the_rules_and_no_raw_one_arrives() {
    let modifiers = "modifiers:\n  transformations:\n    table_transformers:\n      - {table: t, column_transformers: {v: {name: masking, parameters: {type: default}}}}\n";
    let mut rig =
        Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text, n int[])", modifiers).await.unwrap();
    copying(&mut rig, COPY);
    let odd = r"INSERT INTO t SELECT i, E'raw\t\\ \n\r\b' || i, CASE WHEN i % 3 > 0 THEN ARRAY[i, NULL] END FROM generate_series(1, 5000) AS i";
    rig.source(odd).await.unwrap();
    rig.source("INSERT INTO t VALUES (0, NULL, '{}'), (-1, '', NULL)").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    rig.source("INSERT INTO t VALUES (6000, 'raw', NULL)").await.unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT id, n, v IS NULL, length(v) FROM t ORDER BY id").await.unwrap().len(), 5003);
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM t WHERE v LIKE '%raw%'").await.unwrap(), "0");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_slot_that_is_younger_than_the_copy_is_refused_and_destroy_starts_anew() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    copying(&mut rig, ONE);
    rig.source("INSERT INTO t VALUES (1)").await.unwrap();
    // It ends between the copy and the first row of the stream.
    let done = dying(&["run"], &rig.config, "copy-done", 0).finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), None, "{}", done.stderr);
    let slot = rig.server.value("source", "SELECT slot_name FROM pg_replication_slots").await.unwrap();
    rig.source(&format!("SELECT pg_drop_replication_slot('{slot}')")).await.unwrap();
    let lacks = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert!(lacks.code() == Some(1) && lacks.stderr.contains("listen::no_slot"), "{}", lacks.stderr);
    rig.source("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(Pgstream::command(&["init"], &rig.config).unwrap().code(), Some(0));
    let gap = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert!(gap.code() == Some(1) && gap.stderr.contains("checkpoint::gap"), "{}", gap.stderr);

    let destroyed = Pgstream::command(&["destroy"], &rig.config).unwrap();
    assert!(destroyed.stdout.contains("ledger of the copy: removed"), "{destroyed:?}");
    assert_eq!(Pgstream::command(&["init"], &rig.config).unwrap().code(), Some(0));
    rig.config = rig.config.replacen("table_workers: 1", "table_workers: 1, existing_rows: truncate", 1);
    let mut pgstream = rig.run().unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT id FROM t ORDER BY id").await.unwrap().len(), 2);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_goes_on_gets_the_rows_of_more_tables_and_misses_nothing_of_the_others() {
    let ddl = "CREATE TABLE old (id int PRIMARY KEY, v text); CREATE TABLE more (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.server
        .sql("source", "INSERT INTO more SELECT i, 'v' FROM generate_series(1, 100) AS i")
        .await
        .unwrap();
    let first = rig.config.clone();
    rig.config.push_str("modifiers:\n  filter: {exclude_tables: [public.more]}\n");
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO old VALUES (1, 'one')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.drain(pgstream).await.unwrap();
    // While nobody reads, both change, and the schema of the one that is not copied.
    rig.source("INSERT INTO old VALUES (2, 'two'); ALTER TABLE old ADD n int DEFAULT 7; UPDATE old SET n = 8 WHERE id = 1; \
                INSERT INTO more VALUES (101, 'new'); DELETE FROM more WHERE id = 1")
        .await
        .unwrap();
    rig.config = first;
    copying(&mut rig, ONE);
    rig.config = rig.config.replacen("snapshot: {", "snapshot: {tables: [more], ", 1);
    let mut pgstream = Pgstream::run_with(&["run", "--accept-changed-modifiers"], &rig.config).unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT * FROM old ORDER BY id").await.unwrap().len(), 2);
    assert_eq!(rig.same("SELECT * FROM more ORDER BY id").await.unwrap().len(), 100);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn one_table_that_cannot_be_copied_stops_no_other_and_is_told() {
    let ddl = "CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bad (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    copying(&mut rig, "snapshot\n    snapshot: {mode: data}");
    rig.source(
        "INSERT INTO good SELECT generate_series(1, 10); INSERT INTO bad VALUES (1, 'secret'), (2, NULL)",
    )
    .await
    .unwrap();
    rig.server
        .sql("target", "ALTER TABLE bad ADD CHECK (v IS NOT NULL), ALTER v SET NOT NULL")
        .await
        .unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(
        done.stderr.contains("snapshot::tables") && done.stderr.contains("public.bad"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("secret"), "{}", done.stderr);
    let states = "SELECT string_agg(table_name || ' ' || state, ', ' ORDER BY table_name) FROM pgstream.snapshot_tables";
    assert_eq!(rig.server.value("target", states).await.unwrap(), "bad failed, good done, mark done");
    assert!(status(&rig).to_string().contains("snapshot::tables"));
    // Mended, it is copied, and the others are not read again.
    rig.server.sql("target", "ALTER TABLE bad ALTER v DROP NOT NULL").await.unwrap();
    rig.server.sql("target", "ALTER TABLE bad DROP CONSTRAINT bad_v_check").await.unwrap();
    rig.source("REVOKE ALL ON good FROM postgres").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert_eq!(rig.same("SELECT * FROM bad ORDER BY id").await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_takes_long_tells_how_far_it_is_and_what_the_source_keeps() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    copying(&mut rig, ONE);
    rig.config = rig.config.replacen("snapshot: {", "snapshot: {wal_warning_bytes: 1, ", 1);
    rig.source("INSERT INTO t VALUES (1)").await.unwrap();
    let slow = "copy-range-written=1*sleep(4000)->off";
    let mut pgstream = Pgstream::run_failing(&["run"], &rig.config, slow).unwrap();
    streamed(&mut rig, &mut pgstream).await.unwrap();
    let log = pgstream.log();
    for line in ["copying rows=", "wal_kept_mib=", "the source keeps its log until the copy is complete"] {
        assert!(log.contains(line), "{log}");
    }
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn on_a_terminal_bars_show_how_far_it_is_and_elsewhere_nothing_is_drawn() {
    let mut rig = Rig::start(15, "CREATE TABLE wide (id int PRIMARY KEY, v text)", "").await.unwrap();
    copying(&mut rig, "snapshot\n    snapshot: {mode: data}");
    rig.source("INSERT INTO wide SELECT i, repeat('x', 200) FROM generate_series(1, 50000) AS i")
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, &rig.config).unwrap();
    let mut command = Pgstream::prepare(&["snapshot"]).unwrap();
    command.arg("-c").arg(&file);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    // `script` gives the program a terminal.
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &format!("stty cols 80; {}", words.join(" ")), "/dev/null"]).env("TERM", "xterm");
    let drawn = String::from_utf8(terminal.output().unwrap().stdout).unwrap();
    assert!(
        drawn.contains("all tables") && drawn.contains("public.wide") && drawn.contains("rows copied"),
        "{drawn}"
    );
    rig.server.sql("target", "TRUNCATE wide").await.unwrap();
    let done = Pgstream::command(&["snapshot"], &rig.config).unwrap();
    assert!(done.code() == Some(0) && !done.stderr.contains("all tables"), "{}", done.stderr);
}
