//! pgbench's tables and its TPC-B transaction, for machines that have a server but no pgbench.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::postgres::connect;
use crate::random::Random;
use crate::{Error, Result};

/// The tables, by name.
pub const TABLES: [&str; 4] = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"];

/// Accounts of one branch, as in pgbench with `-s 1`.
pub const ACCOUNTS: u32 = 100_000;
const TELLERS: u32 = 10;

/// The four tables, empty. pgbench gives the history no key: its rows are only ever inserted.
pub const DDL: &str = "
    CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));";

/// The rows of `scale` branches, as `pgbench -i` makes them.
pub fn fill(scale: u32) -> String {
    format!(
        "INSERT INTO pgbench_branches SELECT b, 0, NULL FROM generate_series(1, {scale}) b;
         INSERT INTO pgbench_tellers SELECT t, (t - 1) / {TELLERS} + 1, 0, NULL
             FROM generate_series(1, {tellers}) t;
         INSERT INTO pgbench_accounts SELECT a, (a - 1) / {ACCOUNTS} + 1, 0, ''
             FROM generate_series(1, {accounts}) a;",
        tellers = scale * TELLERS,
        accounts = scale * ACCOUNTS,
    )
}

/// Transactions done so far, and the way to end a run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Run {
    /// Transactions committed so far.
    pub fn transactions(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Asks the clients to end after the transaction that they are in.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Runs the TPC-B transaction over `clients` connections until [`Run::end`], each at most once in `pause`.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] of the first client that fails.
    pub async fn drive(&self, url: &str, scale: u32, clients: u32, pause: Duration) -> Result<()> {
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let client = connect(url).await?;
            let run = self.clone();
            tasks.spawn(async move {
                let answer = run.one_client(&client, scale, number, pause).await;
                if answer.is_err() {
                    run.end();
                }
                answer
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| Error::Program {
                program: "the TPC-B client".to_owned(),
                status: "an error".to_owned(),
                output: error.to_string(),
            })??;
        }
        Ok(())
    }

    async fn one_client(&self, client: &Client, scale: u32, number: u32, pause: Duration) -> Result<()> {
        let mut random = Random::new(u64::from(number) + 1);
        while !self.over.load(Ordering::Relaxed) {
            let aid = 1 + random.below(scale * ACCOUNTS);
            let tid = 1 + random.below(scale * TELLERS);
            let bid = 1 + random.below(scale);
            let delta = i64::from(random.below(10_001)) - 5_000;
            // One message, one round trip; the transaction is pgbench's `tpcb-like`.
            let transaction = format!(
                "BEGIN;
                 UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid};
                 SELECT abalance FROM pgbench_accounts WHERE aid = {aid};
                 UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {tid};
                 UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {bid};
                 INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
                     VALUES ({tid}, {bid}, {aid}, {delta}, CURRENT_TIMESTAMP);
                 END"
            );
            client.batch_execute(&transaction).await.map_err(Error::sql("the TPC-B transaction"))?;
            self.done.fetch_add(1, Ordering::Relaxed);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }
}
