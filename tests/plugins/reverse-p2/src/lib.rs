//! A transformer that a user could have written, for `cargo build --target wasm32-wasip2` and no other tool: turns
//! text round. Its standard library asks for WASI, which the host answers with an empty one.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "transformer-plugin" });

use exports::pgstream::plugin::about::{self, Description, Offer, Uniqueness};
use exports::pgstream::plugin::transformer::{self, Column, GuestTransform, Needs, Output, Read, Rows, Rule};
use pgstream::plugin::data::{Packed, Shape, Values};
use pgstream::plugin::host::{Level, log};

struct Reverse;
struct Transform;

impl about::Guest for Reverse {
    fn describe() -> Description {
        Description {
            name: "reverse-p2".into(),
            version: "0.1.0".into(),
            summary: "Turns text round".into(),
            offers: vec![Offer {
                name: "reverse".into(),
                summary: "the text from its last character to its first".into(),
                accepts: vec![Shape::Text],
                uniqueness: Uniqueness::Preserved,
                deterministic: true,
                parameters: vec![],
            }],
        }
    }
}

impl transformer::Guest for Reverse {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        log(Level::Info, &format!("bound to {}.{}", rule.table.schema, rule.table.name));
        println!("a line on stdout, which is the host's to keep or to drop");
        let reads = rule.targets.iter().map(|&at| Read { at, shape: Shape::Text }).collect();
        Ok((transformer::Transform::new(Transform), Needs { reads, writes: rule.targets, nonces: false }))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        Ok(Output { columns: rows.columns.into_iter().map(reverse).collect(), failures: vec![] })
    }
}

fn reverse(column: Column) -> Column {
    let Values::Text(Packed { ends, data }) = column.values else { unreachable!("text was asked for") };
    let (mut start, mut out) = (0, Vec::with_capacity(data.len()));
    for &end in &ends {
        let text = std::str::from_utf8(&data[start..end as usize]).expect("Postgres text is UTF-8");
        out.extend(text.chars().rev().collect::<String>().bytes());
        start = end as usize;
    }
    Column { values: Values::Text(Packed { ends, data: out }), ..column }
}

export!(Reverse);
