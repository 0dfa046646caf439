SELECT id, at, action, outcome, reason, actor_id, subject_id,
                  CASE WHEN masklen(ip) = CASE family(ip) WHEN 4 THEN 32 ELSE 128 END THEN host(ip) ELSE ip::text END AS ip,
                  user_agent, request_id
             FROM security_audit_logs
            WHERE ($1::uuid IS NULL OR subject_id = $1 OR actor_id = $1)
              AND ($2::text IS NULL OR action = $2)
              AND ($3::text IS NULL OR outcome = $3)
              AND ($4::timestamptz IS NULL OR at >= $4)
              AND ($5::timestamptz IS NULL OR at < $5)
              AND ($6::uuid IS NULL OR id < $6)
            ORDER BY id DESC
            LIMIT $7
