//! A change of a table as the stream shows it where nothing else tells: columns that come, go, or get another name or type.

use event::Relation;
use serde_json::{Value, json};

/// What leads from one version of a table to the next, in the form of the log. `None` if the columns are the same.
///
/// What the stream does not tell is left as it is: defaults, constraints, indexes, and whether a new column may be null.
#[must_use]
pub fn seen(before: &Relation, after: &Relation) -> Option<String> {
    let shape = |relation: &Relation| -> Vec<(i16, String, u32, String)> {
        let columns = relation.columns.iter();
        columns.map(|it| (it.attnum, it.name.clone(), it.type_oid, it.type_name.clone())).collect()
    };
    // A column whose number is not known cannot be told from another.
    let is_known = |relation: &Relation| relation.columns.iter().all(|column| column.attnum > 0);
    if (shape(before) == shape(after) && before.name == after.name) || !is_known(before) || !is_known(after) {
        return None;
    }
    let change = json!([{
        "oid": after.oid.to_string(),
        "kind": "table",
        "schema": after.name.schema,
        "name": after.name.name,
        "before": document(before),
        "after": document(after),
    }]);
    Some(change.to_string())
}

fn document(relation: &Relation) -> Value {
    let columns = relation.columns.iter().map(|column| {
        json!({
            "attnum": column.attnum,
            "name": column.name,
            "type": column.type_name,
            "type_oid": column.type_oid.to_string(),
            // Length and precision are in the name of the type alone.
            "type_modifier": modifier(&column.type_name),
            "nullable": true,
        })
    });
    json!({
        "oid": relation.oid.to_string(),
        "schema": relation.name.schema,
        "name": relation.name.name,
        "columns": columns.collect::<Vec<_>>(),
    })
}

/// A number that differs where the text in parentheses does.
fn modifier(type_name: &str) -> i32 {
    let inside = type_name.split_once('(').map_or("", |(_, rest)| rest);
    inside.bytes().fold(-1_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
}

#[cfg(test)]
mod tests {
    use event::{Column, ReplicaIdentity, TableName};

    use super::*;
    use crate::{Change, statements};

    fn relation(name: &str, columns: &[(i16, &str, u32, &str)]) -> Relation {
        let columns = columns.iter().map(|(attnum, name, type_oid, type_name)| Column {
            name: (*name).to_owned(),
            id: format!("1-{attnum}"),
            attnum: *attnum,
            type_oid: *type_oid,
            type_name: (*type_name).to_owned(),
            nullable: false,
            primary: false,
            identity: false,
            unique: false,
            generated: None,
            identity_column: None,
        });
        Relation {
            oid: 1,
            id: "1".to_owned(),
            name: TableName::new("public", name),
            replica_identity: ReplicaIdentity::Default,
            version: 0,
            columns: columns.collect(),
        }
    }

    #[test]
    fn columns_that_come_go_and_change_give_their_statements() {
        let before = relation(
            "t",
            &[(1, "id", 23, "integer"), (2, "v", 1043, "character varying(10)"), (3, "x", 25, "text")],
        );
        let after = relation(
            "t",
            &[(1, "id", 20, "bigint"), (2, "w", 1043, "character varying(20)"), (4, "y", 25, "text")],
        );
        let changes = Change::read_all(&seen(&before, &after).unwrap()).unwrap();
        let sql: Vec<String> = statements(&changes).iter().map(ToString::to_string).collect();
        assert_eq!(
            sql,
            [
                r#"ALTER TABLE "public"."t" DROP COLUMN "x""#,
                r#"ALTER TABLE "public"."t" RENAME COLUMN "v" TO "w""#,
                r#"ALTER TABLE "public"."t" ALTER COLUMN "id" TYPE bigint"#,
                r#"ALTER TABLE "public"."t" ALTER COLUMN "w" TYPE character varying(20)"#,
                r#"ALTER TABLE "public"."t" ADD COLUMN "y" text"#,
            ]
        );
        assert_eq!(seen(&after, &after), None);
    }

    #[test]
    fn a_table_that_was_renamed_is_renamed() {
        let columns = [(1, "id", 23, "integer")];
        let changes =
            Change::read_all(&seen(&relation("t", &columns), &relation("u", &columns)).unwrap()).unwrap();
        let sql: Vec<String> = statements(&changes).iter().map(ToString::to_string).collect();
        assert_eq!(sql, [r#"ALTER TABLE "public"."t" RENAME TO "u""#]);
    }
}
