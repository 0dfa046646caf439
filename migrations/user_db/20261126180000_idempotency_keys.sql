-- What users change here themselves, told apart from what events change; and the answers to requests that may be sent again.
--
-- An answer is written in the transaction of the change that it tells of, and holds what the user wrote. It goes after a day,
-- and with everything else of an erased user.

ALTER TABLE user_profiles
    -- Raised by each change that the user makes to the row. With the groups' versions it makes the profile's entity tag.
    ADD COLUMN edit_version bigint NOT NULL DEFAULT 0;

CREATE TABLE idempotency_keys (
    user_id        uuid        NOT NULL REFERENCES user_profiles (user_id),
    -- Method and path.
    route          text        NOT NULL,
    -- As the client made it up.
    key            text        NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    -- Of the request's body.
    request_sha256 bytea       NOT NULL CHECK (octet_length(request_sha256) = 32),
    location       text        NOT NULL,
    etag           text        NOT NULL,
    body           text        NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (user_id, route, key)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
