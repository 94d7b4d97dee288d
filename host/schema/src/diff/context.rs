//! What the changes of one statement have to know of each other.

use std::collections::{HashMap, HashSet};

use crate::document::{Object, Oid, Table};
use crate::log::Change;
use crate::name::Name;

/// What is true of all changes together.
pub(super) struct Context {
    /// From the old name of each renamed schema to the new one.
    schemas: HashMap<String, String>,
    /// Schemas that went and came again under the same name: empty in between, they may stay. With their old comments.
    pub(super) remade: HashMap<String, Option<String>>,
    /// Objects that are gone.
    pub(super) removed: HashSet<Oid>,
    /// Objects that no view may hold on to: those that are gone, tables whose columns go or get another type, and views
    /// that are made anew because of those.
    pub(super) disturbed: HashSet<Oid>,
    /// Names of relations and types before, with who has them.
    before: HashMap<Name, HashSet<Oid>>,
    /// The same after.
    after: HashMap<Name, HashSet<Oid>>,
}

impl Context {
    pub(super) fn of(changes: &[Change]) -> Self {
        let renamed = changes.iter().filter_map(|change| match (&change.before, &change.after) {
            (Some(Object::Schema(before)), Some(Object::Schema(after))) if before.name != after.name => {
                Some((before.name.clone(), after.name.clone()))
            }
            _ => None,
        });
        let made: HashSet<&String> = changes
            .iter()
            .filter_map(|change| match (&change.before, &change.after) {
                (None, Some(Object::Schema(after))) => Some(&after.name),
                _ => None,
            })
            .collect();
        let remade = changes.iter().filter_map(|change| match (&change.before, &change.after) {
            (Some(Object::Schema(before)), None) if made.contains(&before.name) => {
                Some((before.name.clone(), before.comment.clone()))
            }
            _ => None,
        });
        let mut context = Self {
            remade: remade.collect(),
            schemas: renamed.collect(),
            removed: changes
                .iter()
                .filter(|change| change.after.is_none())
                .map(|change| change.oid)
                .collect(),
            disturbed: HashSet::new(),
            before: HashMap::new(),
            after: HashMap::new(),
        };
        for change in changes {
            for (state, names) in [(&change.before, &mut context.before), (&change.after, &mut context.after)]
            {
                if let Some(object) = state.as_ref().filter(|object| has_name(object)) {
                    names.entry(object.name()).or_default().insert(change.oid);
                }
            }
        }
        context.disturbed = disturbed(changes, &context.removed);
        context
    }

    /// The schema's name once schemas are renamed.
    pub(super) fn now<'a>(&'a self, schema: &'a str) -> &'a str {
        self.schemas.get(schema).map_or(schema, String::as_str)
    }

    /// The name of before, in the schema as it is called now.
    pub(super) fn was(&self, schema: &str, name: &str) -> Name {
        Name::new(self.now(schema), name)
    }

    /// Somebody else had this name before, and may have it still when names are given.
    pub(super) fn was_anothers(&self, name: &Name, oid: Oid) -> bool {
        let is_another = |holder: &Oid| *holder != oid && !self.removed.contains(holder);
        self.before.get(name).is_some_and(|holders| holders.iter().any(is_another))
    }

    /// Somebody else will have this name.
    pub(super) fn will_be_anothers(&self, name: &Name, oid: Oid) -> bool {
        self.after.get(name).is_some_and(|holders| holders.iter().any(|holder| *holder != oid))
    }
}

/// Relations and types share their names.
fn has_name(object: &Object) -> bool {
    match object {
        Object::Table(_)
        | Object::View(_)
        | Object::MaterializedView(_)
        | Object::Sequence(_)
        | Object::Type(_) => true,
        Object::Schema(_) | Object::Extension(_) | Object::Function(_) => false,
    }
}

fn disturbed(changes: &[Change], removed: &HashSet<Oid>) -> HashSet<Oid> {
    let mut disturbed = removed.clone();
    for change in changes {
        if let (Some(Object::Table(before)), Some(Object::Table(after))) = (&change.before, &change.after)
            && loses(before, after)
        {
            disturbed.insert(change.oid);
        }
    }
    // Views on views.
    loop {
        let more: Vec<Oid> = changes
            .iter()
            .filter(|change| !disturbed.contains(&change.oid))
            .filter_map(|change| match &change.before {
                Some(Object::View(view)) => Some((change.oid, &view.needs)),
                _ => None,
            })
            .filter(|(_, needs)| needs.iter().any(|oid| disturbed.contains(oid)))
            .map(|(oid, _)| oid)
            .collect();
        if more.is_empty() {
            return disturbed;
        }
        disturbed.extend(more);
    }
}

/// Whether a column goes or gets another type.
fn loses(before: &Table, after: &Table) -> bool {
    before.columns.iter().any(|old| {
        let new = after.columns.iter().find(|new| new.attnum == old.attnum);
        new.is_none_or(|new| super::table::is_retyped(old, new))
    })
}
