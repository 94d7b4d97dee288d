//! SIGTERM drains and confirms; a second one stops at once.

use std::time::Duration;

use pipeline::{PATIENCE, Rig};
use testbed::eventually_within;

#[tokio::test]
async fn sigterm_applies_what_has_arrived_confirms_it_to_the_slot_and_exits_0() {
    let rig = Rig::start(15, "CREATE TABLE public.t (id int PRIMARY KEY, a text)", "").await.unwrap();
    let pgstream = rig.run().unwrap();
    rig.source("INSERT INTO public.t SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")
        .await
        .unwrap();
    let server = &rig.server;
    eventually_within(PATIENCE, "rows arrive", || async {
        server.value("target", "SELECT count(*) > 0 FROM public.t").await.is_ok_and(|some| some == "t")
    })
    .await
    .unwrap();
    rig.drain(pgstream).await.unwrap();
    let count = rig.server.value("target", "SELECT count(*) FROM public.t").await.unwrap();
    assert_eq!(count, "20000", "a transaction is there whole");
    let stored = rig.server.value("target", "SELECT lsn FROM pgstream.progress").await.unwrap();
    let slot = "SELECT confirmed_flush_lsn, active FROM pg_replication_slots";
    let slot = rig.server.rows("source", slot).await.unwrap();
    assert_eq!(slot, [[Some(stored), Some("f".to_owned())]], "the slot knows what the target has");
}

#[tokio::test]
async fn a_second_sigterm_stops_at_once_and_the_next_run_goes_on() {
    let mut rig = Rig::start(15, "CREATE TABLE public.t (id int PRIMARY KEY, a text)", "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO public.t VALUES (1, 'a')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    // A lock on the target keeps the drain waiting.
    let client = rig.server.connect("target").await.unwrap();
    client.batch_execute("BEGIN; LOCK TABLE public.t").await.unwrap();
    rig.source("UPDATE public.t SET a = 'b'").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    pgstream.terminate();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(pgstream.is_running(), "the first signal waits for the rows in flight");
    pgstream.terminate();
    let done = pgstream.finish(Duration::from_secs(5)).await.unwrap();
    assert_eq!(done.code(), Some(143), "{}", done.stderr);
    client.batch_execute("ROLLBACK").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM public.t ORDER BY id").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}
