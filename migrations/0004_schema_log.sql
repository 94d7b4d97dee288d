-- The history of every schema: what each statement changed, in the transaction that changed it.

-- What is known of each object now. It is the "before" of the next change.
CREATE TABLE pgstream.objects (
    class       oid NOT NULL,
    oid         oid NOT NULL,
    schema_name text NOT NULL,
    kind        text NOT NULL,
    name        text NOT NULL,
    document    jsonb NOT NULL,
    PRIMARY KEY (class, oid)
);
CREATE INDEX objects_by_name ON pgstream.objects (schema_name, kind, name);
CREATE INDEX objects_partitions ON pgstream.objects ((document #>> '{partition_of,oid}')) WHERE document ? 'partition_of';
COMMENT ON TABLE pgstream.objects IS 'The last document of each object.';

-- Versions count across all schemas, so that two transactions that change one schema need not wait for each other. Those of one
-- schema grow in the order of the changes to each of its objects, with gaps.
CREATE SEQUENCE pgstream.schema_version;

CREATE TABLE pgstream.schema_log (
    id             pgstream.xid PRIMARY KEY DEFAULT pgstream.xid(),
    version        bigint NOT NULL DEFAULT nextval('pgstream.schema_version'),
    schema_name    text NOT NULL,
    schema         jsonb,
    created_at     timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
    acked          boolean NOT NULL DEFAULT false,
    changes        jsonb NOT NULL,
    command_tag    text NOT NULL,
    statement      text,
    statement_id   pgstream.xid NOT NULL,
    part           integer NOT NULL,
    parts          integer NOT NULL,
    failed         text,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    lsn            pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn()
);
CREATE UNIQUE INDEX schema_log_version ON pgstream.schema_log (schema_name, version);
CREATE INDEX schema_log_acked ON pgstream.schema_log (schema_name, acked, id);
CREATE INDEX schema_log_transaction ON pgstream.schema_log (transaction_id);
CREATE INDEX schema_log_lsn ON pgstream.schema_log (lsn);
COMMENT ON TABLE pgstream.schema_log IS 'One row for each schema that a statement changed, in the statement''s transaction.';
COMMENT ON COLUMN pgstream.schema_log.schema IS 'The whole schema, where it is small; pgstream.schema_at gives it always.';
COMMENT ON COLUMN pgstream.schema_log.created_at IS 'UTC.';
COMMENT ON COLUMN pgstream.schema_log.acked IS 'Every consumer of the stream has taken this version over.';
COMMENT ON COLUMN pgstream.schema_log.changes IS 'The objects that changed: their documents before and after.';
COMMENT ON COLUMN pgstream.schema_log.statement IS 'The text that the client sent, which may be more than the statement; its first 16,384 characters.';
COMMENT ON COLUMN pgstream.schema_log.lsn IS 'Where the source''s log was when the row was written.';
COMMENT ON COLUMN pgstream.schema_log.part IS 'A statement that changes several schemas has as many rows: this is row `part` of `parts`.';
COMMENT ON COLUMN pgstream.schema_log.failed IS 'The statement could not be described: the SQLSTATE. It took effect all the same.';

-- Tables that the statement at work rewrites, and why: 1 persistence, 2 default of a new column, 4 type, 8 access method.
CREATE TABLE pgstream.rewritten (
    oid    oid PRIMARY KEY,
    reason integer NOT NULL
);
COMMENT ON TABLE pgstream.rewritten IS 'Tables that a statement is rewriting; empty between statements.';

-- Functions that are called by others of these only have no settings of their own: those of log_ddl, refresh_schema, get_schema and
-- schema_at hold for them. Nobody else may call them.

-- Schemas whose objects are not anybody's data.
CREATE FUNCTION pgstream.is_system_schema(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT name IN ('information_schema', 'pgstream', 'pgroll') OR name LIKE 'pg\_%'
$$;

-- The objects that have a document of their own for objects that may be parts of one: an index is its table's.
CREATE FUNCTION pgstream.document_of(classes oid[], oids oid[]) RETURNS TABLE (class oid, oid oid)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH given AS (SELECT g.class, g.oid FROM unnest(classes, oids) AS g (class, oid)),
    -- Relations first: what they are decides where the others go.
    relations AS (
        SELECT g.oid FROM given AS g WHERE g.class = 'pg_class'::regclass
        UNION SELECT t.tgrelid FROM given AS g JOIN pg_trigger AS t ON t.oid = g.oid WHERE g.class = 'pg_trigger'::regclass
        UNION SELECT p.polrelid FROM given AS g JOIN pg_policy AS p ON p.oid = g.oid WHERE g.class = 'pg_policy'::regclass
        UNION SELECT r.ev_class FROM given AS g JOIN pg_rewrite AS r ON r.oid = g.oid WHERE g.class = 'pg_rewrite'::regclass
        UNION SELECT d.adrelid FROM given AS g JOIN pg_attrdef AS d ON d.oid = g.oid WHERE g.class = 'pg_attrdef'::regclass
        UNION SELECT s.stxrelid FROM given AS g JOIN pg_statistic_ext AS s ON s.oid = g.oid WHERE g.class = 'pg_statistic_ext'::regclass
        UNION SELECT k.conrelid FROM given AS g JOIN pg_constraint AS k ON k.oid = g.oid WHERE g.class = 'pg_constraint'::regclass
    ), types AS (
        SELECT g.oid FROM given AS g WHERE g.class = 'pg_type'::regclass
        UNION SELECT k.contypid FROM given AS g JOIN pg_constraint AS k ON k.oid = g.oid WHERE g.class = 'pg_constraint'::regclass
        UNION SELECT c.reltype FROM relations AS r JOIN pg_class AS c ON c.oid = r.oid WHERE c.relkind = 'c'
    )
    SELECT 'pg_class'::regclass::oid, c.oid FROM relations AS r JOIN pg_class AS c ON c.oid = r.oid WHERE c.relkind IN ('r', 'p', 'v', 'm')
    UNION SELECT 'pg_class'::regclass, i.indrelid FROM relations AS r JOIN pg_index AS i ON i.indexrelid = r.oid
    -- The sequence of an identity column is told with its table.
    UNION SELECT 'pg_class'::regclass, coalesce(d.refobjid, c.oid)
        FROM relations AS r JOIN pg_class AS c ON c.oid = r.oid AND c.relkind = 'S'
        LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
    UNION SELECT 'pg_type'::regclass, t.oid FROM types AS g JOIN pg_type AS t ON t.oid = g.oid LEFT JOIN pg_class AS c ON c.oid = t.typrelid
        WHERE t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')
    UNION SELECT 'pg_class'::regclass, c.oid FROM types AS g JOIN pg_type AS t ON t.oid = g.oid JOIN pg_class AS c ON c.oid = t.typrelid WHERE c.relkind <> 'c'
    UNION SELECT g.class, g.oid FROM given AS g WHERE g.class IN ('pg_proc'::regclass, 'pg_namespace'::regclass, 'pg_extension'::regclass)
    -- What is not followed is told by name.
    UNION SELECT g.class, g.oid FROM given AS g WHERE g.class = ANY (pgstream.other_classes())
    UNION SELECT 'pg_class'::regclass, c.oid FROM relations AS r JOIN pg_class AS c ON c.oid = r.oid WHERE c.relkind = 'f';
END $$;

-- Catalogs of objects that are not followed. Others may need them, and then the target does.
CREATE FUNCTION pgstream.other_classes() RETURNS oid[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['pg_collation'::regclass, 'pg_conversion'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass,
        'pg_cast'::regclass, 'pg_language'::regclass, 'pg_am'::regclass, 'pg_transform'::regclass, 'pg_ts_config'::regclass,
        'pg_ts_dict'::regclass, 'pg_ts_parser'::regclass, 'pg_ts_template'::regclass, 'pg_foreign_data_wrapper'::regclass,
        'pg_foreign_server'::regclass]::oid[]
$$;

-- The documents of objects as they are now, without those that are not tracked. What an extension brings comes with it; what was
-- followed before it became a member of one is followed on.
CREATE FUNCTION pgstream.describe(classes oid[], oids oid[])
RETURNS TABLE (class oid, oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    relations oid[];
    kinds text;
    others oid[];
BEGIN
    SELECT array_agg(c.oid), string_agg(c.relkind::text, '') INTO relations, kinds
    FROM unnest(classes, oids) AS g (class, oid) JOIN pg_class AS c ON c.oid = g.oid
    WHERE g.class = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relpersistence <> 't'
      AND NOT pgstream.is_system_schema(c.relnamespace::regnamespace::text)
      AND (NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = g.class AND d.objid = g.oid AND d.deptype = 'e')
           OR EXISTS (SELECT FROM pgstream.objects AS o WHERE o.class = g.class AND o.oid = g.oid));
    IF kinds ~ '[rp]' THEN
        RETURN QUERY SELECT 'pg_class'::regclass::oid, d.* FROM pgstream.describe_tables(relations) AS d;
    END IF;
    IF kinds ~ '[vm]' THEN
        RETURN QUERY SELECT 'pg_class'::regclass::oid, d.* FROM pgstream.describe_views(relations) AS d;
    END IF;
    IF kinds ~ 'S' THEN
        RETURN QUERY SELECT 'pg_class'::regclass::oid, d.* FROM pgstream.describe_sequences(relations) AS d;
    END IF;
    IF classes <@ ARRAY['pg_class'::regclass::oid] AND cardinality(relations) = cardinality(oids) THEN
        RETURN;
    END IF;
    SELECT array_agg(g.class), array_agg(g.oid) INTO classes, oids FROM unnest(classes, oids) AS g (class, oid)
    WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = g.class AND d.objid = g.oid AND d.deptype = 'e')
       OR EXISTS (SELECT FROM pgstream.objects AS o WHERE o.class = g.class AND o.oid = g.oid);
    IF 'pg_type'::regclass = ANY (classes) THEN
        others := ARRAY(
            SELECT t.oid FROM unnest(classes, oids) AS g (class, oid) JOIN pg_type AS t ON t.oid = g.oid
            WHERE g.class = 'pg_type'::regclass AND NOT pgstream.is_system_schema(t.typnamespace::regnamespace::text));
        RETURN QUERY SELECT 'pg_type'::regclass::oid, d.* FROM pgstream.describe_types(others) AS d;
    END IF;
    IF 'pg_proc'::regclass = ANY (classes) THEN
        others := ARRAY(
            SELECT p.oid FROM unnest(classes, oids) AS g (class, oid) JOIN pg_proc AS p ON p.oid = g.oid
            WHERE g.class = 'pg_proc'::regclass AND NOT pgstream.is_system_schema(p.pronamespace::regnamespace::text));
        RETURN QUERY SELECT 'pg_proc'::regclass::oid, d.* FROM pgstream.describe_functions(others) AS d;
    END IF;
    IF 'pg_namespace'::regclass = ANY (classes) THEN
        others := ARRAY(
            SELECT n.oid FROM unnest(classes, oids) AS g (class, oid) JOIN pg_namespace AS n ON n.oid = g.oid
            WHERE g.class = 'pg_namespace'::regclass AND NOT pgstream.is_system_schema(n.nspname));
        RETURN QUERY SELECT 'pg_namespace'::regclass::oid, d.* FROM pgstream.describe_schemas(others) AS d;
    END IF;
    IF 'pg_extension'::regclass = ANY (classes) THEN
        others := ARRAY(
            SELECT g.oid FROM unnest(classes, oids) AS g (class, oid) JOIN pg_extension AS e ON e.oid = g.oid
            WHERE g.class = 'pg_extension'::regclass AND e.extname <> 'plpgsql');
        RETURN QUERY SELECT 'pg_extension'::regclass::oid, d.* FROM pgstream.describe_extensions(others) AS d;
    END IF;
    IF classes && pgstream.other_classes()
        OR EXISTS (SELECT FROM unnest(classes, oids) AS g (class, oid) JOIN pg_class AS c ON c.oid = g.oid WHERE g.class = 'pg_class'::regclass AND c.relkind = 'f')
    THEN
        RETURN QUERY
        SELECT g.class, g.oid, coalesce(i.schema, ''), i.type, i.identity, jsonb_build_object('identity', i.identity)
        FROM unnest(classes, oids) AS g (class, oid)
        LEFT JOIN pg_class AS c ON g.class = 'pg_class'::regclass AND c.oid = g.oid
        CROSS JOIN LATERAL pg_identify_object(g.class, g.oid, 0) AS i
        WHERE (g.class = ANY (pgstream.other_classes()) OR c.relkind = 'f') AND i.identity IS NOT NULL
          AND NOT pgstream.is_system_schema(coalesce(i.schema, ''));
    END IF;
END $$;

-- The objects of a schema.
CREATE FUNCTION pgstream.members(schema oid) RETURNS TABLE (class oid, oid oid)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'pg_namespace'::regclass::oid, schema
    UNION ALL SELECT 'pg_class'::regclass, c.oid FROM pg_class AS c WHERE c.relnamespace = schema AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
        WHERE t.typnamespace = schema AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
    UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc AS p WHERE p.pronamespace = schema
    UNION ALL SELECT 'pg_extension'::regclass, e.oid FROM pg_extension AS e WHERE e.extnamespace = schema
    UNION ALL SELECT 'pg_collation'::regclass, o.oid FROM pg_collation AS o WHERE o.collnamespace = schema
    UNION ALL SELECT 'pg_conversion'::regclass, o.oid FROM pg_conversion AS o WHERE o.connamespace = schema
    UNION ALL SELECT 'pg_operator'::regclass, o.oid FROM pg_operator AS o WHERE o.oprnamespace = schema
    UNION ALL SELECT 'pg_opclass'::regclass, o.oid FROM pg_opclass AS o WHERE o.opcnamespace = schema
    UNION ALL SELECT 'pg_opfamily'::regclass, o.oid FROM pg_opfamily AS o WHERE o.opfnamespace = schema
    UNION ALL SELECT 'pg_ts_config'::regclass, o.oid FROM pg_ts_config AS o WHERE o.cfgnamespace = schema
    UNION ALL SELECT 'pg_ts_dict'::regclass, o.oid FROM pg_ts_dict AS o WHERE o.dictnamespace = schema
    UNION ALL SELECT 'pg_ts_parser'::regclass, o.oid FROM pg_ts_parser AS o WHERE o.prsnamespace = schema
    UNION ALL SELECT 'pg_ts_template'::regclass, o.oid FROM pg_ts_template AS o WHERE o.tmplnamespace = schema;
END $$;

-- Objects whose definitions name these: their text changes with a name.
CREATE FUNCTION pgstream.dependents(classes oid[], oids oid[]) RETURNS TABLE (class oid, oid oid)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    dependent_classes oid[];
    dependent_oids oid[];
BEGIN
    WITH given AS (
        SELECT g.class, g.oid FROM unnest(classes, oids) AS g (class, oid)
        -- Of a table, things may need its row type, and of any type its array type.
        UNION SELECT 'pg_type'::regclass, c.reltype FROM unnest(classes, oids) AS g (class, oid) JOIN pg_class AS c ON c.oid = g.oid
            WHERE g.class = 'pg_class'::regclass AND c.reltype <> 0
        UNION SELECT 'pg_type'::regclass, t.typarray FROM unnest(classes, oids) AS g (class, oid) JOIN pg_type AS t ON t.oid = g.oid
            WHERE g.class = 'pg_type'::regclass AND t.typarray <> 0
        -- What an extension brought is in its schema.
        UNION SELECT m.classid, m.objid FROM unnest(classes, oids) AS g (class, oid)
            JOIN pg_depend AS m ON m.refclassid = g.class AND m.refobjid = g.oid AND m.deptype = 'e'
            WHERE g.class = 'pg_extension'::regclass
    )
    SELECT array_agg(d.classid), array_agg(d.objid) INTO dependent_classes, dependent_oids
    FROM given AS g JOIN pg_depend AS d ON d.refclassid = g.class AND d.refobjid = g.oid;
    RETURN QUERY
    SELECT o.class, o.oid FROM pgstream.document_of(dependent_classes, dependent_oids) AS o
    -- Children hold their parents' columns.
    UNION SELECT 'pg_class'::regclass, h.inhrelid FROM pg_inherits AS h JOIN pg_class AS c ON c.oid = h.inhrelid
        WHERE h.inhparent = ANY (oids) AND c.relkind IN ('r', 'p');
END $$;

-- One document of the documents of a schema's objects.
CREATE FUNCTION pgstream.assemble(kinds text[], documents jsonb[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'tables', jsonb_agg(d.document - 'schema' ORDER BY d.document->>'name') FILTER (WHERE d.kind = 'table'),
            'materialized_views', jsonb_agg(d.document - 'schema' ORDER BY d.document->>'name') FILTER (WHERE d.kind = 'materialized view'),
            'sequences', jsonb_agg(d.document - 'schema' ORDER BY d.document->>'name') FILTER (WHERE d.kind = 'sequence')
        ) || jsonb_strip_nulls(jsonb_build_object(
            'views', jsonb_agg(d.document - 'schema' ORDER BY d.document->>'name') FILTER (WHERE d.kind = 'view'),
            'types', jsonb_agg(d.document - 'schema' ORDER BY d.document->>'name') FILTER (WHERE d.kind = 'type'),
            'functions', jsonb_agg(d.document - 'schema' || jsonb_build_object('kind', d.kind) ORDER BY d.document->>'name', d.document->>'arguments')
                FILTER (WHERE d.kind IN ('function', 'procedure', 'aggregate')),
            'extensions', jsonb_agg(d.document - 'schema' ORDER BY d.document->>'name') FILTER (WHERE d.kind = 'extension')
        )) || coalesce((jsonb_agg(d.document - 'name' - 'oid') FILTER (WHERE d.kind = 'schema'))->0, '{}')
        FROM unnest(kinds, documents) AS d (kind, document)
    );
END $$;

-- A schema as it is now.
CREATE FUNCTION pgstream.get_schema(name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off
    SET datestyle = 'ISO, MDY' SET intervalstyle = postgres SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = hex
    SET quote_all_identifiers = off SET standard_conforming_strings = on AS $$
DECLARE
    schema oid := (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = get_schema.name);
    classes oid[];
    oids oid[];
BEGIN
    IF schema IS NULL THEN
        RETURN jsonb_build_object('tables', NULL, 'dropped', true);
    END IF;
    SELECT array_agg(m.class), array_agg(m.oid) INTO classes, oids FROM pgstream.members(schema) AS m;
    RETURN (SELECT pgstream.assemble(array_agg(d.kind), array_agg(d.document)) FROM pgstream.describe(classes, oids) AS d);
END $$;
COMMENT ON FUNCTION pgstream.get_schema(text) IS 'A schema as it is now, as one document.';

-- The last change of each object of a schema up to a version, and whether the object was made since the log began.
CREATE FUNCTION pgstream.last_changes(name text, version bigint) RETURNS TABLE (change jsonb, made boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (c.change->>'class', c.change->>'oid') c.change,
        bool_or(c.change ? 'made' OR (l.command_tag <> 'BASE' AND NOT c.change ? 'before')) OVER (PARTITION BY c.change->>'class', c.change->>'oid')
    FROM pgstream.schema_log AS l, jsonb_array_elements(l.changes) AS c (change)
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
            ELSE pgstream.assemble(array_agg(o.kind), array_agg(o.document)) END
        FROM pgstream.objects_at(schema_at.name, schema_at.version) AS o
    );
END $$;
COMMENT ON FUNCTION pgstream.schema_at(text, bigint) IS 'A schema as a version of the log left it, as one document.';

-- Looks at objects again; what differs from what is known goes into the log, if `logged`.
--
-- Under REPEATABLE READ and SERIALIZABLE the catalog is read as the transaction sees it.
-- `rewritten` are tables that the statement wrote anew.
CREATE FUNCTION pgstream.record(classes oid[], oids oid[], rewritten oid[], command_tag text, statement text, logged boolean) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    seen_classes oid[] := '{}';
    seen_oids oid[] := '{}';
    changes jsonb[] := '{}';
    change jsonb;
    renamed_classes oid[];
    renamed_oids oid[];
    it record;
BEGIN
    LOOP
        renamed_classes := NULL;
        renamed_oids := NULL;
        -- What is new of each, beside what is known.
        FOR it IN
            SELECT coalesce(p.class, k.class) AS class, coalesce(p.oid, k.oid) AS oid, coalesce(p.kind, k.kind) AS kind,
                coalesce(p.schema_name, k.schema_name) AS schema_name, coalesce(p.name, k.name) AS name,
                k.schema_name AS was_in, k.document AS before, p.document AS after
            FROM (
                SELECT o.* FROM unnest(classes, oids) AS g (class, oid) JOIN pgstream.objects AS o ON o.class = g.class AND o.oid = g.oid
            ) AS k FULL JOIN pgstream.describe(classes, oids) AS p ON p.class = k.class AND p.oid = k.oid
            WHERE k.document IS DISTINCT FROM p.document OR k.schema_name IS DISTINCT FROM p.schema_name
               -- Its rows may have other values now, even if it is described as before.
               OR (k.kind = 'table' AND k.oid = ANY (record.rewritten)
                   AND EXISTS (SELECT FROM pgstream.rewritten AS r WHERE r.oid = k.oid AND r.reason & 6 <> 0))
            ORDER BY 3, 5, 2
        LOOP
            change := jsonb_strip_nulls(jsonb_build_object(
                'class', it.class::text, 'oid', it.oid::text, 'kind', it.kind, 'schema', it.schema_name, 'name', it.name,
                'was_in', CASE WHEN it.was_in <> it.schema_name THEN it.was_in END));
            IF it.before IS NOT NULL THEN
                change := change || jsonb_build_object('before', it.before);
            END IF;
            IF it.after IS NULL THEN
                DELETE FROM pgstream.objects AS o WHERE o.class = it.class AND o.oid = it.oid;
            ELSE
                change := change || jsonb_build_object('after', it.after);
                INSERT INTO pgstream.objects AS o (class, oid, schema_name, kind, name, document)
                VALUES (it.class, it.oid, it.schema_name, it.kind, it.name, it.after)
                ON CONFLICT (class, oid) DO UPDATE
                SET schema_name = excluded.schema_name, kind = excluded.kind, name = excluded.name, document = excluded.document;
            END IF;
            IF it.before IS NOT NULL AND it.after IS NOT NULL THEN
                IF it.kind = 'table' THEN
                    change := change || pgstream.rows_of(it.oid, it.before, it.oid = ANY (record.rewritten));
                END IF;
                IF pgstream.is_renamed(it.before, it.after) THEN
                    renamed_classes := renamed_classes || it.class;
                    renamed_oids := renamed_oids || it.oid;
                END IF;
            END IF;
            changes := changes || change;
        END LOOP;
        EXIT WHEN renamed_oids IS NULL;
        seen_classes := seen_classes || classes;
        seen_oids := seen_oids || oids;
        SELECT array_agg(d.class), array_agg(d.oid) INTO classes, oids
        FROM (
            SELECT d.class, d.oid FROM pgstream.dependents(renamed_classes, renamed_oids) AS d
            UNION SELECT m.class, m.oid FROM unnest(renamed_classes, renamed_oids) AS r (class, oid), pgstream.members(r.oid) AS m
                WHERE r.class = 'pg_namespace'::regclass
            EXCEPT SELECT s.class, s.oid FROM unnest(seen_classes, seen_oids) AS s (class, oid)
        ) AS d;
        EXIT WHEN oids IS NULL;
    END LOOP;
    IF NOT logged OR changes = '{}' THEN
        RETURN 0;
    END IF;
    RETURN pgstream.write_log(changes, command_tag, statement);
END $$;

-- Whether an object, or a part of it that others may name, has another name than before.
CREATE FUNCTION pgstream.is_renamed(before jsonb, after jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part text;
    old jsonb;
    new jsonb;
BEGIN
    IF before->>'name' <> after->>'name' OR before->>'schema' IS DISTINCT FROM after->>'schema' THEN
        RETURN true;
    END IF;
    FOREACH part IN ARRAY ARRAY['columns', 'attributes', 'labels'] LOOP
        CONTINUE WHEN before->part IS NOT DISTINCT FROM after->part;
        old := jsonb_path_query_array(before->part, '$[*].name');
        new := jsonb_path_query_array(after->part, '$[*].name');
        -- One gone and one come.
        IF NOT old <@ new AND NOT old @> new THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- What a statement did to the rows that a table had: a new column's value in them, and whether they were written anew.
CREATE FUNCTION pgstream.rows_of(relation oid, before jsonb, is_rewritten boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    missing jsonb;
    why integer;
    empty boolean;
    heirs boolean;
BEGIN
    SELECT jsonb_object_agg(a.attnum, (a.attmissingval::text::text[])[1]) INTO missing
    FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.atthasmissing AND NOT a.attisdropped
      AND NOT before->'columns' @> jsonb_build_array(jsonb_build_object('attnum', a.attnum));
    IF is_rewritten THEN
        DELETE FROM pgstream.rewritten AS r WHERE r.oid = relation RETURNING r.reason INTO why;
    END IF;
    IF why IS NOT NULL THEN
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM ONLY %s)', relation::regclass) INTO empty;
    END IF;
    -- Whether other tables inherit from it: their documents are here only if they changed too.
    SELECT true INTO heirs FROM pg_class AS c
    WHERE c.oid = relation AND c.relkind = 'r' AND c.relhassubclass AND EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhparent = relation);
    RETURN jsonb_strip_nulls(jsonb_build_object('missing', missing, 'rewritten', why, 'empty', empty, 'heirs', heirs));
END $$;

-- Writes the rows of one statement.
CREATE FUNCTION pgstream.write_log(changes jsonb[], command_tag text, statement text) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    one_statement constant pgstream.xid := pgstream.xid();
    change jsonb;
    in_one boolean := true;
    rows integer;
BEGIN
    FOREACH change IN ARRAY changes LOOP
        in_one := in_one AND NOT change ? 'was_in' AND change->'schema' = changes[1]->'schema';
    END LOOP;
    IF in_one THEN
        -- The most usual case of what follows, at less cost.
        INSERT INTO pgstream.schema_log (schema_name, schema, acked, changes, command_tag, statement, statement_id, part, parts)
        VALUES (changes[1]->>'schema', pgstream.small_schema(changes[1]->>'schema'), write_log.command_tag = 'BASE', to_jsonb(write_log.changes),
            write_log.command_tag, left(write_log.statement, 16384), one_statement, 1, 1);
        RETURN 1;
    END IF;
    WITH entries AS (
        SELECT c.change->>'schema' AS schema_name, c.change, c.at FROM unnest(write_log.changes) WITH ORDINALITY AS c (change, at)
        -- Where it was, an object that moved is gone.
        UNION ALL
        SELECT c.change->>'was_in', c.change - 'before' - 'after' - 'was_in' || jsonb_build_object('moved_to', c.change->>'schema'), c.at
        FROM unnest(write_log.changes) WITH ORDINALITY AS c (change, at) WHERE c.change ? 'was_in'
    ), schemas AS (
        SELECT e.schema_name, jsonb_agg(e.change ORDER BY e.at) AS changes, row_number() OVER (ORDER BY e.schema_name) AS part
        FROM entries AS e GROUP BY e.schema_name
    ), inserted AS (
        INSERT INTO pgstream.schema_log (schema_name, schema, acked, changes, command_tag, statement, statement_id, part, parts)
        SELECT s.schema_name, pgstream.small_schema(s.schema_name), write_log.command_tag = 'BASE', s.changes, write_log.command_tag,
            left(write_log.statement, 16384), one_statement, s.part, (SELECT count(*) FROM schemas)
        FROM schemas AS s ORDER BY s.part
        RETURNING 1
    )
    SELECT count(*) INTO rows FROM inserted;
    RETURN rows;
END $$;

-- The whole of a schema from what is known, if it is small enough to be told with each change.
CREATE FUNCTION pgstream.small_schema(name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    most constant integer := 50;
    bytes constant integer := 65536;
    found record;
BEGIN
    SELECT count(*) AS count, sum(pg_column_size(o.document)) AS bytes INTO found
    FROM (SELECT o.document FROM pgstream.objects AS o WHERE o.schema_name = small_schema.name LIMIT most + 1) AS o;
    IF found.count = 0 THEN
        RETURN jsonb_build_object('tables', NULL, 'dropped', true);
    END IF;
    IF found.count > most OR found.bytes > bytes THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT pgstream.assemble(array_agg(o.kind), array_agg(o.document)) FROM pgstream.objects AS o WHERE o.schema_name = small_schema.name);
END $$;

-- Looks at a whole schema again and logs what differs from what is known; the number of rows that it wrote. The first time that
-- is all of it, and the row says BASE: nobody has to do anything about it.
CREATE FUNCTION pgstream.refresh_schema(name text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off
    SET datestyle = 'ISO, MDY' SET intervalstyle = postgres SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = hex
    SET quote_all_identifiers = off SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
    slice constant integer := 500;
    classes oid[];
    oids oid[];
    tag constant text := CASE WHEN EXISTS (SELECT FROM pgstream.schema_log AS l WHERE l.schema_name = refresh_schema.name) THEN 'REFRESH' ELSE 'BASE' END;
    rows integer := 0;
BEGIN
    IF pgstream.is_system_schema(name) THEN
        RAISE EXCEPTION 'schema % is not tracked', name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What others are defining is waited for, and they for us: else an older look could be written over a newer one.
    LOCK TABLE pgstream.objects IN SHARE ROW EXCLUSIVE MODE;
    SELECT array_agg(m.class ORDER BY m.class, m.oid), array_agg(m.oid ORDER BY m.class, m.oid) INTO classes, oids
    FROM (
        SELECT o.class, o.oid FROM pgstream.objects AS o WHERE o.schema_name = refresh_schema.name
        UNION SELECT m.class, m.oid FROM pg_namespace AS n, pgstream.members(n.oid) AS m WHERE n.nspname = refresh_schema.name
    ) AS m;
    PERFORM pgstream.identify(oids);
    FOR at IN 1..coalesce(cardinality(oids), 0) BY slice LOOP
        rows := rows + pgstream.record(classes[at:at + slice - 1], oids[at:at + slice - 1], NULL, tag, NULL, true);
    END LOOP;
    RETURN rows;
END $$;
COMMENT ON FUNCTION pgstream.refresh_schema(text) IS 'Looks at a whole schema again and logs what differs from what the log has.';

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
            SELECT b.at, coalesce(jsonb_agg(o.change) FILTER (WHERE o.change IS NOT NULL), '[]') AS changes
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

-- Gives new tables their identifier, and takes those of dropped ones back.
CREATE FUNCTION pgstream.identify(oids oid[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO pgstream.table_ids (oid)
    SELECT c.oid FROM pg_class AS c
    WHERE c.oid = ANY (oids) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pgstream.table_ids AS t WHERE t.oid = c.oid::bigint)
    ON CONFLICT (oid) DO NOTHING;
END $$;

-- Before a table is written anew: the statement's row will say so.
CREATE FUNCTION pgstream.log_rewrite() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO pgstream.rewritten AS r (oid, reason)
    SELECT c.oid, pg_event_trigger_table_rewrite_reason() FROM pg_class AS c
    WHERE c.oid = pg_event_trigger_table_rewrite_oid() AND c.relkind = 'r' AND c.relpersistence <> 't'
    ON CONFLICT (oid) DO UPDATE SET reason = r.reason | excluded.reason;
END $$;

-- After each statement that defines something, and after each that drops something.
CREATE FUNCTION pgstream.log_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off
    SET datestyle = 'ISO, MDY' SET intervalstyle = postgres SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = hex
    SET quote_all_identifiers = off SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
    classes oid[];
    oids oid[];
    others oid[];
    relations oid[];
    rewritten oid[];
    -- Only relations are concerned, and none that is a type.
    is_usual boolean;
    has_family boolean;
    logged boolean := true;
    owner name;
BEGIN
    IF TG_TAG LIKE 'ALTER %' THEN
        rewritten := ARRAY(SELECT r.oid FROM pgstream.rewritten AS r);
    END IF;
    IF TG_EVENT = 'sql_drop' THEN
        WITH dropped AS (SELECT * FROM pg_event_trigger_dropped_objects() AS d WHERE NOT d.is_temporary),
        parents AS MATERIALIZED (
            -- Of what was part of a table its name is left, and the table may be there still.
            SELECT to_regclass(quote_ident(d.address_names[1]) || '.' || quote_ident(d.address_names[2]))::oid AS oid
            FROM dropped AS d
            WHERE d.object_type IN ('table column', 'default value', 'table constraint', 'trigger', 'policy', 'rule',
                                    'view column', 'materialized view column')
            UNION
            SELECT o.oid FROM dropped AS d JOIN pgstream.objects AS o ON o.schema_name = d.schema_name AND o.kind IN ('table', 'materialized view')
            WHERE d.object_type = 'index' AND o.document->'indexes' @> jsonb_build_array(jsonb_build_object('oid', d.objid::text))
            UNION
            SELECT o.oid FROM dropped AS d JOIN pgstream.objects AS o ON o.kind = 'table'
            WHERE d.object_type = 'statistics object' AND o.document->'statistics' @> jsonb_build_array(jsonb_build_object('oid', d.objid::text))
        ), types AS MATERIALIZED (
            -- Materialized, since a name that is no type's is an error: no condition may be moved in front of the object's type.
            SELECT to_regtype(d.object_name)::oid AS oid FROM (
                SELECT quote_ident(d.address_names[1]) || '.' || quote_ident(d.address_names[2]) AS object_name FROM dropped AS d WHERE d.object_type = 'composite type column'
                UNION SELECT d.address_names[1] FROM dropped AS d WHERE d.object_type = 'domain constraint'
            ) AS d
        ), gone AS (
            SELECT o.class, o.oid FROM dropped AS d JOIN pgstream.objects AS o ON o.class = d.classid AND o.oid = d.objid WHERE d.objsubid = 0
            -- A table's row type is gone with it, a composite type with its relation.
            UNION SELECT o.class, o.oid FROM dropped AS d JOIN pgstream.objects AS o ON o.oid = d.objid
        )
        SELECT array_agg(g.class), array_agg(g.oid) INTO classes, oids FROM (
            SELECT g.class, g.oid FROM gone AS g
            UNION SELECT 'pg_class'::regclass, p.oid FROM parents AS p WHERE p.oid IS NOT NULL
            UNION SELECT 'pg_type'::regclass, t.oid FROM types AS t WHERE t.oid IS NOT NULL
        ) AS g;
        IF oids IS NULL THEN
            RETURN;
        END IF;
        DELETE FROM pgstream.table_ids AS t WHERE t.oid = ANY (oids) AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.oid);
    ELSE
        SELECT array_agg(d.classid), array_agg(d.objid),
            -- Most statements are about tables, their indexes and their sequences: those are found at less cost.
            array_agg(DISTINCT coalesce(i.indrelid, p.refobjid, c.oid)) FILTER (WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'f')),
            bool_and(d.classid = 'pg_class'::regclass AND c.relkind IS DISTINCT FROM 'c'),
            bool_or(c.relhassubclass OR c.relispartition OR c.relkind IN ('p', 'I'))
        INTO classes, oids, relations, is_usual, has_family
        FROM pg_event_trigger_ddl_commands() AS d
        LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
        LEFT JOIN pg_index AS i ON i.indexrelid = c.oid AND c.relkind IN ('i', 'I')
        LEFT JOIN pg_depend AS p ON c.relkind = 'S' AND p.classid = 'pg_class'::regclass AND p.objid = c.oid
            AND p.refclassid = 'pg_class'::regclass AND p.deptype = 'i'
        WHERE d.classid IS NOT NULL AND d.schema_name IS DISTINCT FROM 'pg_temp'
          -- Values are told, whoever changed them.
          AND (NOT d.in_extension OR d.classid = 'pg_extension'::regclass OR d.objid = ANY (rewritten));
        IF TG_TAG IN ('GRANT', 'REVOKE', 'DROP OWNED') THEN
            -- Postgres does not say of what: whatever this transaction has written in the catalog, or one after it.
            SELECT array_agg(w.class), array_agg(w.oid) INTO classes, oids FROM (
                SELECT 'pg_class'::regclass::oid AS class, c.oid FROM pg_class AS c WHERE age(c.xmin) <= age(pg_current_xact_id()::xid)
                UNION SELECT 'pg_class'::regclass, a.attrelid FROM pg_attribute AS a WHERE age(a.xmin) <= age(pg_current_xact_id()::xid)
                UNION SELECT 'pg_proc'::regclass, p.oid FROM pg_proc AS p WHERE age(p.xmin) <= age(pg_current_xact_id()::xid)
                UNION SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t WHERE age(t.xmin) <= age(pg_current_xact_id()::xid)
                UNION SELECT 'pg_namespace'::regclass, n.oid FROM pg_namespace AS n WHERE age(n.xmin) <= age(pg_current_xact_id()::xid)
            ) AS w;
            is_usual := false;
        END IF;
        IF oids IS NULL THEN
            RETURN;
        END IF;
        IF is_usual THEN
            oids := relations;
            classes := array_fill('pg_class'::regclass::oid, ARRAY[coalesce(cardinality(oids), 0)]);
        ELSE
            SELECT array_agg(d.class), array_agg(d.oid) INTO classes, oids FROM pgstream.document_of(classes, oids) AS d;
            has_family := EXISTS (SELECT FROM pg_class AS c WHERE c.oid = ANY (oids) AND (c.relhassubclass OR c.relispartition OR c.relkind = 'p'));
        END IF;
        IF oids IS NULL THEN
            RETURN;
        END IF;
        -- What a statement does to a table it may do to others.
        IF has_family OR TG_TAG = 'ALTER TYPE' THEN
            SELECT array_agg(d.class), array_agg(d.oid) INTO classes, oids FROM (
                WITH RECURSIVE own AS (SELECT o.class, o.oid FROM unnest(classes, oids) AS o (class, oid)),
                -- What is done to a parent is done to its children, and a child that was let go has changed too.
                family AS (
                    SELECT o.oid FROM own AS o WHERE o.class = 'pg_class'::regclass
                    UNION SELECT h.inhrelid FROM family AS f JOIN pg_inherits AS h ON h.inhparent = f.oid
                )
                SELECT o.class, o.oid FROM own AS o
                UNION SELECT 'pg_class'::regclass, f.oid FROM family AS f
                UNION SELECT o.class, o.oid FROM family AS f JOIN pgstream.objects AS o ON o.document #>> '{partition_of,oid}' = f.oid::text AND o.document ? 'partition_of'
                UNION SELECT 'pg_class'::regclass, t.oid FROM own AS o JOIN pg_class AS t ON t.reloftype = o.oid
                    WHERE TG_TAG = 'ALTER TYPE' AND o.class = 'pg_type'::regclass
            ) AS d;
        END IF;
        IF TG_TAG = 'ALTER TABLE' THEN
            SELECT array_agg(DISTINCT d.oid) INTO others FROM (
                -- A type that changes under a foreign key makes the key anew.
                SELECT k.conrelid AS oid
                FROM pg_depend AS d JOIN pg_constraint AS k ON k.oid = d.objid
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (oids) AND d.classid = 'pg_constraint'::regclass
                  AND k.contype = 'f' AND k.conrelid <> 0 AND k.conrelid <> d.refobjid
                -- Sequences share their table's owner and persistence.
                UNION ALL SELECT s.oid
                FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid JOIN pgstream.objects AS o ON o.class = d.classid AND o.oid = d.objid
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (oids) AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'
                  AND s.relkind = 'S'
                  AND (o.document->>'owner' <> pg_get_userbyid(s.relowner) OR (o.document ? 'unlogged') <> (s.relpersistence = 'u'))
            ) AS d WHERE d.oid <> ALL (oids);
            classes := classes || array_fill('pg_class'::regclass::oid, ARRAY[coalesce(cardinality(others), 0)]);
            oids := oids || others;
        END IF;
        PERFORM pgstream.identify(oids);
    END IF;
    IF current_setting('pgstream.skip_log', true)::boolean THEN
        owner := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace AS n WHERE n.nspname = 'pgstream');
        logged := NOT pg_has_role(session_user, owner, 'MEMBER');
        IF logged THEN
            RAISE WARNING 'pgstream.skip_log is ignored: % is not a member of %, which owns schema pgstream', session_user, owner;
        END IF;
    END IF;
    PERFORM pgstream.record(classes, oids, rewritten, TG_TAG, current_query(), logged);
    IF TG_EVENT = 'ddl_command_end' AND rewritten <> '{}' THEN
        DELETE FROM pgstream.rewritten;
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- Whoever changes a schema is not to be stopped by us; whoever follows the log is.
    RAISE WARNING 'pgstream could not describe what % did: % (%)', TG_TAG, SQLERRM, SQLSTATE;
    DELETE FROM pgstream.rewritten;
    INSERT INTO pgstream.schema_log (schema_name, changes, command_tag, statement, statement_id, part, parts, failed)
    VALUES ('', '[]', TG_TAG, left(current_query(), 16384), pgstream.xid(), 1, 1, SQLSTATE);
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA pgstream FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA pgstream FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgstream FROM PUBLIC;
