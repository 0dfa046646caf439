-- A session is what one sign-in opened. Its refresh tokens are a family: each is used once, and makes the next one.
-- The session's row is what rotations of its family are serialised on.

CREATE TABLE sessions (
    id               uuid        PRIMARY KEY,
    user_id          uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- When the password was last proved.
    authenticated_at timestamptz NOT NULL,
    last_used_at     timestamptz NOT NULL,
    -- The end in any case, however often it is refreshed.
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz,
    revoked_reason   text        CHECK (revoked_reason ~ '^[a-z]+(-[a-z]+)*$'),
    ip               inet,
    user_agent       text        CHECK (char_length(user_agent) <= 256),
    CONSTRAINT sessions_revoked_for_a_reason CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);

CREATE INDEX sessions_open ON sessions (user_id, id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    -- SHA-256: a token has 256 random bits, so nothing is gained by a slower hash.
    token_hash     bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    family_id      uuid        NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    generation     integer     NOT NULL CHECK (generation >= 0),
    created_at     timestamptz NOT NULL,
    -- Unused by then, it is no good any more.
    expires_at     timestamptz NOT NULL,
    used_at        timestamptz,
    successor_hash bytea       UNIQUE REFERENCES refresh_tokens (token_hash) DEFERRABLE INITIALLY DEFERRED,
    -- With the token itself, and only with it, this makes the successor again. Gone once the successor was used.
    successor_salt bytea       CHECK (octet_length(successor_salt) = 32),
    UNIQUE (family_id, generation),
    CONSTRAINT refresh_tokens_used_has_successor CHECK ((used_at IS NULL) = (successor_hash IS NULL))
);

CREATE TABLE password_reset_tokens (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    request_id uuid        NOT NULL UNIQUE,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Used, or made worthless by something newer.
    ended_at   timestamptz
);

CREATE INDEX password_reset_tokens_open ON password_reset_tokens (user_id) WHERE ended_at IS NULL;
CREATE INDEX password_reset_tokens_expiry ON password_reset_tokens (expires_at);

CREATE TABLE email_verification_tokens (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    request_id uuid        NOT NULL UNIQUE,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The address that it verifies: the account's, or the one that the account is to have from then on.
    email      text        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);

CREATE INDEX email_verification_tokens_open ON email_verification_tokens (user_id) WHERE ended_at IS NULL;
CREATE INDEX email_verification_tokens_expiry ON email_verification_tokens (expires_at);
