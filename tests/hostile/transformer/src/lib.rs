//! A transformer that does harm, one way an offer: on the rows whose text is that of the setting, or in `bind`. Every
//! other row comes back in capitals, so that a test sees who was at work.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "transformer-plugin" });

mod harm;
mod offers;

use std::cell::Cell;

use exports::pgstream::plugin::about::{self, Description};
use exports::pgstream::plugin::transformer::{self, GuestTransform, Needs, Output, Read, Rows, Rule};
use pgstream::plugin::data::{Column, Packed, Shape, Values};

struct Hostile;

/// A bound rule.
struct Transform {
    harm: String,
    value: String,
    /// Panics when it is let go of.
    armed: Cell<bool>,
}

impl about::Guest for Hostile {
    fn describe() -> Description {
        offers::description()
    }
}

impl transformer::Guest for Hostile {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        let setting = rule.settings.iter().find(|(name, _)| name == "value");
        let value = setting.map(|(_, json)| serde_json::from_str(json)).transpose();
        let value = value.map_err(|_| "value must be a text")?.unwrap_or_default();
        let shape = |at: u16| match rule.table.columns.get(usize::from(at)).map(|column| column.type_oid) {
            Some(20 | 21 | 23) => Shape::Ints,
            _ => Shape::Text,
        };
        let reads = rule.targets.iter().map(|&at| Read { at, shape: shape(at) }).collect();
        let mut needs = Needs { reads, writes: rule.targets, nonces: false };
        harm::in_bind(&rule.offer, &mut needs)?;
        let armed = Cell::new(rule.offer == "panic-on-drop");
        let bound = transformer::Transform::new(Transform { harm: rule.offer, value, armed });
        Ok((harm::to_handle(&bound.get::<Transform>().harm.clone(), bound), needs))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        let target = rows.columns.first().ok_or("the column did not come")?;
        let is_prey =
            |text: String| text == self.value || (self.harm == "garbage" && text.starts_with(&self.value));
        let hit = (0..rows.count as usize).find(|&row| text_of(target, row).is_some_and(is_prey));
        if let (Some(row), "garbage") = (hit, self.harm.as_str()) {
            return harm::garbage(&text_of(target, row).unwrap_or_default(), rows);
        }
        let Rows { columns, count, .. } = rows;
        let good = Output { columns: columns.into_iter().map(in_capitals).collect(), failures: vec![] };
        match hit {
            Some(row) => harm::on_row(&self.harm, &self.value, row, count, good),
            None => Ok(good),
        }
    }
}

impl Drop for Transform {
    fn drop(&mut self) {
        assert!(!self.armed.get(), "let go of");
    }
}

/// The text of a row, or its number as text; nothing for a null.
fn text_of(column: &Column, row: usize) -> Option<String> {
    if column.states.get(row).is_some_and(|&state| state != 0) {
        return None;
    }
    match &column.values {
        Values::Text(Packed { ends, data }) => {
            let start = if row == 0 { 0 } else { ends[row - 1] as usize };
            Some(String::from_utf8_lossy(&data[start..ends[row] as usize]).into_owned())
        }
        Values::Ints(values) => Some(values[row].to_string()),
        _ => None,
    }
}

/// Plain letters only: their number stays.
fn in_capitals(mut column: Column) -> Column {
    if let Values::Text(packed) = &mut column.values {
        packed.data.make_ascii_uppercase();
    }
    column
}

export!(Hostile);
