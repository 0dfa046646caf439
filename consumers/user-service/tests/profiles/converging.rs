//! Any order, any batches and any number of copies of the same events end in the same rows.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use schemas::{Envelope, TokenVersion};
use serde_json::{Value, json};
use sqlx::Connection;
use uuid::Uuid;
use worker::Outcome;

use crate::{
    events::{Kind, NOON, deleted, empty_row, event, follow, shuffled, user},
    product_events::{ProductKind, product_event, product_row},
    world::{World, worker, world},
};

/// Above those of all other events, as auth-service has it.
const DELETION: i64 = 1_000;

/// Some events about a few users and a few products, in the order in which they happened, and which of the users were
/// deleted, how often told.
#[derive(Debug, Clone)]
struct History {
    events: Vec<(Kind, u128)>,
    deletions: BTreeMap<u128, i64>,
    products: Vec<(ProductKind, u128)>,
}

impl History {
    fn any() -> impl Strategy<Value = Self> {
        let events = prop::collection::vec((prop::sample::select(Kind::ALL.to_vec()), 1u128..4), 1..16);
        let deletions = prop::collection::btree_map(1u128..4, 1i64..3, 0..3);
        let products = prop::collection::vec((prop::sample::select(ProductKind::ALL.to_vec()), 1u128..4), 0..12);
        (events, deletions, products).prop_map(|(events, deletions, products)| Self { events, deletions, products })
    }

    fn sent(&self) -> Vec<Envelope> {
        let changes = (1..).zip(&self.events).map(|(version, (kind, number))| event(*kind, *number, version));
        let erasure = |number| Uuid::from_u128(0xe7a5_0000 + number);
        let deletions = self.deletions.iter().flat_map(|(number, told)| {
            (0..*told).map(move |again| deleted(*number, erasure(*number), DELETION + again))
        });
        let products =
            (1..).zip(&self.products).map(|(version, (kind, number))| product_event(*kind, *number, version));
        changes.chain(deletions).chain(products).collect()
    }

    /// What the rows are once everything was applied in the order in which it happened.
    fn rows(&self) -> Vec<Value> {
        let mut rows: BTreeMap<u128, Value> = BTreeMap::new();
        for (version, (kind, number)) in (1..).zip(&self.events) {
            follow(rows.entry(*number).or_insert_with(|| empty_row(*number)), *kind, *number, version);
        }
        for (number, told) in &self.deletions {
            rows.insert(*number, tombstone(*number, DELETION + told - 1, *told));
        }
        rows.into_values().collect()
    }

    /// Of each product, what its last event says.
    fn products(&self) -> Vec<Value> {
        let last = (1..).zip(&self.products).map(|(version, (kind, number))| (*number, (*kind, version)));
        let last: BTreeMap<_, _> = last.collect();
        last.into_iter().map(|(number, (kind, version))| product_row(kind, number, version)).collect()
    }
}

fn tombstone(number: u128, version: i64, told: i64) -> Value {
    let mut row = empty_row(number);
    row["status"] = "deleted".into();
    for group in ["email_sequence", "roles_sequence", "status_sequence"] {
        row[group] = version.into();
    }
    row["min_token_version"] = TokenVersion::MAX.get().into();
    row["sequence"] = ((NOON.unix_timestamp_nanos() / 1_000) as i64 + told - 1).into();
    row
}

async fn is_followed(world: &World, history: &History, order: &[Envelope], batch: usize) -> Result<(), TestCaseError> {
    world.forget_everything().await;
    for batch in order.chunks(batch) {
        for outcome in world.deliver(batch).await {
            let fine = matches!(outcome, Outcome::Applied | Outcome::Stale | Outcome::Duplicate);
            prop_assert!(fine, "{outcome:?}");
        }
    }
    prop_assert_eq!(world.rows().await, history.rows());
    prop_assert_eq!(world.products().await, history.products());
    let answers = world.answered().await;
    let told: i64 = history.deletions.values().sum();
    prop_assert_eq!(i64::try_from(answers.len()).unwrap(), told);
    let answered: BTreeSet<_> = answers.into_iter().map(|(user, _)| user).collect();
    prop_assert_eq!(answered, history.deletions.keys().map(|number| user(*number)).collect::<BTreeSet<_>>());
    Ok(())
}

#[test]
fn any_order_batching_and_duplication_end_in_the_same_profiles_and_products() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(world());
    let strategy = (History::any(), prop::collection::vec(1usize..3, 20), any::<u64>(), 1usize..7);
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(history, copies, seed, batch)| {
        let sent = history.sent();
        let copied = sent.iter().zip(copies.iter().cycle());
        let order: Vec<_> = copied.flat_map(|(event, copies)| std::iter::repeat_n(event.clone(), *copies)).collect();
        let order = shuffled(&order, seed);
        runtime.block_on(is_followed(&world, &history, &order, batch))
    });
    tested.unwrap();
}

/// Both wait for the same row, which a third transaction holds and gives up, so that both go on at the same moment.
#[tokio::test]
async fn a_registration_and_an_erasure_at_the_same_moment_end_erased() {
    let world = world().await;
    let (one, other) = (worker(&world.database).await, worker(&world.database).await);
    let mut holder = sqlx::PgConnection::connect(&world.database.url).await.unwrap();
    for number in 1..=20u128 {
        let mut held = holder.begin().await.unwrap();
        sqlx::query("INSERT INTO user_profiles (user_id) VALUES ($1)")
            .bind(user(number))
            .execute(&mut *held)
            .await
            .unwrap();
        let made = [event(Kind::Created, number, 3), event(Kind::EmailChanged, number, 4)];
        let gone = [deleted(number, Uuid::from_u128(number), DELETION)];
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let release = async {
            fixtures::eventually("both wait for the row", async || {
                let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&world.database.pool).await.unwrap();
                (waiting >= 2).then_some(())
            })
            .await;
            held.rollback().await.unwrap();
        };
        // In either order: who has waited longest goes first.
        let (made, gone) = if number % 2 == 0 {
            let (made, gone, ()) = tokio::join!(one.deliver(&made), other.deliver(&gone), release);
            (made, gone)
        } else {
            let (gone, made, ()) = tokio::join!(other.deliver(&gone), one.deliver(&made), release);
            (made, gone)
        };
        assert!(made.iter().all(|outcome| matches!(outcome, Outcome::Applied | Outcome::Stale)), "{made:?}");
        assert!(matches!(gone.as_slice(), [Outcome::Applied]), "{gone:?}");
    }
    let expected: Vec<_> = (1..=20).map(|number| tombstone(number, DELETION, 1)).collect();
    assert_eq!(json!(world.rows().await), json!(expected));
    assert_eq!(world.answers().await.len(), 20);
}
