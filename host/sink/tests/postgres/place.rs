//! A target database of one's own, relations and batches in few words.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buffer::{Budget, Flush, Held};
use checkpoint::Slot;
use event::{
    Batch, BatchBuilder, Column, IdentityColumn, Lsn, OldImage, Relation, ReplicaIdentity, RowChange,
    TableName, Transaction, Truncate, Value,
};
use postgres::Url;
use sink::postgres::{Error, OnConflict, Options, Summary, Writer};
use testbed::Postgres;

/// One server for the process; it goes when the process does.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(testbed::Options::major(15)).unwrap())
}

/// A database, and how to apply to it.
pub(crate) struct Place {
    pub(crate) database: String,
    pub(crate) options: Options,
}

impl Place {
    /// A fresh database with these tables.
    pub(crate) async fn with(sql: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("target{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server().create_database(&database).await.unwrap();
        server().sql(&database, sql).await.unwrap();
        let options = Options {
            url: Url::parse(&server().url(&database)).unwrap(),
            flush: Flush { rows: 1000, bytes: 8 << 20, linger: Duration::ZERO },
            on_conflict: OnConflict::Error,
            disable_triggers: true,
            ddl: sink::postgres::Ddl::default(),
            heartbeat: Options::HEARTBEAT,
        };
        Self { database, options }
    }

    pub(crate) async fn sql(&self, sql: &str) {
        server().sql(&self.database, sql).await.unwrap();
    }

    /// The rows of a query, one a line, columns joined by `|`.
    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        let rows = server().rows(&self.database, query).await.unwrap();
        rows.into_iter()
            .map(|row| {
                row.into_iter().map(|v| v.unwrap_or_else(|| "NULL".into())).collect::<Vec<_>>().join("|")
            })
            .collect()
    }

    /// A writer that has taken over the stream.
    pub(crate) async fn writer(&self) -> Writer {
        let mut writer = Writer::connect(self.options.clone(), slot()).await.unwrap();
        writer.start_at(Lsn(1), "chain").await.unwrap();
        writer
    }

    /// Applies batches as one stream that then ends.
    pub(crate) async fn apply(&self, batches: Vec<Batch>) -> Result<Summary, Error> {
        self.writer().await.run(stream(batches), checkpoint::channel(Lsn(1)).0).await
    }

    /// The stored position.
    pub(crate) async fn position(&self) -> Lsn {
        self.rows("SELECT lsn FROM pgstream.progress")
            .await
            .first()
            .map_or(Lsn::ZERO, |lsn| lsn.parse().unwrap())
    }
}

/// Where the streams come from.
pub(crate) fn slot() -> Slot {
    Slot { system_id: "7".into(), name: "slot".into(), confirmed: Lsn(1) }
}

/// A stream that has these batches and ends.
pub(crate) fn stream(batches: Vec<Batch>) -> tokio::sync::mpsc::Receiver<Held> {
    let (send, receive) = buffer::link();
    tokio::spawn(async move {
        let budget = Budget::new(64 << 20);
        for batch in batches {
            if send.send(budget.hold(batch).await).await.is_err() {
                return;
            }
        }
    });
    receive
}

/// A relation from `name type` columns; a type with `*` is of the key, one with `!` always an identity.
pub(crate) fn relation(name: &str, identity: ReplicaIdentity, columns: &[(&str, &str)]) -> Arc<Relation> {
    let (schema, name) = name.split_once('.').unwrap_or(("public", name));
    let full = identity == ReplicaIdentity::Full;
    let columns = columns.iter().enumerate().map(|(at, (name, type_name))| {
        let key = type_name.contains('*');
        Column {
            name: (*name).into(),
            id: format!("1-{}", at + 1),
            attnum: i16::try_from(at + 1).unwrap(),
            type_oid: 25,
            type_name: type_name.trim_end_matches(['*', '!']).into(),
            nullable: !key,
            primary: key && identity != ReplicaIdentity::Index,
            identity: key || full,
            unique: key,
            generated: None,
            identity_column: type_name.contains('!').then_some(IdentityColumn::Always),
        }
    });
    Arc::new(Relation {
        oid: 1,
        id: "1".into(),
        name: TableName::new(schema, name),
        replica_identity: identity,
        version: 0,
        columns: columns.collect(),
    })
}

/// `Some(text)`, NULL, or unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Text(String),
    Null,
    Kept,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        match text {
            "NULL" => Self::Null,
            "KEPT" => Self::Kept,
            _ => Self::Text(text.into()),
        }
    }
}

pub(crate) fn values(row: &[Cell]) -> Vec<Value<'_>> {
    row.iter()
        .map(|cell| match cell {
            Cell::Text(text) => Value::Present(text.as_bytes()),
            Cell::Null => Value::Null,
            Cell::Kept => Value::Unchanged,
        })
        .collect()
}

/// Builds a stream. `NULL` and `KEPT` in a row mean what they say.
#[derive(Default)]
pub(crate) struct Build {
    pub(crate) builder: BatchBuilder,
    pub(crate) batches: Vec<Batch>,
    lsn: u64,
}

impl Build {
    pub(crate) fn begin(&mut self) -> &mut Self {
        self.lsn += 0x100;
        self.builder.begin(Transaction {
            commit_lsn: Lsn(self.lsn),
            committed_at: 1_700_000_000_123_456,
            xid: 1,
        });
        self
    }

    pub(crate) fn commit(&mut self) -> &mut Self {
        self.builder.commit(Lsn(self.lsn + 8));
        self
    }

    /// The position of the last commit.
    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.lsn + 8)
    }

    pub(crate) fn cut(&mut self) -> &mut Self {
        if !self.builder.is_empty() {
            self.batches.push(self.builder.take());
        }
        self
    }

    pub(crate) fn insert(&mut self, relation: &Arc<Relation>, new: &[&str]) -> &mut Self {
        self.insert_cells(relation, &cells(new))
    }

    pub(crate) fn insert_cells(&mut self, relation: &Arc<Relation>, new: &[Cell]) -> &mut Self {
        self.builder.row(relation, RowChange::Insert { new: &values(new) });
        self
    }

    pub(crate) fn update(&mut self, relation: &Arc<Relation>, new: &[&str]) -> &mut Self {
        self.builder.row(relation, RowChange::Update { old: None, new: &values(&cells(new)) });
        self
    }

    /// An update with an old image: the key, or under identity full the row.
    pub(crate) fn update_from(&mut self, relation: &Arc<Relation>, old: &[&str], new: &[&str]) -> &mut Self {
        self.update_cells(relation, &cells(old), &cells(new))
    }

    pub(crate) fn update_cells(&mut self, relation: &Arc<Relation>, old: &[Cell], new: &[Cell]) -> &mut Self {
        let (old, new) = (values(old), values(new));
        self.builder.row(relation, RowChange::Update { old: Some((kind(relation), &old)), new: &new });
        self
    }

    pub(crate) fn delete(&mut self, relation: &Arc<Relation>, old: &[&str]) -> &mut Self {
        self.delete_cells(relation, &cells(old))
    }

    pub(crate) fn delete_cells(&mut self, relation: &Arc<Relation>, old: &[Cell]) -> &mut Self {
        self.builder.row(relation, RowChange::Delete { old: (kind(relation), &values(old)) });
        self
    }

    pub(crate) fn truncate(&mut self, relations: &[&Arc<Relation>], restart_identity: bool) -> &mut Self {
        let relations = relations.iter().map(|relation| Arc::clone(relation)).collect();
        self.builder.truncate(Truncate { relations, cascade: false, restart_identity });
        self
    }

    pub(crate) fn done(&mut self) -> Vec<Batch> {
        self.cut();
        std::mem::take(&mut self.batches)
    }
}

fn kind(relation: &Relation) -> OldImage {
    if relation.replica_identity == ReplicaIdentity::Full { OldImage::Full } else { OldImage::Key }
}

fn cells(row: &[&str]) -> Vec<Cell> {
    row.iter().map(|text| Cell::from(*text)).collect()
}
