//! Events that tell what is so now, among those by which it came to be: with the version that the user had then.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use schemas::{
    AccountStatus, DeactivationReason, Envelope, ServiceName, UserCreatedV2, UserDeactivatedV1, UserSessionsRevokedV1,
};
use serde_json::Value;
use worker::Outcome;

use crate::{
    events::{Kind, NOON, empty_row, envelope, event, follow, registered_at, shuffled, user},
    world::{World, world},
};

/// Events about a few users, each of whom registers first, in the order in which they happened.
fn histories() -> impl Strategy<Value = Vec<(Kind, u128)>> {
    let events = prop::collection::vec((prop::sample::select(Kind::ALL.to_vec()), 1u128..4), 1..16);
    events.prop_map(|mut events| {
        let mut known = Vec::new();
        for (kind, number) in &mut events {
            if !known.contains(number) {
                *kind = Kind::Created;
                known.push(*number);
            }
        }
        events
    })
}

/// What is so of a user at some time, and the versions of their registration and of their last event.
struct Known {
    row: Value,
    registered: i64,
    version: i64,
}

fn known(events: &[(Kind, u128)]) -> BTreeMap<u128, Known> {
    let mut all = BTreeMap::new();
    for (version, (kind, number)) in (1..).zip(events) {
        let new = || Known { row: empty_row(*number), registered: version, version };
        let known = all.entry(*number).or_insert_with(new);
        follow(&mut known.row, *kind, *number, version);
        known.version = version;
    }
    all
}

impl Known {
    /// As auth-service tells it: what it is, and what only a second event can say.
    fn told(&self, number: u128) -> Vec<Envelope> {
        let (user_id, source, timestamp) = (user(number), ServiceName::AUTH_SERVICE, NOON);
        let field = |name: &str| self.row[name].clone();
        let text = |name: &str| field(name).as_str().unwrap().to_owned();
        let status = match text("status").as_str() {
            "active" => AccountStatus::Active,
            _ => AccountStatus::Deactivated,
        };
        let created = UserCreatedV2 {
            user_id,
            email: text("email").try_into().unwrap(),
            timestamp: registered_at(self.registered),
            source: source.clone(),
            display_name: Some(text("display_name").parse().unwrap()),
            email_verified: field("email_verified").as_bool().unwrap(),
            roles: serde_json::from_value(field("roles")).unwrap(),
            status,
        };
        let email = created.email.clone();
        let min_token_version = field("min_token_version").as_i64().unwrap().try_into().unwrap();
        match status {
            AccountStatus::Active => {
                let revoked = UserSessionsRevokedV1 { user_id, email, timestamp, source, min_token_version };
                vec![envelope(self.version, &created), envelope(self.version, &revoked)]
            }
            AccountStatus::Deactivated => {
                let reason = DeactivationReason::AdminDecision;
                let event = UserDeactivatedV1 { user_id, email, timestamp, source, status, reason, min_token_version };
                vec![envelope(self.version - 1, &created), envelope(self.version, &event)]
            }
        }
    }
}

/// Groups that were told together have one version.
fn without_versions(mut row: Value) -> Value {
    for group in ["email_sequence", "roles_sequence", "status_sequence"] {
        row.as_object_mut().unwrap().remove(group).unwrap();
    }
    row
}

async fn ends_the_same(
    world: &World,
    events: &[(Kind, u128)],
    order: &[Envelope],
    batch: usize,
) -> Result<(), TestCaseError> {
    world.forget_everything().await;
    for batch in order.chunks(batch) {
        for outcome in world.deliver(batch).await {
            prop_assert!(matches!(outcome, Outcome::Applied | Outcome::Stale | Outcome::Duplicate), "{outcome:?}");
        }
    }
    let rows: Vec<_> = world.rows().await.into_iter().map(without_versions).collect();
    let expected: Vec<_> = known(events).into_values().map(|known| without_versions(known.row)).collect();
    prop_assert_eq!(rows, expected);
    Ok(())
}

/// Told to somebody who was emptied, who hears only what happens afterwards, or to somebody who heard all of it.
#[test]
fn what_is_so_told_at_any_time_and_in_any_order_ends_in_the_same_profiles() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(world());
    let strategy = (histories(), 0usize..16, any::<bool>(), any::<u64>(), 1usize..7);
    let mut runner = TestRunner::new(Config { cases: 80, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&strategy, |(events, at, emptied, seed, batch)| {
        let at = at.min(events.len());
        let heard = if emptied { at } else { 0 };
        let sent = (1..).zip(&events).skip(heard).map(|(version, (kind, number))| event(*kind, *number, version));
        let told = known(&events[..at]).into_iter().flat_map(|(number, known)| known.told(number));
        let order = shuffled(&told.chain(sent).collect::<Vec<_>>(), seed);
        runtime.block_on(ends_the_same(&world, &events, &order, batch))
    });
    tested.unwrap();
}
