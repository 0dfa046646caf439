INSERT INTO security_audit_logs
             (id, at, action, outcome, reason, actor_id, subject_id, email_hmac, ip, user_agent, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::inet, $10, $11)
