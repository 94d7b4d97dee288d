//! Changes of the schema that give rows values which only their source knows: the stream stops, or the table is copied again.

use pipeline::{PATIENCE, Rig};
use testbed::eventually_within;

/// A rule for one column.
const MASKED: &str = "modifiers:
  transformations:
    validation_mode: relaxed
    table_transformers:
      - table: person
        column_transformers:
          mail: {name: masking, parameters: {type: email}}
";

/// A table, and what only its source knows of its rows; each with what is told.
const ONLY_THE_SOURCE: (&str, &[(&str, &str)]) = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz); \
        CREATE FUNCTION public.size(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT length($1)'",
    &[
        ("ALTER TABLE t ADD COLUMN r float8 DEFAULT random()", "computed for each row"),
        ("DO $$ BEGIN ALTER TABLE t ALTER v TYPE int USING length(v); END $$", "cannot be read"),
        (
            "CREATE FUNCTION change() RETURNS void LANGUAGE sql AS 'ALTER TABLE t ALTER v TYPE int USING 7'; SELECT change()",
            "cannot be read",
        ),
        ("ALTER TABLE t ALTER v TYPE float8 USING random()", "more than the row"),
        ("ALTER TABLE t ALTER v TYPE timestamptz USING now()", "more than the row"),
        ("ALTER TABLE t ALTER v TYPE timestamptz USING v::timestamptz", "more than the row"),
        ("SET timezone = 'Asia/Tokyo'; ALTER TABLE t ALTER at TYPE timestamp", "a setting of the session"),
        ("ALTER TABLE t ALTER v TYPE int USING size(v)", "search path"),
        ("ALTER TABLE t ALTER v TYPE text USING upper(v)", "kept its type"),
        ("ALTER TABLE t ALTER id TYPE bigint, ALTER v TYPE text USING upper(v)", "kept its type"),
        (
            "ALTER TABLE t ALTER v TYPE int USING 1; ALTER TABLE t ALTER v TYPE text; ALTER TABLE t ALTER v TYPE int USING 2",
            "cannot be read",
        ),
    ],
);

#[tokio::test]
async fn values_that_only_the_source_knows_stop_the_stream() {
    let (ddl, changes) = ONLY_THE_SOURCE;
    for (change, why) in changes {
        let rig = Rig::start(15, ddl, "").await.unwrap();
        rig.source("INSERT INTO t (id, v, at) VALUES (1, '2020-01-01', '2020-01-01'), (2, NULL, NULL)")
            .await
            .unwrap();
        rig.source(change).await.unwrap();
        let done = rig.run().unwrap().finish(PATIENCE).await;
        let done = done.unwrap_or_else(|error| panic!("{change}: {error}"));
        assert_eq!(done.code(), Some(1), "{change}: {}", done.stderr);
        let told = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("rewritten") && told.contains(why), "{change}: {}", done.stderr);
        let types = "SELECT string_agg(atttypid::regtype::text, ' ' ORDER BY attnum) FROM pg_attribute \
            WHERE attrelid = 't'::regclass AND attnum > 0";
        assert_eq!(
            rig.server.value("target", types).await.unwrap(),
            "integer text timestamp with time zone",
            "{change}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_only_the_source_knows_are_copied_again_where_that_is_wanted() {
    let (ddl, changes) = ONLY_THE_SOURCE;
    let parts = "CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY HASH (id); \
        CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
        CREATE TABLE part_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
        CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE)";
    let mut rig = Rig::start(15, &format!("{ddl}; {parts}"), "").await.unwrap();
    rig.set_target("rewriting_ddl: copy");
    let mut pgstream = rig.run().unwrap();
    let partitioned = [
        ("ALTER TABLE parts ADD COLUMN r float8 DEFAULT random()", ""),
        ("ALTER TABLE parts ALTER v TYPE float8 USING random()", ""),
    ];
    for (change, _) in changes.iter().chain(&partitioned) {
        // The foreign key of `child` is made anew for a key of another type, and holds for no emptied table.
        if change.contains("ALTER id") {
            continue;
        }
        rig.source(
            "TRUNCATE t, child, parts; INSERT INTO t (id, v, at) SELECT i, '2020-01-01', '2020-01-01' FROM generate_series(1, 100) AS i; \
             INSERT INTO child VALUES (1, 1); INSERT INTO parts (id) SELECT generate_series(1, 100)",
        )
        .await
        .unwrap();
        rig.source(change).await.unwrap();
        for sql in [
            "UPDATE t SET id = id + 1000 WHERE id < 10",
            "DELETE FROM parts WHERE id % 7 = 0",
            "DELETE FROM t WHERE id = 50",
        ] {
            rig.source(sql).await.unwrap();
        }
        rig.caught_up(&mut pgstream).await.unwrap();
        let waiting = "SELECT count(*) FROM pgstream.snapshot_tables WHERE state <> 'done'";
        eventually_within(PATIENCE, "the table is copied again", || async {
            rig.server.value("target", waiting).await.is_ok_and(|count| count == "0")
        })
        .await
        .unwrap_or_else(|error| panic!("{change}: {error}: {}", pgstream.log()));
        rig.caught_up(&mut pgstream).await.unwrap();
        for query in ["SELECT * FROM t ORDER BY id", "SELECT * FROM parts ORDER BY id", "SELECT * FROM child"]
        {
            rig.same(query).await.unwrap();
        }
        // The next one starts from the table as it was.
        rig.source("ALTER TABLE t DROP COLUMN IF EXISTS r, ALTER v TYPE text, ALTER at TYPE timestamptz; DROP FUNCTION IF EXISTS change; \
            ALTER TABLE parts DROP COLUMN IF EXISTS r; TRUNCATE parts; ALTER TABLE parts ALTER v TYPE text").await.unwrap();
    }
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn using_over_a_masked_column_stops_the_stream() {
    let ddl = "CREATE TABLE public.person (id int PRIMARY KEY, mail text, size text)";
    for change in [
        "ALTER TABLE person ALTER size TYPE int USING length(mail)",
        "ALTER TABLE person ALTER mail TYPE varchar USING lower(mail)",
        "ALTER TABLE person ALTER mail TYPE varchar USING size",
    ] {
        let rig = Rig::start(15, ddl, MASKED).await.unwrap();
        rig.source("INSERT INTO person VALUES (1, 'amy@example.com', '3')").await.unwrap();
        rig.source(change).await.unwrap();
        let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(1), "{change}: {}", done.stderr);
        assert!(
            done.stderr.contains("rewritten") && done.stderr.contains("masks"),
            "{change}: {}",
            done.stderr
        );
    }
    let mut rig = Rig::start(15, ddl, MASKED).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO person VALUES (1, 'amy@example.com', '3')").await.unwrap();
    rig.source("ALTER TABLE person ALTER size TYPE int USING size::int * 2").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT id, size FROM person").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_masked_column_that_comes_with_a_default_is_copied_through_its_rule() {
    let ddl = "CREATE TABLE public.person (id int PRIMARY KEY, mail text)";
    let mut rig = Rig::start(15, ddl, MASKED).await.unwrap();
    rig.set_target("rewriting_ddl: copy");
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.source("INSERT INTO person SELECT i, 'amy@example.com' FROM generate_series(1, 50) AS i")
        .await
        .unwrap();
    rig.source("ALTER TABLE person DROP COLUMN mail").await.unwrap();
    rig.source("ALTER TABLE person ADD COLUMN mail text DEFAULT 'bob@example.com'").await.unwrap();
    rig.source("INSERT INTO person (id) VALUES (51)").await.unwrap();
    let all = "SELECT count(mail) || ' ' || count(*) FILTER (WHERE mail LIKE 'bob@%') FROM person";
    eventually_within(PATIENCE, "masked values of all rows", || async {
        let joined = "SELECT count(*) FROM pgstream.snapshot_tables WHERE state = 'done'";
        rig.server.value("target", joined).await.is_ok_and(|count| count == "1")
            && rig.server.value("target", all).await.is_ok_and(|found| found == "51 0")
    })
    .await
    .unwrap_or_else(|error| panic!("{error}: {}", pgstream.log()));
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.drain(pgstream).await.unwrap();
}
