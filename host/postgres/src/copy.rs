//! A session that reads `COPY … TO STDOUT` in large pieces, without a look into the rows.
//!
//! The server sends a message for each row. A driver that hands out each of them costs more than the server takes to
//! make it; here the rows are only put end to end.

use bytes::BytesMut;

use crate::Url;
use crate::wire::{Failure, Parameters, Wire, server_failure, unexpected};

/// A session for COPY. After an error it is of no use any more.
#[derive(Debug)]
pub struct CopyOut {
    wire: Wire,
    /// Bytes of the row that is being read which have not come yet.
    left: usize,
}

impl CopyOut {
    /// Connects to the URL's database with pinned settings and `settings`. `application` is what `pg_stat_activity`
    /// shows.
    ///
    /// # Errors
    /// An unreachable server, TLS that cannot be set up, a refused login.
    pub async fn connect(url: &Url, application: &str, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let parameters = Parameters { application, replication: false, settings };
        Ok(Self { wire: Wire::connect(url, &parameters).await?, left: 0 })
    }

    /// The first row that a command answers, as text; `None` if it answers none.
    ///
    /// # Errors
    /// What the server says.
    pub async fn row(&mut self, command: &str) -> Result<Option<Vec<Option<String>>>, Failure> {
        self.wire.row(command).await
    }

    /// Starts a COPY; from now on there is only [`CopyOut::read`], until it gives `Some`.
    ///
    /// # Errors
    /// What the server says.
    pub async fn start(&mut self, command: &str) -> Result<(), Failure> {
        self.wire.start(command, b'H', "the start of COPY").await
    }

    /// Appends rows to `out` until that holds `limit` bytes, be it in the middle of a row, so that a row may be larger
    /// than memory. At the end it gives how many rows there were.
    ///
    /// # Errors
    /// What the server says, and a connection that is lost.
    pub async fn read(&mut self, out: &mut BytesMut, limit: usize) -> Result<Option<u64>, Failure> {
        let mut rows = None;
        loop {
            loop {
                let here = self.left.min(self.wire.input.len());
                out.extend_from_slice(&self.wire.input.split_to(here));
                self.left -= here;
                if out.len() >= limit && rows.is_none() {
                    return Ok(None);
                }
                if self.left > 0 {
                    break;
                }
                if let Some(length) = self.wire.begins(b'd')? {
                    self.left = length;
                    continue;
                }
                match self.wire.raw()? {
                    None => break,
                    Some((b'E', body)) => return Err(server_failure(&body)),
                    Some((b'C', body)) => rows = Some(counted(&body)),
                    Some((b'Z', _)) => return rows.map(Some).ok_or_else(|| unexpected("COPY")),
                    Some((b'c' | b'N' | b'S', _)) => {}
                    Some(_) => return Err(unexpected("COPY")),
                }
            }
            self.wire.fill(self.left == 0).await?;
        }
    }
}

/// The number in `COPY 42`.
fn counted(tag: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(tag);
    text.trim_end_matches('\0').rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
}
