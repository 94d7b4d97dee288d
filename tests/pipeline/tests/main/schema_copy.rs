//! The copy of a schema: a target that was empty is like its source, by `pg_dump`, rows and all.

use pipeline::{PATIENCE, Rig};
use testbed::{Pgstream, Postgres};

use crate::faults::{dying, places};

/// Every kind of object, with rows.
const EVERYTHING: &str = r#"
CREATE ROLE owner_of_all; CREATE ROLE reader LOGIN;
CREATE SCHEMA app; CREATE SCHEMA "My App";
CREATE EXTENSION hstore SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok'); CREATE TYPE app.pair AS (a int, b text);
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0); CREATE TYPE app.span AS RANGE (subtype = int4);
CREATE COLLATION app.german (provider = libc, locale = 'C');
CREATE SEQUENCE app.tickets START 7 INCREMENT 3; SELECT nextval('app.tickets'), nextval('app.tickets');
CREATE FUNCTION app.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION app.modern(n int) RETURNS int BEGIN ATOMIC SELECT n + 1; END;
CREATE FUNCTION app.touched() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.note := coalesce(NEW.note, '') || '!'; RETURN NEW; END $f$;
CREATE PROCEDURE app.nothing() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total (int) (sfunc = int4pl, stype = int);
CREATE TABLE app.people (id bigserial PRIMARY KEY, name text COLLATE app.german NOT NULL, mood app.mood DEFAULT 'sad',
  pair app.pair, age app.positive, span app.span, extra app.hstore, double int GENERATED ALWAYS AS (age * 2) STORED, note text,
  boss bigint REFERENCES app.people, CONSTRAINT grown CHECK (age > 1), UNIQUE (name));
CREATE TABLE app.visits (person bigint NOT NULL REFERENCES app.people ON DELETE CASCADE, at timestamptz NOT NULL DEFAULT now(),
  number int GENERATED ALWAYS AS IDENTITY (START 100), during int4range, PRIMARY KEY (person, number));
ALTER TABLE app.people ADD last_visit int, ADD FOREIGN KEY (id, last_visit) REFERENCES app.visits (person, number) DEFERRABLE;
ALTER TABLE app.visits ADD EXCLUDE USING gist (during WITH &&);
CREATE TABLE app.measures (day date NOT NULL, id int NOT NULL, v float8, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE app.measures_2025 PARTITION OF app.measures FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.measures_2026 PARTITION OF app.measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (id);
CREATE TABLE app.measures_2026_0 PARTITION OF app.measures_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.measures_2026_1 PARTITION OF app.measures_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX measures_v ON app.measures (v) WHERE v > 0;
CREATE TABLE app.parent (id int PRIMARY KEY, a text); CREATE TABLE app.child (b text, PRIMARY KEY (id)) INHERITS (app.parent);
CREATE TABLE "My App"."Odd ""Name""" ("Key One" int PRIMARY KEY, "select" text[] DEFAULT '{a,"b c"}');
CREATE UNLOGGED TABLE app.fast (id int PRIMARY KEY);
CREATE INDEX people_expression ON app.people (lower(name), app.twice(age)); ALTER TABLE app.people CLUSTER ON people_expression;
CREATE INDEX people_included ON app.people USING btree (mood DESC NULLS LAST) INCLUDE (note);
CREATE STATISTICS app.people_stats (dependencies) ON name, age FROM app.people;
ALTER TABLE app.people REPLICA IDENTITY FULL; ALTER TABLE app.people ALTER note SET STORAGE EXTERNAL, ALTER name SET STATISTICS 77;
ALTER TABLE app.people SET (fillfactor = 70);
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON app.people FOR EACH ROW WHEN (NEW.age > 5) EXECUTE FUNCTION app.touched();
CREATE TRIGGER off BEFORE DELETE ON app.people FOR EACH ROW EXECUTE FUNCTION app.touched(); ALTER TABLE app.people DISABLE TRIGGER off;
CREATE VIEW app.adults AS SELECT id, name FROM app.people WHERE age > 17 WITH CHECK OPTION;
CREATE VIEW app.one AS SELECT 1 AS n; CREATE VIEW app.two AS SELECT n FROM app.one;
CREATE OR REPLACE VIEW app.one AS SELECT 1 AS n WHERE NOT EXISTS (SELECT FROM app.people WHERE false);
CREATE MATERIALIZED VIEW app.counted AS SELECT mood, count(*) AS n FROM app.people GROUP BY mood;
CREATE UNIQUE INDEX counted_mood ON app.counted (mood);
CREATE RULE quiet AS ON DELETE TO app.parent WHERE OLD.id < 0 DO INSTEAD NOTHING;
ALTER TABLE app.people ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.people FOR SELECT TO reader USING (age > 17);
CREATE TEXT SEARCH CONFIGURATION app.words (COPY = pg_catalog.english);
COMMENT ON TABLE app.people IS 'who; ''they'' are'; COMMENT ON COLUMN app.people.age IS 'in years'; COMMENT ON INDEX app.people_expression IS 'odd';
ALTER TABLE app.visits OWNER TO owner_of_all; GRANT SELECT (id, name), UPDATE (note) ON app.people TO reader; GRANT USAGE ON SCHEMA app TO reader;
GRANT EXECUTE ON FUNCTION app.twice TO reader; REVOKE EXECUTE ON FUNCTION app.twice FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader;
INSERT INTO app.people (name, mood, pair, age, span, extra) SELECT 'p' || i, 'it''s ok', ROW(i, 'x'::text)::app.pair, i + 1, app.span(i, i + 5), 'k=>v' FROM generate_series(1, 500) AS i;
UPDATE app.people SET boss = id - 1 WHERE id > 1;
INSERT INTO app.visits (person, during) SELECT i, int4range(i * 10, i * 10 + 5) FROM generate_series(1, 500) AS i;
INSERT INTO app.measures SELECT date '2025-06-01' + i, i, i / 3.0 FROM generate_series(0, 400) AS i;
INSERT INTO app.parent VALUES (1, 'only'); INSERT INTO app.child VALUES (2, 'child', 'b');
INSERT INTO "My App"."Odd ""Name""" VALUES (1, NULL), (2, '{x}'); INSERT INTO app.fast VALUES (1);
REFRESH MATERIALIZED VIEW app.counted;
"#;

/// Rows and places of sequences.
const ROWS: &[&str] = &[
    "SELECT * FROM app.people ORDER BY id",
    "SELECT * FROM app.visits ORDER BY person",
    "SELECT tableoid::regclass, * FROM app.measures ORDER BY day",
    "SELECT tableoid::regclass, * FROM app.parent ORDER BY id",
    "SELECT * FROM \"My App\".\"Odd \"\"Name\"\"\" ORDER BY 1",
    "SELECT * FROM app.counted ORDER BY 1",
    "SELECT * FROM app.fast",
    "SELECT nextval('app.tickets'), nextval('app.people_id_seq'), nextval(pg_get_serial_sequence('app.visits', 'number'))",
];

/// A source that has everything and a target that has nothing.
async fn everything(major: u16) -> Rig {
    let mut rig = Rig::start(major, "", "").await.unwrap();
    rig.server.sql("target", "DROP TABLE mark").await.unwrap();
    rig.source(EVERYTHING).await.unwrap();
    full(&mut rig, "snapshot_and_replication", "no_owner: false");
    rig
}

/// The rig's pipeline with a copy of the schema.
fn full(rig: &mut Rig, mode: &str, schema: &str) {
    let programs = testbed::client_programs().unwrap().programs;
    let mode = format!(
        "mode: {mode}\n    snapshot:\n      schema: {{pgdump_pgrestore: {{bin_directory: {}, {schema}}}}}",
        programs.display()
    );
    rig.config = rig.config.replacen("mode: replication", &mode, 1);
}

/// What `pg_dump` says of a schema, object by object.
fn dump(server: &Postgres, database: &str) -> Vec<String> {
    let clients = testbed::client_programs().unwrap();
    let mut command = std::process::Command::new(clients.program("pg_dump").unwrap());
    command.args(["--schema-only", "--exclude-schema=pgstream", "--no-publications", "--restrict-key=same"]);
    let output = command.arg(server.url(database)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (text, _) = text.rsplit_once("\n--\n-- PostgreSQL database dump complete").unwrap();
    let objects = text.split("\n--\n-- Name: ").filter(|it| !it.contains("EXECUTE FUNCTION pgstream."));
    objects.map(|object| object.trim_end().to_owned()).collect()
}

fn same_schema(server: &Postgres) {
    let (source, target) = (dump(server, "source"), dump(server, "target"));
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|object| !those.contains(object)).cloned().collect::<Vec<_>>().join("\n")
    };
    assert!(
        source == target,
        "only the source has:\n{}\nonly the target has:\n{}",
        only(&source, &target),
        only(&target, &source)
    );
}

#[tokio::test]
async fn an_empty_target_becomes_like_the_source_and_follows_it() {
    for major in testbed::majors() {
        let mut rig = everything(major).await;
        let mut pgstream = rig.run().unwrap();
        pgstream.logs("stream started", PATIENCE).await.unwrap();
        rig.source("ALTER TABLE app.people ADD since date DEFAULT '2026-01-01'; UPDATE app.people SET note = 'seen' WHERE id < 4")
            .await
            .unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        same_schema(&rig.server);
        for query in ROWS {
            rig.same(query).await.unwrap();
        }
        let log = pgstream.log();
        assert!(!log.contains("not as on the source"), "{log}");
        rig.drain(pgstream).await.unwrap();
    }
}

#[tokio::test]
async fn killed_at_every_place_the_schema_is_complete_in_the_end() {
    let mut rig = everything(15).await;
    let mut places: Vec<String> = places().into_iter().filter(|place| place.starts_with("copy-")).collect();
    // In the order of a copy; only what an earlier run has planned is emptied.
    let order = [
        "copy-schema-made",
        "copy-begun",
        "",
        "copy-emptied",
        "copy-object-made",
        "copy-finished",
        "copy-done",
    ];
    places.sort_by_key(|place| order.iter().position(|it| it == place).unwrap_or(2));
    for place in &places {
        let done = dying(&["run"], &rig.config, place, 0).finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), None, "{place} is not reached: {}", done.stderr);
    }
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig.server);
    for query in ROWS {
        rig.same(query).await.unwrap();
    }
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn chosen_tables_bring_what_they_need_and_nothing_else() {
    let mut rig = everything(15).await;
    rig.config = rig.config.replacen(
        "snapshot:\n",
        "snapshot:\n      tables: [app.visits, app.people, app.measures, '*.parent', app.adults]\n      schema_only_tables: [app.parent]\n",
        1,
    );
    rig.config = rig.config.replacen("mode: snapshot_and_replication", "mode: snapshot", 1);
    let file = tempfile::NamedTempFile::new().unwrap();
    let dump_file = format!("pgdump_pgrestore: {{dump_file: '{}', ", file.path().display());
    rig.config = rig.config.replacen("pgdump_pgrestore: {", &dump_file, 1);
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let relations = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
                     WHERE relkind IN ('r', 'p', 'v', 'm') AND relnamespace IN ('app'::regnamespace, 'public'::regnamespace)";
    assert_eq!(
        rig.server.value("target", relations).await.unwrap(),
        "adults measures measures_2025 measures_2026 measures_2026_0 measures_2026_1 parent people visits"
    );
    for query in [ROWS[0], ROWS[1], ROWS[2], "SELECT * FROM app.adults ORDER BY id"] {
        rig.same(query).await.unwrap();
    }
    let count = |what: &str| format!("SELECT count(*) FROM {what}");
    for (what, expected) in [
        ("app.parent", "0"),
        ("pg_proc WHERE proname = 'touched'", "1"),
        ("pg_proc WHERE proname IN ('modern', 'nothing')", "0"),
        ("pg_namespace WHERE nspname = 'My App'", "0"),
        ("pg_trigger WHERE tgname IN ('touched', 'off')", "2"),
        ("pg_constraint WHERE contype = 'f' AND conparentid = 0", "3"),
    ] {
        assert_eq!(rig.server.value("target", &count(what)).await.unwrap(), expected, "{what}");
    }
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("CREATE TABLE app.people") && !text.contains("My App"), "{text}");
}

#[tokio::test]
async fn what_the_target_has_stays_and_what_a_filter_keeps_back_is_not_made() {
    let mut rig =
        Rig::start(15, "", "modifiers:\n  filter: {exclude_tables: [public.secret]}\n").await.unwrap();
    rig.source(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE had (id serial PRIMARY KEY, m mood DEFAULT 'a'); \
         CREATE INDEX had_m ON had (m); CREATE TABLE secret (id int PRIMARY KEY); CREATE INDEX ON secret (id); \
         CREATE VIEW shown AS SELECT id FROM secret; CREATE TABLE new (id int PRIMARY KEY REFERENCES had); \
         INSERT INTO had (m) VALUES ('b'); INSERT INTO new VALUES (1); INSERT INTO secret VALUES (1)",
    )
    .await
    .unwrap();
    rig.server
        .sql("target", "CREATE TYPE mood AS ENUM ('a', 'b', 'c'); CREATE TABLE had (id int PRIMARY KEY, m mood DEFAULT 'c', mine int)")
        .await
        .unwrap();
    full(&mut rig, "snapshot_and_replication", "no_owner: true");
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.source("INSERT INTO had (m) VALUES ('a'); INSERT INTO new VALUES (2); INSERT INTO secret VALUES (2)")
        .await
        .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT id, m FROM had ORDER BY id").await.unwrap();
    rig.same("SELECT * FROM new ORDER BY id").await.unwrap();
    let target = |query: &'static str| rig.server.value("target", query);
    assert_eq!(
        target("SELECT to_regclass('secret') IS NULL AND to_regclass('shown') IS NULL").await.unwrap(),
        "t"
    );
    let default = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'had'::regclass";
    assert_eq!(target(default).await.unwrap(), "'c'::mood");
    assert_eq!(target("SELECT count(*) FROM pg_indexes WHERE tablename = 'had'").await.unwrap(), "2");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn rows_that_break_a_foreign_key_are_told_and_the_key_watches_new_ones() {
    let modifiers = "modifiers:\n  filter: {exclude_tables: [public.nothing]}\n";
    let mut rig = Rig::start(15, "", modifiers).await.unwrap();
    rig.source("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT to_a REFERENCES a); \
                INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)")
        .await
        .unwrap();
    full(&mut rig, "snapshot", "clean_target_db: true");
    rig.config = rig.config.replacen("snapshot:\n", "snapshot:\n      schema_only_tables: [a]\n", 1);
    // The first run has nothing to drop, the second one drops what the first has made.
    for _ in 0..2 {
        let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(0), "{}", done.stderr);
        assert!(done.stderr.contains("made NOT VALID"), "{}", done.stderr);
        let valid = "SELECT convalidated FROM pg_constraint WHERE conname = 'to_a'";
        assert_eq!(rig.server.value("target", valid).await.unwrap(), "f");
        assert_eq!(
            rig.server
                .value("target", "SELECT (SELECT count(*) FROM a) || ' ' || (SELECT count(*) FROM b)")
                .await
                .unwrap(),
            "0 1"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_are_altered_while_they_are_copied_are_copied_as_they_are_then() {
    let mut rig = Rig::start(15, "", "").await.unwrap();
    rig.server.sql("target", "DROP TABLE mark").await.unwrap();
    rig.source(
        "CREATE TABLE renamed (id int PRIMARY KEY, v text); CREATE TABLE widened (id int PRIMARY KEY, n numeric(10,2)); \
         CREATE TABLE shrunk (id int PRIMARY KEY, a text, b text); CREATE TABLE moved (id int PRIMARY KEY); \
         CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE gone (id int PRIMARY KEY); CREATE VIEW seen AS SELECT b FROM shrunk; \
         INSERT INTO renamed SELECT i, 'v' FROM generate_series(1, 100) AS i; INSERT INTO widened VALUES (1, 1.25); \
         INSERT INTO shrunk VALUES (1, 'a', 'b'); INSERT INTO moved VALUES (1); INSERT INTO kept VALUES (1); INSERT INTO gone VALUES (1)",
    )
    .await
    .unwrap();
    full(&mut rig, "snapshot_and_replication", "no_owner: true");
    // Between the moment of the copy and its first row.
    let slow = "copy-planned=1*sleep(3000)->off";
    let mut pgstream = Pgstream::run_failing(&["run"], &rig.config, slow).unwrap();
    let server = &rig.server;
    testbed::eventually_within(PATIENCE, "the tables are made", || async {
        server
            .value("target", "SELECT count(*) FROM pgstream.snapshots")
            .await
            .is_ok_and(|count| count == "1")
    })
    .await
    .unwrap();
    rig.source("INSERT INTO renamed VALUES (101, 'before'); ALTER TABLE renamed RENAME v TO w; INSERT INTO renamed VALUES (102, 'behind')")
        .await
        .unwrap();
    rig.source("ALTER TABLE widened ALTER n TYPE numeric(12,4); INSERT INTO widened VALUES (2, 1.2345); UPDATE widened SET n = 7.0001 WHERE id = 1")
        .await
        .unwrap();
    rig.source(
        "ALTER TABLE shrunk DROP a, ADD c int DEFAULT 5; ALTER TABLE moved RENAME TO found; DROP TABLE gone",
    )
    .await
    .unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    assert!(pgstream.log().contains("the copy begins anew"), "{}", pgstream.log());
    rig.source("INSERT INTO shrunk VALUES (2, 'b'); INSERT INTO found VALUES (2)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig.server);
    for (table, rows) in [("renamed", 102), ("widened", 2), ("shrunk", 2), ("found", 2), ("kept", 1)] {
        assert_eq!(
            rig.same(&format!("SELECT * FROM {table} ORDER BY id")).await.unwrap().len(),
            rows,
            "{table}"
        );
    }
    rig.drain(pgstream).await.unwrap();
}
