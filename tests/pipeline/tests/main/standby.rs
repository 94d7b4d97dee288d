//! A standby as the source: what is copied from it and what it streams is what its primary has.

use std::time::Duration;

use pipeline::{Ledgered, PATIENCE};
use testbed::{Pgstream, Postgres, eventually_within};

/// Ledgered servers, and a standby of the source whose slot the pipeline reads.
async fn with_standby(mode: &str, settings: &[(&str, &str)]) -> (Ledgered, Postgres) {
    let mut pair = Ledgered::bare(17, "").await.unwrap();
    // What is made on the primary reaches the standby; the slot is the standby's own.
    let done = Pgstream::command(&["init", "--migrations-only"], &pair.config()).unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let sql = "CREATE PUBLICATION pgstream_source FOR ALL TABLES WITH (publish_via_partition_root = true)";
    pair.source.sql("source", sql).await.unwrap();
    let standby = pair.source.standby(settings).unwrap();
    pair.mode = mode.to_owned();
    (pair, standby)
}

/// Makes the slot on the standby, which waits for its primary to say what it runs.
async fn init(pair: &Ledgered, standby: &Postgres) -> String {
    let config = pair.config_of(&standby.url("source"), &pair.target.url("target"));
    let making = tokio::task::spawn_blocking({
        let config = config.clone();
        move || Pgstream::command(&["init", "--slot-only"], &config).unwrap()
    });
    while !making.is_finished() {
        pair.source.sql("source", "SELECT pg_log_standby_snapshot()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let done = making.await.unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_and_a_stream_from_a_standby_bring_each_row_once() {
    let copy = "snapshot_and_replication\n    snapshot: {mode: data, data: {batch_bytes: 64KiB}}";
    let (pair, standby) = with_standby(copy, &[]).await;
    let load = pair.load(1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let config = init(&pair, &standby).await;
    let mut pgstream = Pgstream::run(&config).unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    pgstream.kill().unwrap();
    let mut pgstream = Pgstream::run(&config).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(load.stop().await.unwrap().committed > 50);
    pair.settles(&mut pgstream).await.unwrap();
    assert_eq!(standby.value("source", "SELECT pg_is_wal_replay_paused()").await.unwrap(), "f");
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_pause_a_standby_is_told_the_grant() {
    let (mut pair, standby) = with_standby("snapshot_and_replication\n    snapshot: {mode: data}", &[]).await;
    init(&pair, &standby).await;
    let role = "CREATE ROLE reader LOGIN REPLICATION; GRANT pg_read_all_data TO reader";
    pair.source.sql("source", role).await.unwrap();
    let there = "SELECT count(*) FROM pg_roles WHERE rolname = 'reader'";
    eventually_within(PATIENCE, "the role reaches the standby", || async {
        standby.value("source", there).await.is_ok_and(|count| count == "1")
    })
    .await
    .unwrap();
    let config = pair.config_of(&standby.url_as("reader", "", "source"), &pair.target.url("target"));
    let done = Pgstream::run(&config).unwrap().finish(PATIENCE).await.unwrap();
    assert!(done.code() == Some(1) && done.stderr.contains("GRANT EXECUTE ON FUNCTION"), "{}", done.stderr);
    assert_eq!(standby.value("source", "SELECT pg_is_wal_replay_paused()").await.unwrap(), "f");
    // Without a stream it takes no right: one reader sees the same all the time.
    pair.mode = "snapshot\n    snapshot: {mode: data}".to_owned();
    let config = pair.config_of(&standby.url_as("reader", "", "source"), &pair.target.url("target"));
    let done = Pgstream::run(&config).unwrap().finish(PATIENCE).await.unwrap();
    assert!(done.code() == Some(0) && done.stderr.contains("one reader only"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_a_standby_cancels_is_tried_again() {
    // The standby ends queries that are in the way of what its primary removes, at once.
    let settings = [("hot_standby_feedback", "off"), ("max_standby_streaming_delay", "0")];
    let (pair, standby) = with_standby(
        "snapshot\n    snapshot: {mode: data, data: {batch_bytes: 64KiB, table_workers: 1}}",
        &settings,
    )
    .await;
    pair.source
        .sql(
            "source",
            "CREATE TABLE public.large (id int PRIMARY KEY, v text); \
            INSERT INTO public.large SELECT i, repeat('x', 100) FROM generate_series(1, 50000) AS i",
        )
        .await
        .unwrap();
    pair.target.sql("target", "CREATE TABLE public.large (id int PRIMARY KEY, v text)").await.unwrap();
    let rows = "SELECT count(*) FROM public.large";
    eventually_within(PATIENCE, "the rows reach the standby", || async {
        standby.value("source", rows).await.is_ok_and(|count| count == "50000")
    })
    .await
    .unwrap();
    let config = pair.config_of(&standby.url("source"), &pair.target.url("target"));
    // It holds its moment until the target lets it write.
    let lock = pair.target.connect("target").await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE public.large IN SHARE MODE").await.unwrap();
    let mut pgstream = Pgstream::run(&config).unwrap();
    pgstream.logs("moment of the copy taken", PATIENCE).await.unwrap();
    for sql in ["DELETE FROM public.large WHERE id % 2 = 0", "VACUUM public.large"] {
        pair.source.sql("source", sql).await.unwrap();
    }
    eventually_within(PATIENCE, "the standby has vacuumed", || async {
        standby.value("source", rows).await.is_ok_and(|count| count == "25000")
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    lock.batch_execute("ROLLBACK").await.unwrap();
    let done = pgstream.finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("copying on, as of a new moment"), "{}", done.stderr);
    let count =
        pair.target.value("target", "SELECT count(*) || ' ' || sum(id) FROM public.large").await.unwrap();
    assert_eq!(
        count,
        pair.source.value("source", "SELECT count(*) || ' ' || sum(id) FROM public.large").await.unwrap()
    );
}
