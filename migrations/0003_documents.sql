-- What the catalog says of an object, as a JSON document. One function a kind of object; each takes many at a time, since
-- a whole schema is described with the same statement as one table.
--
-- PL/pgSQL and not SQL, since only its plans are kept from call to call. Those who call these functions (0004 and 0006) pin `search_path`, so
-- Postgres prints every name that is not its own with its schema, and the settings that the form of values depends on: a
-- document reads the same wherever it was made.

-- One look at an object: what it is now, in `after`, beside what is known of it. Both are NULL where it is not there; `parts` are the
-- names of what others may name in it: columns, attributes, labels. Documents are JSON as text, which is compared and written as it
-- is: as jsonb it would be taken apart and put together at each step.
CREATE TYPE pgstream.look AS (
    class oid, oid oid, kind text, schema_name text, name text, parts text[], partition_of oid, after text,
    was_in text, was_named text, had_parts text[], before text
);

-- Schemas whose objects are not anybody's data.
CREATE FUNCTION pgstream.is_system_schema(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT name IN ('information_schema', 'pgstream', 'pgroll') OR name LIKE 'pg\_%'
$$;

-- Documents of the objects that an object cannot be made without: "needs". Tables have none: they come after types, sequences and
-- functions, and each of those says itself if it needs a table.
CREATE FUNCTION pgstream.needs(class oid, object oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        WITH parts AS (
            SELECT class AS classid, object AS objid
            UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint AS c WHERE class = 'pg_type'::regclass AND c.contypid = object
            UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite AS r WHERE class = 'pg_class'::regclass AND r.ev_class = object
            UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i WHERE class = 'pg_class'::regclass AND i.indrelid = object
            -- A composite type is a relation with columns, and those need types.
            UNION ALL SELECT 'pg_class'::regclass, t.typrelid FROM pg_type AS t
                WHERE class = 'pg_type'::regclass AND t.oid = object AND t.typrelid <> 0
        ), needed AS (
            SELECT DISTINCT d.refclassid, d.refobjid
            FROM parts AS p CROSS JOIN LATERAL (
                SELECT d.refclassid, d.refobjid, d.deptype FROM pg_depend AS d WHERE d.classid = p.classid AND d.objid = p.objid
                -- Whatever is known of sizes, the parts come first.
                OFFSET 0
            ) AS d
            WHERE d.refobjid >= 16384 AND d.deptype IN ('n', 'a')
              AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_extension'::regclass)
        ), documents AS (
            SELECT n.refobjid AS oid FROM needed AS n WHERE n.refclassid <> 'pg_type'::regclass
            UNION
            -- An array is made with its element, and the type of a row with its table.
            SELECT coalesce(nullif(CASE WHEN coalesce(e.typtype, t.typtype) = 'c' AND r.relkind <> 'c' THEN r.oid END, 0), e.oid, t.oid)
            FROM needed AS n
            JOIN pg_type AS t ON t.oid = n.refobjid
            LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
            LEFT JOIN pg_class AS r ON r.oid = coalesce(e.typrelid, t.typrelid)
            WHERE n.refclassid = 'pg_type'::regclass
        )
        SELECT jsonb_agg(d.oid::text ORDER BY d.oid) FROM documents AS d WHERE d.oid NOT IN (SELECT p.objid FROM parts AS p)
    );
END $$;

-- The statistics targets of an index's columns, by number. Only expressions may have one.
CREATE FUNCTION pgstream.index_statistics(index oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_attribute AS a
        WHERE a.attrelid = index AND coalesce(a.attstattarget, -1) <> -1
    );
END $$;

-- A name as it is, of a name as SQL writes it.
CREATE FUNCTION pgstream.unquoted(name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN left(name, 1) = '"' THEN replace(substr(name, 2, length(name) - 2), '""', '"') ELSE name END;
END $$;

-- The comment of an object. obj_description is a function in SQL, which is planned at every call.
CREATE FUNCTION pgstream.comment_of(class oid, object oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT d.description FROM pg_description AS d WHERE d.classoid = class AND d.objoid = object AND d.objsubid = 0);
END $$;

-- Whether an object is an extension's.
CREATE FUNCTION pgstream.is_member(class oid, object oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = class AND d.objid = object AND d.deptype = 'e');
END $$;

-- The name of a collation.
CREATE FUNCTION pgstream.collation_name(of oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname)
        FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace WHERE c.oid = of
    );
END $$;

-- The name of a tablespace. A function, since few tables have one: a join is prepared for each.
CREATE FUNCTION pgstream.tablespace_name(of oid) RETURNS name
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT s.spcname FROM pg_tablespace AS s WHERE s.oid = of);
END $$;

-- The name of an access method, likewise.
CREATE FUNCTION pgstream.access_method_name(of oid) RETURNS name
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT a.amname FROM pg_am AS a WHERE a.oid = of);
END $$;

-- What few columns have, as members of a JSON object.
CREATE FUNCTION pgstream.describe_settings(relation oid, number integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT concat(
            CASE WHEN a.attcompression <> '' THEN ',"compression":"' || a.attcompression::text || '"' END,
            CASE WHEN a.attstattarget <> -1 THEN ',"statistics":' || a.attstattarget END,
            ',"options":' || to_json(a.attoptions)::text,
            ',"acl":' || to_json(a.attacl::text[])::text)
        FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum = number
    );
END $$;

-- The sequence of an identity column.
CREATE FUNCTION pgstream.identity_sequence(relation oid, number integer, type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'name', s.relname, 'start', q.seqstart::text, 'increment', q.seqincrement::text, 'minimum', q.seqmin::text,
            'maximum', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', q.seqcycle,
            'type', CASE WHEN q.seqtypid <> type THEN format_type(q.seqtypid, NULL) END,
            'comment', pgstream.comment_of('pg_class'::regclass, s.oid))
        FROM pg_depend AS p JOIN pg_class AS s ON s.oid = p.objid JOIN pg_sequence AS q ON q.seqrelid = s.oid
        WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
          AND p.refobjid = relation AND p.refobjsubid = number AND p.deptype = 'i'
    );
END $$;

-- The parent of an index of a partition.
CREATE FUNCTION pgstream.index_parent(index oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object('oid', p.oid::text, 'schema', n.nspname, 'name', p.relname)
        FROM pg_inherits AS h JOIN pg_class AS p ON p.oid = h.inhparent JOIN pg_namespace AS n ON n.oid = p.relnamespace
        WHERE h.inhrelid = index
    );
END $$;

-- What the catalog has of a column, a constraint and an index, as far as documents need it.
CREATE TYPE pgstream.column_facts AS (
    number int2, name name, type oid, modifier integer, not_null boolean, generated "char", identity "char",
    collation_of oid, storage "char",
    -- Of its type: one letter for the storage, and the collation.
    of_type text,
    inherited boolean,
    -- Members of a JSON object.
    default_value text, settings text
);
CREATE TYPE pgstream.constraint_facts AS (
    oid oid, name name, type "char", columns int2[], index oid, valid boolean, no_inherit boolean, inherited boolean, of_parent boolean,
    references_table oid, comment text
);
CREATE TYPE pgstream.index_facts AS (
    oid oid, name name, kind "char", columns int2[], keys int2, is_unique boolean, is_primary boolean, is_immediate boolean, is_valid boolean,
    is_identity boolean, is_clustered boolean, has_expressions boolean, is_partial boolean, is_partition boolean,
    options text[], tablespace oid, comment text
);

-- Tables and partitioned tables, one by one: what a table does not have takes no query, and most have little.
--
-- Queries fetch, and expressions without a query put the text together: within a transaction those are prepared once, and a query's for each
-- call. Text, from which concat leaves out what is NULL: as jsonb every part would be taken apart and put together again at each
-- level above it. Arrays of rows and not FOR over a query: in a long transaction a cursor's end looks at every lock.
CREATE FUNCTION pgstream.describe_tables(tables oid[], are_new boolean) RETURNS pgstream.look[]
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    looks pgstream.look[] := '{}';
    relation oid;
    c record;
    comments jsonb;
    a pgstream.column_facts;
    k pgstream.constraint_facts;
    i pgstream.index_facts;
    all_columns pgstream.column_facts[];
    all_constraints pgstream.constraint_facts[];
    all_indexes pgstream.index_facts[];
    -- By attribute number.
    names text[];
    not_nulls text[];
    -- Attribute numbers: of the primary key, of the replica identity, and of columns that have a unique index alone.
    of_primary int2[];
    of_key int2[];
    alone_unique int2[];
    -- Constraints that have an index: the index, the constraint and, of a plain key, its columns as it prints them.
    indexes_of oid[];
    constraints_of oid[];
    plain_of text[];
    at integer;
    number int2;
    definition text;
    keys text[];
    columns text[];
    primary_key text[];
    indexes text[];
    constraints text[];
    foreign_keys text[];
    parents jsonb;
    triggers jsonb;
    switched jsonb;
    policies jsonb;
    rules jsonb;
    extended jsonb;
BEGIN
    FOREACH relation IN ARRAY tables LOOP
        -- Not c.*: each column costs.
        SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relowner, c.relacl, c.relhasindex, c.relhastriggers, c.relhasrules, c.relispartition,
            c.relpartbound, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.reloftype, c.relam, c.reltablespace,
            pgstream.unquoted(c.relnamespace::regnamespace::text) AS nspname,
            (SELECT ids.id FROM pgstream.table_ids AS ids WHERE ids.oid = c.oid::bigint) AS pgstream_id,
            known.oid AS known, known.schema_name AS was_in, known.name AS was_named, known.parts AS had_parts, known.document AS before,
            CASE WHEN c.reltoastrelid <> 0 THEN (SELECT t.reloptions FROM pg_class AS t WHERE t.oid = c.reltoastrelid) END AS toast_options,
            EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = c.oid) AS has_parents,
            EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid) AS has_policies,
            EXISTS (SELECT FROM pg_statistic_ext AS s WHERE s.stxrelid = c.oid) AS has_statistics,
            EXISTS (SELECT FROM pg_description AS d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid) AS has_comments
        INTO c
        FROM pg_class AS c
        LEFT JOIN pgstream.objects AS known ON known.class = 'pg_class'::regclass AND known.oid = c.oid
        WHERE c.oid = relation AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't';
        CONTINUE WHEN NOT FOUND OR pgstream.is_system_schema(c.nspname)
            OR (c.known IS NULL AND NOT are_new AND pgstream.is_member('pg_class'::regclass, c.oid));
        comments := NULL;
        IF c.has_comments THEN
            SELECT jsonb_object_agg(d.objsubid, d.description) INTO comments
            FROM pg_description AS d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid;
        END IF;

        all_columns := ARRAY(
            SELECT ROW(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated, a.attidentity,
                a.attcollation, a.attstorage,
                -- One of a fixed length is stored plainly, and has no collation or, a name, 950 ("C").
                CASE WHEN a.attlen < 0 OR a.attcollation NOT IN (0, 950) THEN
                    (SELECT t.typstorage::text || t.typcollation FROM pg_type AS t WHERE t.oid = a.atttypid) END,
                a.attinhcount > 0 AND NOT a.attislocal,
                CASE WHEN a.atthasdef THEN (
                    -- A default names no column: printed without its table, which need not be opened for it.
                    SELECT concat(',"default":', to_json(pg_get_expr(d.adbin, CASE WHEN a.attgenerated <> '' THEN d.adrelid ELSE 0 END)),
                        ',"default_oid":"', d.oid, '"')
                    FROM pg_attrdef AS d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
                ) ELSE ',"default":null' END,
                CASE WHEN a.attcompression <> '' OR a.attstattarget <> -1 OR num_nonnulls(a.attoptions, a.attacl) > 0 THEN
                    pgstream.describe_settings(a.attrelid, a.attnum) END
            )::pgstream.column_facts
            FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            -- As the index has them: nothing is sorted.
            ORDER BY a.attnum
        );
        names := '{}';
        FOREACH a IN ARRAY all_columns LOOP
            names[a.number] := a.name;
        END LOOP;

        constraints := NULL; foreign_keys := NULL; not_nulls := '{}'; indexes_of := '{}'; constraints_of := '{}'; plain_of := '{}';
        all_constraints := ARRAY(
            SELECT ROW(k.oid, k.conname, k.contype, k.conkey, k.conindid, k.convalidated, k.connoinherit, k.coninhcount > 0 AND NOT k.conislocal,
                k.conparentid <> 0, k.confrelid,
                (SELECT d.description FROM pg_description AS d WHERE d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid AND d.objsubid = 0)
            )::pgstream.constraint_facts
            FROM pg_constraint AS k
            -- The rest are triggers.
            WHERE k.conrelid = c.oid AND k.contypid = 0 AND k.contype IN ('p', 'u', 'c', 'x', 'f', 'n')
              -- A key to a partitioned table is told once, and not for each of its partitions.
              AND (k.conparentid = 0 OR k.contype <> 'f'
                   OR NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.oid = k.conparentid AND p.confrelid <> k.confrelid))
            ORDER BY k.conname
        );
        FOREACH k IN ARRAY all_constraints LOOP
            IF k.type = 'n' THEN
                -- Since Postgres 18 it is a constraint with a name; before, there is none of this type.
                not_nulls[k.columns[1]] := concat(
                    '{"name":', to_json(k.name),
                    CASE WHEN NOT k.valid THEN ',"valid":false' END,
                    CASE WHEN k.no_inherit THEN ',"no_inherit":true' END,
                    CASE WHEN k.inherited THEN ',"inherited":true' END,
                    ',"comment":' || to_json(k.comment)::text,
                    '}');
                CONTINUE;
            END IF;
            definition := pg_get_constraintdef(k.oid);
            IF k.type IN ('p', 'u', 'x') THEN
                indexes_of := indexes_of || k.index;
                constraints_of := constraints_of || k.oid;
                plain_of := plain_of || CASE WHEN (definition LIKE 'PRIMARY KEY (%)' OR definition LIKE 'UNIQUE (%)')
                    AND definition NOT LIKE '%(%(%' AND definition NOT LIKE '% WITHOUT OVERLAPS)' THEN '(' || split_part(definition, '(', 2) END;
            END IF;
            definition := concat(
                '{"name":', to_json(k.name),
                CASE k.type WHEN 'p' THEN ',"type":"PRIMARY KEY"' WHEN 'u' THEN ',"type":"UNIQUE"' WHEN 'c' THEN ',"type":"CHECK"'
                    WHEN 'x' THEN ',"type":"EXCLUDE"' END,
                ',"definition":', to_json(definition),
                ',"oid":"', k.oid, '"',
                CASE WHEN NOT k.valid THEN ',"valid":false' END,
                -- Nothing can follow it.
                CASE WHEN NOT k.valid AND definition LIKE '% NOT ENFORCED' THEN ',"enforced":false' END,
                CASE WHEN k.inherited OR k.of_parent THEN ',"inherited":true' END,
                CASE WHEN k.references_table <> 0 THEN ',"references":"' || k.references_table || '"' END,
                ',"comment":' || to_json(k.comment)::text,
                '}');
            IF k.type = 'f' THEN
                foreign_keys := foreign_keys || definition;
            ELSE
                constraints := constraints || definition;
            END IF;
        END LOOP;

        indexes := NULL; of_primary := NULL; of_key := NULL; alone_unique := '{}';
        IF c.relhasindex THEN
            all_indexes := ARRAY(
                SELECT ROW(x.oid, x.relname, x.relkind, i.indkey::int2[], i.indnkeyatts, i.indisunique, i.indisprimary, i.indimmediate, i.indisvalid,
                    i.indisreplident, i.indisclustered, i.indexprs IS NOT NULL, i.indpred IS NOT NULL, x.relispartition, x.reloptions, x.reltablespace,
                    (SELECT d.description FROM pg_description AS d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = x.oid AND d.objsubid = 0)
                )::pgstream.index_facts
                FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indislive
                ORDER BY x.relname
            );
            FOREACH i IN ARRAY all_indexes LOOP
                keys := '{}';
                FOR key IN 0..i.keys - 1 LOOP
                    keys := keys || coalesce(quote_ident(names[i.columns[key]]), pg_get_indexdef(i.oid, key + 1, true));
                END LOOP;
                IF i.is_primary THEN
                    of_primary := i.columns[0:i.keys - 1];
                END IF;
                IF (c.relreplident = 'd' AND i.is_primary AND i.is_immediate) OR (c.relreplident = 'i' AND i.is_identity) THEN
                    of_key := i.columns[0:i.keys - 1];
                END IF;
                IF i.is_unique AND i.is_valid AND NOT i.is_partial AND i.keys = 1 THEN
                    alone_unique := alone_unique || i.columns[0];
                END IF;
                at := array_position(indexes_of, i.oid);
                indexes := indexes || concat(
                    '{"name":', to_json(i.name),
                    ',"columns":', to_json(keys),
                    ',"unique":', i.is_unique::text,
                    ',"definition":', to_json(coalesce(
                        -- What pg_get_indexdef prints, which looks for the default operator class among all.
                        'CREATE UNIQUE INDEX ' || quote_ident(i.name) || CASE i.kind WHEN 'I' THEN ' ON ONLY ' ELSE ' ON ' END
                            || quote_ident(c.nspname) || '.' || quote_ident(c.relname) || ' USING btree ' || CASE WHEN i.options IS NULL THEN plain_of[at] END,
                        pg_get_indexdef(i.oid))),
                    ',"oid":"', i.oid, '"',
                    ',"constraint":"' || constraints_of[at] || '"',
                    CASE WHEN NOT i.is_valid THEN ',"valid":false' END,
                    CASE WHEN i.is_identity THEN ',"replica_identity":true' END,
                    CASE WHEN i.is_clustered THEN ',"clustered":true' END,
                    ',"options":' || to_json(i.options)::text,
                    CASE WHEN i.has_expressions THEN ',"statistics":' || pgstream.index_statistics(i.oid)::text END,
                    CASE WHEN i.is_partition THEN ',"parent":' || pgstream.index_parent(i.oid)::text END,
                    CASE WHEN i.tablespace <> 0 THEN ',"tablespace":' || to_json(pgstream.tablespace_name(i.tablespace))::text END,
                    ',"comment":' || to_json(i.comment)::text,
                    '}');
            END LOOP;
        END IF;

        columns := NULL;
        FOREACH a IN ARRAY all_columns LOOP
            columns := columns || concat(
                '{"pgstream_id":', coalesce('"' || c.pgstream_id || '-' || a.number || '"', 'null'),
                ',"attnum":', a.number,
                ',"name":', to_json(a.name),
                ',"type":', to_json(format_type(a.type, a.modifier)),
                ',"type_oid":"', a.type, '"',
                a.default_value,
                ',"nullable":', (NOT a.not_null)::text,
                ',"unique":', (a.number = ANY (alone_unique))::text,
                ',"generated":', (a.generated <> '')::text,
                ',"generated_kind":"', a.generated,
                '","identity":"', a.identity,
                '","metadata":', coalesce(to_json(comments->>a.number::text)::text, 'null'),
                CASE WHEN a.modifier <> -1 THEN ',"type_modifier":' || a.modifier END,
                CASE WHEN c.relreplident = 'f' OR a.number = ANY (of_key) THEN ',"key":true' END,
                CASE WHEN a.collation_of <> substr(a.of_type, 2)::oid THEN ',"collation":' || to_json(pgstream.collation_name(a.collation_of))::text END,
                CASE WHEN a.storage <> left(a.of_type, 1) THEN ',"storage":"' || a.storage::text || '"' END,
                CASE WHEN left(a.of_type, 1) NOT IN ('p', 'x') THEN ',"type_storage":"' || left(a.of_type, 1) || '"' END,
                CASE WHEN a.not_null THEN ',"not_null":' || not_nulls[a.number] END,
                CASE WHEN a.inherited THEN ',"inherited":true' END,
                a.settings,
                CASE WHEN a.identity <> '' THEN
                    ',"identity_sequence":' || jsonb_strip_nulls(pgstream.identity_sequence(c.oid, a.number, a.type))::text END,
                '}');
        END LOOP;
        primary_key := '{}';
        IF of_primary IS NOT NULL THEN
            FOREACH number IN ARRAY of_primary LOOP
                primary_key := primary_key || names[number];
            END LOOP;
        END IF;
        parents := NULL; triggers := NULL; switched := NULL; policies := NULL; rules := NULL; extended := NULL;
        IF c.has_parents THEN
            SELECT jsonb_agg(jsonb_build_object('oid', p.oid::text, 'schema', n.nspname, 'name', p.relname) ORDER BY h.inhseqno) INTO parents
            FROM pg_inherits AS h JOIN pg_class AS p ON p.oid = h.inhparent JOIN pg_namespace AS n ON n.oid = p.relnamespace
            WHERE h.inhrelid = c.oid;
        END IF;
        IF c.relhastriggers THEN
            SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'oid', t.oid::text, 'name', t.tgname, 'definition', pg_get_triggerdef(t.oid),
                'enabled', nullif(t.tgenabled, 'O'), 'comment', pgstream.comment_of('pg_trigger'::regclass, t.oid))) ORDER BY t.tgname)
            INTO triggers
            FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0;
        END IF;
        IF c.relhastriggers AND c.relispartition THEN
            -- Those that a partition has from its parent, where one of the two is switched.
            SELECT jsonb_agg(jsonb_build_object('name', t.tgname, 'enabled', t.tgenabled) ORDER BY t.tgname) INTO switched
            FROM pg_trigger AS t JOIN pg_trigger AS p ON p.oid = t.tgparentid
            WHERE t.tgrelid = c.oid AND (t.tgenabled <> 'O' OR p.tgenabled <> 'O')
              AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.oid = t.tgconstraint AND k.contype = 'f');
        END IF;
        IF c.has_policies THEN
            SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'oid', p.oid::text, 'name', p.polname, 'restrictive', CASE WHEN NOT p.polpermissive THEN true END, 'command', p.polcmd,
                'roles', (SELECT jsonb_agg(CASE r.role WHEN 0 THEN 'public' ELSE pg_get_userbyid(r.role) END ORDER BY r.at)
                          FROM unnest(p.polroles) WITH ORDINALITY AS r (role, at)),
                'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid),
                'comment', pgstream.comment_of('pg_policy'::regclass, p.oid))) ORDER BY p.polname)
            INTO policies
            FROM pg_policy AS p WHERE p.polrelid = c.oid;
        END IF;
        IF c.relhasrules THEN
            SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'oid', r.oid::text, 'name', r.rulename, 'definition', pg_get_ruledef(r.oid),
                'enabled', nullif(r.ev_enabled, 'O'), 'comment', pgstream.comment_of('pg_rewrite'::regclass, r.oid))) ORDER BY r.rulename)
            INTO rules
            FROM pg_rewrite AS r WHERE r.ev_class = c.oid;
        END IF;
        IF c.has_statistics THEN
            SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                'oid', s.oid::text, 'schema', n.nspname, 'name', s.stxname, 'definition', pg_get_statisticsobjdef(s.oid),
                'target', nullif(s.stxstattarget, -1), 'comment', pgstream.comment_of('pg_statistic_ext'::regclass, s.oid))) ORDER BY n.nspname, s.stxname)
            INTO extended
            FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace WHERE s.stxrelid = c.oid;
        END IF;
        looks := looks || ROW('pg_class'::regclass, c.oid, 'table', c.nspname, c.relname, array_remove(names, NULL),
            CASE WHEN c.relispartition THEN (parents->0->>'oid')::oid END, concat(
            '{"oid":"', c.oid, '"',
            ',"pgstream_id":', coalesce(to_json(c.pgstream_id)::text, 'null'),
            ',"schema":', to_json(c.nspname),
            ',"name":', to_json(c.relname),
            ',"columns":', coalesce('[' || array_to_string(columns, ',') || ']', 'null'),
            ',"primary_key_columns":', to_json(primary_key),
            ',"indexes":[', array_to_string(indexes, ','), ']',
            ',"constraints":', coalesce('[' || array_to_string(constraints, ',') || ']', 'null'),
            ',"foreign_keys":', coalesce('[' || array_to_string(foreign_keys, ',') || ']', 'null'),
            ',"owner":', to_json(pg_get_userbyid(c.relowner)),
            ',"acl":' || to_json(c.relacl::text[])::text,
            ',"comment":' || to_json(comments->>'0')::text,
            CASE WHEN c.relpersistence = 'u' THEN ',"unlogged":true' END,
            ',"options":' || to_json(c.reloptions)::text,
            ',"toast_options":' || to_json(c.toast_options)::text,
            -- 2 is heap, everywhere.
            CASE WHEN c.relam NOT IN (0, 2) THEN ',"access_method":' || to_json(pgstream.access_method_name(c.relam))::text END,
            CASE WHEN c.reltablespace <> 0 THEN ',"tablespace":' || to_json(pgstream.tablespace_name(c.reltablespace))::text END,
            CASE WHEN c.reloftype <> 0 THEN ',"of_type":' || to_json(format_type(c.reloftype, NULL))::text END,
            CASE WHEN c.relreplident <> 'd' THEN ',"replica_identity":"' || c.relreplident::text || '"' END,
            CASE WHEN c.relrowsecurity THEN ',"row_security":true' END,
            CASE WHEN c.relforcerowsecurity THEN ',"force_row_security":true' END,
            CASE WHEN c.relkind = 'p' THEN ',"partition_by":' || to_json(pg_get_partkeydef(c.oid))::text END,
            CASE WHEN c.relispartition THEN ',"partition_of":' || (parents->0)::text END,
            ',"partition_bound":' || to_json(pg_get_expr(c.relpartbound, c.oid))::text,
            CASE WHEN NOT c.relispartition THEN ',"inherits":' || parents::text END,
            ',"triggers":' || triggers::text,
            ',"parent_triggers":' || switched::text,
            ',"policies":' || policies::text,
            ',"rules":' || rules::text,
            ',"statistics":' || extended::text,
            '}'
        ), c.was_in, c.was_named, c.had_parts, c.before)::pgstream.look;
    END LOOP;
    RETURN looks;
END $$;

-- Views and materialised views.
CREATE FUNCTION pgstream.describe_views(views oid[])
RETURNS TABLE (oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.oid, n.nspname::text, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, c.relname::text,
        jsonb_build_object(
            'oid', c.oid::text,
            'schema', n.nspname,
            'name', c.relname,
            'definition', pg_get_viewdef(c.oid)
        ) || jsonb_strip_nulls(jsonb_build_object(
            'columns', columns.list,
            'indexes', CASE c.relkind WHEN 'm' THEN coalesce(indexes.list, '[]') END,
            'populated', CASE WHEN NOT c.relispopulated THEN false END,
            'owner', pg_get_userbyid(c.relowner),
            'acl', to_jsonb(c.relacl::text[]),
            'comment', pgstream.comment_of('pg_class'::regclass, c.oid),
            'options', to_jsonb(c.reloptions),
            'toast_options', (SELECT to_jsonb(s.reloptions) FROM pg_class AS s WHERE s.oid = c.reltoastrelid),
            'access_method', nullif(am.amname, 'heap'),
            'tablespace', (SELECT s.spcname FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
            'triggers', triggers.list,
            'rules', rules.list,
            'needs', pgstream.needs('pg_class'::regclass, c.oid)
        ))
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_am AS am ON am.oid = c.relam
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'default', pg_get_expr(d.adbin, d.adrelid),
            'acl', to_jsonb(a.attacl::text[]),
            'storage', CASE WHEN c.relkind = 'm' AND a.attstorage <> t.typstorage THEN a.attstorage END,
            'type_storage', CASE WHEN c.relkind = 'm' AND t.typstorage NOT IN ('p', 'x') THEN t.typstorage END,
            'compression', nullif(a.attcompression, ''),
            'statistics', nullif(a.attstattarget, -1),
            'options', to_jsonb(a.attoptions),
            'metadata', (SELECT s.description FROM pg_description AS s WHERE s.classoid = 'pg_class'::regclass AND s.objoid = c.oid AND s.objsubid = a.attnum)
        )) ORDER BY a.attnum) AS list
        FROM pg_attribute AS a
        JOIN pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS columns
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(
            jsonb_build_object(
                'name', x.relname,
                'columns', (SELECT jsonb_agg(pg_get_indexdef(x.oid, at, true) ORDER BY at) FROM generate_series(1, i.indnkeyatts) AS at),
                'unique', i.indisunique,
                'definition', pg_get_indexdef(x.oid)
            ) || jsonb_strip_nulls(jsonb_build_object(
                'oid', x.oid::text,
                'valid', CASE WHEN NOT i.indisvalid THEN false END,
                'clustered', CASE WHEN i.indisclustered THEN true END,
                'options', to_jsonb(x.reloptions),
                'statistics', CASE WHEN i.indexprs IS NOT NULL THEN pgstream.index_statistics(x.oid) END,
                'comment', pgstream.comment_of('pg_class'::regclass, x.oid)
            ))
            ORDER BY x.relname
        ) AS list
        FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indislive
    ) AS indexes
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'oid', t.oid::text, 'name', t.tgname, 'definition', pg_get_triggerdef(t.oid),
            'enabled', nullif(t.tgenabled, 'O'), 'comment', pgstream.comment_of('pg_trigger'::regclass, t.oid))) ORDER BY t.tgname) AS list
        FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
    ) AS triggers
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'oid', r.oid::text, 'name', r.rulename, 'definition', pg_get_ruledef(r.oid),
            'enabled', nullif(r.ev_enabled, 'O'), 'comment', pgstream.comment_of('pg_rewrite'::regclass, r.oid))) ORDER BY r.rulename) AS list
        FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
    ) AS rules
    WHERE c.oid = ANY (views) AND c.relkind IN ('v', 'm') AND c.relpersistence <> 't';
END $$;

-- Sequences.
CREATE FUNCTION pgstream.describe_sequences(sequences oid[], are_new boolean) RETURNS pgstream.look[]
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    looks pgstream.look[] := '{}';
    sequence oid;
    c record;
    owned_by json;
BEGIN
    FOREACH sequence IN ARRAY sequences LOOP
        SELECT c.oid, c.relname, c.relowner, c.relacl, c.relpersistence, q.seqtypid, q.seqstart, q.seqmin, q.seqmax, q.seqincrement, q.seqcycle, q.seqcache,
            pgstream.unquoted(c.relnamespace::regnamespace::text) AS nspname,
            -- The table and number of its column, as text, and how it belongs to it.
            (SELECT ARRAY[d.refobjid::text, d.refobjsubid::text, d.deptype::text] FROM pg_depend AS d
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
               AND d.deptype IN ('a', 'i')) AS belongs,
            (SELECT d.description FROM pg_description AS d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0) AS comment,
            known.oid AS known, known.schema_name AS was_in, known.name AS was_named, known.document AS before
        INTO c
        FROM pg_class AS c
        JOIN pg_sequence AS q ON q.seqrelid = c.oid
        LEFT JOIN pgstream.objects AS known ON known.class = 'pg_class'::regclass AND known.oid = c.oid
        WHERE c.oid = sequence AND c.relpersistence <> 't';
        -- That of an identity column is told with its column.
        CONTINUE WHEN NOT FOUND OR c.belongs[3] = 'i' OR pgstream.is_system_schema(c.nspname)
            OR (c.known IS NULL AND NOT are_new AND pgstream.is_member('pg_class'::regclass, c.oid));
        owned_by := NULL;
        IF c.belongs IS NOT NULL THEN
            owned_by := (
                SELECT json_build_object('oid', c.belongs[1], 'schema', (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = t.relnamespace),
                    'table', t.relname,
                    'column', (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum = c.belongs[2]::int2),
                    'attnum', c.belongs[2]::integer)
                FROM pg_class AS t WHERE t.oid = c.belongs[1]::oid
            );
        END IF;
        looks := looks || ROW('pg_class'::regclass, c.oid, 'sequence', c.nspname, c.relname, NULL, NULL, concat(
            '{"oid":"', c.oid, '"',
            ',"schema":', to_json(c.nspname),
            ',"name":', to_json(c.relname),
            ',"data_type":', to_json(format_type(c.seqtypid, NULL)),
            ',"numeric_precision":"', CASE c.seqtypid WHEN 'int2'::regtype THEN '16' WHEN 'int4'::regtype THEN '32' ELSE '64' END, '"',
            ',"numeric_precision_radix":"2","numeric_scale":"0"',
            ',"start_value":"', c.seqstart, '"',
            ',"minimum_value":"', c.seqmin, '"',
            ',"maximum_value":"', c.seqmax, '"',
            ',"increment":"', c.seqincrement, '"',
            ',"cycle_option":"', CASE WHEN c.seqcycle THEN 'YES' ELSE 'NO' END, '"',
            CASE WHEN c.seqcache <> 1 THEN ',"cache":"' || c.seqcache || '"' END,
            ',"owned_by":' || owned_by::text,
            ',"owner":', to_json(pg_get_userbyid(c.relowner)),
            ',"acl":' || to_json(c.relacl::text[])::text,
            CASE WHEN c.relpersistence = 'u' THEN ',"unlogged":true' END,
            ',"comment":' || to_json(c.comment)::text,
            '}'
        ), c.was_in, c.was_named, NULL, c.before)::pgstream.look;
    END LOOP;
    RETURN looks;
END $$;

-- Enums, domains, composite types and ranges. Base types need code on the server and are left out.
CREATE FUNCTION pgstream.describe_types(types oid[])
RETURNS TABLE (oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT t.oid, n.nspname::text, 'type', t.typname::text,
        jsonb_build_object('oid', t.oid::text, 'schema', n.nspname, 'name', t.typname)
        || CASE t.typtype
            WHEN 'e' THEN jsonb_build_object('kind', 'enum', 'labels', (
                SELECT coalesce(jsonb_agg(jsonb_build_object('oid', e.oid::text, 'name', e.enumlabel) ORDER BY e.enumsortorder), '[]')
                FROM pg_enum AS e WHERE e.enumtypid = t.oid))
            WHEN 'd' THEN jsonb_build_object(
                'kind', 'domain', 'type', format_type(t.typbasetype, t.typtypmod), 'nullable', NOT t.typnotnull, 'default', t.typdefault,
                'constraints', (
                    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                        'oid', k.oid::text, 'name', k.conname, 'definition', pg_get_constraintdef(k.oid),
                        'valid', CASE WHEN NOT k.convalidated THEN false END,
                        'comment', pgstream.comment_of('pg_constraint'::regclass, k.oid))) ORDER BY k.conname), '[]')
                    FROM pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'))
                || jsonb_strip_nulls(jsonb_build_object('not_null', (
                    -- Since Postgres 17.
                    SELECT jsonb_strip_nulls(jsonb_build_object('name', k.conname, 'comment', pgstream.comment_of('pg_constraint'::regclass, k.oid)))
                    FROM pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'n')))
            WHEN 'c' THEN jsonb_build_object('kind', 'composite', 'attributes', (
                SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                    'attnum', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                    'collation', CASE WHEN a.attcollation <> b.typcollation THEN a.attcollation::regcollation::text END,
                    'comment', (SELECT s.description FROM pg_description AS s WHERE s.classoid = 'pg_class'::regclass AND s.objoid = a.attrelid AND s.objsubid = a.attnum))) ORDER BY a.attnum), '[]')
                FROM pg_attribute AS a JOIN pg_type AS b ON b.oid = a.atttypid
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
            WHEN 'r' THEN jsonb_build_object('kind', 'range') || (
                SELECT jsonb_strip_nulls(jsonb_build_object(
                    'subtype', format_type(r.rngsubtype, NULL),
                    'subtype_opclass', CASE WHEN NOT o.opcdefault THEN quote_ident(pn.nspname) || '.' || quote_ident(o.opcname) END,
                    'collation', CASE WHEN r.rngcollation <> b.typcollation THEN r.rngcollation::regcollation::text END,
                    'canonical', nullif(r.rngcanonical::regproc::text, '-'),
                    'subtype_diff', nullif(r.rngsubdiff::regproc::text, '-'),
                    'multirange', m.typname,
                    'multirange_schema', CASE WHEN m.typnamespace <> t.typnamespace THEN (SELECT x.nspname FROM pg_namespace AS x WHERE x.oid = m.typnamespace) END))
                FROM pg_range AS r JOIN pg_type AS b ON b.oid = r.rngsubtype JOIN pg_type AS m ON m.oid = r.rngmultitypid
                JOIN pg_opclass AS o ON o.oid = r.rngsubopc JOIN pg_namespace AS pn ON pn.oid = o.opcnamespace
                WHERE r.rngtypid = t.oid)
        END
        || jsonb_strip_nulls(jsonb_build_object(
            'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> (SELECT b.typcollation FROM pg_type AS b WHERE b.oid = t.typbasetype)
                         THEN t.typcollation::regcollation::text END,
            'owner', pg_get_userbyid(t.typowner),
            'acl', to_jsonb(t.typacl::text[]),
            'comment', coalesce(pgstream.comment_of('pg_type'::regclass, t.oid), pgstream.comment_of('pg_class'::regclass, nullif(t.typrelid, 0))),
            'needs', pgstream.needs('pg_type'::regclass, t.oid)
        ))
    FROM pg_type AS t
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_class AS c ON c.oid = t.typrelid
    WHERE t.oid = ANY (types) AND t.typtype IN ('e', 'd', 'c', 'r') AND (t.typtype <> 'c' OR c.relkind = 'c');
END $$;

-- Functions, procedures, window functions and aggregates.
CREATE FUNCTION pgstream.describe_functions(functions oid[])
RETURNS TABLE (oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT p.oid, n.nspname::text,
        CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, p.proname::text,
        jsonb_build_object(
            'oid', p.oid::text,
            'schema', n.nspname,
            'name', p.proname,
            'arguments', pg_get_function_identity_arguments(p.oid),
            'definition', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (
                SELECT format('CREATE OR REPLACE AGGREGATE %I.%I(%s) (%s)', n.nspname, p.proname,
                    coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*'),
                    array_to_string(ARRAY[
                        'SFUNC = ' || a.aggtransfn::regproc,
                        'STYPE = ' || format_type(a.aggtranstype, NULL),
                        'SSPACE = ' || nullif(a.aggtransspace, 0),
                        'FINALFUNC = ' || nullif(a.aggfinalfn::oid, 0)::regproc,
                        CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
                        CASE a.aggfinalmodify WHEN 's' THEN 'FINALFUNC_MODIFY = SHAREABLE' WHEN 'w' THEN 'FINALFUNC_MODIFY = READ_WRITE' END,
                        'COMBINEFUNC = ' || nullif(a.aggcombinefn::oid, 0)::regproc,
                        'SERIALFUNC = ' || nullif(a.aggserialfn::oid, 0)::regproc,
                        'DESERIALFUNC = ' || nullif(a.aggdeserialfn::oid, 0)::regproc,
                        'INITCOND = ' || quote_literal(a.agginitval),
                        'MSFUNC = ' || nullif(a.aggmtransfn::oid, 0)::regproc,
                        'MINVFUNC = ' || nullif(a.aggminvtransfn::oid, 0)::regproc,
                        'MSTYPE = ' || CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END,
                        'MSSPACE = ' || nullif(a.aggmtransspace, 0),
                        'MFINALFUNC = ' || nullif(a.aggmfinalfn::oid, 0)::regproc,
                        CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
                        'MINITCOND = ' || quote_literal(a.aggminitval),
                        'SORTOP = OPERATOR(' || (
                            SELECT quote_ident(sn.nspname) || '.' || o.oprname FROM pg_operator AS o JOIN pg_namespace AS sn ON sn.oid = o.oprnamespace
                            WHERE o.oid = a.aggsortop) || ')',
                        CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END,
                        CASE a.aggkind WHEN 'h' THEN 'HYPOTHETICAL' END
                    ], ', '))
                FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid) END,
            'result', pg_get_function_result(p.oid)
        ) || jsonb_strip_nulls(jsonb_build_object(
            'owner', pg_get_userbyid(p.proowner),
            'acl', to_jsonb(p.proacl::text[]),
            'comment', pgstream.comment_of('pg_proc'::regclass, p.oid),
            'needs', pgstream.needs('pg_proc'::regclass, p.oid)
        ))
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.oid = ANY (functions) AND l.lanname NOT IN ('c', 'internal') OR (p.oid = ANY (functions) AND p.prokind = 'a');
END $$;

-- Schemas and extensions: what they are themselves.
CREATE FUNCTION pgstream.describe_schemas(schemas oid[])
RETURNS TABLE (oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.oid, n.nspname::text, 'schema', n.nspname::text,
        jsonb_build_object('oid', n.oid::text, 'name', n.nspname)
        || jsonb_strip_nulls(jsonb_build_object(
            'owner', pg_get_userbyid(n.nspowner), 'acl', to_jsonb(n.nspacl::text[]), 'comment', pgstream.comment_of('pg_namespace'::regclass, n.oid)))
    FROM pg_namespace AS n WHERE n.oid = ANY (schemas);
END $$;

CREATE FUNCTION pgstream.describe_extensions(extensions oid[])
RETURNS TABLE (oid oid, schema_name text, kind text, name text, document jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.oid, n.nspname::text, 'extension', e.extname::text,
        jsonb_build_object('oid', e.oid::text, 'schema', n.nspname, 'name', e.extname, 'version', e.extversion)
        || jsonb_strip_nulls(jsonb_build_object('comment', pgstream.comment_of('pg_extension'::regclass, e.oid)))
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.oid = ANY (extensions);
END $$;
