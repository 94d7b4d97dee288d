//! Schemas that a change renames: what is in them moves without a statement of its own.

use std::collections::HashMap;

use crate::document::Object;
use crate::log::Change;

/// From the old name of each renamed schema to the new one.
pub(super) struct Renamed(HashMap<String, String>);

impl Renamed {
    /// The schema's name once schemas are renamed.
    pub(super) fn now<'a>(&'a self, schema: &'a str) -> &'a str {
        self.0.get(schema).map_or(schema, String::as_str)
    }
}

pub(super) fn schemas(changes: &[Change]) -> Renamed {
    let renamed = changes.iter().filter_map(|change| match (&change.before, &change.after) {
        (Some(Object::Schema(before)), Some(Object::Schema(after))) if before.name != after.name => {
            Some((before.name.clone(), after.name.clone()))
        }
        _ => None,
    });
    Renamed(renamed.collect())
}
