//! `pgstream schema`: what changed when, what a schema was like, and what leads from one version to another.

use std::fmt::Write as _;
use std::process::ExitCode;

use listen::wal::{Options, Version, document, objects, prune, versions};
use schema::{Change, Object, Statement};
use serde_json::json;

use super::args::{SchemaDiff, SchemaLog, SchemaLook, SchemaPrune, SchemaShow};
use super::{Error, print};

/// Does what was asked for.
pub(super) async fn schema(source: &Options, command: &SchemaLook) -> Result<ExitCode, Error> {
    let text = match command {
        SchemaLook::Log(wanted) => log(source, wanted).await?,
        SchemaLook::Show(wanted) => show(source, wanted).await?,
        SchemaLook::Diff(wanted) => diff(source, wanted).await?,
        SchemaLook::Prune(SchemaPrune { keep, .. }) => {
            format!("removed {} versions\n", prune(source, keep).await?)
        }
    };
    print(&text);
    Ok(ExitCode::SUCCESS)
}

async fn log(source: &Options, wanted: &SchemaLog) -> Result<String, Error> {
    let found = versions(source, wanted.schema.as_deref(), wanted.limit).await?;
    if wanted.json {
        let lines = found.iter().map(|version| {
            json!({
                "version": version.version,
                "schema": version.schema,
                "created_at": version.created_at,
                "command": version.command_tag,
                "acked": version.acked,
                "changes": version.changes.iter().map(told).collect::<Vec<_>>(),
            })
        });
        return Ok(pretty(&json!(lines.collect::<Vec<_>>())));
    }
    if found.is_empty() {
        return Ok("no version yet\n".to_owned());
    }
    let mut text = "version  when (UTC)           acked  what\n".to_owned();
    for version in &found {
        let acked = if version.acked { "yes" } else { "no" };
        let head = format!("{:>7}  {}  {acked:<5}  ", version.version, version.created_at);
        let _ = writeln!(text, "{head}{}", what(version));
    }
    Ok(text)
}

/// One line for a version: what was done to what, as far as it fits.
fn what(version: &Version) -> String {
    const MOST: usize = 2;
    if version.command_tag == "BASE" {
        return format!("{}: {} objects when the log began", version.schema, version.changes.len());
    }
    if version.changes.is_empty() {
        return format!("{}: moved from {} to another schema", version.command_tag, version.schema);
    }
    let objects = version.changes.iter().filter_map(Change::object).take(MOST);
    let named: Vec<String> =
        objects.map(|object| format!("{} {}", object.kind(), object.plain_name())).collect();
    let more = version.changes.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}: {}{more}", version.command_tag, named.join(", "))
}

async fn show(source: &Options, wanted: &SchemaShow) -> Result<String, Error> {
    if wanted.json {
        return Ok(pretty(&document(source, &wanted.schema, wanted.version).await?));
    }
    let found = objects(source, &wanted.schema, wanted.version).await?;
    Ok(sql(&schema::statements(&schema::between(&[], &found))))
}

async fn diff(source: &Options, wanted: &SchemaDiff) -> Result<String, Error> {
    let from = objects(source, &wanted.schema, Some(wanted.from)).await?;
    let to = objects(source, &wanted.schema, wanted.to).await?;
    let changes = schema::between(&from, &to);
    let statements = schema::statements(&changes);
    if wanted.json {
        return Ok(pretty(&json!({
            "schema": wanted.schema,
            "from": wanted.from,
            "to": wanted.to,
            "changes": changes.iter().map(told).collect::<Vec<_>>(),
            "statements": statements.iter().map(Statement::told).collect::<Vec<_>>(),
        })));
    }
    if statements.is_empty() {
        return Ok("no difference\n".to_owned());
    }
    Ok(sql(&statements))
}

/// A change in a few words.
fn told(change: &Change) -> serde_json::Value {
    let verb = match (&change.before, &change.after) {
        (None, _) => "created",
        (_, None) => "removed",
        (Some(_), Some(_)) => "changed",
    };
    let name = |object: &Option<Object>| object.as_ref().map(Object::plain_name);
    json!({
        "oid": change.oid.0,
        "kind": change.object().map(|object| object.kind().name()),
        "change": verb,
        "before": name(&change.before),
        "after": name(&change.after),
    })
}

fn sql(statements: &[Statement]) -> String {
    statements.iter().map(|statement| format!("{statement};\n")).collect()
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
