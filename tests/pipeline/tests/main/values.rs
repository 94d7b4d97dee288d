//! Random values of every built-in type, as SQL literals.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union};

/// A column of the table that holds every type: its name, its type, and values for it in text form.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) sql_type: &'static str,
    pub(crate) values: BoxedStrategy<String>,
}

fn kind(name: &'static str, sql_type: &'static str, values: impl Strategy<Value = String> + 'static) -> Kind {
    Kind { name, sql_type, values: values.boxed() }
}

fn one_of(fixed: &'static [&'static str]) -> BoxedStrategy<String> {
    select(fixed).prop_map(str::to_owned).boxed()
}

/// Mostly random, sometimes one of the hard cases.
fn or(
    fixed: &'static [&'static str],
    random: impl Strategy<Value = String> + 'static,
) -> BoxedStrategy<String> {
    Union::new_weighted(vec![(1, one_of(fixed)), (2, random.boxed())]).boxed()
}

fn text() -> BoxedStrategy<String> {
    or(
        &["", " ", "\\", "\\N", "\\.", "NULL", "null", "'", "\"", "{}", "{\"a\",b}", "\t\n\r\u{b}", "é😀", "a,b", "(1,2)"],
        proptest::collection::vec(
            prop_oneof![4 => any::<char>(), 2 => proptest::char::range(' ', '~'), 1 => select(&['\\', '"', '\'', ',', '{', '}', '\n', '\t'][..])],
            0..40,
        )
        .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect()),
    )
}

fn digits(count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    proptest::collection::vec(0_u8..10, count).prop_map(|d| d.iter().map(|d| char::from(b'0' + d)).collect())
}

fn numeric() -> BoxedStrategy<String> {
    or(
        &["NaN", "Infinity", "-Infinity", "0", "0.000", "-0.0", "1e-30", "1.10", "1e100"],
        (any::<bool>(), digits(1..101), digits(0..40)).prop_map(|(minus, whole, part)| {
            let dot = if part.is_empty() { "" } else { "." };
            format!("{}{whole}{dot}{part}", if minus { "-" } else { "" })
        }),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn date() -> BoxedStrategy<String> {
    or(
        &["infinity", "-infinity", "0001-01-01 BC", "4713-01-01 BC", "5874897-12-31", "2000-02-29"],
        (1..9999_u32, 1..13_u32, 1..29_u32, any::<bool>())
            // Postgres counts from 4713 BC.
            .prop_map(|(y, m, d, bc)| {
                if bc {
                    format!("{:04}-{m:02}-{d:02} BC", y % 4000 + 1)
                } else {
                    format!("{y:04}-{m:02}-{d:02}")
                }
            }),
    )
}

fn clock() -> impl Strategy<Value = String> {
    (0..24_u32, 0..60_u32, 0..60_u32, 0..1_000_000_u32)
        .prop_map(|(h, m, s, u)| format!("{h:02}:{m:02}:{s:02}.{u:06}"))
}

fn timestamp() -> BoxedStrategy<String> {
    or(
        &[
            "infinity",
            "-infinity",
            "4713-01-01 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "0044-03-15 12:00:00.5 BC",
        ],
        (1..9999_u32, 1..13_u32, 1..29_u32, clock())
            .prop_map(|(y, m, d, t)| format!("{y:04}-{m:02}-{d:02} {t}")),
    )
}

fn interval() -> BoxedStrategy<String> {
    or(
        &[
            "1 mon",
            "30 days",
            "-1 year 2 mons -3 days 04:05:06.789",
            "0",
            "178000000 years",
            "-00:00:00.000001",
        ],
        (any::<i16>(), any::<i16>(), any::<i32>())
            .prop_map(|(m, d, s)| format!("{m} mons {d} days {s} seconds")),
    )
}

fn point() -> impl Strategy<Value = String> {
    (any::<f32>(), any::<f32>()).prop_map(|(x, y)| format!("({x},{y})"))
}

fn float() -> BoxedStrategy<String> {
    or(
        &["NaN", "Infinity", "-Infinity", "0", "-0", "1e-307", "1.7976931348623157e308", "5e-324"],
        any::<u64>().prop_map(|bits| f64::from_bits(bits).to_string().replace("inf", "Infinity")),
    )
}

/// An array literal of quoted elements, some of them NULL.
fn array(elements: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let literal =
        proptest::collection::vec(proptest::option::weighted(0.8, elements), 0..5).prop_map(|items| {
            let items: Vec<String> = items
                .into_iter()
                .map(|item| match item {
                    Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                    None => "NULL".into(),
                })
                .collect();
            format!("{{{}}}", items.join(","))
        });
    literal.boxed()
}

/// Types that the tests make for themselves.
pub(crate) const TYPES: &str = r#"
CREATE TYPE public.mood AS ENUM ('sad', 'o''k', 'very "happy"', 'a,b');
CREATE DOMAIN public.positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN public.tags AS text[];
CREATE TYPE public.pair AS (a integer, b text);
CREATE TYPE public.nest AS (p public.pair, list text[], m public.mood);
CREATE TYPE public.span AS RANGE (subtype = float8);
"#;

/// Every kind of column.
pub(crate) fn kinds() -> Vec<Kind> {
    let moods = &["sad", "o'k", "very \"happy\"", "a,b"];
    vec![
        kind("bool", "boolean", one_of(&["true", "false"])),
        kind("int2", "smallint", any::<i16>().prop_map(|n| n.to_string())),
        kind("int4", "integer", or(&["-2147483648", "2147483647"], any::<i32>().prop_map(|n| n.to_string()))),
        kind("int8", "bigint", or(&["-9223372036854775808"], any::<i64>().prop_map(|n| n.to_string()))),
        kind("numeric", "numeric", numeric()),
        kind(
            "numeric_10_2",
            "numeric(10,2)",
            (any::<i32>(), 0..100_u8).prop_map(|(w, p)| format!("{}.{p:02}", w / 100)),
        ),
        kind(
            "float4",
            "real",
            or(
                &["NaN", "Infinity", "-0", "1.17549435e-38"],
                any::<i32>().prop_map(|n| format!("{}", n as f32 / 977.0)),
            ),
        ),
        kind("float8", "double precision", float()),
        kind("money", "money", any::<i32>().prop_map(|n| format!("{}.{:02}", n, n.unsigned_abs() % 100))),
        kind("text", "text", text()),
        kind("varchar_60", "varchar(60)", text()),
        kind("char_8", "char(8)", "[a-z ]{0,8}"),
        kind("bpchar", "bpchar", "[a-z]{0,8} ?"),
        kind("name", "name", "[a-zA-Z \".]{0,60}"),
        kind("one_char", "\"char\"", "[a-z]?"),
        kind(
            "bytea",
            "bytea",
            proptest::collection::vec(any::<u8>(), 0..60).prop_map(|b| format!("\\x{}", hex(&b))),
        ),
        kind("uuid", "uuid", any::<u128>().prop_map(|n| format!("{n:032x}"))),
        kind(
            "json",
            "json",
            one_of(&[
                "null",
                "{}",
                "[]",
                "{\"a\" : 1,  \"a\":2}",
                "\"x\\u00e9\"",
                "1.10",
                "{\"k\":\"\\\\\\\"\"}",
            ]),
        ),
        kind(
            "jsonb",
            "jsonb",
            one_of(&[
                "null",
                "{}",
                "[]",
                "{\"b\": [1, null, {\"c\": 1.100}]}",
                "\"\\\\\\\"\"",
                "1e20",
                "true",
            ]),
        ),
        kind("date", "date", date()),
        kind("time", "time", or(&["24:00:00", "00:00:00"], clock())),
        kind("time_3", "time(3)", clock()),
        kind(
            "timetz",
            "timetz",
            or(
                &["24:00:00+15:59", "00:00:00-12"],
                (clock(), -12..13_i32).prop_map(|(t, z)| format!("{t}{z:+03}")),
            ),
        ),
        kind("timestamp", "timestamp", timestamp()),
        kind("timestamptz", "timestamptz", timestamp()),
        kind("interval", "interval", interval()),
        kind("inet", "inet", one_of(&["10.1.2.3", "10.1.2.3/8", "::1", "2001:db8::/32", "0.0.0.0/0"])),
        kind("cidr", "cidr", one_of(&["10.0.0.0/8", "2001:db8::/32", "192.168.1.1/32"])),
        kind("macaddr", "macaddr", any::<u64>().prop_map(|n| format!("{:012x}", n & 0xFFFF_FFFF_FFFF))),
        kind("macaddr8", "macaddr8", any::<u64>().prop_map(|n| format!("{n:016x}"))),
        kind("bit_8", "bit(8)", "[01]{8}"),
        kind("varbit", "varbit", "[01]{0,40}"),
        kind("point", "point", point()),
        kind("line", "line", one_of(&["{1,2,3}", "{-1,0.5,1e300}"])),
        kind("lseg", "lseg", (point(), point()).prop_map(|(a, b)| format!("[{a},{b}]"))),
        kind("box", "box", one_of(&["(1,2),(-3,-4)", "(0,0),(0,0)"])),
        kind("path", "path", one_of(&["[(1,2),(3,4)]", "((1,2),(3,4))"])),
        kind("polygon", "polygon", one_of(&["((1,2),(3,4),(5,0))", "((0,0))"])),
        kind("circle", "circle", one_of(&["<(1,2),3>", "<(0,0),0>"])),
        kind("tsvector", "tsvector", one_of(&["", "'a':1A 'b c':2,3", "'it''s' '\\\\'"])),
        kind("tsquery", "tsquery", one_of(&["'a' & !'b'", "'x' <-> 'y':*A", ""])),
        kind("int4range", "int4range", one_of(&["empty", "[1,5)", "(,3)", "[2,]", "(,)"])),
        kind("int8range", "int8range", one_of(&["[-9223372036854775808,0)", "empty"])),
        kind("numrange", "numrange", one_of(&["[1.10,2.2)", "empty", "(,NaN]"])),
        kind("daterange", "daterange", one_of(&["[2000-01-01,2001-01-01)", "(,infinity]", "empty"])),
        kind("tsrange", "tsrange", one_of(&["[\"2000-01-01 00:00:00\",)", "empty"])),
        kind("tstzrange", "tstzrange", one_of(&["(\"2000-01-01 00:00:00+02\",infinity]", "empty"])),
        kind("int4multirange", "int4multirange", one_of(&["{}", "{[1,3),[5,9)}", "{(,)}"])),
        kind("own_range", "public.span", one_of(&["[1.5,2.5]", "empty", "(,NaN)"])),
        kind("oid", "oid", any::<u32>().prop_map(|n| n.to_string())),
        kind("regtype", "regtype", one_of(&["integer", "text[]"])),
        kind("pg_lsn", "pg_lsn", any::<u64>().prop_map(|n| format!("{:X}/{:X}", n >> 32, n & 0xFFFF_FFFF))),
        kind("xid8", "xid8", any::<u64>().prop_map(|n| n.to_string())),
        kind("pg_snapshot", "pg_snapshot", one_of(&["1:1:", "10:20:12,14"])),
        kind("jsonpath", "jsonpath", one_of(&["$", "$.\"a\"[*]?(@ > 1)", "strict $.\"x y\""])),
        kind("int2vector", "int2vector", one_of(&["", "1 2 3"])),
        kind(
            "int4_array",
            "integer[]",
            or(
                &["{}", "{NULL}", "{{1,2},{3,NULL}}", "[0:1]={7,8}"],
                array(any::<i32>().prop_map(|n| n.to_string()).boxed()),
            ),
        ),
        kind(
            "text_array",
            "text[]",
            or(&["{}", "{\"\"}", "{NULL,\"NULL\"}", "{{a},{\"b \\\" c\"}}"], array(text())),
        ),
        kind("numeric_array", "numeric(8,3)[]", one_of(&["{}", "{1.100,NaN}", "{{-0.001}}"])),
        kind("timestamp_array", "timestamptz[]", array(timestamp())),
        kind(
            "bytea_array",
            "bytea[]",
            array(
                proptest::collection::vec(any::<u8>(), 0..9).prop_map(|b| format!("\\x{}", hex(&b))).boxed(),
            ),
        ),
        kind("jsonb_array", "jsonb[]", one_of(&["{}", "{\"null\",NULL,\"{\\\"a\\\": 1}\"}"])),
        kind("mood", "public.mood", one_of(moods)),
        kind("mood_array", "public.mood[]", array(one_of(moods))),
        kind("positive", "public.positive", (1..i32::MAX).prop_map(|n| n.to_string())),
        kind("positive_array", "public.positive[]", array((1..i32::MAX).prop_map(|n| n.to_string()).boxed())),
        kind("tags", "public.tags", array(text())),
        kind(
            "pair",
            "public.pair",
            one_of(&["(,)", "(1,)", "(,\"\")", "(-5,\"a \"\"b\"\" \\\\ ,)\")", "(1,NULL)"]),
        ),
        kind("pair_array", "public.pair[]", one_of(&["{}", "{\"(1,\\\"a\\\")\",NULL}"])),
        kind(
            "nest",
            "public.nest",
            one_of(&["(\"(1,x)\",\"{a,NULL,\"\"b c\"\"}\",sad)", "(,,)", "(\"(,)\",{},\"a,b\")"]),
        ),
        kind("range_array", "int4range[]", one_of(&["{}", "{\"[1,3)\",empty,NULL}"])),
    ]
}
