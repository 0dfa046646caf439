//! An outbox of one test's own, and relays on it. Event ids carry [`NOW`]; leases and back-offs run on the database's
//! clock.

use std::{sync::Arc, time::Duration};

use fixtures::{TestDatabase, eventually};
use messaging::{Publisher, RetryDelay};
use outbox::{OUTBOX, Relay, RelaySettings, Wake, append};
use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1, event_id};
use sqlx::{AssertSqlSafe, PgPool};
use time::{OffsetDateTime, macros::datetime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const NOW: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

pub const HOUR: Duration = Duration::from_secs(60 * 60);

pub struct Outbox {
    pub database: TestDatabase,
}

#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Row {
    pub status: String,
    pub attempts: i32,
    pub due_at: OffsetDateTime,
    pub lease_token: Option<Uuid>,
    pub last_error: Option<String>,
    pub published_at: Option<OffsetDateTime>,
    pub envelope: Option<String>,
}

/// A relay at work. Stop it with [`Running::stop`].
pub struct Running {
    pub wake: Wake,
    pub stop: CancellationToken,
    task: JoinHandle<()>,
}

/// An outbox with weeks around [`NOW`].
pub async fn outbox() -> Outbox {
    let outbox = outbox_without_weeks().await;
    partitions::maintain(outbox.pool(), OUTBOX, NOW).await.unwrap();
    outbox
}

pub async fn outbox_without_weeks() -> Outbox {
    Outbox { database: fixtures::auth_database().await }
}

/// Back-offs and scans are short, so that tests are. A lease runs out only where the test says so.
pub fn settings() -> RelaySettings {
    RelaySettings {
        batch: 100,
        claims_in_flight: 4,
        lease: HOUR,
        scan_every: Duration::from_millis(20),
        retry: RetryDelay::new(Duration::from_millis(5), Duration::from_millis(50)),
    }
}

/// Nothing is found without being woken, and nothing is tried again.
pub fn settings_without_scan() -> RelaySettings {
    RelaySettings { scan_every: HOUR, ..settings() }
}

pub fn clock() -> Clock {
    Clock::reading(|| NOW)
}

pub fn event() -> Envelope {
    event_at(NOW)
}

pub fn event_at(at: OffsetDateTime) -> Envelope {
    let user_id = event_id(at);
    let event = UserCreatedV1 {
        user_id,
        email: format!("{user_id}@example.com").try_into().unwrap(),
        timestamp: at,
        source: "auth-service".to_owned(),
    };
    let (id, sequence) = (event_id(at), Sequence::after(None, at));
    let header = Header { id, source: "auth-service", time: at, sequence, traceparent: None };
    Envelope::new(&event, header).unwrap()
}

pub fn id(envelope: &Envelope) -> Uuid {
    envelope.id.parse().unwrap()
}

impl Outbox {
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub async fn commit(&self, envelopes: &[Envelope]) {
        let mut tx = self.pool().begin().await.unwrap();
        for envelope in envelopes {
            append(&mut tx, envelope).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Commits `count` events, and answers their ids in order.
    pub async fn commit_events(&self, count: usize) -> Vec<Uuid> {
        let envelopes: Vec<_> = (0..count).map(|_| event()).collect();
        self.commit(&envelopes).await;
        let mut ids: Vec<_> = envelopes.iter().map(id).collect();
        ids.sort();
        ids
    }

    pub async fn commit_event(&self) -> Uuid {
        self.commit_events(1).await[0]
    }

    pub fn relay(&self, bus: &Arc<impl Publisher + 'static>, settings: RelaySettings) -> Relay {
        Relay::new(self.pool().clone(), bus.clone(), settings, clock())
    }

    pub fn start(&self, bus: &Arc<impl Publisher + 'static>, settings: RelaySettings) -> Running {
        let (wake, stop) = (Wake::new(), CancellationToken::new());
        let task = tokio::spawn(self.relay(bus, settings).run(wake.clone(), stop.clone()));
        Running { wake, stop, task }
    }

    pub async fn row(&self, event_id: Uuid) -> Row {
        let row = sqlx::query_as(
            "SELECT status, attempts, due_at, lease_token, last_error, published_at, envelope
               FROM outbox WHERE event_id = $1",
        );
        row.bind(event_id).fetch_one(self.pool()).await.unwrap()
    }

    pub async fn count(&self, condition: &'static str) -> i64 {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM outbox WHERE {condition}"));
        sqlx::query_scalar(count).fetch_one(self.pool()).await.unwrap()
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.pool()).await.unwrap();
    }

    /// Every lease and every back-off has run out, also on rows that should not care any more.
    pub async fn make_everything_due(&self) {
        self.execute("UPDATE outbox SET due_at = now() - interval '1 second'").await;
    }

    pub async fn until_published(&self, event_id: Uuid) -> Row {
        eventually(&format!("{event_id} published"), async || {
            let row = self.row(event_id).await;
            (row.status == "published").then_some(row)
        })
        .await
    }

    /// Waits until nothing is pending.
    pub async fn until_done(&self) {
        eventually("nothing pending", async || (self.count("status = 'pending'").await == 0).then_some(())).await;
    }
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.ended().await;
    }

    pub async fn ended(self) {
        tokio::time::timeout(fixtures::DEADLINE, self.task).await.expect("the relay stops").unwrap();
    }

    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}
