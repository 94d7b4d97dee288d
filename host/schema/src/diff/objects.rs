//! The statements of everything that is simple: schemas, extensions, views, sequences, functions. Tables and types have
//! files of their own.

use std::collections::HashSet;

use super::renames::Renamed;
use super::{Out, Step, parts, table, types};
use crate::document::{Extension, Function, Namespace, Object, Oid, Sequence, View};
use crate::log::Change;
use crate::name::{Name, ident, literal, nullable};
use crate::statement::Effect;

/// Everything about one change.
pub(super) fn change(change: &Change, renamed: &Renamed, removed: &HashSet<Oid>, out: &mut Out<'_>) {
    match (&change.before, &change.after) {
        (None, Some(Object::Schema(after))) => make_schema(after, out),
        (Some(Object::Schema(before)), Some(Object::Schema(after))) => change_schema(before, after, out),
        (Some(Object::Schema(before)), None) => {
            let sql = format!("DROP SCHEMA {}", ident(renamed.now(&before.name)));
            out.push(Step::DropSchemas, Effect::Remove, sql);
        }
        (None, Some(Object::Extension(after))) => make_extension(after, out),
        (Some(Object::Extension(before)), Some(Object::Extension(after))) => {
            change_extension(before, after, renamed, out);
        }
        (Some(Object::Extension(before)), None) => {
            out.push(Step::DropExtensions, Effect::Remove, format!("DROP EXTENSION {}", ident(&before.name)));
        }
        (None, Some(Object::Table(after))) => table::make(after, out),
        (Some(Object::Table(before)), Some(Object::Table(after))) => {
            table::change(before, after, &change.missing, renamed, out)
        }
        (Some(Object::Table(before)), None) => table::remove(before, renamed, removed, out),
        (None, Some(Object::View(after))) => make_view(after, out),
        (Some(Object::View(before)), Some(Object::View(after))) => change_view(before, after, renamed, out),
        (None, Some(Object::MaterializedView(after))) => make_materialized(after, out),
        (Some(Object::MaterializedView(before)), Some(Object::MaterializedView(after))) => {
            change_materialized(before, after, renamed, out);
        }
        (Some(Object::View(before)), None) => {
            out.push(
                Step::DropViews,
                Effect::Remove,
                format!("DROP VIEW {}", was(renamed, &before.schema, &before.name)),
            );
        }
        (Some(Object::MaterializedView(before)), None) => {
            let name = was(renamed, &before.schema, &before.name);
            out.push(Step::DropViews, Effect::Remove, format!("DROP MATERIALIZED VIEW {name}"));
        }
        (None, Some(Object::Sequence(after))) => make_sequence(after, out),
        (Some(Object::Sequence(before)), Some(Object::Sequence(after))) => {
            change_sequence(before, after, renamed, out)
        }
        (Some(Object::Sequence(before)), None) => {
            // It goes with the table that it belongs to.
            let goes_with = before.owned_by.as_ref().is_some_and(|owner| removed.contains(&owner.oid));
            if !goes_with {
                let name = was(renamed, &before.schema, &before.name);
                out.push(Step::DropRest, Effect::Remove, format!("DROP SEQUENCE IF EXISTS {name}"));
            }
        }
        (None, Some(Object::Type(after))) => types::make(after, out),
        (Some(Object::Type(before)), Some(Object::Type(after))) => types::change(before, after, renamed, out),
        (Some(Object::Type(before)), None) => {
            out.push(
                Step::DropRest,
                Effect::Remove,
                format!("DROP TYPE {}", was(renamed, &before.schema, &before.name)),
            );
        }
        (None, Some(Object::Function(after))) => make_function(after, out),
        (Some(Object::Function(before)), Some(Object::Function(after))) => {
            change_function(before, after, renamed, out)
        }
        (Some(Object::Function(before)), None) => {
            let name = was(renamed, &before.schema, &before.name);
            out.push(Step::DropRest, Effect::Remove, format!("DROP ROUTINE {name}({})", arguments(before)));
        }
        // An oid is of one kind for life; and nothing that becomes nothing is no change.
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// The name of before, in the schema as it is called now.
pub(super) fn was(renamed: &Renamed, schema: &str, name: &str) -> Name {
    Name::new(renamed.now(schema), name)
}

/// `ALTER what ... SET SCHEMA` and `RENAME TO`, as far as they are needed.
pub(super) fn rename(what: &str, before: &Name, after: &Name, arguments: &str, out: &mut Out<'_>) {
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

/// `COMMENT ON`, if it differs.
pub(super) fn comment(on: &str, before: Option<&str>, after: Option<&str>, out: &mut Out<'_>) {
    if before != after {
        out.push(Step::Rest, Effect::Alter, format!("COMMENT ON {on} IS {}", nullable(after)));
    }
}

fn make_schema(after: &Namespace, out: &mut Out<'_>) {
    out.push(Step::Schemas, Effect::Create, format!("CREATE SCHEMA {}", ident(&after.name)));
    comment(&format!("SCHEMA {}", ident(&after.name)), None, after.comment.as_deref(), out);
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

fn change_extension(before: &Extension, after: &Extension, renamed: &Renamed, out: &mut Out<'_>) {
    let name = ident(&after.name);
    if renamed.now(&before.schema) != after.schema {
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

fn change_view(before: &View, after: &View, renamed: &Renamed, out: &mut Out<'_>) {
    let same = |(old, new): (&crate::document::ViewColumn, &crate::document::ViewColumn)| {
        old.type_name == new.type_name && old.name == new.name
    };
    let (name, old_name) =
        (Name::new(&after.schema, &after.name), was(renamed, &before.schema, &before.name));
    // Columns may be renamed by a statement of their own; else a view takes new ones at its end only.
    let types_kept = before.columns.len() <= after.columns.len()
        && before.columns.iter().zip(&after.columns).all(|(old, new)| old.type_name == new.type_name);
    if !types_kept {
        out.push(Step::DropViews, Effect::Remove, format!("DROP VIEW {old_name}"));
        return make_view(after, out);
    }
    rename("VIEW", &old_name, &name, "", out);
    for (old, new) in before.columns.iter().zip(&after.columns) {
        if !same((old, new)) {
            let (old, new) = (ident(&old.name), ident(&new.name));
            out.push(Step::Names, Effect::Alter, format!("ALTER VIEW {name} RENAME COLUMN {old} TO {new}"));
        }
    }
    if before.definition != after.definition || before.columns.len() != after.columns.len() {
        out.push(Step::Make, Effect::Alter, create_view(after));
    }
    parts::change_options(&format!("VIEW {name}"), &before.options, &after.options, out);
    finish_view(Some(before), after, out);
}

fn finish_view(before: Option<&View>, after: &View, out: &mut Out<'_>) {
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
    parts::triggers(&name, "VIEW", old_triggers, &after.triggers, out);
    parts::rules(&name, old_rules, &after.rules, out);
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
        with(&after.options),
        if after.populated { "WITH DATA" } else { "WITH NO DATA" }
    );
    out.push(Step::Make, Effect::Create, sql);
    finish_materialized(None, after, out);
}

fn change_materialized(before: &View, after: &View, renamed: &Renamed, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    rename("MATERIALIZED VIEW", &was(renamed, &before.schema, &before.name), &name, "", out);
    for (old, new) in before.columns.iter().zip(&after.columns).filter(|(old, new)| old.name != new.name) {
        let (old, new) = (ident(&old.name), ident(&new.name));
        out.push(
            Step::Names,
            Effect::Alter,
            format!("ALTER MATERIALIZED VIEW {name} RENAME COLUMN {old} TO {new}"),
        );
    }
    parts::change_options(&format!("MATERIALIZED VIEW {name}"), &before.options, &after.options, out);
    finish_materialized(Some(before), after, out);
}

fn finish_materialized(before: Option<&View>, after: &View, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name).to_string();
    let old_indexes = before.map(|before| before.indexes.as_slice()).unwrap_or_default();
    parts::indexes(&name, &after.schema, old_indexes, &after.indexes, &HashSet::new(), out);
    for (at, column) in after.columns.iter().enumerate() {
        let old =
            before.and_then(|before| before.columns.get(at)).and_then(|column| column.metadata.as_deref());
        comment(&format!("COLUMN {name}.{}", ident(&column.name)), old, column.metadata.as_deref(), out);
    }
    let old_comment = before.and_then(|before| before.comment.as_deref());
    comment(&format!("MATERIALIZED VIEW {name}"), old_comment, after.comment.as_deref(), out);
}

/// What a sequence is like, for CREATE and for ALTER.
fn sequence_options(it: &Sequence) -> String {
    format!(
        "AS {} INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {}CYCLE",
        it.data_type,
        it.increment,
        it.minimum_value,
        it.maximum_value,
        it.start_value,
        it.cache.as_deref().unwrap_or("1"),
        if it.cycle_option == "YES" { "" } else { "NO " }
    )
}

fn owned_by(it: &Sequence) -> String {
    it.owned_by.as_ref().map_or_else(
        || "NONE".to_owned(),
        |owner| format!("{}.{}", Name::new(&owner.schema, &owner.table), ident(&owner.column)),
    )
}

fn make_sequence(after: &Sequence, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    let unlogged = if after.unlogged { "UNLOGGED " } else { "" };
    out.push(
        Step::Make,
        Effect::Create,
        format!("CREATE {unlogged}SEQUENCE {name} {}", sequence_options(after)),
    );
    if after.owned_by.is_some() {
        out.push(
            Step::OwnSequences,
            Effect::Alter,
            format!("ALTER SEQUENCE {name} OWNED BY {}", owned_by(after)),
        );
    }
    comment(&format!("SEQUENCE {name}"), None, after.comment.as_deref(), out);
}

fn change_sequence(before: &Sequence, after: &Sequence, renamed: &Renamed, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    let mut old_name = was(renamed, &before.schema, &before.name);
    // It moves with the table that it belongs to.
    if before.owned_by.is_some()
        && before.owned_by.as_ref().map(|it| it.oid) == after.owned_by.as_ref().map(|it| it.oid)
    {
        old_name.schema.clone_from(&after.schema);
    }
    rename("SEQUENCE", &old_name, &name, "", out);
    if sequence_options(before) != sequence_options(after) {
        out.push(Step::Make, Effect::Alter, format!("ALTER SEQUENCE {name} {}", sequence_options(after)));
    }
    let place = |it: &Sequence| it.owned_by.as_ref().map(|owner| (owner.oid, owner.attnum));
    if place(before) != place(after) {
        let step = if after.owned_by.is_some() { Step::OwnSequences } else { Step::DropParts };
        out.push(step, Effect::Alter, format!("ALTER SEQUENCE {name} OWNED BY {}", owned_by(after)));
    }
    if before.unlogged != after.unlogged {
        let logged = if after.unlogged { "UNLOGGED" } else { "LOGGED" };
        out.push(Step::Rest, Effect::Alter, format!("ALTER SEQUENCE {name} SET {logged}"));
    }
    comment(&format!("SEQUENCE {name}"), before.comment.as_deref(), after.comment.as_deref(), out);
}

/// What tells a function from others of its name. An aggregate without arguments is called with a star.
fn arguments(it: &Function) -> &str {
    if it.arguments.is_empty() && it.definition.starts_with("CREATE OR REPLACE AGGREGATE") {
        "*"
    } else {
        &it.arguments
    }
}

fn make_function(after: &Function, out: &mut Out<'_>) {
    out.push(Step::Make, Effect::Create, after.definition.trim_end().to_owned());
    let on = format!("ROUTINE {}({})", Name::new(&after.schema, &after.name), arguments(after));
    comment(&on, None, after.comment.as_deref(), out);
}

fn change_function(before: &Function, after: &Function, renamed: &Renamed, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    rename(
        "ROUTINE",
        &was(renamed, &before.schema, &before.name),
        &name,
        &format!("({})", arguments(after)),
        out,
    );
    if before.definition != after.definition {
        out.push(Step::Make, Effect::Alter, after.definition.trim_end().to_owned());
    }
    let on = format!("ROUTINE {name}({})", arguments(after));
    comment(&on, before.comment.as_deref(), after.comment.as_deref(), out);
}
