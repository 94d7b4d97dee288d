-- Takes back 0001_schema.sql. The schema itself goes when nothing of anybody else is in it.

DROP TABLE IF EXISTS pgstream.migrations;
