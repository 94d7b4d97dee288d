//! A transformer that is wrong: panics on a certain text and leaves the others as they are.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "transformer-plugin" });

use exports::pgstream::plugin::about::{self, Description, Kind, Offer, Parameter, Uniqueness};
use exports::pgstream::plugin::transformer::{self, GuestTransform, Needs, Output, Read, Rows, Rule};
use pgstream::plugin::data::{Shape, Values};

struct Trap;
struct Transform {
    value: String,
}

impl about::Guest for Trap {
    fn describe() -> Description {
        Description {
            name: "trap".into(),
            version: "0.1.0".into(),
            summary: "Panics on a value".into(),
            offers: vec![Offer {
                name: "trap-on".into(),
                summary: "panics on a row whose text is that of the setting; leaves the others".into(),
                accepts: vec![Shape::Text],
                uniqueness: Uniqueness::Preserved,
                deterministic: true,
                parameters: vec![Parameter {
                    name: "value".into(),
                    summary: "the text".into(),
                    kind: Kind::Text,
                    required: true,
                    dynamic: false,
                    default: None,
                    one_of: vec![],
                }],
            }],
        }
    }
}

impl transformer::Guest for Trap {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        let Some((_, value)) = rule.settings.iter().find(|(name, _)| name == "value") else {
            return Err("value is missing".into());
        };
        let value = serde_json::from_str(value).map_err(|_| "value must be a text")?;
        let reads = rule.targets.iter().map(|&at| Read { at, shape: Shape::Text }).collect();
        Ok((
            transformer::Transform::new(Transform { value }),
            Needs { reads, writes: rule.targets, nonces: false },
        ))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        for column in &rows.columns {
            let Values::Text(packed) = &column.values else { return Err("text was asked for".into()) };
            let mut start = 0;
            for (row, &end) in packed.ends.iter().enumerate() {
                let present = column.states.get(row).is_none_or(|&state| state == 0);
                if present && packed.data[start..end as usize] == *self.value.as_bytes() {
                    panic!("the value to trap on")
                }
                start = end as usize;
            }
        }
        Ok(Output { columns: rows.columns, failures: vec![] })
    }
}

export!(Trap);
