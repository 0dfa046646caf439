UPDATE email_verification_tokens SET ended_at = $2
              WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > $2 RETURNING email
