UPDATE refresh_tokens
            SET used_at = CASE WHEN token_hash = $1 THEN $3 ELSE used_at END,
                successor_hash = CASE WHEN token_hash = $1 THEN $2 ELSE successor_hash END,
                successor_salt = CASE WHEN token_hash = $1 THEN $4::bytea END
          WHERE token_hash = $1 OR successor_hash = $1
