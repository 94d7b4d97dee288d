//! `pgstream table`: asks a pipeline to copy single tables while it goes on.
//!
//! What is asked for stands in the ledger on the target. The pipeline looks there every second, or when it starts.

use std::process::ExitCode;

use event::{TableName, TablePattern};
use listen::wal::{Found, Options};
use postgres::Url;
use sink::postgres::copy::{self, State};

use super::args::{TableCommand, TableFlags};
use super::{Error, print};
use crate::config::Target;

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
    let system_id = listen::snapshot::system_id(&source.url).await?;
    if let TableCommand::Cancel(_) = command {
        for found in &found {
            let reason = "its copy was cancelled";
            let given_up = copy::give_up(url, &system_id, &source.slot, &[found.oid], reason).await;
            let what = match given_up? {
                0 => "does not wait to be copied",
                _ => "is not copied; it stays out of the stream until it is asked for again",
            };
            print(&format!("{} {what}\n", found.table));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let is_add = matches!(command, TableCommand::Add(_));
    let may_be_copied = |found: &Found| found.is_published || (is_add && found.may_be_published);
    let left = found.iter().filter(|found| !may_be_copied(found));
    let tables: Vec<TableName> = left.map(|found| found.table.clone()).collect();
    if !tables.is_empty() {
        return Err(
            listen::wal::Error::NotPublished { publication: source.publication.clone(), tables }.into()
        );
    }
    let missing = if is_add { may_be_added(source, url, &system_id, &found).await? } else { Vec::new() };
    let asked: Vec<(u32, TableName)> = found.iter().map(|found| (found.oid, found.table.clone())).collect();
    copy::ask(url, &system_id, &source.slot, &asked, &missing).await?;
    for (_, table) in &asked {
        print(&format!("{table} will be copied while the stream goes on\n"));
    }
    print("`pgstream status` tells how far it is; `pgstream run` has to be running, or to be started\n");
    Ok(ExitCode::SUCCESS)
}

/// Refuses what would not work, or would remove what nobody spoke of. The tables that the target lacks.
async fn may_be_added(
    source: &Options,
    url: &Url,
    system_id: &str,
    found: &[Found],
) -> Result<Vec<TableName>, Error> {
    let known = copy::states(url, system_id, &source.slot).await?;
    let state_of = |found: &Found| known.iter().find(|(oid, _)| *oid == found.oid).map(|(_, state)| *state);
    let names: Vec<TableName> = found.iter().map(|found| found.table.clone()).collect();
    let (missing, full) = copy::look(url, &names).await?;
    let is_streamed = |found: &&Found| {
        let is_followed = matches!(state_of(found), None | Some(State::Done));
        found.is_published && is_followed && !missing.contains(&found.table)
    };
    let tables: Vec<TableName> = found.iter().filter(is_streamed).map(|found| found.table.clone()).collect();
    if !tables.is_empty() {
        return Err(Error::Streamed { tables });
    }
    // What an earlier copy has left goes.
    let is_full = |found: &&Found| full.contains(&found.table) && state_of(found).is_none();
    let tables: Vec<TableName> = found.iter().filter(is_full).map(|found| found.table.clone()).collect();
    if !tables.is_empty() {
        return Err(Error::NotEmpty { tables });
    }
    let oids: Vec<u32> = found.iter().map(|found| found.oid).collect();
    listen::wal::publish(source, &oids, true).await?;
    Ok(missing)
}

/// A name as it is typed.
fn named(text: &str) -> Result<TableName, Error> {
    TablePattern::parse(text)
        .and_then(|pattern| pattern.exact())
        .ok_or_else(|| Error::NoName { text: text.to_owned() })
}
