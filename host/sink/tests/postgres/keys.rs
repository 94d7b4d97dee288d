//! Every kind of key and of column that needs its own way of finding or writing a row.

use event::ReplicaIdentity::{Default, Full, Index};

use crate::place::{Build, Place, relation};

#[tokio::test]
async fn one_row_and_many_rows_of_each_operation_arrive() {
    for rows in [1_u32, 3, 500, 2_500] {
        let place = Place::with("CREATE TABLE t (id int PRIMARY KEY, a text, b numeric)").await;
        let t = relation("t", Default, &[("id", "integer*"), ("a", "text"), ("b", "numeric")]);
        let mut build = Build::default();
        for round in 0..3 {
            build.begin();
            for id in 0..rows {
                let (id, a) = (id.to_string(), format!("tab\t nl\n back\\slash \"quote\" {id}"));
                match round {
                    0 => build.insert(&t, &[&id, &a, "NULL"]),
                    1 => build.update(&t, &[&id, &a, "1.50"]),
                    _ if id.ends_with('7') => build.delete(&t, &[&id, "NULL", "NULL"]),
                    _ => &mut build,
                };
            }
            build.commit().cut();
            // A unit of its own, else all of it folds to inserts.
            let summary = place.apply(build.done()).await.unwrap();
            assert_eq!((summary.all_conflicts(), summary.exact), (0, 0));
        }
        let want = (0..rows).filter(|id| id % 10 != 7).count().to_string();
        let query = r#"SELECT count(*) FROM t WHERE a = E'tab\t nl\n back\\slash "quote" ' || id AND b::text = '1.50'"#;
        assert_eq!(place.rows(query).await, [want.as_str()], "{rows} rows");
        assert_eq!(place.rows("SELECT count(*) FROM t").await, [want.as_str()]);
    }
}

#[tokio::test]
async fn a_key_may_have_many_columns_of_any_comparable_type() {
    let place = Place::with(
        "CREATE SCHEMA \"My App\"; CREATE TYPE \"My App\".mood AS ENUM ('sad', 'it''s ok'); CREATE EXTENSION citext;
         CREATE DOMAIN code AS varchar(5);
         CREATE TABLE \"My App\".\"a.\"\"b\" (
             \"Key\" \"My App\".mood, k2 citext, k3 code, k4 bytea, k5 char(4), \"order\" text,
             PRIMARY KEY (\"Key\", k2, k3, k4, k5));
         CREATE TABLE c (id citext PRIMARY KEY, v text); CREATE TABLE e (id \"My App\".mood PRIMARY KEY, v int[])",
    )
    .await;
    let columns = [
        ("Key", "mood*"),
        ("k2", "citext*"),
        ("k3", "code*"),
        ("k4", "bytea*"),
        ("k5", "char*"),
        ("order", "text"),
    ];
    let t = relation("My App.a.\"b", Default, &columns);
    let c = relation("c", Default, &[("id", "citext*"), ("v", "text")]);
    let e = relation("e", Default, &[("id", "mood*"), ("v", "integer[]")]);
    let mut build = Build::default();
    build.begin();
    for k2 in ["A", "b"] {
        build.insert(&t, &["it's ok", k2, "x", "\\x00ff", "a   ", "old"]);
        build.insert(&c, &[k2, "old"]);
    }
    build.insert(&e, &["sad", "{1,2}"]).insert(&e, &["it's ok", "{}"]).commit().cut();
    place.apply(build.done()).await.unwrap();
    build.begin();
    for k2 in ["A", "b"] {
        build.update(&t, &["it's ok", k2, "x", "\\x00ff", "a   ", "new"]);
        build.update(&c, &[k2, "new"]);
    }
    build.update(&e, &["sad", "{{1,2},{NULL,4}}"]).update(&e, &["it's ok", "NULL"]).commit().cut();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!((summary.all_conflicts(), summary.exact), (0, 0));
    assert_eq!(
        place.rows("SELECT k2, \"order\" FROM \"My App\".\"a.\"\"b\" ORDER BY 1").await,
        ["A|new", "b|new"]
    );
    assert_eq!(place.rows("SELECT * FROM e ORDER BY id").await, ["sad|{{1,2},{NULL,4}}", "it's ok|NULL"]);
    build.begin();
    for k2 in ["A", "b"] {
        build.delete(&t, &["it's ok", k2, "x", "\\x00ff", "a   ", "NULL"]);
        build.delete(&c, &[k2, "NULL"]);
    }
    build.delete(&e, &["sad", "NULL"]).delete(&e, &["it's ok", "NULL"]).commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!((summary.all_conflicts(), summary.exact), (0, 0));
    let left = "SELECT (SELECT count(*) FROM c) + (SELECT count(*) FROM e) + (SELECT count(*) FROM \"My App\".\"a.\"\"b\")";
    assert_eq!(place.rows(left).await, ["0"]);
}

#[tokio::test]
async fn without_any_key_the_row_with_the_same_text_changes_and_of_duplicates_one() {
    let place = Place::with(
        "CREATE TABLE t (n numeric, f float8, j json, i interval, c char(3), b bool, s text);
         INSERT INTO t VALUES (1.0, 0, '{\"a\":1}', '1 mon', 'x', true, NULL), (1.00, '-0', '{\"a\": 1}', '30 days', 'x', true, NULL),
                              (2, 'NaN', NULL, '1 day', 'y', false, ''), (2, 'NaN', NULL, '1 day', 'y', false, '');",
    )
    .await;
    let columns = [
        ("n", "numeric"),
        ("f", "float8"),
        ("j", "json"),
        ("i", "interval"),
        ("c", "char"),
        ("b", "bool"),
        ("s", "text"),
    ];
    let t = relation("t", Full, &columns);
    let mut build = Build::default();
    build.begin();
    build.update_from(
        &t,
        &["1.00", "-0", "{\"a\": 1}", "30 days", "x  ", "t", "NULL"],
        &["1.00", "-0", "KEPT", "30 days", "x  ", "t", "second"],
    );
    build.delete(&t, &["2", "NaN", "NULL", "1 day", "y  ", "f", ""]);
    let absent = ["3", "NaN", "NULL", "1 day", "y  ", "f", ""];
    build.delete(&t, &absent).commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!(summary.all_conflicts(), 1, "the third was not there");
    assert_eq!(
        place.rows("SELECT n, f, j, i, s FROM t ORDER BY n, f::text").await,
        ["1.00|-0|{\"a\": 1}|30 days|second", "1.0|0|{\"a\":1}|1 mon|NULL", "2|NaN|NULL|1 day|"]
            .map(String::from)
            .to_vec()
    );
}

#[tokio::test]
async fn identity_full_uses_the_targets_own_key_if_it_has_one() {
    let place =
        Place::with("CREATE TABLE t (a text, id int PRIMARY KEY); INSERT INTO t VALUES ('differs', 1)").await;
    let t = relation("t", Full, &[("a", "text"), ("id", "integer")]);
    let mut build = Build::default();
    build.begin().update_from(&t, &["old", "1"], &["new", "1"]).commit().cut();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!(summary.all_conflicts(), 0);
    assert_eq!(place.rows("SELECT a FROM t").await, ["new"]);
    build.begin().update_from(&t, &["new", "1"], &["new", "2"]).commit();
    assert_eq!(place.apply(build.done()).await.unwrap().all_conflicts(), 0);
    assert_eq!(place.rows("SELECT id FROM t").await, ["2"]);
}

#[tokio::test]
async fn identity_index_finds_rows_though_the_primary_key_changes() {
    let place = Place::with("CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL UNIQUE, v text); INSERT INTO t VALUES (1, 10, 'a')").await;
    let t = relation("t", Index, &[("id", "integer"), ("u", "integer*"), ("v", "text")]);
    let mut build = Build::default();
    // The replica identity is as it was, so no old image comes, but the primary key is another.
    build.begin().update(&t, &["2", "10", "b"]).commit().cut();
    let mut batches = build.done();
    batches[0].chunks[0].identity = event::Identity::Columns(vec![0]);
    let summary = place.apply(batches).await.unwrap();
    assert_eq!(summary.all_conflicts(), 0);
    assert_eq!(place.rows("SELECT * FROM t").await, ["2|10|b"]);
}

#[tokio::test]
async fn generated_and_identity_columns_come_out_right() {
    let place = Place::with(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, extra text DEFAULT 'x');
         CREATE TABLE u (k int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v text, extra text DEFAULT 'x');",
    )
    .await;
    let t = relation("t", Default, &[("id", "integer*!"), ("v", "integer"), ("twice", "integer")]);
    let u = relation("u", Default, &[("k", "integer*"), ("n", "integer!"), ("v", "text")]);
    for many in [1, 40] {
        let mut build = Build::default();
        for round in 0..2 {
            build.begin();
            for id in 0..many {
                let (id, n) = (id.to_string(), (id + 100 + round).to_string());
                if round == 0 {
                    build.insert(&t, &[&id, "1", "999"]).insert(&u, &[&id, &n, "a"]);
                } else {
                    build.update(&t, &[&id, "5", "999"]).update(&u, &[&id, &n, "KEPT"]);
                }
            }
            build.commit().cut();
            let summary = place.apply(build.done()).await.unwrap();
            assert_eq!((summary.all_conflicts(), summary.exact), (0, 0));
            if round == 0 {
                place.sql("UPDATE t SET extra = 'mine'; UPDATE u SET extra = 'mine'").await;
            }
        }
        // A key that is always an identity moves too.
        build.begin().update_from(&t, &["0", "NULL", "NULL"], &["1000", "6", "0"]).commit();
        assert_eq!(place.apply(build.done()).await.unwrap().all_conflicts(), 0);
        assert_eq!(
            place
                .rows("SELECT v, twice, extra, count(*) FROM t WHERE id < 1000 GROUP BY 1, 2, 3")
                .await
                .len(),
            usize::from(many > 1)
        );
        assert_eq!(place.rows("SELECT * FROM t WHERE id = 1000").await, ["1000|6|12|mine"]);
        let all = format!("101|a|mine|{}", 1);
        assert_eq!(
            place.rows("SELECT n, v, extra, count(*) FROM u WHERE k = 0 GROUP BY 1, 2, 3").await,
            [all]
        );
        place.sql("TRUNCATE t, u").await;
    }
}

#[tokio::test]
async fn truncate_empties_all_its_tables_at_once_and_restarts_counters_as_told() {
    let place = Place::with(
        "CREATE TABLE p (id serial PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
         INSERT INTO p VALUES (DEFAULT), (DEFAULT); INSERT INTO c VALUES (1, 1)",
    )
    .await;
    let p = relation("p", Default, &[("id", "integer*")]);
    let c = relation("c", Default, &[("id", "integer*"), ("p", "integer")]);
    let mut build = Build::default();
    build.begin().insert(&c, &["5", "2"]).truncate(&[&p, &c], true).insert(&c, &["6", "9"]).commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!((summary.truncates, summary.exact), (1, 0));
    assert_eq!(
        place.rows("SELECT (SELECT count(*) FROM p), (SELECT string_agg(id::text, ',') FROM c)").await,
        ["0|6"]
    );
    assert_eq!(place.rows("SELECT nextval('p_id_seq')").await, ["1"]);
}

#[tokio::test]
async fn a_partitioned_target_takes_every_operation() {
    let place = Place::with(
        "CREATE TABLE t (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100); CREATE TABLE t2 PARTITION OF t DEFAULT;
         CREATE TABLE f (id int, v text) PARTITION BY RANGE (id);
         CREATE TABLE f1 PARTITION OF f FOR VALUES FROM (0) TO (100); CREATE TABLE f2 PARTITION OF f DEFAULT;
         INSERT INTO f SELECT i, 'a' FROM generate_series(95, 105) i",
    )
    .await;
    let t = relation("t", Default, &[("id", "integer*"), ("v", "text")]);
    let f = relation("f", Full, &[("id", "integer"), ("v", "text")]);
    let mut build = Build::default();
    build.begin();
    for id in 90..190 {
        build.insert(&t, &[&id.to_string(), "a"]);
    }
    build.commit().cut();
    place.apply(build.done()).await.unwrap();
    build.begin();
    for id in 90..180 {
        build.update(&t, &[&id.to_string(), "b"]);
    }
    build.update_from(&t, &["189", "NULL"], &["1", "moved"]);
    for id in 180..189 {
        build.delete(&t, &[&id.to_string(), "NULL"]);
    }
    build.update_from(&f, &["99", "a"], &["200", "b"]).delete(&f, &["101", "a"]).commit();
    let summary = place.apply(build.done()).await.unwrap();
    assert_eq!((summary.all_conflicts(), summary.exact), (0, 0));
    assert_eq!(place.rows("SELECT v, count(*) FROM t GROUP BY 1 ORDER BY 1").await, ["b|90", "moved|1"]);
    assert_eq!(place.rows("SELECT count(*), max(id) FROM f").await, ["10|200"]);
}
