//! Sequences: where they are. No stream has them.

use event::TableName;
use postgres::Client;

use super::Error;

/// A sequence and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its name.
    pub name: TableName,
    /// The last value that it gave.
    pub last_value: i64,
}

/// Those of the user that have given a value.
pub(crate) async fn read(client: &Client) -> Result<Vec<Sequence>, Error> {
    const SEQUENCES: &str = "SELECT schemaname::text, sequencename::text, last_value FROM pg_sequences \
        WHERE schemaname <> 'pgstream' AND last_value IS NOT NULL";
    let fault = Error::statement("read the sequences of the source");
    let rows = client.query(SEQUENCES, &[]).await.map_err(fault)?;
    let sequences = rows.iter().map(|row| Sequence {
        name: TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
        last_value: row.get(2),
    });
    Ok(sequences.collect())
}
