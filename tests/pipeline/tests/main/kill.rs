//! SIGKILL under load: nothing lost, nothing doubled, no transaction seen half.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pipeline::Rig;
use testbed::Postgres;

/// `balance` is moved between accounts, so its sum never changes; `entry` has no key, so a row applied twice is
/// there twice; `note` has rows that come, change and go.
const DDL: &str = r#"
CREATE TABLE public.account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE public.entry (writer int, n int, delta int);
ALTER TABLE public.entry REPLICA IDENTITY FULL;
CREATE TABLE public.note (id bigint PRIMARY KEY, body text);
"#;

const ACCOUNTS: u64 = 50;

/// A small generator (xorshift*), so that a seed says everything.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// Seeds of this run; `PGSTREAM_SEEDS` widens it.
fn seeds() -> u64 {
    std::env::var("PGSTREAM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20)
}

async fn write(server: Arc<Postgres>, writer: u64, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) {
    let client = server.connect("source").await.unwrap();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (writer + 1));
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let (from, to, amount) = (dice.roll(ACCOUNTS), dice.roll(ACCOUNTS), dice.roll(100));
        // Several writers lock in one order, so that they do not stop each other.
        let (low, high) = (from.min(to), from.max(to));
        let mut sql = format!(
            "BEGIN; UPDATE public.account SET balance = balance - {amount} WHERE id = {low}; \
             UPDATE public.account SET balance = balance + {amount} WHERE id = {high}; \
             INSERT INTO public.entry VALUES ({writer}, {n}, {amount});"
        );
        match dice.roll(8) {
            0 => sql.push_str(&format!("DELETE FROM public.entry WHERE writer = {writer} AND n = {};", n - 3)),
            1 => sql.push_str(&format!("UPDATE public.entry SET delta = -1 WHERE writer = {writer} AND n = {};", n - 2)),
            2 => sql.push_str(&format!(
                "INSERT INTO public.note SELECT {n} * 1000000::bigint + {writer} * 1000 + i, repeat('x', i) FROM generate_series(1, {}) i;",
                dice.roll(300) + 1
            )),
            3 => sql.push_str(&format!("DELETE FROM public.note WHERE id % 1000 < 50 AND id / 1000 % 1000 = {writer};")),
            4 => sql.push_str(&format!("UPDATE public.note SET body = body || '{n}' WHERE id = {n} * 1000000::bigint + {writer} * 1000 + 1;")),
            _ => {}
        }
        let end = if dice.roll(12) == 0 { "ROLLBACK" } else { "COMMIT" };
        client.batch_execute(&format!("{sql} {end}")).await.unwrap();
        written.fetch_add(1, Ordering::Relaxed);
        if dice.roll(4) == 0 {
            tokio::time::sleep(Duration::from_millis(dice.roll(4))).await;
        }
    }
}

/// Looks at the target again and again: the sum of the balances is the same at every moment.
async fn watch(server: Arc<Postgres>, total: String, stop: Arc<AtomicBool>) -> u64 {
    let client = server.connect("target").await.unwrap();
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        let row = client
            .query_one("SELECT coalesce(sum(balance), 0)::text FROM public.account", &[])
            .await
            .unwrap();
        let sum: String = row.get(0);
        assert!(sum == total || sum == "0", "half a transaction was seen: the balances add up to {sum}");
        looks += 1;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    looks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_nothing_is_lost_doubled_or_seen_half() {
    let mut rig = Rig::start(15, DDL, "").await.unwrap();
    rig.source(&format!(
        "INSERT INTO public.account SELECT i, 1000 FROM generate_series(0, {}) i",
        ACCOUNTS - 1
    ))
    .await
    .unwrap();
    let total = (ACCOUNTS * 1000).to_string();
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let server = Arc::clone(&rig.server);
    let mut tasks = Vec::new();
    for writer in 0..3 {
        tasks.push(tokio::spawn(write(Arc::clone(&server), writer, Arc::clone(&stop), Arc::clone(&written))));
    }
    let watch = tokio::spawn(watch(Arc::clone(&server), total, Arc::clone(&stop)));

    for seed in 1..=seeds() {
        let mut dice = Dice(seed);
        let pgstream = rig.run().unwrap();
        tokio::time::sleep(Duration::from_millis(150 + dice.roll(900))).await;
        let done = pgstream.kill().unwrap();
        assert_eq!(done.code(), None, "seed {seed}: ended by itself: {}", done.stderr);
        let positions = server
            .rows(
                "target",
                "SELECT p.lsn >= s.confirmed_flush_lsn FROM pgstream.progress p, pg_replication_slots s WHERE s.slot_name = p.slot",
            )
            .await
            .unwrap_or_default();
        assert!(
            positions.iter().flatten().all(|ahead| ahead.as_deref() == Some("t")),
            "seed {seed}: the slot is ahead"
        );
    }

    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(watch.await.unwrap() > 10);
    assert!(written.load(Ordering::Relaxed) > 100, "there was load");
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    for query in [
        "SELECT * FROM public.account ORDER BY id",
        "SELECT writer, n, delta, count(*) FROM public.entry GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "SELECT * FROM public.note ORDER BY id",
    ] {
        rig.same(query).await.unwrap();
    }
    rig.drain(pgstream).await.unwrap();
}
