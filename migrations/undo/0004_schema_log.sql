-- Takes back 0004_schema_log.sql, and the event triggers that call its functions.

DROP EVENT TRIGGER IF EXISTS pgstream_log_ddl;
DROP EVENT TRIGGER IF EXISTS pgstream_log_drop;
DROP EVENT TRIGGER IF EXISTS pgstream_log_rewrite;
DROP FUNCTION IF EXISTS pgstream.log_ddl(), pgstream.log_rewrite(), pgstream.identify(oid[]), pgstream.refresh_schema(text),
    pgstream.small_schema(text), pgstream.write_log(jsonb[], text, text), pgstream.rows_of(oid, jsonb, boolean),
    pgstream.is_renamed(jsonb, jsonb), pgstream.record(oid[], oid[], oid[], text, text, boolean), pgstream.schema_at(text, bigint), pgstream.objects_at(text, bigint), pgstream.first_version(text),
    pgstream.last_changes(text, bigint), pgstream.prune_schema_log(interval), pgstream.get_schema(text),
    pgstream.assemble(text[], jsonb[]), pgstream.dependents(oid[], oid[]), pgstream.members(oid), pgstream.describe(oid[], oid[]),
    pgstream.document_of(oid[], oid[]), pgstream.other_classes(), pgstream.is_system_schema(text);
DROP TABLE IF EXISTS pgstream.rewritten, pgstream.schema_log, pgstream.objects;
DROP SEQUENCE IF EXISTS pgstream.schema_version;
