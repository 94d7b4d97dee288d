//! A server with a database, a stream that runs, and what came out of it as text.

use std::time::Duration;

use buffer::{Budget, Held};
use event::{Image, Lsn, OldImage, Op, Relation, Value, Walk};
use listen::wal::{self, Error, Options, Parts, Source, Summary};
use testbed::Postgres;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const DATABASE: &str = "shop";

/// Runs a story against each version that tests run against.
macro_rules! on_each_major {
    ($bed:ident, $story:block) => {
        for major in testbed::majors() {
            let $bed = crate::bed::Bed::start(testbed::Options::major(major)).await;
            $story
        }
    };
}
pub(crate) use on_each_major;

pub(crate) struct Bed {
    pub(crate) server: Postgres,
    pub(crate) options: Options,
}

impl Bed {
    /// A server with an empty database; what is read ends at a row in `public.done`.
    pub(crate) async fn start(options: testbed::Options) -> Self {
        let server = Postgres::start(options).unwrap();
        server.create_database(DATABASE).await.unwrap();
        let bed = Self { options: of(&server), server };
        bed.sql("CREATE TABLE public.done (at serial PRIMARY KEY)").await;
        bed
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.server.sql(DATABASE, statements).await.unwrap();
    }

    pub(crate) async fn value(&self, query: &str) -> String {
        self.server.value(DATABASE, query).await.unwrap()
    }

    pub(crate) async fn init(&self) {
        wal::init(&self.options, Parts::All).await.unwrap();
    }

    pub(crate) async fn source(&self) -> Source {
        Source::connect(self.options.clone()).await.unwrap()
    }

    pub(crate) async fn stream(&self) -> Running {
        Running::start(self.source().await, 16 << 20)
    }

    /// `init`, then what `statements` bring, line by line.
    pub(crate) async fn lines(&self, statements: &str) -> Vec<String> {
        let mut running = self.stream().await;
        self.sql(statements).await;
        let lines = running.lines(self).await;
        running.end().await.unwrap();
        lines
    }

    pub(crate) async fn slot_confirmed(&self) -> Lsn {
        let text = self.value("SELECT confirmed_flush_lsn FROM pg_replication_slots").await;
        text.parse().unwrap()
    }

    pub(crate) async fn slot_is_active(&self) -> bool {
        self.value("SELECT active FROM pg_replication_slots").await == "t"
    }
}

pub(crate) fn of(server: &Postgres) -> Options {
    let mut options = Options::new(postgres::Url::parse(&server.url(DATABASE)).unwrap()).unwrap();
    options.slot_wait = Duration::from_secs(2);
    options
}

/// A stream at work.
pub(crate) struct Running {
    pub(crate) batches: mpsc::Receiver<Held>,
    pub(crate) confirm: watch::Sender<Lsn>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<Summary, Error>>,
}

impl Running {
    pub(crate) fn start(source: Source, budget: usize) -> Self {
        let start = source.confirmed();
        let (out, batches) = buffer::link();
        let (confirm, confirmed) = watch::channel(start);
        let stop = CancellationToken::new();
        let task = tokio::spawn(source.stream(start, out, Budget::new(budget), confirmed, stop.clone()));
        Self { batches, confirm, stop, task }
    }

    /// Everything up to now, as text: a line for each step but heartbeats.
    pub(crate) async fn lines(&mut self, bed: &Bed) -> Vec<String> {
        bed.sql("INSERT INTO public.done DEFAULT VALUES").await;
        let mut lines = Vec::new();
        loop {
            let batch = self.batch().await;
            lines.extend(told(&batch.batch));
            if let Some(at) = lines.iter().position(|line| line.starts_with("insert public.done")) {
                // Its begin stands before it.
                lines.truncate(at - 1);
                return lines;
            }
        }
    }

    pub(crate) async fn batch(&mut self) -> Held {
        let batch = tokio::time::timeout(Duration::from_secs(20), self.batches.recv())
            .await
            .expect("a batch in time");
        match batch {
            Some(batch) => batch,
            None => panic!("the stream ended: {:?}", (&mut self.task).await),
        }
    }

    /// Stops and gives what the stream says of itself.
    pub(crate) async fn end(self) -> Result<Summary, Error> {
        self.stop.cancel();
        drop(self.confirm);
        drop(self.batches);
        tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("an end in time").unwrap()
    }

    /// Waits for the end that nobody asked for.
    pub(crate) async fn failed(self) -> Error {
        let Self { mut batches, confirm, stop: _stop, task } = self;
        // What comes before the end is taken: else nothing could follow it.
        let drain = async { while batches.recv().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(60), drain).await.expect("an end in time");
        drop(confirm);
        let result =
            tokio::time::timeout(Duration::from_secs(60), task).await.expect("an end in time").unwrap();
        result.unwrap_err()
    }
}

fn told(batch: &event::Batch) -> Vec<String> {
    let line = |walk: Walk<'_>| match walk {
        Walk::Begin(_) => Some("begin".to_owned()),
        Walk::Commit { .. } => Some("commit".to_owned()),
        Walk::Heartbeat(_) => None,
        Walk::Truncate(truncate) => {
            let names: Vec<String> =
                truncate.relations.iter().map(|relation| relation.name.to_string()).collect();
            let cascade = if truncate.cascade { " cascade" } else { "" };
            let restart = if truncate.restart_identity { " restart" } else { "" };
            Some(format!("truncate {}{cascade}{restart}", names.join(" ")))
        }
        Walk::Schema(entry) => Some(format!("schema {} {}", entry.schema, entry.command_tag)),
        Walk::Row(at) => {
            let chunk = &batch.chunks[at.chunk];
            let relation = &chunk.relation;
            let mut line = match at.op {
                Op::Insert => format!("insert {}", relation.name),
                Op::Update => format!("update {}", relation.name),
                Op::Delete => format!("delete {}", relation.name),
            };
            if let Some(old) = at.old {
                let key = at.old_kind == OldImage::Key;
                let kind = if key { "key" } else { "old" };
                line.push_str(&format!(" {kind} {}", image(relation, &chunk.old, old, key)));
            }
            if let Some(new) = at.new {
                line.push_str(&format!(" {}", image(relation, &chunk.new, new, false)));
            }
            Some(line)
        }
    };
    batch.walk().filter_map(line).collect()
}

fn image(relation: &Relation, image: &Image, row: usize, key: bool) -> String {
    let columns = relation.columns.iter().enumerate().filter(|(_, column)| !key || column.identity);
    let values = columns.map(|(at, column)| match image.value(at, row) {
        Value::Present(text) if text.len() > 40 => format!("{}=<{} B>", column.name, text.len()),
        Value::Present(text) => format!("{}={}", column.name, std::str::from_utf8(text).unwrap()),
        Value::Null => format!("{}=null", column.name),
        Value::Unchanged => format!("{}=unchanged", column.name),
    });
    format!("({})", values.collect::<Vec<_>>().join(" "))
}
