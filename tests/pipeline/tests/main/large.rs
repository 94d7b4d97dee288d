//! What is large: a transaction that does not fit into the memory it may take, and tables of millions of rows.

use std::time::Duration;

use pipeline::{PATIENCE, Rig};
use testbed::{eventually_within, tpcb};

use crate::tables::{joined, table};

/// What the process holds at most, in MiB, from its peak so far.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_transaction_larger_than_the_memory_cap_arrives_at_once_and_an_aborted_one_leaves_nothing() {
    let ddl = "CREATE TABLE public.wide (id int PRIMARY KEY, v text);";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.config = rig
        .config
        .replace("target:\n  postgres:", "target:\n  postgres:\n    batch: {max_queue_bytes: 16MiB}");
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    // 300 MB of values: each half of the process's whole allowance would be too little for one of them.
    let insert =
        "INSERT INTO public.wide SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 300000) i";
    rig.source(&format!("BEGIN; {insert}; ROLLBACK")).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM public.wide").await.unwrap(), "0");
    rig.source(insert).await.unwrap();
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    eventually_within(PATIENCE * 3, "the transaction", || async {
        let count = rig.server.value("target", "SELECT count(*) FROM public.wide").await.unwrap();
        seen.borrow_mut().insert(count.clone());
        count == "300000"
    })
    .await
    .unwrap();
    let seen = seen.into_inner();
    assert!(
        seen.iter().all(|count| count == "0" || count == "300000"),
        "half a transaction was seen: {seen:?}"
    );
    let peak = peak_mib(pgstream.pid());
    assert!(peak < 160, "{peak} MiB were held for a cap of 16 MiB");
    rig.same("SELECT count(*), sum(hashtextextended(v, id)) FROM public.wide").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

/// As `pgbench -i -s 20`, and its transactions all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_two_million_accounts_are_copied_under_load_and_again_beside_the_stream() {
    const SCALE: u32 = 20;
    let ddl = format!("{} ALTER TABLE pgbench_history REPLICA IDENTITY FULL", tpcb::DDL);
    let mut rig = Rig::start(15, &ddl, "").await.unwrap();
    rig.source(&tpcb::fill(SCALE)).await.unwrap();
    let mode = "mode: snapshot_and_replication\n    snapshot: {mode: data}";
    rig.config = rig.config.replacen("mode: replication", mode, 1);
    let (load, url) = (tpcb::Run::default(), rig.server.url("source"));
    let driver = {
        let load = load.clone();
        tokio::spawn(async move { load.drive(&url, SCALE, 2, Duration::from_millis(2)).await })
    };
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE * 3).await.unwrap();
    let during_copy = load.transactions();
    let spoil = "UPDATE pgbench_accounts SET abalance = 7 WHERE aid % 1000 = 0; DELETE FROM pgbench_tellers WHERE tid % 2 = 0";
    rig.server.sql("target", spoil).await.unwrap();
    table(&["resync", "pgbench_accounts", "pgbench_tellers"], &rig.config);
    joined(&rig.server, &mut pgstream).await;
    load.end();
    driver.await.unwrap().unwrap();
    assert!(during_copy > 100 && load.transactions() > during_copy + 100, "{during_copy}");
    rig.caught_up(&mut pgstream).await.unwrap();
    for name in tpcb::TABLES {
        rig.same(&format!("SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {name} AS t"))
            .await
            .unwrap();
    }
    let peak = peak_mib(pgstream.pid());
    assert!(peak < 128, "{peak} MiB");
    rig.drain(pgstream).await.unwrap();
}
