-- What schemas were: read from the log, and taken out of it when it is old.

-- The last change of each object of a schema up to a version, and whether the object was made since the log began.
CREATE FUNCTION pgstream.last_changes(name text, version bigint) RETURNS TABLE (change jsonb, made boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (c.change->>'class', c.change->>'oid') c.change,
        bool_or(c.change ? 'made' OR (l.command_tag <> 'BASE' AND NOT c.change ? 'before')) OVER (PARTITION BY c.change->>'class', c.change->>'oid')
    FROM pgstream.schema_log AS l, jsonb_array_elements(l.changes::jsonb) AS c (change)
    WHERE l.schema_name = last_changes.name AND l.version <= last_changes.version
    ORDER BY c.change->>'class', c.change->>'oid', l.version DESC;
END $$;

-- The first version of a schema that the log tells whole: that of its last BASE row, of which there are several for a large schema.
CREATE FUNCTION pgstream.first_version(name text) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT max(l.version) FROM pgstream.schema_log AS l WHERE l.schema_name = first_version.name AND l.command_tag = 'BASE');
END $$;

-- The objects of a schema as they were: of each what the last change up to that version left.
CREATE FUNCTION pgstream.objects_at(name text, version bigint) RETURNS TABLE (kind text, document jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    first constant bigint := pgstream.first_version(objects_at.name);
BEGIN
    IF objects_at.version < first THEN
        RAISE EXCEPTION 'version % of schema % is no longer in pgstream.schema_log', objects_at.version, objects_at.name
            USING ERRCODE = 'no_data_found', HINT = format('The oldest that is there is %s.', first);
    END IF;
    RETURN QUERY
    SELECT l.change->>'kind', l.change->'after' FROM pgstream.last_changes(objects_at.name, objects_at.version) AS l WHERE l.change ? 'after';
END $$;

-- A schema as it was.
CREATE FUNCTION pgstream.schema_at(name text, version bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN count(*) = 0 THEN jsonb_build_object('tables', NULL, 'dropped', true)
            ELSE pgstream.assemble(array_agg(o.kind), array_agg(o.document::text)) END
        FROM pgstream.objects_at(schema_at.name, schema_at.version) AS o
    );
END $$;
COMMENT ON FUNCTION pgstream.schema_at(text, bigint) IS 'A schema as a version of the log left it, as one document.';

-- Takes versions out of the log that are older than `keep`, that every consumer has taken over, and that no slot can send again; the
-- number of rows. What they left of each object is the new beginning of its schema: BASE, at the last version that went.
CREATE FUNCTION pgstream.prune_schema_log(keep interval) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    slice constant integer := 500;
    until constant timestamp := clock_timestamp() AT TIME ZONE 'UTC' - keep;
    needed constant pg_lsn := (SELECT min(s.restart_lsn) FROM pg_replication_slots AS s);
    old record;
    bases integer;
    removed bigint := 0;
BEGIN
    -- A version that is not committed yet may be older than one that is.
    LOCK TABLE pgstream.schema_log IN SHARE ROW EXCLUSIVE MODE;
    FOR old IN
        SELECT l.schema_name, array_agg(l.version ORDER BY l.version DESC) AS versions
        FROM (
            -- As far as all before it may go too.
            SELECT l.schema_name, l.version,
                bool_and(l.acked AND l.created_at < until AND (needed IS NULL OR l.lsn < needed)) OVER (PARTITION BY l.schema_name ORDER BY l.version) AS goes
            FROM pgstream.schema_log AS l
        ) AS l
        WHERE l.goes GROUP BY l.schema_name
    LOOP
        bases := greatest(1, ceil((SELECT count(*) FROM pgstream.last_changes(old.schema_name, old.versions[1]) AS l WHERE l.change ? 'after')::numeric / slice));
        CONTINUE WHEN cardinality(old.versions) <= bases;
        WITH objects AS (
            SELECT jsonb_build_object('class', l.change->'class', 'oid', l.change->'oid', 'kind', l.change->'kind', 'schema', l.change->'schema',
                    'name', l.change->'name', 'after', l.change->'after') || CASE WHEN l.made THEN '{"made": true}'::jsonb ELSE '{}' END AS change,
                (row_number() OVER () - 1) / slice AS at
            FROM pgstream.last_changes(old.schema_name, old.versions[1]) AS l WHERE l.change ? 'after'
        ), slices AS (
            SELECT b.at, coalesce(jsonb_agg(o.change) FILTER (WHERE o.change IS NOT NULL), '[]')::text AS changes
            FROM generate_series(0, bases - 1) AS b (at) LEFT JOIN objects AS o ON o.at = b.at GROUP BY b.at
        )
        UPDATE pgstream.schema_log AS l
        SET changes = s.changes, command_tag = 'BASE', statement = NULL, failed = NULL, part = 1, parts = 1, schema = CASE s.at WHEN 0 THEN l.schema END
        FROM slices AS s WHERE l.schema_name = old.schema_name AND l.version = old.versions[s.at + 1];
        DELETE FROM pgstream.schema_log AS l WHERE l.schema_name = old.schema_name AND l.version < old.versions[bases];
        removed := removed + cardinality(old.versions) - bases;
    END LOOP;
    RETURN removed;
END $$;
COMMENT ON FUNCTION pgstream.prune_schema_log(interval) IS
    'Takes versions out of the log that are older than this and that nobody needs any more; the number of rows.';
