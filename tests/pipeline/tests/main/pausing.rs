//! The copy of a table is paused and resumed: nothing else waits for it, and each row comes once.

use std::time::Duration;

use pipeline::{Ledgered, PATIENCE, Rig, seeds};
use testbed::{Pgstream, Postgres, Random, eventually_within};

use crate::tables::{TABLES, joined, nothing_is_left, spoil, table};

/// How far the copy of a table is; nothing before it has begun.
async fn ranges(target: &Postgres, slot: &str) -> String {
    let sql = format!(
        "SELECT ranges_done || ' ' || (ranges_done = ranges) FROM pgstream.snapshot_tables \
         WHERE table_name = 'large' AND slot LIKE '{slot}' AND ranges > 0"
    );
    target.value("target", &sql).await.unwrap_or_default()
}

/// Waits until `large` has a range and stands still, with some of its ranges left.
async fn stands_still(target: &Postgres, slot: &str) -> String {
    let mut before = String::new();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let now = ranges(target, slot).await;
        if now == before && now.ends_with("false") {
            return now;
        }
        before = now;
    }
    panic!("it does not stand still: {before}");
}

/// Has `large` copied again beside the stream and pauses it; where it stands still.
async fn paused_in_the_middle(rig: &Rig) -> String {
    table(&["resync", "large"], &rig.config);
    eventually_within(PATIENCE, "a range is copied", || async {
        ranges(&rig.server, "%\\_tables").await.ends_with("false")
    })
    .await
    .unwrap();
    table(&["pause", "large"], &rig.config);
    stands_still(&rig.server, "%\\_tables").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_table_waits_where_it_is_and_nothing_waits_for_it() {
    let ddl =
        "CREATE TABLE large (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    let fill = "INSERT INTO large SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, 20000) AS i; \
                INSERT INTO other SELECT i, 'v' FROM generate_series(1, 100) AS i";
    rig.source(fill).await.unwrap();
    let mode =
        "snapshot_and_replication\n    snapshot: {mode: data, data: {batch_bytes: 64KiB, table_workers: 2}}";
    rig.config = rig.config.replacen("mode: replication", &format!("mode: {mode}"), 1);
    // Every range takes some time.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id % 100 = 0 THEN PERFORM pg_sleep(0.02); END IF; \
                RETURN NEW; END $$; CREATE TRIGGER slow BEFORE INSERT ON large FOR EACH ROW EXECUTE FUNCTION slow(); \
                ALTER TABLE large ENABLE ALWAYS TRIGGER slow";
    rig.server.sql("target", slow).await.unwrap();
    // The initial copy: the other table is copied, the rest of this one is not.
    let mut pgstream = rig.run().unwrap();
    eventually_within(PATIENCE, "a range is copied", || async {
        ranges(&rig.server, "%").await.parse::<f64>().is_err() && !ranges(&rig.server, "%").await.is_empty()
    })
    .await
    .unwrap();
    let told = table(&["pause", "large", "other"], &rig.config);
    assert!(told.contains("public.large is paused"), "{told}");
    let at = stands_still(&rig.server, "%").await;
    let told = Pgstream::command(&["status"], &rig.config).unwrap();
    assert!(told.stdout.contains("paused: public.large"), "{}", told.stdout);
    table(&["resume", "other"], &rig.config);
    // Killed while it is paused, and started again: paused still.
    pgstream.kill().unwrap();
    pgstream = rig.run().unwrap();
    pgstream.logs("paused:", PATIENCE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ranges(&rig.server, "%").await, "0 false", "it was {at}: {}", pgstream.log());
    let other = "SELECT state FROM pgstream.snapshot_tables WHERE table_name = 'other'";
    assert_eq!(rig.server.value("target", other).await.unwrap(), "done");
    let told = table(&["resume", "large"], &rig.config);
    assert!(told.contains("public.large is copied on"), "{told}");
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM large ORDER BY id").await.unwrap();
    // Beside the stream, which goes on.
    let at = paused_in_the_middle(&rig).await;
    rig.source("UPDATE other SET v = 'w'; UPDATE large SET v = 'w' WHERE id % 7 = 0").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM other ORDER BY id").await.unwrap();
    assert_eq!(ranges(&rig.server, "%\\_tables").await, at);
    table(&["resume", "large"], &rig.config);
    joined(&rig.server, &mut pgstream).await;
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM large ORDER BY id").await.unwrap();
    // Cancelled in the middle, it is not read to its end.
    paused_in_the_middle(&rig).await;
    table(&["cancel", "large"], &rig.config);
    eventually_within(PATIENCE, "the copy ends", || async {
        rig.server
            .value("target", "SELECT count(*) FROM pgstream.snapshot_tables WHERE slot LIKE '%\\_tables'")
            .await
            .is_ok_and(|count| count == "0")
    })
    .await
    .unwrap();
    let told = table(&["pause", "large"], &rig.config);
    assert!(told.contains("public.large is not being copied"), "{told}");
    table(&["resync", "large"], &rig.config);
    joined(&rig.server, &mut pgstream).await;
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM large ORDER BY id").await.unwrap();
    nothing_is_left(&rig.server, &rig.server).await;
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_resumed_stopped_and_killed_at_random_each_row_comes_once() {
    let mut pair = Ledgered::start(15, "").await.unwrap();
    pair.mode =
        "snapshot_and_replication\n    snapshot: {mode: data, data: {batch_bytes: 64KiB, table_workers: 2}}"
            .to_owned();
    let load = pair.load(7);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    for seed in seeds(3) {
        let mut random = Random::new(seed);
        for _ in 0..12 {
            let of = TABLES[random.below(3) as usize];
            match random.below(6) {
                0 | 1 => drop(table(&["pause", of], &pair.config())),
                2 | 3 => drop(table(&["resume", of], &pair.config())),
                4 => {
                    pgstream.kill().unwrap();
                    pgstream = Pgstream::run(&pair.config()).unwrap();
                }
                _ => {
                    pgstream.stop(PATIENCE).await.unwrap();
                    pgstream = Pgstream::run(&pair.config()).unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(u64::from(random.below(400)))).await;
            assert!(pgstream.is_running(), "seed {seed}: it ended: {}", pgstream.log());
        }
        table(&[&["resume"], &TABLES[..]].concat(), &pair.config());
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        joined(&pair.target, &mut pgstream).await;
        // The next seed finds copies beside the stream.
        spoil(&pair.target).await;
        table(&[&["resync"], &TABLES[..]].concat(), &pair.config());
    }
    joined(&pair.target, &mut pgstream).await;
    load.stop().await.unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    nothing_is_left(&pair.source, &pair.target).await;
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_target_lacks_for_one_table_does_not_keep_the_others() {
    let tables: Vec<String> =
        (0..7).map(|n| format!("CREATE TABLE t{n} (id int PRIMARY KEY, v numeric(12, 4))")).collect();
    let mut rig = Rig::start(15, &tables.join("; "), "").await.unwrap();
    let fill: Vec<String> = (0..7)
        .map(|n| format!("INSERT INTO t{n} SELECT i, i / 8.0 FROM generate_series(1, 50) AS i"))
        .collect();
    rig.source(&fill.join("; ")).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.server
        .sql("target", "ALTER TABLE t3 ALTER v TYPE numeric(12, 2); DELETE FROM t0; DELETE FROM t6")
        .await
        .unwrap();
    let names: Vec<String> = (0..7).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    table(&[&["resync"], &names[..]].concat(), &rig.config);
    joined(&rig.server, &mut pgstream).await;
    let states = "SELECT string_agg(table_name || ' ' || state, ', ' ORDER BY table_name) FROM pgstream.snapshot_tables";
    assert_eq!(
        rig.server.value("target", states).await.unwrap(),
        "t0 done, t1 done, t2 done, t3 failed, t4 done, t5 done, t6 done",
        "{}",
        pgstream.log()
    );
    rig.source("UPDATE t0 SET v = 1; UPDATE t3 SET v = 1; UPDATE t6 SET v = 1").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    for name in ["t0", "t4", "t6"] {
        rig.same(&format!("SELECT * FROM {name} ORDER BY id")).await.unwrap();
    }
    rig.drain(pgstream).await.unwrap();
}
