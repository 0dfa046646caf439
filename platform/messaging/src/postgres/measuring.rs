//! Calls of the bus in PostgreSQL, measured as those of SNS and SQS are.

use std::time::Instant;

use crate::measuring::Call;

/// `destination` is the name of a queue or topic.
pub async fn measured<T>(
    operation: &'static str,
    destination: &str,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let started = Instant::now();
    let answer = call.await;
    let error_type = answer.as_ref().err().map(error_type).unwrap_or_default();
    Call { system: "pgmq", operation, destination, error_type: &error_type }.took(started.elapsed());
    answer
}

/// The server's code (SQLSTATE); where it gave none, what became of the request.
fn error_type(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.code().map_or_else(|| "database".to_owned(), Into::into),
        sqlx::Error::PoolTimedOut => "timeout".to_owned(),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => "dispatch".to_owned(),
        _ => "client".to_owned(),
    }
}
