INSERT INTO email_verification_tokens (token_hash, request_id, user_id, email, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
