-- What people ask of an address that may have an account: the request writes it down here and is answered, and it is done
-- afterwards. So no answer takes longer for an address that has one.
--
-- A row holds an address, and goes with the transaction that does what it asks for. One that can't be done goes within the
-- hour.

CREATE TABLE account_requests (
    -- A UUID v7 of when it was asked.
    id           uuid        PRIMARY KEY,
    kind         text        NOT NULL CHECK (kind IN ('password-reset', 'email-verification', 'email-change')),
    -- In its one spelling, as in users.
    email        text        NOT NULL,
    -- Who is to have the address. No foreign key: to write a request down looks nothing up.
    account_id   uuid,
    -- Where it came from, for the audit trail and for events.
    traceparent  text        NOT NULL,
    request_id   text        NOT NULL,
    ip           inet,
    user_agent   text        CHECK (char_length(user_agent) <= 256),
    requested_at timestamptz NOT NULL,
    -- How often it was taken in hand: counted beforehand, so that one which ends its process is counted as well.
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- When it may be taken in hand. Each time moves it on, by more each time.
    not_before   timestamptz NOT NULL,
    CONSTRAINT account_requests_change_has_account CHECK ((kind = 'email-change') = (account_id IS NOT NULL))
);

CREATE INDEX account_requests_due ON account_requests (not_before, id);
CREATE INDEX account_requests_account ON account_requests (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX account_requests_email ON account_requests (email) WHERE account_id IS NULL;
