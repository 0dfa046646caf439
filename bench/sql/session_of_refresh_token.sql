SELECT s.id, s.user_id FROM refresh_tokens t JOIN sessions s ON s.id = t.family_id WHERE t.token_hash = $1
