//! The tables of the load: every kind of key, of column and of identity that a stream must carry.

/// A table, and how its rows are written. The SQL speaks of `k`, a key as a small integer, and `v`, a number that is
/// new each time.
pub(super) struct Table {
    /// Qualified and quoted.
    pub(super) name: &'static str,
    pub(super) ddl: &'static str,
    /// What an insert names, and gives.
    pub(super) columns: &'static str,
    pub(super) values: &'static str,
    /// Finds the row of `k`.
    pub(super) key: &'static str,
    /// Ways to change a row.
    pub(super) sets: &'static [&'static str],
    /// Gives the row of `k` the key of `to`, if its key can change.
    pub(super) rekey: Option<&'static str>,
    /// How many keys.
    pub(super) keys: u32,
}

pub(super) const TABLES: [Table; 14] = [
    Table {
        name: "load.plain",
        ddl: "CREATE TABLE load.plain (id int PRIMARY KEY, n bigint, v text, at timestamptz DEFAULT now());",
        columns: "id, n, v, at",
        values: "k, k * 10, 'v' || v, to_timestamp(v)",
        key: "t.id = k",
        sets: &["n = s.v", "v = md5(s.v::text), at = to_timestamp(s.v)", "v = NULL"],
        rekey: Some("id = to_"),
        keys: 400,
    },
    Table {
        name: "load.composite",
        ddl: "CREATE TABLE load.composite (a text, b int, c numeric, PRIMARY KEY (a, b));",
        columns: "a, b, c",
        values: "'k' || k % 10, k, v / 7.0",
        key: "t.a = 'k' || k % 10 AND t.b = k",
        sets: &["c = s.v::numeric / 3", "c = 'NaN'"],
        rekey: Some("a = 'k' || to_ % 10, b = to_"),
        keys: 150,
    },
    Table {
        name: "load.natural_key",
        ddl: "CREATE TABLE load.natural_key (body jsonb, code text PRIMARY KEY, tags text[]);",
        columns: "code, body, tags",
        values: r#"E'кл''ю\\ч "' || k, jsonb_build_object('v', v, 'null', NULL), ARRAY['a,b', '{', NULL, v::text]"#,
        key: r#"t.code = E'кл''ю\\ч "' || k"#,
        sets: &["body = body || jsonb_build_object('more', s.v)", "body = 'null'", "tags = '{}'"],
        rekey: Some(r#"code = E'кл''ю\\ч "' || to_"#),
        keys: 120,
    },
    // The same row many times over.
    Table {
        name: "load.no_key",
        ddl: "CREATE TABLE load.no_key (a int, b text, c float8); ALTER TABLE load.no_key REPLICA IDENTITY FULL;",
        columns: "a, b, c",
        values: "k % 5, CASE WHEN v % 3 = 0 THEN NULL ELSE 'b' || v % 3 END, 0.1 * (v % 3)",
        key: "t.ctid = (SELECT x.ctid FROM load.no_key x WHERE x.a = k % 5 LIMIT 1)",
        sets: &["b = 'b' || s.v % 4", "a = s.v % 5, b = NULL", "c = -0.0"],
        rekey: None,
        keys: 30,
    },
    Table {
        name: "load.by_index",
        ddl: "CREATE TABLE load.by_index (v text, id bigint NOT NULL); CREATE UNIQUE INDEX by_index_id ON load.by_index (id);
              ALTER TABLE load.by_index REPLICA IDENTITY USING INDEX by_index_id;",
        columns: "id, v",
        values: "k, 'v' || v",
        key: "t.id = k",
        sets: &["v = 'w' || s.v", "v = ''"],
        rekey: Some("id = to_"),
        keys: 200,
    },
    Table {
        name: "load.partitioned",
        ddl: "CREATE TABLE load.partitioned (region int, id int, v text, PRIMARY KEY (region, id)) PARTITION BY RANGE (region);
              CREATE TABLE load.partition_low PARTITION OF load.partitioned FOR VALUES FROM (0) TO (40);
              CREATE TABLE load.partition_high PARTITION OF load.partitioned FOR VALUES FROM (40) TO (80);
              CREATE TABLE load.partition_rest PARTITION OF load.partitioned DEFAULT;",
        columns: "region, id, v",
        values: "k, k, 'v' || v",
        key: "t.region = k",
        sets: &["v = 'w' || s.v", "id = id + 1"],
        rekey: Some("region = to_"),
        keys: 120,
    },
    Table {
        name: "load.types",
        ddl: "CREATE TYPE load.mood AS ENUM ('sad', 'ok', 'it''s \"great\"');
              CREATE TYPE load.pair AS (x int, y text);
              CREATE DOMAIN load.short AS varchar(8) CHECK (VALUE <> 'never');
              CREATE TABLE load.types (c_bool bool, c_int2 int2, c_int4 int4, c_int8 int8, c_float4 float4, c_float8 float8,
                  c_numeric numeric, c_money money, c_char char(5), c_varchar varchar(20), c_text text, c_bytea bytea, c_date date,
                  c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_interval interval, c_uuid uuid,
                  c_inet inet, c_macaddr macaddr, c_bit bit(8), c_varbit varbit, c_json json, c_jsonb jsonb, c_xml xml, c_point point,
                  c_range int4range, c_tsvector tsvector, c_int_array int[], c_text_array text[], c_mood load.mood, c_pair load.pair,
                  c_short load.short, id int PRIMARY KEY);",
        columns: "c_bool, c_int2, c_int4, c_int8, c_float4, c_float8, c_numeric, c_money, c_char, c_varchar, c_text, c_bytea, c_date, \
                  c_time, c_timetz, c_timestamp, c_timestamptz, c_interval, c_uuid, c_inet, c_macaddr, c_bit, c_varbit, c_json, \
                  c_jsonb, c_xml, c_point, c_range, c_tsvector, c_int_array, c_text_array, c_mood, c_pair, c_short, id",
        values: r#"v % 2 = 0, v % 30000, v, v * 1000000::bigint, v / 3.0, CASE v % 4 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE v / 7.0 END,
                  CASE v % 3 WHEN 0 THEN 'NaN' ELSE v / 9.0 END, v, 'c' || v % 99, 'v' || v, E't\n\t\\' || v, decode(md5(v::text), 'hex'),
                  CASE v % 3 WHEN 0 THEN 'infinity' WHEN 1 THEN '0044-03-15 BC' ELSE date '2000-01-01' + v END, '24:00', '23:59:59.999999+13',
                  CASE v % 2 WHEN 0 THEN '-infinity' ELSE timestamp '2000-01-01' + v * interval '1 second' END, to_timestamp(v),
                  v * interval '1 day 1 second', md5(v::text)::uuid, ('10.0.0.0'::inet + v), '08:00:2b:01:02:03', (v % 256)::bit(8),
                  B'1011', '{"a": 1,  "a": 2}', '{"a": [1, null]}', '<a>x</a>', point(v, -v), int4range(0, v), 'a:1 b:2',
                  ARRAY[v, NULL, 3], ARRAY['{', '"', 'NULL', NULL], 'it''s "great"', ROW(v, 'a,"b')::load.pair, 'short', k"#,
        key: "t.id = k",
        sets: &[
            "c_text = 'w' || s.v, c_numeric = repeat('9', 100)::numeric",
            "c_jsonb = 'null', c_json = 'null', c_mood = 'sad', c_pair = NULL",
            "c_int_array = '{{1,2},{3,NULL}}', c_text_array = '{}', c_bytea = '', c_text = ''",
        ],
        rekey: Some("id = to_"),
        keys: 80,
    },
    Table {
        name: "load.toast",
        ddl: "CREATE TABLE load.toast (id int PRIMARY KEY, n int, big text, other text);
              ALTER TABLE load.toast ALTER big SET STORAGE EXTERNAL;",
        columns: "id, n, big, other",
        values: "k, v, repeat(md5(v::text), CASE v % 40 WHEN 0 THEN 32768 WHEN 1 THEN 3000 WHEN 2 THEN 0 ELSE 100 END), repeat(md5(k::text), k % 150)",
        key: "t.id = k",
        sets: &["n = s.v", "other = md5(s.v::text)", "big = repeat(md5(s.v::text), 90)"],
        rekey: Some("id = to_"),
        keys: 60,
    },
    Table {
        name: "load.toast_full",
        ddl: "CREATE TABLE load.toast_full (id int PRIMARY KEY, n int, big text); ALTER TABLE load.toast_full REPLICA IDENTITY FULL;
              ALTER TABLE load.toast_full ALTER big SET STORAGE EXTERNAL;",
        columns: "id, n, big",
        values: "k, v, repeat(md5(v::text), 100)",
        key: "t.id = k",
        sets: &["n = s.v", "big = repeat(md5(s.v::text), 90)"],
        rekey: Some("id = to_"),
        keys: 60,
    },
    Table {
        name: "load.generated",
        ddl: "CREATE TABLE load.generated (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, k int, twice int GENERATED ALWAYS AS (n * 2) STORED, n int);",
        columns: "k, n",
        values: "k, v",
        key: "t.k = k.k",
        sets: &["n = s.v"],
        rekey: None,
        keys: 100,
    },
    Table {
        name: r#"load."We ""ird"".na me""#,
        ddl: r#"CREATE TABLE load."We ""ird"".na me" ("select" text, "Id.""1" int PRIMARY KEY, "ü ñ" int);"#,
        columns: r#""select", "Id.""1", "ü ñ""#,
        values: "'s' || v, k, v",
        key: r#"t."Id.""1" = k"#,
        sets: &[r#""ü ñ" = s.v"#, r#""select" = NULL"#],
        rekey: Some(r#""Id.""1" = to_"#),
        keys: 100,
    },
    Table {
        name: "load.parent",
        ddl: "CREATE TABLE load.parent (id int PRIMARY KEY, v text);",
        columns: "id, v",
        values: "k, 'v' || v",
        key: "t.id = k",
        sets: &["v = 'w' || s.v"],
        rekey: Some("id = to_"),
        keys: 40,
    },
    Table {
        name: "load.child",
        ddl: "CREATE TABLE load.child (id int PRIMARY KEY, parent int REFERENCES load.parent ON DELETE CASCADE ON UPDATE CASCADE, v int);",
        columns: "id, parent, v",
        values: "k, (SELECT p.id FROM load.parent p WHERE p.id >= k % 40 ORDER BY p.id LIMIT 1), v",
        key: "t.id = k",
        sets: &["v = s.v", "parent = NULL"],
        rekey: Some("id = to_"),
        keys: 120,
    },
    Table {
        name: "load.two_keys",
        ddl: "CREATE TABLE load.two_keys (id int PRIMARY KEY, seat int UNIQUE, v int);",
        columns: "id, seat, v",
        values: "k, k, v",
        key: "t.id = k",
        sets: &["v = s.v", "seat = NULL", "seat = 1000 + k.k"],
        rekey: Some("id = to_"),
        keys: 60,
    },
];
