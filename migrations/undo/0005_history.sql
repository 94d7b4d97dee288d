-- Takes back 0005_history.sql.

DROP FUNCTION IF EXISTS pgstream.prune_schema_log(interval), pgstream.schema_at(text, bigint), pgstream.objects_at(text, bigint),
    pgstream.first_version(text), pgstream.last_changes(text, bigint);
