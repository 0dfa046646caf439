//! Telling failures apart by what has to happen next.

use crate::{handler::HandlerError, transaction::line::Needs};

/// Why a transaction did not commit.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Its lease was lost or the worker is stopping hard.
    Cancelled,
    /// A week of `event_logs` that this worker counted on is gone.
    WindowMoved,
    /// Bad luck with others' transactions: the same batch again, at once.
    Transient(HandlerError),
    /// Something is down: hold the batch and probe.
    Unavailable(Needs, HandlerError),
    /// The handler asked for another attempt later: bisect, for it is seldom all of them that aren't ready.
    Retry(HandlerError),
    /// One of the events may be at fault: bisect.
    Isolate(HandlerError),
}

impl Broken {
    /// As metrics call it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::WindowMoved => "window-moved",
            Self::Transient(_) => "transient",
            Self::Unavailable(..) => "unavailable",
            Self::Retry(_) => "retry",
            Self::Isolate(HandlerError::Reject(_)) => "reject",
            Self::Isolate(HandlerError::TimedOut(_)) => "timeout",
            Self::Isolate(_) => "unclassified",
        }
    }
}

pub(crate) fn broken_by_handler(error: HandlerError) -> Broken {
    match error {
        HandlerError::Retry(_) => Broken::Retry(error),
        HandlerError::Unavailable(_) => Broken::Unavailable(Needs::Dependency, error),
        HandlerError::Reject(_) | HandlerError::Unclassified(_) | HandlerError::TimedOut(_) => Broken::Isolate(error),
        HandlerError::Database(error) => broken_by_database(error),
    }
}

pub(crate) fn broken_by_database(error: sqlx::Error) -> Broken {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    let code = match &error {
        Database(database) => database.code().unwrap_or_default().into_owned(),
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => {
            return Broken::Unavailable(Needs::Database, HandlerError::Database(error));
        }
        _ => return Broken::Isolate(HandlerError::Database(error)),
    };
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    match code.as_str() {
        // serialization_failure, deadlock_detected, lock_not_available.
        "40001" | "40P01" | "55P03" => Broken::Transient(HandlerError::Database(error)),
        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, object_not_in_prerequisite_state (a
        // database that accepts no connections), read_only_sql_transaction (a standby after a failover).
        "57P01" | "57P02" | "57P03" | "57P04" | "55000" | "25006" => {
            Broken::Unavailable(Needs::Database, HandlerError::Database(error))
        }
        // Connection exceptions, insufficient resources, a role or database that is not let in (any more).
        code if ["08", "53", "28", "3D"].iter().any(|class| code.starts_with(class)) => {
            Broken::Unavailable(Needs::Database, HandlerError::Database(error))
        }
        // Data exceptions and broken constraints: the same data would break them again.
        code if code.starts_with("22") || code.starts_with("23") => Broken::Isolate(HandlerError::Reject(error.into())),
        // A statement that ran into its timeout may be one too large: half the batch may do.
        _ => Broken::Isolate(HandlerError::Database(error)),
    }
}

/// The claim's own INSERT breaks a check only where its key has no partition.
pub(crate) fn broken_by_claim(error: sqlx::Error) -> Broken {
    const CHECK_VIOLATION: &str = "23514";
    let no_partition = error.as_database_error().is_some_and(|e| e.code().as_deref() == Some(CHECK_VIOLATION));
    if no_partition { Broken::WindowMoved } else { broken_by_database(error) }
}
