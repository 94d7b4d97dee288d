//! Indexes, sequences, views, materialised views, schemas and extensions, form by form.

use super::{Form, form, since};

const T: &str = "CREATE TABLE t (id int PRIMARY KEY, a text, b int)";
const V: &str = "CREATE VIEW v AS SELECT id, a FROM t";
const M: &str = "CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t";

#[rustfmt::skip]
const INDEXES: &[Form] = &[
    form("CREATE INDEX USING with everything", &[T, "CREATE UNIQUE INDEX i ON t USING btree (lower(a) COLLATE \"C\" text_pattern_ops DESC NULLS LAST, b) INCLUDE (id) WITH (fillfactor = 70) WHERE b IS NOT NULL"]),
    form("CREATE INDEX of other methods", &[T, "CREATE INDEX h ON t USING hash (a)", "CREATE INDEX n ON t USING brin (b int4_minmax_multi_ops (values_per_range = 16)) WITH (pages_per_range = 4)", "CREATE INDEX s ON t USING spgist (a)"]),
    form("CREATE INDEX IF NOT EXISTS", &[T, "CREATE INDEX IF NOT EXISTS i ON t (a)", "CREATE INDEX IF NOT EXISTS i ON t (b)"]),
    form("CREATE INDEX CONCURRENTLY", &[T, "CREATE INDEX CONCURRENTLY i ON t (a)"]),
    since(15, "CREATE INDEX NULLS NOT DISTINCT", &[T, "CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT"]),
    form("CREATE INDEX on ONLY a partitioned table", &["CREATE TABLE p (a int) PARTITION BY LIST (a)", "CREATE TABLE c PARTITION OF p DEFAULT", "CREATE INDEX i ON ONLY p (a)"]),
    form("CREATE INDEX on a partitioned table", &["CREATE TABLE p (a int) PARTITION BY LIST (a)", "CREATE TABLE c PARTITION OF p DEFAULT", "CREATE INDEX i ON p (a) WITH (fillfactor = 60)"]),
    form("ALTER INDEX RENAME", &[T, "CREATE INDEX i ON t (a)", "ALTER INDEX IF EXISTS i RENAME TO j", "ALTER INDEX t_pkey RENAME TO k"]),
    form("ALTER INDEX of a partition RENAME", &["CREATE TABLE p (a int) PARTITION BY LIST (a)", "CREATE INDEX i ON p (a)", "CREATE TABLE c PARTITION OF p DEFAULT", "ALTER INDEX c_a_idx RENAME TO j"]),
    form("ALTER INDEX SET TABLESPACE", &[T, "ALTER INDEX t_pkey SET TABLESPACE pg_default", "ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE pg_default"]),
    form("ALTER INDEX ATTACH PARTITION", &["CREATE TABLE p (a int) PARTITION BY LIST (a)", "CREATE TABLE c PARTITION OF p DEFAULT", "CREATE INDEX i ON ONLY p (a)", "CREATE INDEX j ON c (a)", "ALTER INDEX i ATTACH PARTITION j"]),
    form("ALTER INDEX DEPENDS ON EXTENSION", &[T, "CREATE INDEX i ON t (a)", "ALTER INDEX i DEPENDS ON EXTENSION plpgsql"]),
    form("ALTER INDEX SET", &[T, "CREATE INDEX i ON t (a)", "ALTER INDEX i SET (fillfactor = 55, deduplicate_items = off)", "ALTER INDEX t_pkey SET (fillfactor = 44)"]),
    form("ALTER INDEX RESET", &[T, "CREATE INDEX i ON t (a) WITH (fillfactor = 55, deduplicate_items = off)", "ALTER INDEX i RESET (fillfactor)"]),
    form("ALTER INDEX ALTER COLUMN SET STATISTICS", &[T, "CREATE INDEX i ON t (lower(a), (b + 1))", "ALTER INDEX i ALTER COLUMN 2 SET STATISTICS 77"]),
    form("ALTER INDEX ALTER COLUMN SET STATISTICS -1", &[T, "CREATE INDEX i ON t (lower(a))", "ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 77", "ALTER INDEX i ALTER COLUMN 1 SET STATISTICS -1"]),
    form("REINDEX CONCURRENTLY", &[T, "CREATE INDEX i ON t (a)", "COMMENT ON INDEX i IS 'i'", "REINDEX INDEX CONCURRENTLY i", "COMMENT ON INDEX i IS 'j'", "ALTER INDEX i RENAME TO z"]),
    form("REINDEX TABLE CONCURRENTLY of keys", &[T, "CREATE TABLE u (t int REFERENCES t)", "REINDEX TABLE CONCURRENTLY t", "ALTER TABLE t RENAME CONSTRAINT t_pkey TO k"]),
    form("DROP INDEX", &[T, "CREATE INDEX i ON t (a)", "DROP INDEX i"]),
    form("DROP INDEX CONCURRENTLY IF EXISTS", &[T, "CREATE INDEX i ON t (a)", "DROP INDEX CONCURRENTLY IF EXISTS i"]),
    form("DROP INDEX of a partitioned table", &["CREATE TABLE p (a int) PARTITION BY LIST (a)", "CREATE TABLE c PARTITION OF p DEFAULT", "CREATE INDEX i ON p (a)", "DROP INDEX i"]),
];

#[rustfmt::skip]
const SEQUENCES: &[Form] = &[
    form("CREATE SEQUENCE", &["CREATE SEQUENCE s", "CREATE SEQUENCE d AS smallint INCREMENT -2 MINVALUE -50 MAXVALUE -1 START -3 CACHE 4 CYCLE", "CREATE SEQUENCE n NO MINVALUE NO MAXVALUE NO CYCLE OWNED BY NONE"]),
    since(15, "CREATE UNLOGGED SEQUENCE", &["CREATE UNLOGGED SEQUENCE s"]),
    form("ALTER SEQUENCE AS", &["CREATE SEQUENCE s", "ALTER SEQUENCE s AS smallint"]),
    form("ALTER SEQUENCE AS a larger type", &["CREATE SEQUENCE s AS smallint", "ALTER SEQUENCE s AS bigint"]),
    form("ALTER SEQUENCE INCREMENT MINVALUE MAXVALUE START CACHE CYCLE", &["CREATE SEQUENCE s", "ALTER SEQUENCE IF EXISTS s INCREMENT BY 3 MINVALUE 2 MAXVALUE 70 START 5 RESTART 6 CACHE 8 CYCLE"]),
    form("ALTER SEQUENCE NO MINVALUE NO MAXVALUE NO CYCLE", &["CREATE SEQUENCE s MINVALUE 5 MAXVALUE 9 CYCLE", "ALTER SEQUENCE s NO MINVALUE NO MAXVALUE NO CYCLE"]),
    form("ALTER SEQUENCE RESTART", &["CREATE SEQUENCE s", "ALTER SEQUENCE s RESTART", "ALTER SEQUENCE s RESTART WITH 9"]),
    form("ALTER SEQUENCE OWNED BY", &[T, "CREATE SEQUENCE s", "ALTER SEQUENCE s OWNED BY t.id"]),
    form("ALTER SEQUENCE OWNED BY NONE", &["CREATE TABLE t (id serial)", "ALTER SEQUENCE t_id_seq OWNED BY NONE"]),
    form("ALTER SEQUENCE of an identity column", &["CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)", "ALTER SEQUENCE t_id_seq INCREMENT 4", "ALTER SEQUENCE t_id_seq RENAME TO s", "COMMENT ON SEQUENCE s IS 's'"]),
    since(15, "ALTER SEQUENCE SET UNLOGGED", &["CREATE SEQUENCE s", "ALTER SEQUENCE s SET UNLOGGED"]),
    since(15, "ALTER SEQUENCE SET LOGGED", &["CREATE UNLOGGED SEQUENCE s", "ALTER SEQUENCE s SET LOGGED"]),
    form("ALTER SEQUENCE RENAME", &["CREATE TABLE t (id serial)", "ALTER SEQUENCE t_id_seq RENAME TO s"]),
    form("ALTER SEQUENCE SET SCHEMA", &["CREATE SCHEMA x", "CREATE SEQUENCE s", "CREATE TABLE t (a int DEFAULT nextval('s'))", "ALTER SEQUENCE s SET SCHEMA x"]),
    form("DROP SEQUENCE CASCADE", &["CREATE TABLE t (id serial)", "DROP SEQUENCE t_id_seq CASCADE"]),
];

#[rustfmt::skip]
const VIEWS: &[Form] = &[
    form("CREATE VIEW with names and options", &[T, "CREATE VIEW v (x, \"Y z\") WITH (security_barrier = true, check_option = cascaded) AS SELECT id, a FROM t WHERE id > 0"]),
    since(15, "CREATE VIEW security_invoker", &[T, "CREATE VIEW v WITH (security_invoker) AS SELECT id FROM t"]),
    form("CREATE VIEW WITH LOCAL CHECK OPTION", &[T, "CREATE VIEW v AS SELECT id FROM t WHERE id > 0 WITH LOCAL CHECK OPTION"]),
    form("CREATE RECURSIVE VIEW", &["CREATE RECURSIVE VIEW v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v WHERE n < 9"]),
    form("CREATE OR REPLACE VIEW", &[T, V, "CREATE OR REPLACE VIEW v AS SELECT id, upper(a) AS a, b FROM t"]),
    form("CREATE VIEW on a key", &[T, "CREATE VIEW v AS SELECT id, a, count(*) FROM t GROUP BY id"]),
    form("ALTER VIEW SET DEFAULT", &[T, V, "ALTER VIEW v ALTER COLUMN a SET DEFAULT 'x'"]),
    form("ALTER VIEW DROP DEFAULT", &[T, V, "ALTER VIEW v ALTER COLUMN a SET DEFAULT 'x'", "ALTER VIEW v ALTER a DROP DEFAULT"]),
    form("ALTER VIEW RENAME COLUMN", &[T, V, "CREATE VIEW w AS SELECT a FROM v", "ALTER VIEW v RENAME COLUMN a TO z"]),
    form("ALTER VIEW RENAME", &[T, V, "CREATE VIEW w AS SELECT a FROM v", "ALTER VIEW IF EXISTS v RENAME TO z"]),
    form("ALTER VIEW SET SCHEMA", &[T, V, "CREATE SCHEMA x", "ALTER VIEW v SET SCHEMA x"]),
    form("ALTER VIEW SET", &[T, V, "ALTER VIEW v SET (security_barrier, check_option = local)"]),
    form("ALTER VIEW RESET", &[T, "CREATE VIEW v WITH (security_barrier, check_option = local) AS SELECT id FROM t", "ALTER VIEW v RESET (check_option)"]),
    form("DROP VIEW CASCADE", &[T, V, "CREATE VIEW w AS SELECT a FROM v", "DROP VIEW v CASCADE"]),
    form("CREATE MATERIALIZED VIEW", &[T, "CREATE MATERIALIZED VIEW m (x, y) WITH (fillfactor = 70) AS SELECT id, a FROM t WITH NO DATA"]),
    form("REFRESH MATERIALIZED VIEW", &[T, "CREATE MATERIALIZED VIEW m AS SELECT id FROM t WITH NO DATA", "REFRESH MATERIALIZED VIEW m"]),
    form("REFRESH MATERIALIZED VIEW WITH NO DATA", &[T, M, "REFRESH MATERIALIZED VIEW m WITH NO DATA"]),
    form("ALTER MATERIALIZED VIEW SET STATISTICS", &[T, M, "ALTER MATERIALIZED VIEW m ALTER a SET STATISTICS 90"]),
    form("ALTER MATERIALIZED VIEW SET (attribute_option)", &[T, M, "ALTER MATERIALIZED VIEW m ALTER a SET (n_distinct = 5)"]),
    form("ALTER MATERIALIZED VIEW RESET (attribute_option)", &[T, M, "ALTER MATERIALIZED VIEW m ALTER a SET (n_distinct = 5)", "ALTER MATERIALIZED VIEW m ALTER a RESET (n_distinct)"]),
    form("ALTER MATERIALIZED VIEW SET STORAGE", &[T, M, "ALTER MATERIALIZED VIEW m ALTER a SET STORAGE EXTERNAL"]),
    form("ALTER MATERIALIZED VIEW SET COMPRESSION", &[T, M, "ALTER MATERIALIZED VIEW m ALTER a SET COMPRESSION pglz"]),
    form("ALTER MATERIALIZED VIEW CLUSTER ON", &[T, M, "CREATE INDEX i ON m (a)", "ALTER MATERIALIZED VIEW m CLUSTER ON i"]),
    form("ALTER MATERIALIZED VIEW SET WITHOUT CLUSTER", &[T, M, "CREATE INDEX i ON m (a)", "ALTER MATERIALIZED VIEW m CLUSTER ON i", "ALTER MATERIALIZED VIEW m SET WITHOUT CLUSTER"]),
    since(15, "ALTER MATERIALIZED VIEW SET ACCESS METHOD", &[T, M, "ALTER MATERIALIZED VIEW m SET ACCESS METHOD heap"]),
    form("ALTER MATERIALIZED VIEW SET (storage_parameter)", &[T, M, "ALTER MATERIALIZED VIEW m SET (fillfactor = 66, toast.autovacuum_enabled = off)"]),
    form("ALTER MATERIALIZED VIEW RESET (storage_parameter)", &[T, "CREATE MATERIALIZED VIEW m WITH (fillfactor = 66, toast.autovacuum_enabled = off) AS SELECT a FROM t", "ALTER MATERIALIZED VIEW m RESET (fillfactor)"]),
    form("ALTER MATERIALIZED VIEW RENAME COLUMN", &[T, M, "CREATE VIEW w AS SELECT a FROM m", "ALTER MATERIALIZED VIEW m RENAME a TO z"]),
    form("ALTER MATERIALIZED VIEW RENAME", &[T, M, "CREATE INDEX i ON m (a)", "ALTER MATERIALIZED VIEW m RENAME TO n"]),
    form("ALTER MATERIALIZED VIEW SET SCHEMA", &[T, M, "CREATE INDEX i ON m (a)", "CREATE SCHEMA x", "ALTER MATERIALIZED VIEW m SET SCHEMA x"]),
    form("ALTER MATERIALIZED VIEW DEPENDS ON EXTENSION", &[T, M, "ALTER MATERIALIZED VIEW m DEPENDS ON EXTENSION plpgsql"]),
    form("DROP MATERIALIZED VIEW", &[T, M, "DROP MATERIALIZED VIEW m"]),
    form("a materialised view on another", &[T, M, "CREATE MATERIALIZED VIEW n AS SELECT a FROM m", "COMMENT ON COLUMN n.a IS 'a'", "CREATE INDEX ON n (a)", "ALTER TABLE t ALTER b TYPE bigint"]),
];

#[rustfmt::skip]
const SCHEMAS: &[Form] = &[
    form("CREATE SCHEMA", &["CREATE SCHEMA IF NOT EXISTS s", "CREATE SCHEMA IF NOT EXISTS s", "COMMENT ON SCHEMA s IS 's'", "COMMENT ON SCHEMA public IS 'p'"]),
    form("ALTER SCHEMA RENAME", &["CREATE SCHEMA s", "CREATE TYPE s.e AS ENUM ('a')", "CREATE FUNCTION s.f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
        "CREATE TABLE s.t (id serial PRIMARY KEY, e s.e DEFAULT 'a', f int DEFAULT s.f())", "CREATE VIEW v AS SELECT * FROM s.t", "ALTER SCHEMA s RENAME TO z"]),
    form("CREATE EXTENSION", &["CREATE EXTENSION citext", "CREATE TABLE t (a citext PRIMARY KEY)"]),
    form("CREATE EXTENSION SCHEMA, IF NOT EXISTS, CASCADE", &["CREATE SCHEMA s", "CREATE EXTENSION IF NOT EXISTS citext SCHEMA s CASCADE"]),
    form("ALTER EXTENSION SET SCHEMA", &["CREATE SCHEMA s", "CREATE EXTENSION citext", "CREATE TABLE t (a citext)", "ALTER EXTENSION citext SET SCHEMA s"]),
    form("ALTER EXTENSION UPDATE", &["CREATE EXTENSION citext", "ALTER EXTENSION citext UPDATE"]),
    form("DROP EXTENSION CASCADE", &["CREATE EXTENSION citext", "CREATE TABLE t (a citext, b int)", "DROP EXTENSION citext CASCADE"]),
    form("DROP SCHEMA CASCADE", &["CREATE SCHEMA s", "CREATE TABLE s.t (id serial PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM s.t", "DROP SCHEMA s CASCADE"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_indexes_is_followed() {
    super::follow(INDEXES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_sequences_is_followed() {
    super::follow(SEQUENCES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_views_is_followed() {
    super::follow(VIEWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_schemas_is_followed() {
    super::follow(SCHEMAS).await;
}
