//! What happens on the source: bank transfers as pgbench does them, customers that come, change and go, sessions that
//! nobody wants to see on the target, and a probe that measures how late the target is.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testbed::{Error, Postgres, Random, Result, connect, tpcb};
use tokio_postgres::Client;

/// Branches of the bank; each has 100,000 accounts.
const SCALE: u32 = 1;
const CLIENTS: u32 = 4;
/// Transfers a second: a source that works, on a machine that also runs everything else.
const TRANSFERS: u32 = 500;

/// Fills the bank: with pgbench if there is one, else ourselves.
pub(crate) async fn fill(source: &Postgres, pgbench: Option<&Path>) -> Result<()> {
    match pgbench {
        // G: rows made on the server, into the tables that are there.
        Some(pgbench) => {
            run(pgbench, &["-i", "-I", "G", "-s", &SCALE.to_string(), &source.url("shop")]).await
        }
        None => source.sql("shop", &tpcb::fill(SCALE)).await,
    }
}

/// Bank transfers for `duration`.
pub(crate) async fn transfers(source: &Postgres, pgbench: Option<&Path>, duration: Duration) -> Result<()> {
    let (clients, rate, seconds) =
        (CLIENTS.to_string(), TRANSFERS.to_string(), duration.as_secs().max(1).to_string());
    let url = source.url("shop");
    if let Some(pgbench) = pgbench {
        return run(pgbench, &["-n", "-c", &clients, "-R", &rate, "-T", &seconds, "-M", "prepared", &url])
            .await;
    }
    let bank = tpcb::Run::default();
    let pause = Duration::from_secs(1) * CLIENTS / TRANSFERS;
    let ended = async {
        tokio::time::sleep(duration).await;
        bank.end();
    };
    let (driven, ()) = tokio::join!(bank.drive(&url, SCALE, CLIENTS, pause), ended);
    driven
}

/// pgbench: that of the server, else one on the PATH.
pub(crate) fn pgbench(source: &Postgres) -> Option<PathBuf> {
    source.installation().program("pgbench").or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("pgbench")).find(|file| file.is_file())
    })
}

async fn run(program: &Path, arguments: &[&str]) -> Result<()> {
    let failed = |status: String, output: String| Error::Program {
        program: program.display().to_string(),
        status,
        output,
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed("an error".to_owned(), error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(output.status.to_string(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Changes of the schema, each with rows that rely on it.
const DEFINITIONS: [&str; 4] = [
    "CREATE TABLE loyalty (customer bigint PRIMARY KEY, points int NOT NULL); \
     INSERT INTO loyalty SELECT id, id % 100 FROM customers",
    "ALTER TABLE loyalty ADD COLUMN level text NOT NULL DEFAULT 'new'; \
     UPDATE loyalty SET level = 'gold' WHERE points > 90",
    "BEGIN; UPDATE loyalty SET points = points + 1; ALTER TABLE loyalty RENAME COLUMN points TO balance; \
     UPDATE loyalty SET balance = balance * 2 WHERE level = 'gold'; COMMIT",
    "CREATE INDEX ON loyalty (level)",
];

/// Changes the schema while everything else goes on, spread over `duration`.
pub(crate) async fn define(source: &Postgres, duration: Duration) -> Result<()> {
    let pause = duration / (u32::try_from(DEFINITIONS.len()).unwrap_or(1) + 1);
    for definition in DEFINITIONS {
        tokio::time::sleep(pause).await;
        source.sql("shop", definition).await?;
    }
    Ok(())
}

/// How many of each kind of change were made.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Customers {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// Customers that are there before anybody looks.
pub(crate) const PAST: u32 = 10_000;

/// What happened before: customers, and their sessions.
pub(crate) async fn past(source: &Postgres) -> Result<()> {
    let mut random = Random::new(1);
    let statements: String = (1..=PAST).map(|id| insert(&mut random, id)).collect();
    source.sql("shop", &format!("BEGIN; {statements} COMMIT")).await
}

/// Customers come, change and go until `over`, several hundred changes a second, some of them in one transaction.
pub(crate) async fn customers(source: &Postgres, over: &AtomicBool) -> Result<Customers> {
    let client = source.connect("shop").await?;
    let mut random = Random::new(7);
    let mut made = Customers::default();
    let mut next = PAST + 1;
    while !over.load(Ordering::Relaxed) {
        let mut statements = String::from("BEGIN;");
        for _ in 0..=random.below(5) {
            statements.push_str(&change(&mut random, &mut next, &mut made));
        }
        statements.push_str("COMMIT");
        client.batch_execute(&statements).await.map_err(Error::sql("a change of customers"))?;
        tokio::time::sleep(Duration::from_millis(6)).await;
    }
    Ok(made)
}

fn change(random: &mut Random, next: &mut u32, made: &mut Customers) -> String {
    // Some are gone already: then a statement changes nothing, as it happens.
    let id = 1 + random.below((*next).max(2) - 1);
    match random.below(10) {
        0..5 => {
            let id = *next;
            *next += 1;
            made.inserted += 1;
            insert(random, id)
        }
        5..7 => {
            made.updated += 1;
            // `history` stays as it is, and long ones are not sent: the target must keep its own.
            format!(
                "UPDATE customers SET tier = '{}' WHERE id = {id};",
                pick(random, &["basic", "plus", "gold"])
            )
        }
        7..9 => {
            made.updated += 1;
            let (name, email, phone) = person(random, id);
            format!(
                "UPDATE customers SET name = '{name}', email = '{email}', phone = {phone} WHERE id = {id};"
            )
        }
        _ => {
            made.deleted += 1;
            format!("DELETE FROM customers WHERE id = {id};")
        }
    }
}

fn insert(random: &mut Random, id: u32) -> String {
    let (name, email, phone) = person(random, id);
    let notes = pick(random, &["NULL", "''", "'wants invoice'", "'pays in März'"]);
    let history = if random.below(20) == 0 {
        // Does not compress, so it is stored outside of its row (TOAST).
        format!("(SELECT string_agg(md5(({id} * 100 + i)::text), '') FROM generate_series(1, 100) i)")
    } else {
        "'signed up'".to_owned()
    };
    format!(
        "INSERT INTO customers (id, name, email, phone, notes, history) \
         VALUES ({id}, '{name}', '{email}', {phone}, {notes}, {history}); \
         INSERT INTO sessions (customer, token) VALUES ({id}, md5(random()::text));"
    )
}

/// Name, e-mail address and phone number as an SQL literal.
fn person(random: &mut Random, id: u32) -> (String, String, String) {
    let first =
        pick(random, &["Ada", "Bo", "Chloé", "Dag", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jörg"]);
    let last =
        pick(random, &["Ng", "Okafor", "Petrov", "Quispe", "Rossi", "Sørensen", "Tanaka", "Ulm", "Vega"]);
    let letters: String = [first, last].concat().to_lowercase().chars().filter(char::is_ascii).collect();
    let email = format!("{letters}{}@example.com", id % 1_000 + random.below(9));
    let phone = match random.below(10) {
        0 => "NULL".to_owned(),
        _ => {
            format!("'+{} 555 01{:02} {:03}'", 30 + random.below(60), random.below(100), random.below(1_000))
        }
    };
    (format!("{first} {last}"), email, phone)
}

fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    let at = random.below(u32::try_from(from.len()).unwrap_or(1));
    usize::try_from(at).ok().and_then(|at| from.get(at)).copied().unwrap_or_default()
}

/// Writes rows on the source and waits for each of them on the target.
pub(crate) struct Probe {
    source: Client,
    target: Client,
    number: i64,
}

impl Probe {
    pub(crate) async fn new(source: &Postgres, target: &Postgres) -> Result<Self> {
        Ok(Self {
            source: connect(&source.url("shop")).await?,
            target: connect(&target.url("shop")).await?,
            number: 0,
        })
    }

    /// How long after its commit a row can be seen on the target. All that was committed before it can be seen too.
    pub(crate) async fn once(&mut self) -> Result<Duration> {
        self.number += 1;
        let insert = "INSERT INTO probe VALUES ($1)";
        self.source.execute(insert, &[&self.number]).await.map_err(Error::sql(insert))?;
        let committed = Instant::now();
        let select = "SELECT FROM probe WHERE id = $1";
        let select = self.target.prepare(select).await.map_err(Error::sql(select))?;
        while self
            .target
            .query_opt(&select, &[&self.number])
            .await
            .map_err(Error::sql("the probe"))?
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(committed.elapsed())
    }

    /// Measures again and again until `over`; the last one is left in `last`, in microseconds.
    pub(crate) async fn until(&mut self, over: &AtomicBool, last: &AtomicU64) -> Result<Vec<Duration>> {
        let mut lags = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let lag = self.once().await?;
            last.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            lags.push(lag);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        lags.sort();
        Ok(lags)
    }
}
