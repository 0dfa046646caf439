WITH locked AS (
                   SELECT id, min_token_version FROM users
                    WHERE id = $1 AND email = $2 AND password_hash = $3 AND status = 'active' FOR NO KEY UPDATE),
               account AS (
                   SELECT id, ARRAY(SELECT role FROM user_roles WHERE user_id = users.id ORDER BY role) AS roles
                     FROM locked JOIN users USING (id, min_token_version)),
               forgiven AS (
                   DELETE FROM rate_limits WHERE key = $4 AND EXISTS (SELECT FROM account)),
               session AS (
                   INSERT INTO sessions (id, user_id, authenticated_at, last_used_at, expires_at, ip, user_agent)
                   SELECT $5, id, $6, $6, $7, $8::text::inet, $9 FROM account
                   RETURNING id, user_id, ip, user_agent),
               refresh_token AS (
                   INSERT INTO refresh_tokens (token_hash, family_id, generation, created_at, expires_at)
                   SELECT $10, id, 0, $6, $11 FROM session),
               entry AS (
                   INSERT INTO security_audit_logs (id, at, action, outcome, subject_id, ip, user_agent, request_id)
                   SELECT $12, $6, $13, 'success', user_id, ip, user_agent, $14 FROM session)
               SELECT min_token_version, roles AS "roles?" FROM locked LEFT JOIN account USING (id)
