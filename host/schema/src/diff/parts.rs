//! What tables and views have parts of: options, indexes, constraints.
//!
//! A part is the same if its oid is. A type that changes makes indexes and constraints anew, on the target as on the
//! source: one of the same name and definition is the same too.

use std::collections::{BTreeSet, HashSet};

use super::objects::comment;
use super::{Out, Step};
use crate::document::{Constraint, Index, Oid, Policy, Rule, Statistics, Trigger};
use crate::name::{Name, ident, literal};
use crate::statement::{Effect, Kind};

/// A part with a name and a number.
pub(super) trait Part {
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
pub(super) fn old_of<'p, P: Part>(before: &'p [P], new: &P) -> Option<&'p P> {
    before.iter().find(|old| old.oid() == new.oid()).or_else(|| {
        before.iter().find(|old| old.name() == new.name() && old.definition() == new.definition())
    })
}

/// Parts of before that are no part of after.
pub(super) fn gone<'p, P: Part>(before: &'p [P], after: &'p [P]) -> impl Iterator<Item = &'p P> {
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

/// The names of options of a TOAST table.
pub(super) fn toast(options: &[String]) -> Vec<String> {
    options.iter().map(|option| format!("toast.{option}")).collect()
}

/// As [`change_options`], of its TOAST table.
pub(super) fn change_toast_options(what: &str, before: &[String], after: &[String], out: &mut Out<'_>) {
    change_options(what, &toast(before), &toast(after), out);
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
        } else if new.constraint.is_some() {
            // The definition of a constraint does not tell them.
            change_options(&format!("INDEX {name}"), &[], &new.options, out);
        }
        let old_targets = old.map(|old| old.statistics.clone()).unwrap_or_default();
        for number in old_targets.keys().chain(new.statistics.keys()).collect::<BTreeSet<_>>() {
            let (was, is) = (old_targets.get(number), new.statistics.get(number));
            if was != is {
                let target = is.copied().unwrap_or(-1);
                let sql = format!("ALTER INDEX {name} ALTER COLUMN {number} SET STATISTICS {target}");
                out.push_of(Step::Rest, kind, Effect::Alter, sql);
            }
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

/// The table that constraints are of.
pub(super) struct Names<'a> {
    pub(super) old: &'a Name,
    pub(super) new: &'a Name,
    /// `ONLY ` if other tables inherit from it.
    pub(super) only: &'static str,
    /// It inherited from another one, and is told itself what that one loses.
    pub(super) heir: bool,
}

/// Constraints of a table, foreign keys or others. The answer are the indexes that new ones take over.
pub(super) fn constraints(
    names: &Names<'_>,
    before: (&[Constraint], &[Index]),
    after: (&[Constraint], &[Index]),
    (dropping, adding): (Step, Step),
    out: &mut Out<'_>,
) -> HashSet<Oid> {
    let kind = Kind::Constraint;
    let ((before, old_indexes), (after, new_indexes)) = (before, after);
    let (old_table, table, only) = (names.old, names.new, names.only);
    let mut adopted = HashSet::new();
    let index_of = |it: &Constraint| new_indexes.iter().find(|index| index.constraint == Some(it.oid));
    for old in gone(before, after).filter(|old| !old.inherited || names.heir) {
        let sql = format!("ALTER TABLE {only}{old_table} DROP CONSTRAINT {}", ident(&old.name));
        out.push_of(dropping, kind, Effect::Remove, sql);
    }
    for new in after {
        let name = ident(&new.name);
        match old_of(before, new) {
            Some(old) => {
                // A condition gets its new name with the parent's; a key of a partition has one of its own.
                let has_own_name = !new.inherited || new.references.is_some() || index_of(new).is_some();
                if old.name != new.name && has_own_name {
                    let sql = format!("ALTER TABLE {table} RENAME CONSTRAINT {} TO {name}", ident(&old.name));
                    out.push_of(Step::Names, kind, Effect::Alter, sql);
                }
                if new.enforced != old.enforced {
                    let not = if new.enforced { "" } else { "NOT " };
                    let sql = format!("ALTER TABLE {table} ALTER CONSTRAINT {name} {not}ENFORCED");
                    out.push_of(adding, kind, Effect::Alter, sql);
                } else if new.valid && !old.valid {
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
                let index = index_of(new);
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
                    // A key that partitions do not have yet.
                    (Some(index), None) if !index.valid => {
                        format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {}", new.definition)
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

/// What Postgres prints last of all, but for NOT VALID and NOT ENFORCED.
fn timing(definition: &str) -> &'static str {
    let end = [" NOT VALID", " NOT ENFORCED"].into_iter().find_map(|end| definition.strip_suffix(end));
    let definition = end.unwrap_or(definition);
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
