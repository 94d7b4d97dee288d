-- The event triggers that keep the schema log. They take a superuser, so they are no migration: `init` makes them where it may.
-- ALWAYS, since a session that applies changes of another server defines tables too.

DROP EVENT TRIGGER IF EXISTS pgstream_log_ddl;
DROP EVENT TRIGGER IF EXISTS pgstream_log_drop;
DROP EVENT TRIGGER IF EXISTS pgstream_log_rewrite;
CREATE EVENT TRIGGER pgstream_log_ddl ON ddl_command_end EXECUTE FUNCTION pgstream.log_ddl();
CREATE EVENT TRIGGER pgstream_log_drop ON sql_drop EXECUTE FUNCTION pgstream.log_ddl();
CREATE EVENT TRIGGER pgstream_log_rewrite ON table_rewrite EXECUTE FUNCTION pgstream.log_rewrite();
ALTER EVENT TRIGGER pgstream_log_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER pgstream_log_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER pgstream_log_rewrite ENABLE ALWAYS;
