-- Identifiers that sort by the time they were made, and the tables that have one: a rename does not change it.

-- Twelve bytes in base32hex: seconds since 1970 (4), the cluster (3), the session (2), a counter (3).
CREATE DOMAIN pgstream.xid AS char(20) CHECK (VALUE ~ '^[0-9a-v]{20}$');
COMMENT ON DOMAIN pgstream.xid IS 'An identifier of 20 characters that sorts by the time it was made.';

CREATE SEQUENCE pgstream.xid_serial MINVALUE 0 MAXVALUE 16777215 CYCLE CACHE 32;

CREATE FUNCTION pgstream.xid() RETURNS pgstream.xid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bits bit(100) := extract(epoch FROM clock_timestamp())::bigint::bit(32)
        || (SELECT system_identifier FROM pg_control_system())::bit(24)
        || pg_backend_pid()::bit(16)
        || nextval('pgstream.xid_serial')::bit(24)
        || B'0000';
BEGIN
    RETURN (
        SELECT string_agg(substr('0123456789abcdefghijklmnopqrstuv', substring(bits FROM at * 5 + 1 FOR 5)::int + 1, 1), '' ORDER BY at)
        FROM generate_series(0, 19) AS at
    );
END $$;
COMMENT ON FUNCTION pgstream.xid() IS 'A new identifier.';

CREATE TABLE pgstream.table_ids (
    id  pgstream.xid PRIMARY KEY DEFAULT pgstream.xid(),
    oid bigint NOT NULL UNIQUE
);
COMMENT ON TABLE pgstream.table_ids IS
    'The lasting identifier of each table. That of a column is the table''s, a hyphen and the number of the attribute.';

REVOKE ALL ON pgstream.table_ids, pgstream.xid_serial FROM PUBLIC;
REVOKE ALL ON FUNCTION pgstream.xid() FROM PUBLIC;
