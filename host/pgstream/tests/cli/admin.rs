//! `init`, `status` and `destroy` around a run.

use std::time::Duration;

use testbed::{Options, Postgres};

use crate::tool::{Ended, config, configured, pgstream, started};

fn status(config: &str) -> (Ended, serde_json::Value) {
    let ended = configured(&["status", "--json"], config);
    let json = serde_json::from_str(&ended.stdout).unwrap();
    (ended, json)
}

fn codes(status: &serde_json::Value) -> Vec<&str> {
    status["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn init_status_run_and_destroy_tell_what_they_did() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    for database in ["source", "target"] {
        server.create_database(database).await.unwrap();
        server.sql(database, "CREATE TABLE item (id int PRIMARY KEY)").await.unwrap();
    }
    let config = config(&server.url("source"), &server.url("target"), "");

    let (ended, before) = status(&config);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(codes(&before), ["status::no_schema", "listen::no_publication", "listen::no_slot"]);
    assert_eq!(before["slot"]["exists"], false);

    let init = configured(&["init"], &config);
    init.is_done();
    assert!(init.stdout.contains("replication slot `pgstream_source_slot`: created"), "{init:#?}");
    let again = configured(&["init"], &config);
    again.is_done();
    assert!(again.stdout.contains("replication slot `pgstream_source_slot`: already there"), "{again:#?}");
    assert!(again.stdout.contains("publication `pgstream_source`: already there"), "{again:#?}");

    let (ended, idle) = status(&config);
    assert_eq!((ended.code, codes(&idle)), (Some(3), vec!["status::stopped"]));
    assert_eq!(idle["pipeline"]["alive"], false);

    let running = started(&config);
    server.sql("source", "INSERT INTO item VALUES (1)").await.unwrap();
    let arrived = async || server.value("target", "SELECT count(*) FROM item").await.unwrap() == "1";
    testbed::eventually("the row", arrived).await.unwrap();
    testbed::eventually("a healthy status", async || configured(&["status"], &config).code == Some(0))
        .await
        .unwrap();
    let (_, alive) = status(&config);
    assert_eq!(alive["healthy"], true);
    assert_eq!(alive["pipeline"]["alive"], true);
    assert!(alive["lag"]["bytes"].is_u64() && alive["lag"]["seconds"].is_number(), "{alive:#}");
    assert!(alive["target"]["lsn"].is_string() && alive["target"]["last_commit_at"].is_string(), "{alive:#}");
    let table = configured(&["status"], &config).stdout;
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("pipeline     running") && table.contains("problems     none"), "{table}");

    configured(&["destroy"], &config).is_error(1, "listen::slot_active", "in use", "stop the other reader");
    assert_eq!(running.stop(Duration::from_secs(20)).await.unwrap().code(), Some(0));

    let destroyed = configured(&["tear-down"], &config);
    destroyed.is_done();
    for line in [
        "source: replication slot `pgstream_source_slot`: removed",
        "source: schema `pgstream`: removed",
        "target: progress of slot `pgstream_source_slot`: removed",
        "target: schema `pgstream`: removed",
    ] {
        assert!(destroyed.stdout.contains(line), "{line} in {destroyed:#?}");
    }
    configured(&["destroy"], &config).is_done();
    for database in ["source", "target"] {
        let left = server
            .value(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgstream'")
            .await
            .unwrap();
        assert_eq!(left, "0", "{database}");
    }
    assert_eq!(server.value("source", "SELECT count(*) FROM pg_replication_slots").await.unwrap(), "0");
    assert_eq!(server.value("source", "SELECT count(*) FROM pg_publication").await.unwrap(), "0");
}

#[tokio::test]
async fn destroy_leaves_the_progress_of_other_streams() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    for database in ["one", "two", "target"] {
        server.create_database(database).await.unwrap();
    }
    let config = |source: &str| config(&server.url(source), &server.url("target"), "");
    for source in ["one", "two"] {
        configured(&["init"], &config(source)).is_done();
        let running = started(&config(source));
        let begun = async || {
            let row = format!("SELECT count(*) FROM pgstream.progress WHERE slot = 'pgstream_{source}_slot'");
            server.value("target", &row).await.is_ok_and(|count| count == "1")
        };
        testbed::eventually("the progress row", begun).await.unwrap();
        running.stop(Duration::from_secs(20)).await.unwrap();
    }
    configured(&["destroy"], &config("one")).is_done();
    assert_eq!(
        server.value("target", "SELECT string_agg(slot, ',') FROM pgstream.progress").await.unwrap(),
        "pgstream_two_slot"
    );
}

#[test]
fn a_status_of_a_server_that_is_not_there_is_a_problem_and_not_an_error() {
    let ended = pgstream(&["status", "--postgres-url", crate::tool::NOWHERE]);
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.stdout.contains("not reachable") && ended.stdout.contains("[postgres::unreachable]"),
        "{ended:#?}"
    );
    let ended = pgstream(&["status", "--json", "--postgres-url", crate::tool::NOWHERE]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (json["healthy"].as_bool(), json["source"]["reachable"].as_bool()),
        (Some(false), Some(false))
    );
}

#[tokio::test]
async fn the_schema_log_is_listed_shown_and_compared() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    server.create_database("shop").await.unwrap();
    server.sql("shop", "CREATE TABLE item (id int PRIMARY KEY, name text)").await.unwrap();
    let url = server.url("shop");
    let schema = |arguments: &[&str]| {
        let mut all = vec!["schema"];
        all.extend(arguments);
        all.extend(["--postgres-url", &url]);
        pgstream(&all)
    };
    schema(&["log"]).is_error(1, "listen::no_schema_log", "no schema log", "pgstream init");
    pgstream(&["init", "--postgres-url", &url]).is_done();
    server.sql("shop", "ALTER TABLE item ADD COLUMN price numeric(10,2)").await.unwrap();
    server
        .sql("shop", "ALTER TABLE item RENAME COLUMN name TO title; CREATE SCHEMA app CREATE TABLE x (a int)")
        .await
        .unwrap();

    let log = schema(&["log"]);
    log.is_done();
    assert!(log.stdout.lines().all(|line| line.chars().count() <= 80), "{}", log.stdout);
    assert!(log.stdout.contains("CREATE SCHEMA: schema app, table app.x"), "{}", log.stdout);
    let one = schema(&["log", "--schema", "public", "--limit", "1", "--json"]);
    let one: serde_json::Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!((&one[0]["version"], &one[0]["command"]), (&3.into(), &"ALTER TABLE".into()), "{one:#}");
    assert_eq!(one[0]["changes"][0]["change"], "changed", "{one:#}");

    let now = schema(&["show", "public"]).stdout;
    assert!(now.contains("\"title\" text, \"price\" numeric(10,2)"), "{now}");
    let before = schema(&["show", "--version", "1", "--json"]).stdout;
    let before: serde_json::Value = serde_json::from_str(&before).unwrap();
    assert_eq!(before["tables"][0]["columns"][1]["name"], "name", "{before:#}");
    schema(&["show", "nobody"]).is_error(1, "listen::no_schema_version", "nobody", "schema log");

    let forward = schema(&["diff", "1"]).stdout;
    assert_eq!(
        forward,
        "ALTER TABLE \"public\".\"item\" RENAME COLUMN \"name\" TO \"title\";\n\
         ALTER TABLE \"public\".\"item\" ADD COLUMN \"price\" numeric(10,2);\n"
    );
    let back = schema(&["diff", "3", "1", "--json"]).stdout;
    let back: serde_json::Value = serde_json::from_str(&back).unwrap();
    // What goes comes first.
    assert_eq!(back["statements"][0]["destructive"], true, "{back:#}");
    assert_eq!(schema(&["diff", "1", "1"]).stdout, "no difference\n");

    assert_eq!(schema(&["prune", "--keep", "90d"]).stdout, "removed 0 versions\n");
    let was = schema(&["show", "--version", "3"]).stdout;
    server.sql("shop", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots").await.unwrap();
    server.sql("shop", "UPDATE pgstream.schema_log SET acked = true WHERE version <= 3").await.unwrap();
    assert_eq!(schema(&["prune", "--keep", "0"]).stdout, "removed 2 versions\n");
    assert_eq!(schema(&["show", "--version", "3"]).stdout, was);
    for asked in [&["show", "--version", "2"][..], &["diff", "1", "3"]] {
        schema(asked).is_error(1, "listen::pruned_schema_version", "from version 3 on", "schema log");
    }
}
