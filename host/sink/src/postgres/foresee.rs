//! What changes of the schema would do on the target: all that the stream does, in a transaction that is rolled back.

use std::collections::HashSet;

use ::postgres::connect;
use event::{SchemaEntry, TableName};

use super::define::{Fate, define};
use super::error::lost;
use super::progress::APPLICATION;
use super::writer::{SETTINGS, become_replica};
use super::{Error, Options};

/// What one statement of the source would do.
#[derive(Debug)]
pub struct Foreseen {
    /// The statements for the target, and what would become of each.
    pub statements: Vec<(schema::Statement, Fate)>,
    /// Tables that would be emptied and copied again.
    pub copied: Vec<TableName>,
    /// Why the stream would stop here.
    pub stop: Option<Error>,
}

/// Finds out what the entries of some statements would do, up to the first that would stop the stream. Tables of the target are
/// locked for as long as that takes.
///
/// # Errors
/// A target that cannot be reached.
pub async fn foresee(options: &Options, statements: &[Vec<SchemaEntry>]) -> Result<Vec<Foreseen>, Error> {
    let client = connect(&options.url, APPLICATION, &SETTINGS).await?;
    let replica = options.disable_triggers && become_replica(&client).await?;
    client.batch_execute("BEGIN").await.map_err(|error| lost(&error))?;
    let mut foreseen = Vec::new();
    for entries in statements {
        match define(&client, entries, &options.ddl, replica, &HashSet::new()).await {
            Ok(done) => foreseen.push(Foreseen {
                statements: done.statements,
                copied: done.anew.into_iter().map(|(_, table)| table).collect(),
                stop: None,
            }),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                foreseen.push(Foreseen { statements: Vec::new(), copied: Vec::new(), stop: Some(error) });
                break;
            }
        }
    }
    // A session that ends takes the transaction with it anyway.
    let _ = client.batch_execute("ROLLBACK").await;
    Ok(foreseen)
}
