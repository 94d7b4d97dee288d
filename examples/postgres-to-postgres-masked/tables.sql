-- The tables of this example; those of the target are the same, without `sessions`.
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
