//! A copy to stdout: every row of a moment as an insert without a position. Nothing is kept of how far it is: a
//! copy that ended in the middle begins anew.

use std::io::Write;
use std::sync::Arc;

use event::Lsn;
use listen::snapshot::{Moment, Rows, Table, tasks};
use modify::{Chain, Route};
use tokio::task::block_in_place;

use super::modifier::{Handle, Modifier};
use super::worker::PIECE;
use super::{failure, now, options};
use crate::config::{Print, What};
use crate::failure::Error;
use crate::shutdown::Stop;

/// Prints what there is. A table that cannot be read does not keep the others.
pub(crate) async fn print(print: &Print, chain: Chain, stop: &Stop) -> Result<(), Error> {
    if print.source.snapshot.what != What::Data {
        tracing::info!("rows are printed; the schema is not");
    }
    let moment = Moment::take(&options(&print.source)).await?;
    let modifier = Modifier::start(chain);
    let relations: Vec<_> = moment.tables.iter().map(|table| Arc::clone(&table.relation)).collect();
    let routes = modifier.bind(relations, moment.names.clone()).await?;
    let goes = |route: &Route| matches!(route, Route::AsTheyAre | Route::Through);
    let tables = moment.tables.iter().zip(routes).filter(|(_, route)| goes(route));
    let taken_at = now();
    let (mut failed, mut rows) = (Vec::new(), 0);
    for (table, _) in tables {
        match one(&moment, table, taken_at, print.source.snapshot.range_bytes, &modifier.handle(), stop).await
        {
            Ok(Some(printed)) => rows += printed,
            Ok(None) if stop.is_requested() => return Ok(()),
            Ok(None) => {
                failed.push(failure(&table.relation.name, &"it was changed while it was read"));
            }
            Err(error @ Error::Snapshot(listen::snapshot::Error::Table { .. })) => {
                failed.push(failure(&table.relation.name, &error));
            }
            Err(error) => return Err(error),
        }
    }
    tracing::info!(rows, lsn = %moment.lsn, "rows printed");
    if failed.is_empty() { Ok(()) } else { Err(Error::Tables { failed }) }
}

/// Prints a table's rows; `None` if a stop came, or it is not what it was.
async fn one(
    moment: &Moment,
    table: &Table,
    taken_at: i64,
    range_bytes: usize,
    modifier: &Handle,
    stop: &Stop,
) -> Result<Option<u64>, Error> {
    let mut reader = moment.reader().await?;
    let mut printed = 0;
    let range_bytes = u64::try_from(range_bytes).unwrap_or(u64::MAX);
    for task in tasks(std::slice::from_ref(table), range_bytes, |_| true) {
        if stop.is_requested() || reader.start(table, &task, false).await?.is_err() {
            return Ok(None);
        }
        let mut rows = Rows::new(table, &task, Lsn::ZERO, taken_at);
        loop {
            let end = reader.read(rows.input(), PIECE).await?;
            while let Some(batch) = rows.batch()? {
                let batch = modifier.apply(batch).await?;
                printed += batch.rows() as u64;
                block_in_place(|| sink::stdout::write_to(&batch, &mut std::io::stdout().lock()))?;
            }
            if end.is_some() {
                break;
            }
        }
        reader.finish().await?;
    }
    block_in_place(|| std::io::stdout().flush()).map_err(sink::stdout::Error::output)?;
    Ok(Some(printed))
}
