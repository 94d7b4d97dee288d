//! What is acknowledged, and how a stream ends: on request, by a lost connection, by a stage that has gone.

use std::time::Duration;

use event::{Lsn, Walk};

use crate::bed::{Bed, DATABASE, Running, on_each_major};

const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, v text)";

/// The ends of the transactions with rows in them, up to `count`.
async fn commits(running: &mut Running, count: usize) -> Vec<Lsn> {
    let mut found = Vec::new();
    while found.len() < count {
        let held = running.batch().await;
        let ends = held.batch.walk().filter_map(|step| match step {
            Walk::Commit { end } => Some(end),
            _ => None,
        });
        found.extend(ends);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_never_moves_beyond_what_was_confirmed() {
    on_each_major!(bed, {
        bed.sql(ROWS).await;
        bed.init().await;
        let start = bed.slot_confirmed().await;
        let mut running = bed.stream().await;
        for id in 0..5 {
            bed.sql(&format!("INSERT INTO t VALUES ({id})")).await;
        }
        let ends = commits(&mut running, 5).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(bed.slot_confirmed().await, start, "nothing was confirmed");
        for end in &ends[..3] {
            running.confirm.send_replace(*end);
            testbed::eventually("the slot follows", async || bed.slot_confirmed().await == *end)
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(bed.slot_confirmed().await, ends[2]);
        let summary = running.end().await.unwrap();
        assert!(summary.acknowledged);
        assert_eq!((summary.confirmed, summary.transactions, summary.rows), (ends[2], 5, 5));
        assert!(!bed.slot_is_active().await, "the slot is free at once");

        // What was not confirmed comes again, the same.
        let mut running = bed.stream().await;
        assert_eq!(commits(&mut running, 2).await, ends[3..]);
        // A later position of the target's own is taken as well.
        running.end().await.unwrap();
        let source = bed.source().await;
        let (out, batches) = buffer::link();
        let (confirm, confirmed) = tokio::sync::watch::channel(ends[3]);
        let stop = tokio_util::sync::CancellationToken::new();
        let budget = buffer::Budget::new(1 << 20);
        let task = tokio::spawn(source.stream(ends[3], out, budget, confirmed, stop.clone()));
        let mut running = Running { batches, confirm, stop, task };
        assert_eq!(commits(&mut running, 1).await, ends[4..]);
        running.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_after_the_stop_still_reaches_the_slot() {
    on_each_major!(bed, {
        bed.sql(ROWS).await;
        bed.init().await;
        let mut running = bed.stream().await;
        bed.sql("INSERT INTO t VALUES (1)").await;
        let end = commits(&mut running, 1).await[0];
        running.stop.cancel();
        while running.batches.recv().await.is_some() {}
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!running.task.is_finished(), "it waits for the last position");
        running.confirm.send_replace(end);
        let summary = running.end().await.unwrap();
        assert_eq!((summary.confirmed, summary.acknowledged), (end, true));
        assert_eq!(bed.slot_confirmed().await, end);
        assert!(!bed.slot_is_active().await);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_inside_a_large_transaction_leaves_it_without_a_commit() {
    on_each_major!(bed, {
        bed.sql(ROWS).await;
        bed.init().await;
        bed.sql("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 100000) AS i").await;
        let mut running = bed.stream().await;
        drop(running.batch().await);
        running.stop.cancel();
        let mut rows = 0;
        // A slow reader: the end of the transaction is not near.
        while let Some(held) = running.batches.recv().await {
            assert_eq!(held.batch.end(), None);
            rows += held.batch.rows();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(rows < 99_000, "{rows}");
        running.end().await.unwrap();
        assert!(!bed.slot_is_active().await);
        let mut again = bed.stream().await;
        commits(&mut again, 1).await;
        again.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_the_stream_back_and_not_the_session() {
    for major in testbed::majors() {
        let bed = Bed::start(testbed::Options::major(major).set("wal_sender_timeout", "1s")).await;
        bed.sql(ROWS).await;
        bed.init().await;
        bed.sql("INSERT INTO t VALUES (0)").await;
        bed.sql("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) AS i").await;
        let mut running = Running::start(bed.source().await, 1 << 20);
        let first = running.batch().await;
        let end = first.batch.walk().find_map(|step| match step {
            Walk::Commit { end } => Some(end),
            _ => None,
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(bed.slot_is_active().await, "the server still hears of us");
        running.confirm.send_replace(end.unwrap());
        testbed::eventually("what is confirmed passes", async || bed.slot_confirmed().await == end.unwrap())
            .await
            .unwrap();
        drop(first);
        commits(&mut running, 1).await;
        running.end().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_next_stage_has_gone_the_stream_ends_without_an_error() {
    on_each_major!(bed, {
        bed.sql(ROWS).await;
        bed.init().await;
        let Running { batches, confirm, stop: _stop, task } = bed.stream().await;
        drop(batches);
        bed.sql("INSERT INTO t VALUES (1)").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(confirm);
        let summary = tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap().unwrap();
        assert_eq!(summary.rows, 0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_walsender_and_a_restarted_server_are_transient_and_lose_nothing() {
    on_each_major!(bed, {
        let mut bed = bed;
        bed.sql(ROWS).await;
        bed.init().await;
        let mut seen = 0;
        for round in 0..4 {
            let mut running = bed.stream().await;
            bed.sql(&format!("INSERT INTO t SELECT i FROM generate_series({round}000, {round}999) AS i"))
                .await;
            let end = commits(&mut running, 1).await[0];
            seen += 1;
            running.confirm.send_replace(end);
            testbed::eventually("the slot follows", async || bed.slot_confirmed().await >= end)
                .await
                .unwrap();
            match round {
                0 => bed.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots").await,
                1 => bed.server.restart(testbed::Stop::Fast).unwrap(),
                2 => bed.server.restart(testbed::Stop::Immediate).unwrap(),
                _ => {
                    bed.server.kill().unwrap();
                    bed.server.start_again().unwrap();
                }
            }
            let error = running.failed().await;
            assert!(error.is_transient(), "round {round}: {error:?}");
        }
        assert_eq!(seen, 4);
        let mut running = bed.stream().await;
        bed.sql("INSERT INTO t VALUES (-1)").await;
        let lines = running.lines(&bed).await;
        // A killed server may have forgotten the last acknowledgements; then it sends again, and never less.
        assert!(lines.ends_with(&["begin", "insert public.t (id=-1 v=null)", "commit"].map(str::to_owned)));
        running.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_dropped_under_the_stream_is_not_made_anew() {
    on_each_major!(bed, {
        bed.init().await;
        let running = bed.stream().await;
        testbed::eventually("the slot is active", async || bed.slot_is_active().await).await.unwrap();
        bed.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots").await;
        testbed::eventually("the slot is free", async || !bed.slot_is_active().await).await.unwrap();
        bed.sql("SELECT pg_drop_replication_slot('pgstream_shop_slot')").await;
        assert!(running.failed().await.is_transient());
        let error = listen::wal::Source::connect(bed.options.clone()).await.unwrap_err();
        assert!(matches!(error, listen::wal::Error::NoSlot { .. }) && !error.is_transient(), "{error}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn long_and_short_transactions_interleave_and_come_in_commit_order() {
    on_each_major!(bed, {
        bed.sql(ROWS).await;
        bed.init().await;
        let long = bed.server.connect(DATABASE).await.unwrap();
        long.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
        let mut running = bed.stream().await;
        bed.sql("INSERT INTO t VALUES (2)").await;
        let first = commits(&mut running, 1).await[0];
        running.confirm.send_replace(first);
        running.end().await.unwrap();
        // The long one began before the position that is confirmed, and ends after it.
        let mut running = bed.stream().await;
        long.batch_execute("INSERT INTO t VALUES (3); COMMIT").await.unwrap();
        let lines = running.lines(&bed).await;
        assert_eq!(
            lines,
            ["begin", "insert public.t (id=1 v=null)", "insert public.t (id=3 v=null)", "commit"]
        );
        running.end().await.unwrap();
    });
}
