INSERT INTO refresh_tokens (token_hash, family_id, generation, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)
