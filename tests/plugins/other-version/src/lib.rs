//! A plugin for a version of the contract that this host does not have: 0.9.0 of a transformer, in a WIT of its own.

wit_bindgen::generate!({
    inline: "
        package pgstream:plugin@0.9.0;

        interface about {
            record description { name: string, version: string, summary: string, offers: list<string> }
            describe: func() -> description;
        }

        interface transformer {
            record needs { reads: list<u32>, writes: list<u32> }
            resource transform {
                bind: static func(offer: string) -> result<tuple<transform, needs>, string>;
                apply: func(rows: list<u8>) -> result<list<u8>, string>;
            }
        }

        world transformer-plugin { export about; export transformer; }
    ",
    world: "transformer-plugin",
});

use exports::pgstream::plugin::about::{self, Description};
use exports::pgstream::plugin::transformer::{self, GuestTransform, Needs};

struct Future;
struct Transform;

impl about::Guest for Future {
    fn describe() -> Description {
        Description {
            name: "other-version".into(),
            version: "9.0.0".into(),
            summary: "From a time to come".into(),
            offers: vec!["leave".into()],
        }
    }
}

impl transformer::Guest for Future {
    type Transform = Transform;
}

impl GuestTransform for Transform {
    fn bind(_: String) -> Result<(transformer::Transform, Needs), String> {
        Ok((transformer::Transform::new(Transform), Needs { reads: vec![], writes: vec![] }))
    }

    fn apply(&self, rows: Vec<u8>) -> Result<Vec<u8>, String> {
        Ok(rows)
    }
}

export!(Future);
