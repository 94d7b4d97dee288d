//! The statements of everything that is simple: schemas, extensions, views, sequences, functions. Tables and types have
//! files of their own.

use std::collections::HashSet;

use super::context::Context;
use super::{Out, Step, attached, column, parts, sequence, table, types};
use crate::document::{Extension, Function, Namespace, Object, Oid, Stored, View};
use crate::log::Change;
use crate::name::{Name, ident, literal, nullable};
use crate::statement::Effect;

/// Everything about one change.
pub(super) fn change(change: &Change, context: &Context, out: &mut Out<'_>) {
    match (&change.before, &change.after) {
        (None, Some(Object::Schema(after))) => make_schema(after, context, out),
        (Some(Object::Schema(before)), Some(Object::Schema(after))) => change_schema(before, after, out),
        (Some(Object::Schema(before)), None) if context.remade.contains_key(&before.name) => {}
        (Some(Object::Schema(before)), None) => {
            let sql = format!("DROP SCHEMA {}", ident(context.now(&before.name)));
            out.push(Step::DropSchemas, Effect::Remove, sql);
        }
        (None, Some(Object::Extension(after))) => make_extension(after, out),
        (Some(Object::Extension(before)), Some(Object::Extension(after))) => {
            change_extension(before, after, context, out);
        }
        (Some(Object::Extension(before)), None) => {
            out.push(Step::DropExtensions, Effect::Remove, format!("DROP EXTENSION {}", ident(&before.name)));
        }
        (None, Some(Object::Table(after))) => table::make(after, context, out),
        (Some(Object::Table(before)), Some(Object::Table(after))) => {
            table::change(before, after, rows(change), context, out)
        }
        (Some(Object::Table(before)), None) => table::remove(before, context, out),
        (None, Some(Object::View(after))) => make_view(after, out),
        (Some(Object::View(before)), Some(Object::View(after))) => change_view(before, after, context, out),
        (None, Some(Object::MaterializedView(after))) => make_materialized(after, out),
        (Some(Object::MaterializedView(before)), Some(Object::MaterializedView(after))) => {
            change_materialized(before, after, context, out);
        }
        (Some(Object::View(before)), None) => {
            out.push(
                Step::DropViews,
                Effect::Remove,
                format!("DROP VIEW {}", context.was(&before.schema, &before.name)),
            );
        }
        (Some(Object::MaterializedView(before)), None) => {
            let name = context.was(&before.schema, &before.name);
            out.push(Step::DropViews, Effect::Remove, format!("DROP MATERIALIZED VIEW {name}"));
        }
        (None, Some(Object::Sequence(after))) => sequence::make(after, out),
        (Some(Object::Sequence(before)), Some(Object::Sequence(after))) => {
            sequence::change(before, after, context, out)
        }
        (Some(Object::Sequence(before)), None) => {
            // It goes with the table that it belongs to.
            let goes_with =
                before.owned_by.as_ref().is_some_and(|owner| context.removed.contains(&owner.oid));
            if !goes_with {
                let name = context.was(&before.schema, &before.name);
                out.push(Step::DropTables, Effect::Remove, format!("DROP SEQUENCE IF EXISTS {name}"));
            }
        }
        (None, Some(Object::Type(after))) => types::make(after, out),
        (Some(Object::Type(before)), Some(Object::Type(after))) => types::change(before, after, context, out),
        (Some(Object::Type(before)), None) => types::remove(before, context, out),
        (None, Some(Object::Function(after))) => make_function(after, out),
        (Some(Object::Function(before)), Some(Object::Function(after))) => {
            change_function(before, after, context, out)
        }
        (Some(Object::Function(before)), None) => {
            let name = context.was(&before.schema, &before.name);
            let sql = format!("DROP {} {name}({})", routine(before), arguments(before));
            out.push(Step::DropTables, Effect::Remove, sql);
        }
        // An oid is of one kind for life; and nothing that becomes nothing is no change.
        (Some(_), Some(_)) | (None, None) => {}
    }
}

fn rows(change: &Change) -> table::Rows<'_> {
    let none = change.rewritten.is_some_and(|rewrite| rewrite.type_changed && rewrite.empty);
    table::Rows { missing: &change.missing, none, using: &change.using }
}

/// `ALTER what ... SET SCHEMA` and `RENAME TO`, as far as they are needed.
fn rename(what: &str, before: &Name, after: &Name, arguments: &str, out: &mut Out<'_>) {
    let mut name = before.clone();
    if name.schema != after.schema {
        let sql = format!("ALTER {what} {name}{arguments} SET SCHEMA {}", ident(&after.schema));
        out.push(Step::Names, Effect::Alter, sql);
        name.schema.clone_from(&after.schema);
    }
    if name.name != after.name {
        let sql = format!("ALTER {what} {name}{arguments} RENAME TO {}", ident(&after.name));
        out.push(Step::Names, Effect::Alter, sql);
    }
}

/// As [`rename`], for what shares its names with others: where another object still has the new name, or is to get the
/// old one, a name of its own comes in between.
pub(super) fn rename_among(
    what: &str,
    oid: Oid,
    before: &Name,
    after: &Name,
    context: &Context,
    out: &mut Out<'_>,
) {
    let in_the_way = context.was_anothers(after, oid) || context.will_be_anothers(before, oid);
    if before == after || !in_the_way {
        return rename(what, before, after, "", out);
    }
    let between = aside(oid, before);
    let sql = format!("ALTER {what} {before} RENAME TO {}", ident(&between.name));
    out.push(Step::Aside, Effect::Alter, sql);
    rename(what, &between, after, "", out);
}

/// A name that nobody else has.
pub(super) fn aside(oid: Oid, name: &Name) -> Name {
    Name::new(&name.schema, &format!("pgstream_aside_{}", oid.0))
}

/// `COMMENT ON`, if it differs.
pub(super) fn comment(on: &str, before: Option<&str>, after: Option<&str>, out: &mut Out<'_>) {
    if before != after {
        out.push(Step::Rest, Effect::Alter, format!("COMMENT ON {on} IS {}", nullable(after)));
    }
}

fn make_schema(after: &Namespace, context: &Context, out: &mut Out<'_>) {
    let name = ident(&after.name);
    let remade = context.remade.get(&after.name);
    if remade.is_none() {
        out.push(Step::Schemas, Effect::Create, format!("CREATE SCHEMA {name}"));
    }
    let old = remade.and_then(Option::as_deref);
    comment(&format!("SCHEMA {name}"), old, after.comment.as_deref(), out);
}

fn change_schema(before: &Namespace, after: &Namespace, out: &mut Out<'_>) {
    if before.name != after.name {
        let sql = format!("ALTER SCHEMA {} RENAME TO {}", ident(&before.name), ident(&after.name));
        out.push(Step::Schemas, Effect::Alter, sql);
    }
    comment(
        &format!("SCHEMA {}", ident(&after.name)),
        before.comment.as_deref(),
        after.comment.as_deref(),
        out,
    );
}

/// Without the version: the target has those that were installed there.
fn make_extension(after: &Extension, out: &mut Out<'_>) {
    let sql = format!("CREATE EXTENSION {} WITH SCHEMA {}", ident(&after.name), ident(&after.schema));
    out.push(Step::Extensions, Effect::Create, sql);
}

fn change_extension(before: &Extension, after: &Extension, context: &Context, out: &mut Out<'_>) {
    let name = ident(&after.name);
    if context.now(&before.schema) != after.schema {
        out.push(
            Step::Extensions,
            Effect::Alter,
            format!("ALTER EXTENSION {name} SET SCHEMA {}", ident(&after.schema)),
        );
    }
    if before.version != after.version {
        let sql = format!("ALTER EXTENSION {name} UPDATE TO {}", literal(&after.version));
        out.push(Step::Extensions, Effect::Alter, sql);
    }
    comment(&format!("EXTENSION {name}"), before.comment.as_deref(), after.comment.as_deref(), out);
}

fn with(options: &[String]) -> String {
    if options.is_empty() { String::new() } else { format!(" WITH ({})", parts::options(options)) }
}

fn create_view(view: &View) -> String {
    let columns: Vec<String> = view.columns.iter().map(|column| ident(&column.name)).collect();
    let definition = view.definition.trim().trim_end_matches(';');
    format!(
        "CREATE OR REPLACE VIEW {} ({}){} AS {definition}",
        Name::new(&view.schema, &view.name),
        columns.join(", "),
        with(&view.options)
    )
}

fn make_view(after: &View, out: &mut Out<'_>) {
    out.push(Step::Make, Effect::Create, create_view(after));
    finish_view(None, after, out);
}

fn change_view(before: &View, after: &View, context: &Context, out: &mut Out<'_>) {
    let (name, old_name) = (Name::new(&after.schema, &after.name), context.was(&before.schema, &before.name));
    // Columns may be renamed by a statement of their own; else a view takes new ones at its end only.
    let types_kept = !context.disturbed.contains(&after.oid)
        && before.columns.len() <= after.columns.len()
        && before.columns.iter().zip(&after.columns).all(|(old, new)| old.type_name == new.type_name);
    if !types_kept {
        out.push(Step::DropViews, Effect::Remove, format!("DROP VIEW {old_name}"));
        return make_view(after, out);
    }
    rename_among("VIEW", after.oid, &old_name, &name, context, out);
    for (old, new) in before.columns.iter().zip(&after.columns) {
        if old.name != new.name {
            let (old, new) = (ident(&old.name), ident(&new.name));
            out.push(Step::Names, Effect::Alter, format!("ALTER VIEW {name} RENAME COLUMN {old} TO {new}"));
        }
    }
    if before.definition != after.definition || before.columns.len() != after.columns.len() {
        out.push(Step::Make, Effect::Alter, create_view(after));
    }
    parts::change_options(&format!("VIEW {name}"), &before.options, &after.options, out);
    finish_view(Some((before, &old_name)), after, out);
}

fn finish_view(before: Option<(&View, &Name)>, after: &View, out: &mut Out<'_>) {
    let (before, old_name) = before.unzip();
    let name = Name::new(&after.schema, &after.name).to_string();
    let old_columns = before.map(|before| before.columns.as_slice()).unwrap_or_default();
    for (at, column) in after.columns.iter().enumerate() {
        let old = old_columns.get(at);
        let column_name = ident(&column.name);
        if old.and_then(|old| old.default.as_ref()) != column.default.as_ref() {
            let sql = match &column.default {
                Some(default) => {
                    format!("ALTER VIEW {name} ALTER COLUMN {column_name} SET DEFAULT {default}")
                }
                None => format!("ALTER VIEW {name} ALTER COLUMN {column_name} DROP DEFAULT"),
            };
            out.push(Step::Rest, Effect::Alter, sql);
        }
        let old_comment = old.and_then(|old| old.metadata.as_deref());
        comment(&format!("COLUMN {name}.{column_name}"), old_comment, column.metadata.as_deref(), out);
    }
    let none = (&[][..], &[][..]);
    let (old_triggers, old_rules) = before.map_or(none, |before| (&before.triggers, &before.rules));
    let old_name = old_name.map_or_else(|| name.clone(), Name::to_string);
    attached::triggers((&old_name, &name), "VIEW", old_triggers, &after.triggers, "", out);
    attached::rules((&old_name, &name), old_rules, &after.rules, out);
    let old_comment = before.and_then(|before| before.comment.as_deref());
    comment(&format!("VIEW {name}"), old_comment, after.comment.as_deref(), out);
}

fn make_materialized(after: &View, out: &mut Out<'_>) {
    let columns: Vec<String> = after.columns.iter().map(|column| ident(&column.name)).collect();
    let method =
        after.access_method.as_ref().map(|method| format!(" USING {}", ident(method))).unwrap_or_default();
    let definition = after.definition.trim().trim_end_matches(';');
    let sql = format!(
        "CREATE MATERIALIZED VIEW {} ({}){method}{} AS {definition} {}",
        Name::new(&after.schema, &after.name),
        columns.join(", "),
        with(&[after.options.clone(), parts::toast(&after.toast_options)].concat()),
        if after.populated { "WITH DATA" } else { "WITH NO DATA" }
    );
    out.push(Step::Make, Effect::Create, sql);
    finish_materialized(None, after, out);
}

fn change_materialized(before: &View, after: &View, context: &Context, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    let old_name = context.was(&before.schema, &before.name);
    rename_among("MATERIALIZED VIEW", after.oid, &old_name, &name, context, out);
    for (old, new) in before.columns.iter().zip(&after.columns).filter(|(old, new)| old.name != new.name) {
        let (old, new) = (ident(&old.name), ident(&new.name));
        out.push(
            Step::Names,
            Effect::Alter,
            format!("ALTER MATERIALIZED VIEW {name} RENAME COLUMN {old} TO {new}"),
        );
    }
    let what = format!("MATERIALIZED VIEW {name}");
    parts::change_options(&what, &before.options, &after.options, out);
    parts::change_toast_options(&what, &before.toast_options, &after.toast_options, out);
    if before.access_method != after.access_method {
        let method = ident(after.access_method.as_deref().unwrap_or("heap"));
        out.push(Step::Make, Effect::Alter, format!("ALTER {what} SET ACCESS METHOD {method}"));
    }
    if before.populated != after.populated {
        let data = if after.populated { "" } else { " WITH NO DATA" };
        out.push(Step::Rest, Effect::Alter, format!("REFRESH {what}{data}"));
    }
    finish_materialized(Some((before, &old_name)), after, out);
}

fn finish_materialized(before: Option<(&View, &Name)>, after: &View, out: &mut Out<'_>) {
    let (before, old_name) = before.unzip();
    let name = Name::new(&after.schema, &after.name);
    let old_indexes = before.map(|before| before.indexes.as_slice()).unwrap_or_default();
    parts::indexes((old_name.unwrap_or(&name), &name), old_indexes, &after.indexes, &HashSet::new(), out);
    for (at, it) in after.columns.iter().enumerate() {
        let old = before.and_then(|before| before.columns.get(at));
        let label = ident(&it.name);
        let head = format!("ALTER MATERIALIZED VIEW {name} ALTER COLUMN {label}");
        let none = Stored::default();
        column::stored(&head, old.map_or(&none, |old| &old.stored), &it.stored, false, out);
        let old_comment = old.and_then(|old| old.metadata.as_deref());
        comment(&format!("COLUMN {name}.{label}"), old_comment, it.metadata.as_deref(), out);
    }
    let old_comment = before.and_then(|before| before.comment.as_deref());
    comment(&format!("MATERIALIZED VIEW {name}"), old_comment, after.comment.as_deref(), out);
}

/// Arguments of an aggregate may have an order, which is no routine's.
fn routine(it: &Function) -> &'static str {
    if it.is_aggregate { "AGGREGATE" } else { "ROUTINE" }
}

/// What tells a function from others of its name. An aggregate without arguments is called with a star.
fn arguments(it: &Function) -> &str {
    if it.arguments.is_empty() && it.is_aggregate { "*" } else { &it.arguments }
}

fn make_function(after: &Function, out: &mut Out<'_>) {
    out.push(Step::Make, Effect::Create, after.definition.trim_end().to_owned());
    let on = format!("{} {}({})", routine(after), Name::new(&after.schema, &after.name), arguments(after));
    comment(&on, None, after.comment.as_deref(), out);
}

fn change_function(before: &Function, after: &Function, context: &Context, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    rename(
        routine(after),
        &context.was(&before.schema, &before.name),
        &name,
        &format!("({})", arguments(after)),
        out,
    );
    if before.definition != after.definition {
        out.push(Step::Make, Effect::Alter, after.definition.trim_end().to_owned());
    }
    let on = format!("{} {name}({})", routine(after), arguments(after));
    comment(&on, before.comment.as_deref(), after.comment.as_deref(), out);
}
