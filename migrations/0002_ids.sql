-- Identifiers that sort by the time they were made, and the tables that have one: a rename does not change it.

-- Twelve bytes in base32hex: seconds since 1970 (4), the cluster (3), the session (2), a counter (3).
CREATE DOMAIN pgstream.xid AS char(20) CHECK (VALUE ~ '^[0-9a-v]{20}$');
COMMENT ON DOMAIN pgstream.xid IS 'An identifier of 20 characters that sorts by the time it was made.';

CREATE SEQUENCE pgstream.xid_serial MINVALUE 0 MAXVALUE 16777215 CYCLE CACHE 32;

-- Of the cluster; a copy of its files has it too. Immutable, so that a session reads it once.
CREATE FUNCTION pgstream.cluster() RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system()) & 16777215;
END $$;

CREATE FUNCTION pgstream.xid() RETURNS pgstream.xid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    digits constant text := '0123456789abcdefghijklmnopqrstuv';
    cluster constant bigint := pgstream.cluster();
    halves constant bigint[] := ARRAY[
        ((extract(epoch FROM clock_timestamp())::bigint & 4294967295) << 18) | (cluster >> 6),
        ((cluster & 63) << 44) | ((pg_backend_pid() & 65535)::bigint << 28) | (nextval('pgstream.xid_serial') << 4)
    ];
    half bigint;
    id text := '';
BEGIN
    -- Each is ten digits of five bits.
    FOREACH half IN ARRAY halves LOOP
        id := id || substr(digits, (half >> 45 & 31)::int + 1, 1) || substr(digits, (half >> 40 & 31)::int + 1, 1)
            || substr(digits, (half >> 35 & 31)::int + 1, 1) || substr(digits, (half >> 30 & 31)::int + 1, 1)
            || substr(digits, (half >> 25 & 31)::int + 1, 1) || substr(digits, (half >> 20 & 31)::int + 1, 1)
            || substr(digits, (half >> 15 & 31)::int + 1, 1) || substr(digits, (half >> 10 & 31)::int + 1, 1)
            || substr(digits, (half >> 5 & 31)::int + 1, 1) || substr(digits, (half & 31)::int + 1, 1);
    END LOOP;
    RETURN id;
END $$;
COMMENT ON FUNCTION pgstream.xid() IS 'A new identifier.';

CREATE TABLE pgstream.table_ids (
    id  pgstream.xid PRIMARY KEY DEFAULT pgstream.xid(),
    oid bigint NOT NULL UNIQUE
);
COMMENT ON TABLE pgstream.table_ids IS
    'The lasting identifier of each table. That of a column is the table''s, a hyphen and the number of the attribute.';

REVOKE ALL ON pgstream.table_ids, pgstream.xid_serial FROM PUBLIC;
REVOKE ALL ON FUNCTION pgstream.xid(), pgstream.cluster() FROM PUBLIC;
