//! A value that leaves the source arrives as the same value: in text and in binary form, for every type.

use pipeline::{PATIENCE, Rig};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::values::{Kind, TYPES, kinds};

/// Rows of each run; `PGSTREAM_TYPE_ROWS` widens it.
fn rows() -> usize {
    std::env::var("PGSTREAM_TYPE_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(300)
}

/// The seed of each run; `PGSTREAM_SEED` repeats one.
fn seed() -> u64 {
    std::env::var("PGSTREAM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125)
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn literal(kind: &Kind, runner: &mut TestRunner) -> String {
    // One value in six is NULL.
    if (0..6_u8).new_tree(runner).unwrap().current() == 0 {
        return "NULL".into();
    }
    let text = kind.values.new_tree(runner).unwrap().current();
    // The type's own input function reads the text; a value that it would cut is cut before it is stored.
    format!("E'{}'::{}", text.replace('\\', "\\\\").replace('\'', "\\'"), kind.sql_type)
}

/// Arrays and composites send the oids of their parts, and own types have other oids in another database.
fn without_oids(hex: &str) -> String {
    let own = ["mood", "pair", "nest", "positive"];
    own.iter().fold(hex.to_owned(), |hex, name| {
        format!("replace({hex}, lpad(to_hex('public.{name}'::regtype::oid::int), 8, '0'), '<{name}>')")
    })
}

/// Every column in text and, where its type has a binary form, in that too.
fn comparison(kinds: &[Kind], sends: &[Vec<Option<String>>]) -> String {
    let mut columns = vec!["id".to_owned()];
    for kind in kinds {
        columns.push(format!("\"{}\"::text", kind.name));
        let send =
            sends.iter().find(|row| row[0].as_deref() == Some(kind.name)).and_then(|row| row[1].clone());
        if let Some(send) = send {
            let hex = format!("encode({send}(\"{}\"), 'hex')", kind.name);
            let nested = kind.sql_type.starts_with("public.") && kind.name != "own_range";
            columns.push(if nested { without_oids(&hex) } else { hex });
        }
    }
    format!("SELECT {} FROM public.every ORDER BY id", columns.join(", "))
}

async fn every_type_arrives_as_it_left(major: u16) {
    let kinds = kinds();
    let columns: Vec<String> =
        kinds.iter().map(|kind| format!("\"{}\" {}", kind.name, kind.sql_type)).collect();
    let ddl = format!("{TYPES} CREATE TABLE public.every (id int PRIMARY KEY, {});", columns.join(", "));
    let mut rig = Rig::start(major, &ddl, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();

    let mut runner = runner(seed());
    // Inserts in transactions of several sizes, so that every shape of statement sees every type.
    let mut id = 0;
    for size in [1, 3, 150, 40, 7].into_iter().cycle() {
        let mut sql = String::from("BEGIN;");
        for _ in 0..size {
            let values: Vec<String> = kinds.iter().map(|kind| literal(kind, &mut runner)).collect();
            sql.push_str(&format!("INSERT INTO public.every VALUES ({id}, {});", values.join(", ")));
            id += 1;
        }
        rig.source(&format!("{sql} COMMIT;")).await.unwrap();
        if id >= rows() {
            break;
        }
    }
    // Each row is then updated in half of its columns.
    for half in 0..2 {
        let mut sql = String::from("BEGIN;");
        for id in (half..id).step_by(3) {
            let sets: Vec<String> = kinds
                .iter()
                .skip(half)
                .step_by(2)
                .map(|kind| format!("\"{}\" = {}", kind.name, literal(kind, &mut runner)))
                .collect();
            sql.push_str(&format!("UPDATE public.every SET {} WHERE id = {id};", sets.join(", ")));
        }
        rig.source(&format!("{sql} COMMIT;")).await.unwrap();
    }
    rig.caught_up(&mut pgstream).await.unwrap();

    let sends = rig
        .server
        .rows(
            "source",
            "SELECT attname, nullif(typsend::oid, 0)::regproc::text FROM pg_attribute JOIN pg_type t ON t.oid = atttypid \
             WHERE attrelid = 'public.every'::regclass AND attnum > 1 AND typsend::oid <> 0",
        )
        .await
        .unwrap();
    let arrived = rig.same(&comparison(&kinds, &sends)).await.unwrap();
    assert_eq!(arrived.len(), id);
    rig.drain(pgstream).await.unwrap();
}

/// The same values once more, as keys of the whole row: no column may be compared in a way that a type cannot.
async fn rows_of_every_type_are_found_by_the_whole_row(major: u16) {
    let kinds = kinds();
    let columns: Vec<String> =
        kinds.iter().map(|kind| format!("\"{}\" {}", kind.name, kind.sql_type)).collect();
    let ddl = format!(
        "{TYPES} CREATE TABLE public.every (id int, {}); ALTER TABLE public.every REPLICA IDENTITY FULL;",
        columns.join(", ")
    );
    let mut rig = Rig::start(major, &ddl, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    let mut runner = runner(seed() + 1);
    for id in 0..60 {
        let values: Vec<String> = kinds.iter().map(|kind| literal(kind, &mut runner)).collect();
        // Every row twice: exactly one of two equal rows may be changed.
        let row = format!("INSERT INTO public.every VALUES ({id}, {});", values.join(", "));
        rig.source(&format!("BEGIN; {row} {row} COMMIT;")).await.unwrap();
    }
    rig.source(
        "UPDATE public.every SET id = id + 3000 WHERE ctid IN (SELECT min(ctid) FROM public.every WHERE id % 3 = 0 GROUP BY id); \
         DELETE FROM public.every WHERE ctid IN (SELECT min(ctid) FROM public.every WHERE id % 3 = 1 GROUP BY id);",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let columns: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"::text", kind.name)).collect();
    let query = format!("SELECT id, {} FROM public.every ORDER BY id", columns.join(", "));
    assert_eq!(rig.same(&query).await.unwrap().len(), 100);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn every_type_arrives_as_it_left_on_each_version() {
    for major in testbed::majors() {
        every_type_arrives_as_it_left(major).await;
    }
}

#[tokio::test]
async fn rows_of_every_type_are_found_by_the_whole_row_on_each_version() {
    for major in testbed::majors() {
        rows_of_every_type_are_found_by_the_whole_row(major).await;
    }
}

#[tokio::test]
async fn a_target_that_would_round_or_cut_off_values_is_refused_before_one_is() {
    let ddl = "CREATE TABLE money (id int PRIMARY KEY, price numeric(12,4), at timestamptz)";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    rig.source("INSERT INTO money VALUES (1, 1.2345, '2020-01-01 00:00:00.123456+00')").await.unwrap();
    let narrow = "ALTER TABLE money ALTER price TYPE numeric(12,2), ALTER at TYPE timestamptz(3)";
    rig.server.sql("target", narrow).await.unwrap();
    let usual = rig.config.clone();
    for mode in ["replication", "snapshot\n    snapshot: {mode: data}"] {
        rig.config = usual.replacen("mode: replication", &format!("mode: {mode}"), 1);
        let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(1), "{mode}: {}", done.stderr);
        for part in ["numeric(12,2) on the target", "timestamp(3) with time zone", "TYPE numeric(12,4);"] {
            assert!(done.stderr.contains(part), "{mode}, {part}: {}", done.stderr);
        }
    }
    rig.config = usual;
    let wide = "ALTER TABLE money ALTER price TYPE numeric, ALTER at TYPE timestamptz";
    rig.server.sql("target", wide).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.same("SELECT id, price::text, at FROM money").await.unwrap();
    rig.drain(pgstream).await.unwrap();
}
