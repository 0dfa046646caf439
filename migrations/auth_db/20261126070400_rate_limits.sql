-- Limits that must hold across instances and restarts, Redis or not: how often a password was wrong, and when an address
-- was last written to.

CREATE TABLE rate_limits (
    -- What is limited and for whom: `login:` or another word, and the HMAC of an address. An address without an account
    -- is counted like any other.
    key          text        PRIMARY KEY CHECK (key ~ '^[a-z-]+:[0-9a-f]{64}$'),
    -- Attempts since the last one that succeeded.
    count        integer     NOT NULL CHECK (count > 0),
    last_at      timestamptz NOT NULL,
    -- 'infinity': until the password is reset.
    locked_until timestamptz
);

CREATE INDEX rate_limits_age ON rate_limits (last_at);
