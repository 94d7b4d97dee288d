//! A transformer that looks for a way out: for each row, the text says what to try, and what it found comes back.
//! Built for `wasm32-wasip2`, so that all of WASI is asked for.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "transformer-plugin" });

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exports::pgstream::plugin::about::{self, Description, Offer, Uniqueness};
use exports::pgstream::plugin::transformer::{self, Column, GuestTransform, Needs, Output, Read, Rows, Rule};
use pgstream::plugin::data::{Packed, Shape, Values};

struct LookAround;
struct Transform;

impl about::Guest for LookAround {
    fn describe() -> Description {
        Description {
            name: "look-around".into(),
            version: "0.1.0".into(),
            summary: "Tells what it can see of the host".into(),
            offers: vec![Offer {
                name: "look".into(),
                summary: "env NAME, read PATH, write PATH, connect ADDRESS, args, time, sleep, random".into(),
                accepts: vec![Shape::Text],
                uniqueness: Uniqueness::Lost,
                deterministic: false,
                parameters: vec![],
            }],
        }
    }
}

impl transformer::Guest for LookAround {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(rule: Rule) -> Result<(transformer::Transform, Needs), String> {
        let reads = rule.targets.iter().map(|&at| Read { at, shape: Shape::Text }).collect();
        Ok((transformer::Transform::new(Transform), Needs { reads, writes: rule.targets, nonces: false }))
    }

    fn apply(&self, rows: Rows) -> Result<Output, String> {
        Ok(Output { columns: rows.columns.into_iter().map(look_at_all).collect(), failures: vec![] })
    }
}

fn look_at_all(column: Column) -> Column {
    let Values::Text(Packed { ends, data }) = column.values else { unreachable!("text was asked for") };
    let (mut start, mut out) = (0, Packed { ends: vec![], data: vec![] });
    for end in ends {
        out.data.extend(look(&String::from_utf8_lossy(&data[start..end as usize])).bytes());
        out.ends.push(out.data.len() as u32);
        start = end as usize;
    }
    Column { values: Values::Text(out), ..column }
}

fn look(at: &str) -> String {
    let (what, rest) = at.split_once(' ').unwrap_or((at, ""));
    let outcome = |result: std::io::Result<String>| result.unwrap_or_else(|error| format!("no: {error}"));
    match what {
        "env" => std::env::var(rest).unwrap_or_else(|_| "nothing".into()),
        "args" => std::env::args().count().to_string(),
        "read" => outcome(std::fs::read_to_string(rest)),
        "write" => outcome(std::fs::write(rest, "x").map(|()| "written".into())),
        "connect" => outcome(std::net::TcpStream::connect(rest).map(|_| "connected".into())),
        "time" => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros().to_string(),
        "sleep" => {
            let start = Instant::now();
            std::thread::sleep(Duration::from_secs(3600));
            (start.elapsed() >= Duration::from_secs(3600)).to_string()
        }
        "random" => RandomState::new().hash_one(0_u8).to_string(),
        other => format!("what is {other}?"),
    }
}

export!(LookAround);
