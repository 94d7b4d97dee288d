//! A writer that changes the schema: tables that come and go, with columns that come, go, and get other names and types,
//! and rows between all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testbed::{Postgres, Random, Result, connect};
use tokio::task::JoinHandle;

/// The schema of its tables.
const SCHEMA: &str = "side";
/// Its tables.
const TABLES: u32 = 4;

/// A writer at work.
pub struct Definer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<u64>>,
}

impl Definer {
    /// Starts to write.
    #[must_use]
    pub fn start(url: &str, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(write(url.to_owned(), seed, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Ends it; how many transactions it committed.
    ///
    /// # Errors
    /// It could not connect.
    ///
    /// # Panics
    /// When a statement failed that had to work.
    pub async fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the definer")
    }
}

async fn write(url: String, seed: u64, stop: Arc<AtomicBool>) -> Result<u64> {
    let client = connect(&url).await?;
    client
        .batch_execute(&format!("CREATE SCHEMA {SCHEMA}; SET search_path = {SCHEMA}"))
        .await
        .expect("a schema");
    let mut random = Random::new(seed);
    let mut columns: Vec<Option<Vec<String>>> = vec![None; TABLES as usize];
    let mut count: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let at = random.below(TABLES) as usize;
        let table = format!("t{at}");
        let mut statements = Vec::new();
        for step in 0..=random.below(3) {
            let name = format!("c{count}_{step}");
            let Some(columns) = &mut columns[at] else {
                statements.push(match random.below(3) {
                    0 => format!("CREATE TABLE {table} AS SELECT i AS id, {count} AS n FROM generate_series(1, 20) AS i"),
                    _ => format!("CREATE TABLE {table} (id int PRIMARY KEY, n int)"),
                });
                columns[at] = Some(Vec::new());
                continue;
            };
            let one = random.below(u32::try_from(columns.len()).unwrap_or(1)) as usize;
            match random.below(9) {
                0 | 1 => {
                    statements.push(format!("ALTER TABLE {table} ADD COLUMN {name} int DEFAULT {count}"));
                    columns.push(name);
                }
                2 if !columns.is_empty() => {
                    statements.push(format!("ALTER TABLE {table} RENAME COLUMN {} TO {name}", columns[one]));
                    columns[one] = name;
                }
                3 if !columns.is_empty() => {
                    statements.push(format!("ALTER TABLE {table} DROP COLUMN {}", columns.remove(one)));
                }
                4 if !columns.is_empty() => {
                    let column = &columns[one];
                    statements.push(format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint"));
                }
                5 if random.once_in(3) => {
                    statements.push(format!("DROP TABLE {table}"));
                    break;
                }
                6 => statements.push(format!("COMMENT ON TABLE {table} IS 'at {count}'")),
                _ => {}
            }
            statements.push(format!(
                "INSERT INTO {table} (id, n) VALUES ({}, {count})",
                count * 10 + u64::from(step)
            ));
        }
        if statements.last().is_some_and(|last| last.starts_with("DROP")) {
            columns[at] = None;
        }
        let sql = format!("BEGIN; {}; COMMIT", statements.join("; "));
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        tokio::time::sleep(Duration::from_millis(u64::from(random.below(60)))).await;
    }
    Ok(count)
}

/// Its tables, their columns and rows.
pub(crate) async fn look(server: &Postgres, database: &str) -> Result<Vec<String>> {
    let columns = format!(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), obj_description(c.oid) \
         FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind = 'r' ORDER BY c.relname, a.attnum"
    );
    let mut lines: Vec<String> =
        server.rows(database, &columns).await?.iter().map(|row| format!("{row:?}")).collect();
    for table in 0..TABLES {
        let there = format!("SELECT to_regclass('{SCHEMA}.t{table}') IS NOT NULL");
        if server.value(database, &there).await? == "t" {
            let rows = format!("SELECT * FROM {SCHEMA}.t{table} ORDER BY id, n");
            lines.extend(server.rows(database, &rows).await?.iter().map(|row| format!("t{table} {row:?}")));
        }
    }
    Ok(lines)
}
