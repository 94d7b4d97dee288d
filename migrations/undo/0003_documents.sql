-- Takes back 0003_documents.sql.

DROP FUNCTION IF EXISTS pgstream.describe_extensions(oid[]), pgstream.describe_schemas(oid[]), pgstream.describe_functions(oid[]),
    pgstream.describe_types(oid[]), pgstream.describe_sequences(oid[]), pgstream.describe_views(oid[]), pgstream.describe_tables(oid[]),
    pgstream.index_statistics(oid, boolean), pgstream.index_parent(oid, boolean), pgstream.identity_sequence(oid, integer, oid),
    pgstream.collation_name(oid), pgstream.comment_of(oid, oid), pgstream.needs(oid, oid);
