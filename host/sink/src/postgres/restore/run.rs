//! Makes the objects of an archive, one by one.

use std::collections::BTreeSet;

use ::postgres::archive::Entry;
use ::postgres::{Class, Client, class_of, describe, ident, literal};
use tokio_postgres::error::SqlState;

use super::Error;

/// How sessions are that make objects: pg_dump's own settings, and patience.
pub(super) const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("lock_timeout", "0"),
    ("client_min_messages", "warning"),
];

/// What pg_dump's statements expect. A statement may end with a comment: what follows stands on a line of its own.
const LOCAL: &str = "SET LOCAL search_path = ''; SET LOCAL check_function_bodies = false; SET LOCAL xmloption = content; \
                     SET LOCAL row_security = off; SET LOCAL standard_conforming_strings = on; ";

/// How often a statement is tried that met another one in a deadlock.
const TRIES: usize = 5;

/// Names of the target that owners and tablespaces must be among.
#[derive(Debug)]
pub(super) struct Names {
    /// Roles that the session may give objects to.
    roles: BTreeSet<String>,
    tablespaces: BTreeSet<String>,
}

impl Names {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        const ROLES: &str = "SELECT rolname::text FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')";
        const TABLESPACES: &str = "SELECT spcname::text FROM pg_tablespace";
        let mut names = Self { roles: BTreeSet::new(), tablespaces: BTreeSet::new() };
        for (query, into) in [(ROLES, &mut names.roles), (TABLESPACES, &mut names.tablespaces)] {
            let rows = client.query(query, &[]).await;
            let rows =
                rows.map_err(|error| ::postgres::Error::statement("read names of the target", &error))?;
            into.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        Ok(names)
    }
}

/// What became of an object.
pub(super) enum Made {
    New,
    WasThere,
    /// Left out, and why.
    Not(String),
}

/// A session that makes objects.
pub(super) struct Session<'a> {
    client: &'a Client,
    names: &'a Names,
    no_owner: bool,
    /// Roles that own objects on the source and cannot on the target.
    lacking: BTreeSet<String>,
    /// Tablespaces that the target does not have.
    spaces: BTreeSet<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(client: &'a Client, names: &'a Names, no_owner: bool) -> Self {
        Self { client, names, no_owner, lacking: BTreeSet::new(), spaces: BTreeSet::new() }
    }

    /// Prepares the transaction that is open.
    pub(super) async fn begin(&self) -> Result<(), Error> {
        let begun = self.client.batch_execute(LOCAL).await;
        begun.map_err(|error| ::postgres::Error::statement("prepare to make objects", &error).into())
    }

    /// Leaves the transaction as it was before.
    pub(super) async fn end(&self) -> Result<(), Error> {
        let ended = self.client.batch_execute("SET LOCAL search_path = pg_catalog").await;
        ended.map_err(|error| ::postgres::Error::statement("end the making of objects", &error).into())
    }

    /// Makes an object in the transaction that is open.
    pub(super) async fn make(&mut self, entry: &Entry) -> Result<Made, Error> {
        let sql = format!(
            "SAVEPOINT object; {}\n; RELEASE object",
            self.statements(entry).trim_end_matches([';', '\n'])
        );
        match self.client.batch_execute(&sql).await {
            Ok(()) => Ok(Made::New),
            Err(error) => {
                self.back("ROLLBACK TO object").await?;
                self.not_made(entry, &error)
            }
        }
    }

    /// Makes an object in a transaction of its own.
    pub(super) async fn make_alone(&mut self, entry: &Entry) -> Result<Made, Error> {
        let statements = self.statements(entry);
        let statements = statements.trim_end_matches([';', '\n']);
        let mut not_valid = "";
        let mut tried = 0;
        loop {
            let sql = format!("BEGIN; {LOCAL}{statements}{not_valid}\n; COMMIT");
            let Err(error) = self.client.batch_execute(&sql).await else { break };
            self.back("ROLLBACK").await?;
            tried += 1;
            match error.code() {
                Some(&SqlState::T_R_DEADLOCK_DETECTED) if tried < TRIES => {}
                // Rows of different moments, or rows that a rule left out: new ones are checked.
                Some(&SqlState::FOREIGN_KEY_VIOLATION) if not_valid.is_empty() => not_valid = " NOT VALID",
                _ => return self.not_made(entry, &error),
            }
        }
        fault::here!("copy-object-made");
        if not_valid.is_empty() {
            return Ok(Made::New);
        }
        let what = format!(
            "FOREIGN KEY {}: made NOT VALID, since rows that are there break it: once the stream has caught up, run \
             ALTER TABLE … VALIDATE CONSTRAINT",
            entry.name
        );
        Ok(Made::Not(what))
    }

    /// Drops an object in the transaction that is open, if it is there.
    pub(super) async fn drop(&self, entry: &Entry) -> Result<(), Error> {
        if entry.drop.is_empty() {
            return Ok(());
        }
        let sql = format!("SAVEPOINT object; {}\n; RELEASE object", entry.drop.trim_end_matches([';', '\n']));
        let Err(error) = self.client.batch_execute(&sql).await else { return Ok(()) };
        self.back("ROLLBACK TO object").await?;
        match error.code().map(SqlState::code) {
            // Not there, or the table that it belongs to is not.
            Some("42P01" | "42704" | "42883" | "3F000" | "42703") => Ok(()),
            // Others have something in it, or it came with the server.
            Some("2BP01") if entry.kind == "SCHEMA" => Ok(()),
            Some("42501" | "2BP01") if matches!(entry.kind.as_str(), "EXTENSION" | "PROCEDURAL LANGUAGE") => {
                Ok(())
            }
            _ => Err(object(entry, &error, "drop by hand what depends on it")),
        }
    }

    /// What is to be told about all objects together.
    pub(super) fn told(&self) -> Vec<String> {
        let listed =
            |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let mut told = Vec::new();
        if !self.lacking.is_empty() {
            let roles = listed(&self.lacking);
            told.push(format!("owners: {roles} cannot own objects here, so the role of the target URL does"));
        }
        if !self.spaces.is_empty() {
            let spaces = listed(&self.spaces);
            told.push(format!(
                "tablespaces: {spaces} are not there, so what was in them is in the default one"
            ));
        }
        told
    }

    fn statements(&mut self, entry: &Entry) -> String {
        let mut sql = String::new();
        if matches!(entry.kind.as_str(), "TABLE" | "MATERIALIZED VIEW" | "INDEX" | "CONSTRAINT") {
            let space = entry.tablespace.as_deref().filter(|space| self.names.tablespaces.contains(*space));
            self.spaces.extend(entry.tablespace.iter().filter(|_| space.is_none()).cloned());
            sql.push_str(&format!("SET LOCAL default_tablespace = {}; ", literal(space.unwrap_or_default())));
            if let Some(method) = &entry.access_method {
                sql.push_str(&format!("SET LOCAL default_table_access_method = {}; ", literal(method)));
            }
        }
        sql.push_str(&entry.make);
        if let Some(owner) = owner(entry).filter(|_| !self.no_owner) {
            if self.names.roles.contains(&entry.owner) {
                sql.push_str(&owner);
            } else {
                self.lacking.insert(entry.owner.clone());
            }
        }
        sql
    }

    fn not_made(&self, entry: &Entry, error: &tokio_postgres::Error) -> Result<Made, Error> {
        let kind = entry.kind.as_str();
        match error.code().map(SqlState::code) {
            // A relation, another object, a function, a schema.
            Some("42P07" | "42710" | "42723" | "42P06") => Ok(Made::WasThere),
            // A second primary key.
            Some("42P16") if kind == "CONSTRAINT" => Ok(Made::WasThere),
            Some("42501" | "42704")
                if matches!(kind, "ACL" | "DEFAULT ACL" | "EVENT TRIGGER" | "COMMENT" | "SECURITY LABEL") =>
            {
                Ok(Made::Not(format!("{kind} {}: {}", entry.name, describe(error))))
            }
            Some("0A000" | "58P01" | "42501") if kind == "EXTENSION" => {
                Ok(Made::Not(format!("{kind} {}: {}", entry.name, describe(error))))
            }
            Some("23505") => Err(object(
                entry,
                error,
                "rows that were copied are equal here: the target had such rows, or the rules make values of a key equal \
                 (see allow_uniqueness_loss)",
            )),
            Some("42501") => Err(object(
                entry,
                error,
                "grant the role of the target URL what it lacks; owners as on the source are left out by no_owner: true",
            )),
            _ => Err(object(
                entry,
                error,
                "mend it on the target, or leave objects of the kind out: exclude_object_types",
            )),
        }
    }

    async fn back(&self, to: &str) -> Result<(), Error> {
        let back = self.client.batch_execute(to).await;
        back.map_err(|error| ::postgres::Error::statement("roll back an object", &error).into())
    }
}

fn object(entry: &Entry, error: &tokio_postgres::Error, remedy: &str) -> Error {
    // Nothing that the object itself is the reason of.
    let is_of_server = error.code().is_none_or(|code| {
        matches!(class_of(code), Class::Reconnect | Class::RetryTransaction)
            || code.code() == ::postgres::DISK_FULL
    });
    if is_of_server {
        let what = format!("make {} {} on the target", entry.kind, entry.name);
        return ::postgres::Error::statement(what, error).into();
    }
    Error::Object {
        kind: entry.kind.clone(),
        name: entry.name.clone(),
        reason: describe(error),
        remedy: remedy.to_owned(),
    }
}

/// Kinds of objects that have an owner of their own.
const OWNED: &[&str] = &[
    "AGGREGATE",
    "COLLATION",
    "CONVERSION",
    "DOMAIN",
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "FUNCTION",
    "MATERIALIZED VIEW",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "PROCEDURE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "TABLE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TYPE",
    "VIEW",
];

/// The statement that gives an object to its owner.
pub(super) fn owner(entry: &Entry) -> Option<String> {
    let named = entry.drop.strip_prefix("DROP ")?.trim_end_matches([';', '\n']);
    let is_owned = OWNED.contains(&entry.kind.as_str()) && !entry.owner.is_empty();
    is_owned.then(|| format!("ALTER {named} OWNER TO {};\n", ident(&entry.owner)))
}
