//! The statements of a table's columns.

use super::context::Context;
use super::objects::comment;
use super::table::Rows;
use super::{Out, Step, parts, sequence};
use crate::document::{Column, NotNull, Stored, Table};
use crate::name::{Name, ident, nullable};
use crate::statement::{Effect, Kind};

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

/// A column as CREATE TABLE and ADD COLUMN want it.
pub(super) fn definition(table: &Table, it: &Column) -> String {
    let mut sql = format!("{} {}", ident(&it.name), it.type_name);
    if let Some(letter) = &it.stored.compression {
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
        let options = it.identity_sequence.as_ref().map(|it| sequence::of_identity(&table.schema, it));
        sql += &format!(" GENERATED {} AS IDENTITY {}", always(&it.identity), options.unwrap_or_default());
    }
    // One that not all rows were checked for comes when the column is there.
    if !it.nullable && it.not_null.as_ref().is_none_or(|not_null| not_null.valid) {
        if let Some(named) = named_not_null(table, it) {
            sql += &format!(" CONSTRAINT {}", ident(&named.name));
        }
        sql += " NOT NULL";
        if it.not_null.as_ref().is_some_and(|not_null| not_null.no_inherit) {
            sql += " NO INHERIT";
        }
    }
    sql
}

/// NOT NULL as a constraint whose name is not the one that Postgres gives. A target before 18 knows no names.
fn named_not_null<'c>(table: &Table, it: &'c Column) -> Option<&'c NotNull> {
    let given = format!("{}_{}_not_null", table.name, it.name);
    it.not_null.as_ref().filter(|not_null| not_null.name != given)
}

/// NOT NULL that a table has of its own on a column that comes from elsewhere, as an element of CREATE TABLE: later it could not
/// have a name of its own.
pub(super) fn own_not_null(table: &Table, it: &Column) -> Option<String> {
    if !comes_from_elsewhere(table, it) {
        return None;
    }
    let named = named_not_null(table, it).filter(|it| it.valid && !it.inherited)?;
    Some(format!("CONSTRAINT {} NOT NULL {}", ident(&named.name), ident(&it.name)))
}

/// From a parent, the partitioned table or the type.
fn comes_from_elsewhere(table: &Table, it: &Column) -> bool {
    it.inherited || table.partition_of.is_some() || table.of_type.is_some()
}

/// What the definition of a column of a new table does not tell.
pub(super) fn finish(table: &Table, it: &Column, context: &Context, out: &mut Out<'_>) {
    let name = table.full_name();
    if comes_from_elsewhere(table, it) {
        let head = format!("ALTER TABLE {name} ALTER COLUMN {}", ident(&it.name));
        if let (Some(default), "") = (&it.default, it.generated_kind.as_str()) {
            out.push_of(Step::Make, Kind::Column, Effect::Alter, format!("{head} SET DEFAULT {default}"));
        }
        if it.default.is_none()
            && table.inherits.iter().any(|parent| context.makes_default(parent.oid, &it.name))
        {
            out.push_of(Step::Make, Kind::Column, Effect::Alter, format!("{head} DROP DEFAULT"));
        }
        let is_told = own_not_null(table, it).is_some()
            || it.not_null.as_ref().is_some_and(|not_null| not_null.inherited || !not_null.valid);
        if !it.nullable && it.identity.is_empty() && !is_told {
            out.push_of(Step::Make, Kind::Column, Effect::Alter, format!("{head} SET NOT NULL"));
        }
    }
    if it.not_null.as_ref().is_some_and(|not_null| !not_null.valid && !not_null.inherited) {
        set_not_null(table, it, "", out);
    }
    attributes(&name, None, it, out);
}

/// The columns of a table that stays.
pub(super) fn change_all(
    (old_name, name): (&Name, &Name),
    (before, after): (&Table, &Table),
    rows: Rows<'_>,
    context: &Context,
    out: &mut Out<'_>,
) {
    // What is done to a type is done to its tables.
    let typed = before.of_type.is_some() && after.of_type.is_some();
    for old in before.columns.iter().filter(|old| !after.columns.iter().any(|new| new.attnum == old.attnum)) {
        // A partition loses it with its parent; an heir keeps it unless it is told otherwise.
        if !typed && (!old.inherited || !before.inherits.is_empty()) {
            let (only, label) = (context.only(after.oid), ident(&old.name));
            let sql = format!("ALTER TABLE {only}{old_name} DROP COLUMN {label}");
            out.push_of(Step::DropColumns, Kind::Column, Effect::Destroy, sql);
        }
    }
    for new in &after.columns {
        let Some(old) = before.columns.iter().find(|old| old.attnum == new.attnum) else {
            if !new.inherited && !typed {
                add(after, new, rows.missing.get(&new.attnum), out);
            }
            attributes(name, None, new, out);
            continue;
        };
        if old.name != new.name && !new.inherited && !typed {
            rename_column(name, before, old, new, out);
        }
        change((old_name, name), (before, after), (old, new), rows, context, out);
        attributes(name, Some(old), new, out);
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
fn add(after: &Table, new: &Column, missing: Option<&Option<String>>, out: &mut Out<'_>) {
    let kind = Kind::Column;
    let table = after.full_name();
    let Some(missing) = missing else {
        let sql = format!("ALTER TABLE {table} ADD COLUMN {}", definition(after, new));
        out.push_of(Step::Make, kind, Effect::Create, sql);
        return finish_added(after, new, out);
    };
    let value = format!("{}::{}", nullable(missing.as_deref()), new.type_name);
    let first = Column { default: Some(value), ..new.clone() };
    let sql = format!("ALTER TABLE {table} ADD COLUMN {}", definition(after, &first));
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
    finish_added(after, new, out);
}

fn finish_added(after: &Table, new: &Column, out: &mut Out<'_>) {
    if new.not_null.as_ref().is_some_and(|not_null| !not_null.valid) {
        set_not_null(after, new, "", out);
    }
}

/// A type that was renamed is the same type.
pub(super) fn is_retyped(old: &Column, new: &Column) -> bool {
    (old.type_oid, old.type_modifier, &old.collation) != (new.type_oid, new.type_modifier, &new.collation)
}

/// A column that is there: type, default, generation, identity, NOT NULL, in the order in which they may depend on each
/// other.
fn change(
    (old_table, table): (&Name, &Name),
    (before, after): (&Table, &Table),
    (old, new): (&Column, &Column),
    rows: Rows<'_>,
    context: &Context,
    out: &mut Out<'_>,
) {
    let only = context.only(after.oid);
    let head = format!("ALTER TABLE {table} ALTER COLUMN {}", ident(&new.name));
    let head_alone = format!("ALTER TABLE {only}{table} ALTER COLUMN {}", ident(&new.name));
    let old_head = format!("ALTER TABLE {old_table} ALTER COLUMN {}", ident(&old.name));
    let old_head_alone = format!("ALTER TABLE {only}{old_table} ALTER COLUMN {}", ident(&old.name));
    let mut alter = |step, action: String| {
        // Children have defaults of their own, and are told of them themselves.
        let alone = action.starts_with("SET DEFAULT") || action == "DROP DEFAULT";
        let head = match (step, alone) {
            (Step::Loosen, true) => &old_head_alone,
            (Step::Loosen, false) => &old_head,
            (_, true) => &head_alone,
            (_, false) => &head,
        };
        out.push_of(step, Kind::Column, Effect::Alter, format!("{head} {action}"));
    };
    let typed = before.of_type.is_some() && after.of_type.is_some();
    let retyped = is_retyped(old, new) && !new.inherited && !typed;
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
    // A partition's identity is its parent's, and goes with it.
    if !old.identity.is_empty() && new.identity.is_empty() && old.identity_sequence.is_some() {
        alter(Step::Loosen, "DROP IDENTITY".to_owned());
    }
    if retyped {
        // Every value has a text, and of no value it does not matter which.
        let using = match rows.using.get(&new.attnum) {
            _ if rows.none => format!(" USING {}::text::{}", ident(&new.name), new.type_name),
            Some(using) => format!(" USING ({using})"),
            None => String::new(),
        };
        alter(Step::Make, format!("TYPE {}{}{using}", new.type_name, collate(new)));
    }
    if is_generated && !same_default && was_generated && !new.inherited {
        // Postgres 17 and later.
        alter(Step::Make, format!("SET EXPRESSION AS ({})", new.default.as_deref().unwrap_or_default()));
    }
    if has_default && (!same_default || was_generated || moves_default) {
        alter(Step::Make, format!("SET DEFAULT {}", new.default.as_deref().unwrap_or_default()));
    }
    nullability((old, new), (before, after), context, out);
    identity(table, (old, new), out);
}

/// NOT NULL comes, goes, and is called otherwise.
fn nullability(
    (old, new): (&Column, &Column),
    (before, after): (&Table, &Table),
    context: &Context,
    out: &mut Out<'_>,
) {
    let (table, label) = (after.full_name(), ident(&new.name));
    let mut alter = |step, action: String| {
        out.push_of(step, Kind::Column, Effect::Alter, format!("ALTER TABLE {action}"))
    };
    match (&old.not_null, &new.not_null) {
        (Some(was), Some(is)) => {
            if was.name != is.name && !is.inherited {
                let (was, is) = (ident(&was.name), ident(&is.name));
                alter(Step::Names, format!("{table} RENAME CONSTRAINT {was} TO {is}"));
            }
            if is.valid && !was.valid {
                alter(Step::Make, format!("{table} VALIDATE CONSTRAINT {}", ident(&is.name)));
            }
            if was.no_inherit != is.no_inherit {
                let no = if is.no_inherit { "NO " } else { "" };
                alter(Step::Make, format!("{table} ALTER CONSTRAINT {} {no}INHERIT", ident(&is.name)));
            }
        }
        _ if old.nullable == new.nullable => {}
        // Where it is a constraint, a partition loses it with its parent; an heir keeps it unless it is told otherwise.
        (Some(was), None) if was.inherited && before.inherits.is_empty() => {}
        (_, None) if new.nullable => {
            let only = context.only(after.oid);
            alter(Step::Make, format!("{only}{table} ALTER COLUMN {label} DROP NOT NULL"));
        }
        (_, Some(is)) if is.inherited => {}
        _ => {
            let only = if new.not_null.is_some() { "" } else { context.only_if_alone(after.oid, &new.name) };
            set_not_null(after, new, only, out);
        }
    }
}

fn set_not_null(table: &Table, it: &Column, only: &str, out: &mut Out<'_>) {
    let (name, label) = (table.full_name(), ident(&it.name));
    let of_its_own =
        named_not_null(table, it).or(it.not_null.as_ref().filter(|it| !it.valid || it.no_inherit));
    let sql = match of_its_own {
        Some(constraint) => format!(
            "ALTER TABLE {name} ADD CONSTRAINT {} NOT NULL {label}{}{}",
            ident(&constraint.name),
            if constraint.no_inherit { " NO INHERIT" } else { "" },
            if constraint.valid { "" } else { " NOT VALID" },
        ),
        None => format!("ALTER TABLE {only}{name} ALTER COLUMN {label} SET NOT NULL"),
    };
    out.push_of(Step::Make, Kind::Column, Effect::Alter, sql);
}

/// Identity comes, and changes. An identity column was NOT NULL before.
fn identity(table: &Name, (old, new): (&Column, &Column), out: &mut Out<'_>) {
    let head = format!("ALTER TABLE {table} ALTER COLUMN {}", ident(&new.name));
    let Some(it) = &new.identity_sequence else { return };
    let always = always(&new.identity);
    if old.identity.is_empty() {
        let options = sequence::of_identity(&table.schema, it);
        let sql = format!("{head} ADD GENERATED {always} AS IDENTITY {options}");
        return out.push_of(Step::Make, Kind::Column, Effect::Alter, sql);
    }
    if old.identity != new.identity {
        let sql = format!("{head} SET GENERATED {always}");
        out.push_of(Step::Make, Kind::Column, Effect::Alter, sql);
    }
    if let Some(was) = &old.identity_sequence {
        sequence::change_identity((table, &new.name), (was, it), out);
    }
}

/// What a column has that CREATE TABLE does not tell.
fn attributes(table: &Name, old: Option<&Column>, new: &Column, out: &mut Out<'_>) {
    let label = ident(&new.name);
    let head = format!("ALTER TABLE {table} ALTER COLUMN {label}");
    let none = Stored::default();
    let was = old.map_or(&none, |old| &old.stored);
    stored(&head, was, &new.stored, old.is_some_and(|old| is_retyped(old, new)), out);
    if let Some(it) = &new.identity_sequence {
        let old = old.and_then(|old| old.identity_sequence.as_ref());
        sequence::finish_identity(&table.schema, old, it, out);
    }
    if let Some(it) = &new.not_null {
        let old = old.and_then(|old| old.not_null.as_ref()).and_then(|old| old.comment.as_deref());
        comment(&format!("CONSTRAINT {} ON {table}", ident(&it.name)), old, it.comment.as_deref(), out);
    }
    let old_comment = old.and_then(|old| old.metadata.as_deref());
    comment(&format!("COLUMN {table}.{label}"), old_comment, new.metadata.as_deref(), out);
}

/// How values are kept. A column that gets another type gets that type's storage with it.
pub(super) fn stored(head: &str, old: &Stored, new: &Stored, retyped: bool, out: &mut Out<'_>) {
    let mut alter = |action: String| {
        out.push_of(Step::Rest, Kind::Column, Effect::Alter, format!("{head} {action}"));
    };
    let old_storage = old.storage.as_ref().filter(|_| !retyped);
    if old_storage != new.storage.as_ref() {
        // Before Postgres 16, there is no word for the type's own.
        let letter = new.storage.as_ref().or(new.type_storage.as_ref());
        alter(format!("SET STORAGE {}", storage(letter.map_or("x", String::as_str))));
    }
    if old.compression != new.compression {
        alter(format!("SET COMPRESSION {}", compression(new.compression.as_deref())));
    }
    if old.statistics != new.statistics {
        alter(format!("SET STATISTICS {}", new.statistics.unwrap_or(-1)));
    }
    if old.options != new.options {
        let key = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
        let is_gone = |name: &String| !new.options.iter().any(|it| key(it) == *name);
        let gone: Vec<String> = old.options.iter().map(key).filter(is_gone).collect();
        if !gone.is_empty() {
            alter(format!("RESET ({})", gone.join(", ")));
        }
        if !new.options.is_empty() {
            alter(format!("SET ({})", parts::options(&new.options)));
        }
    }
}
