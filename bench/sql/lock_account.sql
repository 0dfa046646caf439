SELECT id, email AS "email!", status, email_verified_at IS NOT NULL AS "email_verified!", locale,
                      min_token_version, sequence
                 FROM users WHERE id = $1 AND status <> 'deleted' FOR NO KEY UPDATE
