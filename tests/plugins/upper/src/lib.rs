//! A transformer that a user could have written: upper-cases text.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "transformer-plugin" });

use exports::pgstream::plugin::about::{self, Description, Offer, Uniqueness};
use exports::pgstream::plugin::transformer::{self, Column, GuestTransform, Needs, Output, Read, Rows, Rule};
use pgstream::plugin::data::{Packed, Shape, Values};

struct Upper;
struct Transform;

impl about::Guest for Upper {
    fn describe() -> Description {
        Description {
            name: "upper".into(),
            version: "0.1.0".into(),
            summary: "Upper-cases text".into(),
            offers: vec![Offer {
                name: "upper".into(),
                summary: "the text in upper case".into(),
                accepts: vec![Shape::Text],
                uniqueness: Uniqueness::Lost,
                deterministic: true,
                parameters: vec![],
            }],
        }
    }
}

impl transformer::Guest for Upper {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        if let Some((name, _)) = rule.settings.first() {
            return Err(format!("upper takes no parameter, and so not \"{name}\""));
        }
        let reads = rule.targets.iter().map(|&at| Read { at, shape: Shape::Text }).collect();
        Ok((transformer::Transform::new(Transform), Needs { reads, writes: rule.targets, nonces: false }))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        Ok(Output { columns: rows.columns.into_iter().map(upper).collect(), failures: vec![] })
    }
}

fn upper(column: Column) -> Column {
    let Values::Text(Packed { ends, data }) = column.values else { unreachable!("text was asked for") };
    let (mut start, mut out) = (0, Packed { ends: vec![], data: vec![] });
    for end in ends {
        let text = String::from_utf8_lossy(&data[start..end as usize]);
        out.data.extend(text.to_uppercase().bytes());
        out.ends.push(out.data.len() as u32);
        start = end as usize;
    }
    Column { values: Values::Text(out), ..column }
}

export!(Upper);
