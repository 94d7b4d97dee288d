//! CREATE TABLE, clause by clause, and what hangs on tables: triggers, policies, rules, statistics, comments.

use super::{Form, form, since};

const T: &str = "CREATE TABLE t (id int PRIMARY KEY, a text, b int)";
const F: &str = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";

#[rustfmt::skip]
const TABLES: &[Form] = &[
    form("UNLOGGED", &["CREATE UNLOGGED TABLE t (id bigserial PRIMARY KEY, g int GENERATED ALWAYS AS IDENTITY)"]),
    form("IF NOT EXISTS", &["CREATE TABLE IF NOT EXISTS t (a int)", "CREATE TABLE IF NOT EXISTS t (b int)"]),
    form("every type of column", &["CREATE TABLE t (a smallint, b real, c double precision, d numeric(12,4), e money, f varchar(7), g char(3), h \"char\", i name, j bytea,
        k timestamp(3), l time(2) with time zone, m interval day to second(3), n bit(5), o bit varying(6), p uuid, q xml, r json, s jsonb, t inet, u macaddr8, v point,
        w tsvector, x int4multirange, y text[][], z oid, aa regclass, ab pg_lsn, ac interval year)"]),
    form("every kind of default", &["CREATE TABLE t (a date DEFAULT CURRENT_DATE, b text DEFAULT CURRENT_USER, c text[] DEFAULT ARRAY['x', NULL], d jsonb DEFAULT '{\"a\": 1}',
        e interval DEFAULT '1 day 02:00', f timestamptz DEFAULT '2026-01-01 00:00+02', g bytea DEFAULT '\\x00ff', h float8 DEFAULT 0.1, i numeric DEFAULT 'NaN',
        j int DEFAULT (2 + 3)::int, k uuid DEFAULT gen_random_uuid())"]),
    form("names that need quotes", &["CREATE SCHEMA \"My Schema\"", "CREATE TABLE \"My Schema\".\"t\"\"1\" (\"Id\" serial PRIMARY KEY, \"user\" int CHECK (\"user\" > 0) UNIQUE, \"%s\" text)",
        "CREATE INDEX \"An Index\" ON \"My Schema\".\"t\"\"1\" (\"user\")", "COMMENT ON COLUMN \"My Schema\".\"t\"\"1\".\"%s\" IS E'a\\nb\\\\c'",
        "ALTER TABLE \"My Schema\".\"t\"\"1\" ALTER \"%s\" SET STATISTICS 3"]),
    form("LIKE INCLUDING", &["CREATE TABLE s (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text COMPRESSION pglz CHECK (a <> ''), b int DEFAULT 4)",
        "CREATE INDEX i ON s (b) WITH (fillfactor = 50)", "CREATE STATISTICS st ON a, b FROM s", "COMMENT ON COLUMN s.a IS 'a'", "COMMENT ON INDEX i IS 'i'",
        "ALTER TABLE s ALTER a SET STORAGE EXTERNAL", "CREATE TABLE t (LIKE s INCLUDING ALL EXCLUDING IDENTITY, z int)", "CREATE TABLE u (LIKE s INCLUDING ALL)"]),
    form("INHERITS", &["CREATE TABLE p (a int DEFAULT 1, b text NOT NULL, CHECK (a > 0))", "CREATE TABLE q (b text, c int)",
        "CREATE TABLE t (d int, c int DEFAULT 7, a int DEFAULT 2) INHERITS (p, q) WITH (fillfactor = 30)"]),
    form("PARTITION BY RANGE", &["CREATE TABLE t (a int, b text COLLATE \"C\") PARTITION BY RANGE (a, (b || 'x') COLLATE \"C\", b text_pattern_ops)"]),
    form("PARTITION BY LIST", &["CREATE TABLE t (a bool) PARTITION BY LIST (a)", "CREATE TABLE y PARTITION OF t FOR VALUES IN (true)"]),
    form("PARTITION BY HASH", &["CREATE TABLE t (a int, b int) PARTITION BY HASH (a, b)", "CREATE TABLE h PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)"]),
    form("PARTITION OF with columns and constraints", &["CREATE TABLE p (a int, b int DEFAULT 1, c int GENERATED ALWAYS AS (a + 1) STORED, CHECK (b > 0)) PARTITION BY LIST (a)",
        "CREATE TABLE t PARTITION OF p (b DEFAULT 5 NOT NULL, CONSTRAINT own CHECK (b < 9), PRIMARY KEY (a)) FOR VALUES IN (1, 2) WITH (fillfactor = 40)"]),
    form("PARTITION OF that is partitioned", &["CREATE TABLE p (a int, b int) PARTITION BY LIST (a)",
        "CREATE TABLE t PARTITION OF p FOR VALUES IN (1) PARTITION BY RANGE (b)", "CREATE TABLE u PARTITION OF t FOR VALUES FROM (MINVALUE) TO (3)"]),
    form("OF type", &["CREATE TYPE r AS (a int, b text)", "CREATE TABLE t OF r (a WITH OPTIONS PRIMARY KEY DEFAULT 3, CHECK (b <> ''))"]),
    form("USING method WITH options", &["CREATE TABLE t (a text) USING heap WITH (fillfactor = 50, toast_tuple_target = 200, user_catalog_table, toast.autovacuum_freeze_max_age = 200000)"]),
    form("ON COMMIT of temporary tables only", &["CREATE TEMP TABLE t (a int) ON COMMIT DROP", "CREATE TEMP VIEW v AS SELECT 1", "CREATE TEMP SEQUENCE s"]),
    form("CREATE TABLE AS with names, options and no data", &["CREATE TABLE t (a, b) WITH (fillfactor = 20) AS VALUES (1, 'x') WITH NO DATA"]),
    form("CREATE TABLE AS EXECUTE", &["PREPARE q AS SELECT 1::numeric(4,1) AS n; CREATE TABLE t AS EXECUTE q"]),
    form("SELECT INTO UNLOGGED", &["SELECT 1 AS a INTO UNLOGGED t"]),
    since(15, "UNIQUE NULLS NOT DISTINCT", &["CREATE TABLE t (a int UNIQUE NULLS NOT DISTINCT)"]),
    form("circular foreign keys", &["CREATE TABLE a (id int PRIMARY KEY, b int)", "CREATE TABLE b (id int PRIMARY KEY REFERENCES a)", "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b"]),
    form("a table in CREATE SCHEMA", &["CREATE SCHEMA s CREATE TABLE t (id serial PRIMARY KEY) CREATE INDEX ON t (id) CREATE VIEW v AS SELECT * FROM t CREATE SEQUENCE q"]),
    form("DROP TABLE", &[T, "DROP TABLE t"]),
    form("DROP TABLE IF EXISTS CASCADE", &[T, "CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE u (t int REFERENCES t)", "DROP TABLE IF EXISTS t, missing CASCADE"]),
    since(18, "GENERATED VIRTUAL", &["CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2), c int GENERATED ALWAYS AS (a * 3) STORED NOT NULL, d int GENERATED ALWAYS AS (a * 4) VIRTUAL NOT NULL)"]),
];

#[rustfmt::skip]
const ATTACHED: &[Form] = &[
    form("CREATE TRIGGER BEFORE, UPDATE OF, WHEN, arguments", &[T, F, "CREATE TRIGGER g BEFORE INSERT OR UPDATE OF a, b ON t FOR EACH ROW WHEN (NEW.a <> '') EXECUTE FUNCTION f('x', 2)"]),
    form("CREATE TRIGGER REFERENCING", &[T, F, "CREATE TRIGGER g AFTER UPDATE ON t REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION f()"]),
    form("CREATE TRIGGER TRUNCATE", &[T, F, "CREATE TRIGGER g AFTER TRUNCATE ON t EXECUTE FUNCTION f()"]),
    form("CREATE TRIGGER INSTEAD OF", &[T, F, "CREATE VIEW v AS SELECT * FROM t", "CREATE TRIGGER g INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f()", "COMMENT ON TRIGGER g ON v IS 'g'"]),
    form("CREATE OR REPLACE TRIGGER", &[T, F, "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "ALTER TABLE t ENABLE ALWAYS TRIGGER g",
        "CREATE OR REPLACE TRIGGER g AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()"]),
    form("CREATE CONSTRAINT TRIGGER", &[T, "CREATE TABLE u (id int)", F, "CREATE CONSTRAINT TRIGGER g AFTER DELETE ON t FROM u DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()"]),
    form("ALTER TRIGGER RENAME", &[T, F, "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "ALTER TRIGGER g ON t RENAME TO h"]),
    form("ALTER TRIGGER RENAME of a partitioned table", &["CREATE TABLE p (a int) PARTITION BY LIST (a)", "CREATE TABLE c PARTITION OF p DEFAULT", F,
        "CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()", "ALTER TRIGGER g ON p RENAME TO h"]),
    form("ALTER TRIGGER DEPENDS ON EXTENSION", &[T, F, "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "ALTER TRIGGER g ON t DEPENDS ON EXTENSION plpgsql"]),
    form("DROP TRIGGER", &[T, F, "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "DROP TRIGGER g ON t"]),
    form("DROP FUNCTION CASCADE of a trigger", &[T, F, "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "DROP FUNCTION f CASCADE"]),
    form("CREATE POLICY", &[T, "CREATE POLICY s ON t FOR SELECT TO pg_monitor, CURRENT_USER USING (b > 0)", "CREATE POLICY i ON t AS RESTRICTIVE FOR INSERT WITH CHECK (b > 0)",
        "CREATE POLICY u ON t FOR UPDATE USING (b > 0) WITH CHECK (b > 1)", "CREATE POLICY d ON t FOR DELETE USING (EXISTS (SELECT FROM t AS x WHERE x.id = t.b))", "CREATE POLICY a ON t"]),
    form("ALTER POLICY RENAME", &[T, "CREATE POLICY p ON t USING (b > 0)", "ALTER POLICY p ON t RENAME TO q"]),
    form("ALTER POLICY TO", &[T, "CREATE POLICY p ON t USING (b > 0)", "ALTER POLICY p ON t TO pg_monitor"]),
    form("ALTER POLICY USING WITH CHECK", &[T, "CREATE POLICY p ON t USING (b > 0)", "ALTER POLICY p ON t USING (b > 1) WITH CHECK (b > 2)"]),
    form("COMMENT ON POLICY", &[T, "CREATE POLICY p ON t", "COMMENT ON POLICY p ON t IS 'p'"]),
    form("DROP POLICY", &[T, "CREATE POLICY p ON t", "DROP POLICY p ON t"]),
    form("CREATE RULE", &[T, "CREATE TABLE u (id int)", "CREATE RULE r AS ON INSERT TO t WHERE NEW.id > 4 DO ALSO (INSERT INTO u VALUES (NEW.id); DELETE FROM u WHERE id > NEW.id)"]),
    form("CREATE OR REPLACE RULE", &[T, "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "CREATE OR REPLACE RULE r AS ON DELETE TO t WHERE OLD.id > 1 DO INSTEAD NOTHING"]),
    form("ALTER RULE RENAME", &[T, "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "ALTER RULE r ON t RENAME TO s", "COMMENT ON RULE s ON t IS 's'"]),
    form("DROP RULE", &[T, "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "DROP RULE r ON t"]),
    form("CREATE STATISTICS (kinds)", &[T, "CREATE STATISTICS s (dependencies, mcv) ON a, b FROM t"]),
    form("CREATE STATISTICS ON (expression)", &[T, "CREATE STATISTICS s ON (lower(a)), b FROM t", "CREATE STATISTICS one ON (b + 1) FROM t"]),
    form("ALTER STATISTICS RENAME", &[T, "CREATE STATISTICS s ON a, b FROM t", "ALTER STATISTICS s RENAME TO z"]),
    form("ALTER STATISTICS SET SCHEMA", &[T, "CREATE SCHEMA x", "CREATE STATISTICS s ON a, b FROM t", "ALTER STATISTICS s SET SCHEMA x"]),
    form("ALTER STATISTICS SET STATISTICS", &[T, "CREATE STATISTICS s ON a, b FROM t", "ALTER STATISTICS s SET STATISTICS 44", "COMMENT ON STATISTICS s IS 's'"]),
    form("DROP STATISTICS", &[T, "CREATE STATISTICS s ON a, b FROM t", "DROP STATISTICS s"]),
    form("COMMENT ON COLUMN and CONSTRAINT", &[T, "COMMENT ON COLUMN t.a IS 'a'", "COMMENT ON CONSTRAINT t_pkey ON t IS 'k'", "COMMENT ON INDEX t_pkey IS 'i'"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_clause_of_create_table_is_followed() {
    super::follow(TABLES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_what_hangs_on_tables_is_followed() {
    super::follow(ATTACHED).await;
}
