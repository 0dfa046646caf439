//! What is so, by the databases alone.

use std::collections::HashSet;

use fixtures::eventually;
use sqlx::{Executor, PgPool, PgTransaction, postgres::PgPoolOptions};
use uuid::Uuid;

pub struct Databases {
    pub auth: PgPool,
    user: PgPool,
    bus: PgPool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Rows of the outbox.
    pub unpublished: i64,
    pub visible: i64,
    pub in_flight: i64,
    pub dead_letters: i64,
    pub profiles: i64,
    /// Deliveries that were recognised as copies and ignored.
    pub duplicates: i64,
}

impl Figures {
    pub fn queued(&self) -> i64 {
        self.visible + self.in_flight
    }
}

impl Databases {
    pub async fn connect(environment: &[(String, String)]) -> Self {
        let connect = async |variable: &str| {
            let (_, url) = environment.iter().find(|(name, _)| name == variable).unwrap();
            PgPoolOptions::new().max_connections(4).connect(url).await.unwrap()
        };
        Self {
            auth: connect("AUTH_DATABASE_URL").await,
            user: connect("USER_DATABASE_URL").await,
            bus: connect("BUS_DATABASE_URL").await,
        }
    }

    /// Notes every application of an event, independently of `event_logs`. It fires before ON CONFLICT is looked at, so
    /// a second application shows even where it would change nothing.
    pub async fn install_witness(&self) {
        let witness = "CREATE TABLE witness (user_id uuid NOT NULL);
             CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO witness VALUES (NEW.user_id); RETURN NEW; END $$;
             CREATE TRIGGER witness BEFORE INSERT ON user_profiles FOR EACH ROW EXECUTE FUNCTION bear_witness();";
        self.user.execute(witness).await.unwrap();
    }

    /// Keeps every worker waiting inside its transaction, as a careless migration would.
    pub async fn hold_applying(&self) -> PgTransaction<'static> {
        lock(&self.user, "LOCK TABLE user_profiles IN SHARE MODE").await
    }

    /// Keeps the relay from publishing what it claims.
    pub async fn hold_publishing(&self) -> PgTransaction<'static> {
        lock(&self.bus, "LOCK TABLE bus.topics IN ACCESS EXCLUSIVE MODE").await
    }

    /// Keeps the relay from settling one of its claims.
    pub async fn hold_settling(&self) -> PgTransaction<'static> {
        let claimed = "SELECT FROM outbox
                        WHERE status = 'pending' AND lease_token IS NOT NULL LIMIT 1 FOR UPDATE SKIP LOCKED";
        eventually("a claim", async || {
            let mut tx = self.auth.begin().await.unwrap();
            tx.fetch_optional(claimed).await.unwrap().map(|_| tx)
        })
        .await
    }

    /// Looks where events come from before where they go: none moves past unseen.
    pub async fn look(&self) -> Figures {
        let unpublished = "SELECT count(*) FROM outbox WHERE status <> 'published'";
        let unpublished = sqlx::query_scalar(unpublished).fetch_one(&self.auth).await.unwrap();
        let counts = "SELECT visible, in_flight, (SELECT visible + in_flight FROM bus.counts('user-service-dlq'))
                        FROM bus.counts('user-service')";
        let (visible, in_flight, dead_letters) = sqlx::query_as(counts).fetch_one(&self.bus).await.unwrap();
        let applied =
            "SELECT (SELECT count(*) FROM user_profiles), coalesce(sum(redeliveries), 0)::int8 FROM event_logs";
        let (profiles, duplicates) = sqlx::query_as(applied).fetch_one(&self.user).await.unwrap();
        Figures { unpublished, visible, in_flight, dead_letters, profiles, duplicates }
    }

    /// Waits until outbox and queue are empty; gives up when nothing has moved for a minute.
    pub async fn settle(&self) -> Figures {
        let mut last = self.look().await;
        while last.unpublished + last.queued() > 0 {
            let moves = format!("something moves on from {last:?}");
            last = eventually(&moves, async || Some(self.look().await).filter(|now| *now != last)).await;
        }
        last
    }

    pub async fn assert_nothing_lost_and_nothing_twice(&self, confirmed: &[Uuid]) {
        let accounts = ids(&self.auth, "SELECT id FROM users").await;
        let events = ids(&self.auth, "SELECT event_id FROM outbox WHERE status = 'published'").await;
        let profiles = ids(&self.user, "SELECT user_id FROM user_profiles").await;
        let witnessed = ids(&self.user, "SELECT user_id FROM witness").await;
        let logged = ids(&self.user, "SELECT event_key FROM event_logs").await;
        let missing = |of: &[Uuid], from: &[Uuid]| {
            let from: HashSet<_> = from.iter().collect();
            of.iter().filter(|id| !from.contains(id)).count()
        };
        let wrong = [
            ("accounts were confirmed and are gone", missing(confirmed, &accounts)),
            ("accounts have no event", accounts.len().abs_diff(events.len())),
            ("accounts have no profile: their events were lost", missing(&accounts, &profiles)),
            ("profiles have no account", missing(&profiles, &accounts)),
            ("accounts were applied without a witness", missing(&accounts, &witnessed)),
            ("applications were one too many", witnessed.len() - HashSet::<_>::from_iter(&witnessed).len()),
            ("events are not in event_logs", missing(&events, &logged)),
            ("rows of event_logs are of no event, or one too many", logged.len().saturating_sub(events.len())),
            ("dead letters", self.look().await.dead_letters as usize),
        ];
        let wrong: Vec<_> = wrong.iter().filter(|(_, count)| *count > 0).collect();
        assert!(wrong.is_empty(), "of {} accounts: {wrong:?}", accounts.len());
    }
}

async fn lock(pool: &PgPool, locking: &'static str) -> PgTransaction<'static> {
    let mut tx = pool.begin().await.unwrap();
    tx.execute(locking).await.unwrap();
    tx
}

async fn ids(pool: &PgPool, sql: &'static str) -> Vec<Uuid> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}
