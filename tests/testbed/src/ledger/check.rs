//! What the ledger says against what is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::tables::TABLES;
use crate::postgres::{connect, rows};
use crate::{Error, Result};

/// One statement, so one snapshot; its locks are taken before it, so a TRUNCATE does not run through it.
fn query() -> String {
    let actual: Vec<String> = TABLES
        .iter()
        .map(|table| {
            let (name, text) = (table.name, table.name.replace('\'', "''"));
            format!(
                "SELECT '{text}' AS tbl, md5(t::text) AS digest, count(*) AS n FROM {name} AS t GROUP BY 2"
            )
        })
        .collect();
    format!(
        "WITH actual AS ({}), \
         expected AS (SELECT tbl, digest, sum(delta) AS n FROM ledger.entry GROUP BY 1, 2 HAVING sum(delta) <> 0), \
         noted AS (SELECT tx, count(*) AS n FROM ledger.entry GROUP BY 1) \
         SELECT tbl || ': row ' || digest || ' is there ' || coalesce(actual.n, 0) || ' times, not ' || coalesce(expected.n, 0) \
             FROM actual FULL JOIN expected USING (tbl, digest) WHERE actual.n IS DISTINCT FROM expected.n \
         UNION ALL \
         SELECT 'transaction ' || tx || ': ' || coalesce(noted.n, 0) || ' of ' || coalesce(t.entries, 0) || ' notes' \
             FROM noted FULL JOIN ledger.transaction AS t USING (tx) WHERE noted.n IS DISTINCT FROM t.entries \
         LIMIT 20",
        actual.join(" UNION ALL ")
    )
}

/// What is wrong in a database: rows that are missing, too many or others than the ledger says, and transactions of
/// which only a part is there. Empty is right.
///
/// # Errors
///
/// [`Error::Sql`] when it cannot be asked.
pub async fn problems(client: &Client) -> Result<Vec<String>> {
    Ok(rows(client, &query()).await?.into_iter().flatten().flatten().collect())
}

/// What both databases hold of the ledger itself, to be equal when all has arrived.
///
/// # Errors
///
/// [`Error::Sql`] when it cannot be asked.
pub async fn summary(client: &Client) -> Result<Vec<Vec<Option<String>>>> {
    let query = "SELECT (SELECT count(*) FROM ledger.transaction), count(*), sum(seq), sum(delta), \
                 sum(hashtextextended(tbl || digest || tx, delta)) FROM ledger.entry";
    rows(client, query).await
}

/// Asks a target again and again, until the first problem.
#[derive(Debug)]
pub struct Watcher {
    over: Arc<AtomicBool>,
    task: JoinHandle<(u64, Vec<String>)>,
}

impl Watcher {
    /// Watches the database at `url`. A server that goes away is waited for.
    pub fn start(url: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(watch(url.to_owned(), Arc::clone(&over)));
        Self { over, task }
    }

    /// Ends, and says how often it has looked.
    ///
    /// # Errors
    ///
    /// [`Error::Ledger`] with what it saw.
    pub async fn stop(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        match self.task.await {
            Ok((looks, problems)) if problems.is_empty() => Ok(looks),
            Ok((looks, problems)) => Err(Error::Ledger { looks, problems }),
            Err(error) => Err(Error::Program {
                program: "the watcher".to_owned(),
                status: "an error".to_owned(),
                output: error.to_string(),
            }),
        }
    }
}

async fn watch(url: String, over: Arc<AtomicBool>) -> (u64, Vec<String>) {
    let mut looks = 0;
    let mut client = None;
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let connected = match client.take() {
            Some(connected) => Some(connected),
            None => connect(&url).await.ok(),
        };
        let Some(connected) = connected else { continue };
        // An error is a server that went away; the next look has a connection of its own.
        if let Ok(found) = problems(&connected).await {
            looks += 1;
            client = Some(connected);
            if !found.is_empty() {
                return (looks, found);
            }
        }
    }
    (looks, Vec::new())
}
