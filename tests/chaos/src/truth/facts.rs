//! What databases and queues hold when all is over.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use anyhow::bail;
use messaging::{Queue, RawMessage, ReceiveRequest, unwrap_notification};
use schemas::Envelope;
use uuid::Uuid;

use super::{Waiting, World};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// All that were ever committed.
    pub events: Vec<Event>,
    pub accounts: usize,
    /// By the witness: how often each account's event was applied.
    pub applications: HashMap<Uuid, usize>,
    /// By the inbox: events, by their ids.
    pub logged: HashSet<Uuid>,
    pub profiles: HashSet<Uuid>,
    pub dead_letters: BTreeSet<Letter>,
    pub waiting: Waiting,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
    pub id: Uuid,
    pub is_published: bool,
    /// Nothing where the event is of no account.
    pub account: Option<Uuid>,
    pub address: Option<String>,
}

/// A dead letter, however many copies there are of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Letter {
    Event(String),
    /// The body of what is no event.
    Garbage(String),
}

/// Longer than reading takes; nobody else reads them any more.
const LOOKING: Duration = Duration::from_secs(10 * 60);
const POLL: Duration = Duration::from_secs(1);
const EMPTY_POLLS: u32 = 5;

impl Facts {
    /// Nothing may be running any more. What is in the dead-letter queue stays there, out of sight for ten minutes.
    pub async fn read(world: &World) -> anyhow::Result<Self> {
        let events =
            "SELECT event_id AS id, outbox.status = 'published' AS is_published, users.id AS account, email AS address
                        FROM outbox LEFT JOIN users ON users.id::text = subject";
        let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&world.auth).await?;
        let applications: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT user_id, count(*) FROM witness GROUP BY user_id").fetch_all(&world.user).await?;
        let logged: Vec<Uuid> = sqlx::query_scalar("SELECT event_key FROM event_logs").fetch_all(&world.user).await?;
        let profiles: Vec<Uuid> =
            sqlx::query_scalar("SELECT user_id FROM user_profiles").fetch_all(&world.user).await?;
        Ok(Self {
            events: sqlx::query_as(events).fetch_all(&world.auth).await?,
            accounts: accounts as usize,
            applications: applications.into_iter().map(|(account, times)| (account, times as usize)).collect(),
            logged: logged.into_iter().collect(),
            profiles: profiles.into_iter().collect(),
            // Before it is read: afterwards, brokers may count what was read in other ways.
            waiting: world.waiting().await?,
            dead_letters: letters(&*world.dead_letters).await?,
        })
    }
}

/// Reads the whole queue, by as many as it says there are.
async fn letters(queue: &dyn Queue) -> anyhow::Result<BTreeSet<Letter>> {
    let mut letters = BTreeSet::new();
    let mut empty = 0;
    loop {
        let some = queue.receive(ReceiveRequest { max: 10, wait: POLL, visibility: LOOKING }).await?;
        empty = if some.is_empty() { empty + 1 } else { 0 };
        letters.extend(some.iter().map(letter));
        if empty > 0 && queue.counts().await?.visible == 0 {
            return Ok(letters);
        }
        if empty >= EMPTY_POLLS {
            bail!("{} has messages that it hands out to nobody", queue.name());
        }
    }
}

fn letter(message: &RawMessage) -> Letter {
    match Envelope::read(unwrap_notification(&message.body).as_str()) {
        Ok((envelope, _)) => Letter::Event(envelope.id),
        Err(_) => Letter::Garbage(message.body.clone()),
    }
}
