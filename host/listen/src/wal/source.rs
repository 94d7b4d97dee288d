//! One database with a slot in it: checked, described, then read.

use std::collections::HashSet;
use std::sync::Arc;

use buffer::{Budget, Held};
use event::{Lsn, Relation, ReplicaIdentity, TableName};
use postgres::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::wal::copied::Copied;
use crate::wal::progress::{Progress, Summary};
use crate::wal::publication::Publication;
use crate::wal::relation::{self, Relations, Snapshot};
use crate::wal::server::Server;
use crate::wal::session::{Refused, Session};
use crate::wal::slot::SlotStatus;
use crate::wal::stream::{Stream, Tracked};
use crate::wal::{Error, Options, catalog, log, publication, role, server, slot, tracking};

/// Whether a table is wanted: its name is asked for before it is refused for what it lacks.
pub(crate) type Wanted = Box<dyn Fn(&TableName) -> bool + Send + Sync>;

/// A source that can be read.
pub struct Source {
    options: Options,
    client: Client,
    server: Server,
    publication: Publication,
    slot: SlotStatus,
    relations: Vec<Arc<Relation>>,
    catalog: Snapshot,
    /// Tables that the catalog is ahead of the stream with; none if the schema log is not in the stream.
    pending: Option<HashSet<u32>>,
    wanted: Wanted,
    copied: Copied,
    /// Where the stream ends, and no version of a schema is acknowledged: it is beside another one.
    until: Option<Lsn>,
    progress: Arc<Progress>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("options", &self.options)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Connects and checks everything that can be checked before the first row: version, log level, rights,
    /// publication, slot. A slot that another session holds is waited for, `Options::slot_wait` long.
    ///
    /// # Errors
    /// Whatever stands in the way, each with its remedy.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        options.check()?;
        let client = server::connect(&options).await?;
        let server = server::describe(&client).await?;
        server.check()?;
        role::check_replication(&client).await?;
        let publication = publication::require(&client, &options).await?;
        let slot = slot::ready(&client, &server, &options).await?;
        let (relations, catalog) = relations(&client, &server, &options.publication).await?;
        // After the catalog was read: else a change in between would be in the one and not in the other.
        let pending = match tracking::is_streamed(&client, &options.publication).await? {
            true => Some(log::pending(&client, slot.confirmed.unwrap_or_default()).await?),
            false => None,
        };
        Ok(Self {
            options,
            client,
            server,
            publication,
            slot,
            relations,
            catalog,
            pending,
            wanted: Box::new(|_| true),
            copied: Copied::default(),
            until: None,
            progress: Arc::default(),
        })
    }

    /// The cluster's identifier; the same on a standby that was made from it.
    #[must_use]
    pub fn system_id(&self) -> &str {
        &self.server.system_id
    }

    /// The server's version, as it prints it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.server.version
    }

    /// The slot's name.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.options.slot
    }

    /// Up to where the slot is confirmed: the stream cannot go on before it.
    #[must_use]
    pub fn confirmed(&self) -> Lsn {
        self.slot.confirmed.unwrap_or_default()
    }

    /// Where the server's log ends now.
    ///
    /// # Errors
    /// A server that does not answer.
    pub async fn written(&self) -> Result<Lsn, Error> {
        server::written(&self.client).await
    }

    /// The published tables as they are now, ours left out. A table that has not changed by the time it appears in
    /// the stream is the same `Arc` there.
    #[must_use]
    pub fn relations(&self) -> &[Arc<Relation>] {
        &self.relations
    }

    /// Which of these tables and columns, that are not there, were dropped: the schema log tells, and only where there is one.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub async fn dropped(
        &self,
        missing: Vec<(TableName, Option<String>)>,
    ) -> Result<Vec<(TableName, Option<String>)>, Error> {
        if self.pending.is_none() {
            return Ok(Vec::new());
        }
        log::dropped(&self.client, &self.relations, missing).await
    }

    /// Whether the stream will bring a change of the table's schema that [`Source::relations`] may have already: what a
    /// target has is to be compared later.
    #[must_use]
    pub fn is_pending(&self, relation: &Relation) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.contains(&relation.oid))
    }

    /// What is in the target already without the stream.
    pub fn leave_out(&mut self, copied: Copied) {
        self.copied = copied;
    }

    /// Has the stream end where everything that was committed before `until` is passed on. Another stream tells the source
    /// what became of its schemas.
    pub fn end_at(&mut self, until: Lsn) {
        self.until = Some(until);
    }

    /// How far the stream is; counts from the start of [`Source::stream`] on.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Refuses wanted tables whose updates and deletes Postgres cannot send, now and when one appears in the stream.
    /// Without this call every table counts as wanted, but only the stream looks.
    ///
    /// # Errors
    /// [`Error::NoReplicaIdentity`] with all of them.
    pub async fn check_identities(
        &mut self,
        wanted: impl Fn(&TableName) -> bool + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.wanted = Box::new(wanted);
        if !self.publication.needs_identity() {
            return Ok(());
        }
        let oids: Vec<u32> = self.relations.iter().map(|relation| relation.oid).collect();
        let mut without = catalog::without_identity(&self.client, &oids).await?;
        without.retain(|without| (self.wanted)(&without.published));
        if without.is_empty() {
            return Ok(());
        }
        let oids: Vec<u32> = without.iter().map(|without| without.oid).collect();
        let made_later = match self.pending {
            Some(_) => log::made_later(&self.client, &oids).await?,
            None => HashSet::new(),
        };
        let mut tables = Vec::new();
        for without in without {
            // Who makes a table cannot know of us, and Postgres itself refuses what could not be sent.
            if made_later.contains(&without.oid) && without.table.identity == ReplicaIdentity::Default {
                tracing::warn!(table = %without.table.table, "only inserts can be replicated: no primary key");
            } else if !tables.contains(&without.table) {
                tables.push(without.table);
            }
        }
        if tables.is_empty() { Ok(()) } else { Err(Error::NoReplicaIdentity { tables }) }
    }

    /// Reads the slot from `start` on (its confirmed position, or a later one that is durable in the target) and
    /// sends batches until it is stopped, `out` is closed, or something fails.
    ///
    /// Back on `confirmed` comes what may be acknowledged. The stream closes `out` at its end, stays connected
    /// until the sender of `confirmed` is dropped, tells the server the last position and waits until it has
    /// arrived. A stop waits for the end of an open transaction if that is near; else the transaction is left
    /// without its commit, and whoever applies it must roll it back.
    ///
    /// # Errors
    /// A lost connection or server ([`Error::is_transient`]); a slot that is gone, lost or in use; a table without
    /// replica identity; a stream that is not understood.
    pub async fn stream(
        self,
        start: Lsn,
        out: mpsc::Sender<Held>,
        budget: Budget,
        confirmed: watch::Receiver<Lsn>,
        stop: CancellationToken,
    ) -> Result<Summary, Error> {
        let start = start.max(self.confirmed());
        let mut session = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Summary::at(start)),
            session = self.open(start) => session?,
        };
        if self.until.is_some() {
            session.ask();
        }
        tracing::info!(slot = self.options.slot, %start, "stream started");
        let mut relations = Relations::new(self.catalog);
        for relation in self.relations {
            relations.adopt(relation);
        }
        let wanted =
            if self.publication.needs_identity() { self.wanted } else { Box::new(|_: &TableName| false) };
        let publication = (!self.publication.all_tables).then(|| self.options.publication.clone());
        let tracked =
            self.pending.map(|pending| Tracked { pending, publication, acknowledges: self.until.is_none() });
        let parts = crate::wal::stream::Parts {
            acknowledged: self.slot.confirmed.unwrap_or_default(),
            options: self.options,
            server: self.server,
            session,
            client: self.client,
            relations,
            wanted,
            copied: self.copied,
            until: self.until,
            tracked,
            progress: self.progress,
            start,
            out,
            budget,
            confirmed,
            stop,
        };
        Stream::new(parts).run().await
    }

    /// Starts the stream; a slot that was taken meanwhile is waited for once more.
    async fn open(&self, start: Lsn) -> Result<Session, Error> {
        let deadline = Instant::now() + self.options.slot_wait;
        loop {
            let slot = slot::ready(&self.client, &self.server, &self.options).await?;
            let confirmed = slot.confirmed.unwrap_or_default();
            match Session::open(&self.options, &self.server, start, confirmed).await {
                Ok(session) => return Ok(session),
                Err(Refused::InUse) if Instant::now() < deadline => {}
                Err(Refused::InUse) => return Err(slot::active(&self.client, &self.options.slot, 0).await),
                Err(Refused::Because(error)) => return Err(error),
            }
        }
    }
}

/// The tables of the publication, ours left out, and what the catalog says of them.
pub(crate) async fn relations(
    client: &Client,
    server: &Server,
    publication: &str,
) -> Result<(Vec<Arc<Relation>>, Snapshot), Error> {
    let seen = catalog::horizon(client).await?;
    let published = catalog::published(client, server, publication).await?;
    let oids: Vec<u32> = published.iter().map(|(oid, _)| *oid).collect();
    let tables = catalog::tables(client, &oids).await?;
    let with_columns = tables.iter().filter_map(|table| {
        let (_, columns) = published.iter().find(|(oid, _)| *oid == table.oid)?;
        Some(relation::from_catalog(table, columns))
    });
    let data = with_columns.filter(|relation| relation.name.schema != crate::wal::SCHEMA);
    let relations = data.map(Arc::new).collect();
    Ok((relations, Snapshot::new(tables, seen)))
}
