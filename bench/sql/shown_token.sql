SELECT t.generation, t.expires_at, t.used_at, t.successor_salt,
                  coalesce(n.used_at IS NOT NULL, false) AS "successor_used!", n.expires_at AS "successor_expires_at?"
             FROM refresh_tokens t LEFT JOIN refresh_tokens n ON n.token_hash = t.successor_hash
            WHERE t.token_hash = $1
