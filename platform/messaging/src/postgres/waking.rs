//! Notifications that there may be something to receive, one connection for all queues of a bus.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

const CHANNEL: &str = "waypost_bus";
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

type Waiting = Arc<Mutex<HashMap<String, Arc<Notify>>>>;

pub struct Waking {
    database: PgConnectOptions,
    waiting: Waiting,
    listening: OnceLock<AbortOnDropHandle<()>>,
}

impl Waking {
    pub fn new(database: PgConnectOptions) -> Self {
        Self { database, waiting: Waiting::default(), listening: OnceLock::new() }
    }

    /// What a queue's receives wait for. Listening begins with the first one, and ends when the bus and its queues are
    /// dropped.
    pub fn of(&self, queue: &str) -> Arc<Notify> {
        self.listening
            .get_or_init(|| AbortOnDropHandle::new(tokio::spawn(listen(self.database.clone(), self.waiting.clone()))));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(queue.to_owned()).or_default().clone()
    }
}

async fn listen(database: PgConnectOptions, waiting: Waiting) {
    loop {
        let Err(error) = listen_on_one_connection(&database, &waiting).await;
        tracing::warn!(%error, "can't listen for messages; receives look for them every second");
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

async fn listen_on_one_connection(
    database: &PgConnectOptions,
    waiting: &Waiting,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(database.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Whatever was sent while nobody listened is lost.
        wake(waiting, |_| true);
        while let Some(notification) = listener.try_recv().await? {
            wake(waiting, |queue| queue == notification.payload());
        }
    }
}

fn wake(waiting: &Waiting, is_meant: impl Fn(&str) -> bool) {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.iter().filter(|(queue, _)| is_meant(queue)).for_each(|(_, notify)| notify.notify_waiters());
}
