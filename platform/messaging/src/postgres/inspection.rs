//! A consumer's queues as their tables have them.

use sqlx::PgConnection;

use super::{
    PostgresBus,
    extras::counts,
    topology::{FoundQueue, find_queue},
};
use crate::{BusError, ConsumerFacts, Looked, QueueFacts, RedriveFacts};

impl PostgresBus {
    pub(super) async fn inspect_consumer(&self, consumer: &str) -> Result<ConsumerFacts, BusError> {
        let (queue, dead_letters) = (self.names.queue(consumer), self.names.dead_letter_queue(consumer));
        let failed = |error| BusError::new("looking at the queue", &queue, error);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        Ok(ConsumerFacts {
            queue: look_at(&queue, &mut connection).await.map_err(failed)?,
            dead_letters: look_at(&dead_letters, &mut connection).await.map_err(failed)?,
        })
    }
}

async fn look_at(name: &str, connection: &mut PgConnection) -> Result<Looked, sqlx::Error> {
    let Some(FoundQueue { redrive, .. }) = find_queue(name, connection).await? else { return Ok(Looked::Missing) };
    let redrive = redrive.map(|redrive| RedriveFacts {
        target: redrive.dead_letter_queue,
        max_receive_count: redrive.max_receive_count.unsigned_abs(),
    });
    Ok(Looked::Found(Box::new(QueueFacts {
        name: name.to_owned(),
        url: None,
        is_fifo: false,
        visibility: None,
        retention: None,
        redrive,
        counts: counts(name, connection).await?,
    })))
}
