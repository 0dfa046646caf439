//! Any order, any batching and any number of copies of a user's events end in the same row: through the inbox, on
//! PostgreSQL, for two handlers that each set their own group of columns of one row.

use std::collections::BTreeMap;

use fixtures::TestDatabase;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use schemas::{Clock, Envelope, Header, Sequence, event, event_id, newest};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use worker::{Consumer, HandlerError, Outcome, Received, Verdict, testing::Harness};

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct GuestNamed {
    guest: String,
    name: String,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct GuestSeated {
    guest: String,
    seat: i32,
}

event!("guest.named", 1, GuestNamed, guest);
newest!(GuestNamed);
event!("guest.seated", 1, GuestSeated, guest);
newest!(GuestSeated);

async fn name_guest(tx: &mut PgConnection, named: &Received<'_, GuestNamed>) -> Result<Verdict, HandlerError> {
    let changed = sqlx::query(
        "INSERT INTO guests AS guest (guest, name, name_version) VALUES ($1, $2, $3)
             ON CONFLICT (guest) DO UPDATE SET name = excluded.name, name_version = excluded.name_version
          WHERE excluded.name_version > guest.name_version",
    )
    .bind(&named.event.guest)
    .bind(&named.event.name)
    .bind(named.sequence.map(Sequence::get))
    .execute(tx)
    .await?;
    Ok(if changed.rows_affected() == 0 { Verdict::Stale } else { Verdict::Applied })
}

async fn seat_guest(tx: &mut PgConnection, seated: &Received<'_, GuestSeated>) -> Result<Verdict, HandlerError> {
    let changed = sqlx::query(
        "INSERT INTO guests AS guest (guest, seat, seat_version) VALUES ($1, $2, $3)
             ON CONFLICT (guest) DO UPDATE SET seat = excluded.seat, seat_version = excluded.seat_version
          WHERE excluded.seat_version > guest.seat_version",
    )
    .bind(&seated.event.guest)
    .bind(seated.event.seat)
    .bind(seated.sequence.map(Sequence::get))
    .execute(tx)
    .await?;
    Ok(if changed.rows_affected() == 0 { Verdict::Stale } else { Verdict::Applied })
}

/// The events of one history, in the order in which they happened.
fn history(changes: &[(u8, bool, i32)]) -> Vec<Envelope> {
    let now = Clock::system().now();
    let changes = changes.iter().zip(1i64..).map(|((guest, names, value), version)| {
        let sequence = Sequence::from_stored(version);
        let header = Header { id: event_id(now), source: "tests", time: now, sequence, traceparent: None };
        let guest = format!("guest{guest}");
        match names {
            true => Envelope::new(&GuestNamed { guest, name: format!("name{value}") }, header),
            false => Envelope::new(&GuestSeated { guest, seat: *value }, header),
        }
    });
    changes.collect::<Result<_, _>>().unwrap()
}

type Row = (String, Option<String>, Option<i32>);

async fn rows(database: &TestDatabase) -> Vec<Row> {
    let rows = sqlx::query_as("SELECT guest, name, seat FROM guests ORDER BY guest");
    rows.fetch_all(&database.pool).await.unwrap()
}

#[test]
fn any_permutation_and_duplication_of_events_ends_in_the_same_rows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (database, harness) = runtime.block_on(async {
        let database = fixtures::user_database().await;
        let table = "CREATE TABLE guests (guest text PRIMARY KEY, name text, name_version int8 NOT NULL DEFAULT 0,
                                          seat int4, seat_version int8 NOT NULL DEFAULT 0)";
        sqlx::query(table).execute(&database.pool).await.unwrap();
        let consumer = Consumer::named("guests")
            .apply_each("name_guest", &["/guest", "/name"], name_guest)
            .apply_each("seat_guest", &["/guest", "/seat"], seat_guest)
            .build();
        let harness = Harness::new(consumer, database.pool.clone()).await.unwrap();
        (database, harness)
    });
    let changes = prop::collection::vec((0u8..3, any::<bool>(), 0i32..100), 1..12);
    // Which of them come, how often, in which order and in how large batches: all of them at least once.
    let strategy = (changes, prop::collection::vec(any::<prop::sample::Index>(), 0..15), any::<u64>(), 1usize..8);
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(changes, copies, seed, batch)| {
        let history = history(&changes);
        let mut deliveries: Vec<_> = history.clone();
        deliveries.extend(copies.iter().map(|index| history[index.index(history.len())].clone()));
        // A shuffle that the seed decides.
        let mut state = seed;
        for at in (1..deliveries.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            deliveries.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut expected: BTreeMap<String, (Option<String>, Option<i32>)> = BTreeMap::new();
        for (guest, names, value) in &changes {
            let row = expected.entry(format!("guest{guest}")).or_default();
            if *names {
                row.0 = Some(format!("name{value}"));
            } else {
                row.1 = Some(*value);
            }
        }
        let (found, duplicates) = runtime.block_on(async {
            sqlx::query("TRUNCATE guests").execute(&database.pool).await.unwrap();
            let mut duplicates = 0;
            for batch in deliveries.chunks(batch) {
                let outcomes = harness.deliver(batch).await;
                duplicates += outcomes.iter().filter(|outcome| **outcome == Outcome::Duplicate).count();
            }
            (rows(&database).await, duplicates)
        });
        let expected: Vec<Row> = expected.into_iter().map(|(guest, (name, seat))| (guest, name, seat)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(duplicates, copies.len(), "each event is applied once, and every copy is known for one");
        Ok(())
    });
    tested.unwrap();
}
