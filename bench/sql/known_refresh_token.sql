SELECT s.id AS session_id, s.user_id AS owner
               FROM refresh_tokens t JOIN sessions s ON s.id = t.family_id WHERE t.token_hash = $1
