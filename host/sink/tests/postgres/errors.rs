//! Bad targets: each error with its code, what it says and what it advises.

use event::ReplicaIdentity::{Default, Nothing};
use miette::Diagnostic;
use postgres::Url;
use sink::postgres::{Error, Problem, Writer, destroy, status};

use crate::place::{Build, Place, relation, server, slot};

fn remedy(error: &Error) -> String {
    error.help().map(|help| help.to_string()).unwrap_or_default()
}

fn code(error: &Error) -> String {
    error.code().map(|code| code.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn everything_that_the_target_lacks_is_listed_at_once() {
    let place = Place::with(
        "CREATE TABLE t (id int PRIMARY KEY, extra text); CREATE ROLE limited LOGIN; CREATE TABLE r (id int PRIMARY KEY);
         GRANT SELECT, INSERT ON r TO limited; GRANT ALL ON t TO limited; GRANT CREATE ON DATABASE \"postgres\" TO limited;
         CREATE SCHEMA pgstream AUTHORIZATION limited;",
    )
    .await;
    let mut options = place.options.clone();
    options.url.user = "limited".into();
    let t = relation("t", Default, &[("id", "integer*"), ("Email", "character varying(40)"), ("b", "text")]);
    let gone = relation("My.gone", Default, &[("id", "integer*")]);
    let r = relation("r", Default, &[("id", "integer*")]);
    // The schema is there and its owner makes the table.
    server()
        .sql(&place.database, &format!("GRANT CREATE ON DATABASE {} TO limited", place.database))
        .await
        .unwrap();
    let mut writer = Writer::connect(options, slot()).await.unwrap();
    let error = writer.check(&[t, gone, r]).await.unwrap_err();
    let Error::Target { problems } = &error else { panic!("{error:?}") };
    assert_eq!(problems.len(), 4, "{error}");
    assert!(matches!(&problems[0], Problem::Column { column, .. } if column == "Email"));
    assert!(
        remedy(&error).contains("ALTER TABLE \"public\".\"t\" ADD COLUMN \"Email\" character varying(40);")
    );
    assert!(remedy(&error).contains("GRANT UPDATE, DELETE ON \"public\".\"r\" TO \"limited\";"));
    assert!(error.to_string().contains("table \"My\".gone is missing on the target"));
    assert_eq!(code(&error), "sink::postgres::target");
}

#[tokio::test]
async fn a_column_that_comes_later_is_found_when_it_is_added() {
    let place = Place::with("CREATE TABLE t (id int PRIMARY KEY)").await;
    let old = relation("t", Default, &[("id", "integer*")]);
    let new = relation("t", Default, &[("id", "integer*"), ("b", "text")]);
    let mut build = Build::default();
    build.begin().insert(&old, &["1"]).commit().cut();
    let mut first = build.done();
    build.begin().insert(&new, &["2", "b"]).commit().cut();
    first.extend(build.done());
    let error = place.apply(first.clone()).await.unwrap_err();
    assert!(error.to_string().contains("column `b` (text) of public.t is missing"), "{error}");
    place.sql("TRUNCATE t; ALTER TABLE t ADD b text").await;
    let (send, receive) = buffer::link();
    let budget = buffer::Budget::new(1 << 20);
    let writer = place.writer().await;
    let run = tokio::spawn(writer.run(receive, checkpoint::channel(event::Lsn(1)).0));
    let mut batches = first.into_iter();
    send.send(budget.hold(batches.next().unwrap()).await).await.unwrap();
    testbed::eventually("the first row", async || place.rows("SELECT count(*) FROM t").await == ["1"])
        .await
        .unwrap();
    // The table that the writer knows is replaced under its feet.
    place.sql("ALTER TABLE t DROP b; ALTER TABLE t ADD b varchar(9)").await;
    send.send(budget.hold(batches.next().unwrap()).await).await.unwrap();
    drop(send);
    let summary = run.await.unwrap().unwrap();
    assert_eq!(summary.inserts, 2);
    assert_eq!(place.rows("SELECT * FROM t ORDER BY 1").await, ["1|NULL", "2|b"]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_the_row_by_hash_and_never_shows_it() {
    let wide = "x".repeat(50);
    for (type_name, value, want) in [
        ("varchar(5)", "secretvalue", "22001"),
        ("char(5)", "secretvalue", "22001"),
        ("smallint", "98765", "22003"),
        ("integer", "secretvalue", "22P02"),
        ("date", "secretvalue", "22007"),
        ("varchar(5)[]", "{secretvalue}", "22001"),
        ("text CHECK (length(v) < 20)", wide.as_str(), "23514"),
        ("text NOT NULL", "NULL", "23502"),
    ] {
        for rows in [1, 3, 100] {
            let place = Place::with(&format!("CREATE TABLE t (id int PRIMARY KEY, v {type_name})")).await;
            let t = relation("t", Default, &[("id", "integer*"), ("v", "text")]);
            let mut build = Build::default();
            build.begin();
            for id in 1..=rows {
                build.insert(&t, &[&id.to_string(), value]);
            }
            build.commit();
            let error = place.apply(build.done()).await.unwrap_err();
            let Error::Row { sqlstate, key, .. } = &error else { panic!("{error:?}") };
            assert_eq!((sqlstate.as_str(), key.as_str()), (want, "6b86b273ff34fce1"), "{type_name}");
            let all = format!("{error} {error:?} {}", remedy(&error));
            assert!(!all.contains("secret") && !all.contains("98765") && !all.contains("xxxx"), "{all}");
            assert!(all.contains("\"public\".\"t\""), "{all}");
            assert_eq!(place.rows("SELECT count(*) FROM t").await, ["0"]);
        }
    }
}

#[tokio::test]
async fn a_change_without_a_key_is_an_error_and_no_guess() {
    let place = Place::with("CREATE TABLE t (v text)").await;
    let t = relation("t", Nothing, &[("v", "text")]);
    let mut build = Build::default();
    build.begin().insert(&t, &["a"]).update(&t, &["b"]).commit();
    let error = place.apply(build.done()).await.unwrap_err();
    assert_eq!(code(&error), "sink::postgres::no_key");
    assert!(remedy(&error).contains("REPLICA IDENTITY FULL"));
}

#[tokio::test]
async fn an_insert_with_an_unknown_value_is_not_taken_for_null() {
    let place = Place::with("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let t = relation("t", Default, &[("id", "integer*"), ("v", "text")]);
    let mut build = Build::default();
    build.begin().insert(&t, &["1", "KEPT"]).commit();
    assert_eq!(code(&place.apply(build.done()).await.unwrap_err()), "sink::postgres::incomplete");
}

#[tokio::test]
async fn a_role_that_may_not_become_a_replica_keeps_the_order_of_the_stream() {
    let place = Place::with(
        "CREATE ROLE plain LOGIN; CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
         GRANT ALL ON p, c TO plain;",
    )
    .await;
    server()
        .sql(&place.database, &format!("GRANT CREATE ON DATABASE {} TO plain", place.database))
        .await
        .unwrap();
    let mut plain = Place { database: place.database.clone(), options: place.options.clone() };
    plain.options.url.user = "plain".into();
    let p = relation("p", Default, &[("id", "integer*")]);
    let c = relation("c", Default, &[("id", "integer*"), ("p", "integer")]);
    let mut build = Build::default();
    build.begin();
    for id in 0..50 {
        let id = id.to_string();
        build.insert(&p, &[&id]).insert(&c, &[&id, &id]);
    }
    for id in 0..25 {
        let id = id.to_string();
        build.delete(&c, &[&id, "NULL"]).delete(&p, &[&id]);
    }
    build.commit();
    let summary = plain.apply(build.done()).await.unwrap();
    assert_eq!((summary.all_conflicts(), summary.exact), (0, 0));
    assert_eq!(place.rows("SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c)").await, ["25|25"]);
    build.begin().insert(&c, &["100", "999"]).commit();
    let error = plain.apply(build.done()).await.unwrap_err();
    assert!(matches!(&error, Error::Row { sqlstate, .. } if sqlstate == "23503"), "{error:?}");
    assert!(remedy(&error).contains("session_replication_role"));
}

#[tokio::test]
async fn no_right_to_create_the_progress_table_says_so() {
    let place = Place::with("CREATE ROLE nothing LOGIN").await;
    let mut options = place.options.clone();
    options.url.user = "nothing".into();
    let error = Writer::connect(options, slot()).await.unwrap_err();
    assert_eq!(code(&error), "postgres::permission", "{error:?}");
    assert!(error.to_string().contains("pgstream"));
}

#[tokio::test]
async fn a_deferred_constraint_that_does_not_hold_at_commit_is_told() {
    let mut place = Place::with(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    place.options.disable_triggers = false;
    let c = relation("c", Default, &[("id", "integer*"), ("p", "integer")]);
    let mut build = Build::default();
    build.begin().insert(&c, &["1", "9"]).commit();
    let error = place.apply(build.done()).await.unwrap_err();
    assert_eq!(code(&error), "sink::postgres::commit");
    assert!(error.to_string().contains("c_p_fkey"), "{error}");
    assert_eq!(place.rows("SELECT count(*) FROM c").await, ["0"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_and_a_missing_database_is_not() {
    let place = Place::with("").await;
    let mut options = place.options.clone();
    options.url.port = 1;
    assert!(Writer::connect(options, slot()).await.unwrap_err().is_transient());
    let mut options = place.options.clone();
    options.url = options.url.with_database("absent");
    let error = Writer::connect(options, slot()).await.unwrap_err();
    assert!(!error.is_transient());
    assert_eq!(code(&error), "postgres::no_database");
}

#[tokio::test]
async fn destroy_removes_our_table_and_the_schema_only_when_it_is_empty() {
    let place = Place::with("CREATE TABLE t (id int PRIMARY KEY)").await;
    let url: Url = place.options.url.clone();
    assert_eq!(status(&url, "7", "slot").await.unwrap(), None);
    place.writer().await;
    let progress = status(&url, "7", "slot").await.unwrap().unwrap();
    assert_eq!((progress.lsn.0, progress.chain.as_str(), progress.epoch), (1, "chain", 1));
    assert_eq!(
        status(&url, "8", "slot").await.unwrap().unwrap().system_id,
        "7",
        "a slot of that name, of another system"
    );
    place.sql("CREATE TABLE pgstream.mine ()").await;
    let gone = destroy(&url, "slot").await.unwrap();
    assert_eq!((gone.table, gone.schema), (true, false));
    place.sql("DROP TABLE pgstream.mine").await;
    let gone = destroy(&url, "slot").await.unwrap();
    assert_eq!((gone.table, gone.schema), (false, true));
    let gone = destroy(&url, "slot").await.unwrap();
    assert_eq!((gone.table, gone.schema), (false, false));
}
