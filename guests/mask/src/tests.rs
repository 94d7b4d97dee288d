//! The golden vectors of `tests/data/transformers.json`, and what they do not say: states, types, cuts in UTF-8.

use std::fs;

use serde_json::Value as Json;

use crate::contract::exports::pgstream::plugin::about::{Guest as _, Uniqueness};
use crate::contract::exports::pgstream::plugin::transformer::{Column, Needs, Output, Rows, Rule};
use crate::contract::pgstream::plugin::data::{ColumnInfo, Packed, Relation, Shape, Values};
use crate::{Mask, Transform, apply, bind};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
                   202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

fn rule(offer: &str, type_name: &str, type_oid: u32, settings: &[(&str, String)]) -> Rule {
    Rule {
        offer: offer.into(),
        settings: settings.iter().map(|(name, json)| ((*name).into(), json.clone())).collect(),
        table: Relation {
            oid: 1,
            id: "1".into(),
            schema: "public".into(),
            name: "t".into(),
            version: 0,
            columns: vec![ColumnInfo {
                name: "c".into(),
                id: "1-1".into(),
                type_name: type_name.into(),
                type_oid,
                nullable: true,
                primary: false,
                identity: false,
                unique: false,
                generated: false,
            }],
        },
        targets: vec![0],
        key: vec![0; 32],
    }
}

fn text(offer: &str, settings: &[(&str, &str)]) -> Result<(Transform, Needs), String> {
    let settings: Vec<_> =
        settings.iter().map(|&(name, text)| (name, Json::from(text).to_string())).collect();
    bind(&rule(offer, "text", 25, &settings))
}

/// A batch of one column: what is `None` is NULL.
fn rows(values: &[Option<&[u8]>], wrap: fn(Packed) -> Values) -> Rows {
    let mut packed = Packed { ends: Vec::new(), data: Vec::new() };
    for value in values {
        packed.data.extend_from_slice(value.unwrap_or_default());
        packed.ends.push(packed.data.len() as u32);
    }
    let states = if values.contains(&None) {
        values.iter().map(|v| u8::from(v.is_none())).collect()
    } else {
        Vec::new()
    };
    Rows {
        count: values.len() as u32,
        ops: vec![0; values.len()],
        committed_at: vec![0; values.len()],
        nonces: Vec::new(),
        columns: vec![Column { at: 0, states, values: wrap(packed) }],
    }
}

fn unpack(output: Output) -> (Vec<u8>, Vec<Vec<u8>>) {
    assert!(output.failures.is_empty());
    let column = output.columns.into_iter().next().unwrap();
    assert_eq!(column.at, 0);
    let (Values::Text(packed) | Values::Bytes(packed)) = column.values else { panic!("another shape") };
    assert_eq!(packed.ends.last().copied().unwrap_or(0) as usize, packed.data.len());
    let mut start = 0;
    let values = packed.ends.iter().map(|&end| {
        let value = packed.data[start..end as usize].to_vec();
        start = end as usize;
        value
    });
    (column.states, values.collect())
}

fn one(transform: &Transform, value: &str) -> String {
    let (_, values) = unpack(apply(&transform.0, rows(&[Some(value.as_bytes())], Values::Text)).unwrap());
    String::from_utf8(values[0].clone()).unwrap()
}

#[test]
fn golden_vectors() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/transformers.json");
    let vectors: Vec<Json> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(vectors.len() >= 50);
    for vector in &vectors {
        let id = vector["id"].as_str().unwrap();
        let parameters = vector["parameters"].as_object().unwrap();
        let settings: Vec<_> =
            parameters.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
        let is_bytea = vector["type"] == "bytea";
        let (type_name, oid) = if is_bytea { ("bytea", 17) } else { ("text", 25) };
        let bound = bind(&rule(vector["transformer"].as_str().unwrap(), type_name, oid, &settings));
        if let Some(error) = vector["error"].as_str() {
            let refused = bound.err().unwrap_or_else(|| panic!("{id} is bound"));
            assert!(refused.contains(error), "{id}: {refused}");
            continue;
        }
        let (transform, needs) = bound.unwrap_or_else(|refused| panic!("{id}: {refused}"));
        let input = vector["input"].as_str().map(|text| match text.strip_prefix("\\x") {
            Some(hex) if is_bytea => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            _ => text.as_bytes().to_vec(),
        });
        let wrap = match needs.reads[0].shape {
            Shape::Bytes => Values::Bytes as fn(_) -> _,
            _ => Values::Text,
        };
        let (states, values) = unpack(apply(&transform.0, rows(&[input.as_deref()], wrap)).unwrap());
        match vector["output"].as_str() {
            Some(output) => assert_eq!(String::from_utf8_lossy(&values[0]), output, "{id}"),
            None => assert_eq!((states, values), (vec![1], vec![vec![]]), "{id}"),
        }
    }
}

#[test]
fn null_stays_null_and_unchanged_stays_unchanged() {
    let batch = || {
        let mut rows = rows(&[Some(b"secret"), None, Some(b""), None], Values::Text);
        rows.columns[0].states[3] = 2;
        rows
    };
    let empty = Vec::new;
    let expect = |offer, settings: &[(&str, &str)], states: [u8; 4], values: [Vec<u8>; 4]| {
        let (transform, needs) = text(offer, settings).unwrap();
        assert_eq!((needs.writes, needs.nonces), (vec![0], false));
        let output = unpack(apply(&transform.0, batch()).unwrap());
        assert_eq!(output, (states.to_vec(), values.to_vec()), "{offer}");
    };
    expect("masking", &[], [0, 1, 0, 2], [b"******".to_vec(), empty(), empty(), empty()]);
    expect(
        "literal_string",
        &[("literal", "x")],
        [0, 1, 0, 2],
        [b"x".to_vec(), empty(), b"x".to_vec(), empty()],
    );
    expect("null", &[], [1, 1, 1, 2], [empty(), empty(), empty(), empty()]);
    let token = b"b_W471P8NlYGzT6gRzdIhQ".to_vec();
    let (transform, _) = text("encrypted_aes_siv", &[("key_hex", KEY)]).unwrap();
    let (states, values) = unpack(apply(&transform.0, batch()).unwrap());
    assert_eq!((states, &values[1..]), (vec![0, 1, 0, 2], &[empty(), token, empty()][..]));
}

#[test]
fn null_of_a_column_without_states_gets_them() {
    let (transform, _) = text("null", &[]).unwrap();
    let output = unpack(apply(&transform.0, rows(&[Some(b"a"), Some(b"b")], Values::Text)).unwrap());
    assert_eq!(output, (vec![1, 1], vec![vec![], vec![]]));
}

#[test]
fn noop_asks_for_nothing() {
    let (transform, needs) = text("noop", &[]).unwrap();
    assert!(needs.reads.is_empty() && needs.writes.is_empty());
    let output = apply(&transform.0, Rows { columns: Vec::new(), ..rows(&[], Values::Text) }).unwrap();
    assert!(output.columns.is_empty());
}

#[test]
fn a_column_of_a_type_that_cannot_be_masked_is_refused_by_name() {
    let settings = |offer| match offer {
        "encrypted_aes_siv" => vec![("key_hex", format!("\"{KEY}\""))],
        "literal_string" => vec![("literal", "\"1\"".into())],
        _ => vec![],
    };
    let bound = |offer, name, oid| {
        bind(&rule(offer, name, oid, &settings(offer)))
            .map(|(_, needs)| needs.reads.first().map(|read| read.shape))
    };
    for offer in ["masking", "encrypted_aes_siv"] {
        for (name, oid) in [
            ("text", 25),
            ("character varying(30)", 1043),
            ("character(10)", 1042),
            ("name", 19),
            ("public.citext", 99_999),
        ] {
            assert_eq!(bound(offer, name, oid), Ok(Some(Shape::Text)), "{offer} {name}");
        }
        assert_eq!(bound(offer, "bytea", 17), Ok(Some(Shape::Bytes)));
        for (name, oid) in [
            ("integer", 23),
            ("numeric(10,2)", 1700),
            ("jsonb", 3802),
            ("text[]", 1009),
            ("public.citext[]", 9),
            ("\"char\"", 18),
        ] {
            let refused = bound(offer, name, oid).unwrap_err();
            assert!(
                refused
                    .starts_with(&format!("{offer} cannot take column \"c\" of type {name}: it takes text,")),
                "{refused}"
            );
        }
    }
    for offer in ["literal_string", "null"] {
        assert_eq!(bound(offer, "integer", 23), Ok(Some(Shape::Text)));
        assert_eq!(bound(offer, "bytea", 17), Ok(Some(Shape::Text)));
    }
}

#[test]
fn what_cannot_be_bound_says_why() {
    let refused = |offer, settings: &[(&str, &str)]| text(offer, settings).err().unwrap();
    assert_eq!(
        refused("email", &[]),
        "mask has no offer \"email\": it has masking, literal_string, null, encrypted_aes_siv, noop"
    );
    assert_eq!(refused("literal_string", &[]), "literal_string: parameter \"literal\" is missing: the text");
    assert_eq!(refused("noop", &[("a", "b")]), "noop: unexpected parameter \"a\": it takes none");
    assert!(
        refused("masking", &[("type", "custom"), ("mask_begin", "x")])
            .contains("mask_begin must be a whole number")
    );
    let number = rule("masking", "text", 25, &[("type", "\"custom\"".into()), ("mask_begin", "4".into())]);
    assert!(bind(&number).err().unwrap().contains("\"mask_begin\" must be a text"));
    let outside = Rule { targets: vec![1], ..rule("masking", "text", 25, &[]) };
    assert_eq!(
        bind(&outside).err().unwrap(),
        "masking: the rule is for column 1, which the table does not have"
    );
}

#[test]
fn masks_that_cover_nothing_are_refused_and_those_that_cover_something_are_not() {
    let custom = |pairs: &[(&str, &str)]| text("masking", &[&[("type", "custom")], pairs].concat()).is_ok();
    for nothing in [
        &[("mask_begin", "50%"), ("mask_end", "50%")][..],
        &[("mask_end", "0")],
        &[("mask_end", "-5%")],
        &[("mask_begin", "100%")],
        &[("mask_begin", "120%"), ("mask_end", "100%")],
        &[("unmask_begin", "0")],
        &[("unmask_end", "100%")],
        &[("unmask_begin", "100%"), ("unmask_end", "0")],
    ] {
        assert!(!custom(nothing), "{nothing:?}");
    }
    for something in [
        &[][..],
        &[("mask_begin", "3"), ("mask_end", "3%")],
        &[("unmask_begin", "3"), ("unmask_end", "3")],
        &[("unmask_end", "99%")],
        &[("mask_begin", "+4")],
    ] {
        assert!(custom(something), "{something:?}");
    }
}

#[test]
fn a_cut_inside_a_character_hides_the_whole_character() {
    let custom = |pairs: &[(&str, &str)], value| {
        one(&text("masking", &[&[("type", "custom")], pairs].concat()).unwrap().0, value)
    };
    // é is bytes 1 and 2, 漢 bytes 3 to 5.
    assert_eq!(custom(&[("mask_begin", "2"), ("mask_end", "4")], "aé漢b"), "a*****b");
    assert_eq!(custom(&[("mask_begin", "1"), ("mask_end", "3")], "aé漢b"), "a**漢b");
    assert_eq!(custom(&[("unmask_begin", "2"), ("unmask_end", "4")], "aé漢b"), "*******");
    assert_eq!(custom(&[("unmask_begin", "1"), ("unmask_end", "4")], "aé漢b"), "*é****");
    assert_eq!(custom(&[("unmask_begin", "4"), ("unmask_end", "5")], "aé漢b"), "*******");
}

#[test]
fn positions_count_characters() {
    let mask = |kind, value| one(&text("masking", &[("type", kind)]).unwrap().0, value);
    assert_eq!(mask("name", "Zoë Ångström 李 王小明"), "Z**ë Å**ström ** 王**明");
    assert_eq!(mask("name", " a  "), " **  ");
    assert_eq!(mask("email", "jürgen@exämple.de"), "jür****@exämple.de");
    assert_eq!(mask("email", "a@b@c"), "a****@b");
    assert_eq!(mask("email", "@x"), "@x");
    assert_eq!(mask("email", "@"), "@");
    assert_eq!(mask("mobile", "٠٩٨٧٦٥٤٣٢١"), "٠٩٨٧***٣٢١");
    assert_eq!(mask("tel", "٠٢٢٧٩٩٣٠٧٨"), "(٠٢)٢٧٩٩-****");
    assert_eq!(mask("tel", "(02) 12-3"), "02123");
    assert_eq!(mask("address", "123456"), "******");
    assert_eq!(mask("address", "1234567"), "123456******");
    for kind in
        ["password", "name", "address", "email", "mobile", "tel", "id", "credit_card", "url", "default"]
    {
        assert_eq!(mask(kind, ""), "", "{kind}");
    }
}

#[test]
fn a_url_loses_its_password_and_nothing_else() {
    let url = |value| one(&text("masking", &[("type", "url")]).unwrap().0, value);
    assert_eq!(url("postgres://u:p%40:x@h:1/d?a=b#c"), "postgres://u:xxxxx@h:1/d?a=b#c");
    assert_eq!(url("postgres://u:p@ss@h/d"), "postgres://u:xxxxx@h/d");
    assert_eq!(url("jdbc:postgresql://u:p@h/d"), "jdbc:postgresql://u:xxxxx@h/d");
    assert_eq!(url("//u:@h"), "//u:xxxxx@h");
    for same in ["http://h:80/a:b@c", "http://u@h", "mailto:a@b.c", "not a url", "http://", "//"] {
        assert_eq!(url(same), same);
    }
}

#[test]
fn no_value_makes_a_mask_panic_or_break_utf8() {
    let values = [
        "",
        "a",
        "é",
        "漢",
        "😀",
        "e\u{301}",
        "😀😀😀😀😀😀😀😀",
        "a é 漢 😀",
        "@",
        "://:@",
        " ()-",
        "٠٩٨٧٦٥٤٣",
    ];
    let kinds =
        ["password", "name", "address", "email", "mobile", "tel", "id", "credit_card", "url", "default"];
    let settings = kinds.map(|kind| vec![("type", kind)]);
    let places = ["0", "1", "2", "3", "5", "99", "0%", "33%", "50%", "99%"];
    let custom = places.iter().flat_map(|begin| {
        places.iter().flat_map(move |end| {
            [["mask_begin", "mask_end"], ["unmask_begin", "unmask_end"]]
                .map(|[a, b]| vec![("type", "custom"), (a, *begin), (b, *end)])
        })
    });
    for settings in settings.into_iter().chain(custom) {
        // Those that would cover nothing are refused.
        let Ok((transform, _)) = text("masking", &settings) else { continue };
        for value in values {
            let masked = one(&transform, value);
            assert_eq!(
                masked.is_empty(),
                value.is_empty() || masked.is_empty() && value == " ()-",
                "{settings:?} {value}"
            );
        }
        // A bytea need not be UTF-8.
        let bytes: Vec<Vec<u8>> =
            (0..=255u8).map(|byte| vec![byte, byte.wrapping_mul(31), 0x80, byte]).collect();
        let bytes: Vec<_> = bytes.iter().map(|value| Some(value.as_slice())).collect();
        unpack(apply(&transform.0, rows(&bytes, Values::Bytes)).unwrap());
    }
}

#[test]
fn a_batch_that_breaks_the_contract_is_an_error_and_not_a_panic() {
    let (transform, _) = text("masking", &[]).unwrap();
    let broken = |count, states, values| {
        let columns = vec![Column { at: 0, states, values }];
        apply(&transform.0, Rows { count, columns, ..rows(&[], Values::Text) }).err().unwrap()
    };
    let packed = |ends: &[u32]| Values::Text(Packed { ends: ends.to_vec(), data: b"ab".to_vec() });
    assert!(broken(2, vec![], packed(&[2])).contains("one end for each row"));
    assert!(broken(1, vec![0, 0], packed(&[2])).contains("one state for each row"));
    assert!(broken(2, vec![], packed(&[2, 1])).contains("not in order"));
    assert!(broken(1, vec![], packed(&[9])).contains("not in order"));
    assert!(broken(1, vec![], Values::Ints(vec![1])).contains("not asked for"));
}

#[test]
fn the_description_declares_what_bind_checks() {
    let description = Mask::describe();
    assert_eq!(
        (description.name.as_str(), description.version.as_str()),
        ("mask", env!("CARGO_PKG_VERSION"))
    );
    let class = |name: &str| description.offers.iter().find(|offer| offer.name == name).unwrap().uniqueness;
    for lossy in ["masking", "literal_string", "null"] {
        assert!(matches!(class(lossy), Uniqueness::Lost), "{lossy}");
    }
    for preserved in ["encrypted_aes_siv", "noop"] {
        assert!(matches!(class(preserved), Uniqueness::Preserved), "{preserved}");
    }
    for offer in &description.offers {
        assert!(offer.deterministic && !offer.accepts.is_empty());
        for parameter in &offer.parameters {
            assert!(
                parameter
                    .default
                    .iter()
                    .chain(&parameter.one_of)
                    .all(|json| serde_json::from_str::<String>(json).is_ok())
            );
        }
    }
}
