-- Who did what to whose account, and how it ended. Written with the change, or apart from what failed.
--
-- Append-only by trigger: what tells of a person (address, network, browser) may be taken away or made coarser, old rows
-- may be deleted, and nothing else may be done to a row. No foreign keys: the trail outlives what it tells of.

CREATE TABLE security_audit_logs (
    id           uuid        PRIMARY KEY,
    at           timestamptz NOT NULL,
    action       text        NOT NULL CHECK (action ~ '^[a-z]+(-[a-z]+)*$'),
    outcome      text        NOT NULL CHECK (outcome IN ('success', 'failure')),
    reason       text        CHECK (reason ~ '^[a-z]+(-[a-z]+)*$'),
    -- Who did it; NULL where nobody was signed in.
    actor_id     uuid,
    -- Whose account it was about; NULL where there is none.
    subject_id   uuid,
    -- HMAC of the address that was tried, where no account tells whom it was about.
    email_hmac   bytea       CHECK (octet_length(email_hmac) = 32),
    ip           inet,
    user_agent   text        CHECK (char_length(user_agent) <= 256),
    request_id   text        NOT NULL
);

CREATE INDEX security_audit_logs_subject ON security_audit_logs (subject_id, id);
CREATE INDEX security_audit_logs_actor ON security_audit_logs (actor_id, id);
CREATE INDEX security_audit_logs_action ON security_audit_logs (action, id);
CREATE INDEX security_audit_logs_email ON security_audit_logs (email_hmac) WHERE email_hmac IS NOT NULL;
-- Rows whose network is still told to the last bit.
CREATE INDEX security_audit_logs_exact_ip ON security_audit_logs (at)
    WHERE masklen(ip) > CASE family(ip) WHEN 4 THEN 24 ELSE 48 END;
CREATE INDEX security_audit_logs_at ON security_audit_logs (at);

CREATE FUNCTION security_audit_logs_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (to_jsonb(NEW) - '{email_hmac,ip,user_agent}'::text[])
            IS DISTINCT FROM (to_jsonb(OLD) - '{email_hmac,ip,user_agent}'::text[])
        OR NEW.email_hmac IS NOT NULL AND NEW.email_hmac IS DISTINCT FROM OLD.email_hmac
        OR NEW.user_agent IS NOT NULL AND NEW.user_agent IS DISTINCT FROM OLD.user_agent
        OR NEW.ip IS NOT NULL AND (OLD.ip IS NULL OR NOT NEW.ip >>= OLD.ip)
        THEN
            RAISE EXCEPTION 'security_audit_logs is append-only';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'security_audit_logs is append-only';
END
$$;

CREATE TRIGGER security_audit_logs_append_only BEFORE UPDATE OR DELETE ON security_audit_logs
    FOR EACH ROW EXECUTE FUNCTION security_audit_logs_append_only();
CREATE TRIGGER security_audit_logs_not_truncated BEFORE TRUNCATE ON security_audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION security_audit_logs_append_only();
