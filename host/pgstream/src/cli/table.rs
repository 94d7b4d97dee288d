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
use crate::config::{Mode, Source, Target};

/// Does what was asked for.
pub(super) async fn table(
    source: &Source,
    target: &Target,
    command: &TableCommand,
) -> Result<ExitCode, Error> {
    let TableFlags { tables: texts, .. } = command.flags();
    let tables = texts.iter().map(|text| named(text)).collect::<Result<Vec<_>, _>>()?;
    let url = &target.postgres.url;
    let found = listen::wal::find_tables(&source.wal, &tables).await?;
    let system_id = listen::snapshot::system_id(&source.wal.url).await?;
    // A copy without a stream has a ledger without a name.
    let ledger = if source.mode == Mode::Snapshot { "" } else { source.wal.slot.as_str() };
    let at = (url, system_id.as_str(), ledger);
    match command {
        TableCommand::Add(_) => ask(&source.wal, at, &found, true).await?,
        TableCommand::Resync(_) => ask(&source.wal, at, &found, false).await?,
        TableCommand::Cancel(_) => cancel(at, &found).await?,
        TableCommand::Pause(_) => pause(at, &found, true).await?,
        TableCommand::Resume(_) => pause(at, &found, false).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The target, and whose ledger there: of which source, of which slot.
type At<'a> = (&'a Url, &'a str, &'a str);

/// Has tables copied beside the stream: such that are streamed, or with `is_add` such that are not.
async fn ask(
    source: &Options,
    (url, system_id, slot): At<'_>,
    found: &[Found],
    is_add: bool,
) -> Result<(), Error> {
    let may_be_copied = |found: &Found| found.is_published || (is_add && found.may_be_published);
    let left = found.iter().filter(|found| !may_be_copied(found));
    let tables: Vec<TableName> = left.map(|found| found.table.clone()).collect();
    if !tables.is_empty() {
        return Err(
            listen::wal::Error::NotPublished { publication: source.publication.clone(), tables }.into()
        );
    }
    let missing = if is_add { may_be_added(source, url, system_id, found).await? } else { Vec::new() };
    let asked: Vec<(u32, TableName)> = found.iter().map(|found| (found.oid, found.table.clone())).collect();
    copy::ask(url, system_id, slot, &asked, &missing).await?;
    for (_, table) in &asked {
        print(&format!("{table} will be copied while the stream goes on\n"));
    }
    print("`pgstream status` tells how far it is; `pgstream run` has to be running, or to be started\n");
    Ok(())
}

async fn cancel((url, system_id, slot): At<'_>, found: &[Found]) -> Result<(), Error> {
    for found in found {
        let reason = "its copy was cancelled";
        let given_up = copy::give_up(url, system_id, slot, &[found.oid], reason).await?;
        let what = match given_up {
            0 => "does not wait to be copied",
            _ => "is not copied; it stays out of the stream until it is asked for again",
        };
        print(&format!("{} {what}\n", found.table));
    }
    Ok(())
}

async fn pause((url, system_id, slot): At<'_>, found: &[Found], paused: bool) -> Result<(), Error> {
    let oids: Vec<u32> = found.iter().map(|found| found.oid).collect();
    let of_these = copy::pause(url, system_id, slot, &oids, paused).await?;
    for found in found {
        let what = match (of_these.contains(&found.oid), paused) {
            (true, true) => {
                "is paused within a second or two, once the parts of it that are being read are there"
            }
            (true, false) => "is copied on",
            (false, _) => "is not being copied",
        };
        print(&format!("{} {what}\n", found.table));
    }
    if paused && !of_these.is_empty() {
        print(
            "until `pgstream table resume` or `cancel` the source keeps old row versions and its log for it\n",
        );
    }
    Ok(())
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
