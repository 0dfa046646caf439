//! Events of one subject, one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use messaging::OutgoingMessage;
use schemas::{Clock, Envelope, Event, Header, Sequence, event, event_id, newest};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use worker::{ApplyEvents, Consumer, HandlerError, Received, Verdict, WorkerSettings};

use crate::world::{settings, world};

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct DoorOpened {
    door: String,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct DoorClosed {
    door: String,
}

event!("door.opened", 1, DoorOpened, door);
newest!(DoorOpened);
event!("door.closed", 1, DoorClosed, door);
newest!(DoorClosed);

/// Who is at which door.
#[derive(Clone, Default)]
struct Doors(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    at: BTreeSet<String>,
    together: Vec<String>,
    /// Versions by door, in the order in which they were applied.
    applied: BTreeMap<String, Vec<i64>>,
    most_doors: usize,
}

impl Doors {
    async fn work(&self, connection: &mut PgConnection, doors: Vec<(String, i64)>) -> Result<(), sqlx::Error> {
        let distinct: BTreeSet<_> = doors.iter().map(|(door, _)| door.clone()).collect();
        {
            let mut seen = self.0.lock().unwrap();
            for door in &distinct {
                if !seen.at.insert(door.clone()) {
                    seen.together.push(door.clone());
                }
            }
            seen.most_doors = seen.most_doors.max(seen.at.len());
        }
        // Long enough for others to come in, if they could.
        sqlx::query("SELECT pg_sleep(0.05)").execute(connection).await?;
        let mut seen = self.0.lock().unwrap();
        for (door, version) in doors {
            seen.applied.entry(door).or_default().push(version);
        }
        for door in distinct {
            seen.at.remove(&door);
        }
        Ok(())
    }
}

struct Opening(Doors);
struct Closing(Doors);

#[async_trait::async_trait]
impl ApplyEvents for Opening {
    type Event = DoorOpened;

    const NAME: &'static str = "open_door";
    const READS: &'static [&'static str] = &["/door"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, DoorOpened>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let doors = events.iter().map(|opened| (opened.event.door.clone(), opened.sequence.unwrap().get()));
        self.0.work(connection, doors.collect()).await?;
        Ok(events.iter().map(|_| Verdict::Applied).collect())
    }
}

#[async_trait::async_trait]
impl ApplyEvents for Closing {
    type Event = DoorClosed;

    const NAME: &'static str = "close_door";
    const READS: &'static [&'static str] = &["/door"];

    async fn apply(
        &self,
        connection: &mut PgConnection,
        events: &[Received<'_, DoorClosed>],
    ) -> Result<Vec<Verdict>, HandlerError> {
        let doors = events.iter().map(|closed| (closed.event.door.clone(), closed.sequence.unwrap().get()));
        self.0.work(connection, doors.collect()).await?;
        Ok(events.iter().map(|_| Verdict::Applied).collect())
    }
}

fn message<E: Event>(event: &E, version: i64) -> OutgoingMessage {
    let now = Clock::system().now();
    let sequence = Sequence::from_stored(version);
    let header = Header { id: event_id(now), source: "tests", time: now, sequence, traceparent: None };
    let body = serde_json::to_string(&Envelope::new(event, header).unwrap()).unwrap();
    OutgoingMessage { body, ..OutgoingMessage::default() }
}

const DOORS: usize = 6;
const TIMES: i64 = 20;

#[tokio::test]
async fn events_of_one_subject_are_never_applied_at_the_same_time_whichever_handlers_they_are_for() {
    let mut world = world().await;
    let bus = fixtures::bus().await;
    let settings = WorkerSettings { batch: 4, concurrency: 6, ..settings() };
    let consumer =
        |doors: &Doors| Consumer::named("doors").apply(Opening(doors.clone())).apply(Closing(doors.clone())).build();
    let doors = Doors::default();
    let subscriber = consumer(&doors).subscriber();
    let events: Vec<_> = subscriber.events.iter().copied().collect();
    (world.queue, world.dead_letters) = bus.subscribe("doors", &events, subscriber.settings).await;
    let mut messages = Vec::new();
    for version in 1..=TIMES {
        for door in 0..DOORS {
            let door = format!("door{door}");
            messages.push(match version % 3 {
                0 => message(&DoorClosed { door }, version),
                _ => message(&DoorOpened { door }, version),
            });
        }
    }
    world.send(&messages).await;
    let running = world.start_consumer(consumer(&doors), settings, Clock::system());
    world.until_empty().await;
    running.stop().await;

    let seen = doors.0.lock().unwrap();
    assert!(seen.together.is_empty(), "applied at the same time: {:?}", seen.together);
    assert!(seen.most_doors > 1, "different doors are no reason to wait");
    assert_eq!(seen.applied.len(), DOORS);
    for (door, versions) in &seen.applied {
        let mut sorted = versions.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=TIMES).collect::<Vec<_>>(), "{door}");
    }
}
