//! Copies ranges of pages out of the source, at the moment that another session holds open.

use bytes::BytesMut;
use event::TableName;
use postgres::{CopyOut, Failure, Url, ident, literal, table};

use super::moment::{APPLICATION, SETTINGS};
use super::{Error, Table, Task};

/// The table is not what the moment saw any more, so its rows of that moment cannot be read as planned: it was written
/// anew, emptied, renamed, or lost a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// Ends a range without ending the transaction, its lock too.
const BACK: &str = "ROLLBACK TO SAVEPOINT range; RELEASE SAVEPOINT range";

/// A session that reads.
#[derive(Debug)]
pub struct Reader {
    url: Url,
    /// The name of the moment; none where the session itself is in it, on a standby.
    moment: Option<String>,
    session: CopyOut,
    /// What is being read.
    table: TableName,
}

impl Reader {
    /// Opens a session for the moment of that name.
    ///
    /// # Errors
    /// A source that cannot be reached.
    pub(super) async fn connect(url: &Url, moment: &str) -> Result<Self, Error> {
        let session = connect(url).await?;
        let nothing = TableName::new("", "");
        Ok(Self { url: url.clone(), moment: Some(moment.to_owned()), session, table: nothing })
    }

    /// A session that sees the moment, in a transaction that must not end.
    pub(super) fn standing(url: Url, session: CopyOut) -> Self {
        Self { url, moment: None, session, table: TableName::new("", "") }
    }

    /// Starts to read a range. For so long, and no longer, the table is locked against being altered.
    ///
    /// # Errors
    /// A lost connection or moment, and a table that may not be read.
    pub async fn start(&mut self, of: &Table, task: &Task, binary: bool) -> Result<Result<(), Stale>, Error> {
        let Some(part) = of.parts.get(task.part) else { return Ok(Err(Stale)) };
        self.table.clone_from(&part.name);
        let name = table(&part.name);
        // What these functions say is as of now, whatever the snapshot sees.
        let begin = match &self.moment {
            Some(moment) => format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
                literal(moment)
            ),
            None => "SAVEPOINT range".to_owned(),
        };
        let begin = format!(
            "{begin}; LOCK TABLE ONLY {name} IN ACCESS SHARE MODE; \
             SELECT to_regclass({})::oid = {} AND pg_relation_filenode({}) = {}",
            literal(&name),
            part.oid,
            part.oid,
            part.filenode,
        );
        let is_as_planned = match self.session.row(&begin).await {
            Ok(row) => row.and_then(|row| row.into_iter().next().flatten()).as_deref() == Some("t"),
            Err(failure) => return self.stale(failure).await,
        };
        if !is_as_planned {
            self.finish().await?;
            return Ok(Err(Stale));
        }
        match self.session.start(&copy(of, task, &name, binary)).await {
            Ok(()) => Ok(Ok(())),
            Err(failure) => self.stale(failure).await,
        }
    }

    /// Appends rows to `out` until it holds `limit` bytes; at the end of the range it gives how many there were.
    ///
    /// # Errors
    /// A lost connection, and rows that the source itself cannot read.
    pub async fn read(&mut self, out: &mut BytesMut, limit: usize) -> Result<Option<u64>, Error> {
        self.session.read(out, limit).await.map_err(|failure| Error::reading(&self.table, failure))
    }

    /// Ends the transaction of the range, and with it the lock.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn finish(&mut self) -> Result<(), Error> {
        let end = if self.moment.is_some() { "COMMIT" } else { BACK };
        let done = self.session.row(end).await;
        done.map(|_| ()).map_err(|failure| Error::reading(&self.table, failure))
    }

    /// Leaves whatever is being read, in a new session.
    ///
    /// # Errors
    /// A source that cannot be reached. On a standby it takes the moment away.
    pub async fn abandon(&mut self) -> Result<(), Error> {
        if self.moment.is_none() {
            return Err(Error::Lost { reason: "a session of the standby was left in the middle".to_owned() });
        }
        self.session = connect(&self.url).await?;
        Ok(())
    }

    /// What a range that did not start means.
    async fn stale(&mut self, failure: Failure) -> Result<Result<(), Stale>, Error> {
        let (code, message) = match &failure {
            Failure::Server { sqlstate, message } => (sqlstate.as_str(), message.as_str()),
            _ => ("", ""),
        };
        match code {
            // The table or a column has gone, or got another name.
            "42P01" | "42703" | "3F000" => {
                match self.moment {
                    Some(_) => self.abandon().await?,
                    None => self.finish().await?,
                }
                Ok(Err(Stale))
            }
            // An unknown snapshot: an invalid parameter, from 16 on an undefined object.
            "22023" | "42704" if message.contains("snapshot") => {
                Err(Error::Lost { reason: format!("SQLSTATE {code}") })
            }
            _ => Err(Error::reading(&self.table, failure)),
        }
    }
}

async fn connect(url: &Url) -> Result<CopyOut, Error> {
    let nothing = TableName::new("", "");
    CopyOut::connect(url, APPLICATION, &SETTINGS).await.map_err(|failure| Error::reading(&nothing, failure))
}

/// The statement. A whole table by its name is a little faster than a query.
fn copy(of: &Table, task: &Task, name: &str, binary: bool) -> String {
    let columns: Vec<String> = of.relation.columns.iter().map(|column| ident(&column.name)).collect();
    let columns = columns.join(", ");
    let format = if binary { " (FORMAT binary)" } else { "" };
    if task.first == 0 && task.end.is_none() && !columns.is_empty() {
        return format!("COPY {name} ({columns}) TO STDOUT{format}");
    }
    let end = task.end.map(|end| format!(" AND ctid < '({end},0)'")).unwrap_or_default();
    format!(
        "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({},0)'{end}) TO STDOUT{format}",
        task.first
    )
}
