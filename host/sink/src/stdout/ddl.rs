//! A version of a schema as a line: the original's message, and beside it the documents and the difference.

use event::{SchemaEntry, Transaction};
use schema::{Change, Object, Statement, Table, statements};
use serde_json::{Value as Json, json};

use super::Error;
use super::json::envelope;

/// The prefix of such messages.
const PREFIX: &str = "pgstream.ddl";

/// Appends its line. `ddl` is what a target would be told to do: the text that the client sent may hold values. The defaults of
/// columns that a rule masks are values, too.
pub(super) fn entry(
    entry: &SchemaEntry,
    transaction: Option<Transaction>,
    line: &mut Vec<u8>,
) -> Result<(), Error> {
    let documents = told_of(entry);
    let changes = Change::of_entry(&SchemaEntry { changes: documents.to_string(), ..entry.clone() })?;
    let statements = statements(&changes);
    let ddl: Vec<String> = statements.iter().map(|statement| format!("{statement};")).collect();
    let content = json!({
        "ddl": ddl.join("\n"),
        "schema_name": entry.schema,
        "command_tag": entry.command_tag,
        "objects": changes.iter().filter_map(object).collect::<Vec<_>>(),
        "id": entry.id,
        "version": entry.version,
        "part": entry.part,
        "parts": entry.parts,
        "failed": entry.failed,
        "changes": documents,
        "statements": statements.iter().map(Statement::told).collect::<Vec<_>>(),
    });
    let (prefix, content) = (json!(PREFIX), Json::from(content.to_string()));
    let head = envelope("M", transaction);
    line.extend_from_slice(
        format!("{head},\"schema\":\"\",\"table\":\"\",\"prefix\":{prefix},\"content\":{content}}}\n")
            .as_bytes(),
    );
    Ok(())
}

/// The documents, without the tables that are nobody's business and the defaults of masked columns.
fn told_of(entry: &SchemaEntry) -> Json {
    // What cannot be read is told by who reads it next.
    let Ok(Json::Array(mut all)) = serde_json::from_str(&entry.changes) else { return Json::Null };
    all.retain(|change| {
        let oid = change.get("oid").and_then(Json::as_str).and_then(|oid| oid.parse::<u32>().ok());
        oid.is_none_or(|oid| !entry.left_out.contains(&oid))
    });
    for change in &mut all {
        let mut masked = Vec::new();
        for document in ["before", "after"] {
            let columns = change.get_mut(document).and_then(|it| it.get_mut("columns")?.as_array_mut());
            for column in columns.into_iter().flatten() {
                let name = column.get("name").and_then(Json::as_str).unwrap_or_default();
                if column.get("generated") != Some(&Json::Bool(true))
                    && entry.masked.iter().any(|it| it == name)
                {
                    masked.extend(column.get("attnum").map(Json::to_string));
                    if let Some(default) = column.get_mut("default") {
                        *default = Json::Null;
                    }
                }
            }
        }
        // What rows that were there got by a new column.
        if let Some(missing) = change.get_mut("missing").and_then(Json::as_object_mut) {
            missing.retain(|attnum, _| !masked.contains(attnum));
        }
    }
    Json::Array(all)
}

/// As the original names an object.
fn object(change: &Change) -> Option<Json> {
    let object = change.object()?;
    let mut told = json!({
        "type": object.kind().name(),
        "identity": object.plain_name(),
        "schema": object.name().schema,
        "oid": change.oid.0.to_string(),
        "pgstream_id": null,
    });
    if let (Object::Table(table), Json::Object(told)) = (object, &mut told) {
        told.insert("pgstream_id".to_owned(), json!(table.pgstream_id));
        if change.after.is_some() {
            told.insert("columns".to_owned(), columns(table));
            told.insert("primary_key_columns".to_owned(), json!(table.primary_key_columns));
        }
    }
    Some(told)
}

fn columns(table: &Table) -> Json {
    let column = |column: &schema::Column| {
        json!({
            "attnum": column.attnum,
            "name": column.name,
            "type": column.type_name,
            "nullable": column.nullable,
            "default": column.default,
            "generated": !column.generated_kind.is_empty(),
            "identity": match column.identity.as_str() {
                "a" => Some("ALWAYS"),
                "d" => Some("BY DEFAULT"),
                _ => None,
            },
            "unique": column.unique,
        })
    };
    table.columns.iter().map(column).collect()
}
