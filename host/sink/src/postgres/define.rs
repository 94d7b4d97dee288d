//! Changes of the schema: statements from the source's schema log, in the target transaction of the rows around them.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use ::postgres::{Client, describe};
use event::{SchemaEntry, TableName};
use schema::{Change, Effect, Kind, Object, Statement};
use tokio_postgres::types::ToSql;

use super::anew::{Anew, Rewriting};
use super::error::{Call, call_of, lost};
use super::{Error, masked, using};

/// What becomes of changes of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ddl {
    /// Nothing is changed on the target (`ignore_ddl`).
    pub ignore: bool,
    /// Kinds of objects that are left alone.
    pub excluded: BTreeSet<Kind>,
    /// What becomes of changes that remove rows or values.
    pub destructive: Destructive,
    /// What becomes of changes that give rows values which only the source knows.
    pub rewriting: Rewriting,
    /// Owners and grants are followed too; else the role of the target's URL owns what it makes.
    pub owners_and_grants: bool,
    /// How long a statement waits for a lock. Whoever comes after it queues behind it, so it gives up and is tried again.
    pub lock_timeout: Duration,
}

impl Ddl {
    /// What is meant for use for [`Ddl::lock_timeout`].
    pub const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
}

impl Default for Ddl {
    fn default() -> Self {
        Self {
            ignore: false,
            excluded: BTreeSet::new(),
            destructive: Destructive::default(),
            rewriting: Rewriting::default(),
            owners_and_grants: false,
            lock_timeout: Self::LOCK_TIMEOUT,
        }
    }
}

/// What becomes of a change that removes a table or a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Destructive {
    /// It is done on the target too.
    #[default]
    Apply,
    /// The stream stops before it.
    Stop,
    /// The target keeps what it has.
    Keep,
}

/// What becomes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It changes something.
    Done,
    /// The settings leave it out.
    LeftOut,
    /// Its work was done already.
    Already,
}

/// What was done of a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    /// The tables that are not what they were; `None` if that may be any.
    pub(super) tables: Option<HashSet<TableName>>,
    /// The statements, and what became of each.
    pub(super) statements: Vec<(Statement, Fate)>,
    /// Something can be used only after the commit.
    pub(super) settles_at_commit: bool,
    /// Tables that were emptied, to be copied again.
    pub(super) anew: Vec<(u32, TableName)>,
}

impl Done {
    /// The statements that this became of.
    pub(super) fn of(&self, wanted: Fate) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(move |(_, fate)| *fate == wanted).map(|(statement, _)| statement)
    }
}

/// Does on the target what a statement did on the source: its entries, one for each schema that it changed. `replica`: triggers
/// and foreign keys are off. `copied`: tables that are being copied beside the stream.
pub(super) async fn define(
    client: &Client,
    entries: &[SchemaEntry],
    ddl: &Ddl,
    replica: bool,
    copied: &HashSet<u32>,
) -> Result<Done, Error> {
    let mut done = Done { tables: Some(HashSet::new()), ..Done::default() };
    if ddl.ignore {
        return Ok(done);
    }
    let Some(entry) = entries.first() else { return Ok(done) };
    if let Some((entry, sqlstate)) = entries.iter().find_map(|entry| Some((entry, entry.failed.clone()?))) {
        let (version, command) = (entry.version, entry.command_tag.clone());
        return Err(Error::Undescribed { version, command, sqlstate });
    }
    let mut changes = Vec::new();
    for entry in entries {
        changes.extend(Change::of_entry(entry)?);
        tell_others(entry);
    }
    let mut anew = Anew::new(client, ddl, replica, copied);
    let unknown = match using::follow(client, &mut changes, entries, ddl).await? {
        Some(unknown) => Some(unknown),
        None => changes.iter().find_map(computed),
    };
    if let Some((table, why)) = unknown
        && !anew.take_rewritten(&mut changes, why).await?
    {
        return Err(rewritten(entry, table, why));
    }
    masked::leave_out_defaults(client, &mut changes, entries, &mut anew).await?;
    done.anew = anew.tables;
    done.tables = touched(&changes);
    let mut statements = schema::statements(&changes);
    if ddl.owners_and_grants {
        statements.extend(schema::privileges(&changes));
    }
    for statement in statements {
        let fate = if is_wanted(&statement, entry, ddl)? { Fate::Done } else { Fate::LeftOut };
        done.statements.push((statement, fate));
    }
    let wanted: Vec<&Statement> = done.of(Fate::Done).collect();
    // One alone is told by name if it fails, at once.
    if wanted.len() == 1 || !all(client, &wanted, ddl).await? {
        for (statement, fate) in done.statements.iter_mut().filter(|(_, fate)| *fate == Fate::Done) {
            if !run(client, statement, entry, ddl).await? {
                *fate = Fate::Already;
            }
        }
    }
    let settles = done.of(Fate::Done).any(|statement| statement.settles_at_commit);
    done.settles_at_commit = settles;
    Ok(done)
}

/// What is not followed is told when it comes and goes, and not only when something turns out to need it.
fn tell_others(entry: &SchemaEntry) {
    for other in Change::not_followed(&entry.changes).unwrap_or_default() {
        let what =
            if other.is_gone { "is gone from the source" } else { "is not followed: make it on the target" };
        tracing::warn!(kind = other.kind, name = other.name, version = entry.version, "an object {what}");
    }
}

/// Whether the settings want a statement.
fn is_wanted(statement: &Statement, entry: &SchemaEntry, ddl: &Ddl) -> Result<bool, Error> {
    if ddl.excluded.contains(&statement.kind) {
        return Ok(false);
    }
    match ddl.destructive {
        _ if statement.effect != Effect::Destroy => Ok(true),
        Destructive::Apply => Ok(true),
        Destructive::Keep => {
            tracing::warn!(kind = %statement.kind, subject = statement.subject, "kept on the target");
            Ok(false)
        }
        Destructive::Stop => Err(Error::Destructive {
            schema: entry.schema.clone(),
            version: entry.version,
            command: entry.command_tag.clone(),
            kind: statement.kind.name(),
            subject: statement.subject.clone(),
        }),
    }
}

/// All statements at once, in one journey; false, with nothing done, if one of them fails.
async fn all(client: &Client, statements: &[&Statement], ddl: &Ddl) -> Result<bool, Error> {
    if statements.is_empty() {
        return Ok(true);
    }
    let texts: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
    let Err(error) = in_savepoint(client, &texts.join(";\n"), ddl).await else { return Ok(true) };
    if call_of(&error) == Call::Reconnect {
        return Err(lost(&error));
    }
    back(client).await?;
    Ok(false)
}

/// Runs statements between two marks; after an error, [`back`] leads to the first.
pub(super) async fn in_savepoint(client: &Client, sql: &str, ddl: &Ddl) -> Result<(), tokio_postgres::Error> {
    let wait = ddl.lock_timeout.as_millis();
    let sql = format!(
        "SAVEPOINT ddl;\nSET LOCAL lock_timeout = {wait};\n{sql};\nSET LOCAL lock_timeout = DEFAULT;\nRELEASE SAVEPOINT ddl"
    );
    client.batch_execute(&sql).await
}

/// What the target says to a question.
pub(super) async fn is_so(
    client: &Client,
    sql: &str,
    of: &[&(dyn ToSql + Sync)],
    what: &'static str,
) -> Result<bool, Error> {
    let row = client.query_one(sql, of).await;
    Ok(row.map_err(|error| ::postgres::Error::statement(what, &error))?.get(0))
}

/// Back to where the statement began.
pub(super) async fn back(client: &Client) -> Result<(), Error> {
    let sql = "ROLLBACK TO SAVEPOINT ddl; RELEASE SAVEPOINT ddl";
    client.batch_execute(sql).await.map_err(|error| lost(&error))
}

/// The tables of these changes. A type or a schema may be in any table.
fn touched(changes: &[Change]) -> Option<HashSet<TableName>> {
    let mut tables = HashSet::new();
    for object in changes.iter().flat_map(|change| change.before.iter().chain(&change.after)) {
        match object {
            Object::Table(_) | Object::View(_) | Object::MaterializedView(_) => {
                let name = object.name();
                tables.insert(TableName::new(name.schema, name.name));
            }
            Object::Sequence(_) | Object::Function(_) => {}
            Object::Schema(_) | Object::Extension(_) | Object::Type(_) => return None,
        }
    }
    Some(tables)
}

/// A table whose rows got values that no statement gives them on the target, as SQL, and why.
fn computed(change: &Change) -> Option<(String, &'static str)> {
    let Some(Object::Table(table)) = &change.after else { return None };
    let why = match change {
        _ if !change.rewritten.is_some_and(|it| it.default && !it.empty) => return None,
        _ if gives_values(change) => "the default of a new column is computed for each row",
        // SET EXPRESSION to what it was: what it calls may be another function by now.
        _ if change.before == change.after => "a generated column was computed anew by the same expression",
        _ => return None,
    };
    Some((table.full_name().to_string(), why))
}

fn rewritten(entry: &SchemaEntry, table: String, why: &'static str) -> Error {
    Error::Rewritten {
        schema: entry.schema.clone(),
        version: entry.version,
        command: entry.command_tag.clone(),
        table,
        why,
    }
}

/// Whether a new column has a default that is none of a generated column: those compute the same everywhere.
fn gives_values(change: &Change) -> bool {
    let (Some(Object::Table(before)), Some(Object::Table(after))) = (&change.before, &change.after) else {
        return false;
    };
    let is_new = |attnum| !before.columns.iter().any(|column| column.attnum == attnum);
    after.columns.iter().any(|column| {
        let of_row =
            column.generated_kind.is_empty() && (column.default.is_some() || !column.identity.is_empty());
        is_new(column.attnum) && of_row && !change.missing.contains_key(&column.attnum)
    })
}

/// Runs a statement; false if what it makes is there already, or what it removes is gone.
async fn run(client: &Client, statement: &Statement, entry: &SchemaEntry, ddl: &Ddl) -> Result<bool, Error> {
    let Err(error) = in_savepoint(client, &statement.sql, ddl).await else { return Ok(true) };
    match call_of(&error) {
        Call::Reconnect => return Err(lost(&error)),
        // What came before in the transaction has to be done again.
        Call::Retry => {
            let (verb, kind) = (verb(statement.effect), statement.kind);
            let subject = &statement.subject;
            let reason = format!("cannot {verb} {kind} {subject} yet, {}", describe(&error));
            return Err(Error::Contended { reason });
        }
        Call::Room => {
            let what = format!("{} {} {}", verb(statement.effect), statement.kind, statement.subject);
            return Err(::postgres::Error::statement(what, &error).into());
        }
        Call::LookAgain | Call::Exact => {}
    }
    if is_done_already(statement.effect, &error) {
        back(client).await?;
        tracing::warn!(
            kind = %statement.kind, subject = statement.subject, reason = describe(&error),
            "the target is so already, or has it in another shape"
        );
        return Ok(false);
    }
    Err(Error::Schema {
        schema: entry.schema.clone(),
        version: entry.version,
        command: entry.command_tag.clone(),
        verb: verb(statement.effect),
        kind: statement.kind.name(),
        subject: statement.subject.clone(),
        reason: describe(&error),
        remedy: remedy(statement, &error),
    })
}

fn verb(effect: Effect) -> &'static str {
    match effect {
        Effect::Create => "create",
        Effect::Alter => "alter",
        Effect::Remove | Effect::Destroy => "remove",
    }
}

/// Somebody was quicker, by hand.
fn is_done_already(effect: Effect, error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(tokio_postgres::error::SqlState::code).unwrap_or_default();
    match effect {
        // Duplicate schema, table, column, object, function.
        Effect::Create => matches!(code, "42P06" | "42P07" | "42701" | "42710" | "42723"),
        // Undefined schema, table, column, object, function.
        Effect::Remove | Effect::Destroy => matches!(code, "3F000" | "42P01" | "42703" | "42704" | "42883"),
        Effect::Alter => false,
    }
}

fn remedy(statement: &Statement, error: &tokio_postgres::Error) -> String {
    let code = error.code().map(tokio_postgres::error::SqlState::code).unwrap_or_default();
    let leave = format!(
        "or leave such objects out: exclude_ddl_object_types: [{}]",
        statement.kind.name().replace(' ', "_")
    );
    match code {
        "42704" if statement.privilege => {
            "make the role on the target (CREATE ROLE), or set owners_and_grants: false".to_owned()
        }
        "42501" if statement.privilege => {
            "let the role of the target URL be a superuser, or own the object and be a member of its new owner, \
             or set owners_and_grants: false"
                .to_owned()
        }
        "42501" => format!("let the role of the target URL own what it is to change, {leave}"),
        "0A000" | "58P01" => {
            format!("install on the target what the source has (extensions, access methods), {leave}")
        }
        "2BP01" => format!("something on the target alone depends on it: remove that first, {leave}"),
        "42P01" | "42703" | "42704" | "42883" | "3F000" => {
            format!("the target lacks what this needs: make it there, {leave}")
        }
        _ => format!("make the change on the target by hand, {leave}"),
    }
}
