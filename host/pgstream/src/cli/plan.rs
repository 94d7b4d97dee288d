//! `pgstream schema plan`: what the changes of the schema that are on their way would do on the target.

use std::process::ExitCode;

use event::{BatchBuilder, Lsn, SchemaEntry, Step, TableName, Transaction};
use miette::Diagnostic;
use modify::Chain;
use serde_json::{Value, json};
use sink::postgres::{Fate, Foreseen, foresee};
use tokio::task::block_in_place;

use super::{Error, print};
use crate::config::Ready;

/// A statement of the source, and what would become of it.
struct Planned {
    entry: SchemaEntry,
    foreseen: Foreseen,
}

/// Says what would happen. 3 is the exit code if the stream would stop.
pub(super) async fn plan(ready: &Ready, as_json: bool) -> Result<ExitCode, Error> {
    let pending = listen::wal::pending(&ready.source.wal).await?;
    let mut chain = block_in_place(|| Chain::load(&ready.modifiers))?;
    let dropped = pending.dropped(chain.missing(&pending.relations)).await?;
    chain.let_go(dropped);
    block_in_place(|| chain.bind(&pending.relations))?;
    let mut statements: Vec<Vec<SchemaEntry>> = Vec::new();
    let mut refused = None;
    for entry in pending.entries {
        match block_in_place(|| passed(&mut chain, entry.clone())) {
            // A statement that changes several schemas has an entry for each.
            Ok(entry) => match statements.last_mut().filter(|_| entry.part > 1) {
                Some(before) => before.push(entry),
                None => statements.push(vec![entry]),
            },
            Err(error) => {
                refused = Some((entry, error));
                break;
            }
        }
    }
    let foreseen = foresee(&ready.target.postgres, &statements).await?;
    let planned: Vec<Planned> = statements
        .into_iter()
        .zip(foreseen)
        .filter_map(|(entries, foreseen)| Some(Planned { entry: entries.into_iter().next()?, foreseen }))
        .collect();
    let stops_before = planned.iter().any(|planned| planned.foreseen.stop.is_some());
    let refused = refused.filter(|_| !stops_before);
    let stops = stops_before || refused.is_some();
    if as_json {
        let mut all: Vec<Value> = planned.iter().map(in_json).collect();
        all.extend(refused.as_ref().map(|(entry, error)| {
            json!({"version": entry.version, "schema": entry.schema, "command": entry.command_tag, "stop": told(error)})
        }));
        print(&format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default()));
    } else {
        let mut text: String = planned.iter().map(in_text).collect();
        if let Some((entry, error)) = &refused {
            text.push_str(&head(entry));
            text.push_str(&stop_in_text(error));
        }
        if text.is_empty() {
            text.push_str("no change of the schema is on its way\n");
        }
        print(&text);
    }
    Ok(if stops { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// The entry as the modifiers pass it on.
fn passed(chain: &mut Chain, entry: SchemaEntry) -> Result<SchemaEntry, modify::Error> {
    let mut batch = BatchBuilder::default();
    batch.begin(Transaction { commit_lsn: Lsn::ZERO, committed_at: 0, xid: 0 });
    batch.schema(entry.clone());
    let passed = chain.apply(batch.take())?;
    Ok(match passed.order.into_iter().next_back() {
        Some(Step::Schema(passed)) => *passed,
        _ => entry,
    })
}

fn head(entry: &SchemaEntry) -> String {
    format!("-- version {} of schema {}: {}\n", entry.version, entry.schema, entry.command_tag)
}

fn in_text(planned: &Planned) -> String {
    let Planned { entry, foreseen } = planned;
    let mut text = head(entry);
    for (statement, fate) in &foreseen.statements {
        match fate {
            Fate::Done => text.push_str(&format!("{statement};\n")),
            Fate::LeftOut => {
                text.push_str(&format!("-- left out: {} {}\n", statement.kind, statement.subject))
            }
            Fate::Already => {
                text.push_str(&format!(
                    "-- the target is so already: {} {}\n",
                    statement.kind, statement.subject
                ));
            }
        }
    }
    for table in &foreseen.copied {
        text.push_str(&format!("-- {table} is emptied and copied again\n"));
    }
    match &foreseen.stop {
        Some(error) => text.push_str(&stop_in_text(error)),
        None if foreseen.statements.is_empty() => text.push_str("-- nothing is to be done\n"),
        None => {}
    }
    text
}

fn stop_in_text(error: &dyn Diagnostic) -> String {
    let mut text = format!("-- the stream stops here: {error}\n");
    if let Some(remedy) = error.help() {
        text.push_str(&format!("--   remedy: {remedy}\n"));
    }
    text
}

fn in_json(planned: &Planned) -> Value {
    let Planned { entry, foreseen } = planned;
    let statements = foreseen.statements.iter().map(|(statement, fate)| {
        json!({
            "sql": statement.sql,
            "kind": statement.kind.name(),
            "subject": statement.subject,
            "destructive": statement.effect == schema::Effect::Destroy,
            "fate": match fate { Fate::Done => "run", Fate::LeftOut => "left out", Fate::Already => "done already" },
        })
    });
    json!({
        "version": entry.version,
        "schema": entry.schema,
        "command": entry.command_tag,
        "statements": statements.collect::<Vec<_>>(),
        "copied_again": foreseen.copied.iter().map(TableName::to_string).collect::<Vec<_>>(),
        "stop": foreseen.stop.as_ref().map(|error| told(error)),
    })
}

fn told(error: &dyn Diagnostic) -> Value {
    json!({
        "code": error.code().map(|code| code.to_string()),
        "message": error.to_string(),
        "remedy": error.help().map(|help| help.to_string()),
    })
}
