CREATE TABLE deliveries (
    order_id uuid    PRIMARY KEY,
    article  text    NOT NULL,
    name     text    NOT NULL,
    express  boolean NOT NULL,
    -- Of the newest event that was applied.
    sequence bigint  NOT NULL CHECK (sequence > 0)
);
