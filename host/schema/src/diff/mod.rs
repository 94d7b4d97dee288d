//! From changes to statements, in an order that works.
//!
//! Each object gives statements with a place in the order ([`Step`]). Within a step the order of needs is kept: what is made
//! is made after what it needs, what goes goes before what it needs.

mod attached;
mod column;
mod context;
mod objects;
mod parts;
mod sequence;
mod table;
mod types;

use std::collections::{BTreeMap, HashMap, HashSet};

use self::context::Context;
use crate::document::{Column, Object, Oid, Table};
use crate::log::Change;
use crate::statement::{Effect, Kind, Statement};

/// The order of statements: what goes first, by its old name; then names; then what comes, by its new name. Types go last,
/// since columns leave them only when they get another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Schemas are made and renamed.
    Schemas,
    /// Extensions are made and moved.
    Extensions,
    /// Foreign keys: no key that they refer to can go before.
    DropForeignKeys,
    /// Triggers, policies and rules.
    DropAttached,
    /// The last one made first.
    DropViews,
    /// Columns let go of what may go after them: defaults, identity, expressions.
    Loosen,
    /// Constraints, indexes and statistics of tables that stay.
    DropParts,
    /// Partitions and heirs are let go.
    Detach,
    DropColumns,
    /// Tables, functions, sequences, and types that are made of those: what needs others first.
    DropTables,
    /// Names that others need are given up for the time being.
    Aside,
    /// Objects get their new schemas and names.
    Names,
    /// And columns that had to give theirs up for each other.
    Columns,
    /// Objects are made and changed, in the order of their needs.
    Make,
    /// Sequences go with their columns from here on.
    OwnSequences,
    /// Constraints and indexes.
    Parts,
    ForeignKeys,
    /// New partitions, with all that they have in common with their new parents.
    Attach,
    /// Triggers, policies, rules, statistics.
    Attached,
    /// Comments, replica identity and the like.
    Rest,
    DropTypes,
    DropExtensions,
    DropSchemas,
}

/// Collects the statements of one object.
struct Out<'a> {
    statements: &'a mut Vec<(Step, usize, Statement)>,
    /// The place of the object in the order of needs.
    rank: usize,
    kind: Kind,
    subject: String,
}

impl Out<'_> {
    fn push(&mut self, step: Step, effect: Effect, sql: String) {
        self.push_of(step, self.kind, effect, sql);
    }

    fn push_of(&mut self, step: Step, kind: Kind, effect: Effect, sql: String) {
        let statement = Statement {
            sql,
            kind,
            subject: self.subject.clone(),
            effect,
            settles_at_commit: false,
            privilege: false,
        };
        self.statements.push((step, self.rank, statement));
    }

    fn push_settling(&mut self, sql: String) {
        self.push(Step::Make, Effect::Create, sql);
        if let Some((_, _, statement)) = self.statements.last_mut() {
            statement.settles_at_commit = true;
        }
    }
}

/// The statements that do on a target what these changes did on the source. All changes of one statement must be given
/// together, whatever schema they are of.
#[must_use]
pub fn statements(changes: &[Change]) -> Vec<Statement> {
    let mut found = Vec::new();
    let context = Context::of(changes);
    let made = ranks(changes, |change| change.after.as_ref());
    let gone = ranks(changes, |change| change.before.as_ref());
    for change in changes {
        let Some(object) = change.object() else { continue };
        let rank = match &change.after {
            Some(_) => made.get(&change.oid).copied().unwrap_or_default(),
            // The last one made goes first.
            None => usize::MAX - gone.get(&change.oid).copied().unwrap_or_default(),
        };
        let out = &mut Out {
            statements: &mut found,
            rank,
            kind: object.kind(),
            subject: object.name().to_string(),
        };
        objects::change(change, &context, out);
    }
    // Stable: what one object gives for a step stays in its order.
    found.sort_by_key(|(step, rank, _)| (*step, *rank));
    found.into_iter().map(|(_, _, statement)| statement).collect()
}

/// A column that gets another type by a statement of its table, not by its parent's or its type's.
#[derive(Clone, Copy, Debug)]
pub struct Retyping<'a> {
    /// The table before.
    pub table: &'a Table,
    /// The column before.
    pub old: &'a Column,
    /// The column after.
    pub new: &'a Column,
}

/// Whether a table has the same columns as before, of the same types: then a rewrite for a type's sake gave them new values.
#[must_use]
pub fn keeps_types(change: &Change) -> bool {
    let (Some(Object::Table(before)), Some(Object::Table(after))) = (&change.before, &change.after) else {
        return false;
    };
    let old = |new: &Column| before.columns.iter().find(|old| old.attnum == new.attnum);
    after.columns.iter().all(|new| old(new).is_none_or(|old| !column::is_retyped(old, new)))
}

/// The columns of a table that get another type.
#[must_use]
pub fn retypings(change: &Change) -> Vec<Retyping<'_>> {
    let (Some(Object::Table(before)), Some(Object::Table(after))) = (&change.before, &change.after) else {
        return Vec::new();
    };
    if before.of_type.is_some() && after.of_type.is_some() {
        return Vec::new();
    }
    let pairs = after.columns.iter().filter_map(|new| {
        let old = before.columns.iter().find(|old| old.attnum == new.attnum)?;
        (column::is_retyped(old, new) && !new.inherited).then_some(Retyping { table: before, old, new })
    });
    pairs.collect()
}

/// The changes from one state of objects to another.
#[must_use]
pub fn between(before: &[Object], after: &[Object]) -> Vec<Change> {
    let key = |object: &Object| (std::mem::discriminant(object), object.oid());
    let mut old: HashMap<_, &Object> = before.iter().map(|object| (key(object), object)).collect();
    let mut changes = Vec::new();
    for object in after {
        let was = old.remove(&key(object));
        // A view that is the same may stand in the way of what it is made of.
        if was != Some(object) || matches!(object, Object::View(_)) {
            changes.push(change(was.cloned(), object.clone()));
        }
    }
    for object in before.iter().filter(|object| old.contains_key(&key(object))) {
        changes.push(Change { after: None, ..change(Some(object.clone()), object.clone()) });
    }
    let disturbed = Context::of(&changes).disturbed;
    changes.retain(|change| change.before != change.after || disturbed.contains(&change.oid));
    let parents: HashSet<Oid> = before.iter().chain(after).flat_map(parents).collect();
    for change in &mut changes {
        change.heirs = parents.contains(&change.oid);
    }
    changes
}

/// The tables that an object inherits from.
fn parents(object: &Object) -> Vec<Oid> {
    match object {
        Object::Table(table) => table.inherits.iter().map(|parent| parent.oid).collect(),
        _ => Vec::new(),
    }
}

fn change(before: Option<Object>, after: Object) -> Change {
    Change {
        oid: after.oid(),
        before,
        after: Some(after),
        missing: BTreeMap::new(),
        rewritten: None,
        heirs: false,
        using: BTreeMap::new(),
    }
}

/// The place of each object among those that it needs, from a walk in depth.
fn ranks<'c>(changes: &'c [Change], state: impl Fn(&'c Change) -> Option<&'c Object>) -> HashMap<Oid, usize> {
    let mut objects: Vec<&Object> = changes.iter().filter_map(state).collect();
    // Where nothing tells, in the order of kinds that usually works, and the older first.
    objects.sort_by_key(|object| (order(object), object.oid()));
    let by_oid: HashMap<Oid, &Object> = objects.iter().map(|object| (object.oid(), *object)).collect();
    let mut ranks = HashMap::new();
    let mut open = HashSet::new();
    for object in objects {
        visit(object, &by_oid, &mut open, &mut ranks);
    }
    ranks
}

fn visit<'c>(
    object: &'c Object,
    by_oid: &HashMap<Oid, &'c Object>,
    open: &mut HashSet<Oid>,
    ranks: &mut HashMap<Oid, usize>,
) {
    // One that is open is reached again only through a circle, which no order breaks.
    if ranks.contains_key(&object.oid()) || !open.insert(object.oid()) {
        return;
    }
    let mut needs = object.needs();
    needs.sort();
    for needed in needs.iter().filter_map(|oid| by_oid.get(oid)) {
        visit(needed, by_oid, open, ranks);
    }
    ranks.insert(object.oid(), ranks.len());
}

fn order(object: &Object) -> u8 {
    match object {
        Object::Schema(_) => 0,
        Object::Extension(_) => 1,
        Object::Type(_) => 2,
        Object::Sequence(_) => 3,
        Object::Function(_) => 4,
        Object::Table(_) => 5,
        Object::View(_) => 6,
        Object::MaterializedView(_) => 7,
    }
}
