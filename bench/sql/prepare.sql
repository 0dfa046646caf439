SELECT pg_backend_pid() AS "pid!",
                  set_config('lock_timeout', $1, true) AS lock,
                  set_config('statement_timeout', $2, true) AS statement,
                  set_config('idle_in_transaction_session_timeout', $2, true) AS idle
