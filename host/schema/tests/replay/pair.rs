//! Two databases of one server: what is done to the first is read from its log and done to the second.

use schema::{Change, Object, Statement};
use serde_json::Value;
use testbed::{Options, Postgres};
use tokio_postgres::Client;

use crate::dump::Dump;

const MIGRATIONS: [&str; 6] = [
    include_str!("../../../../migrations/0001_schema.sql"),
    include_str!("../../../../migrations/0002_ids.sql"),
    include_str!("../../../../migrations/0003_documents.sql"),
    include_str!("../../../../migrations/0004_schema_log.sql"),
    include_str!("../../../../migrations/0005_history.sql"),
    include_str!("../../../../migrations/0006_changes.sql"),
];
const TRACKING: &str = include_str!("../../../../migrations/tracking.sql");

/// What differs between two databases that are alike.
const OWN: [&str; 10] = [
    "oid",
    "pgstream_id",
    "type_oid",
    "default_oid",
    "constraint",
    "references",
    "needs",
    "attnum",
    "owner",
    "acl",
];

/// A server with a source and a target that know how to describe themselves.
pub(crate) struct Server {
    postgres: Postgres,
}

impl Server {
    pub(crate) async fn start(major: u16) -> Self {
        let postgres = Postgres::start(Options::major(major)).unwrap();
        postgres.create_database("described").await.unwrap();
        let client = postgres.connect("described").await.unwrap();
        for migration in MIGRATIONS {
            client.batch_execute(migration).await.unwrap();
        }
        // As `init` does, so that schema `public` is known.
        client.batch_execute("SELECT pgstream.refresh_schema('public')").await.unwrap();
        Self { postgres }
    }

    /// Two databases of these names with an end of their own.
    pub(crate) async fn pair(&self, name: &str) -> Pair {
        let admin = self.postgres.connect("postgres").await.unwrap();
        let names = [format!("{name} source"), format!("{name} target")];
        for database in &names {
            // A session that just ended may still be seen in the template.
            let sql = format!("CREATE DATABASE \"{database}\" TEMPLATE described");
            testbed::eventually(&sql, async || admin.batch_execute(&sql).await.is_ok()).await.unwrap();
        }
        let source = self.postgres.connect(&names[0]).await.unwrap();
        let target = self.postgres.connect(&names[1]).await.unwrap();
        source.batch_execute(TRACKING).await.unwrap();
        target.batch_execute("SET check_function_bodies = off").await.unwrap();
        let urls = names.each_ref().map(|name| self.postgres.url(&name.replace(' ', "%20")));
        Pair { source, target, urls, version: 0, with_privileges: false }
    }
}

pub(crate) struct Pair {
    pub(crate) source: Client,
    pub(crate) target: Client,
    urls: [String; 2],
    /// The last that was done to the target.
    version: i64,
    /// Owners and grants are followed too.
    pub(crate) with_privileges: bool,
}

impl Pair {
    /// Does something to the source, does what its log says to the target, and compares. The error is for people.
    pub(crate) async fn step(&mut self, sql: &str) -> Result<(), String> {
        self.source
            .batch_execute(sql)
            .await
            .map_err(|error| format!("on the source: {sql}\n{}", reason(&error)))?;
        let done = self.follow(sql).await?;
        self.compare(sql, &done).await
    }

    /// The entries since the last call, done to the target, each statement's together.
    pub(crate) async fn follow(&mut self, sql: &str) -> Result<Vec<Statement>, String> {
        let mut done = Vec::new();
        let mut changes: Vec<Change> = Vec::new();
        for (rest, of_entry) in self.entries().await {
            changes.extend(of_entry);
            if rest > 0 {
                continue;
            }
            let mut statements = schema::statements(&changes);
            if self.with_privileges {
                statements.extend(schema::privileges(&changes));
            }
            changes.clear();
            self.define(&statements).await.map_err(|failed| format!("{sql}\n{failed}"))?;
            done.extend(statements);
        }
        Ok(done)
    }

    /// Does statements to the target.
    pub(crate) async fn define(&self, statements: &[Statement]) -> Result<(), String> {
        for (at, statement) in statements.iter().enumerate() {
            if let Err(error) = self.target.batch_execute(&statement.sql).await {
                let told = listed(statements.get(..=at).unwrap_or_default());
                return Err(format!("{told}on the target: {}", reason(&error)));
            }
        }
        Ok(())
    }

    /// What the log knows of the source.
    pub(crate) async fn objects(&self) -> Vec<Object> {
        let query =
            "SELECT kind, document::text FROM pgstream.objects WHERE NOT document::jsonb ? 'identity'";
        let rows = self.source.query(query, &[]).await.unwrap();
        let objects = rows.iter().map(|row| {
            let document = serde_json::from_str(row.get(1)).unwrap();
            Object::read(row.get(0), document).unwrap().unwrap()
        });
        objects.collect()
    }

    /// How many rows of its statement follow each row, and its changes.
    async fn entries(&mut self) -> Vec<(i32, Vec<Change>)> {
        let query = "SELECT version, parts - part, changes::text, failed FROM pgstream.schema_log \
                     WHERE version > $1 AND command_tag <> 'BASE' ORDER BY version";
        let rows = self.source.query(query, &[&self.version]).await.unwrap();
        let entries = rows.iter().map(|row| {
            self.version = row.get(0);
            assert_eq!(row.get::<_, Option<&str>>(3), None, "a statement could not be described");
            (row.get(1), Change::read_all(row.get(2)).unwrap())
        });
        entries.collect()
    }

    /// Both must look alike.
    pub(crate) async fn compare(&self, sql: &str, done: &[Statement]) -> Result<(), String> {
        let (source, target) = (look(&self.source).await, look(&self.target).await);
        if source == target {
            return Ok(());
        }
        let difference = difference(
            &serde_json::to_string_pretty(&source).unwrap(),
            &serde_json::to_string_pretty(&target).unwrap(),
        );
        Err(format!("{sql}\n{}documents:\n{difference}", listed(done)))
    }

    /// `pg_dump` must find no difference.
    pub(crate) async fn compare_dumps(&self, dump: &Dump, told: &str) -> Result<(), String> {
        dump.compare(&self.urls[0], &self.urls[1]).await.map_err(|found| format!("{told}\n{found}"))
    }
}

/// Statements, one a line.
fn listed(statements: &[Statement]) -> String {
    statements.iter().map(|statement| format!("  {statement};\n")).collect()
}

/// What a server said.
fn reason(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}

/// All schemas but the system's, without what is each database's own.
async fn look(client: &Client) -> Value {
    let query = "SELECT jsonb_object_agg(n.nspname, pgstream.get_schema(n.nspname))::text FROM pg_namespace AS n \
                 WHERE NOT pgstream.is_system_schema(n.nspname)";
    let text: String = client.query_one(query, &[]).await.unwrap().get(0);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in OWN {
                map.remove(key);
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The lines that only one of them has.
fn difference(source: &str, target: &str) -> String {
    let only = |these: &str, those: &str, mark: &str| {
        let lines = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        lines.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    only(source, target, "source") + &only(target, source, "target")
}
