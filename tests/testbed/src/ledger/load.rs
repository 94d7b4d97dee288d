//! The writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::change::{change, truncate};
use crate::postgres::connect;
use crate::random::Random;
use crate::{Error, Result};

/// What a load has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Transactions committed.
    pub committed: u64,
    /// Transactions rolled back, by choice or by a deadlock.
    pub rolled_back: u64,
}

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    writers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    over: AtomicBool,
    committed: AtomicU64,
    rolled_back: AtomicU64,
}

impl Load {
    /// Starts so many writers on the source at `url`. The seed gives what each of them does; how they meet is up to
    /// the server. A source that goes away is waited for.
    pub fn start(url: &str, seed: u64, writers: u64) -> Self {
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            over: AtomicBool::new(false),
            committed: AtomicU64::new(0),
            rolled_back: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(writer));
            tasks.spawn(write(Arc::clone(&shared), random));
        }
        Self { shared, writers: tasks }
    }

    /// Transactions committed so far.
    pub fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Ends the writers after the transaction that each is in.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] when one has panicked.
    pub async fn stop(mut self) -> Result<Written> {
        self.shared.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writers.join_next().await {
            ended.map_err(|error| Error::Program {
                program: "a writer of the load".to_owned(),
                status: "an error".to_owned(),
                output: error.to_string(),
            })?;
        }
        Ok(Written {
            committed: self.shared.committed.load(Ordering::Relaxed),
            rolled_back: self.shared.rolled_back.load(Ordering::Relaxed),
        })
    }
}

async fn write(shared: Arc<Shared>, mut random: Random) {
    while !shared.over.load(Ordering::Relaxed) {
        let Ok(client) = connect(&shared.url).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // A deadlock is somebody's turn to wait, not an event: it should not take a second.
        if client.batch_execute("SET deadlock_timeout = '50ms'").await.is_err() {
            continue;
        }
        while !shared.over.load(Ordering::Relaxed) && !client.is_closed() {
            match transaction(&client, &mut random).await {
                Ok(true) => shared.committed.fetch_add(1, Ordering::Relaxed),
                Ok(false) => shared.rolled_back.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    assert!(is_expected(&error), "a statement of the load is wrong: {error:?}");
                    // Answers only if the session lives.
                    let _over = client.batch_execute("ROLLBACK").await;
                    shared.rolled_back.fetch_add(1, Ordering::Relaxed)
                }
            };
            if random.once_in(3) {
                tokio::time::sleep(Duration::from_millis(u64::from(random.below(10)))).await;
            }
        }
    }
}

/// A deadlock, or a server that goes away.
fn is_expected(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| {
        ["40P01", "40001"].contains(&code.code())
            || code.code().starts_with("57P")
            || code.code().starts_with("08")
    })
}

/// One transaction; whether it was committed.
async fn transaction(
    client: &Client,
    random: &mut Random,
) -> std::result::Result<bool, tokio_postgres::Error> {
    let mut sql = "BEGIN;".to_owned();
    if random.once_in(80) {
        sql.push_str(truncate(random));
    }
    let long = random.once_in(25);
    let changes = if long { 20 + random.below(60) } else { 1 + random.below(6) };
    for at in 0..changes {
        sql.push_str(&change(random));
        if random.once_in(8) {
            sql.push_str("SAVEPOINT s;");
            sql.push_str(&change(random));
            sql.push_str(&change(random));
            sql.push_str(if random.once_in(2) { "ROLLBACK TO s;" } else { "RELEASE s;" });
        }
        // A long one stays open while others commit.
        if long && at % 10 == 9 {
            client.batch_execute(&std::mem::take(&mut sql)).await?;
            tokio::time::sleep(Duration::from_millis(u64::from(random.below(40)))).await;
        }
    }
    let commit = !random.once_in(10);
    sql.push_str("SELECT ledger.end_of_transaction();");
    sql.push_str(if commit { "COMMIT" } else { "ROLLBACK" });
    client.batch_execute(&sql).await?;
    Ok(commit)
}
