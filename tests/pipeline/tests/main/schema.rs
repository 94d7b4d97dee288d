//! Schema changes in the stream: each takes effect on the target between the rows that it stands between.
//!
//! | what could go wrong | test |
//! |---|---|
//! | a kill between rows and changes of one transaction | `faults::killed_while_the_schema_changes_…`, `faults::killed_at_every_place_…` |
//! | a position that the slot was not told of, with changes behind it | `a_kill_behind_a_change_that_the_slot_was_not_told_of_neither_repeats_it_nor_its_rows` |
//! | no event trigger | `without_event_triggers_…` |
//! | a change that the target refuses | `a_change_that_the_target_refuses_stops_the_stream_whole_and_goes_on_when_it_can` |
//! | a forged change | `a_role_that_may_not_cannot_forge_a_change_of_the_schema` |
//! | labels, domains, generated columns that come later | `a_new_label_…`, `changes::an_enum_value_a_domain_…` |
//! | a replica identity that changes | `changes::a_replica_identity_that_is_taken_away_…` |

use pipeline::{PATIENCE, Rig};

/// What a schema looks like, from the catalog.
const COLUMNS: &str = "SELECT c.oid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, \
    pg_get_expr(d.adbin, d.adrelid), a.attidentity::text || a.attgenerated::text, col_description(c.oid, a.attnum) \
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum \
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1, 2";
const INDEXES: &str = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
const CONSTRAINTS: &str = "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint \
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2";

async fn same_schema(rig: &Rig) {
    for query in [COLUMNS, INDEXES, CONSTRAINTS] {
        rig.same(query).await.unwrap();
    }
}

#[tokio::test]
async fn rows_before_and_after_each_change_arrive_in_the_table_that_they_were_written_to() {
    for major in testbed::majors() {
        let mut rig =
            Rig::start(major, "CREATE TABLE public.item (id int PRIMARY KEY, v text)", "").await.unwrap();
        let mut pgstream = rig.run().unwrap();
        rig.source("INSERT INTO item VALUES (1, 'one')").await.unwrap();
        rig.source("ALTER TABLE item ADD COLUMN n int NOT NULL DEFAULT 7").await.unwrap();
        rig.source("INSERT INTO item VALUES (2, 'two', 2)").await.unwrap();
        rig.source("ALTER TABLE item RENAME COLUMN v TO name").await.unwrap();
        rig.source("UPDATE item SET name = 'ONE' WHERE id = 1").await.unwrap();
        rig.source("ALTER TABLE item ALTER COLUMN n TYPE bigint").await.unwrap();
        rig.source("INSERT INTO item VALUES (3, 'three', 3000000000)").await.unwrap();
        rig.source("ALTER TABLE item DROP COLUMN name").await.unwrap();
        rig.source("DELETE FROM item WHERE id = 2; INSERT INTO item VALUES (4, 4)").await.unwrap();
        rig.source("ALTER TABLE item RENAME TO thing").await.unwrap();
        rig.source("INSERT INTO thing VALUES (5, 5)").await.unwrap();
        // One transaction, with rows between its changes, a savepoint that is rolled back, and one that is not.
        rig.source(
            "BEGIN; INSERT INTO thing VALUES (6, 6); ALTER TABLE thing ADD COLUMN at timestamptz DEFAULT now(); \
             INSERT INTO thing VALUES (7, 7); SAVEPOINT s; ALTER TABLE thing DROP COLUMN n; ROLLBACK TO s; \
             SAVEPOINT t; CREATE TABLE other (id int PRIMARY KEY, thing int REFERENCES thing); RELEASE t; \
             INSERT INTO other VALUES (1, 7); CREATE INDEX ON other (thing); INSERT INTO other VALUES (2, 6); COMMIT",
        )
        .await
        .unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        same_schema(&rig).await;
        assert_eq!(rig.same("SELECT * FROM thing ORDER BY id").await.unwrap().len(), 6);
        assert_eq!(rig.same("SELECT * FROM other ORDER BY id").await.unwrap().len(), 2);
        rig.drain(pgstream).await.unwrap();
        let unacked = "SELECT count(*) FROM pgstream.schema_log WHERE NOT acked";
        assert_eq!(rig.server.value("source", unacked).await.unwrap(), "0");
    }
}

#[tokio::test]
async fn a_table_made_from_a_query_is_there_before_its_rows() {
    let mut rig = Rig::start(15, "", "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("CREATE TABLE one AS SELECT i AS id, i::text AS v FROM generate_series(1, 3000) AS i")
        .await
        .unwrap();
    rig.source("SELECT id, v || 'x' AS w INTO two FROM one WHERE id < 10").await.unwrap();
    rig.source(
        "BEGIN; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE three AS SELECT 'ok'::mood AS m; \
         INSERT INTO three VALUES ('sad'); ALTER TABLE three ADD COLUMN n int; INSERT INTO three VALUES ('ok', 3); COMMIT",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    assert_eq!(rig.same("SELECT * FROM one ORDER BY id").await.unwrap().len(), 3000);
    assert_eq!(rig.same("SELECT * FROM two ORDER BY id").await.unwrap().len(), 9);
    assert_eq!(rig.same("SELECT m::text, n FROM three ORDER BY m, n").await.unwrap().len(), 3);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn what_was_defined_while_nobody_read_takes_effect_at_the_next_start() {
    let mut rig = Rig::start(15, "CREATE TABLE public.item (id int PRIMARY KEY, v text)", "").await.unwrap();
    rig.source("INSERT INTO item VALUES (1, 'one')").await.unwrap();
    rig.source("ALTER TABLE item ADD COLUMN n int").await.unwrap();
    rig.source("CREATE TABLE made AS SELECT 1 AS id").await.unwrap();
    rig.source("INSERT INTO item VALUES (2, 'two', 2)").await.unwrap();
    // Rows before a change, of tables that the source has in another shape by now.
    rig.source("BEGIN; INSERT INTO item VALUES (3, 'three', 3); ALTER TABLE item DROP COLUMN v; INSERT INTO item VALUES (4, 4); COMMIT")
        .await
        .unwrap();
    rig.source("CREATE TABLE gone (id int PRIMARY KEY)").await.unwrap();
    rig.source("BEGIN; INSERT INTO gone VALUES (1); DROP TABLE gone; COMMIT").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    rig.same("SELECT * FROM item ORDER BY id").await.unwrap();
    rig.same("SELECT * FROM made").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_new_label_of_an_enum_is_used_by_the_transaction_after_it() {
    let mut rig =
        Rig::start(15, "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (id int PRIMARY KEY, m mood)", "")
            .await
            .unwrap();
    // All of it waits for the start, so that it comes at once.
    rig.source("ALTER TYPE mood ADD VALUE 'great'").await.unwrap();
    rig.source("INSERT INTO t VALUES (1, 'great')").await.unwrap();
    rig.source("ALTER TYPE mood ADD VALUE 'bad' BEFORE 'ok'").await.unwrap();
    rig.source("INSERT INTO t VALUES (2, 'bad')").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT id, m::text FROM t ORDER BY m").await.unwrap().len(), 2);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_column_with_a_default_that_tells_the_time_has_the_source_s_time_in_old_rows() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    rig.source("INSERT INTO t VALUES (1), (2)").await.unwrap();
    rig.source("ALTER TABLE t ADD COLUMN at timestamptz NOT NULL DEFAULT now()").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO t VALUES (3)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    rig.same("SELECT id, at::text FROM t ORDER BY id").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn rows_get_the_values_that_using_gives_them() {
    let ddl = "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE feeling AS ENUM ('sad', 'ok', 'great'); \
        CREATE TABLE t (id int PRIMARY KEY, v text, n text, m text, at timestamp, b int); \
        CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); \
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); \
        CREATE TABLE \"Odd\" (\"The Id\" int PRIMARY KEY, \"V\" text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source(
        "INSERT INTO t VALUES (1, 'one', '1', 'sad', '2020-01-01', 0), (2, 'three', '22', 'ok', '2021-01-01', 1); \
         INSERT INTO p VALUES (1, 'one'), (2, 'three'); INSERT INTO \"Odd\" VALUES (1, 'x')",
    )
    .await
    .unwrap();
    for change in [
        "ALTER TABLE t ALTER v TYPE int USING length(v)",
        "BEGIN; INSERT INTO t VALUES (3, 3, '3', 'ok', NULL, 1); -- USING nothing\n\
         ALTER TABLE public.t ADD c int DEFAULT 7, ALTER n TYPE int USING (n::int + 1) * id; INSERT INTO t (id, n) VALUES (4, 4); COMMIT",
        "ALTER TABLE t ALTER m TYPE mood USING m::mood",
        "ALTER TABLE t ALTER m TYPE feeling USING m::text::feeling",
        "ALTER TABLE t ALTER m TYPE text",
        "ALTER TABLE t ALTER at TYPE timestamptz USING at AT TIME ZONE 'Asia/Tokyo'",
        "ALTER TABLE t ALTER b TYPE boolean USING CASE b WHEN 1 THEN true ELSE t.id = 1 END",
        "ALTER TABLE ONLY \"Odd\" ALTER \"V\" TYPE text[] USING ARRAY[\"V\", $a$; it's $a$]",
        "ALTER TABLE p ALTER v TYPE int USING length(v)",
    ] {
        rig.source(change).await.unwrap();
    }
    rig.source("UPDATE t SET v = v + 1, b = NOT b").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    rig.same("SELECT id, v, n, m, at::text, b, c FROM t ORDER BY id").await.unwrap();
    rig.same("SELECT * FROM p ORDER BY id").await.unwrap();
    rig.same("SELECT * FROM \"Odd\"").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_masked_value_never_leaves_as_it_is_whatever_becomes_of_its_table() {
    let modifiers = "modifiers:
  transformations:
    validation_mode: table_level
    table_transformers:
      - table: person
        validation_mode: strict
        column_transformers:
          id: {name: noop}
          mail: {name: masking, parameters: {type: email}}
";
    for change in [
        "ALTER TABLE person RENAME COLUMN mail TO address",
        "ALTER TABLE person RENAME TO people",
        "ALTER TABLE person ADD COLUMN ssn text",
        "ALTER TABLE person SET SCHEMA other",
        "ALTER TABLE person ALTER COLUMN mail TYPE bytea USING mail::bytea",
    ] {
        let ddl = "CREATE SCHEMA other; CREATE TABLE public.person (id int PRIMARY KEY, mail text)";
        let rig = Rig::start(15, ddl, modifiers).await.unwrap();
        let pgstream = rig.run().unwrap();
        // The change and a row that relies on it, in one transaction.
        let columns = if change.contains("ADD") { ", 'secret'" } else { "" };
        let table = match change {
            "ALTER TABLE person RENAME TO people" => "people",
            "ALTER TABLE person SET SCHEMA other" => "other.person",
            _ => "person",
        };
        rig.source(&format!("BEGIN; {change}; INSERT INTO {table} VALUES (1, 'secret'{columns}); COMMIT"))
            .await
            .unwrap();
        if change.contains("TYPE") {
            // The rule fits the new type too, so the stream goes on, and the value is masked.
            let raw = "SELECT count(*) FILTER (WHERE mail = 'secret'::bytea) || ' of ' || count(*) FROM public.person";
            let arrived = async || rig.server.value("target", raw).await.is_ok_and(|count| count == "0 of 1");
            testbed::eventually("the masked row", arrived).await.unwrap();
            continue;
        }
        let done = pgstream.finish(PATIENCE).await.unwrap();
        assert!(matches!(done.code(), Some(1 | 2)), "{change}: {}", done.stderr);
        assert!(!done.stderr.contains("secret"), "{change}: {}", done.stderr);
        let rows = rig.server.value("target", "SELECT count(*) FROM public.person").await.unwrap();
        assert_eq!(rows, "0", "{change}");
    }
}

#[tokio::test]
async fn the_default_of_a_masked_column_never_reaches_the_target() {
    let modifiers = "modifiers:
  transformations:
    validation_mode: relaxed
    table_transformers:
      - table: person
        column_transformers:
          ssn: {name: masking, parameters: {type: default}}
";
    let secret = "123-45-6789";
    let ddl = "CREATE TABLE public.person (id int PRIMARY KEY, ssn text)";
    let mut rig = Rig::start(15, ddl, modifiers).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source(&format!(
        "ALTER TABLE person ALTER ssn SET DEFAULT '{secret}'; INSERT INTO person VALUES (1)"
    ))
    .await
    .unwrap();
    // No row needs a value of the new column.
    rig.source("DELETE FROM person; ALTER TABLE person DROP ssn").await.unwrap();
    rig.source(&format!(
        "ALTER TABLE person ADD ssn text NOT NULL DEFAULT '{secret}'; INSERT INTO person VALUES (2)"
    ))
    .await
    .unwrap();
    rig.source(&format!(
        "DROP TABLE person; CREATE TABLE person (id int PRIMARY KEY, ssn text DEFAULT '{secret}')"
    ))
    .await
    .unwrap();
    rig.source("INSERT INTO person VALUES (3); ALTER TABLE person ADD n int DEFAULT 5; ALTER TABLE person RENAME n TO m").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert!(
        pgstream.log().contains("left out on the target") && !pgstream.log().contains(secret),
        "{}",
        pgstream.log()
    );
    let defaults = "SELECT string_agg(pg_get_expr(adbin, adrelid), ' ') FROM pg_attrdef WHERE adrelid = 'person'::regclass";
    assert_eq!(rig.server.value("target", defaults).await.unwrap(), "5");
    let raw = format!("SELECT count(*) FILTER (WHERE ssn = '{secret}') || ' of ' || count(ssn) FROM person");
    assert_eq!(rig.server.value("target", &raw).await.unwrap(), "0 of 1");

    // A row that is there would get the value as it is.
    rig.source("ALTER TABLE person DROP ssn").await.unwrap();
    rig.source(&format!("ALTER TABLE person ADD ssn text NOT NULL DEFAULT '{secret}'")).await.unwrap();
    let done = pgstream.finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("masked_default") && !done.stderr.contains(secret), "{}", done.stderr);
    // What it says helps.
    let target = rig.server.connect("target").await.unwrap();
    target.batch_execute("ALTER TABLE person DROP COLUMN IF EXISTS ssn").await.unwrap();
    target.batch_execute("ALTER TABLE person ADD ssn text NOT NULL DEFAULT '***'").await.unwrap();
    target.batch_execute("ALTER TABLE person ALTER ssn DROP DEFAULT").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO person VALUES (4)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", &raw).await.unwrap(), "0 of 2");
    assert_eq!(rig.server.value("target", defaults).await.unwrap(), "5");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_change_that_waits_for_a_lock_lets_others_pass_and_is_tried_again() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    rig.set_target("ddl_lock_timeout: 300ms");
    let mut pgstream = rig.run().unwrap();
    let mut reader = rig.server.connect("target").await.unwrap();
    let reading = reader.transaction().await.unwrap();
    reading.batch_execute("SELECT * FROM t").await.unwrap();
    rig.source("BEGIN; INSERT INTO t VALUES (1); ALTER TABLE t ADD COLUMN n int; INSERT INTO t VALUES (2, 2); COMMIT").await.unwrap();
    pgstream.logs("cannot create table column", PATIENCE).await.unwrap();
    assert!(pgstream.log().contains("starting again from the progress row"), "{}", pgstream.log());
    // Another one that would queue behind the change.
    let other = rig.server.connect("target").await.unwrap();
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(10), other.batch_execute("SELECT * FROM t"));
    read.await.unwrap().unwrap();
    reading.commit().await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.same("SELECT * FROM t ORDER BY id").await.unwrap().len(), 2);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_change_that_the_target_refuses_stops_the_stream_whole_and_goes_on_when_it_can() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    rig.source("INSERT INTO t VALUES (1); CREATE COLLATION public.ours (locale = 'C')").await.unwrap();
    rig.source("BEGIN; INSERT INTO t VALUES (2); ALTER TABLE t ADD COLUMN v text COLLATE public.ours; INSERT INTO t VALUES (3, 'x'); COMMIT")
        .await
        .unwrap();
    rig.source("INSERT INTO t VALUES (4, 'y')").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("the target lacks what this needs"), "{}", done.stderr);
    // Nothing of the transaction is there, and all that came before it.
    assert_eq!(rig.server.value("target", "SELECT string_agg(id::text, ' ') FROM t").await.unwrap(), "1");
    let target = rig.server.connect("target").await.unwrap();
    target.batch_execute("CREATE COLLATION public.ours (locale = 'C')").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    assert_eq!(rig.same("SELECT * FROM t ORDER BY id").await.unwrap().len(), 4);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_kill_behind_a_change_that_the_slot_was_not_told_of_neither_repeats_it_nor_its_rows() {
    let changes = [
        "ALTER TABLE t ADD COLUMN n int DEFAULT 5",
        "ALTER TABLE t DROP COLUMN v",
        "ALTER TABLE t RENAME COLUMN v TO w",
        "ALTER TABLE t ALTER COLUMN v TYPE int USING length(v)",
        "ALTER TABLE t RENAME TO t2; ALTER TABLE t2 RENAME TO t",
    ];
    for change in changes {
        let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text)", "").await.unwrap();
        let mut pgstream = rig.run().unwrap();
        rig.source("INSERT INTO t VALUES (1, '10')").await.unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        rig.source("INSERT INTO t VALUES (2, '20')").await.unwrap();
        rig.source(change).await.unwrap();
        rig.source("INSERT INTO t (id) VALUES (3)").await.unwrap();
        // Killed as soon as the target has it all: the slot has not been told.
        let arrived = async || {
            rig.server.value("target", "SELECT count(*) FROM t").await.is_ok_and(|count| count == "3")
        };
        testbed::eventually("the rows around the change", arrived).await.unwrap();
        pgstream.kill().unwrap();
        let mut pgstream = rig.run().unwrap();
        rig.source("INSERT INTO t (id) VALUES (4)").await.unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        same_schema(&rig).await;
        assert_eq!(rig.same("SELECT * FROM t ORDER BY id").await.unwrap().len(), 4, "{change}");
        rig.drain(pgstream).await.unwrap();
    }
}

#[tokio::test]
async fn rules_for_what_was_dropped_stop_nobody_and_rules_for_what_was_renamed_do() {
    let modifiers = "modifiers:
  transformations:
    validation_mode: relaxed
    table_transformers:
      - table: person
        column_transformers:
          mail: {name: masking, parameters: {type: email}}
      - table: badge
        column_transformers:
          code: {name: masking, parameters: {type: default}}
";
    let ddl = "CREATE TABLE public.person (id int PRIMARY KEY, mail text, size text); CREATE TABLE public.badge (id int PRIMARY KEY, code text)";
    let mut rig = Rig::start(15, ddl, modifiers).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO person VALUES (1, 'amy@example.com'); ALTER TABLE person DROP COLUMN mail; DROP TABLE badge")
        .await
        .unwrap();
    rig.source("INSERT INTO person VALUES (2, 'x')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let log = pgstream.log();
    assert!(log.contains("public.person.mail") && log.contains("public.badge"), "{log}");
    rig.drain(pgstream).await.unwrap();
    // At the start, the log tells that they were dropped.
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO person VALUES (3, 'y')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT * FROM person ORDER BY id").await.unwrap();
    // What comes again under the name is masked again.
    rig.source(
        "ALTER TABLE person ADD COLUMN mail text; INSERT INTO person VALUES (4, 'z', 'amy@example.com')",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let raw = "SELECT count(*) FILTER (WHERE mail = 'amy@example.com') || ' of ' || count(mail) FROM person";
    assert_eq!(rig.server.value("target", raw).await.unwrap(), "0 of 1");
    rig.drain(pgstream).await.unwrap();

    // Others have the names and are dropped; what had them first is there still.
    for (change, told) in [
        (
            "ALTER TABLE person RENAME mail TO address; ALTER TABLE person ADD mail text; ALTER TABLE person DROP mail",
            "person.mail",
        ),
        (
            "ALTER TABLE badge RENAME TO pass; CREATE TABLE badge (id int PRIMARY KEY, code text); DROP TABLE badge",
            "badge",
        ),
    ] {
        let rig = Rig::start(15, ddl, modifiers).await.unwrap();
        rig.source(change).await.unwrap();
        rig.source("UPDATE person SET size = '1'").await.unwrap();
        let done = rig.run().unwrap().finish(PATIENCE).await;
        let done = done.unwrap_or_else(|error| panic!("{change}: {error}"));
        assert!(
            matches!(done.code(), Some(1 | 2)) && done.stderr.contains(told),
            "{change}: {}",
            done.stderr
        );
    }

    // All that had the names is gone now, and was called otherwise where the stream begins.
    for change in ["ALTER TABLE badge RENAME TO pass", "ALTER TABLE person RENAME mail TO address"] {
        let rig = Rig::start(15, ddl, modifiers).await.unwrap();
        rig.source(change).await.unwrap();
        let (table, column) = if change.contains("pass") { ("pass", "code") } else { ("person", "address") };
        rig.source(&format!("INSERT INTO {table} (id, {column}) VALUES (1, 'secret')")).await.unwrap();
        rig.source(&format!("ALTER TABLE {table} DROP {column}")).await.unwrap();
        if table == "pass" {
            rig.source("DROP TABLE pass").await.unwrap();
        }
        let done = rig.run().unwrap().finish(PATIENCE).await;
        let done = done.unwrap_or_else(|error| panic!("{change}: {error}"));
        assert!(matches!(done.code(), Some(1 | 2)), "{change}: {}", done.stderr);
        for table in ["badge", "person"] {
            let rows = rig.server.value("target", &format!("SELECT count(*) FROM {table}")).await.unwrap();
            assert_eq!(rows, "0", "{change}");
        }
    }
}

#[tokio::test]
async fn settings_decide_what_becomes_of_changes() {
    let ddl = "CREATE TABLE t (id int PRIMARY KEY, v text)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.set_target("destructive_ddl: keep");
    rig.set_target("exclude_ddl_object_types: [indexes]");
    let mut pgstream = rig.run().unwrap();
    rig.source("CREATE INDEX ON t (v); ALTER TABLE t ADD COLUMN n int; ALTER TABLE t DROP COLUMN v")
        .await
        .unwrap();
    rig.source("INSERT INTO t VALUES (1, 2)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let columns = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped";
    assert_eq!(rig.server.value("target", columns).await.unwrap(), "id v n");
    assert_eq!(
        rig.server.value("target", "SELECT count(*) FROM pg_indexes WHERE tablename = 't'").await.unwrap(),
        "1"
    );
    rig.drain(pgstream).await.unwrap();

    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.set_target("destructive_ddl: stop");
    rig.source("DROP TABLE t").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("destructive_ddl"), "{}", done.stderr);

    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.set_target("ignore_ddl: true");
    let mut pgstream = rig.run().unwrap();
    rig.source("CREATE TABLE u (id int)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", "SELECT to_regclass('u') IS NULL").await.unwrap(), "t");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn owners_and_grants_are_followed_where_that_is_wanted_and_a_role_that_is_not_there_stops_the_stream() {
    let owner = "SELECT pg_get_userbyid(relowner) || coalesce(relacl::text, '') FROM pg_class WHERE oid = 't'::regclass";
    let change = "ALTER TABLE t OWNER TO amy; GRANT SELECT ON t TO bob";
    let ddl = "CREATE TABLE t (id int PRIMARY KEY)";
    let mut rig = Rig::start(17, ddl, "").await.unwrap();
    rig.source("CREATE ROLE amy; CREATE ROLE bob").await.unwrap();
    let before = rig.server.value("target", owner).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source(change).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", owner).await.unwrap(), before);
    rig.drain(pgstream).await.unwrap();

    let mut rig = Rig::start(17, ddl, "").await.unwrap();
    rig.set_target("owners_and_grants: true");
    rig.source("CREATE ROLE amy; CREATE ROLE bob").await.unwrap();
    rig.source(change).await.unwrap();
    // Both databases are one server's: what the target lacks is a role of that name.
    rig.source("ALTER ROLE bob RENAME TO robert").await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("make the role on the target"), "{}", done.stderr);
    rig.source("ALTER ROLE robert RENAME TO bob").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let after = rig.server.value("source", owner).await.unwrap();
    assert!(after.starts_with("amy{") && after.contains("bob=r/amy"), "{after}");
    assert_eq!(rig.server.value("target", owner).await.unwrap(), after);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn without_event_triggers_columns_that_come_go_and_change_are_seen_in_the_stream() {
    let rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text, w text)", "").await.unwrap();
    // As where the role is no superuser.
    let off = "DROP EVENT TRIGGER pgstream_log_ddl; DROP EVENT TRIGGER pgstream_log_drop; DROP EVENT TRIGGER pgstream_log_rewrite";
    rig.source(off).await.unwrap();
    let mut rig = rig;
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.source("INSERT INTO t VALUES (1, 'one', 'x')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    // The catalog is ahead of the stream by all that follows.
    pgstream.freeze(true);
    rig.source("ALTER TABLE t ADD COLUMN n int, DROP COLUMN w; INSERT INTO t VALUES (2, 'two', 2)")
        .await
        .unwrap();
    rig.source("ALTER TABLE t RENAME v TO name; ALTER TABLE t ALTER n TYPE bigint; INSERT INTO t VALUES (3, 'three', 3000000000)")
        .await
        .unwrap();
    rig.source("ALTER TABLE t ADD COLUMN x int, ADD COLUMN v text; INSERT INTO t VALUES (4, 'four', 4, 4, 'v'); ALTER TABLE t DROP COLUMN x; INSERT INTO t VALUES (5, 'five', 5, 'v')")
        .await
        .unwrap();
    pgstream.freeze(false);
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    assert_eq!(rig.same("SELECT * FROM t ORDER BY id").await.unwrap().len(), 5);
    assert!(pgstream.log().contains("without the schema log"), "{}", pgstream.log());
    // What is not seen stops the stream with what to do.
    rig.source("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)").await.unwrap();
    let done = pgstream.finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("public.u is missing on the target"), "{}", done.stderr);
}

#[tokio::test]
async fn a_role_that_may_not_cannot_forge_a_change_of_the_schema() {
    let mut rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source(
        "CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory; GRANT ALL ON t TO mallory",
    )
    .await
    .unwrap();
    let mallory = rig.server.url_as("mallory", "x", "source");
    let mallory = testbed::connect(&mallory).await.unwrap();
    for forgery in [
        "INSERT INTO pgstream.schema_log (schema_name, changes, command_tag, statement_id, part, parts) VALUES ('public', '[]', 'x', 'x', 1, 1)",
        "UPDATE pgstream.schema_log SET changes = '[]'",
        "DELETE FROM pgstream.objects",
        "SELECT pgstream.write_log('{}', 'x', 'x')",
        "SELECT pgstream.record('{}', '{}', 'x', 'x', true)",
        "SELECT pgstream.refresh_schema('public')",
        "CREATE FUNCTION pgstream.log_ddl2() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE pgstream.mine (id int)",
        "ALTER EVENT TRIGGER pgstream_log_ddl DISABLE",
    ] {
        let error = mallory.batch_execute(forgery).await.unwrap_err();
        let code = error.code().unwrap().code();
        assert_eq!(code, "42501", "{forgery}: {error:?}");
    }
    // Messages are anybody's, and are not believed.
    let message = "SELECT pg_logical_emit_message(true, 'pgstream.ddl', '{\"ddl\": \"DROP TABLE t\"}')";
    mallory.batch_execute(message).await.unwrap();
    // The wish not to be logged is the owner's to have; the change is logged all the same.
    mallory
        .batch_execute("SET pgstream.skip_log = 'true'; CREATE TABLE public.mine (id int PRIMARY KEY)")
        .await
        .unwrap();
    // A path of one's own leads nowhere.
    mallory
        .batch_execute(
            "CREATE FUNCTION public.to_jsonb(anyelement) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'; \
             SET search_path = public, pg_catalog; CREATE TABLE mine2 (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
        )
        .await
        .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    same_schema(&rig).await;
    assert_eq!(rig.same("SELECT * FROM t").await.unwrap().len(), 1);
    // Who may leaves no entry.
    rig.source("SET pgstream.skip_log = 'true'; CREATE TABLE public.ours (id int)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", "SELECT to_regclass('ours') IS NULL").await.unwrap(), "t");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_described_takes_effect_on_the_source_and_stops_the_stream() {
    let rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    rig.source("ALTER TABLE pgstream.objects RENAME COLUMN document TO broken").await.unwrap();
    rig.source("ALTER TABLE t ADD COLUMN v text").await.unwrap();
    rig.source("INSERT INTO t VALUES (1, 'one')").await.unwrap();
    let done = pgstream.finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(
        done.stderr.contains("sink::postgres::undescribed") && done.stderr.contains("ALTER TABLE"),
        "{}",
        done.stderr
    );
    assert_eq!(rig.server.value("source", "SELECT count(*) FROM t WHERE v = 'one'").await.unwrap(), "1");
}
