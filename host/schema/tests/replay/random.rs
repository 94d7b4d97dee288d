//! Two states that a random walk leads through: the difference of the two, done to a database in the first, gives the second.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use schema::Rewrite;

use crate::dump::Dump;
use crate::pair::{Pair, Server};

/// Statements; most of them fit what is there, and one that does not changes nothing.
fn statement() -> impl Strategy<Value = String> {
    let table = || prop::sample::select(vec!["t0", "t1", "t2", "app.t0", "app.t1"]);
    let bare = || prop::sample::select(vec!["t0", "t1", "t2"]);
    let column = || prop::sample::select(vec!["c0", "c1", "c2", "c3"]);
    let kind = || {
        prop::sample::select(vec![
            "int",
            "bigint",
            "text",
            "numeric(8,2)",
            "e0",
            "e1",
            "d0",
            "date",
            "text[]",
        ])
    };
    let number = || 0..4_u32;
    prop_oneof![
        4 => (table(), column(), kind()).prop_map(|(t, c, k)| format!("CREATE TABLE {t} (id int PRIMARY KEY, {c} {k})")),
        1 => table().prop_map(|t| format!("CREATE TABLE {t} (id bigserial, at date) PARTITION BY RANGE (at)")),
        2 => table().prop_map(|t| format!("DROP TABLE {t} CASCADE")),
        4 => (table(), column(), kind()).prop_map(|(t, c, k)| format!("ALTER TABLE {t} ADD COLUMN {c} {k}")),
        2 => (table(), column()).prop_map(|(t, c)| format!("ALTER TABLE {t} ADD COLUMN {c} int NOT NULL DEFAULT f0(3)")),
        2 => (table(), column()).prop_map(|(t, c)| format!("ALTER TABLE {t} ADD COLUMN {c} int GENERATED ALWAYS AS (id * 2) STORED")),
        2 => (table(), column()).prop_map(|(t, c)| format!("ALTER TABLE {t} DROP COLUMN {c} CASCADE")),
        3 => (table(), column(), column()).prop_map(|(t, c, d)| format!("ALTER TABLE {t} RENAME COLUMN {c} TO {d}")),
        3 => (table(), bare()).prop_map(|(t, u)| format!("ALTER TABLE {t} RENAME TO {u}")),
        1 => table().prop_map(|t| format!("ALTER TABLE {t} SET SCHEMA app")),
        2 => (table(), column(), kind())
            .prop_map(|(t, c, k)| format!("ALTER TABLE {t} ALTER COLUMN {c} TYPE {k} USING NULL")),
        2 => (table(), column()).prop_map(|(t, c)| format!("ALTER TABLE {t} ALTER COLUMN {c} SET NOT NULL")),
        1 => (table(), column()).prop_map(|(t, c)| format!("ALTER TABLE {t} ALTER COLUMN {c} DROP NOT NULL")),
        1 => (table(), column()).prop_map(|(t, c)| format!("ALTER TABLE {t} ALTER COLUMN {c} DROP DEFAULT")),
        2 => (table(), column(), number()).prop_map(|(t, c, n)| format!("ALTER TABLE {t} ADD CONSTRAINT k{n} CHECK ({c} IS NOT NULL)")),
        2 => (table(), column(), number()).prop_map(|(t, c, n)| format!("ALTER TABLE {t} ADD CONSTRAINT u{n} UNIQUE ({c})")),
        2 => (table(), table(), number())
            .prop_map(|(t, u, n)| format!("ALTER TABLE {t} ADD CONSTRAINT r{n} FOREIGN KEY (id) REFERENCES {u} (id)")),
        2 => (table(), number(), prop::sample::select(vec!["k", "u", "r"]))
            .prop_map(|(t, n, k)| format!("ALTER TABLE {t} DROP CONSTRAINT {k}{n} CASCADE")),
        2 => (table(), column(), number()).prop_map(|(t, c, n)| format!("CREATE INDEX i{n} ON {t} ({c})")),
        1 => number().prop_map(|n| format!("DROP INDEX i{n}")),
        1 => (number(), number()).prop_map(|(n, m)| format!("ALTER INDEX i{n} RENAME TO i{m}")),
        2 => (table(), column(), number()).prop_map(|(t, c, n)| format!("CREATE OR REPLACE VIEW v{n} AS SELECT id, {c} AS x FROM {t}")),
        // On one of a lower number: Postgres lets a view be replaced by one of itself, which nobody can make anew.
        1 => (1..4_u32, number()).prop_map(|(n, m)| {
            format!("CREATE OR REPLACE VIEW v{n} AS SELECT id, x FROM v{} WHERE id > 0", m % n)
        }),
        1 => number().prop_map(|n| format!("DROP VIEW v{n} CASCADE")),
        1 => (number(), bare()).prop_map(|(n, t)| format!("ALTER VIEW v{n} RENAME TO {t}")),
        2 => number().prop_map(|n| format!("CREATE TYPE e{n} AS ENUM ('a', 'b')")),
        1 => (number(), number()).prop_map(|(n, m)| format!("ALTER TYPE e{n} ADD VALUE 'x{m}' BEFORE 'b'")),
        1 => (number(), number()).prop_map(|(n, m)| format!("ALTER TYPE e{n} RENAME TO e{m}")),
        1 => number().prop_map(|n| format!("DROP TYPE e{n} CASCADE")),
        1 => Just("CREATE DOMAIN d0 AS int CHECK (VALUE > 0)".to_owned()),
        1 => Just("ALTER DOMAIN d0 SET DEFAULT 7".to_owned()),
        1 => Just("DROP DOMAIN d0 CASCADE".to_owned()),
        2 => number().prop_map(|n| format!("CREATE OR REPLACE FUNCTION f0(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + {n}'")),
        1 => Just("DROP FUNCTION f0 CASCADE".to_owned()),
        1 => (number(), table()).prop_map(|(n, t)| format!("CREATE SEQUENCE s{n} OWNED BY {t}.id")),
        1 => number().prop_map(|n| format!("DROP SEQUENCE s{n} CASCADE")),
        1 => (table(), number()).prop_map(|(t, n)| format!("COMMENT ON TABLE {t} IS 'note {n}'")),
        1 => (table(), number()).prop_map(|(t, n)| format!("CREATE POLICY p{n} ON {t} USING (id > {n})")),
        1 => (table(), number()).prop_map(|(t, n)| format!("DROP POLICY p{n} ON {t}")),
        1 => table().prop_map(|t| format!("ALTER TABLE {t} REPLICA IDENTITY FULL")),
        1 => Just("DROP SCHEMA app CASCADE".to_owned()),
        2 => Just("CREATE SCHEMA app".to_owned()),
    ]
}

fn walk() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(statement(), 10..60)
}

async fn go(pair: &Pair, statements: &[String]) -> Vec<String> {
    let mut done = Vec::new();
    for sql in statements {
        if pair.source.batch_execute(sql).await.is_ok() {
            done.push(sql.clone());
        }
    }
    done
}

/// So many cases, or as many as `PROPTEST_CASES` says; `PGSTREAM_SEED` (0 to 255) chooses others.
const CASES: u32 = 24;

#[test]
fn the_difference_of_two_schemas_leads_from_one_to_the_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(testbed::majors()[0]));
    let dump = Dump::new(false);
    let cases = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same walks in every run, unless others are asked for: a failure tells its statements.
    let seed = std::env::var("PGSTREAM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u8);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(&(walk(), walk()), |(first, second)| {
            cases.set(cases.get() + 1);
            let done = runtime.block_on(async {
                let mut pair = server.pair(&format!("case {}", cases.get())).await;
                // The first state, followed statement by statement.
                let done = go(&pair, &first).await;
                let told = done.join(";\n");
                pair.follow(&told).await?;
                pair.compare(&told, &[]).await?;
                pair.compare_dumps(&dump, &told).await?;
                let before = pair.objects().await;
                // The second, by the difference alone.
                let more = go(&pair, &second).await;
                let mut changes = schema::between(&before, &pair.objects().await);
                for change in &mut changes {
                    // No table has a row.
                    change.rewritten = Some(Rewrite { type_changed: true, empty: true, default: false });
                }
                let statements = schema::statements(&changes);
                let told = format!("{told}\n-- then\n{}\n-- difference", more.join(";\n"));
                pair.define(&statements).await.map_err(|failed| format!("{told}\n{failed}"))?;
                pair.compare(&told, &statements).await?;
                pair.compare_dumps(&dump, &told).await?;
                Ok(())
            });
            done.map_err(|failed: String| TestCaseError::fail(failed))
        })
        .unwrap();
}
