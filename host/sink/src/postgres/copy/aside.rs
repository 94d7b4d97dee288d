//! Tables aside: where the rows of a table wait whose own rows stay, until all of them are there.
//!
//! In one table the rows that were there and the copied ones could not be told apart, so what an attempt that did not end
//! has copied could not be taken back. Here one transaction takes the rows over, drops the table aside and marks the table as
//! done: of each table either nothing is there or everything. The names hold a hash of source and slot, since the copies of
//! several sources into one table meet the same oids.

use std::collections::BTreeSet;

use ::postgres::{Client, ident, literal, table as quoted};
use event::{Column, Relation, ReplicaIdentity, TableName};
use sha2::{Digest, Sha256};

use super::copier::failed;
use super::ledger::{SNAPSHOTS, unsigned};
use super::{Copier, Error, Range, target};
use crate::postgres::catalog::Target;
use crate::postgres::progress;

/// By which columns a copied row takes the place of one that is there, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Those of a unique index of the target.
    columns: Vec<String>,
    /// What a row that is there gets from the copied one.
    set: Vec<String>,
    /// How each key column is compared where the row goes and comes again: UPDATE may not set one of `set`.
    replaces: Option<Vec<String>>,
}

impl Key {
    /// The source's primary key, else its replica identity, where the target has a unique index over the same columns that
    /// ON CONFLICT may name.
    pub(super) fn of(relation: &Relation, target: &Target) -> Option<Self> {
        let names = |is_key: fn(&Column) -> bool| -> BTreeSet<&String> {
            relation.columns.iter().filter(|column| is_key(column)).map(|column| &column.name).collect()
        };
        let mut keys = vec![names(|column| column.primary)];
        if relation.replica_identity == ReplicaIdentity::Index {
            keys.push(names(|column| column.identity));
        }
        let key = keys.iter().find(|key| {
            let is_same = |columns: &[String]| columns.iter().collect::<BTreeSet<_>>() == **key;
            !key.is_empty() && target.unique.iter().any(|it| it.immediate && is_same(&it.columns))
        })?;
        let column = |name: &String| target.column(name).and_then(|at| target.columns.get(at));
        let of_relation = relation.columns.iter().filter_map(|it| column(&it.name));
        // Keys that are equal may still be spelled in two ways: 1.0 and 1.00.
        let set: Vec<_> = of_relation.filter(|it| !key.contains(&it.name) || !it.exact).collect();
        let operators = || key.iter().map(|name| column(name)?.equals.clone()).collect::<Option<_>>();
        let replaces = if set.iter().any(|it| it.always) { Some(operators()?) } else { None };
        let set = set.into_iter().map(|it| it.name.clone()).collect();
        Some(Self { columns: key.iter().map(|name| (*name).clone()).collect(), set, replaces })
    }
}

/// The end of the names of a slot's tables aside.
fn ending(system_id: &str, slot: &str) -> String {
    let hash = Sha256::digest(format!("{system_id} {slot}"));
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Drops the tables aside of each copy that [`super::LEDGER`] holds of a slot, and of none.
pub(in crate::postgres) async fn drop_asides(client: &Client, slot: &str) -> Result<(), ::postgres::Error> {
    const COPIES: &str = "SELECT system_id, slot FROM pgstream.snapshots WHERE slot IN ($1, '')";
    if !progress::exists(client, SNAPSHOTS).await? {
        return Ok(());
    }
    let fault = |error| ::postgres::Error::statement("read the ledger of snapshots", &error);
    for row in client.query(COPIES, &[&slot]).await.map_err(fault)? {
        drop_all(client, row.get(0), row.get(1)).await?;
    }
    Ok(())
}

/// Drops all tables aside of a slot.
pub(super) async fn drop_all(client: &Client, system_id: &str, slot: &str) -> Result<(), ::postgres::Error> {
    const ALL: &str = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('pgstream') \
        AND relkind = 'r' AND relname ~ ('^copy_[0-9]+_' || $1 || '$')";
    let fault = |error| ::postgres::Error::statement("drop tables aside of the target", &error);
    for row in client.query(ALL, &[&ending(system_id, slot)]).await.map_err(fault)? {
        let aside = TableName::new("pgstream", row.get::<_, String>(0));
        client.batch_execute(&format!("DROP TABLE IF EXISTS {}", quoted(&aside))).await.map_err(fault)?;
    }
    Ok(())
}

impl Copier {
    /// Makes the table aside of a table, empty.
    ///
    /// # Errors
    /// A target that does not answer, a role that may not.
    pub async fn make_aside(&self, relation: &Relation) -> Result<TableName, Error> {
        let name = format!("copy_{}_{}", relation.oid, ending(&self.system_id, &self.slot));
        let aside = TableName::new("pgstream", name);
        let columns = list(relation.columns.iter().map(|column| &column.name));
        // A column has the target's type and no constraint. Not unlogged: the ledger would outlive its rows.
        let sql = format!(
            "DROP TABLE IF EXISTS {0}; CREATE TABLE {0} AS SELECT {columns} FROM {1} WITH NO DATA; COMMENT ON TABLE {0} IS {2}",
            quoted(&aside),
            quoted(&relation.name),
            literal(&format!("rows on their way to {}, until all of them are copied", relation.name))
        );
        let made = self.client.batch_execute(&sql).await;
        made.map_err(Error::statement("make a table aside on the target"))?;
        Ok(aside)
    }

    /// Takes the rows of a table over from its table aside, which has all of them. With a `key` they take the place of those
    /// that are there. After an error the transaction is for the caller to abandon.
    ///
    /// # Errors
    /// A target that does not take them, another process that has taken over.
    pub async fn take_over(&mut self, range: &Range, key: Option<&Key>) -> Result<(), Error> {
        const DONE: &str = "UPDATE pgstream.snapshot_tables SET state = 'done', ended_at = now() \
            WHERE system_id = $1 AND slot = $2 AND oid = $3 AND epoch = $4 AND state = 'copying' AND ranges_done = ranges \
            RETURNING rows";
        let fault = |error: tokio_postgres::Error| failed(&range.table, &error);
        let only = target::only(&self.client, &range.table).await?;
        let replaces = key.is_some_and(|key| key.replaces.is_some());
        if replaces && !self.replica && target::takes_others_along(&self.client, &range.table).await? {
            return Err(crate::postgres::Error::Referenced { table: range.table.clone() }.into());
        }
        // Else the statement of a process that is gone would go on to its end, and the next one wait for it. Not
        // every system has it.
        let _ = self.client.batch_execute("SET client_connection_check_interval = '1s'").await;
        self.client.batch_execute("BEGIN").await.map_err(fault)?;
        let of = (&self.system_id, &self.slot, &range.oid, &self.epoch);
        let row = self.client.query_opt(DONE, &[of.0, of.1, of.2, of.3]).await.map_err(fault)?;
        let Some(row) = row else { return Err(Error::Busy { slot: self.slot.clone() }) };
        let sent = unsigned(row.get(0));
        let written = self.client.execute(&statement(range, key, &only), &[]).await.map_err(fault)?;
        // Of keys alone those that are there are not written again.
        if written != sent && key.is_none_or(|key| !key.set.is_empty()) {
            return Err(Error::Count { table: range.table.clone(), sent, written });
        }
        self.client.batch_execute(&format!("DROP TABLE {}", quoted(&range.into))).await.map_err(fault)?;
        fault::here!("aside-taken-over");
        self.client.batch_execute("COMMIT").await.map_err(fault)?;
        fault::here!("aside-committed");
        Ok(())
    }
}

fn list<'n>(names: impl Iterator<Item = &'n String>) -> String {
    names.map(|name| ident(name)).collect::<Vec<_>>().join(", ")
}

/// The statement that takes the rows over. `only`: the table as DELETE names it.
fn statement(range: &Range, key: Option<&Key>, only: &str) -> String {
    let (table, aside) = (quoted(&range.table), quoted(&range.into));
    let columns = list(range.columns.iter());
    let named = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
    let insert = format!("INSERT INTO {table}{named} OVERRIDING SYSTEM VALUE SELECT {columns} FROM {aside}");
    let Some(Key { columns, set, replaces }) = key else { return insert };
    let names = list(columns.iter());
    let Some(operators) = replaces else {
        let sets: Vec<String> = set.iter().map(|name| format!("{0} = EXCLUDED.{0}", ident(name))).collect();
        let action = match sets.as_slice() {
            [] => "DO NOTHING".to_owned(),
            sets => format!("DO UPDATE SET {}", sets.join(", ")),
        };
        return format!("{insert} ON CONFLICT ({names}) {action}");
    };
    let same =
        columns.iter().zip(operators).map(|(name, equals)| format!("t.{0} {equals} a.{0}", ident(name)));
    let same = same.collect::<Vec<_>>().join(" AND ");
    // One statement, at whose end foreign keys find the row again. Counted, so that all are gone before the first one comes.
    format!(
        "WITH gone AS (DELETE FROM {only} AS t USING {aside} AS a WHERE {same} RETURNING 1) \
         {insert} WHERE (SELECT count(*) FROM gone) >= 0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_aside_of_two_sources_have_different_names() {
        assert_eq!(ending("7", "slot").len(), 16);
        assert_ne!(ending("7", "slot"), ending("8", "slot"));
    }

    #[test]
    fn each_kind_of_key_has_its_statement() {
        let range = Range {
            oid: 1,
            table: TableName::new("public", "t"),
            into: TableName::new("pgstream", "copy_1"),
            columns: vec!["id".to_owned(), "a\"b".to_owned()],
            binary: false,
        };
        let key = |set: &[&str], replaces: Option<&str>| Key {
            columns: vec!["id".to_owned()],
            set: set.iter().map(|name| (*name).to_owned()).collect(),
            replaces: replaces.map(|operator| vec![operator.to_owned()]),
        };
        let insert = r#"INSERT INTO "public"."t" ("id", "a""b") OVERRIDING SYSTEM VALUE SELECT "id", "a""b" FROM "pgstream"."copy_1""#;
        assert_eq!(statement(&range, None, ""), insert);
        let nothing = statement(&range, Some(&key(&[], None)), "");
        assert_eq!(nothing, format!(r#"{insert} ON CONFLICT ("id") DO NOTHING"#));
        let update = statement(&range, Some(&key(&["a\"b"], None)), "");
        assert_eq!(update, format!(r#"{insert} ON CONFLICT ("id") DO UPDATE SET "a""b" = EXCLUDED."a""b""#));
        let replace = statement(&range, Some(&key(&["a\"b"], Some("="))), r#"ONLY "public"."t""#);
        assert!(replace.contains(r#"DELETE FROM ONLY "public"."t" AS t"#), "{replace}");
        assert!(replace.contains(r#"WHERE t."id" = a."id""#), "{replace}");
    }
}
