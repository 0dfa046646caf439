use std::{
    io,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};

use super::PostgresSettings;

/// Why there was no waiting on.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("PostgreSQL {database} (from {variable}) was not ready within {} s", limit.as_secs_f32())]
    GaveUp { database: String, variable: String, limit: Duration, source: ConnectFailure },
    /// Waiting does not help: it is there, and says no.
    #[error("PostgreSQL {database} (from {variable}) does not let us in")]
    Refused { database: String, variable: String, source: ConnectFailure },
}

/// One attempt to connect that came to nothing. The text is the server's or the system's, and holds no password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailure {
    #[error("no answer in {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    #[error("{0}")]
    Io(io::Error),
    #[error("{}", .0.message())]
    Server(Box<dyn sqlx::error::DatabaseError>),
    #[error("the driver could not connect")]
    Driver(#[source] sqlx::Error),
}

const RETRY_AFTER: Duration = Duration::from_millis(250);
const LINE_EVERY: Duration = Duration::from_secs(1);

impl PostgresSettings {
    /// Waits for a database that is not there yet, with a line in the log each second, until `limit` has passed.
    pub async fn wait_until_ready(&self, limit: Duration) -> Result<(), NotReady> {
        let started = Instant::now();
        let mut last_line: Option<Instant> = None;
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let failure = match self.attempt(self.connect_timeout.min(left)).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            let (database, variable) = (self.to_string(), self.variable.clone());
            if failure.is_final() {
                return Err(NotReady::Refused { database, variable, source: failure });
            }
            let waited = started.elapsed();
            if waited + RETRY_AFTER >= limit {
                return Err(NotReady::GaveUp { database, variable, limit, source: failure });
            }
            if last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                last_line = Some(Instant::now());
                tracing::info!(
                    "waiting for PostgreSQL {database} ({} s of {} s): {failure}",
                    waited.as_secs(),
                    limit.as_secs()
                );
            }
            sleep(RETRY_AFTER).await;
        }
        if last_line.is_some() {
            tracing::info!("PostgreSQL {self} is there, after {} s", started.elapsed().as_secs());
        }
        Ok(())
    }

    async fn attempt(&self, limit: Duration) -> Result<(), ConnectFailure> {
        match timeout(limit, PgConnection::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                // It was only to see; whether the good-bye arrives does not matter.
                let _ = timeout(limit, connection.close()).await;
                Ok(())
            }
            Ok(Err(sqlx::Error::Io(error))) => Err(ConnectFailure::Io(error)),
            Ok(Err(sqlx::Error::Database(error))) => Err(ConnectFailure::Server(error)),
            Ok(Err(error)) => Err(ConnectFailure::Driver(error)),
            Err(_) => Err(ConnectFailure::NoAnswer(limit)),
        }
    }
}

impl ConnectFailure {
    /// Wrong role or password (class 28), no such database, no right to connect, or TLS that does not come about: no
    /// amount of waiting mends these. A server that is starting, stopping or full says something else.
    fn is_final(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Io(_) => false,
            Self::Server(error) => {
                error.code().is_some_and(|code| code.starts_with("28") || code == "3D000" || code == "42501")
            }
            Self::Driver(error) => matches!(error, sqlx::Error::Tls(_) | sqlx::Error::Configuration(_)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{ErrorChain, settings::AppEnv};

    fn settings(port: u16) -> PostgresSettings {
        let url = format!("postgresql://ada:hunter2@127.0.0.1:{port}/auth_db");
        PostgresSettings::from_url("AUTH_DATABASE_URL", &url, AppEnv::Development).unwrap()
    }

    #[tokio::test]
    async fn nobody_there_is_waited_for_and_then_given_up_on() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let limit = Duration::from_millis(600);
        let started = Instant::now();
        let error = settings(port).wait_until_ready(limit).await.unwrap_err();
        assert!(started.elapsed() >= Duration::from_millis(300), "gave up after {:?}", started.elapsed());
        assert_eq!(
            ErrorChain(&error).to_string(),
            format!(
                "PostgreSQL auth_db at 127.0.0.1:{port} (from AUTH_DATABASE_URL) was not ready within 0.6 s: \
                 Connection refused (os error 111)"
            )
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = settings(mute.local_addr().unwrap().port()).wait_until_ready(Duration::from_millis(300)).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, NotReady::GaveUp { source: ConnectFailure::NoAnswer(_), .. }), "{error:?}");
    }
}
