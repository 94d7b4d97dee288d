//! How a run ends: drained by a signal, at once by a second one, or by a row that the target does not take.

use std::time::Duration;

use testbed::{Options, Postgres};

use crate::tool::{Ended, config, configured, started};

const SOON: Duration = Duration::from_secs(20);

async fn ends(source: &str, target: &str) -> (Postgres, String) {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    for (database, tables) in [("source", source), ("target", target)] {
        server.create_database(database).await.unwrap();
        server.sql(database, tables).await.unwrap();
    }
    let config = config(&server.url("source"), &server.url("target"), "");
    configured(&["init"], &config).is_done();
    (server, config)
}

#[tokio::test]
async fn a_signal_drains_and_ends_with_0() {
    let (server, config) =
        ends("CREATE TABLE item (id int PRIMARY KEY)", "CREATE TABLE item (id int PRIMARY KEY)").await;
    let running = started(&config);
    server.sql("source", "INSERT INTO item SELECT generate_series(1, 1000)").await.unwrap();
    let begun = async || server.value("target", "SELECT count(*) FROM item").await.unwrap() != "0";
    testbed::eventually("the first rows", begun).await.unwrap();
    running.process.interrupt();
    let ended = running.finish(SOON).await.unwrap();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("SIGINT: finishing what was read"), "{ended:#?}");
    assert_eq!(server.value("target", "SELECT count(*) FROM item").await.unwrap(), "1000");
    // What was drained is confirmed: the slot stands where the target does.
    let confirmed =
        server.value("source", "SELECT confirmed_flush_lsn FROM pg_replication_slots").await.unwrap();
    let applied = server.value("target", "SELECT lsn FROM pgstream.progress").await.unwrap();
    assert_eq!(confirmed, applied);
}

#[tokio::test]
async fn a_second_signal_ends_at_once_with_its_number() {
    let (server, config) =
        ends("CREATE TABLE item (id int PRIMARY KEY)", "CREATE TABLE item (id int PRIMARY KEY)").await;
    let running = started(&config);
    let begun = async || {
        server.value("target", "SELECT count(*) FROM pgstream.progress").await.is_ok_and(|n| n == "1")
    };
    testbed::eventually("the run", begun).await.unwrap();
    // The drain cannot end while somebody else has the table.
    let holder = server.connect("target").await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE item").await.unwrap();
    server.sql("source", "INSERT INTO item VALUES (1)").await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    testbed::eventually("a sink that waits", async || server.value("target", waiting).await.unwrap() != "0")
        .await
        .unwrap();
    running.process.terminate();
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.process.terminate();
    let ended = running.finish(SOON).await.unwrap();
    assert_eq!(ended.code(), Some(143), "{ended:#?}");
    holder.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_row_that_the_target_does_not_take_stops_the_run_without_showing_it() {
    let (server, config) = ends(
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
        "CREATE TABLE item (id int PRIMARY KEY, name varchar(5))",
    )
    .await;
    let running = started(&config);
    server.sql("source", "INSERT INTO item VALUES (1, 'short'), (2, 'confidential')").await.unwrap();
    let ended = running.finish(SOON).await.unwrap();
    let told = Ended { code: ended.code(), stdout: ended.stdout, stderr: ended.stderr };
    told.is_error(1, "sink::postgres::row", "public.item: cannot insert the row with key hash", "");
    assert!(told.stderr.contains("22001"), "{told:#?}");
    assert!(!told.stderr.contains("confidential"), "{told:#?}");
    assert_eq!(server.value("target", "SELECT count(*) FROM item").await.unwrap(), "0");
}

#[tokio::test]
async fn run_with_init_needs_no_other_command() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    for database in ["source", "target"] {
        server.create_database(database).await.unwrap();
        server.sql(database, "CREATE TABLE item (id int PRIMARY KEY)").await.unwrap();
    }
    let mut run = crate::tool::command(&["run", "--init", "--with-injector"]);
    run.args(["--source-url", &server.url("source"), "--target-url", &server.url("target")]);
    let folder = crate::tool::Folder::new();
    let running = testbed::Pgstream::spawn(run, folder.path("log")).unwrap();
    let begun = async || {
        server.value("target", "SELECT count(*) FROM pgstream.progress").await.is_ok_and(|n| n == "1")
    };
    testbed::eventually("the run", begun).await.unwrap();
    server.sql("source", "INSERT INTO item VALUES (1)").await.unwrap();
    let arrived = async || server.value("target", "SELECT count(*) FROM item").await.unwrap() == "1";
    testbed::eventually("the row", arrived).await.unwrap();
    assert_eq!(running.stop(SOON).await.unwrap().code(), Some(0));
}
