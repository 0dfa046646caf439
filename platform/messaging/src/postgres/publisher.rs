use async_trait::async_trait;
use sqlx::PgPool;

use super::{measuring::measured, queue::Columns, statements};
use crate::{EntryError, MessageId, Names, OutgoingMessage, Publisher};

#[derive(Debug)]
pub struct PostgresPublisher {
    pool: PgPool,
    names: Names,
}

impl PostgresPublisher {
    pub(super) fn new(pool: PgPool, names: Names) -> Self {
        Self { pool, names }
    }

    /// All subscribed queues get the messages, or none does.
    async fn insert(&self, topic: &str, columns: &Columns) -> Result<Vec<MessageId>, EntryError> {
        let Columns { bodies, attributes, .. } = columns;
        let publishing = sqlx::query_scalar!("SELECT bus.publish($1, $2, $3)::text[]", topic, bodies, attributes);
        let ids = measured("publish", topic, publishing.fetch_one(&self.pool))
            .await
            .map_err(|error| EntryError::unavailable("Database", error.to_string()))?;
        let ids = ids.ok_or_else(|| EntryError::no_topic(topic))?;
        Ok(ids.into_iter().map(MessageId).collect())
    }
}

#[async_trait]
impl Publisher for PostgresPublisher {
    async fn publish(&self, event_type: &str, messages: &[OutgoingMessage]) -> Vec<Result<MessageId, EntryError>> {
        let topic = self.names.topic(event_type);
        let mut results = Vec::with_capacity(messages.len());
        for range in statements(messages) {
            let columns = Columns::of(&messages[range]);
            let inserted = if columns.is_empty() { Ok(Vec::new()) } else { self.insert(&topic, &columns).await };
            results.extend(columns.results(inserted));
        }
        results
    }
}
