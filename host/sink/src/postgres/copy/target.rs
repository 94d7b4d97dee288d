//! What the target has of the tables that are to be copied, before the first row of them comes.

use std::sync::Arc;

use ::postgres::{Client, literal, table as quoted};
use event::{Relation, TableName};

use super::{Error, Key};
use crate::postgres::Problem;
use crate::postgres::catalog::{self, Queries, Target};

/// What becomes of rows that a target table has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Nothing is copied.
    #[default]
    Refuse,
    /// They go.
    Truncate,
    /// They stay beside the copied ones.
    Append,
    /// They stay, unless a copied row has the same key.
    Upsert,
}

/// How a table goes into the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Every column has the same type on both sides, so rows may stay in binary form.
    pub same_types: bool,
    /// It has rows.
    pub has_rows: bool,
    /// What tells that a copied row is one that is there.
    pub key: Option<Key>,
}

impl Existing {
    /// The rights that a copy needs on a table: it is looked into, too.
    fn rights(self) -> &'static [&'static str] {
        match self {
            Self::Refuse | Self::Truncate | Self::Append => &["SELECT", "INSERT"],
            Self::Upsert => &["SELECT", "INSERT", "UPDATE"],
        }
    }
}

/// Looks at the tables of the target, in the order of `relations`.
///
/// # Errors
/// A target that does not answer, and all that it lacks.
pub async fn check(
    client: &Client,
    user: &str,
    relations: &[Arc<Relation>],
    existing: Existing,
) -> Result<Vec<Plan>, Error> {
    let queries = Queries::prepare(client).await?;
    let names: Vec<TableName> = relations.iter().map(|relation| relation.name.clone()).collect();
    let targets = catalog::read(client, &queries, &names).await?;
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    for relation in relations {
        let Some(target) = targets.iter().find(|target| target.name == relation.name) else {
            problems.push(Problem::Table { table: relation.name.clone() });
            continue;
        };
        problems.extend(missing(relation, target, user, existing));
        if !problems.is_empty() {
            continue;
        }
        plans.push(Plan {
            same_types: same_types(relation, target),
            has_rows: has_rows(client, &relation.name).await?,
            key: Key::of(relation, target),
        });
    }
    if problems.is_empty() { Ok(plans) } else { Err(super::super::Error::Target { problems }.into()) }
}

fn missing(relation: &Relation, target: &Target, user: &str, existing: Existing) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        relation.columns.iter().filter_map(|column| target.problem(column)).collect();
    let lacking = existing.rights().iter().filter(|right| target.lacking.iter().any(|it| it == *right));
    let rights = lacking.copied().collect::<Vec<_>>().join(", ");
    if !rights.is_empty() {
        problems.push(Problem::Rights { table: target.name.clone(), rights, role: user.to_owned() });
    }
    problems
}

fn same_types(relation: &Relation, target: &Target) -> bool {
    relation.columns.iter().all(|column| {
        let there = target.column(&column.name).and_then(|at| target.columns.get(at));
        there.is_some_and(|there| there.oid == column.type_oid)
    })
}

async fn is_partitioned(client: &Client, table: &TableName) -> Result<bool, ::postgres::Error> {
    let sql = format!("SELECT relkind = 'p' FROM pg_class WHERE oid = {}::regclass", literal(&quoted(table)));
    let row = client.query_one(&sql, &[]).await;
    let fault = |error| ::postgres::Error::statement("look at a table of the target", &error);
    Ok(row.map_err(fault)?.get(0))
}

/// Of its own: those of a table that inherits from it are another's.
pub(super) async fn has_rows(client: &Client, table: &TableName) -> Result<bool, Error> {
    let row =
        client.query_one(&format!("SELECT EXISTS (SELECT FROM {})", only(client, table).await?), &[]).await;
    Ok(row.map_err(Error::statement("look for rows in a table of the target"))?.get(0))
}

pub(super) async fn only(client: &Client, table: &TableName) -> Result<String, ::postgres::Error> {
    let only = if is_partitioned(client, table).await? { "" } else { "ONLY " };
    Ok(format!("{only}{}", quoted(table)))
}

/// Whether rows of other tables go, or change, with those of this one.
pub(super) async fn takes_others_along(
    client: &Client,
    table: &TableName,
) -> Result<bool, ::postgres::Error> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_constraint WHERE confrelid = {}::regclass AND contype = 'f' \
                        AND confdeltype IN ('c', 'n', 'd') AND conrelid <> confrelid)",
        literal(&quoted(table))
    );
    let row = client.query_one(&sql, &[]).await;
    let fault = |error| ::postgres::Error::statement("look at a table of the target", &error);
    Ok(row.map_err(fault)?.get(0))
}

/// Takes all rows out of a table. `replica`: foreign keys are off in this session.
pub(super) async fn empty(client: &Client, table: &TableName, replica: bool) -> Result<(), Error> {
    let only = only(client, table).await?;
    let Err(error) = client.batch_execute(&format!("TRUNCATE {only}")).await else { return Ok(()) };
    // Referenced by a foreign key, or not ours to truncate.
    let other_way = error.code().is_some_and(|code| matches!(code.code(), "0A000" | "42501"));
    if other_way {
        return Ok(delete(client, table, replica).await?);
    }
    Err(Error::statement("empty a table of the target")(error))
}

/// The same, row by row.
pub(in crate::postgres) async fn delete(
    client: &Client,
    table: &TableName,
    replica: bool,
) -> Result<(), super::super::Error> {
    if !replica && takes_others_along(client, table).await? {
        return Err(super::super::Error::Referenced { table: table.clone() });
    }
    let only = only(client, table).await?;
    let delete = client.batch_execute(&format!("DELETE FROM {only}")).await;
    Ok(delete.map_err(|error| ::postgres::Error::statement("empty a table of the target", &error))?)
}

/// Sets a sequence of the target; false if it has none of that name.
///
/// # Errors
/// A target that does not answer, or a role that may not.
pub async fn set_sequence(client: &Client, name: &TableName, last_value: i64) -> Result<bool, Error> {
    const SET: &str =
        "SELECT setval(to_regclass($1), $2) FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'S'";
    let set = client.query_opt(SET, &[&quoted(name), &last_value]).await;
    Ok(set.map_err(Error::statement("set a sequence of the target"))?.is_some())
}
