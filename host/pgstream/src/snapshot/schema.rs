//! The schema of a copy: dumped from the source as of the moment, made on the target before the rows and after them.

use std::collections::HashSet;
use std::sync::Arc;

use event::TableName;
use listen::snapshot::Moment;
use postgres::{Client, DumpOptions, PgDump, create_roles, read_roles};
use sink::postgres::restore::{self, Policy, Report, Restore};

use super::progress::Making;
use crate::config::{Ready, SchemaCopy, What};
use crate::failure::Error;
use crate::shutdown::Stop;

/// What `init` makes in a source; it stays there.
const OURS: &str = "pgstream";

pub(super) struct Schema<'a> {
    pub(super) ready: &'a Ready,
    /// Tables that the modifiers keep from the target.
    pub(super) kept_back: Vec<TableName>,
    /// Tables that the target has already, where others are made beside them.
    pub(super) there: HashSet<TableName>,
}

impl Schema<'_> {
    /// Makes the target's database where that is asked for.
    pub(super) async fn database(&self) -> Result<(), Error> {
        let url = &self.ready.target.postgres.url;
        let wanted = self.settings().create_database && self.ready.source.snapshot.what != What::Data;
        if wanted && restore::create_database(url).await? {
            tracing::info!(database = url.database, "database made");
        }
        Ok(())
    }

    /// The archive of pg_dump.
    pub(super) async fn dump(&self, moment: &Moment) -> Result<Vec<u8>, Error> {
        let settings = self.settings();
        let dump = PgDump::find(settings.programs.as_deref(), moment.version / 10_000).await?;
        let options = DumpOptions {
            snapshot: moment.name.clone(),
            role: settings.role.clone(),
            without_schemas: vec![OURS.to_owned()],
        };
        let archive = dump.schema(&self.ready.source.wal.url, &options).await?;
        if moment.name.is_none() && !moment.is_latest_schema().await? {
            return Err(listen::snapshot::Error::Changed.into());
        }
        if let Some(file) = &settings.dump_file {
            self.restore(&archive)?.write(file)?;
        }
        Ok(archive)
    }

    /// Makes what comes before the rows, in the transaction that `client` has begun. True if the target had nothing of it.
    pub(super) async fn before_data(&self, archive: &[u8], client: &Client) -> Result<bool, Error> {
        let restore = self.restore(archive)?;
        if self.settings().clean {
            tracing::warn!("dropping on the target what is to be made (clean_target_db)");
        }
        self.roles(client).await?;
        let report = restore.before_data(client, self.settings().clean).await?;
        tell(&report, "tables made");
        fault::here!("copy-schema-made");
        Ok(report.there == 0)
    }

    /// Makes all of it for tables that have no rows yet, in the transaction that `client` has begun.
    pub(super) async fn at_once(&self, archive: &[u8], client: &Client) -> Result<(), Error> {
        let report = self.restore(archive)?.at_once(client).await?;
        tell(&report, "tables made");
        Ok(())
    }

    /// Whether the two make these tables in the same way.
    pub(super) fn is_same(&self, one: &[u8], other: &[u8], tables: &[TableName]) -> Result<bool, Error> {
        Ok(self.restore(one)?.makes_the_same(&self.restore(other)?, tables))
    }

    /// Drops what an archive has made, in the transaction that `client` has begun.
    pub(super) async fn drop_all(&self, archive: &[u8], client: &Client) -> Result<(), Error> {
        Ok(self.restore(archive)?.drop_all(client).await?)
    }

    /// Makes indexes, constraints and the rest. A stop ends it; what was made stays.
    pub(super) async fn after_data(&self, archive: &[u8], stop: &Stop) -> Result<(), Error> {
        let settings = self.settings();
        let pairs = settings.session_settings.iter().filter_map(|setting| setting.split_once('='));
        let pairs: Vec<(String, String)> =
            pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        let shown = Arc::new(Making::begin(self.ready.source.snapshot.disable_progress));
        let making = Arc::clone(&shown);
        let progress = move |done: usize, all: usize| making.made(done, all);
        let restore = self.restore(archive)?;
        let url = &self.ready.target.postgres.url;
        let making = restore.after_data(url, &pairs, self.ready.source.snapshot.workers, Arc::new(progress));
        let report = tokio::select! {
            report = making => Some(report),
            () = stop.requested() => None,
        };
        shown.end();
        let Some(report) = report.transpose()? else { return Ok(()) };
        tell(&report, "indexes and constraints made");
        fault::here!("copy-finished");
        Ok(())
    }

    async fn roles(&self, target: &Client) -> Result<(), Error> {
        let Some(with_passwords) = self.settings().roles else { return Ok(()) };
        let source = postgres::connect(&self.ready.source.wal.url, "pgstream snapshot", &[]).await;
        let roles = read_roles(&source.map_err(listen::snapshot::Error::from)?, with_passwords).await;
        let refused = create_roles(target, &roles.map_err(listen::snapshot::Error::from)?).await;
        let refused = refused.map_err(restore::Error::from)?;
        if !refused.is_empty() {
            let roles = refused.join(", ");
            tracing::warn!(
                roles,
                "the role of the target URL may not make these roles (roles_snapshot_mode)"
            );
        }
        Ok(())
    }

    fn restore(&self, archive: &[u8]) -> Result<Restore, Error> {
        let (settings, selection) = (self.settings(), self.ready.source.snapshot.selection.clone());
        let (everything, kept_back) = (selection.is_everything(), self.kept_back.clone());
        let policy = Policy {
            wants: Box::new(move |table| selection.wants_table(table) && !kept_back.contains(table)),
            there: self.there.clone(),
            everything,
            global_objects: settings.global_objects,
            no_owner: settings.no_owner,
            no_privileges: settings.no_privileges,
            excluded_security_labels: settings.excluded_security_labels.clone(),
            included_types: settings.included_types.clone(),
            excluded_types: settings.excluded_types.clone(),
            refresh_materialized_views: settings.refresh_materialized_views,
        };
        Ok(Restore::new(archive, policy)?)
    }

    fn settings(&self) -> &SchemaCopy {
        &self.ready.source.snapshot.schema
    }
}

fn tell(report: &Report, what: &str) {
    for reason in &report.left_out {
        tracing::warn!("not as on the source: {reason}");
    }
    tracing::info!(made = report.made, were_there = report.there, left_out = report.left_out.len(), "{what}");
}
