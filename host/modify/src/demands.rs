//! What a plugin asks to see, against what a table and its old rows have.

use event::{Relation, ReplicaIdentity};
use plugin::{ColumnType, Read};

use crate::Problem;

/// Whether the table has the columns, and in those shapes.
pub(crate) fn check_reads(relation: &Relation, reads: &[Read]) -> Result<(), String> {
    // Each column in each shape is more than anyone needs; each read costs memory with every batch.
    let most = relation.columns.len() * 5;
    if reads.len() > most {
        return Err(format!("reads {} columns of a table with {}", reads.len(), relation.columns.len()));
    }
    for read in reads {
        let Some(column) = relation.columns.get(read.at) else {
            return Err(format!("reads column {}, which the table does not have", read.at));
        };
        if !ColumnType::of(column).has(read.shape) {
            let Read { shape, .. } = read;
            return Err(format!("reads `{}` as {shape}, which {} has not", column.name, column.type_name));
        }
    }
    Ok(())
}

/// Whether old rows hold these columns: all do under identity full, else those of the identity. A table without any
/// identity has inserts only.
pub(crate) fn old_row_has(
    relation: &Relation,
    reads: &[Read],
    place: &str,
    plugin: &str,
) -> Result<(), Problem> {
    if relation.replica_identity == ReplicaIdentity::Full || relation.identity_columns().next().is_none() {
        return Ok(());
    }
    let columns = reads.iter().filter_map(|read| relation.columns.get(read.at));
    let mut missing: Vec<&str> =
        columns.filter(|column| !column.identity).map(|column| column.name.as_str()).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Problem::OldRowIncomplete {
        place: place.into(),
        plugin: plugin.into(),
        table: relation.name.to_string(),
        columns: missing.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", "),
    })
}
