-- The tables of this example on the source; the target's are copied.
CREATE TABLE customers (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    phone text,
    tier text NOT NULL DEFAULT 'basic',
    notes text,
    history text, -- long: an update that leaves it alone does not send it again
    created_at timestamptz NOT NULL DEFAULT now()
);
