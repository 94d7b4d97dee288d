-- Takes back 0006_changes.sql, and the event triggers that call its functions.

DROP EVENT TRIGGER IF EXISTS pgstream_log_ddl;
DROP EVENT TRIGGER IF EXISTS pgstream_log_drop;
DROP EVENT TRIGGER IF EXISTS pgstream_log_rewrite;
DROP FUNCTION IF EXISTS pgstream.log_ddl(), pgstream.log_rewrite(), pgstream.identify(oid[]), pgstream.refresh_schema(text),
    pgstream.small_schema(text), pgstream.write_log(jsonb[], text, text), pgstream.rows_of(oid, jsonb, boolean),
    pgstream.is_renamed(jsonb, jsonb), pgstream.record(oid[], oid[], oid[], text, text, boolean);
