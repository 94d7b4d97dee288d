-- Takes back 0004_schema_log.sql.

DROP FUNCTION IF EXISTS pgstream.get_schema(text), pgstream.assemble(text[], jsonb[]), pgstream.dependents(oid[], oid[]),
    pgstream.members(oid), pgstream.describe(oid[], oid[]), pgstream.document_of(oid[], oid[]), pgstream.other_classes(),
    pgstream.is_system_schema(text);
DROP TABLE IF EXISTS pgstream.rewritten, pgstream.schema_log, pgstream.objects;
DROP SEQUENCE IF EXISTS pgstream.schema_version;
