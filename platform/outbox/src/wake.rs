//! Telling the relay that there is something to do.
//!
//! Within one process that is a [`Wake`]. To a relay in another process it travels as NOTIFY, which costs the notifying
//! transaction a global lock at commit: so it is sent after commit, over a connection of its own (LISTEN and NOTIFY
//! don't survive a transaction pooler), and at most once in ten milliseconds.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection, Executor, PgConnection, PgExecutor, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "waypost_outbox";
const COALESCE: Duration = Duration::from_millis(10);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// A hint that rows were committed. Any number of hints before the relay looks are one.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn new() -> Self {
        Self::default()
    }

    /// A hint that nobody waits for, where no relay runs.
    pub fn none() -> Self {
        Self::default()
    }

    /// Call after COMMIT: before it, the relay would look too early and see nothing.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.0.notified().await;
    }
}

/// Passes hints on to relays in other processes, until `stop`.
pub async fn announce(database: PgConnectOptions, wake: Wake, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ended = stop.run_until_cancelled(announce_on_one_connection(&database, &wake)).await;
        if let Some(Err(error)) = ended {
            tracing::warn!(%error, "can't announce outbox rows; relays find them by scanning");
            stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await;
        }
    }
}

async fn announce_on_one_connection(database: &PgConnectOptions, wake: &Wake) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(database).await?;
    // A hint that is lost with the server is none: whoever listens looks anyway once it is back. So no flush of the log is waited
    // for, which would be one more between those of the transactions that are hinted at.
    connection.execute("SET synchronous_commit = off").await?;
    loop {
        wake.woken().await;
        notify(&mut connection).await?;
        tokio::time::sleep(COALESCE).await;
    }
}

/// One hint to relays in other processes, for tools that change rows and end. Call after COMMIT.
pub async fn announce_once(pool: &PgPool) -> Result<(), sqlx::Error> {
    notify(pool).await
}

async fn notify(connection: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(connection).await.map(drop)
}

/// Turns the hints of other processes into `wake`, until `stop`.
pub async fn listen(database: PgConnectOptions, wake: Wake, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ended = stop.run_until_cancelled(listen_on_one_connection(&database, &wake)).await;
        if let Some(Err(error)) = ended {
            tracing::warn!(%error, "can't listen for outbox rows; scanning for them");
            stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await;
        }
    }
}

async fn listen_on_one_connection(database: &PgConnectOptions, wake: &Wake) -> Result<(), sqlx::Error> {
    // The listener takes its connection from a pool, to make it anew when it is lost.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(database.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    // What was committed while nobody listened.
    wake.wake();
    loop {
        // `None` is a connection that was lost and is made again: hints may have been missed.
        listener.try_recv().await?;
        wake.wake();
    }
}
