-- Takes back 0004_schema_log.sql.

DROP FUNCTION IF EXISTS pgstream.get_schema(text), pgstream.assemble(text[], text[]), pgstream.dependents(oid[], oid[]),
    pgstream.members(oid), pgstream.parts_of(jsonb), pgstream.describe(oid[], oid[], text, boolean),
    pgstream.describe_others(oid[], oid[]), pgstream.document_of(oid[], oid[]), pgstream.other_classes();
DROP TABLE IF EXISTS pgstream.rewritten, pgstream.schema_log, pgstream.objects;
DROP SEQUENCE IF EXISTS pgstream.schema_version;
