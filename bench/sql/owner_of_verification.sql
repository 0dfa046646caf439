SELECT user_id FROM email_verification_tokens WHERE token_hash = $1
