WITH account AS (
                   INSERT INTO users AS u (id, email, password_hash, display_name, locale, sequence, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   ON CONFLICT (email) DO UPDATE SET sequence = u.sequence
                   RETURNING id, email, status, email_verified_at, locale, min_token_version, sequence),
               granted AS (
                   INSERT INTO user_roles (user_id, role, granted_at) SELECT id, $8, $7 FROM account WHERE id = $1),
               counted AS (
                   INSERT INTO rate_limits AS l (key, count, last_at)
                   SELECT key, 1, $7 FROM account, unnest($9::text[]) AS k (key) WHERE id = $1
                   ON CONFLICT (key) DO UPDATE SET count = l.count + 1, last_at = $7),
               entry AS (
                   INSERT INTO security_audit_logs (id, at, action, outcome, reason, subject_id, ip, user_agent, request_id)
                   SELECT $10, $7, $11, CASE WHEN id = $1 THEN 'success' ELSE 'failure' END,
                          CASE WHEN id <> $1 THEN 'known-address' END, id, $12::text::inet, $13, $14
                     FROM account)
               SELECT id, email AS "email!", status, email_verified_at IS NOT NULL AS "email_verified!", locale,
                      min_token_version, sequence
                 FROM account
