//! Reads `source`: the database, its slot and publication, when to connect again.

use std::time::Duration;

use event::TableName;
use listen::wal::Options;

use super::problem::Fault;
use super::ready::{Mode, Retry, Source};
use super::section::Section;
use super::snapshot;

/// The longest name that Postgres keeps whole, in bytes.
const NAME_LENGTH: usize = 63;

/// Reads the section `source`. `mode_required` is true where a YAML file says what to do; `mode` is what the command
/// says.
pub(super) fn read(root: &mut Section<'_>, mode_required: bool, mode: Option<Mode>) -> Option<Source> {
    root.section("source", |source| {
        source.not_built(&["kafka"]);
        source.section("postgres", |postgres| read_postgres(postgres, mode_required, mode))
    })
}

fn read_postgres(section: &mut Section<'_>, mode_required: bool, mode: Option<Mode>) -> Option<Source> {
    let url = url(section, "the source's address, postgres://user:password@host:port/database");
    let (snapshot, names_tables) = snapshot::read(section);
    let mode = read_mode(section, mode_required, mode, names_tables);
    let retry = read_retry(section);
    let wal = section.section("replication", |replication| {
        let slot = name(replication, "replication_slot", is_slot_name, SLOT_RULE);
        let publication = name(replication, "publication", |_| true, "a name");
        let tables = read_tables(replication);
        let via_root = replication.flag("publish_via_partition_root");
        replication.section("plugin", |plugin| {
            plugin.without_effect("include_xids", "has no effect: transactions are known without it");
            plugin.not_built_but("add_tables", Some("list the tables under modifiers.filter.include_tables"));
            plugin.not_built_but(
                "filter_tables",
                Some("list the tables under modifiers.filter.exclude_tables"),
            );
        });
        options(replication, url?, slot?, publication?, tables, via_root)
    })?;
    Some(Source { mode, wal, snapshot, retry })
}

fn options(
    section: &mut Section<'_>,
    url: postgres::Url,
    slot: Option<String>,
    publication: Option<String>,
    tables: Vec<TableName>,
    via_root: Option<bool>,
) -> Option<Options> {
    let mut options = match Options::new(url.clone()) {
        Ok(options) => options,
        // No slot can be called after the database: its name must come from the user.
        Err(_) => match (&slot, &publication) {
            (Some(slot), Some(publication)) => Options::named(url, slot.clone(), publication.clone()),
            _ => {
                let expected =
                    "the database's name makes no name for slot and publication, so both must be given";
                let key = if slot.is_none() { "replication_slot" } else { "publication" };
                section.problem(key, Fault::Missing { expected: expected.to_owned() });
                return None;
            }
        },
    };
    options.slot = slot.unwrap_or(options.slot);
    options.publication = publication.unwrap_or(options.publication);
    options.publish_via_partition_root = via_root.unwrap_or(options.publish_via_partition_root);
    options.tables = tables;
    Some(options)
}

/// `publication_tables`: what `init` publishes where it may not publish everything.
fn read_tables(section: &mut Section<'_>) -> Vec<TableName> {
    let mut tables = Vec::new();
    for text in section.texts("publication_tables") {
        match table_name(&text) {
            Some(table) => tables.push(table),
            None => section.refuse("publication_tables", format!("`{text}` is not table or schema.table")),
        }
    }
    tables
}

/// `table` (of schema public) or `schema.table`, each part in double quotes if it holds a dot or a quote.
fn table_name(text: &str) -> Option<TableName> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut characters) = (false, text.chars().peekable());
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                parts.last_mut()?.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => parts.last_mut()?.push(c),
        }
    }
    match parts.as_slice() {
        _ if quoted || parts.iter().any(String::is_empty) => None,
        [table] => Some(TableName::new("public", table)),
        [schema, table] => Some(TableName::new(schema, table)),
        _ => None,
    }
}

fn read_mode(section: &mut Section<'_>, required: bool, command: Option<Mode>, names_tables: bool) -> Mode {
    let modes = [
        ("replication", Mode::Replication),
        ("snapshot", Mode::Snapshot),
        ("snapshot_and_replication", Mode::SnapshotAndReplication),
    ];
    let mode = section.choice("mode", &modes);
    if required && command.is_none() && !section.has("mode") {
        let expected = "write `mode: replication`, `snapshot` or `snapshot_and_replication`".to_owned();
        section.problem("mode", Fault::Missing { expected });
    }
    // Variables have none for the mode: where they name tables for a snapshot, there is one.
    let implied = if names_tables && !required { Mode::SnapshotAndReplication } else { Mode::Replication };
    command.or(mode).unwrap_or(implied)
}

/// The address at the key `url`, which must be there.
pub(super) fn url(section: &mut Section<'_>, expected: &str) -> Option<postgres::Url> {
    let text = section.required("url", expected)?;
    match postgres::Url::parse(&text) {
        Ok(url) => Some(url),
        Err(error) => {
            section.refuse("url", error.to_string());
            None
        }
    }
}

const SLOT_RULE: &str = "lower-case letters, digits and `_` only";

fn is_slot_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A name of at most 63 bytes: `Some(None)` if none is given, `None` if it cannot be.
fn name(
    section: &mut Section<'_>,
    key: &'static str,
    fits: impl Fn(&str) -> bool,
    rule: &str,
) -> Option<Option<String>> {
    if !section.has(key) {
        return Some(None);
    }
    let name = section.text(key)?;
    if name.is_empty() || name.len() > NAME_LENGTH || !fits(&name) {
        section.refuse(key, format!("expected {rule}, 1 to {NAME_LENGTH} bytes"));
        return None;
    }
    Some(Some(name))
}

/// Reads `retry_policy`; constant wins over exponential, as in the original.
pub(super) fn read_retry(section: &mut Section<'_>) -> Retry {
    section.section("retry_policy", |policy| {
        let disabled = policy.flag("disable_retries").unwrap_or(false);
        let default = Retry::default();
        let exponential = policy.section("exponential", |exponential| Retry {
            first: pause(exponential, "initial_interval").unwrap_or(default.first),
            longest: pause(exponential, "max_interval").unwrap_or(default.longest),
            attempts: exponential.whole("max_retries").filter(|attempts| *attempts > 0),
            elapsed: exponential.duration("max_elapsed_time").filter(|elapsed| !elapsed.is_zero()),
        });
        let constant = policy.optional("constant", |constant| {
            let pause = pause(constant, "interval").unwrap_or(default.first);
            let attempts = constant.whole("max_retries").filter(|attempts| *attempts > 0);
            Retry { first: pause, longest: pause, attempts, elapsed: None }
        });
        match constant {
            _ if disabled => Retry { attempts: Some(0), ..default },
            Some(constant) => constant,
            None => exponential,
        }
    })
}

fn pause(section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
    let pause = section.duration(key)?;
    if pause.is_zero() {
        section
            .refuse(key, "expected more than nothing: a server that is down would be asked without a pause");
    }
    Some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_may_be_quoted() {
        for (text, expected) in [
            ("users", Some(("public", "users"))),
            ("app.users", Some(("app", "users"))),
            ("\"a.b\".\"c \"\"d\"", Some(("a.b", "c \"d"))),
            ("a.b.c", None),
            ("a.", None),
            ("", None),
            ("\"a", None),
        ] {
            let expected = expected.map(|(schema, table)| TableName::new(schema, table));
            assert_eq!(table_name(text), expected, "{text}");
        }
    }
}
