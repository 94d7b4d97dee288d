//! Which columns identify a row of a table.
//!
//! A delete, and an update that changes its key, carry the old row's replica identity and nothing else: an identity
//! of other columns could not be read from them. So the primary key, and a unique column, count only where the
//! replica identity covers them. A table with REPLICA IDENTITY NOTHING sends no old rows, and there they always do.

use crate::contract::exports::pgstream::plugin::injector::Identity;
use crate::contract::pgstream::plugin::data::ColumnInfo;

/// Picks the identity of a table with these columns.
pub(crate) fn of(columns: &[ColumnInfo]) -> Identity {
    let sends_old_rows = columns.iter().any(|column| column.identity);
    let known = |column: &ColumnInfo| !sends_old_rows || column.identity;

    let primary = indices(columns, |column| column.primary);
    if !primary.is_empty() && columns.iter().all(|column| !column.primary || known(column)) {
        return Identity::Columns(primary);
    }

    // Columns are in the order of their attnum: the first is the lowest, and stays it when columns are added.
    let unique =
        indices(columns, |column| column.unique && !column.nullable && !column.generated && known(column));
    if let Some(&first) = unique.first() {
        return Identity::Columns(vec![first]);
    }

    // An index of several columns, or the whole row. Generated columns follow from the others and may not be sent.
    let replica = indices(columns, |column| column.identity && !column.generated);
    if replica.is_empty() { Identity::None } else { Identity::Columns(replica) }
}

fn indices(columns: &[ColumnInfo], wanted: impl Fn(&ColumnInfo) -> bool) -> Vec<u16> {
    (0u16..).zip(columns).filter(|(_, column)| wanted(column)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table from marks: p primary, i replica identity, u unique of its own, n nullable, g generated.
    fn identity(columns: &[&str]) -> Option<Vec<u16>> {
        let columns: Vec<_> = columns
            .iter()
            .map(|marks| ColumnInfo {
                name: "c".into(),
                id: "1-1".into(),
                type_name: "text".into(),
                type_oid: 25,
                nullable: marks.contains('n'),
                primary: marks.contains('p'),
                identity: marks.contains('i'),
                unique: marks.contains('u'),
                generated: marks.contains('g'),
            })
            .collect();
        match of(&columns) {
            Identity::Columns(at) => Some(at),
            Identity::None => None,
            Identity::Computed(_) => panic!("nothing is computed"),
        }
    }

    #[test]
    fn the_primary_key_comes_first() {
        assert_eq!(identity(&["u", "pi", "n", "pi"]), Some(vec![1, 3]));
        assert_eq!(identity(&["pi", "ui", "i"]), Some(vec![0]), "identity full");
    }

    #[test]
    fn without_one_the_lowest_unique_column_that_is_never_null() {
        assert_eq!(identity(&["i", "iun", "iu", "iu"]), Some(vec![2]));
        assert_eq!(identity(&["", "u", "u"]), Some(vec![1]), "identity nothing: no old rows come");
        assert_eq!(identity(&["i", "iug", "iu"]), Some(vec![2]), "a generated column may not be sent");
    }

    #[test]
    fn a_key_that_old_rows_do_not_carry_is_passed_over() {
        assert_eq!(identity(&["p", "i", "i"]), Some(vec![1, 2]), "identity by an index of two columns");
        assert_eq!(identity(&["p", "iu"]), Some(vec![1]), "identity by an index of one");
        assert_eq!(identity(&["u", "i", "i"]), Some(vec![1, 2]));
    }

    #[test]
    fn else_the_replica_identity_else_none() {
        assert_eq!(identity(&["in", "in", "ing"]), Some(vec![0, 1]), "identity full is the whole row");
        assert_eq!(identity(&["p", ""]), Some(vec![0]), "identity nothing with a primary key");
        assert_eq!(identity(&["un", ""]), None);
        assert_eq!(identity(&[]), None);
    }
}
