-- The history of every schema: what each statement changed, in the transaction that changed it.

-- What is known of each object now. It is the "before" of the next change.
CREATE TABLE pgstream.objects (
    class        oid NOT NULL,
    oid          oid NOT NULL,
    schema_name  text NOT NULL,
    kind         text NOT NULL,
    name         text NOT NULL,
    parts        text[],
    partition_of oid,
    document     text NOT NULL,
    PRIMARY KEY (class, oid)
);
CREATE INDEX objects_by_name ON pgstream.objects (schema_name, kind, name);
CREATE INDEX objects_partitions ON pgstream.objects (partition_of) WHERE partition_of IS NOT NULL;
COMMENT ON TABLE pgstream.objects IS 'The last document of each object.';
COMMENT ON COLUMN pgstream.objects.parts IS 'The names of what others may name in it: columns, attributes, labels.';
COMMENT ON COLUMN pgstream.objects.document IS 'JSON.';

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
    changes        text NOT NULL,
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
-- Documents are compressed and read by every statement: where the server has the quicker method, with that.
DO $$ BEGIN
    IF (SELECT 'lz4' = ANY (s.enumvals) FROM pg_settings AS s WHERE s.name = 'default_toast_compression') THEN
        ALTER TABLE pgstream.objects ALTER document SET COMPRESSION lz4;
        ALTER TABLE pgstream.schema_log ALTER changes SET COMPRESSION lz4, ALTER schema SET COMPRESSION lz4;
    END IF;
END $$;
COMMENT ON TABLE pgstream.schema_log IS 'One row for each schema that a statement changed, in the statement''s transaction.';
COMMENT ON COLUMN pgstream.schema_log.schema IS 'The whole schema, where it is small; pgstream.schema_at gives it always.';
COMMENT ON COLUMN pgstream.schema_log.created_at IS 'UTC.';
COMMENT ON COLUMN pgstream.schema_log.acked IS 'Every consumer of the stream has taken this version over.';
COMMENT ON COLUMN pgstream.schema_log.changes IS 'JSON: the objects that changed, with their documents before and after.';
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

-- Those that are neither tables nor sequences.
CREATE FUNCTION pgstream.describe_others(classes oid[], oids oid[])
RETURNS TABLE (class oid, oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    others oid[];
BEGIN
    SELECT array_agg(g.class), array_agg(g.oid) INTO classes, oids FROM unnest(classes, oids) AS g (class, oid)
    WHERE NOT pgstream.is_member(g.class, g.oid)
       OR (SELECT true FROM pgstream.objects AS o WHERE o.class = g.class AND o.oid = g.oid) IS NOT NULL;
    IF 'pg_class'::regclass = ANY (classes) THEN
        others := ARRAY(
            SELECT c.oid FROM unnest(classes, oids) AS g (class, oid) JOIN pg_class AS c ON c.oid = g.oid
            WHERE g.class = 'pg_class'::regclass AND c.relkind IN ('v', 'm') AND NOT pgstream.is_system_schema(c.relnamespace::regnamespace::text));
        IF others <> '{}' THEN
            RETURN QUERY SELECT 'pg_class'::regclass::oid, d.* FROM pgstream.describe_views(others) AS d;
        END IF;
    END IF;
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

-- Objects as they are now, without those that are not tracked. What an extension brings comes with it; what was followed before it
-- became a member of one is followed on. `kinds` are those of the relations, if there are only tables and sequences; else
-- NULL. `are_new`: a statement has just made them, and no extension.
CREATE FUNCTION pgstream.describe(classes oid[], oids oid[], kinds text, are_new boolean) RETURNS pgstream.look[]
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    relations oid[] := oids;
    others boolean := false;
    looks pgstream.look[] := '{}';
BEGIN
    IF kinds IS NULL THEN
        SELECT array_agg(c.oid), string_agg(c.relkind::text, '') INTO relations, kinds
        FROM unnest(classes, oids) AS g (class, oid) JOIN pg_class AS c ON c.oid = g.oid
        WHERE g.class = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'S');
        others := cardinality(relations) IS DISTINCT FROM cardinality(oids);
    END IF;
    IF strpos(kinds, 'S') > 0 THEN
        looks := pgstream.describe_sequences(relations, are_new);
    END IF;
    IF strpos(kinds, 'r') > 0 OR strpos(kinds, 'p') > 0 THEN
        looks := looks || pgstream.describe_tables(relations, are_new);
    END IF;
    IF others THEN
        looks := looks || ARRAY(
            SELECT ROW(d.class, d.oid, d.kind, d.schema_name, d.name, pgstream.parts_of(d.document), NULL, d.document::text,
                k.schema_name, k.name, k.parts, k.document)::pgstream.look
            FROM pgstream.describe_others(classes, oids) AS d LEFT JOIN pgstream.objects AS k ON k.class = d.class AND k.oid = d.oid
        );
    END IF;
    RETURN looks;
END $$;

-- What others may name in an object that is no table.
CREATE FUNCTION pgstream.parts_of(document jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    named constant jsonb := coalesce(document->'columns', document->'attributes', document->'labels');
BEGIN
    IF named IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT part->>'name' FROM jsonb_array_elements(named) AS part);
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
CREATE FUNCTION pgstream.assemble(kinds text[], documents text[]) RETURNS jsonb
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
        FROM (SELECT d.kind, d.document::jsonb FROM unnest(kinds, documents) AS d (kind, document)) AS d
    );
END $$;

-- A schema as it is now.
CREATE FUNCTION pgstream.get_schema(name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET enable_bitmapscan = off SET jit = off
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
    RETURN (SELECT pgstream.assemble(array_agg(d.kind), array_agg(d.after)) FROM unnest(pgstream.describe(classes, oids, NULL, false)) AS d);
END $$;
COMMENT ON FUNCTION pgstream.get_schema(text) IS 'A schema as it is now, as one document.';
