//! The statements of types.

use super::context::Context;
use super::objects::{aside, comment, rename_among};
use super::{Out, Step};
use crate::document::{Attribute, Constraint, Label, NotNull, Type, TypeKind};
use crate::name::{Name, ident, literal};
use crate::statement::Effect;

fn full_name(it: &Type) -> Name {
    Name::new(&it.schema, &it.name)
}

/// Domains are told apart in most statements.
fn what(it: &Type) -> &'static str {
    if matches!(it.kind, TypeKind::Domain { .. }) { "DOMAIN" } else { "TYPE" }
}

fn collate(collation: Option<&String>) -> String {
    collation.map(|collation| format!(" COLLATE {collation}")).unwrap_or_default()
}

fn attribute(it: &Attribute) -> String {
    format!("{} {}{}", ident(&it.name), it.type_name, collate(it.collation.as_ref()))
}

/// A type that is new.
pub(super) fn make(after: &Type, out: &mut Out<'_>) {
    let name = full_name(after);
    let sql = match &after.kind {
        TypeKind::Enum { labels } => {
            let labels: Vec<String> = labels.iter().map(|label| literal(&label.name)).collect();
            format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", "))
        }
        TypeKind::Composite { attributes } => {
            let attributes: Vec<String> = attributes.iter().map(attribute).collect();
            format!("CREATE TYPE {name} AS ({})", attributes.join(", "))
        }
        TypeKind::Domain { base, nullable, default, collation, constraints, not_null } => {
            let mut sql = format!("CREATE DOMAIN {name} AS {base}{}", collate(collation.as_ref()));
            if let Some(default) = default {
                sql += &format!(" DEFAULT {default}");
            }
            if !nullable {
                sql += &not_null
                    .as_ref()
                    .map(|it| format!(" CONSTRAINT {}", ident(&it.name)))
                    .unwrap_or_default();
                sql += " NOT NULL";
            }
            for constraint in constraints.iter().filter(|constraint| constraint.valid) {
                sql += &format!(" CONSTRAINT {} {}", ident(&constraint.name), constraint.definition);
            }
            sql
        }
        TypeKind::Range {
            subtype,
            subtype_opclass,
            collation,
            canonical,
            subtype_diff,
            multirange,
            multirange_schema,
        } => {
            let mut options = vec![format!("SUBTYPE = {subtype}")];
            let pairs = [
                ("SUBTYPE_OPCLASS", subtype_opclass),
                ("COLLATION", collation),
                ("CANONICAL", canonical),
                ("SUBTYPE_DIFF", subtype_diff),
            ];
            options
                .extend(pairs.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?))));
            options.push(format!(
                "MULTIRANGE_TYPE_NAME = {}",
                Name::new(multirange_schema.as_ref().unwrap_or(&after.schema), multirange)
            ));
            format!("CREATE TYPE {name} AS RANGE ({})", options.join(", "))
        }
    };
    out.push(Step::Make, Effect::Create, sql);
    if let TypeKind::Domain { constraints, not_null, .. } = &after.kind {
        for constraint in constraints.iter().filter(|constraint| !constraint.valid) {
            let (label, definition) = (ident(&constraint.name), &constraint.definition);
            out.push(
                Step::Parts,
                Effect::Create,
                format!("ALTER DOMAIN {name} ADD CONSTRAINT {label} {definition}"),
            );
        }
        domain_comments(&name, &[], constraints, out);
        not_null_comment(&name, None, not_null.as_ref(), out);
    }
    if let TypeKind::Composite { attributes } = &after.kind {
        attribute_comments(&name, &[], attributes, out);
    }
    comment(&format!("{} {name}", what(after)), None, after.comment.as_deref(), out);
}

/// A type that is gone. Columns leave it late, so it goes later, and gives its name up if another needs it.
pub(super) fn remove(before: &Type, context: &Context, out: &mut Out<'_>) {
    let mut name = context.was(&before.schema, &before.name);
    // One that is made of what goes goes before that.
    if before.needs.iter().any(|needed| context.removed_rest.contains(needed)) {
        return out.push(Step::DropTables, Effect::Remove, format!("DROP {} {name}", what(before)));
    }
    if context.will_be_anothers(&name, before.oid) {
        let between = aside(before.oid, &name);
        let sql = format!("ALTER {} {name} RENAME TO {}", what(before), ident(&between.name));
        out.push(Step::Aside, Effect::Alter, sql);
        name = between;
    }
    out.push(Step::DropTypes, Effect::Remove, format!("DROP {} {name}", what(before)));
}

/// A type that is there.
pub(super) fn change(before: &Type, after: &Type, context: &Context, out: &mut Out<'_>) {
    let name = full_name(after);
    let old_name = context.was(&before.schema, &before.name);
    rename_among(what(after), after.oid, &old_name, &name, context, out);
    match (&before.kind, &after.kind) {
        (TypeKind::Enum { labels: old }, TypeKind::Enum { labels: new }) => labels(&name, old, new, out),
        (TypeKind::Composite { attributes: old }, TypeKind::Composite { attributes: new }) => {
            attributes(&name, old, new, out);
        }
        (
            TypeKind::Domain {
                nullable: was_nullable,
                default: old_default,
                constraints: old,
                not_null: old_not_null,
                ..
            },
            TypeKind::Domain { nullable, default, constraints: new, not_null, .. },
        ) => {
            if old_default != default {
                let action = default
                    .as_ref()
                    .map_or("DROP DEFAULT".to_owned(), |default| format!("SET DEFAULT {default}"));
                out.push(Step::Make, Effect::Alter, format!("ALTER DOMAIN {name} {action}"));
            }
            if was_nullable != nullable {
                let default_name = format!("{}_not_null", after.name);
                let action = match not_null.as_ref().filter(|it| it.name != default_name) {
                    _ if *nullable => "DROP NOT NULL".to_owned(),
                    Some(named) => format!("ADD CONSTRAINT {} NOT NULL", ident(&named.name)),
                    None => "SET NOT NULL".to_owned(),
                };
                out.push(Step::Parts, Effect::Alter, format!("ALTER DOMAIN {name} {action}"));
            }
            if let (Some(was), Some(is)) = (old_not_null, not_null)
                && was.name != is.name
            {
                let (was, is) = (ident(&was.name), ident(&is.name));
                let sql = format!("ALTER DOMAIN {name} RENAME CONSTRAINT {was} TO {is}");
                out.push(Step::Names, Effect::Alter, sql);
            }
            not_null_comment(&name, old_not_null.as_ref(), not_null.as_ref(), out);
            conditions(&name, old, new, out);
            domain_comments(&name, old, new, out);
        }
        // Of a range nothing can change but its name; and a kind is for life.
        _ => {}
    }
    comment(&format!("{} {name}", what(after)), before.comment.as_deref(), after.comment.as_deref(), out);
}

fn labels(name: &Name, before: &[Label], after: &[Label], out: &mut Out<'_>) {
    for new in after {
        if let Some(old) = before.iter().find(|old| old.oid == new.oid && old.name != new.name) {
            let sql =
                format!("ALTER TYPE {name} RENAME VALUE {} TO {}", literal(&old.name), literal(&new.name));
            out.push(Step::Make, Effect::Alter, sql);
        }
    }
    let is_old = |label: &Label| before.iter().any(|old| old.oid == label.oid);
    for (at, new) in after.iter().enumerate().filter(|(_, label)| !is_old(label)) {
        let previous = at.checked_sub(1).and_then(|at| after.get(at));
        let next = after.iter().skip(at).find(|label| is_old(label));
        let place = match (previous, next) {
            (Some(previous), _) => format!(" AFTER {}", literal(&previous.name)),
            (None, Some(next)) => format!(" BEFORE {}", literal(&next.name)),
            (None, None) => String::new(),
        };
        out.push_settling(format!("ALTER TYPE {name} ADD VALUE {}{place}", literal(&new.name)));
    }
}

fn attributes(name: &Name, before: &[Attribute], after: &[Attribute], out: &mut Out<'_>) {
    let old_of = |new: &Attribute| before.iter().find(|old| old.attnum == new.attnum);
    for old in before.iter().filter(|old| !after.iter().any(|new| new.attnum == old.attnum)) {
        let sql = format!("ALTER TYPE {name} DROP ATTRIBUTE {} CASCADE", ident(&old.name));
        out.push(Step::Make, Effect::Destroy, sql);
    }
    for new in after {
        let Some(old) = old_of(new) else {
            out.push(
                Step::Make,
                Effect::Create,
                format!("ALTER TYPE {name} ADD ATTRIBUTE {} CASCADE", attribute(new)),
            );
            continue;
        };
        if old.name != new.name {
            let sql = format!(
                "ALTER TYPE {name} RENAME ATTRIBUTE {} TO {} CASCADE",
                ident(&old.name),
                ident(&new.name)
            );
            out.push(Step::Names, Effect::Alter, sql);
        }
        if old.type_name != new.type_name || old.collation != new.collation {
            let (label, collation) = (ident(&new.name), collate(new.collation.as_ref()));
            let sql = format!(
                "ALTER TYPE {name} ALTER ATTRIBUTE {label} TYPE {}{collation} CASCADE",
                new.type_name
            );
            out.push(Step::Make, Effect::Alter, sql);
        }
    }
    attribute_comments(name, before, after, out);
}

fn attribute_comments(name: &Name, before: &[Attribute], after: &[Attribute], out: &mut Out<'_>) {
    for new in after {
        let old = before.iter().find(|old| old.attnum == new.attnum).and_then(|old| old.comment.as_deref());
        comment(&format!("COLUMN {name}.{}", ident(&new.name)), old, new.comment.as_deref(), out);
    }
}

fn conditions(name: &Name, before: &[Constraint], after: &[Constraint], out: &mut Out<'_>) {
    for old in before.iter().filter(|old| !after.iter().any(|new| new.oid == old.oid)) {
        out.push(
            Step::DropParts,
            Effect::Remove,
            format!("ALTER DOMAIN {name} DROP CONSTRAINT {}", ident(&old.name)),
        );
    }
    for new in after {
        let label = ident(&new.name);
        let Some(old) = before.iter().find(|old| old.oid == new.oid) else {
            let sql = format!("ALTER DOMAIN {name} ADD CONSTRAINT {label} {}", new.definition);
            out.push(Step::Parts, Effect::Create, sql);
            continue;
        };
        if old.name != new.name {
            let sql = format!("ALTER DOMAIN {name} RENAME CONSTRAINT {} TO {label}", ident(&old.name));
            out.push(Step::Names, Effect::Alter, sql);
        }
        if new.valid && !old.valid {
            out.push(Step::Parts, Effect::Alter, format!("ALTER DOMAIN {name} VALIDATE CONSTRAINT {label}"));
        }
    }
}

fn not_null_comment(name: &Name, before: Option<&NotNull>, after: Option<&NotNull>, out: &mut Out<'_>) {
    if let Some(after) = after {
        let on = format!("CONSTRAINT {} ON DOMAIN {name}", ident(&after.name));
        let old = before.and_then(|before| before.comment.as_deref());
        comment(&on, old, after.comment.as_deref(), out);
    }
}

fn domain_comments(name: &Name, before: &[Constraint], after: &[Constraint], out: &mut Out<'_>) {
    for new in after {
        let old = before.iter().find(|old| old.oid == new.oid).and_then(|old| old.comment.as_deref());
        let on = format!("CONSTRAINT {} ON DOMAIN {name}", ident(&new.name));
        comment(&on, old, new.comment.as_deref(), out);
    }
}
