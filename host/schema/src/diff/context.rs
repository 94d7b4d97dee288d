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
    /// Those of them that are no types.
    pub(super) removed_rest: HashSet<Oid>,
    /// Objects that no view may hold on to: those that are gone, tables whose columns go or get another type, and views
    /// that are made anew because of those.
    pub(super) disturbed: HashSet<Oid>,
    /// Tables that others inherit from: what is done to such a table alone, its heirs are told of themselves.
    heirs: HashSet<Oid>,
    /// Columns, by the parent's number and their name, that may not be null in an heir that changed too.
    full_below: HashSet<(Oid, String)>,
    /// Tables that are new, and whose partitions may be attached.
    made: HashSet<Oid>,
    /// Columns of theirs that have a default, by number of the table and name.
    defaults: HashSet<(Oid, String)>,
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
            removed_rest: changes
                .iter()
                .filter(|change| change.after.is_none() && !matches!(change.before, Some(Object::Type(_))))
                .map(|change| change.oid)
                .collect(),
            disturbed: HashSet::new(),
            heirs: changes.iter().filter(|change| change.heirs).map(|change| change.oid).collect(),
            full_below: HashSet::new(),
            made: HashSet::new(),
            defaults: HashSet::new(),
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
            if let (None, Some(Object::Table(table))) = (&change.before, &change.after) {
                // An index that not all partitions have would come to one that is attached.
                if table.indexes.iter().all(|index| index.valid) {
                    context.made.insert(table.oid);
                }
                let with_default = table.columns.iter().filter(|column| column.default.is_some());
                context.defaults.extend(with_default.map(|column| (table.oid, column.name.clone())));
            }
            if let Some(Object::Table(table)) = &change.after {
                for column in table.columns.iter().filter(|column| !column.nullable) {
                    let below = table.inherits.iter().map(|parent| (parent.oid, column.name.clone()));
                    context.full_below.extend(below);
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

    /// `ONLY ` for a table that others inherit from, to do something to it alone.
    pub(super) fn only(&self, oid: Oid) -> &'static str {
        if self.heirs.contains(&oid) { "ONLY " } else { "" }
    }

    /// The same, if no heir gets a column of that name that may not be null.
    pub(super) fn only_if_alone(&self, oid: Oid, column: &str) -> &'static str {
        if self.full_below.contains(&(oid, column.to_owned())) { "" } else { self.only(oid) }
    }

    /// The table is made by the same changes, and a partition may be attached to it.
    pub(super) fn makes(&self, oid: Oid) -> bool {
        self.made.contains(&oid)
    }

    /// A table that is made by the same changes has a default there.
    pub(super) fn makes_default(&self, oid: Oid, column: &str) -> bool {
        self.defaults.contains(&(oid, column.to_owned()))
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
        new.is_none_or(|new| super::column::is_retyped(old, new))
    })
}
