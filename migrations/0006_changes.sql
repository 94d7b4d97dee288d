-- What statements changed: found by what event triggers call, and written into the log.

-- Looks at objects again; what differs from what is known goes into the log, if `logged`.
--
-- Under REPEATABLE READ and SERIALIZABLE the catalog is read as the transaction sees it.
-- `rewritten` are tables that the statement wrote anew; `kinds` as for describe.
CREATE FUNCTION pgstream.record(classes oid[], oids oid[], kinds text, rewritten oid[], command_tag text, statement text, logged boolean)
RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    seen_classes oid[] := '{}';
    seen_oids oid[] := '{}';
    changes text[] := '{}';
    -- Of each change.
    schemas text[] := '{}';
    in_one boolean := true;
    renamed_classes oid[];
    renamed_oids oid[];
    -- Tables whose sequences are to be looked at.
    retold oid[];
    looks pgstream.look[];
    it pgstream.look;
    done integer;
BEGIN
    LOOP
        renamed_classes := NULL;
        renamed_oids := NULL;
        retold := NULL;
        looks := pgstream.describe(classes, oids, kinds, kinds IS NOT NULL AND command_tag = 'CREATE TABLE');
        IF cardinality(looks) < cardinality(oids) THEN
            -- What is known and is there no more.
            looks := looks || ARRAY(
                SELECT ROW(k.class, k.oid, k.kind, k.schema_name, k.name, NULL, NULL, NULL, k.schema_name, k.name, k.parts, k.document)::pgstream.look
                FROM unnest(classes, oids) AS g (class, oid) JOIN pgstream.objects AS k ON k.class = g.class AND k.oid = g.oid
                WHERE NOT EXISTS (SELECT FROM unnest(looks) AS l WHERE l.class = k.class AND l.oid = k.oid)
            );
        END IF;
        -- Mostly it is one, or a table after its sequence.
        IF cardinality(looks) > 2 OR (looks[1]).kind >= (looks[2]).kind THEN
            looks := ARRAY(SELECT l FROM unnest(looks) AS l ORDER BY l.kind, l.name, l.oid);
        END IF;
        FOREACH it IN ARRAY looks LOOP
            IF it.before IS NULL AND it.kind = 'table' AND strpos(it.after, '"pgstream_id":null') > 0 THEN
                -- It was of no interest before: temporary, or an extension's.
                done := pgstream.identify(ARRAY[it.oid]);
                looks := pgstream.describe_tables(ARRAY[it.oid], true);
                it := looks[1];
            END IF;
            CONTINUE WHEN it.before IS NOT DISTINCT FROM it.after AND it.was_in IS NOT DISTINCT FROM it.schema_name
                -- Its rows may have other values now, even if it is described as before.
                AND (record.rewritten IS NULL OR it.kind <> 'table' OR it.oid <> ALL (record.rewritten)
                     OR NOT EXISTS (SELECT FROM pgstream.rewritten AS r WHERE r.oid = it.oid AND r.reason & 6 <> 0));
            IF it.after IS NULL THEN
                DELETE FROM pgstream.objects AS o WHERE o.class = it.class AND o.oid = it.oid;
            ELSIF it.before IS NULL THEN
                INSERT INTO pgstream.objects AS o (class, oid, schema_name, kind, name, parts, partition_of, document)
                VALUES (it.class, it.oid, it.schema_name, it.kind, it.name, it.parts, it.partition_of, it.after)
                ON CONFLICT (class, oid) DO UPDATE
                SET schema_name = excluded.schema_name, kind = excluded.kind, name = excluded.name, parts = excluded.parts,
                    partition_of = excluded.partition_of, document = excluded.document;
            ELSE
                UPDATE pgstream.objects AS o
                SET schema_name = it.schema_name, kind = it.kind, name = it.name, parts = it.parts, partition_of = it.partition_of, document = it.after
                WHERE o.class = it.class AND o.oid = it.oid;
                -- An object, or a part of it that others may name, has another name: one gone and one come.
                IF it.was_named <> it.name OR it.was_in <> it.schema_name OR NOT (it.had_parts <@ it.parts OR it.had_parts @> it.parts) THEN
                    renamed_classes := renamed_classes || it.class;
                    renamed_oids := renamed_oids || it.oid;
                END IF;
                -- Its sequences share a table's owner and persistence, which are told after its parts.
                IF it.kind = 'table' AND split_part(it.before, ',"owner":', 2) <> split_part(it.after, ',"owner":', 2) THEN
                    retold := retold || it.oid;
                END IF;
                in_one := in_one AND it.was_in = it.schema_name;
            END IF;
            schemas := schemas || it.schema_name;
            in_one := in_one AND it.schema_name = schemas[1];
            changes := changes || concat(
                '{"class":"', it.class, '","oid":"', it.oid, '","kind":"', it.kind, '","schema":', to_json(it.schema_name), ',"name":', to_json(it.name),
                CASE WHEN it.was_in <> it.schema_name THEN ',"was_in":' || to_json(it.was_in)::text END,
                CASE WHEN it.kind = 'table' AND it.before IS NOT NULL AND it.after IS NOT NULL THEN
                    pgstream.rows_of(it.oid, it.before, coalesce(it.oid = ANY (record.rewritten), false)) END,
                ',"before":' || it.before, ',"after":' || it.after, '}');
        END LOOP;
        EXIT WHEN renamed_oids IS NULL AND retold IS NULL;
        kinds := NULL;
        seen_classes := seen_classes || classes;
        seen_oids := seen_oids || oids;
        SELECT array_agg(d.class), array_agg(d.oid) INTO classes, oids
        FROM (
            SELECT d.class, d.oid FROM pgstream.dependents(renamed_classes, renamed_oids) AS d
            UNION SELECT m.class, m.oid FROM unnest(renamed_classes, renamed_oids) AS r (class, oid), pgstream.members(r.oid) AS m
                WHERE r.class = 'pg_namespace'::regclass
            UNION SELECT d.classid, d.objid FROM unnest(retold) AS r (oid)
                JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.deptype = 'a'
                WHERE (d.classid = 'pg_class'::regclass) IS TRUE
            EXCEPT SELECT s.class, s.oid FROM unnest(seen_classes, seen_oids) AS s (class, oid)
        ) AS d;
        EXIT WHEN oids IS NULL;
    END LOOP;
    IF NOT logged OR changes = '{}' THEN
        RETURN 0;
    END IF;
    RETURN pgstream.write_log(changes, CASE WHEN in_one THEN schemas[1] END, command_tag, statement);
END $$;

-- What a statement did to the rows that a table had, as members of a JSON object: a new column's value in them, whether they were
-- written anew and whether there are any, and whether other tables inherit from it: their documents are here only if they changed too.
CREATE FUNCTION pgstream.rows_of(relation oid, before text, is_rewritten boolean) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    missing jsonb;
    why integer;
    empty boolean;
    heirs boolean;
BEGIN
    SELECT (
            SELECT jsonb_object_agg(a.attnum, (a.attmissingval::text::text[])[1]) FROM pg_attribute AS a
            WHERE a.attrelid = relation AND a.atthasmissing AND NOT a.attisdropped
              AND NOT before::jsonb->'columns' @> jsonb_build_array(jsonb_build_object('attnum', a.attnum))
        ),
        (
            SELECT true FROM pg_class AS c
            WHERE c.oid = relation AND c.relkind = 'r' AND c.relhassubclass AND EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhparent = relation)
        )
    INTO missing, heirs;
    IF is_rewritten THEN
        DELETE FROM pgstream.rewritten AS r WHERE r.oid = relation RETURNING r.reason INTO why;
    END IF;
    IF why IS NOT NULL THEN
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM ONLY %s)', relation::regclass) INTO empty;
    END IF;
    RETURN concat(',"missing":' || jsonb_strip_nulls(missing)::text, ',"rewritten":' || why, ',"empty":' || empty::text, ',"heirs":' || heirs::text);
END $$;

-- Writes the rows of one statement. `schema_name` is that of all changes; NULL if they are of several.
CREATE FUNCTION pgstream.write_log(changes text[], schema_name text, command_tag text, statement text) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    one_statement constant pgstream.xid := pgstream.xid();
    rows integer;
BEGIN
    IF write_log.schema_name IS NOT NULL THEN
        -- The most usual case of what follows, at less cost.
        INSERT INTO pgstream.schema_log (id, schema_name, schema, acked, changes, command_tag, statement, statement_id, part, parts)
        VALUES (one_statement, write_log.schema_name, pgstream.small_schema(write_log.schema_name), write_log.command_tag = 'BASE',
            '[' || array_to_string(write_log.changes, ',') || ']', write_log.command_tag, left(write_log.statement, 16384), one_statement, 1, 1);
        RETURN 1;
    END IF;
    WITH every AS (SELECT c.change::jsonb, c.at FROM unnest(write_log.changes) WITH ORDINALITY AS c (change, at)),
    entries AS (
        SELECT c.change->>'schema' AS schema_name, c.change, c.at FROM every AS c
        -- Where it was, an object that moved is gone.
        UNION ALL
        SELECT c.change->>'was_in', c.change - 'before' - 'after' - 'was_in' || jsonb_build_object('moved_to', c.change->>'schema'), c.at
        FROM every AS c WHERE c.change ? 'was_in'
    ), schemas AS (
        SELECT e.schema_name, jsonb_agg(e.change ORDER BY e.at) AS changes, row_number() OVER (ORDER BY e.schema_name) AS part
        FROM entries AS e GROUP BY e.schema_name
    ), inserted AS (
        INSERT INTO pgstream.schema_log (schema_name, schema, acked, changes, command_tag, statement, statement_id, part, parts)
        SELECT s.schema_name, pgstream.small_schema(s.schema_name), write_log.command_tag = 'BASE', s.changes::text, write_log.command_tag,
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
    most constant integer := 20;
    bytes constant integer := 16384;
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
        rows := rows + pgstream.record(classes[at:at + slice - 1], oids[at:at + slice - 1], NULL, NULL, tag, NULL, true);
    END LOOP;
    RETURN rows;
END $$;
COMMENT ON FUNCTION pgstream.refresh_schema(text) IS 'Looks at a whole schema again and logs what differs from what the log has.';

-- The table of an index; the table of an identity column's sequence, or else that sequence.
CREATE FUNCTION pgstream.table_of(relation oid, kind "char") RETURNS oid
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    IF kind <> 'S' THEN
        RETURN (SELECT i.indrelid FROM pg_index AS i WHERE i.indexrelid = relation);
    END IF;
    RETURN coalesce((
        SELECT d.refobjid FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = relation AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
    ), relation);
END $$;

-- Gives new tables their identifier; how many.
CREATE FUNCTION pgstream.identify(oids oid[]) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    made integer;
BEGIN
    INSERT INTO pgstream.table_ids (oid)
    SELECT c.oid FROM pg_class AS c
    WHERE c.oid = ANY (oids) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pgstream.table_ids AS t WHERE t.oid = c.oid::bigint)
    ON CONFLICT (oid) DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
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
    -- As they stand in documents, quoted.
    dropped_indexes text[];
    dropped_statistics text[];
    schemas text[];
    rewritten oid[];
    -- Only relations are concerned, and none that is a type.
    is_usual boolean;
    has_family boolean;
    -- What describe need not find out.
    kinds text;
    logged boolean := true;
    owner name;
    done integer;
BEGIN
    IF TG_TAG LIKE 'ALTER %' THEN
        rewritten := ARRAY(SELECT r.oid FROM pgstream.rewritten AS r);
    END IF;
    IF TG_EVENT = 'sql_drop' THEN
        SELECT array_agg('"' || d.objid || '"') FILTER (WHERE d.object_type = 'index'),
            array_agg(DISTINCT d.schema_name) FILTER (WHERE d.object_type = 'index'),
            array_agg('"' || d.objid || '"') FILTER (WHERE d.object_type = 'statistics object'),
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
              AND o.oid <> ALL (others) AND EXISTS (SELECT FROM unnest(dropped_indexes) AS i (oid) WHERE strpos(o.document, i.oid) > 0)
            UNION
            SELECT o.oid FROM pgstream.objects AS o
            WHERE dropped_statistics IS NOT NULL AND o.kind = 'table'
              AND o.oid <> ALL (others) AND EXISTS (SELECT FROM unnest(dropped_statistics) AS s (oid) WHERE strpos(o.document, s.oid) > 0)
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
            array_agg(DISTINCT CASE
                -- A new table's index and sequences are told with it, and it is there itself.
                WHEN c.relkind IN ('i', 'I', 'S') AND TG_TAG <> 'CREATE TABLE' THEN pgstream.table_of(c.oid, c.relkind) ELSE c.oid
            END) FILTER (WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') OR (c.relkind IN ('i', 'I') AND TG_TAG <> 'CREATE TABLE')),
            bool_and(d.classid = 'pg_class'::regclass AND c.relkind IS DISTINCT FROM 'c'),
            bool_or(c.relhassubclass OR c.relispartition OR c.relkind IN ('p', 'I')),
            string_agg(c.relkind::text, '')
        INTO classes, oids, relations, is_usual, has_family, kinds
        FROM pg_event_trigger_ddl_commands() AS d
        LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
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
        -- An index may be a materialised view's, if there is no table.
        IF TG_TAG NOT IN ('CREATE TABLE', 'ALTER TABLE') OR NOT is_usual OR has_family
            OR translate(kinds, 'rpSiI', '') <> '' OR translate(kinds, 'rp', '') = kinds
        THEN
            kinds := NULL;
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
                UNION SELECT o.class, o.oid FROM family AS f JOIN pgstream.objects AS o ON o.partition_of = f.oid
                UNION SELECT 'pg_class'::regclass, t.oid FROM own AS o JOIN pg_class AS t ON t.reloftype = o.oid
                    WHERE TG_TAG = 'ALTER TYPE' AND o.class = 'pg_type'::regclass
            ) AS d;
        END IF;
        IF TG_TAG = 'ALTER TABLE' THEN
            -- A type that changes under a foreign key makes the key anew. IS TRUE, since no plan may begin with all constraints.
            SELECT array_agg(d.objid) INTO others FROM pg_depend AS d
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (oids) AND (d.classid = 'pg_constraint'::regclass) IS TRUE AND d.deptype = 'n';
            IF others IS NOT NULL THEN
                others := ARRAY(
                    SELECT DISTINCT k.conrelid FROM pg_constraint AS k
                    WHERE k.oid = ANY (others) AND k.contype = 'f' AND k.conrelid <> 0 AND k.conrelid <> ALL (oids));
                classes := classes || array_fill('pg_class'::regclass::oid, ARRAY[cardinality(others)]);
                oids := oids || others;
            END IF;
        END IF;
        -- Few tables appear by ALTER: see record.
        IF TG_TAG NOT LIKE 'ALTER %' THEN
            done := pgstream.identify(oids);
        END IF;
    END IF;
    IF current_setting('pgstream.skip_log', true)::boolean THEN
        owner := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace AS n WHERE n.nspname = 'pgstream');
        logged := NOT pg_has_role(session_user, owner, 'MEMBER');
        IF logged THEN
            RAISE WARNING 'pgstream.skip_log is ignored: % is not a member of %, which owns schema pgstream', session_user, owner;
        END IF;
    END IF;
    -- Not PERFORM, which plans a query.
    done := pgstream.record(classes, oids, kinds, rewritten, TG_TAG, current_query(), logged);
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
