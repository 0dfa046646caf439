CREATE TABLE orders (
    id            uuid        PRIMARY KEY,
    article       text        NOT NULL,
    delivery_name text        NOT NULL,
    express       boolean     NOT NULL,
    announce_to   text,
    placed_at     timestamptz NOT NULL,
    -- The order's version: every change that emits an event raises it.
    sequence      bigint      NOT NULL CHECK (sequence > 0)
);
