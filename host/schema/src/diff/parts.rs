//! What tables and views have parts of: options, indexes, constraints, triggers, policies, rules, statistics.
//!
//! A part is the same if its oid is. A type that changes makes indexes and constraints anew, on the target as on the
//! source: one of the same name and definition is the same too.

use std::collections::HashSet;

use super::objects::comment;
use super::{Out, Step};
use crate::document::{Constraint, Index, Oid, Policy, Rule, Statistics, Trigger};
use crate::name::{Name, ident, literal};
use crate::statement::{Effect, Kind};

/// A part with a name and a number.
trait Part {
    fn oid(&self) -> Oid;
    fn name(&self) -> &str;
    fn definition(&self) -> &str;
}

macro_rules! part {
    ($($part:ty),*) => {
        $(impl Part for $part {
            fn oid(&self) -> Oid {
                self.oid
            }
            fn name(&self) -> &str {
                &self.name
            }
            fn definition(&self) -> &str {
                &self.definition
            }
        })*
    };
}

part!(Constraint, Index, Trigger, Rule, Statistics);

impl Part for Policy {
    fn oid(&self) -> Oid {
        self.oid
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn definition(&self) -> &str {
        &self.command
    }
}

/// The part of before that this one is.
fn old_of<'p, P: Part>(before: &'p [P], new: &P) -> Option<&'p P> {
    before.iter().find(|old| old.oid() == new.oid()).or_else(|| {
        before.iter().find(|old| old.name() == new.name() && old.definition() == new.definition())
    })
}

/// Parts of before that are no part of after.
fn gone<'p, P: Part>(before: &'p [P], after: &'p [P]) -> impl Iterator<Item = &'p P> {
    before.iter().filter(move |old| {
        !after.iter().any(|new| old_of(before, new).is_some_and(|it| it.oid() == old.oid()))
    })
}

/// `name=value` as `name = 'value'`.
pub(super) fn options(options: &[String]) -> String {
    let each = options.iter().map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        // `toast.` and the like are not part of the identifier.
        format!("{name} = {}", literal(value))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// `SET (...)` and `RESET (...)`, as far as they are needed.
pub(super) fn change_options(what: &str, before: &[String], after: &[String], out: &mut Out<'_>) {
    let key = |option: &String| option.split('=').next().unwrap_or_default().to_owned();
    let set: Vec<String> = after.iter().filter(|option| !before.contains(option)).cloned().collect();
    let reset: Vec<String> =
        before.iter().map(key).filter(|name| !after.iter().any(|option| key(option) == *name)).collect();
    if !set.is_empty() {
        out.push(Step::Rest, Effect::Alter, format!("ALTER {what} SET ({})", options(&set)));
    }
    if !reset.is_empty() {
        out.push(Step::Rest, Effect::Alter, format!("ALTER {what} RESET ({})", reset.join(", ")));
    }
}

/// Indexes that are no part of a constraint. `adopted` are those that a new constraint takes over.
pub(super) fn indexes(
    (old_table, table): (&Name, &Name),
    before: &[Index],
    after: &[Index],
    adopted: &HashSet<Oid>,
    out: &mut Out<'_>,
) {
    let kind = Kind::Index;
    let (old_schema, schema) = (old_table.schema.as_str(), table.schema.as_str());
    for old in gone(before, after).filter(|old| old.constraint.is_none() && old.parent.is_none()) {
        let sql = format!("DROP INDEX {}", Name::new(old_schema, &old.name));
        out.push_of(Step::DropParts, kind, Effect::Remove, sql);
    }
    for new in after {
        let name = Name::new(schema, &new.name);
        let old = old_of(before, new);
        if let Some(old) = old {
            // One of a constraint has the constraint's name, and gets it with it.
            if old.name != new.name && new.constraint.is_none() {
                let sql =
                    format!("ALTER INDEX {} RENAME TO {}", Name::new(schema, &old.name), ident(&new.name));
                out.push_of(Step::Names, kind, Effect::Alter, sql);
            }
            change_options(&format!("INDEX {name}"), &old.options, &new.options, out);
        } else if new.constraint.is_none() && new.parent.is_none() {
            out.push_of(Step::Parts, kind, Effect::Create, create_index(new));
        }
        if let (Some(old), Some(parent)) = (old, &new.parent)
            && old.parent.is_none()
            && !adopted.contains(&new.oid)
        {
            let sql = format!("ALTER INDEX {} ATTACH PARTITION {name}", parent.full_name());
            out.push_of(Step::Rest, kind, Effect::Alter, sql);
        }
        if new.clustered && !old.is_some_and(|old| old.clustered) {
            out.push_of(
                Step::Rest,
                kind,
                Effect::Alter,
                format!("ALTER TABLE {table} CLUSTER ON {}", ident(&new.name)),
            );
        }
        let old_comment = old.and_then(|old| old.comment.as_deref());
        comment(&format!("INDEX {name}"), old_comment, new.comment.as_deref(), out);
    }
    if before.iter().any(|old| old.clustered) && !after.iter().any(|new| new.clustered) {
        out.push_of(
            Step::DropParts,
            kind,
            Effect::Alter,
            format!("ALTER TABLE {old_table} SET WITHOUT CLUSTER"),
        );
    }
}

/// Postgres prints the index of a partitioned table with ONLY, which makes it for no partition. One that is valid is one
/// that all partitions have.
fn create_index(index: &Index) -> String {
    let definition = &index.definition;
    if !index.valid {
        return definition.clone();
    }
    let unique = if index.unique { "UNIQUE " } else { "" };
    for name in [index.name.clone(), ident(&index.name)] {
        let head = format!("CREATE {unique}INDEX {name} ON ");
        if let Some(rest) = definition.strip_prefix(&head).and_then(|rest| rest.strip_prefix("ONLY ")) {
            return head + rest;
        }
    }
    definition.clone()
}

/// Constraints of a table, foreign keys or others. The answer are the indexes that new ones take over.
pub(super) fn constraints(
    (old_table, table): (&Name, &Name),
    before: (&[Constraint], &[Index]),
    after: (&[Constraint], &[Index]),
    (dropping, adding): (Step, Step),
    out: &mut Out<'_>,
) -> HashSet<Oid> {
    let kind = Kind::Constraint;
    let ((before, old_indexes), (after, new_indexes)) = (before, after);
    let mut adopted = HashSet::new();
    for old in gone(before, after).filter(|old| !old.inherited) {
        let sql = format!("ALTER TABLE {old_table} DROP CONSTRAINT {}", ident(&old.name));
        out.push_of(dropping, kind, Effect::Remove, sql);
    }
    for new in after {
        let name = ident(&new.name);
        match old_of(before, new) {
            Some(old) => {
                if old.name != new.name && !new.inherited {
                    let sql = format!("ALTER TABLE {table} RENAME CONSTRAINT {} TO {name}", ident(&old.name));
                    out.push_of(Step::Names, kind, Effect::Alter, sql);
                }
                if new.valid && !old.valid {
                    let sql = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
                    out.push_of(adding, kind, Effect::Alter, sql);
                }
                if let Some(deferrable) = deferrability(old, new) {
                    let sql = format!("ALTER TABLE {table} ALTER CONSTRAINT {name} {deferrable}");
                    out.push_of(adding, kind, Effect::Alter, sql);
                }
            }
            None if new.inherited => {}
            None => {
                let index = new_indexes.iter().find(|index| index.constraint == Some(new.oid));
                let there = index.and_then(|index| old_indexes.iter().find(|old| old.oid == index.oid));
                let sql = match (index, there) {
                    (Some(_), Some(old)) => {
                        adopted.insert(old.oid);
                        let what =
                            if new.definition.starts_with("PRIMARY KEY") { "PRIMARY KEY" } else { "UNIQUE" };
                        let tail = timing(&new.definition);
                        format!(
                            "ALTER TABLE {table} ADD CONSTRAINT {name} {what} USING INDEX {}{tail}",
                            ident(&old.name)
                        )
                    }
                    _ => format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}", new.definition),
                };
                out.push_of(adding, kind, Effect::Create, sql);
            }
        }
        let old_comment = old_of(before, new).and_then(|old| old.comment.as_deref());
        comment(&format!("CONSTRAINT {name} ON {table}"), old_comment, new.comment.as_deref(), out);
    }
    adopted
}

/// What Postgres prints last of all, but for NOT VALID.
fn timing(definition: &str) -> &'static str {
    let definition = definition.strip_suffix(" NOT VALID").unwrap_or(definition);
    if definition.ends_with(" DEFERRABLE INITIALLY DEFERRED") {
        " DEFERRABLE INITIALLY DEFERRED"
    } else if definition.ends_with(" DEFERRABLE") {
        " DEFERRABLE"
    } else {
        ""
    }
}

/// When a foreign key is checked, if that has changed.
fn deferrability(old: &Constraint, new: &Constraint) -> Option<&'static str> {
    let (was, is) = (timing(&old.definition), timing(&new.definition));
    (was != is && new.references.is_some()).then_some(match is {
        "" => "NOT DEFERRABLE",
        " DEFERRABLE" => "DEFERRABLE INITIALLY IMMEDIATE",
        _ => "DEFERRABLE INITIALLY DEFERRED",
    })
}

fn enabling(enabled: Option<&str>) -> &'static str {
    match enabled {
        Some("D") => "DISABLE",
        Some("R") => "ENABLE REPLICA",
        Some("A") => "ENABLE ALWAYS",
        _ => "ENABLE",
    }
}

/// Triggers of a table or view.
pub(super) fn triggers(
    (old_on, on): (&str, &str),
    what: &str,
    before: &[Trigger],
    after: &[Trigger],
    out: &mut Out<'_>,
) {
    let kind = Kind::Trigger;
    for old in gone(before, after) {
        let sql = format!("DROP TRIGGER {} ON {old_on}", ident(&old.name));
        out.push_of(Step::DropAttached, kind, Effect::Remove, sql);
    }
    for new in after {
        let old = old_of(before, new);
        let name = ident(&new.name);
        if let Some(old) = old.filter(|old| old.name != new.name) {
            let sql = format!("ALTER TRIGGER {} ON {on} RENAME TO {name}", ident(&old.name));
            out.push_of(Step::Names, kind, Effect::Alter, sql);
        }
        if old.is_none_or(|old| old.definition != new.definition) {
            let replaced = new.definition.strip_prefix("CREATE TRIGGER ");
            match (old, replaced) {
                (Some(_), Some(rest)) => {
                    let sql = format!("CREATE OR REPLACE TRIGGER {rest}");
                    out.push_of(Step::Attached, kind, Effect::Alter, sql);
                }
                // A constraint trigger cannot be replaced.
                (Some(_), None) => {
                    let sql = format!("DROP TRIGGER {name} ON {on}");
                    out.push_of(Step::Attached, kind, Effect::Remove, sql);
                    out.push_of(Step::Attached, kind, Effect::Create, new.definition.clone());
                }
                (None, _) => out.push_of(Step::Attached, kind, Effect::Create, new.definition.clone()),
            }
        }
        if old.and_then(|old| old.enabled.as_deref()) != new.enabled.as_deref() && what == "TABLE" {
            let sql = format!("ALTER TABLE {on} {} TRIGGER {name}", enabling(new.enabled.as_deref()));
            out.push_of(Step::Rest, kind, Effect::Alter, sql);
        }
        let old_comment = old.and_then(|old| old.comment.as_deref());
        comment(&format!("TRIGGER {name} ON {on}"), old_comment, new.comment.as_deref(), out);
    }
}

/// Rules of a table or view.
pub(super) fn rules((old_on, on): (&str, &str), before: &[Rule], after: &[Rule], out: &mut Out<'_>) {
    let kind = Kind::Rule;
    for old in gone(before, after) {
        let sql = format!("DROP RULE {} ON {old_on}", ident(&old.name));
        out.push_of(Step::DropAttached, kind, Effect::Remove, sql);
    }
    for new in after {
        let old = old_of(before, new);
        let name = ident(&new.name);
        if let Some(old) = old.filter(|old| old.name != new.name) {
            let sql = format!("ALTER RULE {} ON {on} RENAME TO {name}", ident(&old.name));
            out.push_of(Step::Names, kind, Effect::Alter, sql);
        }
        if old.is_none_or(|old| old.definition != new.definition) {
            let rest =
                new.definition.strip_prefix("CREATE ").unwrap_or(&new.definition).trim_end_matches(';');
            let effect = if old.is_some() { Effect::Alter } else { Effect::Create };
            out.push_of(Step::Attached, kind, effect, format!("CREATE OR REPLACE {rest}"));
        }
        if old.and_then(|old| old.enabled.as_deref()) != new.enabled.as_deref() {
            let sql = format!("ALTER TABLE {on} {} RULE {name}", enabling(new.enabled.as_deref()));
            out.push_of(Step::Rest, kind, Effect::Alter, sql);
        }
        let old_comment = old.and_then(|old| old.comment.as_deref());
        comment(&format!("RULE {name} ON {on}"), old_comment, new.comment.as_deref(), out);
    }
}

/// Row security policies of a table.
pub(super) fn policies((old_on, on): (&str, &str), before: &[Policy], after: &[Policy], out: &mut Out<'_>) {
    let kind = Kind::Policy;
    let roles = |policy: &Policy| {
        let each =
            policy.roles.iter().map(|role| if role == "public" { "PUBLIC".to_owned() } else { ident(role) });
        each.collect::<Vec<_>>().join(", ")
    };
    let conditions = |policy: &Policy| {
        let using = policy.using.as_ref().map(|using| format!(" USING ({using})")).unwrap_or_default();
        let check = policy.check.as_ref().map(|check| format!(" WITH CHECK ({check})")).unwrap_or_default();
        using + &check
    };
    for old in gone(before, after) {
        let sql = format!("DROP POLICY {} ON {old_on}", ident(&old.name));
        out.push_of(Step::DropAttached, kind, Effect::Remove, sql);
    }
    for new in after {
        let name = ident(&new.name);
        let create = || {
            let restrictive = if new.restrictive { " AS RESTRICTIVE" } else { "" };
            let command = match new.command.as_str() {
                "r" => "SELECT",
                "a" => "INSERT",
                "w" => "UPDATE",
                "d" => "DELETE",
                _ => "ALL",
            };
            format!(
                "CREATE POLICY {name} ON {on}{restrictive} FOR {command} TO {}{}",
                roles(new),
                conditions(new)
            )
        };
        let old = before.iter().find(|old| old.oid == new.oid);
        match old {
            None => out.push_of(Step::Attached, kind, Effect::Create, create()),
            Some(old) => {
                if old.name != new.name {
                    let sql = format!("ALTER POLICY {} ON {on} RENAME TO {name}", ident(&old.name));
                    out.push_of(Step::Names, kind, Effect::Alter, sql);
                }
                if old.roles != new.roles || old.using != new.using || old.check != new.check {
                    let sql = format!("ALTER POLICY {name} ON {on} TO {}{}", roles(new), conditions(new));
                    out.push_of(Step::Attached, kind, Effect::Alter, sql);
                }
            }
        }
        let old_comment = old.and_then(|old| old.comment.as_deref());
        comment(&format!("POLICY {name} ON {on}"), old_comment, new.comment.as_deref(), out);
    }
}

/// Extended statistics of a table.
pub(super) fn statistics(before: &[Statistics], after: &[Statistics], out: &mut Out<'_>) {
    let kind = Kind::Statistics;
    for old in gone(before, after) {
        let sql = format!("DROP STATISTICS {}", Name::new(&old.schema, &old.name));
        out.push_of(Step::DropParts, kind, Effect::Remove, sql);
    }
    for new in after {
        let name = Name::new(&new.schema, &new.name);
        let old = before.iter().find(|old| old.oid == new.oid);
        match old {
            None => out.push_of(Step::Attached, kind, Effect::Create, new.definition.clone()),
            Some(old) => {
                let mut old_name = Name::new(&old.schema, &old.name);
                if old_name.schema != name.schema {
                    let sql = format!("ALTER STATISTICS {old_name} SET SCHEMA {}", ident(&new.schema));
                    out.push_of(Step::Names, kind, Effect::Alter, sql);
                    old_name.schema.clone_from(&new.schema);
                }
                if old.name != new.name {
                    let sql = format!("ALTER STATISTICS {old_name} RENAME TO {}", ident(&new.name));
                    out.push_of(Step::Names, kind, Effect::Alter, sql);
                }
            }
        }
        if old.and_then(|old| old.target) != new.target {
            let target = new.target.unwrap_or(-1);
            out.push_of(
                Step::Rest,
                kind,
                Effect::Alter,
                format!("ALTER STATISTICS {name} SET STATISTICS {target}"),
            );
        }
        let old_comment = old.and_then(|old| old.comment.as_deref());
        comment(&format!("STATISTICS {name}"), old_comment, new.comment.as_deref(), out);
    }
}
