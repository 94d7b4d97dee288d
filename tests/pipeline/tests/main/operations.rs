//! Each operation, each replica identity, each kind of column.

use pipeline::Rig;

const DDL: &str = r#"
CREATE TABLE public.by_key (id int PRIMARY KEY, v text, big text);
ALTER TABLE public.by_key ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE public.by_full (id int PRIMARY KEY, v text, big text);
ALTER TABLE public.by_full ALTER COLUMN big SET STORAGE EXTERNAL;
ALTER TABLE public.by_full REPLICA IDENTITY FULL;
CREATE TABLE public.by_index (a int NOT NULL, b text NOT NULL, v text, big text);
ALTER TABLE public.by_index ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX by_index_ab ON public.by_index (a, b);
ALTER TABLE public.by_index REPLICA IDENTITY USING INDEX by_index_ab;
CREATE TABLE public.no_key (a int, b numeric, j json);
ALTER TABLE public.no_key REPLICA IDENTITY FULL;
CREATE TABLE public."We.ird ""Name" ("Id" int PRIMARY KEY, "select" text, "a.b" text);
CREATE TABLE public.made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY (START 500),
  a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE public.parent (id int PRIMARY KEY, v text);
CREATE TABLE public.child (id int PRIMARY KEY, parent int REFERENCES public.parent, v text);
CREATE TABLE public.part (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE public.part_eu PARTITION OF public.part FOR VALUES IN ('eu');
CREATE TABLE public.part_us PARTITION OF public.part FOR VALUES IN ('us');
"#;

const TABLES: [(&str, &str); 10] = [
    ("by_key", "id"),
    ("by_full", "id"),
    ("by_index", "a, b"),
    ("no_key", "a, b::text, j::text"),
    (r#""We.ird ""Name""#, r#""Id""#),
    ("made", "id"),
    ("parent", "id"),
    ("child", "id"),
    ("part_eu", "id"),
    ("part_us", "id"),
];

async fn compare(rig: &Rig) {
    for (table, order) in TABLES {
        rig.same(&format!("SELECT t.*::text FROM (SELECT * FROM public.{table} ORDER BY {order}) t"))
            .await
            .unwrap();
    }
}

async fn all_operations(major: u16, modifiers: &str) {
    let mut rig = Rig::start(major, DDL, modifiers).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    let big = "repeat(md5(random()::text), 200)";
    rig.source(&format!(
        "INSERT INTO public.by_key SELECT i, 'v' || i, {big} FROM generate_series(1, 300) i; \
         INSERT INTO public.by_full SELECT i, 'v' || i, {big} FROM generate_series(1, 100) i; \
         INSERT INTO public.by_index SELECT i, 'b' || i, 'v', {big} FROM generate_series(1, 100) i; \
         INSERT INTO public.no_key VALUES (1, 1.0, '{{}}'), (1, 1.00, '{{}}'), (1, 1.0, '{{}}'), (NULL, NULL, NULL); \
         INSERT INTO public.\"We.ird \"\"Name\" VALUES (1, 'a', 'b'), (2, NULL, ''); \
         INSERT INTO public.made (a) SELECT i FROM generate_series(1, 100) i; \
         INSERT INTO public.parent SELECT i, 'p' FROM generate_series(1, 100) i; \
         INSERT INTO public.child SELECT i, i, 'c' FROM generate_series(1, 100) i; \
         INSERT INTO public.part SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, 'v' FROM generate_series(1, 100) i;"
    ))
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    compare(&rig).await;

    // Updates that leave TOAST alone, that change it, that change keys; swaps of keys; moves between partitions.
    for sql in [
        "UPDATE public.by_key SET v = v || '!' WHERE id % 2 = 0",
        "UPDATE public.by_key SET big = NULL WHERE id % 7 = 0",
        "UPDATE public.by_key SET id = id + 10000 WHERE id % 5 = 0",
        "BEGIN; UPDATE public.by_key SET id = -1 WHERE id = 1; UPDATE public.by_key SET id = 1 WHERE id = 2; \
         UPDATE public.by_key SET id = 2 WHERE id = -1; COMMIT",
        "BEGIN; INSERT INTO public.by_key VALUES (5000, 'x'); UPDATE public.by_key SET v = 'y' WHERE id = 5000; \
         DELETE FROM public.by_key WHERE id = 5000; INSERT INTO public.by_key VALUES (5000, 'z', 'again'); COMMIT",
        "UPDATE public.by_full SET v = upper(v)",
        "UPDATE public.by_full SET id = id + 1000 WHERE id % 3 = 0",
        "UPDATE public.by_index SET v = 'w'",
        "UPDATE public.by_index SET a = a + 1000, b = b || '''' WHERE a % 4 = 0",
        "UPDATE public.no_key SET a = 2 WHERE b::text = '1.00'",
        "DELETE FROM public.no_key WHERE ctid = (SELECT min(ctid) FROM public.no_key WHERE b::text = '1.0')",
        "UPDATE public.no_key SET j = '{\"a\": 1}' WHERE a IS NULL",
        "UPDATE public.\"We.ird \"\"Name\" SET \"select\" = 'q', \"a.b\" = NULL WHERE \"Id\" = 1",
        "UPDATE public.made SET a = a + 1",
        "UPDATE public.made SET n = DEFAULT WHERE id % 10 = 0",
        "DELETE FROM public.child WHERE id % 2 = 0",
        "DELETE FROM public.parent WHERE id % 2 = 0",
        "UPDATE public.part SET region = 'us' WHERE id % 4 = 0",
        "DELETE FROM public.by_key WHERE id % 11 = 0",
        "DELETE FROM public.by_full WHERE id % 11 = 0",
        "DELETE FROM public.by_index WHERE a % 11 = 0",
        "BEGIN; SAVEPOINT s; DELETE FROM public.by_key; ROLLBACK TO s; UPDATE public.by_key SET v = 'kept' WHERE id = 3; COMMIT",
        "BEGIN; DELETE FROM public.by_key; ROLLBACK",
        "SELECT pg_logical_emit_message(true, 'not data', 'INSERT'); SELECT pg_logical_emit_message(false, 'not data', 'x')",
    ] {
        rig.source(sql).await.unwrap();
    }
    rig.caught_up(&mut pgstream).await.unwrap();
    compare(&rig).await;

    rig.source(
        "TRUNCATE public.by_key, public.child, public.parent; INSERT INTO public.by_key VALUES (1, 'after')",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    compare(&rig).await;
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM public.by_key").await.unwrap(), "1");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn all_operations_arrive_on_each_version() {
    for major in testbed::majors() {
        all_operations(major, "").await;
    }
}

#[tokio::test]
async fn all_operations_arrive_through_injector_and_filter_components() {
    let modifiers =
        "modifiers:\n  injector:\n    enabled: true\n  filter:\n    include_tables: ['public.*']\n";
    all_operations(15, modifiers).await;
}

#[tokio::test]
async fn a_role_that_may_not_turn_triggers_off_applies_in_stream_order() {
    let mut rig = Rig::start(15, DDL, "").await.unwrap();
    rig.server
        .sql(
            "target",
            "CREATE ROLE writer LOGIN; GRANT CREATE ON DATABASE target TO writer; GRANT ALL ON SCHEMA public TO writer; \
             GRANT ALL ON ALL TABLES IN SCHEMA public TO writer; DROP SCHEMA IF EXISTS pgstream CASCADE",
        )
        .await
        .unwrap();
    let owner = rig.server.url("target");
    rig.config = rig.config.replace(&owner, &rig.server.url_as("writer", "", "target"));
    let mut pgstream = rig.run().unwrap();
    rig.source(
        "BEGIN; INSERT INTO public.parent VALUES (1, 'p'); INSERT INTO public.child VALUES (1, 1, 'c'); \
         UPDATE public.parent SET v = 'q' WHERE id = 1; INSERT INTO public.parent VALUES (2, 'p'); \
         UPDATE public.child SET parent = 2 WHERE id = 1; DELETE FROM public.parent WHERE id = 1; COMMIT",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM public.child ORDER BY id").await.unwrap();
    rig.same("SELECT * FROM public.parent ORDER BY id").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_table_that_changes_between_and_inside_transactions_is_followed() {
    let ddl = "CREATE TABLE public.t (id int PRIMARY KEY, a text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO public.t VALUES (1, 'a')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    // The target has the columns first, as long as schema changes are not replicated.
    rig.server.sql("target", "ALTER TABLE public.t ADD b int, ADD c text").await.unwrap();
    rig.source("ALTER TABLE public.t ADD b int; INSERT INTO public.t VALUES (2, 'b', 2)").await.unwrap();
    rig.source(
        "BEGIN; INSERT INTO public.t VALUES (3, 'c', 3); ALTER TABLE public.t ADD c text; \
         INSERT INTO public.t VALUES (4, 'd', 4, 'in'); UPDATE public.t SET c = 'later' WHERE id = 1; COMMIT",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT id, a, b, c FROM public.t ORDER BY id").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn an_update_that_finds_no_row_is_counted_and_shown() {
    let ddl = "CREATE TABLE public.t (id int PRIMARY KEY, a text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO public.t SELECT i, 'a' FROM generate_series(1, 5) i").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.server.sql("target", "DELETE FROM public.t WHERE id > 3").await.unwrap();
    rig.source("UPDATE public.t SET a = 'b'; DELETE FROM public.t WHERE id = 4").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let done = rig.drain(pgstream).await.unwrap();
    assert!(done.stderr.contains("public.t") && done.stderr.contains("conflict"), "{}", done.stderr);
}
