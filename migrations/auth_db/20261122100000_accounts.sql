-- Accounts with their credentials, and who may do what.

CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    -- Normalised (trimmed, NFC, lower case, domain in ASCII), so that UNIQUE decides who registered first.
    email         text        NOT NULL CONSTRAINT users_email_key UNIQUE,
    password_hash text        NOT NULL,
    status        text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deactivated', 'deleted')),
    -- The subject's version: greatest(previous + 1, unix microseconds), raised by every change that emits an event.
    sequence      bigint      NOT NULL CHECK (sequence > 0),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);

CREATE TABLE roles (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z_]*$'),
    description text NOT NULL
);

INSERT INTO roles (name, description) VALUES
    ('user', 'Every account has it'),
    ('admin', 'May manage accounts and roles');

CREATE TABLE user_roles (
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       text        NOT NULL REFERENCES roles (name),
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, role)
);

CREATE INDEX user_roles_role ON user_roles (role);
