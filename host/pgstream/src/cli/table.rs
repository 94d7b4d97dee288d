//! `pgstream table`: asks a pipeline to copy single tables while it goes on.
//!
//! What is asked for stands in the ledger on the target. The pipeline looks there every second, or when it starts.

use std::process::ExitCode;

use event::{TableName, TablePattern};
use listen::wal::Options;
use sink::postgres::copy;

use super::args::{TableCommand, TableFlags};
use super::{Error, print};
use crate::config::Target;
use crate::pipeline;

/// Does what was asked for.
pub(super) async fn table(
    source: &Options,
    target: &Target,
    command: &TableCommand,
) -> Result<ExitCode, Error> {
    let TableFlags { tables: texts, .. } = command.flags();
    let tables = texts.iter().map(|text| named(text)).collect::<Result<Vec<_>, _>>()?;
    let url = &target.postgres.url;
    let found = listen::wal::find_tables(source, &tables).await?;
    let system_id = listen::snapshot::system_id(&source.url).await.map_err(pipeline::Error::from)?;
    if let TableCommand::Cancel(_) = command {
        for found in &found {
            let reason = "its copy was cancelled";
            let given_up = copy::give_up(url, &system_id, &source.slot, &[found.oid], reason).await;
            let what = match given_up.map_err(pipeline::Error::from)? {
                0 => "does not wait to be copied",
                _ => "is not copied; it stays out of the stream until it is asked for again",
            };
            print(&format!("{} {what}\n", found.table));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let unpublished: Vec<TableName> =
        found.iter().filter(|found| !found.is_published).map(|found| found.table.clone()).collect();
    if !unpublished.is_empty() && !matches!(command, TableCommand::Add(_)) {
        return Err(listen::wal::Error::NotPublished {
            publication: source.publication.clone(),
            tables: unpublished,
        }
        .into());
    }
    let asked: Vec<(u32, TableName)> = found.iter().map(|found| (found.oid, found.table.clone())).collect();
    copy::ask(url, &system_id, &source.slot, &asked).await.map_err(pipeline::Error::from)?;
    for (_, table) in &asked {
        print(&format!("{table} will be copied while the stream goes on\n"));
    }
    print("`pgstream status` tells how far it is; `pgstream run` has to be running, or to be started\n");
    Ok(ExitCode::SUCCESS)
}

/// A name as it is typed.
fn named(text: &str) -> Result<TableName, Error> {
    TablePattern::parse(text)
        .and_then(|pattern| pattern.exact())
        .ok_or_else(|| Error::NoName { text: text.to_owned() })
}
