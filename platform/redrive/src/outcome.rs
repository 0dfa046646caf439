//! What became of events that were sent: whether they were applied, or died again.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

/// Of a step's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub applied: Vec<Uuid>,
    pub refailed: Vec<Uuid>,
    pub unknown: Vec<Uuid>,
}

/// How often each event had been dead-lettered before it was sent.
pub(crate) type Deaths = HashMap<Uuid, i64>;

const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn deaths(pool: &PgPool, events: &[Uuid]) -> Result<Deaths, sqlx::Error> {
    Ok(worker::deaths(pool, events).await?.into_iter().collect())
}

/// Looks once.
pub(crate) async fn look(pool: &PgPool, events: &[Uuid], before: &Deaths) -> Result<Outcomes, sqlx::Error> {
    let applied = worker::applied(pool, events).await?;
    let now = deaths(pool, events).await?;
    let died = |event: &Uuid| now.get(event).unwrap_or(&0) > before.get(event).unwrap_or(&0);
    let mut outcomes = Outcomes { applied, ..Outcomes::default() };
    for event in events.iter().filter(|event| !outcomes.applied.contains(event)) {
        if died(event) { outcomes.refailed.push(*event) } else { outcomes.unknown.push(*event) }
    }
    Ok(outcomes)
}

/// Looks until something is known of every event, or until `patience` is at its end.
pub(crate) async fn wait(
    pool: &PgPool,
    events: &[Uuid],
    before: &Deaths,
    patience: Duration,
    stop: &tokio_util::sync::CancellationToken,
) -> Result<Outcomes, sqlx::Error> {
    let deadline = Instant::now() + patience;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        let outcomes = look(pool, events, before).await?;
        if outcomes.unknown.is_empty() || Instant::now() >= deadline || stop.is_cancelled() {
            return Ok(outcomes);
        }
    }
}
