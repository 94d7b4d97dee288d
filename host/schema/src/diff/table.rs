//! The statements of tables.

use std::collections::BTreeMap;

use super::context::Context;
use super::objects::{comment, rename_among};
use super::{Out, Step, attached, column, parts};
use crate::document::{Constraint, Oid, Table};
use crate::name::{Name, ident};
use crate::statement::{Effect, Kind};

/// What is known of the rows that a table had.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Values of new columns in them, by attribute number.
    pub(super) missing: &'a BTreeMap<i16, Option<String>>,
    /// There was none: whatever a statement did to make values of one type from those of another, it did to no value.
    pub(super) none: bool,
    /// What makes values of the new type from those of the old, by attribute number.
    pub(super) using: &'a BTreeMap<i16, String>,
}

/// A table that is new.
pub(super) fn make(after: &Table, context: &Context, out: &mut Out<'_>) {
    let (Some(parent), Some(bound)) = (&after.partition_of, &after.partition_bound) else {
        return make_itself(after, context, out);
    };
    // One of a table that is there gets what Postgres gives it, as on the source.
    if !context.makes(parent.oid) {
        return make_itself(after, context, out);
    }
    // Else its columns may have an order of their own, and its keys and indexes have names of their own.
    make_itself(&alone(after), context, out);
    let sql = format!("ALTER TABLE {} ATTACH PARTITION {} {bound}", parent.full_name(), after.full_name());
    out.push(Step::Attach, Effect::Alter, sql);
}

/// A partition before it was one.
fn alone(partition: &Table) -> Table {
    let mut table = Table { partition_of: None, partition_bound: None, ..partition.clone() };
    for column in &mut table.columns {
        column.inherited = false;
        if let Some(not_null) = &mut column.not_null {
            not_null.inherited = false;
        }
        // A partition's identity is its parent's.
        if column.identity_sequence.is_none() {
            column.identity.clear();
        }
    }
    table.constraints.iter_mut().chain(&mut table.foreign_keys).for_each(|it| it.inherited = false);
    table.indexes.iter_mut().for_each(|it| it.parent = None);
    table
}

fn make_itself(after: &Table, context: &Context, out: &mut Out<'_>) {
    let name = after.full_name();
    let unlogged = if after.unlogged { "UNLOGGED " } else { "" };
    let mut elements: Vec<String> = Vec::new();
    let is_partition = after.partition_of.is_some();
    let typed = after.of_type.is_some();
    if !is_partition && !typed {
        elements
            .extend(after.columns.iter().filter(|it| !it.inherited).map(|it| column::definition(after, it)));
    }
    elements.extend(after.columns.iter().filter_map(|it| column::own_not_null(after, it)));
    for constraint in after.constraints.iter().filter(|it| !it.inherited && it.valid) {
        elements.push(format!("CONSTRAINT {} {}", ident(&constraint.name), constraint.definition));
    }
    let list = if elements.is_empty() && (is_partition || typed) {
        String::new()
    } else {
        format!(" ({})", elements.join(", "))
    };
    let mut sql = format!("CREATE {unlogged}TABLE {name}");
    if let (Some(parent), Some(bound)) = (&after.partition_of, &after.partition_bound) {
        sql += &format!(" PARTITION OF {}{list} {bound}", parent.full_name());
    } else if let Some(of_type) = &after.of_type {
        sql += &format!(" OF {of_type}{list}");
    } else {
        sql += &list;
    }
    if !after.inherits.is_empty() {
        let parents: Vec<String> =
            after.inherits.iter().map(|parent| parent.full_name().to_string()).collect();
        sql += &format!(" INHERITS ({})", parents.join(", "));
    }
    if let Some(key) = &after.partition_by {
        sql += &format!(" PARTITION BY {key}");
    }
    if let Some(method) = &after.access_method {
        sql += &format!(" USING {}", ident(method));
    }
    let toast = after.toast_options.iter().map(|option| format!("toast.{option}"));
    let options: Vec<String> = after.options.iter().cloned().chain(toast).collect();
    if !options.is_empty() {
        sql += &format!(" WITH ({})", parts::options(&options));
    }
    out.push(Step::Make, Effect::Create, sql);
    for it in &after.columns {
        column::finish(after, it, context, out);
    }
    finish(None, after, context, out);
}

/// A table that is gone, and what goes with it.
pub(super) fn remove(before: &Table, context: &Context, out: &mut Out<'_>) {
    let name = context.was(&before.schema, &before.name);
    // Two tables may refer to each other.
    for key in before.foreign_keys.iter().filter(|key| !key.inherited) {
        if key.references.is_some_and(|oid| context.removed.contains(&oid) && oid != before.oid) {
            let sql = format!("ALTER TABLE {name} DROP CONSTRAINT {}", ident(&key.name));
            out.push_of(Step::DropForeignKeys, Kind::Constraint, Effect::Remove, sql);
        }
    }
    // And rules and policies to tables and functions that go with it.
    if context.removed.len() > 1 {
        let on = name.to_string();
        attached::rules((&on, &on), &before.rules, &[], out);
        attached::policies((&on, &on), &before.policies, &[], out);
    }
    out.push(Step::DropTables, Effect::Destroy, format!("DROP TABLE {name}"));
}

/// A table that is there.
pub(super) fn change(before: &Table, after: &Table, rows: Rows<'_>, context: &Context, out: &mut Out<'_>) {
    let name = after.full_name();
    let old_name = context.was(&before.schema, &before.name);
    rename_among("TABLE", after.oid, &old_name, &name, context, out);
    partition(&old_name, before, after, out);
    column::change_all((&old_name, &name), (before, after), rows, context, out);
    if before.unlogged != after.unlogged {
        let logged = if after.unlogged { "UNLOGGED" } else { "LOGGED" };
        out.push(Step::Make, Effect::Alter, format!("ALTER TABLE {name} SET {logged}"));
    }
    if before.access_method != after.access_method {
        let method = ident(after.access_method.as_deref().unwrap_or("heap"));
        out.push(Step::Make, Effect::Alter, format!("ALTER TABLE {name} SET ACCESS METHOD {method}"));
    }
    match (&before.of_type, &after.of_type) {
        (Some(_), None) => out.push(Step::Make, Effect::Alter, format!("ALTER TABLE {name} NOT OF")),
        (None, Some(of_type)) => {
            out.push(Step::Make, Effect::Alter, format!("ALTER TABLE {name} OF {of_type}"))
        }
        _ => {}
    }
    parts::change_options(&format!("TABLE {name}"), &before.options, &after.options, out);
    parts::change_toast_options(&format!("TABLE {name}"), &before.toast_options, &after.toast_options, out);
    finish(Some((before, &old_name)), after, context, out);
}

/// Parents come and go.
fn partition(old_name: &Name, before: &Table, after: &Table, out: &mut Out<'_>) {
    let name = after.full_name();
    let bound = |table: &Table| table.partition_bound.clone().unwrap_or_default();
    let same = before.partition_of.as_ref().map(|it| it.oid) == after.partition_of.as_ref().map(|it| it.oid)
        && bound(before) == bound(after);
    if !same {
        if let Some(parent) = &before.partition_of {
            let sql = format!("ALTER TABLE {} DETACH PARTITION {old_name}", parent.full_name());
            out.push(Step::Detach, Effect::Alter, sql);
        }
        if let Some(parent) = &after.partition_of {
            let sql = format!("ALTER TABLE {} ATTACH PARTITION {name} {}", parent.full_name(), bound(after));
            out.push(Step::Parts, Effect::Alter, sql);
        }
    }
    let has = |table: &Table, oid: Oid| table.inherits.iter().any(|parent| parent.oid == oid);
    for parent in before.inherits.iter().filter(|parent| !has(after, parent.oid)) {
        out.push(
            Step::Detach,
            Effect::Alter,
            format!("ALTER TABLE {old_name} NO INHERIT {}", parent.full_name()),
        );
    }
    for parent in after.inherits.iter().filter(|parent| !has(before, parent.oid)) {
        out.push(Step::Parts, Effect::Alter, format!("ALTER TABLE {name} INHERIT {}", parent.full_name()));
    }
}

/// What hangs on a table.
fn finish(before: Option<(&Table, &Name)>, after: &Table, context: &Context, out: &mut Out<'_>) {
    let (before, old_name) = before.unzip();
    let new_name = after.full_name();
    let names = (old_name.unwrap_or(&new_name), &new_name);
    let texts = (names.0.to_string(), new_name.to_string());
    let name = &texts.1;
    let on = (texts.0.as_str(), texts.1.as_str());
    let empty = Table::default();
    let old = before.unwrap_or(&empty);
    // Those of a new table were made with it.
    let with_table: Vec<_> = after
        .constraints
        .iter()
        .filter(|it| !it.inherited && it.valid)
        .map(|it| Constraint { comment: None, ..it.clone() })
        .collect();
    let old_constraints = if before.is_some() { &old.constraints } else { &with_table };
    let names_of_parts = parts::Names {
        old: names.0,
        new: names.1,
        only: context.only(after.oid),
        heir: !old.inherits.is_empty(),
    };
    let adopted = parts::constraints(
        &names_of_parts,
        (old_constraints, &old.indexes),
        (&after.constraints, &after.indexes),
        (Step::DropParts, Step::Parts),
        out,
    );
    parts::constraints(
        &names_of_parts,
        (&old.foreign_keys, &[]),
        (&after.foreign_keys, &[]),
        (Step::DropForeignKeys, Step::ForeignKeys),
        out,
    );
    parts::indexes(names, &old.indexes, &after.indexes, &adopted, out);
    attached::statistics(&old.statistics, &after.statistics, out);
    attached::triggers(on, "TABLE", &old.triggers, &after.triggers, context.only(after.oid), out);
    attached::parent_triggers(name, &old.parent_triggers, &after.parent_triggers, out);
    attached::rules(on, &old.rules, &after.rules, out);
    attached::policies(on, &old.policies, &after.policies, out);
    if old.row_security != after.row_security {
        let action = if after.row_security { "ENABLE" } else { "DISABLE" };
        out.push(Step::Rest, Effect::Alter, format!("ALTER TABLE {name} {action} ROW LEVEL SECURITY"));
    }
    if old.force_row_security != after.force_row_security {
        let action = if after.force_row_security { "FORCE" } else { "NO FORCE" };
        out.push(Step::Rest, Effect::Alter, format!("ALTER TABLE {name} {action} ROW LEVEL SECURITY"));
    }
    let by_index =
        |table: &Table| table.indexes.iter().find(|index| index.replica_identity).map(|index| index.oid);
    if old.replica_identity != after.replica_identity || by_index(old) != by_index(after) {
        let index = after.indexes.iter().find(|index| index.replica_identity);
        let identity = match (after.replica_identity.as_deref(), index) {
            (Some("f"), _) => "FULL".to_owned(),
            (Some("n"), _) => "NOTHING".to_owned(),
            (Some("i"), Some(index)) => format!("USING INDEX {}", ident(&index.name)),
            // The index is gone, and with it the identity.
            (Some("i"), None) => "NOTHING".to_owned(),
            _ => "DEFAULT".to_owned(),
        };
        out.push(Step::Rest, Effect::Alter, format!("ALTER TABLE {name} REPLICA IDENTITY {identity}"));
    }
    comment(&format!("TABLE {name}"), old.comment.as_deref(), after.comment.as_deref(), out);
}
