-- The erasure ledger: which accounts were deleted, and which services have said that their part is gone as well.

CREATE TABLE erasures (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL UNIQUE REFERENCES users (id),
    requested_at  timestamptz NOT NULL,
    -- By when every service should have answered.
    due_at        timestamptz NOT NULL,
    -- When the services were last told.
    announced_at  timestamptz NOT NULL,
    completed_at  timestamptz
);

CREATE INDEX erasures_open ON erasures (requested_at) WHERE completed_at IS NULL;

CREATE TABLE erasure_services (
    erasure_id   uuid        NOT NULL REFERENCES erasures (id) ON DELETE CASCADE,
    service      text        NOT NULL,
    completed_at timestamptz,
    PRIMARY KEY (erasure_id, service)
);
