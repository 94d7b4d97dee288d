//! Disks that get full: the run stops and names the right one, nothing is lost or doubled, and with room it goes on.
//!
//! | whose disk, and when | test |
//! |---|---|
//! | the target's, during the copy, and while rows leave their table aside | `a_target_that_is_full_stops_the_copy_…` |
//! | the target's, during the stream | `a_target_that_is_full_stops_the_stream_…` |
//! | the source's, while it spills a large transaction | `a_source_that_cannot_spill_…` |
//! | the source's, when the copy begins; when the slot is made | `a_source_that_is_full_…` |
//!
//! pgstream itself writes no files: what does not fit into its memory stays in the source's log.

use pipeline::PATIENCE;
use testbed::{Finished, Options, Pgstream, Postgres, can_mount, eventually_within};

/// The size of a small disk, in MiB.
const DISK: u32 = 96;
/// In the middle of a page, and more than a segment of the log.
const LIMIT: u64 = (17 << 20) + 4096;

/// How a disk gets full.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// It is a small one. That takes the right to mount.
    Small,
    /// No file may become larger; the server says the same then.
    Limited,
}

fn kinds() -> Vec<Kind> {
    if can_mount() {
        return vec![Kind::Small, Kind::Limited];
    }
    eprintln!("no right to mount here: disks get full by a limit on the size of files");
    vec![Kind::Limited]
}

impl Kind {
    fn start(self, settings: &[(&str, &str)]) -> Postgres {
        // From 16 on the server makes files longer in another way, and a limit is not a full disk to it.
        let mut options = Options::major(if self == Self::Small { 17 } else { 15 });
        for (name, value) in settings {
            options = options.set(name, value);
        }
        Postgres::start(if self == Self::Small { options.small_disk(DISK) } else { options }).unwrap()
    }

    /// Leaves so many MiB free.
    async fn fill(self, server: &Postgres, free: u32) {
        match self {
            Self::Small => run(server, &format!("head -c {}M /dev/zero > FILE || true", DISK - free)).await,
            Self::Limited => server.limit_files(Some(LIMIT)).unwrap(),
        }
    }

    async fn make_room(self, server: &Postgres) {
        match self {
            Self::Small => run(server, "rm FILE").await,
            Self::Limited => server.limit_files(None).unwrap(),
        }
    }
}

/// Has the server run a program: nobody else sees its small disk.
async fn run(server: &Postgres, program: &str) {
    let file = server.tablespace().join("filler").display().to_string();
    let sql = format!("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; {}'", program.replace("FILE", &file));
    server.sql("postgres", &sql).await.unwrap();
}

struct Pair {
    source: Postgres,
    target: Postgres,
    config: String,
}

const DDL: &str =
    "CREATE TABLE t (id int PRIMARY KEY, tx int, v text); CREATE TABLE mark (id int PRIMARY KEY)";

impl Pair {
    async fn start(source: Postgres, target: Postgres, mode: &str) -> Self {
        for (server, database) in [(&source, "source"), (&target, "target")] {
            server.create_database(database).await.unwrap();
            server.sql(database, DDL).await.unwrap();
        }
        let config = format!(
            "source:\n  postgres:\n    url: {}\n    mode: {mode}\ntarget:\n  postgres:\n    url: {}\n",
            source.url("source"),
            target.url("target")
        );
        Self { source, target, config }
    }

    fn init(&self) -> Finished {
        Pgstream::command(&["init"], &self.config).unwrap()
    }

    /// Has the target keep the table, without its index, on the small disk.
    async fn move_table(&self, kind: Kind) {
        if kind == Kind::Small {
            let at = self.target.tablespace();
            let make = format!("CREATE TABLESPACE small LOCATION '{}'", at.display());
            self.target.sql("target", &make).await.unwrap();
            self.target.sql("target", "ALTER TABLE t SET TABLESPACE small").await.unwrap();
        }
    }

    /// Runs until the disk is full, which must be told with these words and nothing of a row.
    async fn stops(&self, words: &[&str]) -> Finished {
        let done = Pgstream::run(&self.config).unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(1), "{}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
        }
        assert!(!done.stderr.contains("secret"), "{}", done.stderr);
        done
    }

    /// Goes on to the end: the two are the same then.
    async fn goes_on(&self, own: &str) {
        let mut pgstream = Pgstream::run(&self.config).unwrap();
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        self.source
            .sql("source", "INSERT INTO mark SELECT coalesce(max(id), 0) + 1 FROM mark")
            .await
            .unwrap();
        let mark = self.source.value("source", "SELECT max(id) FROM mark").await.unwrap();
        let there = format!("SELECT count(*) FROM mark WHERE id = {mark}");
        eventually_within(PATIENCE, "the mark arrives", || async {
            self.target.value("target", &there).await.is_ok_and(|count| count == "1")
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", pgstream.log()));
        let sum = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM t WHERE id > 0";
        let source = self.source.rows("source", sum).await.unwrap();
        assert_eq!(source, self.target.rows("target", sum).await.unwrap());
        let mine = "SELECT coalesce(string_agg(v, ' '), '') FROM t WHERE id < 0";
        assert_eq!(self.target.value("target", mine).await.unwrap(), own);
        let done = pgstream.stop(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
    }
}

/// Rows of about 900 bytes, none of which is compressed.
fn rows(from: u32, to: u32, tx: u32) -> String {
    format!(
        "INSERT INTO t SELECT i, {tx}, 'secret' || repeat(md5(i::text), 28) FROM generate_series({from}, {to}) AS i"
    )
}

const FULL: [&str; 4] = [
    "sink::postgres::disk_full",
    "the disk of the target is full",
    "53100",
    "make room on the target's disk",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_full_stops_the_copy_and_with_room_it_goes_on() {
    for kind in kinds() {
        for existing in ["refuse", "upsert"] {
            let mode = format!(
                "snapshot_and_replication\n    snapshot: {{mode: data, data: {{batch_bytes: 1MiB, existing_rows: {existing}}}}}"
            );
            let pair = Pair::start(Kind::Limited.start(&[]), kind.start(&[]), &mode).await;
            pair.move_table(kind).await;
            assert_eq!(pair.init().code(), Some(0));
            pair.source.sql("source", &rows(1, 40_000, 1)).await.unwrap();
            let own = if existing == "upsert" { "mine" } else { "" };
            if existing == "upsert" {
                let there = "INSERT INTO t VALUES (-1, 0, 'mine'), (7, 0, 'old')";
                pair.target.sql("target", there).await.unwrap();
            }
            kind.fill(&pair.target, 16).await;
            // What is there of the table cannot even be emptied on a full disk.
            for what in ["rows of public.t", ""] {
                pair.stops(&[&FULL[..], &[what]].concat()).await;
                if existing == "upsert" {
                    let rows = pair.target.value("target", "SELECT count(*) FROM t").await.unwrap();
                    assert_eq!(rows, "2", "{kind:?}");
                }
                pair.source
                    .sql("source", "UPDATE t SET v = 'secret changed' WHERE id % 1000 = 0")
                    .await
                    .unwrap();
            }
            kind.make_room(&pair.target).await;
            pair.goes_on(own).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_full_stops_the_stream_and_with_room_it_goes_on() {
    for kind in kinds() {
        let pair = Pair::start(Kind::Limited.start(&[]), kind.start(&[]), "replication").await;
        pair.move_table(kind).await;
        assert_eq!(pair.init().code(), Some(0));
        kind.fill(&pair.target, 16).await;
        for tx in 0..30 {
            pair.source.sql("source", &rows(1 + tx * 1000, 1000 + tx * 1000, tx)).await.unwrap();
        }
        // One that does not fit by itself, and one behind it.
        pair.source.sql("source", &rows(30_001, 60_000, 30)).await.unwrap();
        pair.source.sql("source", &rows(60_001, 60_010, 31)).await.unwrap();
        for _ in 0..2 {
            pair.stops(&[&FULL[..], &["cannot apply changes"]].concat()).await;
            let parts = "SELECT count(*) FROM (SELECT FROM t GROUP BY tx HAVING count(*) <> 1000) AS part";
            assert_eq!(pair.target.value("target", parts).await.unwrap(), "0", "{kind:?}");
        }
        let arrived = pair.target.value("target", "SELECT count(*) > 0 FROM t").await.unwrap();
        assert_eq!(arrived, "t", "{kind:?}: what fits has arrived");
        kind.make_room(&pair.target).await;
        pair.goes_on("").await;
    }
}

const SOURCE: [&str; 4] =
    ["listen::disk_full", "the disk of the source is full", "53100", "make room on the source's disk"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_cannot_spill_a_transaction_is_named_and_with_room_it_goes_on() {
    for kind in kinds() {
        let source = kind.start(&[("logical_decoding_work_mem", "64kB")]);
        let pair = Pair::start(source, Kind::Limited.start(&[]), "replication").await;
        assert_eq!(pair.init().code(), Some(0));
        pair.source.sql("source", "INSERT INTO t VALUES (1, 0, 'secret before')").await.unwrap();
        let large = "INSERT INTO t SELECT i, 1 FROM generate_series(2, 400000) AS i";
        pair.source.sql("source", large).await.unwrap();
        kind.fill(&pair.source, 4).await;
        for _ in 0..2 {
            pair.stops(&[&SOURCE[..], &["pg_replslot", "logical_decoding_work_mem"]].concat()).await;
        }
        let arrived = pair.target.value("target", "SELECT string_agg(v, ' ') FROM t").await.unwrap();
        assert_eq!(arrived, "secret before", "{kind:?}");
        kind.make_room(&pair.source).await;
        pair.goes_on("").await;
    }
}

/// Leaves no room at all for exported snapshots, whose few bytes no limit would meet before the log did: whatever
/// name one gets in version 15 (session, transaction, number), it is the device that is always full.
fn no_snapshots(server: &Postgres, full: bool) {
    let folder = server.data().join("pg_snapshots");
    for (session, transaction) in (1..16).flat_map(|session| (1..2_000).map(move |it| (session, it))) {
        let file = folder.join(format!("{session:08X}-{transaction:08X}-1.tmp"));
        if full {
            std::os::unix::fs::symlink("/dev/full", file).unwrap();
        } else {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_full_stops_init_and_the_copy_and_with_room_they_go_on() {
    for kind in kinds() {
        let mode = "snapshot_and_replication\n    snapshot: {mode: data}";
        let pair = Pair::start(kind.start(&[]), Kind::Limited.start(&[]), mode).await;
        if kind == Kind::Small {
            kind.fill(&pair.source, 0).await;
            let done = pair.init();
            assert_eq!(done.code(), Some(1), "{}", done.stderr);
            for word in SOURCE {
                assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
            }
            kind.make_room(&pair.source).await;
        }
        let done = pair.init();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        pair.source.sql("source", &rows(1, 1000, 1)).await.unwrap();
        match kind {
            Kind::Small => kind.fill(&pair.source, 0).await,
            Kind::Limited => no_snapshots(&pair.source, true),
        }
        pair.stops(&SOURCE).await;
        match kind {
            Kind::Small => kind.make_room(&pair.source).await,
            Kind::Limited => no_snapshots(&pair.source, false),
        }
        pair.goes_on("").await;
    }
}
