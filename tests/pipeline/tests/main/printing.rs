//! `target: stdout`: every event a line, in the form that consumers of the original read; none missing, none in clear that a rule masks.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use pipeline::{PATIENCE, Rig, seeds};
use serde_json::{Value, json};
use testbed::{Pgstream, Random, eventually_within};

/// The rig's pipeline with stdout as its target.
fn printing(rig: &Rig, modifiers: &str) -> String {
    let source = rig.config.split("target:").next().unwrap();
    format!("{source}target:\n  stdout: {{}}\n{modifiers}\n")
}

/// The lines of an output; the last one may be half written.
fn lines(output: &str) -> Vec<Value> {
    let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Waits until an event of the table `mark` with this number is printed; the events before it.
async fn printed(rig: &Rig, pgstream: &Pgstream, mark: u32) -> Vec<Value> {
    rig.source(&format!("INSERT INTO mark VALUES ({mark})")).await.unwrap();
    let is_mark = |event: &Value| event["table"] == "mark" && event["columns"][0]["value"] == mark;
    let arrives = eventually_within(PATIENCE, "the mark is printed", || async {
        lines(&pgstream.output()).iter().any(is_mark)
    });
    assert!(arrives.await.is_ok(), "{}", pgstream.log());
    let mut events = lines(&pgstream.output());
    events.truncate(events.iter().position(is_mark).unwrap());
    events
}

/// Names and values of a row.
fn row(event: &Value, image: &str) -> Value {
    let columns = event[image].as_array().unwrap();
    columns
        .iter()
        .map(|column| (column["name"].as_str().unwrap().to_owned(), column["value"].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_has_the_form_that_the_original_gives_it() {
    for major in testbed::majors() {
        let ddl = "CREATE TABLE t (id int PRIMARY KEY, n numeric(30, 12), f float8, b bool, y bytea, j jsonb, a int[], v varchar(30), \
                   big text, at timestamptz); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; \
                   CREATE TABLE whole (x int, y text); ALTER TABLE whole REPLICA IDENTITY FULL";
        let rig = Rig::start(major, ddl, "").await.unwrap();
        let pgstream = Pgstream::run(&printing(&rig, "")).unwrap();
        for sql in [
            "INSERT INTO t VALUES (1, 123456789012345678.123456789012, 'NaN', true, '\\x00ff', '{\"k\": [1, null]}', '{1,2}', 'a\"\\b', \
             repeat('x', 9000), '2024-02-29 12:30:00.5+00')",
            "UPDATE t SET v = NULL",
            "UPDATE t SET id = 2",
            "DELETE FROM t",
            "INSERT INTO whole VALUES (1, 'y'); UPDATE whole SET y = 'z'; DELETE FROM whole",
            "TRUNCATE t, whole RESTART IDENTITY CASCADE",
        ] {
            rig.source(sql).await.unwrap();
        }
        let events = printed(&rig, &pgstream, 1).await;
        let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["I", "U", "U", "D", "I", "U", "D", "T", "T"], "{events:?}");
        let [insert, update, rekey, delete, _, whole, gone, truncate, _] = events.as_slice() else {
            panic!()
        };
        let keys: Vec<&String> = insert.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["action", "timestamp", "lsn", "schema", "table", "columns", "metadata", "ordinal"]);
        assert_eq!(
            (&insert["schema"], &insert["table"], &insert["ordinal"]),
            (&json!("public"), &json!("t"), &json!(0))
        );
        let first = &insert["columns"][0];
        assert_eq!(
            (&first["name"], &first["type"], &first["value"]),
            (&json!("id"), &json!("integer"), &json!(1))
        );
        assert_eq!(insert["metadata"]["id_col_pgstream_id"], json!([first["id"]]));
        assert_eq!(insert["metadata"]["schema_id"], Value::Null);
        let id = rig
            .server
            .value("source", "SELECT id FROM pgstream.table_ids WHERE oid = 't'::regclass")
            .await
            .unwrap();
        assert_eq!(
            (&insert["metadata"]["table_pgstream_id"], &first["id"]),
            (&json!(id), &json!(format!("{id}-1")))
        );
        let (at, lsn) = (insert["timestamp"].as_str().unwrap(), insert["lsn"].as_str().unwrap());
        assert!(at.starts_with("20") && at.ends_with("+00") && lsn.contains('/'), "{at} {lsn}");
        let values = row(insert, "columns");
        assert_eq!(
            (&values["f"], &values["b"], &values["y"], &values["a"], &values["v"], &values["at"]),
            (
                &json!("NaN"),
                &json!(true),
                &json!("AP8="),
                &json!("{1,2}"),
                &json!("a\"\\b"),
                &json!("2024-02-29 12:30:00.5+00")
            )
        );
        assert_eq!(values["j"], json!("{\"k\": [1, null]}"));
        // With every digit, which a parser that takes it for a double does not show.
        assert!(pgstream.output().contains("\"value\":123456789012345678.123456789012}"));
        // What TOAST left alone is missing, and never null.
        let values = row(update, "columns");
        assert!(
            values["v"].is_null() && values.get("v").is_some() && values.get("big").is_none(),
            "{values}"
        );
        assert_eq!(row(update, "identity"), json!({"id": 1}));
        assert_eq!((row(rekey, "identity"), &row(rekey, "columns")["id"]), (json!({"id": 1}), &json!(2)));
        assert!(delete.get("columns").is_none() && row(delete, "identity") == json!({"id": 2}), "{delete}");
        assert_eq!(row(whole, "identity"), json!({"x": 1, "y": "y"}));
        assert_eq!(row(gone, "identity"), json!({"x": 1, "y": "z"}));
        assert_eq!((&truncate["restart_identity"], &truncate["cascade"]), (&json!(true), &json!(true)));
        let done = rig.drain(pgstream).await.unwrap();
        assert!(done.stderr.contains("stopped transactions=7"), "{}", done.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_schema_stands_before_its_rows_with_documents_and_difference() {
    let rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY, v text)", "").await.unwrap();
    let mut pgstream = Pgstream::run(&printing(&rig, "")).unwrap();
    // Of a table that is gone before anybody looked, nobody knows the identifier.
    pgstream.logs("stream started", PATIENCE).await.unwrap();
    let sql = "BEGIN; INSERT INTO t VALUES (1, 'secret'); ALTER TABLE t RENAME v TO w; ALTER TABLE t ADD n int DEFAULT 7; \
               INSERT INTO t VALUES (2, 'b', 8); CREATE TABLE \"U 2\" (id bigint GENERATED ALWAYS AS IDENTITY); DROP TABLE t; COMMIT";
    rig.source(sql).await.unwrap();
    let events = printed(&rig, &pgstream, 1).await;
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["I", "M", "M", "I", "M", "M"], "{events:?}");
    let (first, last) = (&events[0], &events[3]);
    assert_eq!(
        first["columns"][1]["id"], last["columns"][1]["id"],
        "a column that was renamed has another id"
    );
    assert_eq!((&first["columns"][1]["name"], &last["columns"][1]["name"]), (&json!("v"), &json!("w")));
    let messages: Vec<&Value> = events.iter().filter(|event| event["action"] == "M").collect();
    let contents: Vec<Value> = messages
        .iter()
        .map(|event| {
            assert_eq!(
                (&event["prefix"], &event["schema"], &event["table"]),
                (&json!("pgstream.ddl"), &json!(""), &json!(""))
            );
            serde_json::from_str(event["content"].as_str().unwrap()).unwrap()
        })
        .collect();
    let ddl: Vec<&str> = contents.iter().map(|content| content["ddl"].as_str().unwrap()).collect();
    assert_eq!(ddl[0], "ALTER TABLE \"public\".\"t\" RENAME COLUMN \"v\" TO \"w\";");
    assert!(
        ddl[1].contains("ADD COLUMN \"n\" integer") && ddl[2].contains("CREATE TABLE \"public\".\"U 2\""),
        "{ddl:?}"
    );
    assert!(ddl[3].contains("DROP TABLE \"public\".\"t\""), "{ddl:?}");
    let added = &contents[1];
    assert_eq!((&added["schema_name"], &added["command_tag"]), (&json!("public"), &json!("ALTER TABLE")));
    let object = &added["objects"][0];
    assert_eq!((&object["type"], &object["identity"]), (&json!("table"), &json!("public.t")));
    assert!(object["pgstream_id"].as_str().is_some_and(|id| id.len() == 20), "{object}");
    assert_eq!(
        object["columns"][2],
        json!({"attnum": 3, "name": "n", "type": "integer", "nullable": true, "default": "7", "generated": false, "identity": null, "unique": false})
    );
    assert_eq!(object["primary_key_columns"], json!(["id"]));
    // The same document as in the log, before and after, and what leads from the one to the other.
    let change = &added["changes"][0];
    assert_eq!(
        (
            change["before"]["columns"].as_array().unwrap().len(),
            change["after"]["columns"].as_array().unwrap().len()
        ),
        (2, 3)
    );
    assert_eq!(
        (&added["statements"][0]["kind"], &added["statements"][0]["destructive"]),
        (&json!("table column"), &json!(false))
    );
    assert_eq!(contents[3]["statements"][0]["destructive"], json!(true));
    assert!(contents.windows(2).all(|pair| pair[0]["version"].as_u64() < pair[1]["version"].as_u64()));
    // The text that the client sent holds a value.
    assert!(contents.iter().all(|content| !content.to_string().contains("secret")), "{contents:?}");
    let acked = "SELECT count(*) FROM pgstream.schema_log WHERE NOT acked AND command_tag <> 'BASE'";
    eventually_within(PATIENCE, "the versions are acknowledged", || async {
        rig.server.value("source", acked).await.is_ok_and(|count| count == "0")
    })
    .await
    .unwrap();
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_that_a_rule_masks_is_printed_in_any_image() {
    let ddl = "CREATE TABLE t (mail text PRIMARY KEY, n int); CREATE TABLE whole (mail text, n int); ALTER TABLE whole REPLICA IDENTITY FULL";
    let rig = Rig::start(15, ddl, "").await.unwrap();
    let rule = |table: &str| {
        format!(
            "      - {{table: {table}, column_transformers: {{mail: {{name: masking, parameters: {{type: email}}, allow_uniqueness_loss: true}}}}}}\n"
        )
    };
    let rules = [rule("t"), rule("whole")].concat();
    let config = printing(&rig, &format!("modifiers:\n  transformations:\n    table_transformers:\n{rules}"));
    let pgstream = Pgstream::run(&config).unwrap();
    for table in ["t", "whole"] {
        let sql = format!(
            "INSERT INTO {table} VALUES ('very-secret-raw@example.com', 1); UPDATE {table} SET n = 2; UPDATE {table} SET mail = 'other-secret-raw@example.com'; \
             DELETE FROM {table}"
        );
        rig.source(&sql).await.unwrap();
    }
    // Nor a default, in the document or the statement.
    let default =
        "ALTER TABLE whole ALTER mail SET DEFAULT 'a-secret-raw@example.com', ADD note text DEFAULT 'note'";
    rig.source(default).await.unwrap();
    // Nor the value that the rows of a table have in a new column.
    rig.source("INSERT INTO whole VALUES ('last-secret-raw@example.com', 3)").await.unwrap();
    for sql in ["DROP mail", "ADD mail text DEFAULT 'new-secret-raw@example.com'"] {
        rig.source(&format!("ALTER TABLE whole {sql}")).await.unwrap();
    }
    let events = printed(&rig, &pgstream, 1).await;
    assert_eq!(events.len(), 12, "{events:?}");
    assert!(events[8].to_string().contains("DEFAULT 'note'"), "{}", events[8]);
    assert!(!pgstream.output().contains("secret-raw"), "{}", pgstream.output());
    // A masked key still names its row.
    assert_eq!(row(&events[0], "columns")["mail"], row(&events[1], "identity")["mail"]);
    assert_eq!(row(&events[2], "columns")["mail"], row(&events[3], "identity")["mail"]);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_or_cut_off_at_random_no_event_is_missing_and_one_that_comes_again_says_so() {
    let rig = Rig::start(15, "CREATE TABLE t (id bigserial PRIMARY KEY, v text)", "").await.unwrap();
    let config = printing(&rig, "");
    let (server, over) = (rig.server.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stop = over.clone();
    let load = tokio::spawn(async move {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            server.sql("source", "INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 25)").await.unwrap();
        }
    });
    let mut events = Vec::new();
    let mut pgstream = Pgstream::run(&config).unwrap();
    for seed in seeds(6) {
        let mut random = Random::new(seed);
        tokio::time::sleep(Duration::from_millis(u64::from(200 + random.below(900)))).await;
        if random.once_in(3) {
            // Its process goes on, and within it nothing comes twice.
            let cut = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active";
            rig.server.sql("source", cut).await.unwrap();
            continue;
        }
        events.extend(lines(&pgstream.kill().unwrap().stdout));
        pgstream = Pgstream::run(&config).unwrap();
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    load.await.unwrap();
    events.extend(printed(&rig, &pgstream, 1).await);
    rig.drain(pgstream).await.unwrap();
    let mut seen = BTreeSet::new();
    let mut ids = Vec::new();
    for event in events.iter().filter(|event| event["table"] == "t") {
        if seen.insert((event["lsn"].as_str().unwrap().to_owned(), event["ordinal"].as_u64().unwrap())) {
            ids.push(event["columns"][0]["value"].as_u64().unwrap());
        }
    }
    let count: u64 = rig.server.value("source", "SELECT count(*) FROM t").await.unwrap().parse().unwrap();
    assert!(count > 200, "{count}");
    assert_eq!(ids, (1..=count).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_ends_it_with_the_reason() {
    let rig = Rig::start(15, "CREATE TABLE t (id int PRIMARY KEY)", "").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    // The file names a database; the flag says otherwise.
    std::fs::write(&file, &rig.config).unwrap();
    let mut command = Pgstream::prepare(&["run", "--target", "stdout", "-c"]).unwrap();
    let mut child = command.arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    rig.source("INSERT INTO t VALUES (1)").await.unwrap();
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"action\":\"I\""), "{line}");
    drop(reader);
    rig.source("INSERT INTO t VALUES (2)").await.unwrap();
    let done = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(1) && told.contains("sink::stdout::closed"), "{told}");
    // What needs a database says so.
    let refused = Pgstream::command(&["table", "resync", "t"], &printing(&rig, "")).unwrap();
    assert!(refused.code() == Some(2) && refused.stderr.contains("target.postgres"), "{}", refused.stderr);
    let told = Pgstream::command(&["status"], &printing(&rig, "")).unwrap();
    assert!(told.stdout.contains("confirmed"), "{}", told.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_printed_as_inserts_without_a_position() {
    let ddl = "CREATE TABLE t (id int PRIMARY KEY, mail text); CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY HASH (id); \
               CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
               CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)";
    let rig = Rig::start(15, ddl, "").await.unwrap();
    rig.source(
        "INSERT INTO t SELECT i, 'mail-secret-raw' || i || '@example.com' FROM generate_series(1, 3000) AS i; \
                INSERT INTO p SELECT i, 'a\ttab' FROM generate_series(1, 100) AS i",
    )
    .await
    .unwrap();
    let rules = "modifiers:\n  transformations:\n    table_transformers:\n      - {table: t, column_transformers: {mail: {name: masking, parameters: {type: email}}}}\n";
    let config = printing(&rig, rules);
    // The flag wins over what the file switches off.
    let off = config.replacen("stdout: {}", "stdout: {enabled: false}", 1);
    let done = Pgstream::command(&["snapshot", "--target", "stdout", "--tables", "t,p"], &off).unwrap();
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    let events = lines(&done.stdout);
    let of = |table: &str| events.iter().filter(|event| event["table"] == table).count();
    assert_eq!((events.len(), of("t"), of("p")), (3100, 3000, 100));
    assert!(!done.stdout.contains("secret-raw"), "{}", events[0]);
    let first = events.iter().find(|event| event["table"] == "p").unwrap();
    assert_eq!((&first["action"], &first["lsn"]), (&json!("I"), &json!("0/0")));
    assert_eq!(row(first, "columns")["v"], json!("a\ttab"));
    let at = first["timestamp"].as_str().unwrap();
    assert!(at.contains('T') && at.ends_with('Z'), "{at}");
    let refused = config.replacen("mode: replication", "mode: snapshot_and_replication", 1);
    let refused = Pgstream::command(&["run"], &refused).unwrap();
    assert!(refused.code() == Some(2) && refused.stderr.contains("keeps no note"), "{}", refused.stderr);
}
