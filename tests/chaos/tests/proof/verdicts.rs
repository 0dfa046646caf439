use std::collections::BTreeSet;

use chaos::{
    Plan,
    accounts::make_account,
    plan::Poison,
    truth::{Facts, Verdict, World},
};
use fixtures::{TestBus, eventually};
use messaging::{OutgoingMessage, Queue, Topology};
use schemas::{Clock, Event, UserCreatedV2};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;
use worker::Consumer;

/// A run as it should end, made by hand: every event committed, published and applied or dead-lettered.
struct Ended {
    plan: Plan,
    world: World,
    /// For names of queues, and so that they are there as long as this is.
    _bus: TestBus,
}

const EVENTS: u32 = 100;

impl Ended {
    async fn well() -> Self {
        let (auth, user, bus) = tokio::join!(fixtures::auth_database(), fixtures::user_database(), fixtures::bus());
        let now = Clock::system().now();
        partitions::maintain(&auth.pool, outbox::OUTBOX, now).await.unwrap();
        worker::maintain_inbox(&user.pool, now).await.unwrap();
        let subscribers = vec![Consumer::subscriber(&user_service::declared())];
        bus.bus.apply(&Topology { subscribers, ..Topology::default() }).await.unwrap();
        let world = World::of(auth.pool, user.pool, bus.bus.clone()).await.unwrap();
        world.install_witness().await.unwrap();
        let ended = Self { plan: Plan::draw(1, EVENTS, 0), world, _bus: bus };
        for number in 0..EVENTS {
            ended.make(number).await;
        }
        for number in 0..ended.plan.garbage {
            ended.send(&*ended.world.dead_letters, ended.plan.garbage_body(number)).await;
        }
        ended
    }

    async fn make(&self, number: u32) {
        let mut connection = self.world.auth.acquire().await.unwrap();
        let user_id = make_account(&mut connection, &self.plan.address(number), |_| {}).await.unwrap();
        let published = "UPDATE outbox SET status = 'published', published_at = now() WHERE subject = $1::text
                          RETURNING event_id, envelope";
        let (event_id, body): (Uuid, String) =
            sqlx::query_as(published).bind(user_id).fetch_one(&mut *connection).await.unwrap();
        if self.plan.poison(number).is_some() {
            // As a crash between sending it and deleting the original leaves it.
            self.send(&*self.world.dead_letters, body.clone()).await;
            self.send(&*self.world.dead_letters, body).await;
        } else {
            self.apply(user_id, &self.plan.address(number)).await;
            self.log(event_id).await;
        }
    }

    async fn apply(&self, user_id: Uuid, email: &str) {
        let profile = "INSERT INTO user_profiles (user_id, email) VALUES ($1, $2)
                           ON CONFLICT (user_id) DO UPDATE SET updated_at = now()";
        sqlx::query(profile).bind(user_id).bind(email).execute(&self.world.user).await.unwrap();
    }

    async fn log(&self, event_id: Uuid) {
        let log =
            "INSERT INTO event_logs (event_key, event_id, event_type, schema_version, source, handler, event_time)
                   VALUES ($1, $1::text, $2, 2, 'auth-service', 'by_hand', now())";
        sqlx::query(log).bind(event_id).bind(UserCreatedV2::TYPE.as_str()).execute(&self.world.user).await.unwrap();
    }

    async fn send(&self, queue: &dyn Queue, body: String) {
        queue.send(&[OutgoingMessage { body, ..Default::default() }]).await.remove(0).unwrap();
    }

    async fn change(&self, pool: &sqlx::PgPool, sql: &str) {
        let changed = pool.execute(AssertSqlSafe(sql)).await.unwrap().rows_affected();
        assert_eq!(changed, 1, "{sql}");
    }

    async fn judge(&self) -> Verdict {
        Verdict::of(&Facts::read(&self.world).await.unwrap(), &self.plan)
    }

    /// What all judges should agree on where only one thing is wrong.
    async fn judge_wrong(&self, expected: (usize, usize, usize), complaint: &str) {
        let verdict = self.judge().await;
        assert_eq!((verdict.lost, verdict.applied_twice, verdict.dead_lettered), expected, "{:?}", verdict.wrong);
        assert!(
            verdict.wrong.iter().any(|wrong| wrong.contains(complaint)),
            "{complaint:?} is not in {:?}",
            verdict.wrong
        );
        assert!(!verdict.is_kept());
    }
}

/// One of an outcome that was planned.
fn number_of(plan: &Plan, is: fn(Option<Poison>) -> bool) -> u32 {
    (0..plan.events).find(|number| is(plan.poison(*number))).unwrap()
}

fn healthy(plan: &Plan) -> String {
    plan.address(number_of(plan, |poison| poison.is_none()))
}

#[tokio::test]
async fn a_run_that_ended_well_is_found_to_have_kept_every_promise() {
    let verdict = Ended::well().await.judge().await;
    assert_eq!(verdict.wrong, Vec::<String>::new());
    assert!(verdict.is_kept());
    let Verdict { events, lost, applied_twice, dead_lettered, poisoned, .. } = verdict;
    // The dead letters' copies count for nothing.
    assert_eq!((events, lost, applied_twice, dead_lettered, poisoned), (100, 0, 0, 3, 3));
}

#[tokio::test]
async fn an_event_that_left_no_trace_is_found_lost() {
    let ended = Ended::well().await;
    let address = healthy(&ended.plan);
    let user_id: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
        .bind(&address)
        .fetch_one(&ended.world.auth)
        .await
        .unwrap();
    let event_id: Uuid = sqlx::query_scalar("SELECT event_id FROM outbox WHERE subject = $1::text")
        .bind(user_id)
        .fetch_one(&ended.world.auth)
        .await
        .unwrap();
    ended.change(&ended.world.user, &format!("DELETE FROM event_logs WHERE event_key = '{event_id}'")).await;
    ended.change(&ended.world.user, &format!("DELETE FROM user_profiles WHERE user_id = '{user_id}'")).await;
    ended.change(&ended.world.user, &format!("DELETE FROM witness WHERE user_id = '{user_id}'")).await;
    ended.judge_wrong((1, 0, 3), "1 events were lost").await;
}

/// A claim without its effect, which a worker that commits them apart would leave.
#[tokio::test]
async fn an_event_that_is_in_the_inbox_and_was_not_applied_is_found_lost() {
    let ended = Ended::well().await;
    let address = healthy(&ended.plan);
    ended.change(&ended.world.user, &format!("DELETE FROM user_profiles WHERE email = '{address}'")).await;
    ended.judge_wrong((1, 0, 3), "1 events were lost").await;
}

/// An effect without its claim: the next copy would be applied again.
#[tokio::test]
async fn an_event_that_was_applied_and_is_not_in_the_inbox_is_found_lost() {
    let ended = Ended::well().await;
    let one = "DELETE FROM event_logs WHERE event_key = (SELECT min(event_key::text)::uuid FROM event_logs)";
    ended.change(&ended.world.user, one).await;
    ended.judge_wrong((1, 0, 3), "1 events were lost").await;
}

#[tokio::test]
async fn a_second_application_is_found_though_it_changed_nothing() {
    let ended = Ended::well().await;
    let address = healthy(&ended.plan);
    let profile = "SELECT user_id FROM user_profiles WHERE email = $1";
    let user_id: Uuid = sqlx::query_scalar(profile).bind(&address).fetch_one(&ended.world.user).await.unwrap();
    ended.apply(user_id, &address).await;
    ended.judge_wrong((0, 1, 3), "1 accounts had an event applied more than once").await;
}

#[tokio::test]
async fn a_healthy_event_in_the_dead_letter_queue_is_found_also_where_it_was_applied_as_well() {
    let ended = Ended::well().await;
    let body: String =
        sqlx::query_scalar("SELECT envelope FROM outbox JOIN users ON users.id::text = subject WHERE email = $1")
            .bind(healthy(&ended.plan))
            .fetch_one(&ended.world.auth)
            .await
            .unwrap();
    ended.send(&*ended.world.dead_letters, body).await;
    ended.judge_wrong((0, 0, 4), "1 are dead letters and should not be").await;
}

/// As many as there should be, and not those that should be.
#[tokio::test]
async fn a_dead_letter_in_anothers_place_is_found_though_the_numbers_agree() {
    let ended = Ended::well().await;
    let request = messaging::ReceiveRequest {
        max: 10,
        wait: std::time::Duration::from_secs(1),
        visibility: std::time::Duration::from_secs(60),
    };
    let garbage = ended.plan.garbage_body(0);
    let message = eventually("the message that is no event", async || {
        let some = ended.world.dead_letters.receive(request).await.unwrap();
        let zero: Vec<_> = some.iter().map(|message| (message.receipt.clone(), std::time::Duration::ZERO)).collect();
        ended.world.dead_letters.change_visibility(&zero).await;
        some.into_iter().find(|message| message.body == garbage)
    })
    .await;
    ended.world.dead_letters.delete(&[message.receipt]).await.remove(0).unwrap();
    ended.send(&*ended.world.dead_letters, "somebody else's".to_owned()).await;
    ended.judge_wrong((0, 0, 3), "1 should be dead letters and are not").await;
}

#[tokio::test]
async fn an_event_that_must_die_and_was_applied_is_found() {
    let ended = Ended::well().await;
    let number = number_of(&ended.plan, |poison| matches!(poison, Some(Poison::Broken(_))));
    let user_id: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
        .bind(ended.plan.address(number))
        .fetch_one(&ended.world.auth)
        .await
        .unwrap();
    ended.apply(user_id, "anything@example.com").await;
    ended.judge_wrong((0, 0, 3), "1 events must die and were applied").await;
}

#[tokio::test]
async fn what_is_still_under_way_is_found() {
    let ended = Ended::well().await;
    let one = "UPDATE outbox SET status = 'pending', published_at = NULL
                WHERE event_id = (SELECT min(event_id::text)::uuid FROM outbox)";
    ended.change(&ended.world.auth, one).await;
    ended.send(&*ended.world.queue, "left over".to_owned()).await;
    let verdict = ended.judge().await;
    let wrong: BTreeSet<_> = verdict.wrong.iter().map(|wrong| wrong.split(':').next().unwrap()).collect();
    let expected = ["1 events are in the outbox and not published", "1 messages are left in the queue; it should be 0"];
    assert_eq!(wrong, BTreeSet::from(expected));
}

#[tokio::test]
async fn an_account_without_its_event_is_found() {
    let ended = Ended::well().await;
    let one = "DELETE FROM outbox WHERE event_id = (SELECT min(event_id::text)::uuid FROM outbox)";
    ended.change(&ended.world.auth, one).await;
    let verdict = ended.judge().await;
    assert!(!verdict.is_kept());
    for complaint in ["99 events were made", "99 accounts with an event"] {
        assert!(verdict.wrong.iter().any(|wrong| wrong.starts_with(complaint)), "{complaint}: {:?}", verdict.wrong);
    }
}
