//! Rows that are not there, rows that are there already, and what is counted.

use event::ReplicaIdentity::Default;
use sink::postgres::{Error, OnConflict};

use crate::place::{Build, Place, relation};

const T: [(&str, &str); 3] = [("id", "integer*"), ("u", "integer"), ("v", "text")];
const SQL: &str = "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, v text); INSERT INTO t VALUES (1, 1, 'there'), (2, 2, 'there')";

#[tokio::test]
async fn updates_and_deletes_that_find_no_row_are_counted_by_table() {
    for replica in [true, false] {
        let mut place = Place::with(SQL).await;
        place.options.disable_triggers = replica;
        let t = relation("t", Default, &T);
        let mut build = Build::default();
        build.begin().update(&t, &["1", "1", "a"]).update(&t, &["8", "8", "a"]);
        build.delete(&t, &["2", "NULL", "NULL"]).delete(&t, &["9", "NULL", "NULL"]).commit();
        let summary = place.apply(build.done()).await.unwrap();
        assert_eq!(
            summary.conflicts.into_iter().map(|(t, n)| format!("{t} {n}")).collect::<Vec<_>>(),
            ["public.t 2"]
        );
        assert_eq!((summary.updates, summary.deletes, summary.exact), (2, 2, 0));
        assert_eq!(place.rows("SELECT * FROM t").await, ["1|1|a"]);
    }
}

#[tokio::test]
async fn an_insert_of_a_row_that_is_there_stops_updates_or_leaves_it() {
    for (on_conflict, want) in [(OnConflict::Update, "new"), (OnConflict::Nothing, "there")] {
        let mut place = Place::with(SQL).await;
        place.options.on_conflict = on_conflict;
        let t = relation("t", Default, &T);
        let mut build = Build::default();
        build.begin();
        for id in 1..=40 {
            build.insert(&t, &[&id.to_string(), &id.to_string(), "new"]);
        }
        build.commit();
        let summary = place.apply(build.done()).await.unwrap();
        assert_eq!(summary.exact, 0);
        assert_eq!(
            place.rows("SELECT count(*), min(v) FILTER (WHERE id = 2) FROM t").await,
            [format!("40|{want}")]
        );
        assert_eq!(summary.all_conflicts(), if on_conflict == OnConflict::Nothing { 2 } else { 0 });
    }
    let place = Place::with(SQL).await;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build.begin().insert(&t, &["5", "5", "a"]).commit();
    let first = build.end();
    build.begin().insert(&t, &["6", "6", "a"]).insert(&t, &["1", "7", "secret"]).commit();
    let error = place.apply(build.done()).await.unwrap_err();
    let Error::Row { table, op, key, sqlstate, reason, remedy } = &error else { panic!("{error:?}") };
    assert_eq!((table.to_string().as_str(), *op, sqlstate.as_str()), ("public.t", "insert", "23505"));
    // printf 1 | sha256sum
    assert_eq!(key, "6b86b273ff34fce1");
    assert!(reason.contains("t_pkey") && remedy.contains("on_conflict_action"), "{reason}; {remedy}");
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(!error.is_transient());
    assert_eq!(
        place.rows("SELECT id FROM t ORDER BY 1").await,
        ["1", "2", "5"],
        "the transaction before is in, nothing of the bad one"
    );
    assert_eq!(place.position().await, first);
}

#[tokio::test]
async fn left_out_inserts_do_not_hide_what_follows_for_their_key() {
    for (on_conflict, want) in
        [(OnConflict::Nothing, vec!["2|2|later", "3|3|x"]), (OnConflict::Update, vec!["2|2|later", "3|3|x"])]
    {
        let mut place = Place::with(SQL).await;
        place.options.on_conflict = on_conflict;
        let t = relation("t", Default, &T);
        let mut build = Build::default();
        build.begin().insert(&t, &["1", "1", "new"]).delete(&t, &["1", "NULL", "NULL"]);
        build.insert(&t, &["2", "2", "new"]).update(&t, &["2", "2", "later"]);
        build
            .insert(&t, &["3", "3", "x"])
            .delete(&t, &["3", "NULL", "NULL"])
            .insert(&t, &["3", "3", "x"])
            .commit();
        place.apply(build.done()).await.unwrap();
        assert_eq!(place.rows("SELECT * FROM t ORDER BY 1").await, want, "{on_conflict:?}");
    }
}

#[tokio::test]
async fn values_of_a_unique_column_change_places_although_no_single_statement_could() {
    let place = Place::with(SQL).await;
    let t = relation("t", Default, &T);
    let mut build = Build::default();
    build
        .begin()
        .update(&t, &["1", "99", "a"])
        .update(&t, &["2", "1", "b"])
        .update(&t, &["1", "2", "a"])
        .commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!(place.rows("SELECT * FROM t ORDER BY 1").await, ["1|2|a", "2|1|b"]);
    assert_eq!(summary.exact, 1, "row by row, in order");
}
