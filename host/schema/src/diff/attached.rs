//! The statements of what hangs on tables and views: triggers, rules, policies, statistics.

use std::collections::BTreeSet;

use super::objects::comment;
use super::parts::{Part, gone, old_of};
use super::{Out, Step};
use crate::document::{Policy, Rule, Statistics, Switched, Trigger};
use crate::name::{Name, ident};
use crate::statement::{Effect, Kind};

fn enabling(enabled: Option<&str>) -> &'static str {
    match enabled {
        Some("D") => "DISABLE",
        Some("R") => "ENABLE REPLICA",
        Some("A") => "ENABLE ALWAYS",
        _ => "ENABLE",
    }
}

/// Drops what is gone, and gives the others their names.
fn names<P: Part>(
    word: &str,
    kind: Kind,
    (old_on, on): (&str, &str),
    before: &[P],
    after: &[P],
    out: &mut Out<'_>,
) {
    for old in gone(before, after) {
        let sql = format!("DROP {word} {} ON {old_on}", ident(old.name()));
        out.push_of(Step::DropAttached, kind, Effect::Remove, sql);
    }
    for new in after {
        if let Some(old) = old_of(before, new).filter(|old| old.name() != new.name()) {
            let sql = format!("ALTER {word} {} ON {on} RENAME TO {}", ident(old.name()), ident(new.name()));
            out.push_of(Step::Names, kind, Effect::Alter, sql);
        }
    }
}

/// Triggers of a table or view.
pub(super) fn triggers(
    (old_on, on): (&str, &str),
    what: &str,
    before: &[Trigger],
    after: &[Trigger],
    only: &str,
    out: &mut Out<'_>,
) {
    let kind = Kind::Trigger;
    names("TRIGGER", kind, (old_on, on), before, after, out);
    for new in after {
        let old = old_of(before, new);
        let name = ident(&new.name);
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
            let sql = format!("ALTER TABLE {only}{on} {} TRIGGER {name}", enabling(new.enabled.as_deref()));
            out.push_of(Step::Rest, kind, Effect::Alter, sql);
        }
        let old_comment = old.and_then(|old| old.comment.as_deref());
        comment(&format!("TRIGGER {name} ON {on}"), old_comment, new.comment.as_deref(), out);
    }
}

/// Triggers that a partition has from its parent: they are switched one by one.
pub(super) fn parent_triggers(on: &str, before: &[Switched], after: &[Switched], out: &mut Out<'_>) {
    let names: BTreeSet<&str> = before.iter().chain(after).map(|it| it.name.as_str()).collect();
    for name in names {
        let state = |of: &[Switched]| {
            let found = of.iter().find(|it| it.name == name);
            found.map_or("O".to_owned(), |it| it.enabled.clone())
        };
        if before.iter().find(|it| it.name == name) != after.iter().find(|it| it.name == name) {
            let sql =
                format!("ALTER TABLE ONLY {on} {} TRIGGER {}", enabling(Some(&state(after))), ident(name));
            out.push_of(Step::Rest, Kind::Trigger, Effect::Alter, sql);
        }
    }
}

/// Rules of a table or view.
pub(super) fn rules((old_on, on): (&str, &str), before: &[Rule], after: &[Rule], out: &mut Out<'_>) {
    let kind = Kind::Rule;
    names("RULE", kind, (old_on, on), before, after, out);
    for new in after {
        let old = old_of(before, new);
        let name = ident(&new.name);
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
    names("POLICY", kind, (old_on, on), before, after, out);
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
        let old = old_of(before, new);
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
