//! Comparing tables: equal is equal in text and in binary, and every difference is found and named.

use testbed::compare::{Report, Table};
use testbed::{Options, Postgres, tpcb};

/// Two databases of one server with the given tables.
async fn compared(table: &Table, source: &str, target: &str) -> Report {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    for (database, statements) in [("source", source), ("target", target)] {
        server.create_database(database).await.unwrap();
        server.sql(database, statements).await.unwrap();
    }
    let (source, target) = (server.connect("source").await.unwrap(), server.connect("target").await.unwrap());
    table.compare(&source, &target).await.unwrap()
}

const KINDS: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN small AS int CHECK (VALUE < 100);
    CREATE TYPE pair AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8);
    CREATE TABLE kinds (id int PRIMARY KEY, n numeric, f float8, t timestamptz, j jsonb, m mood, s small, p pair,
        r span, ms mood[], ss small[], ps pair[], i int[], b bytea, iv interval);
    INSERT INTO kinds VALUES
        (1, 'NaN', '-0', '4713-01-01 BC', 'null', 'sad', 7, '(1,"x y")', '[1,2)', '{sad,NULL}', '{1,2}', '{"(1,a)"}',
         '{{1,2},{3,4}}', '\x00ff', '1 mon'),
        (2, NULL, 'Infinity', 'infinity', NULL, NULL, NULL, NULL, 'empty', '{}', NULL, '{}', '[2:3]={1,NULL}', '', '30 days');"#;

#[tokio::test]
async fn the_same_rows_of_every_kind_are_equal_also_where_type_ids_differ() {
    // The type made first shifts the ids of all that follow.
    let target = format!("CREATE TYPE shift AS ENUM ('x'); {KINDS}");
    let report = compared(&Table::new("kinds"), KINDS, &target).await;
    assert!(report.is_equal(), "{report}");
    assert_eq!((report.source_rows, report.target_rows), (2, 2));
}

#[tokio::test]
async fn values_that_are_equal_to_postgres_but_not_the_same_are_differences() {
    let table = Table::new("t").key(&["id"]);
    let create = "CREATE TABLE t (id int, n numeric, i interval, f float8); INSERT INTO t VALUES";
    let report = compared(
        &table,
        &format!("{create} (1, 1.0, '1 mon', 0)"),
        &format!("{create} (1, 1.00, '30 days', '-0')"),
    )
    .await;
    assert_eq!(report.different, 1);
    let line = &report.differences[0];
    for part in
        ["id=\"1\"", "n should be \"1.0\", is \"1.00\"", "\"30 days\"", "f should be \"0\", is \"-0\""]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn missing_extra_and_doubled_rows_are_counted_each() {
    let create = "CREATE TABLE t (v text); INSERT INTO t VALUES";
    let report = compared(
        &Table::new("t"),
        &format!("{create} ('a'), ('b'), ('b'), (NULL)"),
        &format!("{create} ('a'), ('a'), ('b'), ('')"),
    )
    .await;
    assert_eq!(report.different, 4, "{report}");
}

#[tokio::test]
async fn a_masked_column_must_be_what_the_mask_gives() {
    let table = Table::new("t")
        .key(&["id"])
        .masked("name", |row| row["name"].as_ref().map(|name| name.to_uppercase()));
    let create = "CREATE TABLE t (id int, name text); INSERT INTO t VALUES";
    let source = format!("{create} (1, 'ann'), (2, 'bob'), (3, NULL)");
    let report = compared(&table, &source, &format!("{create} (1, 'ANN'), (2, 'bob'), (3, NULL)")).await;
    assert_eq!(report.differences, ["differs: id=\"2\": name should be \"BOB\", is \"bob\""]);
}

#[tokio::test]
async fn our_own_tpcb_keeps_the_books_balanced_as_pgbench_does() {
    let server = Postgres::start(Options::major(testbed::majors()[0])).unwrap();
    server.sql("postgres", tpcb::DDL).await.unwrap();
    server.sql("postgres", &tpcb::fill(1)).await.unwrap();
    let run = tpcb::Run::default();
    let (url, pause) = (server.url("postgres"), std::time::Duration::ZERO);
    let driving = run.drive(&url, 1, 2, pause);
    let ending = async {
        testbed::eventually("a hundred transactions", async || run.transactions() >= 100).await.unwrap();
        run.end();
    };
    let (driven, ()) = tokio::join!(driving, ending);
    driven.unwrap();
    let sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history) \
                AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches), \
                (SELECT count(*) FROM pgbench_history)";
    let row = server.rows("postgres", sums).await.unwrap().remove(0);
    assert_eq!(row, [Some("t".to_owned()), Some(run.transactions().to_string())]);
}
