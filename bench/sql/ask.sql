INSERT INTO account_requests
             (id, kind, email, account_id, traceparent, request_id, ip, user_agent, requested_at, not_before)
         VALUES ($1, $2, $3, $4, $5, $6, $7::text::inet, $8, $9, $9)
