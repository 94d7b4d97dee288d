-- Takes back 0002_ids.sql.

DROP TABLE IF EXISTS pgstream.table_ids;
DROP FUNCTION IF EXISTS pgstream.xid();
DROP SEQUENCE IF EXISTS pgstream.xid_serial;
DROP DOMAIN IF EXISTS pgstream.xid;
