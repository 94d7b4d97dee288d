//! The schema of a snapshot: what a dump has, made on the target before the rows and after them.
//!
//! The statements are those of pg_dump, out of the archive's table of contents, and run one by one: an object that the
//! target has already is left as it is, and an error names its object.

mod choose;
mod error;
mod queue;
mod run;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ::postgres::archive::{self, Entry, Section};
use ::postgres::{Client, Url, connect, ident};
use event::TableName;

pub use choose::{CATEGORIES, Policy};
pub use error::Error;

use self::queue::Queue;
use self::run::{Made, Names, Session};
use crate::postgres::progress::APPLICATION;

/// A dump of a schema and what is wanted of it.
#[derive(Debug)]
pub struct Restore {
    entries: Vec<Entry>,
    policy: Policy,
}

/// What became of the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many were made.
    pub made: usize,
    /// How many the target had already, without schemas, extensions and languages.
    pub there: usize,
    /// What was left out, each with its reason.
    pub left_out: Vec<String>,
}

impl Report {
    fn count(&mut self, made: Made) {
        match made {
            Made::New => self.made += 1,
            Made::WasThere => self.there += 1,
            Made::Not(reason) => self.left_out.push(reason),
        }
    }

    fn done(&self) -> usize {
        self.made + self.there + self.left_out.len()
    }

    fn add(&mut self, other: Self) {
        self.made += other.made;
        self.there += other.there;
        self.left_out.extend(other.left_out);
    }
}

/// Tells how many of all objects are made.
pub type Progress = dyn Fn(usize, usize) + Send + Sync;

impl Restore {
    /// Reads an archive.
    ///
    /// # Errors
    /// [`Error::Archive`].
    pub fn new(archive: &[u8], policy: Policy) -> Result<Self, Error> {
        let mut entries = archive::entries(archive)?;
        let filled: Vec<Entry> =
            entries.iter().filter(|entry| entry.kind == "MATERIALIZED VIEW").map(filling).collect();
        entries.extend(filled);
        Ok(Self { entries, policy })
    }

    /// Makes what comes before the rows, in the transaction that `client` has begun. With `clean`, what is wanted is
    /// dropped first, rows and all.
    ///
    /// # Errors
    /// An object that the target does not take.
    pub async fn before_data(&self, client: &Client, clean: bool) -> Result<Report, Error> {
        let chosen = self.policy.choose(&self.entries);
        let names = Names::read(client).await?;
        let mut session = Session::new(client, &names, self.policy.no_owner);
        session.begin().await?;
        let mut report = Report::default();
        if clean {
            self.drop_with(&session).await?;
        }
        let mut there: Vec<i32> = Vec::new();
        for entry in &chosen.before {
            // What belongs to an object that the target had is the target's too.
            if entry.needs.iter().any(|id| there.contains(id))
                && entry.kind != "TABLE"
                && entry.kind != "VIEW"
            {
                there.push(entry.id);
                report.there += 1;
                continue;
            }
            match session.make(entry).await? {
                Made::New => report.made += 1,
                Made::WasThere => {
                    // Others may be built on a schema, an extension or a type; only of a relation are they parts.
                    if matches!(
                        entry.kind.as_str(),
                        "TABLE" | "VIEW" | "MATERIALIZED VIEW" | "FOREIGN TABLE" | "SEQUENCE"
                    ) {
                        there.push(entry.id);
                    }
                    report.there += 1;
                }
                Made::Not(reason) => report.left_out.push(reason),
            }
        }
        report.left_out.extend(session.told());
        session.end().await?;
        Ok(report)
    }

    /// Makes all of it for tables that will have no rows yet, in the transaction that `client` has begun.
    ///
    /// # Errors
    /// An object that the target does not take.
    pub async fn at_once(&self, client: &Client) -> Result<Report, Error> {
        let mut report = self.before_data(client, false).await?;
        let chosen = self.policy.choose(&self.entries);
        let names = Names::read(client).await?;
        let mut session = Session::new(client, &names, self.policy.no_owner);
        session.begin().await?;
        for entry in [chosen.indexes, chosen.rest, chosen.foreign_keys, chosen.last].iter().flatten() {
            report.count(session.make(entry).await?);
        }
        report.left_out.extend(session.told());
        session.end().await?;
        Ok(report)
    }

    /// Drops all that is wanted, rows too, in the transaction that `client` has begun.
    ///
    /// # Errors
    /// An object that the target does not drop.
    pub async fn drop_all(&self, client: &Client) -> Result<(), Error> {
        let names = Names::read(client).await?;
        let session = Session::new(client, &names, true);
        session.begin().await?;
        self.drop_with(&session).await?;
        session.end().await
    }

    async fn drop_with(&self, session: &Session<'_>) -> Result<(), Error> {
        let chosen = self.policy.choose(&self.entries);
        let groups = [chosen.foreign_keys, chosen.last, chosen.rest, chosen.indexes, chosen.before];
        for entry in groups.iter().flat_map(|group| group.iter().rev()) {
            session.drop(entry).await?;
        }
        Ok(())
    }

    /// Whether another dump makes these tables, what they need and what belongs to them before the rows as this one does.
    #[must_use]
    pub fn makes_the_same(&self, other: &Self, tables: &[TableName]) -> bool {
        self.made(tables) == other.made(tables)
    }

    /// The statements of these tables, of what they need and of what belongs to them.
    fn made(&self, tables: &[TableName]) -> BTreeSet<(&str, &str, &str)> {
        let before = self.policy.choose(&self.entries).before;
        let is_named = |entry: &Entry| {
            let schema = entry.schema.as_deref().unwrap_or_default();
            entry.kind == "TABLE"
                && tables.iter().any(|table| table.schema == schema && table.name == entry.name)
        };
        let mut ids: HashSet<i32> =
            before.iter().filter(|entry| is_named(entry)).map(|entry| entry.id).collect();
        let parts = before.iter().filter(|entry| entry.needs.iter().any(|id| ids.contains(id)));
        let mut wanted: Vec<&Entry> =
            parts.chain(before.iter().filter(|entry| is_named(entry))).copied().collect();
        ids.clear();
        while let Some(entry) = wanted.pop() {
            if ids.insert(entry.id) {
                wanted.extend(before.iter().filter(|other| entry.needs.contains(&other.id)));
            }
        }
        let made = before.into_iter().filter(|entry| ids.contains(&entry.id));
        made.map(|entry| (entry.kind.as_str(), entry.name.as_str(), entry.make.as_str())).collect()
    }

    /// Makes what comes after them, in `workers` sessions with these `settings` (name, value): indexes first, then what
    /// binds them together, then foreign keys, grants and the rows of materialized views.
    ///
    /// # Errors
    /// An object that the target does not take. What was made stays: run it again.
    pub async fn after_data(
        &self,
        url: &Url,
        settings: &[(String, String)],
        workers: usize,
        progress: Arc<Progress>,
    ) -> Result<Report, Error> {
        let chosen = self.policy.choose(&self.entries);
        let groups =
            [(chosen.indexes, workers), (chosen.rest, 1), (chosen.foreign_keys, workers), (chosen.last, 1)];
        let all: usize = groups.iter().map(|(group, _)| group.len()).sum();
        let mut report = Report::default();
        for (group, workers) in groups {
            let done = (report.done(), all);
            report.add(self.group(&group, workers, url, settings, done, &progress).await?);
        }
        Ok(report)
    }

    async fn group(
        &self,
        entries: &[&Entry],
        workers: usize,
        url: &Url,
        settings: &[(String, String)],
        (done, all): (usize, usize),
        progress: &Arc<Progress>,
    ) -> Result<Report, Error> {
        let queue = Queue::new(entries.iter().map(|entry| (*entry).clone()).collect());
        let workers = workers.min(entries.len());
        let shared = Arc::new((Mutex::new(queue), Mutex::new(Report::default())));
        let mut sessions = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let client = session(url, settings).await?;
            let (shared, progress) = (Arc::clone(&shared), Arc::clone(progress));
            let no_owner = self.policy.no_owner;
            sessions.spawn(async move {
                let names = Names::read(&client).await?;
                let mut session = Session::new(&client, &names, no_owner);
                let next = || shared.0.lock().map_or(None, |mut queue| queue.next());
                while let Some(entry) = next() {
                    let made = session.make_alone(&entry).await?;
                    if let Ok(mut queue) = shared.0.lock() {
                        queue.done(&entry);
                    }
                    let Ok(mut report) = shared.1.lock() else { break };
                    report.count(made);
                    progress(done + report.done(), all);
                }
                let Ok(mut report) = shared.1.lock() else { return Ok(()) };
                report.left_out.extend(session.told());
                Ok(())
            });
        }
        while let Some(ended) = sessions.join_next().await {
            // The first error ends the others: dropped, their sessions end.
            ended.unwrap_or(Ok::<(), Error>(()))?;
        }
        Ok(shared.1.lock().map(|report| report.clone()).unwrap_or_default())
    }

    /// All statements as a text for people: what would be made on an empty target.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let chosen = self.policy.choose(&self.entries);
        let groups = [chosen.before, chosen.indexes, chosen.rest, chosen.foreign_keys, chosen.last];
        let mut text = String::from("SET search_path = '';\n");
        for entry in groups.into_iter().flatten() {
            text.push_str(&format!("\n-- {} {}\n{}", entry.kind, entry.name.replace('\n', " "), entry.make));
            if let Some(owner) = run::owner(entry).filter(|_| !self.policy.no_owner) {
                text.push_str(&format!("{owner}\n"));
            }
        }
        std::fs::write(path, text)
            .map_err(|error| Error::File { path: path.display().to_string(), reason: error.to_string() })
    }
}

/// The filling of a materialized view: a dump of the schema alone has none.
fn filling(view: &Entry) -> Entry {
    let name = TableName::new(view.schema.as_deref().unwrap_or_default(), &view.name);
    Entry {
        id: -view.id,
        kind: "MATERIALIZED VIEW DATA".to_owned(),
        section: Section::PostData,
        make: format!("REFRESH MATERIALIZED VIEW {}", ::postgres::table(&name)),
        drop: String::new(),
        needs: vec![view.id],
        ..view.clone()
    }
}

/// A session with settings of the user.
async fn session(url: &Url, settings: &[(String, String)]) -> Result<Client, Error> {
    let client = connect(url, APPLICATION, &run::SETTINGS).await?;
    for (name, value) in settings {
        let set = client.execute("SELECT set_config($1, $2, false)", &[name, value]).await;
        set.map_err(|error| {
            ::postgres::Error::statement(format!("set {name} (index_constraint_session_settings)"), &error)
        })?;
    }
    Ok(client)
}

/// Makes the database of a URL if it is missing. True if it was.
///
/// # Errors
/// A server that cannot be reached, or a role that may not.
pub async fn create_database(url: &Url) -> Result<bool, Error> {
    match connect(url, APPLICATION, &[]).await {
        Ok(_) => return Ok(false),
        Err(::postgres::Error::NoDatabase { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let server = connect(&url.with_database("postgres"), APPLICATION, &[]).await?;
    let made = server.batch_execute(&format!("CREATE DATABASE {}", ident(&url.database))).await;
    made.map_err(|error| ::postgres::Error::statement("create the database of the target", &error))?;
    Ok(true)
}
