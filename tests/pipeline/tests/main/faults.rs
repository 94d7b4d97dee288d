//! Faults under load: the program killed at random moments and at each place where it leaves something behind, the
//! network and the servers failing. Nothing may be lost, doubled or seen half, and the slot may never be ahead.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use pipeline::{Ledgered, PATIENCE, seeds};
use testbed::{Network, Pgstream, Proxy, Random, Stop};

const MODIFIERS: &str =
    "modifiers:\n  injector: {enabled: true}\n  filter: {exclude_tables: ['nothing.*']}\n";

/// So many commits; a test whose load stands still would prove nothing.
const COMMITS: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_nothing_is_lost_doubled_or_seen_half() {
    let pair = Ledgered::start(15, MODIFIERS).await.unwrap();
    let seeds = seeds(20);
    let load = pair.load(seeds.first().copied().unwrap_or(0));
    let watcher = pair.watcher();
    for seed in &seeds {
        let mut random = Random::new(*seed);
        let mut pgstream = Pgstream::run(&pair.config()).unwrap();
        let life = Duration::from_millis(u64::from(100 + random.below(1_200)));
        let end = tokio::time::Instant::now() + life;
        while tokio::time::Instant::now() < end {
            assert!(pgstream.is_running(), "seed {seed}: it ended by itself: {}", pgstream.log());
            assert!(pair.slot_is_not_ahead().await.unwrap(), "seed {seed}: the slot is ahead while it runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let done = pgstream.kill().unwrap();
        assert_eq!(done.code(), None, "seed {seed}: it ended by itself: {}", done.stderr);
        assert!(pair.slot_is_not_ahead().await.unwrap(), "seed {seed}: the slot is ahead");
    }
    assert!(load.stop().await.unwrap().committed > COMMITS);
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    assert!(watcher.stop().await.unwrap() > 5);
    pair.drain(pgstream).await.unwrap();
}

/// The names of all places in the program's source, so that none can be forgotten.
pub(crate) fn places() -> BTreeSet<String> {
    fn collect(folder: &Path, places: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, places);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let found = text.split("fault::here!(\"").skip(1).filter_map(|rest| rest.split('"').next());
                places.extend(found.map(str::to_owned));
            }
        }
    }
    let mut places = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host"), &mut places);
    places
}

/// Starts a program that dies when it has passed the place so many times.
pub(crate) fn dying(arguments: &[&str], config: &str, place: &str, passes: u32) -> Pgstream {
    Pgstream::run_failing(arguments, config, &format!("{place}={passes}*off->return")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_place_nothing_is_lost_doubled_or_seen_half() {
    let places = places();
    assert!(places.len() >= 15, "{places:?}");
    let pair = Ledgered::start(15, MODIFIERS).await.unwrap();
    let load = pair.load(7);
    let watcher = pair.watcher();
    let mut random = Random::new(7);
    // The first run makes the progress table, and so passes its place.
    let elsewhere = ["init-", "destroy-", "copy-", "aside-", "tables-"];
    let in_a_run = |place: &&String| !elsewhere.iter().any(|prefix| place.starts_with(prefix));
    let definer = pair.definer(7);
    let busy = places.iter().filter(in_a_run).filter(|place| !place.starts_with("heartbeat-"));
    let rounds = if std::env::var_os("PGSTREAM_SEEDS").is_some() { 5 } else { 1 };
    for place in busy.flat_map(|place| std::iter::repeat_n(place, rounds)) {
        let passes = match place.as_str() {
            // Passed once in a life.
            "progress-created" | "stream-claimed" | "acknowledged" => 0,
            // Few transactions are more than a batch.
            "part-applied" => random.below(2),
            _ => random.below(6),
        };
        let mut pgstream = dying(&["run"], &pair.config(), place, passes);
        let start = tokio::time::Instant::now();
        while pgstream.is_running() && start.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Some places are on the way out.
        pgstream.terminate();
        let done = pgstream.finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), None, "{place} is not reached after {passes} passes: {}", done.stderr);
        assert!(pair.slot_is_not_ahead().await.unwrap(), "{place}: the slot is ahead");
    }
    assert!(definer.stop().await.unwrap() > 20);
    assert!(load.stop().await.unwrap().committed > COMMITS);
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    pair.same_side_tables().await.unwrap();
    pair.drain(pgstream).await.unwrap();

    // Positions without data: of an idle database beside a busy one, stored at the end at the latest.
    for place in places.iter().filter(|place| place.starts_with("heartbeat-")) {
        let mut pgstream = dying(&["run"], &pair.config(), place, 0);
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        pair.source.sql("postgres", "CREATE TABLE busy AS SELECT generate_series(1, 1000)").await.unwrap();
        pair.source.sql("postgres", "DROP TABLE busy").await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        pgstream.terminate();
        let done = pgstream.finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), None, "{place} is not reached: {}", done.stderr);
        assert!(pair.slot_is_not_ahead().await.unwrap(), "{place}: the slot is ahead");
    }
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    assert!(watcher.stop().await.unwrap() > 5);
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_the_schema_changes_rows_and_schema_are_those_of_the_source() {
    let pair = Ledgered::start(15, MODIFIERS).await.unwrap();
    let load = pair.load(17);
    let watcher = pair.watcher();
    let definer = pair.definer(17);
    for seed in seeds(8) {
        let mut random = Random::new(seed);
        let mut pgstream = Pgstream::run(&pair.config()).unwrap();
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(u64::from(random.below(1_500)))).await;
        assert!(pgstream.is_running(), "seed {seed}: it ended: {}", pgstream.log());
        pgstream.kill().unwrap();
        assert!(pair.slot_is_not_ahead().await.unwrap(), "seed {seed}: the slot is ahead");
    }
    assert!(definer.stop().await.unwrap() > 20);
    assert!(load.stop().await.unwrap().committed > COMMITS);
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pair.settles(&mut pgstream).await.unwrap();
    pair.same_side_tables().await.unwrap();
    assert!(watcher.stop().await.unwrap() > 5);
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn init_and_destroy_killed_at_every_place_are_simply_repeated() {
    let places = places();
    let pair = Ledgered::bare(15, "").await.unwrap();
    for (command, undo) in [("init", "destroy"), ("destroy", "init")] {
        let prefix = format!("{command}-");
        for place in places.iter().filter(|place| place.starts_with(&prefix)) {
            // From the state that the command changes.
            let done = Pgstream::command(&[undo], &pair.config()).unwrap();
            assert_eq!(done.code(), Some(0), "{undo}: {}", done.stderr);
            let died = dying(&[command], &pair.config(), place, 0).finish(PATIENCE).await.unwrap();
            assert_eq!(died.code(), None, "{place} is not reached");
            let done = Pgstream::command(&[command], &pair.config()).unwrap();
            assert_eq!(done.code(), Some(0), "{command} after {place}: {}", done.stderr);
            let left = "SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication) \
                        + (SELECT count(*) FROM pg_namespace WHERE nspname = 'pgstream')";
            let want = if command == "init" { "3" } else { "0" };
            assert_eq!(pair.source.value("source", left).await.unwrap(), want, "{command} after {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_cuts_delays_and_swallows_only_delays() {
    let pair = Ledgered::start(15, MODIFIERS).await.unwrap();
    let before_source = Proxy::start(pair.source.port()).await.unwrap();
    let before_target = Proxy::start(pair.target.port()).await.unwrap();
    let config = pair.config_of(
        &before_source.before(&pair.source.url("source")),
        &before_target.before(&pair.target.url("target")),
    );
    let load = pair.load(11);
    let watcher = pair.watcher();
    let mut pgstream = Pgstream::run(&config).unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    for seed in seeds(12) {
        let mut random = Random::new(seed);
        let proxy = if random.once_in(2) { &before_source } else { &before_target };
        match random.below(4) {
            0 => proxy.cut(),
            1 => proxy.becomes(Network::Slow(Duration::from_millis(u64::from(random.below(80))))),
            2 => proxy.becomes(Network::Silent),
            _ => {
                proxy.becomes(Network::Refuses);
                proxy.cut();
            }
        }
        tokio::time::sleep(Duration::from_millis(u64::from(200 + random.below(1_000)))).await;
        proxy.becomes(Network::Works);
        tokio::time::sleep(Duration::from_millis(u64::from(random.below(500)))).await;
        assert!(pgstream.is_running(), "seed {seed}: it ended: {}", pgstream.log());
        assert!(pair.slot_is_not_ahead().await.unwrap(), "seed {seed}: the slot is ahead");
    }
    assert!(load.stop().await.unwrap().committed > COMMITS);
    pair.settles(&mut pgstream).await.unwrap();
    assert!(watcher.stop().await.unwrap() > 5);
    pair.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_restart_crash_or_lose_their_sessions_only_delay() {
    let mut pair = Ledgered::start(15, MODIFIERS).await.unwrap();
    let load = pair.load(13);
    let watcher = pair.watcher();
    let mut pgstream = Pgstream::run(&pair.config()).unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    let kill_readers = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active";
    let kill_writers =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgstream'";
    for fault in 0..10 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        match fault {
            0 => pair.source.restart(Stop::Fast).unwrap(),
            1 => pair.target.restart(Stop::Fast).unwrap(),
            2 => pair.source.restart(Stop::Immediate).unwrap(),
            3 => pair.target.restart(Stop::Immediate).unwrap(),
            4 => {
                pair.target.kill().unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
                pair.target.start_again().unwrap();
            }
            5 => {
                pair.source.kill().unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
                pair.source.start_again().unwrap();
            }
            6 | 7 => pair.source.sql("source", kill_readers).await.unwrap(),
            _ => pair.target.sql("target", kill_writers).await.unwrap(),
        }
        assert!(pgstream.is_running(), "fault {fault}: it ended: {}", pgstream.log());
    }
    assert!(load.stop().await.unwrap().committed > COMMITS);
    pair.settles(&mut pgstream).await.unwrap();
    assert!(pair.slot_is_not_ahead().await.unwrap());
    assert!(watcher.stop().await.unwrap() > 5);
    pair.drain(pgstream).await.unwrap();
}
