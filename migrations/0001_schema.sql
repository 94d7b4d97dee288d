-- The schema of pgstream in a source, and the list of what was put into it.

CREATE SCHEMA IF NOT EXISTS pgstream;
COMMENT ON SCHEMA pgstream IS 'State of pgstream. Never replicated; removed by `pgstream destroy`.';

-- The schema may be there already: a database can be the target of one pipeline and the source of another.
CREATE TABLE pgstream.migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pgstream.migrations IS 'Which of the numbered migrations were applied, and when.';

REVOKE ALL ON pgstream.migrations FROM PUBLIC;
