//! Measures the sink alone: rows a second that it applies to the database of the URL given as argument, by kind of
//! work and by rows a unit. `cargo run --release -p sink --example throughput -- postgres://…`

// A program to measure with: it prints, and stops at the first surprise.
#![allow(clippy::indexing_slicing, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use buffer::{Budget, Flush, link};
use event::{
    BatchBuilder, Column, Lsn, OldImage, Relation, ReplicaIdentity, RowChange, TableName, Transaction, Value,
};
use postgres::Url;
use sink::postgres::{OnConflict, Options, Writer};

type Fault = Box<dyn std::error::Error + Send + Sync>;

const COLUMNS: [(&str, &str); 12] = [
    ("id", "bigint"),
    ("a", "integer"),
    ("b", "integer"),
    ("c", "text"),
    ("d", "text"),
    ("e", "timestamp with time zone"),
    ("f", "numeric(12,2)"),
    ("g", "boolean"),
    ("h", "double precision"),
    ("i", "text"),
    ("j", "date"),
    ("k", "bigint"),
];

fn relation(name: &str, columns: &[(&str, &str)]) -> Arc<Relation> {
    let columns = columns.iter().enumerate().map(|(at, (name, type_name))| Column {
        name: (*name).to_owned(),
        id: format!("1-{}", at + 1),
        attnum: i16::try_from(at + 1).unwrap_or(0),
        type_oid: 25,
        type_name: (*type_name).to_owned(),
        nullable: at > 0,
        primary: at == 0,
        identity: at == 0,
        unique: at == 0,
        generated: None,
        identity_column: None,
    });
    Arc::new(Relation {
        oid: 1,
        id: name.to_owned(),
        name: TableName::new("public", name),
        replica_identity: ReplicaIdentity::Default,
        version: 0,
        columns: columns.collect(),
    })
}

fn row(id: u64, salt: u64) -> Vec<String> {
    vec![
        id.to_string(),
        (salt % 1000).to_string(),
        (id * 7 % 100_000).to_string(),
        format!("name of the row {id}"),
        format!("user{id}-{salt}@example.org"),
        "2024-05-06 07:08:09.123456+00".to_owned(),
        format!("{}.{:02}", id % 10_000, salt % 100),
        "t".to_owned(),
        format!("{}.5", id % 1000),
        "some text of about forty characters here".to_owned(),
        "2024-05-06".to_owned(),
        (id * 31).to_string(),
    ]
}

fn values(row: &[String]) -> Vec<Value<'_>> {
    row.iter().map(|text| Value::Present(text.as_bytes())).collect()
}

/// A stream under way: batches of about 256 KB, as the listener cuts them.
struct Feed {
    builder: BatchBuilder,
    send: tokio::sync::mpsc::Sender<buffer::Held>,
    budget: Budget,
    lsn: u64,
}

impl Feed {
    fn begin(&mut self) {
        self.lsn += 10;
        self.builder.begin(Transaction {
            commit_lsn: Lsn(self.lsn),
            committed_at: 1_700_000_000_000_000,
            xid: 1,
        });
    }

    async fn commit(&mut self) {
        self.builder.commit(Lsn(self.lsn + 8));
        self.cut(false).await;
    }

    async fn cut(&mut self, now: bool) {
        if now || self.builder.rows() >= 1_000 || self.builder.bytes() >= 256 << 10 {
            let batch = self.builder.take();
            let held = self.budget.hold(batch).await;
            let _ = self.send.send(held).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Insert,
    Update,
    Delete,
    Small,
    Tpcb,
    Tables,
}

async fn feed(mut feed: Feed, kind: Kind, rows: u64) {
    let wide = relation("wide", &COLUMNS);
    match kind {
        Kind::Insert | Kind::Update | Kind::Delete => {
            let mut at = 0;
            while at < rows {
                feed.begin();
                for id in at..(at + 5_000).min(rows) {
                    let row = row(id, u64::from(kind == Kind::Update));
                    let new = values(&row);
                    let old = [Value::Present(row[0].as_bytes())];
                    let change = match kind {
                        Kind::Insert => RowChange::Insert { new: &new },
                        Kind::Update => RowChange::Update { old: None, new: &new },
                        _ => RowChange::Delete { old: (OldImage::Key, &old) },
                    };
                    feed.builder.row(&wide, change);
                    feed.cut(false).await;
                }
                feed.commit().await;
                at += 5_000;
            }
        }
        Kind::Small => {
            for id in 0..rows {
                feed.begin();
                feed.builder.row(&wide, RowChange::Insert { new: &values(&row(id, 0)) });
                feed.commit().await;
            }
        }
        Kind::Tpcb => {
            let accounts = relation(
                "accounts",
                &[("aid", "integer"), ("bid", "integer"), ("abalance", "integer"), ("filler", "text")],
            );
            let tellers = relation(
                "tellers",
                &[("tid", "integer"), ("bid", "integer"), ("tbalance", "integer"), ("filler", "text")],
            );
            let branches =
                relation("branches", &[("bid", "integer"), ("bbalance", "integer"), ("filler", "text")]);
            let history = relation(
                "history",
                &[
                    ("tid", "integer"),
                    ("bid", "integer"),
                    ("aid", "integer"),
                    ("delta", "integer"),
                    ("mtime", "timestamp"),
                ],
            );
            let history = Arc::new(Relation {
                columns: history
                    .columns
                    .iter()
                    .cloned()
                    .map(|c| Column { primary: false, identity: false, unique: false, ..c })
                    .collect(),
                ..(*history).clone()
            });
            for n in 0..rows / 4 {
                feed.begin();
                let (aid, tid, bid) =
                    ((n * 7919 % 100_000).to_string(), (n % 10).to_string(), "1".to_owned());
                let filler = " ".repeat(84);
                let delta = (n % 100).to_string();
                let of = |list: &[&String]| list.iter().map(|text| (*text).clone()).collect::<Vec<_>>();
                feed.builder.row(
                    &accounts,
                    RowChange::Update { old: None, new: &values(&of(&[&aid, &bid, &delta, &filler])) },
                );
                feed.builder.row(
                    &tellers,
                    RowChange::Update { old: None, new: &values(&of(&[&tid, &bid, &delta, &filler])) },
                );
                feed.builder.row(
                    &branches,
                    RowChange::Update { old: None, new: &values(&of(&[&bid, &delta, &filler])) },
                );
                feed.builder.row(
                    &history,
                    RowChange::Insert {
                        new: &values(&of(&[&tid, &bid, &aid, &delta, &"2024-05-06 07:08:09".to_owned()])),
                    },
                );
                feed.commit().await;
            }
        }
        Kind::Tables => {
            let tables: Vec<_> = (0..1000).map(|n| relation(&format!("t{n}"), &COLUMNS)).collect();
            for id in 0..rows {
                feed.begin();
                feed.builder
                    .row(&tables[(id % 1000) as usize], RowChange::Insert { new: &values(&row(id, 0)) });
                feed.commit().await;
            }
        }
    }
    feed.cut(true).await;
}

fn create(name: &str) -> String {
    let columns: Vec<_> = COLUMNS.iter().map(|(name, type_name)| format!("{name} {type_name}")).collect();
    format!("CREATE TABLE public.{name} ({}, PRIMARY KEY (id))", columns.join(", "))
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let url = Url::parse(&std::env::args().nth(1).ok_or("the target's URL is missing")?)?;
    let client = postgres::connect(&url, "throughput", &[]).await?;
    let mut units: Vec<usize> = vec![1_000, 5_000, 20_000];
    if let Some(unit) = std::env::args().nth(2) {
        units = unit.split(',').map(str::parse).collect::<Result<_, _>>()?;
    }
    let only = std::env::args().nth(3);
    for unit in units {
        for (name, kind, rows) in [
            ("bulk insert", Kind::Insert, 300_000),
            ("bulk update", Kind::Update, 300_000),
            ("bulk delete", Kind::Delete, 300_000),
            ("insert, 1 row a transaction", Kind::Small, 200_000),
            ("tpcb", Kind::Tpcb, 400_000),
            ("1,000 tables in turn", Kind::Tables, 50_000),
        ] {
            if only.as_deref().is_some_and(|only| !name.contains(only)) {
                continue;
            }
            if kind == Kind::Insert || kind == Kind::Small {
                client.batch_execute("DROP TABLE IF EXISTS public.wide").await?;
                client.batch_execute(&create("wide")).await?;
            }
            if kind == Kind::Tpcb {
                client
                    .batch_execute(
                        "DROP TABLE IF EXISTS public.accounts, public.tellers, public.branches, public.history;
                         CREATE TABLE public.accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) WITH (fillfactor = 90);
                         CREATE TABLE public.tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
                         CREATE TABLE public.branches (bid int PRIMARY KEY, bbalance int, filler char(84));
                         CREATE TABLE public.history (tid int, bid int, aid int, delta int, mtime timestamp);
                         INSERT INTO public.accounts SELECT i, 1, 0, '' FROM generate_series(0, 99999) i;
                         INSERT INTO public.tellers SELECT i, 1, 0, '' FROM generate_series(0, 9) i;
                         INSERT INTO public.branches VALUES (1, 0, '');",
                    )
                    .await?;
            }
            if kind == Kind::Tables {
                for n in 0..1000 {
                    client.batch_execute(&format!("DROP TABLE IF EXISTS public.t{n}")).await?;
                    client.batch_execute(&create(&format!("t{n}"))).await?;
                }
            }
            client.batch_execute("CHECKPOINT").await?;
            let options = Options {
                url: url.clone(),
                flush: Flush { rows: unit, bytes: 64 << 20, linger: Duration::from_millis(5) },
                on_conflict: OnConflict::Error,
                disable_triggers: true,
                ddl: sink::postgres::Ddl::default(),
                heartbeat: Options::HEARTBEAT,
            };
            let name_of_slot = format!("throughput {unit} {name}");
            let slot = checkpoint::Slot { system_id: "1".to_owned(), name: name_of_slot, confirmed: Lsn(1) };
            let mut writer = Writer::connect(options, slot).await?;
            writer.start_at(Lsn(1), "").await?;
            let (send, receive) = link();
            let (confirm, _confirmed) = checkpoint::channel(Lsn(1));
            let source =
                Feed { builder: BatchBuilder::default(), send, budget: Budget::new(128 << 20), lsn: 100 };
            let start = Instant::now();
            let feeder = tokio::spawn(feed(source, kind, rows));
            let summary = writer.run(receive, confirm).await?;
            feeder.await?;
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(summary.rows(), rows, "every row");
            assert_eq!((summary.all_conflicts(), summary.exact), (0, 0), "no conflicts");
            println!(
                "{unit:>6} rows a unit  {name:<28} {:>6.1} krows/s  {} commits",
                rows as f64 / seconds / 1000.0,
                summary.commits
            );
        }
    }
    client.batch_execute("DELETE FROM pgstream.progress WHERE slot LIKE 'throughput%'").await?;
    Ok(())
}
