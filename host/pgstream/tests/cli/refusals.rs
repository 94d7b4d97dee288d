//! Servers that do not do what a stream needs: each refusal with its code, message, remedy and exit code.

use testbed::{Auth, Options, Postgres};

use crate::tool::{Ended, NOWHERE, config, configured, pgstream};

/// One server with a database for each end.
async fn ends(options: Options) -> Postgres {
    let server = Postgres::start(options).unwrap();
    for database in ["source", "target"] {
        server.create_database(database).await.unwrap();
    }
    server
}

fn major() -> Options {
    Options::major(testbed::majors()[0])
}

fn run(server: &Postgres, more: &str) -> Ended {
    configured(&["run"], &config(&server.url("source"), &server.url("target"), more))
}

#[tokio::test]
async fn a_wrong_address_or_password_is_told_without_the_password() {
    let unreachable = pgstream(&["run", "--source-url", NOWHERE, "--target-url", NOWHERE]);
    unreachable.is_error(
        1,
        "postgres::unreachable",
        "cannot connect to postgres://app@127.0.0.1:1/shop",
        "check that the server runs",
    );
    assert!(!unreachable.stderr.contains("secret"), "{unreachable:#?}");

    let server = ends(major().auth(Auth::Password)).await;
    let wrong = server.url_as("postgres", "not-the-password", "source");
    let refused = pgstream(&["init", "--postgres-url", &wrong]);
    refused.is_error(1, "postgres::login", "password authentication failed", "check user, password");
    assert!(!refused.stderr.contains("not-the-password"), "{refused:#?}");
    let gone = pgstream(&["init", "--postgres-url", &server.url("nobody")]);
    gone.is_error(1, "postgres::no_database", "the database does not exist", "create it");

    // The target is looked at as soon as the source is fine.
    pgstream(&["init", "--postgres-url", &server.url("source")]).is_done();
    let wrong = server.url_as("postgres", "not-the-password", "target");
    let refused = configured(&["run"], &config(&server.url("source"), &wrong, ""));
    refused.is_error(1, "postgres::login", "target", "check user, password");
}

#[tokio::test]
async fn a_source_that_cannot_have_slots_is_refused() {
    let server = ends(major().set("wal_level", "replica")).await;
    let refused = pgstream(&["init", "--postgres-url", &server.url("source")]);
    refused.is_error(1, "listen::wal_level", "wal_level = replica", "ALTER SYSTEM SET wal_level = 'logical'");

    let server = ends(major().set("max_replication_slots", "1")).await;
    server.sql("source", "SELECT pg_create_physical_replication_slot('taken')").await.unwrap();
    let refused = pgstream(&["init", "--postgres-url", &server.url("source")]);
    refused.is_error(1, "listen::no_free_slot", "no free replication slot", "max_replication_slots");
}

#[tokio::test]
async fn a_role_without_rights_is_told_the_grant() {
    let server = ends(major()).await;
    server
        .sql(
            "source",
            "CREATE ROLE weak LOGIN PASSWORD 'p'; CREATE ROLE reader LOGIN REPLICATION PASSWORD 'p'",
        )
        .await
        .unwrap();
    let refused = pgstream(&["init", "--postgres-url", &server.url_as("weak", "p", "source")]);
    refused.is_error(1, "listen::no_replication_right", "role `weak` may not replicate", "ALTER ROLE");
    let refused = pgstream(&["init", "--postgres-url", &server.url_as("reader", "p", "source")]);
    refused.is_error(1, "listen::no_schema_right", "role `reader`", "GRANT CREATE ON DATABASE");

    server.sql("source", "CREATE TABLE item (id int PRIMARY KEY)").await.unwrap();
    server.sql("target", "CREATE TABLE item (id int PRIMARY KEY)").await.unwrap();
    pgstream(&["init", "--postgres-url", &server.url("source")]).is_done();
    server.sql("target", "GRANT CREATE ON DATABASE target TO weak").await.unwrap();
    let target = server.url_as("weak", "p", "target");
    let refused = configured(&["run"], &config(&server.url("source"), &target, ""));
    refused.is_error(1, "sink::postgres::target", "role `weak` may not", "GRANT");
}

#[tokio::test]
async fn a_run_without_init_is_told_to_init() {
    let server = ends(major()).await;
    run(&server, "").is_error(1, "listen::no_publication", "pgstream_source", "pgstream init");
}

#[tokio::test]
async fn a_table_without_identity_is_refused_with_the_statement_that_mends_it() {
    let server = ends(major()).await;
    server.sql("source", "CREATE TABLE log (line text)").await.unwrap();
    let refused = pgstream(&["init", "--postgres-url", &server.url("source")]);
    refused.is_error(1, "listen::no_replica_identity", "public.log", "REPLICA IDENTITY FULL");
}

#[tokio::test]
async fn what_the_target_or_the_rules_lack_is_told_by_name() {
    let server = ends(major()).await;
    server
        .sql("source", "CREATE TABLE item (id int PRIMARY KEY, name text, price numeric); CREATE TABLE \"Odd One\" (id int PRIMARY KEY)")
        .await
        .unwrap();
    pgstream(&["init", "--postgres-url", &server.url("source")]).is_done();
    server.sql("target", "CREATE TABLE item (id int PRIMARY KEY, name text)").await.unwrap();

    let refused = run(&server, "");
    refused.is_error(1, "sink::postgres::target", "table public.\"Odd One\" is missing on the target", "");
    assert!(refused.stderr.contains("column `price` (numeric) of public.item is missing"), "{refused:#?}");
    assert!(
        refused.stderr.contains("ALTER TABLE \"public\".\"item\" ADD COLUMN \"price\" numeric;"),
        "{refused:#?}"
    );

    let rules = "modifiers: {transformations: {table_transformers: [{table: item, column_transformers: {nam: {name: masking}}}]}}";
    run(&server, rules).is_error(2, "modify::missing_column", "nam", "name");
    let rules = "modifiers: {transformations: {table_transformers: [{table: items, column_transformers: {name: {name: masking}}}]}}";
    run(&server, rules).is_error(2, "modify::missing_table", "items", "item");
}
