//! What others see of the target, and what is left when the stream or the process ends at a bad moment.

use std::time::Duration;

use buffer::{Budget, link};
use event::Lsn;
use event::ReplicaIdentity::Default;
use sink::postgres::Error;
use tokio::time::sleep;

use crate::place::{Build, Place, relation, server, slot, stream};

const SQL: &str = "CREATE TABLE t (id int PRIMARY KEY, v text)";
const T: [(&str, &str); 2] = [("id", "integer*"), ("v", "text")];

#[tokio::test]
async fn a_transaction_larger_than_a_unit_is_seen_when_it_is_whole_and_not_before() {
    let mut place = Place::with(SQL).await;
    place.options.flush.rows = 100;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build.begin();
    for id in 0..2_000 {
        build.insert(&t, &[&id.to_string(), "a"]);
        if id % 50 == 49 {
            build.cut();
        }
    }
    // Changes of rows that an earlier unit of the same transaction wrote.
    for id in 0..300 {
        build.update(&t, &[&id.to_string(), "b"]);
    }
    build.cut();
    let parts = build.done();
    build.commit();
    let last = build.done();

    let (send, receive) = link();
    let (confirm, confirmed) = checkpoint::channel(Lsn(1));
    let run = tokio::spawn(place.writer().await.run(receive, confirm));
    let budget = Budget::new(64 << 20);
    for batch in parts {
        send.send(budget.hold(batch).await).await.unwrap();
        assert_eq!(place.rows("SELECT count(*) FROM t").await, ["0"]);
    }
    sleep(Duration::from_millis(200)).await;
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(*confirmed.borrow(), Lsn(1));
    assert_eq!(budget.used(), 0, "what is in the target's transaction is not in our memory");
    for batch in last {
        send.send(budget.hold(batch).await).await.unwrap();
    }
    drop(send);
    let summary = run.await.unwrap().unwrap();
    assert_eq!((summary.transactions, summary.inserts, summary.updates, summary.commits), (1, 2_000, 300, 1));
    assert_eq!(place.rows("SELECT v, count(*) FROM t GROUP BY 1 ORDER BY 1").await, ["a|1700", "b|300"]);
    assert_eq!((place.position().await, *confirmed.borrow()), (build.end(), build.end()));
}

#[tokio::test]
async fn the_part_of_a_transaction_whose_end_does_not_come_is_rolled_back() {
    for rows in [1, 10_000] {
        let mut place = Place::with(SQL).await;
        place.options.flush.rows = rows;
        let t = relation("t", Default, &T);
        let mut build = Build::default();
        build.begin().insert(&t, &["1", "whole"]).commit();
        let end = build.end();
        build.begin().insert(&t, &["2", "part"]).cut();
        build.insert(&t, &["3", "part"]).cut();
        let summary = place.apply(build.done()).await.unwrap();
        assert_eq!((summary.transactions, summary.inserts, summary.lsn), (1, 1, Some(end)));
        assert_eq!(place.rows("SELECT id FROM t").await, ["1"]);
        assert_eq!(place.position().await, end);
    }
}

#[tokio::test]
async fn a_row_that_fails_in_a_later_unit_takes_its_whole_transaction_with_it() {
    let mut place = Place::with(SQL).await;
    place.options.flush.rows = 2;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build.begin().insert(&t, &["1", "a"]).insert(&t, &["2", "a"]).cut();
    build.insert(&t, &["3", "a"]).insert(&t, &["1", "again"]).cut();
    build.insert(&t, &["4", "a"]).commit();
    let error = place.apply(build.done()).await.unwrap_err();
    assert!(matches!(&error, Error::Row { sqlstate, .. } if sqlstate == "23505"), "{error}");
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(place.position().await, Lsn(1));
}

#[tokio::test]
async fn the_exact_path_in_a_later_unit_keeps_what_the_units_before_did() {
    let mut place = Place::with("CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE)").await;
    place.options.flush.rows = 2;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build.begin().insert(&t, &["1", "a"]).insert(&t, &["2", "b"]).cut();
    build.update(&t, &["1", "c"]).update(&t, &["2", "a"]).update(&t, &["1", "b"]).cut();
    build.insert(&t, &["4", "d"]).commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!((summary.exact, summary.transactions), (1, 1));
    assert_eq!(place.rows("SELECT * FROM t ORDER BY 1").await, ["1|b", "2|a", "4|d"]);
}

#[tokio::test]
async fn a_writer_whose_stream_was_taken_over_changes_nothing_more() {
    let place = Place::with(SQL).await;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    let old = place.writer().await;
    let mut new = sink::postgres::Writer::connect(place.options.clone(), slot()).await.unwrap();
    assert_eq!(new.progress().await.unwrap().unwrap().lsn, Lsn(1));
    new.start_at(Lsn(1), "chain").await.unwrap();
    build.begin().insert(&t, &["1", "a"]).commit();
    let batches = build.done();
    let error = old.run(stream(batches.clone()), checkpoint::channel(Lsn(1)).0).await.unwrap_err();
    assert!(matches!(error, Error::Fenced { .. }), "{error}");
    assert!(!error.is_transient());
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["0"]);
    new.run(stream(batches), checkpoint::channel(Lsn(1)).0).await.unwrap();
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["1"]);
}

#[tokio::test]
async fn taking_over_never_takes_the_position_back() {
    let place = Place::with(SQL).await;
    let mut writer = place.writer().await;
    assert_eq!(writer.start_at(Lsn(500), "chain").await.unwrap(), Lsn(500));
    assert_eq!(writer.start_at(Lsn(400), "chain").await.unwrap(), Lsn(500));
}

#[tokio::test]
async fn a_session_that_is_killed_leaves_nothing_and_the_stream_goes_on_from_the_progress_row() {
    let mut place = Place::with(SQL).await;
    place.options.flush.rows = 10;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build.begin().insert(&t, &["1", "a"]).commit().cut();
    let end = build.end();
    build.begin();
    for id in 2..60 {
        build.insert(&t, &[&id.to_string(), "a"]);
        if id % 20 == 0 {
            build.cut();
        }
    }
    let first = build.done();
    let (send, receive) = link();
    let (confirm, confirmed) = checkpoint::channel(Lsn(1));
    let run = tokio::spawn(place.writer().await.run(receive, confirm));
    let budget = Budget::new(64 << 20);
    for batch in first.clone() {
        send.send(budget.hold(batch).await).await.unwrap();
    }
    testbed::eventually("the part is in the target", async || budget.used() == 0).await.unwrap();
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'pgstream'",
        place.database
    );
    server().sql("postgres", &kill).await.unwrap();
    build.commit();
    let last = build.done();
    for batch in last.clone() {
        let _gone = send.send(budget.hold(batch).await).await;
    }
    let error = run.await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!((place.position().await, *confirmed.borrow()), (end, end));
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["1"]);
    // The source sends again what comes after the position, whole.
    place.apply(first.into_iter().skip(1).chain(last).collect()).await.unwrap();
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["59"]);
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let place = Place::with(SQL).await;
    place.sql("INSERT INTO t VALUES (1, 'a'), (2, 'a')").await;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build.begin().delete(&t, &["1", "NULL"]).update(&t, &["2", "ours"]).commit();
    let other = server().connect(&place.database).await.unwrap();
    // The other waits long before it looks for a deadlock, so that we are the one who is picked.
    other
        .batch_execute("SET deadlock_timeout = '1min'; BEGIN; UPDATE t SET v = 'theirs' WHERE id = 2")
        .await
        .unwrap();
    let run = tokio::spawn({
        let writer = place.writer().await;
        let batches = build.done();
        async move { writer.run(stream(batches), checkpoint::channel(Lsn(1)).0).await }
    });
    sleep(Duration::from_millis(300)).await;
    other.batch_execute("UPDATE t SET v = 'theirs' WHERE id = 1; COMMIT").await.unwrap();
    let summary = run.await.unwrap().unwrap();
    assert_eq!((summary.exact, summary.all_conflicts()), (0, 0));
    assert_eq!(place.rows("SELECT * FROM t").await, ["2|ours"]);
}

#[tokio::test]
async fn heartbeats_are_stored_when_due_and_confirmed_only_then() {
    let mut place = Place::with(SQL).await;
    place.options.heartbeat = Duration::from_millis(300);
    let (send, receive) = link();
    let (confirm, confirmed) = checkpoint::channel(Lsn(1));
    let run = tokio::spawn(place.writer().await.run(receive, confirm));
    let budget = Budget::new(64 << 20);
    let beat =
        |lsn| event::Batch { order: vec![event::Step::Heartbeat(Lsn(lsn))], ..event::Batch::default() };
    send.send(budget.hold(beat(50)).await).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(*confirmed.borrow(), Lsn(1));
    testbed::eventually("stored", async || *confirmed.borrow() == Lsn(50)).await.unwrap();
    assert_eq!(place.position().await, Lsn(50));
    send.send(budget.hold(beat(60)).await).await.unwrap();
    drop(send);
    run.await.unwrap().unwrap();
    assert_eq!(place.position().await, Lsn(60), "at the end all is stored");
}

#[tokio::test]
async fn a_part_that_fills_the_budget_does_not_stop_the_stream() {
    let place = Place::with(SQL).await;
    let t = relation("t", Default, &T);
    let (send, receive) = link();
    let run = tokio::spawn(place.writer().await.run(receive, checkpoint::channel(Lsn(1)).0));
    // Room for one batch only.
    let budget = Budget::new(1);
    let mut build = Build::default();
    build.begin();
    for id in 0..20 {
        build.insert(&t, &[&id.to_string(), "a"]).cut();
    }
    build.commit();
    for batch in build.done() {
        let held = tokio::time::timeout(Duration::from_secs(10), budget.hold(batch)).await.unwrap();
        send.send(held).await.unwrap();
    }
    drop(send);
    assert_eq!(run.await.unwrap().unwrap().inserts, 20);
}

#[tokio::test]
async fn a_statement_that_fails_before_a_copy_leaves_the_session_in_step() {
    let mut place = Place::with(
        "CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, 'b');
         CREATE TABLE u (id int PRIMARY KEY, v text)",
    )
    .await;
    let (t, u) = (relation("t", Default, &T), relation("u", Default, &T));
    let mut build = Build::default();
    // Two rows that exchange their values fail as one statement; the rows of `u` are enough for a COPY behind it. In one
    // part, and as the second of two.
    for (round, one, other, parts) in [(1, "b", "a", false), (2, "a", "b", true)] {
        build.begin();
        if parts {
            build.insert(&u, &["0", "first part"]).cut();
            place.options.flush.rows = 1;
        }
        build.update(&t, &["1", "c"]).update(&t, &["2", other]).update(&t, &["1", one]);
        for id in 0..100 {
            build.insert(&u, &[&(round * 1000 + id).to_string(), "x"]);
        }
        build.commit();
        let summary = place.apply(build.done()).await.unwrap();
        assert_eq!(summary.exact, 1, "{summary:?}");
        let want = [format!("1|{one}"), format!("2|{other}")];
        assert_eq!(place.rows("SELECT * FROM t ORDER BY 1").await, want);
    }
    assert_eq!(place.rows("SELECT count(*) FROM u").await, ["201"]);
}

#[tokio::test]
async fn what_fails_between_the_parts_of_a_transaction_is_told_as_what_it_is() {
    let mut place = Place::with(&format!("{SQL}; CREATE TABLE u (id int PRIMARY KEY, v text)")).await;
    place.options.flush.rows = 1;
    let (t, u) = (relation("t", Default, &T), relation("u", Default, &T));
    let mut writer = place.writer().await;
    writer.check(&[t.clone(), u.clone()]).await.unwrap();
    let (send, receive) = link();
    let (confirm, _confirmed) = checkpoint::channel(Lsn(1));
    let run = tokio::spawn(writer.run(receive, confirm));
    let budget = Budget::new(64 << 20);
    let mut build = Build::default();
    build.begin().insert(&t, &["1", "a"]).cut();
    for batch in build.done() {
        send.send(budget.hold(batch).await).await.unwrap();
    }
    sleep(Duration::from_millis(300)).await;
    place.sql("ALTER TABLE u RENAME COLUMN v TO w").await;
    build.insert(&u, &["1", "a"]).commit();
    for batch in build.done() {
        send.send(budget.hold(batch).await).await.unwrap();
    }
    let error = run.await.unwrap().unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().contains("public.u"), "{error}");
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["0"]);
}

#[tokio::test]
async fn a_commit_that_fails_after_several_parts_stops_the_stream() {
    let mut place = Place::with(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    place.options.disable_triggers = false;
    place.options.flush.rows = 1;
    let c = relation("c", Default, &[("id", "integer*"), ("p", "integer")]);
    let mut build = Build::default();
    build.begin().insert(&c, &["1", "9"]).cut();
    build.insert(&c, &["2", "9"]).commit();
    let error = place.apply(build.done()).await.unwrap_err();
    assert!(matches!(error, Error::Commit { .. }), "{error:?}");
    assert_eq!(place.rows("SELECT count(*) FROM c").await, ["0"]);
}

#[tokio::test]
async fn a_view_takes_many_rows_though_it_takes_no_copy() {
    let place = Place::with(&format!("{SQL}; CREATE VIEW shown AS SELECT * FROM t")).await;
    let shown = relation("shown", Default, &T);
    let mut build = Build::default();
    build.begin();
    for id in 0..100 {
        build.insert(&shown, &[&id.to_string(), "a"]);
    }
    build.commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!(summary.exact, 0);
    assert_eq!(place.rows("SELECT count(*) FROM t").await, ["100"]);
}
