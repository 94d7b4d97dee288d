//! Where a stream goes on: transactions that a restart meets in the middle, and sources that are not what they were.

use crate::faults::dying;
use std::time::Duration;

use pipeline::{PATIENCE, Rig, seeds};
use testbed::{Finished, Options, Pgstream, Postgres, Stop, eventually_within};

const TABLES: &str = "CREATE TABLE public.item (id int PRIMARY KEY, v text);
    CREATE TABLE public.entry (n int, v text); ALTER TABLE public.entry REPLICA IDENTITY FULL;";

/// The text of a configuration between two servers.
fn config(source: &Postgres, target: &Postgres) -> String {
    format!(
        "source:\n  postgres:\n    url: {}\n    mode: replication\ntarget:\n  postgres:\n    url: {}\n",
        source.url("source"),
        target.url("target")
    )
}

/// Two servers with the tables, and a slot that both agree on.
async fn two_servers() -> (Postgres, Postgres) {
    two_servers_of(15).await
}

async fn two_servers_of(major: u16) -> (Postgres, Postgres) {
    let (source, target) =
        (Postgres::start(Options::major(major)).unwrap(), Postgres::start(Options::major(major)).unwrap());
    for (server, database) in [(&source, "source"), (&target, "target")] {
        server.create_database(database).await.unwrap();
        server.sql(database, TABLES).await.unwrap();
    }
    let done = Pgstream::command(&["init"], &config(&source, &target)).unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    (source, target)
}

/// Runs until `want` rows of `item` are in the target, then drains.
async fn runs_until(source: &Postgres, target: &Postgres, want: &str) {
    let pgstream = Pgstream::run(&config(source, target)).unwrap();
    arrives(target, "SELECT count(*) FROM public.item", want).await;
    let done = pgstream.stop(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
}

async fn arrives(target: &Postgres, query: &str, want: &str) {
    eventually_within(PATIENCE, query, || async {
        target.value("target", query).await.is_ok_and(|got| got == want)
    })
    .await
    .unwrap();
}

/// It must end by itself, with the code of an error that only a person can mend.
async fn refused(source: &Postgres, target: &Postgres, code: &str) -> Finished {
    let done = Pgstream::run(&config(source, target)).unwrap().finish(PATIENCE).await.unwrap();
    assert!(done.stderr.contains(code), "{code} was expected:\n{}", done.stderr);
    assert!(done.code().is_some_and(|code| code > 0), "{:?}", done.code());
    done
}

#[tokio::test]
async fn rows_of_one_transaction_share_a_position_and_a_kill_between_them_neither_loses_nor_doubles_one() {
    let rig = Rig::start(15, TABLES, "").await.unwrap();
    let config = rig.config.replace("target:\n  postgres:", "target:\n  postgres:\n    batch: {size: 300}");
    for (at, passes) in [0, 2, 5].into_iter().enumerate() {
        let first = at * 10_000;
        rig.source(&format!(
            "INSERT INTO public.entry SELECT i, 'v' || i FROM generate_series({first}, {first} + 9999) i"
        ))
        .await
        .unwrap();
        let dead = dying(&["run"], &config, "part-applied", passes).finish(PATIENCE).await.unwrap();
        assert_eq!(dead.code(), None, "{}", dead.stderr);
        let count = rig.server.value("target", "SELECT count(*) FROM public.entry").await.unwrap();
        assert_eq!(count, first.to_string(), "half of the transaction is visible");
        let pgstream = Pgstream::run(&config).unwrap();
        arrives(&rig.server, "SELECT count(*) FROM public.entry", &(first + 10_000).to_string()).await;
        rig.drain(pgstream).await.unwrap();
    }
    rig.same("SELECT n, v, count(*) FROM public.entry GROUP BY 1, 2 ORDER BY 1").await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_open_across_restarts_arrives_once_when_it_is_committed() {
    let mut rig = Rig::start(15, TABLES, "").await.unwrap();
    let long = rig.server.connect("source").await.unwrap();
    long.batch_execute(
        "BEGIN; INSERT INTO public.entry VALUES (1, 'long'); INSERT INTO public.item VALUES (1, 'long')",
    )
    .await
    .unwrap();
    for seed in seeds(4) {
        let mut pgstream = rig.run().unwrap();
        rig.source(&format!("INSERT INTO public.item VALUES ({}, 'short')", 10 + seed)).await.unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        long.batch_execute(&format!("INSERT INTO public.entry VALUES ({seed}, 'later')")).await.unwrap();
        if seed % 2 == 0 {
            rig.drain(pgstream).await.unwrap();
        } else {
            pgstream.kill().unwrap();
        }
    }
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM public.entry").await.unwrap(), "0");
    long.batch_execute("COMMIT").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM public.entry ORDER BY 1, 2").await.unwrap();
    rig.same("SELECT * FROM public.item ORDER BY 1").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_large_value_before_small_commits_does_not_push_the_slot_beyond_the_log() {
    let mut rig = Rig::start(15, TABLES, "").await.unwrap();
    for round in 0..3 {
        let mut pgstream = rig.run().unwrap();
        rig.source(&format!("INSERT INTO public.item VALUES ({round}, repeat(md5('{round}'), 5 * 32768))"))
            .await
            .unwrap();
        for small in 0..5 {
            rig.source(&format!("INSERT INTO public.entry VALUES ({small}, 'small')")).await.unwrap();
        }
        rig.caught_up(&mut pgstream).await.unwrap();
        pgstream.kill().unwrap();
        let beyond =
            "SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn > pg_current_wal_lsn()";
        assert_eq!(rig.server.value("source", beyond).await.unwrap(), "0");
    }
    rig.same("SELECT id, md5(v) FROM public.item ORDER BY 1").await.unwrap();
    rig.same("SELECT n, v, count(*) FROM public.entry GROUP BY 1, 2 ORDER BY 1").await.unwrap();
}

#[tokio::test]
async fn a_prepared_transaction_arrives_at_its_commit_and_never_if_it_is_rolled_back() {
    let mut rig = Rig::start(15, TABLES, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    for (id, name) in [(1, "kept"), (2, "dropped")] {
        rig.source(&format!(
            "BEGIN; INSERT INTO public.item VALUES ({id}, '{name}'); PREPARE TRANSACTION '{name}'"
        ))
        .await
        .unwrap();
    }
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM public.item").await.unwrap(), "0");
    pgstream.kill().unwrap();
    rig.source("COMMIT PREPARED 'kept'").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("ROLLBACK PREPARED 'dropped'").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let rows = rig.same("SELECT id::text, v FROM public.item").await.unwrap();
    assert_eq!(rows.len(), 1);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_ended_again_and_again_goes_on_each_time() {
    let mut rig = Rig::start(15, TABLES, "").await.unwrap();
    rig.config = rig.config.replacen(
        "mode: replication",
        "mode: replication\n    retry_policy: {exponential: {initial_interval: 20ms, max_interval: 100ms}}",
        1,
    );
    let mut pgstream = rig.run().unwrap();
    let kill = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active";
    let mut killed = 0;
    for round in 0..60 {
        rig.source(&format!("INSERT INTO public.entry SELECT {round}, 'v' FROM generate_series(1, 20)"))
            .await
            .unwrap();
        if round % 4 == 0 && !rig.server.value("source", kill).await.unwrap().is_empty() {
            killed += 1;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(killed >= 5, "{killed}");
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT n, v, count(*) FROM public.entry GROUP BY 1, 2 ORDER BY 1").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_slot_that_was_made_anew_is_a_gap_and_the_stream_stops() {
    let (source, target) = two_servers().await;
    source.sql("source", "INSERT INTO public.item VALUES (1, 'a')").await.unwrap();
    runs_until(&source, &target, "1").await;
    source
        .sql("source", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        .await
        .unwrap();
    source.sql("source", "INSERT INTO public.item VALUES (2, 'in the gap')").await.unwrap();
    let done = Pgstream::command(&["init"], &config(&source, &target)).unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    source.sql("source", "INSERT INTO public.item VALUES (3, 'after the gap')").await.unwrap();
    let done = refused(&source, &target, "checkpoint::gap").await;
    assert!(done.stderr.contains("bytes of log"), "{}", done.stderr);
    assert_eq!(target.value("target", "SELECT count(*) FROM public.item").await.unwrap(), "1");
}

#[tokio::test]
async fn another_cluster_with_a_slot_of_the_same_name_is_refused() {
    let (source, target) = two_servers().await;
    source.sql("source", "INSERT INTO public.item VALUES (1, 'a')").await.unwrap();
    runs_until(&source, &target, "1").await;
    // Servers of one version are copies of one cluster here.
    let (other, _) = two_servers_of(17).await;
    other.sql("source", "INSERT INTO public.item VALUES (9, 'of another')").await.unwrap();
    refused(&other, &target, "checkpoint::other_system").await;
    assert_eq!(target.value("target", "SELECT count(*) FROM public.item").await.unwrap(), "1");
}

#[tokio::test]
async fn a_source_that_was_restored_from_a_backup_is_refused() {
    let (mut source, target) = two_servers().await;
    source.sql("source", "INSERT INTO public.item VALUES (1, 'a')").await.unwrap();
    runs_until(&source, &target, "1").await;
    source.stop(Stop::Fast).unwrap();
    let backup = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(status.success());
    };
    copy(&source.data(), backup.path());
    source.start_again().unwrap();
    source
        .sql("source", "INSERT INTO public.item SELECT i, repeat('x', 1000) FROM generate_series(2, 100) i")
        .await
        .unwrap();
    runs_until(&source, &target, "100").await;
    source.stop(Stop::Fast).unwrap();
    std::fs::remove_dir_all(source.data()).unwrap();
    copy(&backup.path().join("data"), &source.data());
    source.start_again().unwrap();
    // Its log is not yet where the target is: what it writes now would be taken for old.
    source.sql("source", "INSERT INTO public.item VALUES (1000, 'after the restore')").await.unwrap();
    refused(&source, &target, "checkpoint::went_back").await;
}
