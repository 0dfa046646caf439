//! What is sent beside what relays send: copies of events, and messages that are none.

use std::time::Duration;

use anyhow::bail;
use messaging::OutgoingMessage;
use schemas::{Event, UserCreatedV2};

use crate::{
    plan::{Plan, Through},
    truth::World,
};

const ATTEMPTS: u32 = 60;
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Sends events once more that were published already, a random choice of the plan's dice.
pub async fn duplicate(world: &World, plan: &Plan, part: u64, through: Through, count: u32) -> anyhow::Result<()> {
    let mut published = patiently(|| published(world)).await?;
    let mut dice = plan.dice(part);
    let mut chosen = Vec::new();
    while chosen.len() < count as usize && !published.is_empty() {
        chosen.push(published.swap_remove(dice.below(published.len())));
    }
    patiently(|| send(world, through, &chosen)).await
}

/// Messages that are not JSON: all before this number. Some may be there already, and are then there twice.
pub async fn garbage(world: &World, plan: &Plan, up_to: u32) -> anyhow::Result<()> {
    let messages = (0..up_to).map(|number| OutgoingMessage { body: plan.garbage_body(number), ..Default::default() });
    let messages: Vec<_> = messages.collect();
    patiently(|| send(world, Through::Queue, &messages)).await
}

async fn published(world: &World) -> anyhow::Result<Vec<OutgoingMessage>> {
    let published = "SELECT event_type, schema_version, source, envelope FROM outbox
                      WHERE status = 'published' AND envelope IS NOT NULL ORDER BY event_id";
    let rows: Vec<(String, i32, String, String)> = sqlx::query_as(published).fetch_all(&world.auth).await?;
    let messages = rows.into_iter().map(|(event_type, schema_version, source, envelope)| {
        outbox::message(&event_type, schema_version, &source, envelope)
    });
    Ok(messages.collect())
}

async fn send(world: &World, through: Through, messages: &[OutgoingMessage]) -> anyhow::Result<()> {
    let results = match through {
        Through::Topic => world.bus.publisher().publish(UserCreatedV2::TYPE.as_str(), messages).await,
        Through::Queue => world.queue.send(messages).await,
    };
    match results.into_iter().find_map(Result::err) {
        Some(error) => bail!("could not send copies: {error}"),
        None => Ok(()),
    }
}

/// Servers are being killed meanwhile.
async fn patiently<T, F>(mut act: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    for _ in 1..ATTEMPTS {
        if let Ok(done) = act().await {
            return Ok(done);
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    act().await
}
