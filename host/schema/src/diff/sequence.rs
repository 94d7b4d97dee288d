//! The statements of sequences.

use super::context::Context;
use super::objects::{comment, rename_among};
use super::{Out, Step};
use crate::document::{IdentitySequence, OwnedBy, Sequence};
use crate::name::{Name, ident, literal};
use crate::statement::{Effect, Kind};

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

/// The sequence of an identity column, in parentheses.
pub(super) fn of_identity(schema: &str, it: &IdentitySequence) -> String {
    format!(
        "(SEQUENCE NAME {} INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {}CYCLE)",
        Name::new(schema, &it.name),
        it.increment,
        it.minimum,
        it.maximum,
        it.start,
        it.cache,
        if it.cycle { "" } else { "NO " }
    )
}

/// What the column's definition does not tell of its sequence.
pub(super) fn finish_identity(
    schema: &str,
    before: Option<&IdentitySequence>,
    after: &IdentitySequence,
    out: &mut Out<'_>,
) {
    let name = Name::new(schema, &after.name);
    if let Some(type_name) = &after.type_name
        && before.is_none_or(|before| before.type_name.as_ref() != Some(type_name))
    {
        let sql = format!(
            "ALTER SEQUENCE {name} AS {type_name} MINVALUE {} MAXVALUE {}",
            after.minimum, after.maximum
        );
        out.push_of(Step::Make, Kind::Sequence, Effect::Alter, sql);
    }
    let old_comment = before.and_then(|before| before.comment.as_deref());
    comment(&format!("SEQUENCE {name}"), old_comment, after.comment.as_deref(), out);
}

/// The sequence of an identity column that stays.
pub(super) fn change_identity(
    (table, column): (&Name, &str),
    (was, it): (&IdentitySequence, &IdentitySequence),
    out: &mut Out<'_>,
) {
    let name = Name::new(&table.schema, &it.name);
    if was.name != it.name {
        let old_name = Name::new(&table.schema, &was.name);
        let sql = format!("ALTER SEQUENCE {old_name} RENAME TO {}", ident(&it.name));
        out.push_of(Step::Names, Kind::Sequence, Effect::Alter, sql);
    }
    let bounds = |it: &IdentitySequence| (it.minimum.clone(), it.maximum.clone());
    narrow(&name, &bounds(was), &bounds(it), "", out);
    let settings = [
        (was.increment != it.increment).then(|| format!("SET INCREMENT BY {}", it.increment)),
        (was.minimum != it.minimum).then(|| format!("SET MINVALUE {}", it.minimum)),
        (was.maximum != it.maximum).then(|| format!("SET MAXVALUE {}", it.maximum)),
        (was.start != it.start).then(|| format!("SET START WITH {}", it.start)),
        (was.cache != it.cache).then(|| format!("SET CACHE {}", it.cache)),
        (was.cycle != it.cycle).then(|| format!("SET {}CYCLE", if it.cycle { "" } else { "NO " })),
    ];
    let settings: Vec<String> = settings.into_iter().flatten().collect();
    if !settings.is_empty() {
        let sql = format!("ALTER TABLE {table} ALTER COLUMN {} {}", ident(column), settings.join(" "));
        out.push_of(Step::Make, Kind::Column, Effect::Alter, sql);
    }
}

/// Where a sequence gets tighter bounds, its value has to lie within them first. The target's value is its own: it moves
/// no further than it must.
fn narrow(
    name: &Name,
    before: &(String, String),
    after: &(String, String),
    widest_type: &str,
    out: &mut Out<'_>,
) {
    let number = |text: &str| text.parse::<i64>().ok();
    let (Some(old_low), Some(old_high), Some(low), Some(high)) =
        (number(&before.0), number(&before.1), number(&after.0), number(&after.1))
    else {
        return;
    };
    if low <= old_low && high >= old_high {
        return;
    }
    let wider = format!(
        "ALTER SEQUENCE {name} {widest_type}MINVALUE {} MAXVALUE {}",
        low.min(old_low),
        high.max(old_high)
    );
    out.push_of(Step::Make, Kind::Sequence, Effect::Alter, wider);
    let value = format!("greatest(least(last_value, {high}), {low})");
    let moved = format!(
        "SELECT setval({}, {value}, false) FROM {name} WHERE last_value <> {value}",
        literal(&name.to_string())
    );
    out.push_of(Step::Make, Kind::Sequence, Effect::Alter, moved);
}

/// The sequence goes with its column from here on.
fn own(name: &Name, owner: &OwnedBy, out: &mut Out<'_>) {
    let column = format!("{}.{}", Name::new(&owner.schema, &owner.table), ident(&owner.column));
    out.push(Step::OwnSequences, Effect::Alter, format!("ALTER SEQUENCE {name} OWNED BY {column}"));
}

pub(super) fn make(after: &Sequence, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    let unlogged = if after.unlogged { "UNLOGGED " } else { "" };
    out.push(
        Step::Make,
        Effect::Create,
        format!("CREATE {unlogged}SEQUENCE {name} {}", sequence_options(after)),
    );
    if let Some(owner) = &after.owned_by {
        own(&name, owner, out);
    }
    comment(&format!("SEQUENCE {name}"), None, after.comment.as_deref(), out);
}

pub(super) fn change(before: &Sequence, after: &Sequence, context: &Context, out: &mut Out<'_>) {
    let name = Name::new(&after.schema, &after.name);
    let mut old_name = context.was(&before.schema, &before.name);
    // It moves with the table that it belongs to.
    if before.owned_by.is_some()
        && before.owned_by.as_ref().map(|it| it.oid) == after.owned_by.as_ref().map(|it| it.oid)
    {
        old_name.schema.clone_from(&after.schema);
    }
    rename_among("SEQUENCE", after.oid, &old_name, &name, context, out);
    if sequence_options(before) != sequence_options(after) {
        let bounds = |it: &Sequence| (it.minimum_value.clone(), it.maximum_value.clone());
        narrow(&name, &bounds(before), &bounds(after), "AS bigint ", out);
        out.push(Step::Make, Effect::Alter, format!("ALTER SEQUENCE {name} {}", sequence_options(after)));
    }
    let place = |it: &Sequence| it.owned_by.as_ref().map(|owner| (owner.oid, owner.attnum));
    if place(before) != place(after) {
        if before.owned_by.is_some() {
            // It would go with what it belonged to.
            let old_name = context.was(&before.schema, &before.name);
            out.push(Step::Loosen, Effect::Alter, format!("ALTER SEQUENCE {old_name} OWNED BY NONE"));
        }
        if let Some(owner) = &after.owned_by {
            own(&name, owner, out);
        }
    }
    if before.unlogged != after.unlogged {
        let logged = if after.unlogged { "UNLOGGED" } else { "LOGGED" };
        out.push(Step::Rest, Effect::Alter, format!("ALTER SEQUENCE {name} SET {logged}"));
    }
    comment(&format!("SEQUENCE {name}"), before.comment.as_deref(), after.comment.as_deref(), out);
}
