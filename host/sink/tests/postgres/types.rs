//! Every kind of type goes in by its text and comes out with the same, by each shape of statement.

use event::ReplicaIdentity::{Default, Full};

use crate::place::{Build, Cell, Place, relation};

/// Type, some values in text form. The first is what an update finds, the others follow.
const TYPES: &[(&str, &[&str])] = &[
    ("boolean", &["t", "f"]),
    ("smallint", &["-32768", "32767"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    (
        "numeric",
        &[
            "NaN",
            "-Infinity",
            "0.00",
            "1.0",
            "1.00",
            "12345678901234567890123456789012345678901234567890.0123456789",
        ],
    ),
    ("numeric(10,2)", &["1.50", "NaN"]),
    ("real", &["NaN", "-Infinity", "1.1754944e-38", "-0"]),
    ("double precision", &["NaN", "Infinity", "5e-324", "-0", "0.1"]),
    ("money", &["$1,234.50", "-$0.05"]),
    ("text", &["", "NULL", "null", "\\N", "\\", "\"", "{}", "a\tb\nc\rd", "\u{1F600}", " lead", "it's"]),
    ("character varying(5)", &["", "ab\"\\", "äöüß€"]),
    ("character(5)", &["ab   ", "     "]),
    ("\"char\"", &["a", "", "\\"]),
    ("name", &["a name"]),
    ("bytea", &["\\x", "\\x00ff5c22"]),
    ("date", &["2024-02-29", "infinity", "0044-03-15 BC"]),
    ("time", &["24:00:00", "00:00:00.000001"]),
    ("time with time zone", &["23:59:59.999999-15:59", "00:00:00+00"]),
    ("timestamp", &["2024-02-29 12:00:00.123456", "-infinity", "0001-01-01 00:00:00 BC"]),
    ("timestamp(3)", &["2024-02-29 12:00:00.123"]),
    ("timestamp with time zone", &["2024-02-29 12:00:00.123456+00", "infinity"]),
    ("interval", &["1 mon", "30 days", "-1 years -2 mons +3 days -04:05:06.789", "00:00:00"]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", &["{\"a\" : 1, \"a\": \"x\\\"y\"}", "null", "\"\\u0041\""]),
    ("jsonb", &["{\"a\": [1, 2.50, null]}", "null", "\"\""]),
    ("xml", &["<a b=\"c\">&lt;</a>", "text"]),
    ("bit(3)", &["101"]),
    ("bit varying", &["", "1", "10101"]),
    ("inet", &["10.0.0.1", "10.0.0.1/8", "::1"]),
    ("cidr", &["10.0.0.0/8"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("point", &["(1,-2.5)"]),
    ("box", &["(2,2),(1,1)"]),
    ("box[]", &["{(2,2),(1,1);(4,4),(3,3)}", "{}"]),
    ("polygon", &["((0,0),(1,1),(1,0))"]),
    ("circle", &["<(0,0),1>"]),
    ("tsvector", &["'a':1 'it''s':2A"]),
    ("tsquery", &["'a' & !'b'"]),
    ("int4range", &["[1,5)", "empty", "(,)"]),
    ("tstzrange", &["[\"2024-01-01 00:00:00+00\",infinity)"]),
    ("nummultirange", &["{[1.0,2.00],(5,)}", "{}"]),
    ("integer[]", &["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={7,8}"]),
    ("text[]", &["{\"\",NULL,\"NULL\",\"a\\\"b\\\\c,{}\"}", "{}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1}\",NULL,\"null\"}"]),
    ("pg_lsn", &["16/B374D848"]),
    ("oid", &["4294967295"]),
    ("regclass", &["pg_class"]),
    ("int2vector", &["1 2 3"]),
    ("hstore", &["\"a\"=>\"1\", \"b\"=>NULL"]),
    ("citext", &["Abc"]),
    ("mood", &["sad", "it's \"ok\""]),
    ("mood[]", &["{sad,\"it's \\\"ok\\\"\"}"]),
    ("positive", &["1", "99"]),
    ("positive[]", &["{1,2}"]),
    ("ints", &["{1,2}", "{}"]),
    ("short", &["abc"]),
    ("pair", &["(1,\"a \"\"b\\\\\")", "(,)", "(1,\"\")"]),
    ("pair[]", &["{\"(1,a)\",NULL}", "{}"]),
    ("pairs", &["(1,x)"]),
    ("floats", &["[1.5,2.5)"]),
    ("\"Odd \"\"Type\"\"\"", &["x,y"]),
];

const SQL: &str = "
CREATE EXTENSION hstore; CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN short AS varchar(3);
CREATE TYPE pair AS (n int, t text);
CREATE DOMAIN pairs AS pair;
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE TYPE \"Odd \"\"Type\"\"\" AS ENUM ('x,y');";

#[tokio::test]
async fn values_of_every_type_arrive_by_every_shape() {
    let place = Place::with(SQL).await;
    for (type_name, values) in TYPES {
        if *type_name == "xml"
            && place.rows("SELECT 1 FROM pg_config WHERE setting LIKE '%with-libxml%'").await.is_empty()
        {
            continue;
        }
        place.sql(&format!("DROP TABLE IF EXISTS t, w; CREATE TABLE t (id int PRIMARY KEY, v {type_name}); CREATE TABLE w (v {type_name}, n int)")).await;
        let t = relation("t", Default, &[("id", "integer*"), ("v", type_name)]);
        let w = relation("w", Full, &[("v", type_name), ("n", "integer")]);
        let cells: Vec<Cell> =
            values.iter().map(|value| Cell::Text((*value).into())).chain([Cell::Null]).collect();
        // Widths: one statement a row, unnest, COPY.
        for many in [1, 2, 40] {
            place.sql("TRUNCATE t, w").await;
            let rows: Vec<(Cell, Cell)> = (0..cells.len() * many)
                .map(|at| (Cell::Text(at.to_string()), cells[at % cells.len()].clone()))
                .collect();
            let mut build = Build::default();
            let split = |build: &mut Build| {
                if many == 1 {
                    _ = build.commit().cut().begin()
                }
            };
            build.begin();
            for (id, value) in &rows {
                build.insert_cells(&t, &[id.clone(), value.clone()]);
                build.insert_cells(&w, &[value.clone(), id.clone()]);
                split(&mut build);
            }
            build.commit().cut();
            // The unit is closed by another stream: what was inserted is not folded away.
            let mut applied = Place { database: place.database.clone(), options: place.options.clone() };
            applied.options.flush.rows = if many == 1 { 1 } else { 1_000 };
            let summary = applied.apply(build.done()).await.unwrap();
            assert_eq!((summary.exact, summary.all_conflicts()), (0, 0), "{type_name}");
            // Each row gets the next one's value.
            build.begin();
            for at in 0..rows.len() {
                let next = rows[(at + 1) % rows.len()].1.clone();
                build.update_cells(&t, &[rows[at].0.clone(), Cell::Null], &[rows[at].0.clone(), next]);
                if many == 1 {
                    build.delete_cells(&w, &[rows[at].1.clone(), rows[at].0.clone()]);
                }
                split(&mut build);
            }
            build.commit();
            let summary = applied.apply(build.done()).await.unwrap();
            assert_eq!((summary.exact, summary.all_conflicts()), (0, 0), "{type_name}");
            let have = text_of(&place, "SELECT v FROM t ORDER BY id").await;
            let want: Vec<_> = (0..rows.len()).map(|at| shown(&rows[(at + 1) % rows.len()].1)).collect();
            assert_eq!(have, want, "{type_name}, {many}");
            if many == 1 {
                assert_eq!(place.rows("SELECT count(*) FROM w").await, ["0"], "{type_name} without a key");
            }
        }
    }
}

/// The text of one column under the settings that the stream has.
async fn text_of(place: &Place, query: &str) -> Vec<Option<String>> {
    let client = postgres::connect(&place.options.url, "test", &[]).await.unwrap();
    let query = query.replace(" t ", " public.t ");
    let rows = client.simple_query(&query).await.unwrap();
    rows.iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        })
        .collect()
}

fn shown(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone()),
        Cell::Null | Cell::Kept => None,
    }
}
