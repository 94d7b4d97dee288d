//! `pgstream schema plan` says what the stream then does, and does nothing itself.

use pipeline::{PATIENCE, Rig};
use testbed::Pgstream;

const MODIFIERS: &str = "modifiers:
  filter: {exclude_tables: [hidden]}
  transformations:
    validation_mode: relaxed
    table_transformers:
      - table: person
        column_transformers:
          mail: {name: masking, parameters: {type: email}}
";

/// What the plan prints, and its exit code.
fn plan(rig: &Rig, arguments: &[&str]) -> (Option<i32>, String) {
    let told = Pgstream::command(&[&["schema", "plan"], arguments].concat(), &rig.config).unwrap();
    assert!(matches!(told.code(), Some(0 | 3)), "{}", told.stderr);
    (told.code(), told.stdout)
}

async fn tables(rig: &Rig) -> String {
    let sql = "SELECT string_agg(c.relname || ' ' || a.attname || ' ' || a.atttypid::regtype, ', ' ORDER BY c.relname, a.attnum) \
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid \
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped";
    rig.server.value("target", sql).await.unwrap()
}

#[tokio::test]
async fn the_plan_says_what_the_stream_will_do() {
    let ddl = "CREATE TABLE person (id int PRIMARY KEY, mail text, size text); CREATE TABLE old (id int PRIMARY KEY)";
    let mut rig = Rig::start(15, ddl, MODIFIERS).await.unwrap();
    assert_eq!(plan(&rig, &[]), (Some(0), "no change of the schema is on its way\n".to_owned()));
    for sql in [
        "INSERT INTO person VALUES (1, 'amy@example.com', '3')",
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE TABLE fresh (id int PRIMARY KEY, m mood)",
        "CREATE TABLE hidden (id int PRIMARY KEY)",
        "ALTER TABLE person ADD COLUMN note text DEFAULT 'n', ALTER size TYPE int USING size::int",
        "DROP TABLE old",
    ] {
        rig.source(sql).await.unwrap();
    }
    let before = tables(&rig).await;
    let (code, told) = plan(&rig, &[]);
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "CREATE TYPE \"public\".\"mood\"",
        "CREATE TABLE \"public\".\"fresh\"",
        "ADD COLUMN \"note\" text",
        "USING (",
        "DROP TABLE \"public\".\"old\"",
        "nothing is to be done",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("\"hidden\"") && told.lines().all(|line| line.len() < 200), "{told}");
    assert_eq!(tables(&rig).await, before);

    // With other settings it would end before the last one.
    let usual = rig.config.clone();
    rig.set_target("destructive_ddl: stop");
    let (code, told) = plan(&rig, &[]);
    assert!(
        code == Some(3) && told.contains("-- the stream stops here:") && told.contains("remedy:"),
        "{told}"
    );
    rig.config = usual;

    // What a plugin refuses, and what only the source knows, stop it too, or have the table copied.
    rig.source("ALTER TABLE person ADD COLUMN r float8 DEFAULT random()").await.unwrap();
    let (code, told) = plan(&rig, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&told).unwrap();
    let last = json.as_array().unwrap().last().unwrap();
    assert_eq!((code, last["stop"]["code"].as_str()), (Some(3), Some("sink::postgres::rewritten")), "{told}");
    rig.set_target("rewriting_ddl: copy");
    let (code, told) = plan(&rig, &[]);
    assert!(code == Some(0) && told.contains("public.person is emptied and copied again"), "{told}");
    rig.source("ALTER TABLE person RENAME TO people").await.unwrap();
    let told = Pgstream::command(&["schema", "plan"], &rig.config).unwrap();
    assert!(told.code() == Some(2) && told.stderr.contains("modify::missing_table"), "{}", told.stderr);
    rig.source("ALTER TABLE people RENAME TO person").await.unwrap();
    assert_eq!(tables(&rig).await, before);

    // And so it comes: the stream stops at the table that lost its rules.
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(2), "{}", done.stderr);
    assert!(tables(&rig).await.contains("fresh m mood"), "{}", done.stderr);
}
