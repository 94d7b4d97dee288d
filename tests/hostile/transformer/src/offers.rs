//! What the plugin says it offers: one name for each harm, and a few texts that are themselves one.

use crate::exports::pgstream::plugin::about::{Description, Kind, Offer, Parameter, Uniqueness};
use crate::pgstream::plugin::data::Shape;

/// The harms; what each does is in `harm.rs`.
const HARMS: &[&str] = &[
    "loop",
    "panic",
    "recurse",
    "recurse-in-memory",
    "grow",
    "fewer-rows",
    "more-rows",
    "fewer-columns",
    "more-columns",
    "other-column",
    "fewer-ends",
    "ends-backwards",
    "ends-beyond",
    "ends-in-character",
    "not-utf8",
    "nul",
    "other-shape",
    "not-a-number",
    "out-of-range",
    "unknown-state",
    "unchanged-state",
    "more-states",
    "failure-of-no-row",
    "too-many-failures",
    "failure-that-quotes",
    "failure-of-another-row",
    "refuse-that-quotes",
    "panic-that-quotes",
    "huge",
    "huge-list",
    "log-flood",
    "log-that-quotes",
    "drop-twice",
    "leak-handles",
    "panic-on-drop",
    "bind-loop",
    "bind-panic",
    "bind-grow",
    "bind-huge",
    "bind-many-reads",
    "bind-reads-beyond",
    "bind-writes-beyond",
    "bind-dead",
    "bind-log-flood",
    "bind-refuse-in-lines",
    "garbage",
    "none",
];

pub fn description() -> Description {
    Description {
        name: "hostile".into(),
        version: "0.1.0".into(),
        summary: "Does harm on a value and makes capitals of the others".into(),
        offers: HARMS.iter().map(|name| offer(name)).collect(),
    }
}

fn offer(name: &str) -> Offer {
    Offer {
        name: name.into(),
        summary: "does that on a row whose text is that of the setting".into(),
        accepts: vec![Shape::Text, Shape::Ints],
        uniqueness: Uniqueness::Likely,
        deterministic: true,
        parameters: vec![Parameter {
            name: "value".into(),
            summary: "the text".into(),
            kind: Kind::Text,
            required: false,
            dynamic: false,
            default: None,
            one_of: vec![],
        }],
    }
}
