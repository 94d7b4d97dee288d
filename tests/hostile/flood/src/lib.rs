//! A transformer that makes the host work and keep things for it: it asks for timers that it never lets go of, and for
//! random numbers by the million. The text of a row says what. It also asks for the clock and one number, straight.

wit_bindgen::generate!({ path: ["../../../wit/v0", "wit"], world: "hostile:flood/flood", generate_all });

use exports::pgstream::plugin::about::{self, Description, Offer, Uniqueness};
use exports::pgstream::plugin::transformer::{self, GuestTransform, Needs, Output, Read, Rows, Rule};
use pgstream::plugin::data::{Column, Packed, Shape, Values};
use wasi::clocks::monotonic_clock::{now, subscribe_duration};
use wasi::random::random::get_random_bytes;

struct Flood;
struct Transform;

impl about::Guest for Flood {
    fn describe() -> Description {
        Description {
            name: "hostile-flood".into(),
            version: "0.1.0".into(),
            summary: "Floods the host with calls".into(),
            offers: vec![Offer {
                name: "flood".into(),
                summary: "timers, random, much-random; draw and now are answered, any other text comes back"
                    .into(),
                accepts: vec![Shape::Text],
                uniqueness: Uniqueness::Likely,
                deterministic: true,
                parameters: vec![],
            }],
        }
    }
}

impl transformer::Guest for Flood {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        let reads = rule.targets.iter().map(|&at| Read { at, shape: Shape::Text }).collect();
        Ok((transformer::Transform::new(Transform), Needs { reads, writes: rule.targets, nonces: false }))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        let Some(Values::Text(packed)) = rows.columns.first().map(|column| &column.values) else {
            return Err("text was asked for".into());
        };
        match String::from_utf8_lossy(&packed.data).as_ref() {
            "timers" => loop {
                std::mem::forget(subscribe_duration(1 << 40));
            },
            "random" => loop {
                get_random_bytes(1 << 10);
            },
            "much-random" => loop {
                get_random_bytes(48 << 20);
            },
            _ => Ok(Output { columns: rows.columns.into_iter().map(answered).collect(), failures: vec![] }),
        }
    }
}

/// Each text of `draw` becomes a random number and each of `now` the time, both straight from the host.
fn answered(column: Column) -> Column {
    let Values::Text(packed) = column.values else { unreachable!("text was asked for") };
    let (mut start, mut out) = (0, Packed { ends: vec![], data: vec![] });
    for end in packed.ends {
        let text = &packed.data[start..end as usize];
        match text {
            b"draw" => {
                out.data.extend(format!("{:?}", get_random_bytes(8)).bytes().filter(|byte| *byte != b' '))
            }
            b"now" => out.data.extend(now().to_string().bytes()),
            text => out.data.extend(text),
        }
        out.ends.push(out.data.len() as u32);
        start = end as usize;
    }
    Column { values: Values::Text(out), ..column }
}

export!(Flood);
