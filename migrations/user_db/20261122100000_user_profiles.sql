-- What user-service knows of a user. The row is also the tombstone: an erased user keeps it with status 'deleted' and
-- every data column NULL, so that no late event can bring the user back.

CREATE TABLE user_profiles (
    user_id        uuid        PRIMARY KEY,
    status         text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deactivated', 'deleted')),
    -- No UNIQUE: one user's release of an address and another's registration of it may arrive reversed.
    email          text,
    -- Version of the group {email}: an event sets the group only when it is newer.
    email_sequence bigint      NOT NULL DEFAULT 0,
    registered_at  timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_profiles_deleted_is_empty CHECK (status <> 'deleted' OR (email IS NULL AND registered_at IS NULL))
);
