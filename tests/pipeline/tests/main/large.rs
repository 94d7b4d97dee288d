//! A transaction that is larger than the memory it may take.

use pipeline::{PATIENCE, Rig};
use testbed::eventually_within;

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
