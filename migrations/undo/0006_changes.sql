-- Takes back 0006_changes.sql, and the event triggers that call its functions.

DROP EVENT TRIGGER IF EXISTS pgstream_log_ddl;
DROP EVENT TRIGGER IF EXISTS pgstream_log_drop;
DROP EVENT TRIGGER IF EXISTS pgstream_log_rewrite;
DROP FUNCTION IF EXISTS pgstream.log_ddl(), pgstream.log_rewrite(), pgstream.identify(oid[]), pgstream.table_of(oid, "char"),
    pgstream.refresh_schema(text), pgstream.small_schema(text), pgstream.write_log(text[], text, text, text), pgstream.rows_of(oid, text, boolean),
    pgstream.record(oid[], oid[], text, oid[], text, text, boolean);
