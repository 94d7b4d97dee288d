//! The ledger agrees with the tables while everything happens to them, and sees each kind of damage.

use std::time::Duration;

use testbed::ledger::{self, Load, check};
use testbed::{Options, Postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_agrees_with_its_tables_and_sees_every_damage() {
    let server = Postgres::start(Options::major(15)).unwrap();
    server.create_database("load").await.unwrap();
    ledger::create(&server, "load").await.unwrap();
    ledger::watch_source(&server, "load").await.unwrap();

    let watcher = check::Watcher::start(&server.url("load"));
    let load = Load::start(&server.url("load"), 1, 4);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let written = load.stop().await.unwrap();
    assert!(written.committed > 100 && written.rolled_back > 10, "{written:?}");
    assert!(watcher.stop().await.unwrap() > 5);
    let noted = "SELECT count(DISTINCT tbl) || ' of ' || (SELECT count(*) FROM pg_trigger WHERE tgname = 'emptied') FROM ledger.entry";
    assert_eq!(server.value("load", noted).await.unwrap(), "14 of 14");
    eprintln!(
        "{written:?}, {} notes",
        server.value("load", "SELECT count(*) FROM ledger.entry").await.unwrap()
    );

    let client = server.connect("load").await.unwrap();
    client.batch_execute("SET session_replication_role = replica").await.unwrap();
    for (damage, sees) in [
        (
            "DELETE FROM load.natural_key WHERE code = (SELECT min(code) FROM load.natural_key)",
            "load.natural_key: row",
        ),
        ("INSERT INTO load.no_key VALUES (1, 'a', 0)", "load.no_key: row"),
        ("UPDATE load.types SET c_text = 'x' WHERE id = (SELECT min(id) FROM load.types)", "load.types: row"),
        ("DELETE FROM ledger.entry WHERE seq = (SELECT max(seq) FROM ledger.entry)", "transaction "),
        (
            "DELETE FROM ledger.transaction WHERE tx = (SELECT max(tx) FROM ledger.transaction)",
            "transaction ",
        ),
    ] {
        client.batch_execute(&format!("BEGIN; {damage}")).await.unwrap();
        let problems = check::problems(&client).await.unwrap();
        assert!(problems.iter().any(|problem| problem.starts_with(sees)), "{damage}: {problems:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    assert!(check::problems(&client).await.unwrap().is_empty());
}
