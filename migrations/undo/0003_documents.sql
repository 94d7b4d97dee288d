-- Takes back 0003_documents.sql.

DROP FUNCTION IF EXISTS pgstream.describe_extensions(oid[]), pgstream.describe_schemas(oid[]), pgstream.describe_functions(oid[]),
    pgstream.describe_types(oid[]), pgstream.describe_sequences(oid[], boolean), pgstream.describe_views(oid[]), pgstream.describe_tables(oid[], boolean),
    pgstream.describe_settings(oid, integer), pgstream.index_statistics(oid), pgstream.index_parent(oid),
    pgstream.identity_sequence(oid, integer, oid), pgstream.access_method_name(oid), pgstream.tablespace_name(oid),
    pgstream.collation_name(oid), pgstream.is_member(oid, oid), pgstream.comment_of(oid, oid), pgstream.unquoted(text), pgstream.needs(oid, oid),
    pgstream.is_system_schema(text);
DROP TYPE IF EXISTS pgstream.index_facts, pgstream.constraint_facts, pgstream.column_facts, pgstream.look;
