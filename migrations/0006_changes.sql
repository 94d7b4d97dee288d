-- What statements changed: found by what event triggers call, and written into the log.

-- One look at an object: what is known of it beside what it is now.
CREATE TYPE pgstream.look AS (
    class oid, oid oid, kind text, schema_name text, name text, was_in text, before jsonb, after jsonb
);

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
    looks pgstream.look[];
    it pgstream.look;
BEGIN
    LOOP
        renamed_classes := NULL;
        renamed_oids := NULL;
        -- What is new of each, beside what is known. Not FOR over the query: see describe_tables.
        looks := ARRAY(
            SELECT (p.class, p.oid, p.kind, p.schema_name, p.name, k.schema_name, k.document, p.document)::pgstream.look
            FROM pgstream.describe(classes, oids) AS p LEFT JOIN pgstream.objects AS k ON k.class = p.class AND k.oid = p.oid
            ORDER BY p.kind, p.name, p.oid
        );
        IF cardinality(looks) < cardinality(oids) THEN
            -- What is known and is there no more.
            looks := looks || ARRAY(
                SELECT (k.class, k.oid, k.kind, k.schema_name, k.name, k.schema_name, k.document, NULL)::pgstream.look
                FROM unnest(classes, oids) AS g (class, oid) JOIN pgstream.objects AS k ON k.class = g.class AND k.oid = g.oid
                WHERE NOT EXISTS (SELECT FROM unnest(looks) AS l WHERE l.class = k.class AND l.oid = k.oid)
                ORDER BY k.kind, k.name, k.oid
            );
        END IF;
        FOREACH it IN ARRAY looks LOOP
            CONTINUE WHEN it.before IS NOT DISTINCT FROM it.after AND it.was_in IS NOT DISTINCT FROM it.schema_name
                -- Its rows may have other values now, even if it is described as before.
                AND (record.rewritten IS NULL OR it.kind <> 'table' OR it.oid <> ALL (record.rewritten)
                     OR NOT EXISTS (SELECT FROM pgstream.rewritten AS r WHERE r.oid = it.oid AND r.reason & 6 <> 0));
            change := jsonb_strip_nulls(jsonb_build_object(
                'class', it.class::text, 'oid', it.oid::text, 'kind', it.kind, 'schema', it.schema_name, 'name', it.name,
                'was_in', CASE WHEN it.was_in <> it.schema_name THEN it.was_in END));
            IF it.after IS NULL THEN
                DELETE FROM pgstream.objects AS o WHERE o.class = it.class AND o.oid = it.oid;
                change := change || jsonb_build_object('before', it.before);
            ELSIF it.before IS NULL THEN
                INSERT INTO pgstream.objects AS o (class, oid, schema_name, kind, name, document)
                VALUES (it.class, it.oid, it.schema_name, it.kind, it.name, it.after)
                ON CONFLICT (class, oid) DO UPDATE
                SET schema_name = excluded.schema_name, kind = excluded.kind, name = excluded.name, document = excluded.document;
                change := change || jsonb_build_object('after', it.after);
            ELSE
                UPDATE pgstream.objects AS o SET schema_name = it.schema_name, kind = it.kind, name = it.name, document = it.after
                WHERE o.class = it.class AND o.oid = it.oid;
                IF it.kind = 'table' THEN
                    change := change || pgstream.rows_of(it.oid, it.before, coalesce(it.oid = ANY (record.rewritten), false));
                END IF;
                change := change || jsonb_build_object('before', it.before, 'after', it.after);
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
        INSERT INTO pgstream.schema_log (id, schema_name, schema, acked, changes, command_tag, statement, statement_id, part, parts)
        VALUES (one_statement, changes[1]->>'schema', pgstream.small_schema(changes[1]->>'schema'), write_log.command_tag = 'BASE', to_jsonb(write_log.changes),
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
    IF (SELECT true FROM pgstream.objects AS o WHERE o.schema_name = small_schema.name OFFSET most LIMIT 1) THEN
        RETURN NULL;
    END IF;
    SELECT count(*) AS count, sum(pg_column_size(o.document)) AS bytes INTO found FROM pgstream.objects AS o WHERE o.schema_name = small_schema.name;
    IF found.count = 0 THEN
        RETURN jsonb_build_object('tables', NULL, 'dropped', true);
    END IF;
    IF found.bytes > bytes THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT pgstream.assemble(array_agg(o.kind), array_agg(o.document)) FROM pgstream.objects AS o WHERE o.schema_name = small_schema.name);
END $$;

-- Looks at a whole schema again and logs what differs from what is known; the number of rows that it wrote. The first time that
-- is all of it, and the row says BASE: nobody has to do anything about it.
CREATE FUNCTION pgstream.refresh_schema(name text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET enable_bitmapscan = off SET jit = off
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
    SET enable_mergejoin = off SET enable_bitmapscan = off SET jit = off
    SET datestyle = 'ISO, MDY' SET intervalstyle = postgres SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = hex
    SET quote_all_identifiers = off SET standard_conforming_strings = on AS $$
#variable_conflict use_column
DECLARE
    classes oid[];
    oids oid[];
    others oid[];
    relations oid[];
    dropped_indexes text[];
    dropped_statistics text[];
    schemas text[];
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
        SELECT array_agg(d.objid::text) FILTER (WHERE d.object_type = 'index'),
            array_agg(DISTINCT d.schema_name) FILTER (WHERE d.object_type = 'index'),
            array_agg(d.objid::text) FILTER (WHERE d.object_type = 'statistics object'),
            coalesce(array_agg(d.objid) FILTER (WHERE d.object_type IN ('table', 'materialized view')), '{}')
        INTO dropped_indexes, schemas, dropped_statistics, others
        FROM pg_event_trigger_dropped_objects() AS d WHERE NOT d.is_temporary;
        WITH dropped AS (SELECT * FROM pg_event_trigger_dropped_objects() AS d WHERE NOT d.is_temporary),
        parents AS MATERIALIZED (
            -- Of what was part of a table its name is left, and the table may be there still.
            SELECT to_regclass(quote_ident(d.address_names[1]) || '.' || quote_ident(d.address_names[2]))::oid AS oid
            FROM dropped AS d
            WHERE d.object_type IN ('table column', 'default value', 'table constraint', 'trigger', 'policy', 'rule',
                                    'view column', 'materialized view column')
            UNION
            -- Of an index not even that. Tables that are gone themselves need no look.
            SELECT o.oid FROM pgstream.objects AS o
            WHERE dropped_indexes IS NOT NULL AND o.schema_name = ANY (schemas) AND o.kind IN ('table', 'materialized view')
              AND o.oid <> ALL (others)
              AND EXISTS (SELECT FROM jsonb_array_elements(o.document->'indexes') AS i WHERE i->>'oid' = ANY (dropped_indexes))
            UNION
            SELECT o.oid FROM pgstream.objects AS o
            WHERE dropped_statistics IS NOT NULL AND o.kind = 'table' AND o.document ? 'statistics' AND o.oid <> ALL (others)
              AND EXISTS (SELECT FROM jsonb_array_elements(o.document->'statistics') AS s WHERE s->>'oid' = ANY (dropped_statistics))
        ), types AS MATERIALIZED (
            -- Materialized, since a name that is no type's is an error: no condition may be moved in front of the object's type.
            SELECT to_regtype(d.object_name)::oid AS oid FROM (
                SELECT quote_ident(d.address_names[1]) || '.' || quote_ident(d.address_names[2]) AS object_name FROM dropped AS d WHERE d.object_type = 'composite type column'
                UNION SELECT d.address_names[1] FROM dropped AS d WHERE d.object_type = 'domain constraint'
            ) AS d
        ), gone AS (
            SELECT o.class, o.oid FROM dropped AS d CROSS JOIN LATERAL (
                SELECT o.class, o.oid FROM pgstream.objects AS o
                -- A table's row type is gone with it, a composite type with its relation.
                WHERE o.class = ANY (ARRAY['pg_class'::regclass, 'pg_type'::regclass, CASE WHEN d.objsubid = 0 THEN d.classid END]) AND o.oid = d.objid
                -- Whatever is known of sizes, what was dropped comes first.
                OFFSET 0
            ) AS o
        )
        SELECT array_agg(g.class), array_agg(g.oid) INTO classes, oids FROM (
            SELECT g.class, g.oid FROM gone AS g
            UNION SELECT 'pg_class'::regclass, p.oid FROM parents AS p WHERE p.oid IS NOT NULL
            UNION SELECT 'pg_type'::regclass, t.oid FROM types AS t WHERE t.oid IS NOT NULL
        ) AS g;
        IF oids IS NULL THEN
            RETURN;
        END IF;
        DELETE FROM pgstream.table_ids AS t
        WHERE t.oid = ANY (oids::bigint[]) AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.oid::oid);
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
            -- Materialized, so that whatever is known of sizes these few come first.
            WITH needing AS MATERIALIZED (
                SELECT d.classid, d.objid, d.refobjid, d.deptype FROM pg_depend AS d
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (oids)
                  AND d.classid IN ('pg_constraint'::regclass, 'pg_class'::regclass)
            )
            SELECT array_agg(DISTINCT d.oid) INTO others FROM (
                -- A type that changes under a foreign key makes the key anew.
                SELECT k.conrelid AS oid
                FROM needing AS d JOIN pg_constraint AS k ON k.oid = d.objid
                WHERE d.classid = 'pg_constraint'::regclass AND k.contype = 'f' AND k.conrelid <> 0 AND k.conrelid <> d.refobjid
                -- Sequences share their table's owner and persistence.
                UNION ALL SELECT s.oid
                FROM needing AS d JOIN pg_class AS s ON s.oid = d.objid
                WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'a' AND s.relkind = 'S'
                  AND EXISTS (
                    SELECT FROM pgstream.objects AS o WHERE o.class = d.classid AND o.oid = d.objid
                      AND (o.document->>'owner' <> pg_get_userbyid(s.relowner) OR (o.document ? 'unlogged') <> (s.relpersistence = 'u')))
            ) AS d WHERE d.oid <> ALL (oids);
            classes := classes || array_fill('pg_class'::regclass::oid, ARRAY[coalesce(cardinality(others), 0)]);
            oids := oids || others;
        END IF;
        -- Few tables appear by ALTER: to look costs less than to begin to write.
        IF TG_TAG NOT LIKE 'ALTER %' OR EXISTS (
            SELECT FROM pg_class AS c WHERE c.oid = ANY (oids) AND c.relkind IN ('r', 'p')
                AND NOT EXISTS (SELECT FROM pgstream.table_ids AS t WHERE t.oid = c.oid::bigint))
        THEN
            PERFORM pgstream.identify(oids);
        END IF;
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
