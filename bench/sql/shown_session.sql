SELECT s.id, s.authenticated_at, s.expires_at, s.revoked_at IS NOT NULL AS "revoked!"
             FROM sessions s JOIN refresh_tokens t ON t.family_id = s.id
            WHERE t.token_hash = $1 FOR UPDATE OF s
