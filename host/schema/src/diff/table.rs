//! The statements of tables and their columns.

use std::collections::BTreeMap;

use super::context::Context;
use super::objects::{comment, rename_among};
use super::{Out, Step, parts};
use crate::document::{Column, Constraint, IdentitySequence, Oid, Table};
use crate::name::{Name, ident, nullable};
use crate::statement::{Effect, Kind};

/// What is known of the rows that a table had.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Values of new columns in them, by attribute number.
    pub(super) missing: &'a BTreeMap<i16, Option<String>>,
    /// There was none: whatever a statement did to make values of one type from those of another, it did to no value.
    pub(super) none: bool,
}

/// Storage by its letter.
fn storage(letter: &str) -> &'static str {
    match letter {
        "p" => "PLAIN",
        "e" => "EXTERNAL",
        "m" => "MAIN",
        "x" => "EXTENDED",
        _ => "DEFAULT",
    }
}

fn compression(letter: Option<&str>) -> &'static str {
    match letter {
        Some("p") => "pglz",
        Some("l") => "lz4",
        _ => "default",
    }
}

fn always(identity: &str) -> &'static str {
    if identity == "a" { "ALWAYS" } else { "BY DEFAULT" }
}

fn collate(column: &Column) -> String {
    column.collation.as_ref().map(|collation| format!(" COLLATE {collation}")).unwrap_or_default()
}

/// What the sequence of an identity column is like, in parentheses. Its name is given where it is new.
fn sequence(schema: &str, it: &IdentitySequence, named: bool) -> String {
    let name = if named { format!("SEQUENCE NAME {} ", Name::new(schema, &it.name)) } else { String::new() };
    format!(
        "({name}INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {}CYCLE)",
        it.increment,
        it.minimum,
        it.maximum,
        it.start,
        it.cache,
        if it.cycle { "" } else { "NO " }
    )
}

/// A column as CREATE TABLE and ADD COLUMN want it.
fn definition(schema: &str, it: &Column) -> String {
    let mut sql = format!("{} {}", ident(&it.name), it.type_name);
    if let Some(letter) = &it.compression {
        sql += &format!(" COMPRESSION {}", compression(Some(letter)));
    }
    sql += &collate(it);
    match (it.generated_kind.as_str(), &it.default) {
        ("", Some(default)) => sql += &format!(" DEFAULT {default}"),
        ("v", Some(expression)) => sql += &format!(" GENERATED ALWAYS AS ({expression}) VIRTUAL"),
        (_, Some(expression)) => sql += &format!(" GENERATED ALWAYS AS ({expression}) STORED"),
        (_, None) => {}
    }
    if !it.identity.is_empty() {
        let options = it.identity_sequence.as_ref().map(|it| sequence(schema, it, true)).unwrap_or_default();
        sql += &format!(" GENERATED {} AS IDENTITY {options}", always(&it.identity));
    }
    if !it.nullable {
        sql += " NOT NULL";
    }
    sql
}

/// A table that is new.
pub(super) fn make(after: &Table, out: &mut Out<'_>) {
    let name = after.full_name();
    let unlogged = if after.unlogged { "UNLOGGED " } else { "" };
    let mut elements: Vec<String> = Vec::new();
    let is_partition = after.partition_of.is_some();
    let typed = after.of_type.is_some();
    if !is_partition && !typed {
        elements
            .extend(after.columns.iter().filter(|it| !it.inherited).map(|it| definition(&after.schema, it)));
    }
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
    for column in &after.columns {
        // What a parent or a type does not tell.
        if column.inherited || typed || is_partition {
            inherited_column(&name, column, out);
        }
        attributes(&name, None, column, out);
    }
    finish(None, after, out);
}

/// What a table may have of its own on a column that comes from elsewhere.
fn inherited_column(table: &Name, it: &Column, out: &mut Out<'_>) {
    let head = format!("ALTER TABLE {table} ALTER COLUMN {}", ident(&it.name));
    if let (Some(default), "") = (&it.default, it.generated_kind.as_str()) {
        out.push_of(Step::Make, Kind::Column, Effect::Alter, format!("{head} SET DEFAULT {default}"));
    }
    if !it.nullable && it.identity.is_empty() {
        out.push_of(Step::Make, Kind::Column, Effect::Alter, format!("{head} SET NOT NULL"));
    }
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
    out.push(Step::DropTables, Effect::Destroy, format!("DROP TABLE {name}"));
}

/// A table that is there.
pub(super) fn change(before: &Table, after: &Table, rows: Rows<'_>, context: &Context, out: &mut Out<'_>) {
    let name = after.full_name();
    let old_name = context.was(&before.schema, &before.name);
    rename_among("TABLE", after.oid, &old_name, &name, context, out);
    partition(&old_name, before, after, out);
    columns(&old_name, before, after, rows, out);
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
    let toast =
        |options: &[String]| options.iter().map(|option| format!("toast.{option}")).collect::<Vec<_>>();
    parts::change_options(
        &format!("TABLE {name}"),
        &toast(&before.toast_options),
        &toast(&after.toast_options),
        out,
    );
    finish(Some((before, &old_name)), after, out);
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

fn columns(old_name: &Name, before: &Table, after: &Table, rows: Rows<'_>, out: &mut Out<'_>) {
    let name = after.full_name();
    let kind = Kind::Column;
    for old in before.columns.iter().filter(|old| !after.columns.iter().any(|new| new.attnum == old.attnum)) {
        if !old.inherited {
            let sql = format!("ALTER TABLE {old_name} DROP COLUMN {}", ident(&old.name));
            out.push_of(Step::DropColumns, kind, Effect::Destroy, sql);
        }
    }
    for new in &after.columns {
        let Some(old) = before.columns.iter().find(|old| old.attnum == new.attnum) else {
            if !new.inherited {
                add(&name, &after.schema, new, rows.missing.get(&new.attnum), out);
            }
            attributes(&name, None, new, out);
            continue;
        };
        if old.name != new.name && !new.inherited {
            rename_column(&name, before, old, new, out);
        }
        column((old_name, &name), &after.schema, (old, new), rows, out);
        attributes(&name, Some(old), new, out);
    }
}

/// A column that gets another name, by way of one of its own where another column has that name still.
fn rename_column(table: &Name, before: &Table, old: &Column, new: &Column, out: &mut Out<'_>) {
    let mut rename = |step, from: &str, to: &str| {
        let sql = format!("ALTER TABLE {table} RENAME COLUMN {} TO {}", ident(from), ident(to));
        out.push_of(step, Kind::Column, Effect::Alter, sql);
    };
    if before.columns.iter().all(|other| other.name != new.name) {
        return rename(Step::Names, &old.name, &new.name);
    }
    let between = format!("pgstream_aside_{}", old.attnum);
    rename(Step::Names, &old.name, &between);
    // After the names of all columns of the table.
    rename(Step::Columns, &between, &new.name);
}

/// A column that is new. What the rows that were there got is told by the source: a default like `now()` would give them
/// another value now.
fn add(table: &Name, schema: &str, new: &Column, missing: Option<&Option<String>>, out: &mut Out<'_>) {
    let kind = Kind::Column;
    let Some(missing) = missing else {
        let sql = format!("ALTER TABLE {table} ADD COLUMN {}", definition(schema, new));
        out.push_of(Step::Make, kind, Effect::Create, sql);
        return;
    };
    let value = format!("{}::{}", nullable(missing.as_deref()), new.type_name);
    let first = Column { default: Some(value), ..new.clone() };
    let sql = format!("ALTER TABLE {table} ADD COLUMN {}", definition(schema, &first));
    out.push_of(Step::Make, kind, Effect::Create, sql);
    let label = ident(&new.name);
    let action =
        new.default.as_ref().map_or("DROP DEFAULT".to_owned(), |default| format!("SET DEFAULT {default}"));
    out.push_of(
        Step::Make,
        kind,
        Effect::Alter,
        format!("ALTER TABLE {table} ALTER COLUMN {label} {action}"),
    );
}

/// A type that was renamed is the same type.
pub(super) fn is_retyped(old: &Column, new: &Column) -> bool {
    (old.type_oid, old.type_modifier, &old.collation) != (new.type_oid, new.type_modifier, &new.collation)
}

/// A column that is there: type, default, generation, identity, NOT NULL, in the order in which they may depend on each
/// other.
fn column(
    (old_table, table): (&Name, &Name),
    schema: &str,
    (old, new): (&Column, &Column),
    rows: Rows<'_>,
    out: &mut Out<'_>,
) {
    let head = format!("ALTER TABLE {table} ALTER COLUMN {}", ident(&new.name));
    let old_head = format!("ALTER TABLE {old_table} ALTER COLUMN {}", ident(&old.name));
    let mut alter = |step, action: String| {
        let head = if step == Step::Loosen { &old_head } else { &head };
        out.push_of(step, Kind::Column, Effect::Alter, format!("{head} {action}"));
    };
    let retyped = is_retyped(old, new) && !new.inherited;
    // The same expression reads differently when something in it was renamed.
    let same_default =
        old.default == new.default || (old.default_oid == new.default_oid && old.default_oid.is_some());
    let (was_generated, is_generated) = (!old.generated_kind.is_empty(), !new.generated_kind.is_empty());
    if was_generated && !is_generated {
        alter(Step::Loosen, "DROP EXPRESSION".to_owned());
    }
    let had_default = old.default.is_some() && !was_generated;
    let has_default = new.default.is_some() && !is_generated;
    // A default may not fit the new type, and what it calls may be gone.
    let moves_default = had_default && (!has_default || (retyped && !same_default));
    if moves_default {
        alter(Step::Loosen, "DROP DEFAULT".to_owned());
    }
    if !old.identity.is_empty() && new.identity.is_empty() {
        alter(Step::Loosen, "DROP IDENTITY".to_owned());
    }
    if retyped {
        // Every value has a text, and of no value it does not matter which.
        let by_text = if rows.none {
            format!(" USING {}::text::{}", ident(&new.name), new.type_name)
        } else {
            String::new()
        };
        alter(Step::Make, format!("TYPE {}{}{by_text}", new.type_name, collate(new)));
    }
    if is_generated && !same_default && was_generated && !new.inherited {
        // Postgres 17 and later.
        alter(Step::Make, format!("SET EXPRESSION AS ({})", new.default.as_deref().unwrap_or_default()));
    }
    if has_default && (!same_default || was_generated || moves_default) {
        alter(Step::Make, format!("SET DEFAULT {}", new.default.as_deref().unwrap_or_default()));
    }
    if old.nullable != new.nullable && new.identity.is_empty() {
        alter(Step::Make, format!("{} NOT NULL", if new.nullable { "DROP" } else { "SET" }));
    }
    if let Some(it) = &new.identity_sequence {
        if old.identity.is_empty() {
            if old.nullable {
                alter(Step::Make, "SET NOT NULL".to_owned());
            }
            alter(
                Step::Make,
                format!("ADD GENERATED {} AS IDENTITY {}", always(&new.identity), sequence(schema, it, true)),
            );
        } else {
            if old.identity != new.identity {
                alter(Step::Make, format!("SET GENERATED {}", always(&new.identity)));
            }
            if let Some(was) = old.identity_sequence.as_ref().filter(|was| *was != it) {
                let settings = [
                    (was.increment != it.increment).then(|| format!("SET INCREMENT BY {}", it.increment)),
                    (was.minimum != it.minimum).then(|| format!("SET MINVALUE {}", it.minimum)),
                    (was.maximum != it.maximum).then(|| format!("SET MAXVALUE {}", it.maximum)),
                    (was.start != it.start).then(|| format!("SET START WITH {}", it.start)),
                    (was.cache != it.cache).then(|| format!("SET CACHE {}", it.cache)),
                    (was.cycle != it.cycle)
                        .then(|| format!("SET {}CYCLE", if it.cycle { "" } else { "NO " })),
                ];
                let settings: Vec<String> = settings.into_iter().flatten().collect();
                if !settings.is_empty() {
                    alter(Step::Make, settings.join(" "));
                }
                if was.name != it.name {
                    let sql = format!(
                        "ALTER SEQUENCE {} RENAME TO {}",
                        Name::new(schema, &was.name),
                        ident(&it.name)
                    );
                    out.push_of(Step::Names, Kind::Sequence, Effect::Alter, sql);
                }
            }
        }
    }
}

/// What a column has that CREATE TABLE does not tell.
fn attributes(table: &Name, old: Option<&Column>, new: &Column, out: &mut Out<'_>) {
    let label = ident(&new.name);
    let mut alter = |action: String| {
        let sql = format!("ALTER TABLE {table} ALTER COLUMN {label} {action}");
        out.push_of(Step::Rest, Kind::Column, Effect::Alter, sql);
    };
    let retyped = old.is_some_and(|old| is_retyped(old, new));
    let old_storage = old.and_then(|old| old.storage.as_deref());
    if old_storage != new.storage.as_deref() || (retyped && new.storage.is_some()) {
        match &new.storage {
            Some(letter) => alter(format!("SET STORAGE {}", storage(letter))),
            // Postgres 16 has DEFAULT; before, a type that takes storage at all is EXTENDED.
            None => alter("SET STORAGE EXTENDED".to_owned()),
        }
    }
    if let Some(old) = old
        && old.compression != new.compression
    {
        alter(format!("SET COMPRESSION {}", compression(new.compression.as_deref())));
    }
    if old.and_then(|old| old.statistics) != new.statistics {
        alter(format!("SET STATISTICS {}", new.statistics.unwrap_or(-1)));
    }
    let old_options = old.map(|old| old.options.as_slice()).unwrap_or_default();
    if old_options != new.options {
        let key = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
        let gone: Vec<String> = old_options
            .iter()
            .map(key)
            .filter(|name| !new.options.iter().any(|it| key(it) == *name))
            .collect();
        if !gone.is_empty() {
            alter(format!("RESET ({})", gone.join(", ")));
        }
        if !new.options.is_empty() {
            alter(format!("SET ({})", parts::options(&new.options)));
        }
    }
    let old_comment = old.and_then(|old| old.metadata.as_deref());
    comment(&format!("COLUMN {table}.{label}"), old_comment, new.metadata.as_deref(), out);
}

/// What hangs on a table.
fn finish(before: Option<(&Table, &Name)>, after: &Table, out: &mut Out<'_>) {
    let (before, old_name) = before.unzip();
    let new_name = after.full_name();
    let names = (old_name.unwrap_or(&new_name), &new_name);
    let texts = (names.0.to_string(), new_name.to_string());
    let name = &texts.1;
    let on = (texts.0.as_str(), texts.1.as_str());
    let empty = Table::empty();
    let old = before.unwrap_or(&empty);
    // Those of a new table were made with it.
    let with_table: Vec<_> = after
        .constraints
        .iter()
        .filter(|it| !it.inherited && it.valid)
        .map(|it| Constraint { comment: None, ..it.clone() })
        .collect();
    let old_constraints = if before.is_some() { &old.constraints } else { &with_table };
    let adopted = parts::constraints(
        names,
        (old_constraints, &old.indexes),
        (&after.constraints, &after.indexes),
        (Step::DropParts, Step::Parts),
        out,
    );
    parts::constraints(
        names,
        (&old.foreign_keys, &[]),
        (&after.foreign_keys, &[]),
        (Step::DropForeignKeys, Step::ForeignKeys),
        out,
    );
    parts::indexes(names, &old.indexes, &after.indexes, &adopted, out);
    parts::statistics(&old.statistics, &after.statistics, out);
    parts::triggers(on, "TABLE", &old.triggers, &after.triggers, out);
    parts::rules(on, &old.rules, &after.rules, out);
    parts::policies(on, &old.policies, &after.policies, out);
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

impl Table {
    /// What a new table is compared with.
    fn empty() -> Self {
        Self {
            oid: Oid(0),
            pgstream_id: None,
            schema: String::new(),
            name: String::new(),
            columns: Vec::new(),
            primary_key_columns: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            foreign_keys: Vec::new(),
            owner: None,
            acl: None,
            comment: None,
            unlogged: false,
            options: Vec::new(),
            toast_options: Vec::new(),
            access_method: None,
            of_type: None,
            replica_identity: None,
            row_security: false,
            force_row_security: false,
            partition_by: None,
            partition_of: None,
            partition_bound: None,
            inherits: Vec::new(),
            triggers: Vec::new(),
            policies: Vec::new(),
            rules: Vec::new(),
            statistics: Vec::new(),
        }
    }
}
