SELECT id, authenticated_at, last_used_at, expires_at, host(ip) AS ip, user_agent, id = $2 AS "current!"
             FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $3 AND last_used_at > $4 ORDER BY id DESC LIMIT 100
