//! The tables of the stream: each version of each, made of the stream's message and of the catalog.

use std::ops::RangeInclusive;
use std::sync::Arc;

use event::{Column, Horizon, Relation, ReplicaIdentity, TableName};
use hashbrown::HashMap;

use crate::wal::catalog::{Attribute, Table};
use crate::wal::decode::{ColumnMessage, RelationMessage};
use crate::wal::{SCHEMA, TableWithoutIdentity, log};

/// One table as the stream has it now.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) relation: Arc<Relation>,
    /// In our own schema: never data.
    pub(crate) ours: bool,
    /// The schema log: its rows say what the schema is from here on.
    pub(crate) is_log: bool,
    /// The stream has described it; until then it is as the catalog had it at the start.
    pub(crate) is_sent: bool,
}

/// The catalog as it was read before the stream began.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    tables: HashMap<u32, Table>,
    /// What was seen at least.
    seen: Horizon,
}

impl Snapshot {
    pub(crate) fn new(tables: Vec<Table>, seen: Horizon) -> Self {
        Self { tables: tables.into_iter().map(|table| (table.oid, table)).collect(), seen }
    }
}

/// The tables by oid.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    known: HashMap<u32, Known>,
    catalog: Snapshot,
    /// Tables as the schema log has told them last.
    told: HashMap<u32, Table>,
    /// Names of types that the stream told, for those that the catalog no longer has.
    types: HashMap<u32, String>,
}

impl Relations {
    /// No tables yet, and what the catalog says of them.
    pub(crate) fn new(catalog: Snapshot) -> Self {
        Self { catalog, ..Self::default() }
    }

    /// The table of a message, if another look into the catalog could tell nothing new. The catalog may be ahead of
    /// the stream but never behind it: so only where it saw the transaction, and for the first version.
    pub(crate) fn of_message(&mut self, message: &RelationMessage<'_>, xid: u32) -> Option<Relation> {
        let fitting = |table: &Table| {
            let context = Context { table: Some(table), before: None };
            unnamed_types(message, context).is_empty().then(|| from_message(message, context, &[]))
        };
        // The log says what the table is at this place; a message that does not fit shows what the log did not see.
        if let Some(relation) = self.told.get(&message.oid).and_then(fitting) {
            return Some(relation);
        }
        let table = self.catalog.tables.remove(&message.oid).filter(|_| self.catalog.seen.sees(xid))?;
        fitting(&table)
    }

    /// The schema log has told what a table is from here on.
    pub(crate) fn tell(&mut self, table: &schema::Table) {
        let relation = table.relation();
        let columns = relation.columns.iter().map(|column| Attribute {
            attnum: column.attnum,
            name: column.name.clone(),
            dropped: false,
            type_oid: column.type_oid,
            type_modifier: table.modifier(column.attnum),
            type_name: column.type_name.clone(),
            nullable: column.nullable,
            primary: column.primary,
            identity: column.identity,
            unique: column.unique,
            generated: column.generated,
            identity_column: column.identity_column,
        });
        let columns = columns.collect();
        let table = Table {
            oid: relation.oid,
            id: table.pgstream_id.clone(),
            name: relation.name,
            identity: relation.replica_identity,
            columns,
        };
        self.catalog.tables.remove(&table.oid);
        self.told.insert(table.oid, table);
    }

    /// The current version of a table.
    pub(crate) fn get(&self, oid: u32) -> Option<&Known> {
        self.known.get(&oid)
    }

    /// Takes over a version that the stream described; the one before stays if nothing differs.
    pub(crate) fn learn(&mut self, relation: Relation) {
        match self.known.get_mut(&relation.oid) {
            Some(known) if *known.relation == relation => known.is_sent = true,
            Some(_) | None => self.insert(Arc::new(relation), true),
        }
    }

    /// Takes over a version of the catalog.
    pub(crate) fn adopt(&mut self, relation: Arc<Relation>) {
        self.insert(relation, false);
    }

    fn insert(&mut self, relation: Arc<Relation>, is_sent: bool) {
        let ours = relation.name.schema == SCHEMA;
        let is_log = ours && relation.name.name == log::TABLE;
        self.known.insert(relation.oid, Known { relation, ours, is_log, is_sent });
    }

    /// Remembers the name of a type.
    pub(crate) fn name_type(&mut self, oid: u32, schema: &str, name: &str) {
        self.types.insert(oid, format!("{schema}.{name}"));
    }

    /// What the stream called a type.
    pub(crate) fn type_name(&self, oid: u32) -> Option<&String> {
        self.types.get(&oid)
    }
}

/// A table whose updates and deletes cannot be sent, if it is one. A table without any column has nothing to find
/// a row by either, and nothing to change.
pub(crate) fn without_identity(relation: &Relation) -> Option<TableWithoutIdentity> {
    let usable = relation.replica_identity == ReplicaIdentity::Full
        || relation.columns.iter().any(|column| column.identity)
        || relation.columns.is_empty();
    (!usable)
        .then(|| TableWithoutIdentity { table: relation.name.clone(), identity: relation.replica_identity })
}

/// A table as a publication sends it, from the catalog alone.
pub(crate) fn from_catalog(table: &Table, published: &[String]) -> Relation {
    let sent = table.columns.iter().filter(|column| !column.dropped && published.contains(&column.name));
    Relation {
        oid: table.oid,
        id: id_of(table),
        name: table.name.clone(),
        replica_identity: table.identity,
        version: 0,
        columns: sent.map(|attribute| column(&id_of(table), attribute)).collect(),
    }
}

/// That for life, else its oid.
fn id_of(table: &Table) -> String {
    table.id.clone().unwrap_or_else(|| table.oid.to_string())
}

fn column(table: &str, attribute: &Attribute) -> Column {
    Column {
        name: attribute.name.clone(),
        id: format!("{table}-{}", attribute.attnum),
        attnum: attribute.attnum,
        type_oid: attribute.type_oid,
        type_name: attribute.type_name.clone(),
        nullable: attribute.nullable,
        primary: attribute.primary,
        identity: attribute.identity,
        unique: attribute.unique,
        generated: attribute.generated,
        identity_column: attribute.identity_column,
    }
}

/// What is known of a table beside its message: what the catalog says, which may be ahead of the stream, and the
/// version before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context<'t> {
    pub(crate) table: Option<&'t Table>,
    pub(crate) before: Option<&'t Relation>,
}

/// The types of the message that the catalog's columns do not name: changed since, or of columns that are gone.
pub(crate) fn unnamed_types(message: &RelationMessage<'_>, context: Context<'_>) -> Vec<(u32, i32)> {
    let attributes = attributes_of(message, context);
    let unnamed = message.columns.iter().zip(attributes).filter(|(column, at)| !names(*at, column));
    unnamed.map(|(column, _)| (column.type_oid, column.type_modifier)).collect()
}

fn names(attribute: Option<&Attribute>, column: &ColumnMessage<'_>) -> bool {
    attribute.is_some_and(|at| (at.type_oid, at.type_modifier) == (column.type_oid, column.type_modifier))
}

/// A table as the stream describes it, with what the catalog adds. The message is the truth of that place in the
/// log; the catalog may be ahead of it. `type_names` are those of [`unnamed_types`], in its order.
pub(crate) fn from_message(
    message: &RelationMessage<'_>,
    context: Context<'_>,
    type_names: &[String],
) -> Relation {
    let mut type_names = type_names.iter();
    let attributes = attributes_of(message, context);
    let id = match context {
        Context { table: Some(table), .. } => id_of(table),
        Context { before: Some(before), .. } => before.id.clone(),
        Context { .. } => message.oid.to_string(),
    };
    let columns = message.columns.iter().zip(attributes).map(|(sent, attribute)| {
        let type_name = match attribute {
            Some(attribute) if names(Some(attribute), sent) => attribute.type_name.clone(),
            _ => type_names.next().cloned().unwrap_or_default(),
        };
        let identity = sent.key || message.identity == ReplicaIdentity::Full;
        // Without a catalog: the key that Postgres sends by default is the primary key, and it is never null.
        let key = sent.key && message.identity == ReplicaIdentity::Default;
        // Of a table that is gone by now, the version before knows what has not changed since.
        let before = context.before.filter(|_| context.table.is_none()).and_then(|before| {
            before.columns.iter().find(|it| it.name == sent.name && it.type_oid == sent.type_oid)
        });
        let attnum = attribute.map(|at| at.attnum).or(before.map(|it| it.attnum)).unwrap_or(0);
        // Of a dropped one the catalog has the number and nothing else.
        let attribute = attribute.filter(|at| !at.dropped);
        Column {
            name: sent.name.to_owned(),
            id: match attnum {
                0 => format!("{id}-{}", sent.name),
                _ => format!("{id}-{attnum}"),
            },
            attnum,
            type_oid: sent.type_oid,
            type_name,
            nullable: attribute.map(|at| at.nullable).or(before.map(|it| it.nullable)).unwrap_or(!key),
            primary: attribute.map(|at| at.primary).or(before.map(|it| it.primary)).unwrap_or(key),
            identity,
            unique: attribute.map(|at| at.unique).or(before.map(|it| it.unique)).unwrap_or(false),
            generated: attribute.and_then(|at| at.generated),
            identity_column: attribute.and_then(|at| at.identity_column),
        }
    });
    Relation {
        oid: message.oid,
        id: id.clone(),
        name: TableName::new(message.schema, message.name),
        replica_identity: message.identity,
        version: 0,
        columns: columns.collect(),
    }
}

/// Which attribute each column of the message is: by its name, else by the version before, else by its place between
/// two that are sure.
///
/// The stream sends columns by attribute number and numbers are never used again, so between two columns that are
/// sure there is room for certain others only. Where the numbers do not tell, the column stays without one.
fn attributes_of<'t>(message: &RelationMessage<'_>, context: Context<'t>) -> Vec<Option<&'t Attribute>> {
    let Some(table) = context.table else { return vec![None; message.columns.len()] };
    let is_sent = |name: &str| message.columns.iter().any(|sent| sent.name == name);
    let of_before = |sent: &ColumnMessage<'_>| {
        let attnum = context.before?.columns.iter().find(|column| column.name == sent.name)?.attnum;
        table.columns.iter().find(|at| at.attnum == attnum)
    };
    let by_name = |sent: &ColumnMessage<'_>| {
        // A name may have gone to another column since; the one that had it is still there, and has to be sent.
        let renamed_since = of_before(sent).filter(|at| !at.dropped && !is_sent(&at.name));
        renamed_since.or_else(|| table.columns.iter().find(|at| !at.dropped && at.name == sent.name))
    };
    let mut found: Vec<Option<&Attribute>> = message.columns.iter().map(by_name).collect();
    for (at, sent) in message.columns.iter().enumerate() {
        let known = of_before(sent).filter(|it| room(&found, at).contains(&it.attnum));
        if let Some(place @ None) = found.get_mut(at) {
            *place = known;
        }
    }
    let is_candidate = |at: &Attribute| match context.before {
        // Numbers only grow: a lower one that was not there then was gone before.
        Some(before) => {
            let last = before.columns.iter().map(|column| column.attnum).max().unwrap_or(0);
            at.attnum > last || before.columns.iter().any(|column| column.attnum == at.attnum)
        }
        None => true,
    };
    let mut from = 0;
    while let Some(start) = found.iter().skip(from).position(Option::is_none).map(|at| at + from) {
        let end = found.iter().skip(start).position(Option::is_some).map_or(found.len(), |at| at + start);
        let room = room(&found, start);
        let between: Vec<&Attribute> = table
            .columns
            .iter()
            .filter(|at| room.contains(&at.attnum) && at.generated.is_none() && !is_sent(&at.name))
            .filter(|at| is_candidate(at))
            .collect();
        if between.len() == end - start {
            for (place, attribute) in found.iter_mut().skip(start).zip(between) {
                *place = Some(attribute);
            }
        }
        from = end;
    }
    found
}

/// The numbers between those of the nearest two columns that are sure.
fn room(found: &[Option<&Attribute>], at: usize) -> RangeInclusive<i16> {
    let low = found.iter().take(at).rev().flatten().next().map_or(0, |at| at.attnum);
    let high = found.iter().skip(at).flatten().next().map_or(i16::MAX, |at| at.attnum);
    low.saturating_add(1)..=high.saturating_sub(1)
}

#[cfg(test)]
mod tests;
