//! What each event changes, and when it changes nothing.

use serde_json::{Value, json};
use worker::Outcome;

use crate::{
    events::{Kind, empty_row, event, follow},
    world::world,
};

fn after(history: &[(Kind, i64)]) -> Value {
    let mut row = empty_row(1);
    for (kind, version) in history {
        follow(&mut row, *kind, 1, *version);
    }
    row
}

#[tokio::test]
async fn each_event_sets_its_groups_and_no_others() {
    let world = world().await;
    for kind in Kind::ALL {
        world.forget_everything().await;
        assert!(matches!(world.deliver_one(&event(Kind::Created, 1, 2)).await, Outcome::Applied));
        assert!(matches!(world.deliver_one(&event(Kind::Deactivated, 1, 3)).await, Outcome::Applied));
        assert!(matches!(world.deliver_one(&event(kind, 1, 9)).await, Outcome::Applied), "{kind:?}");
        assert_eq!(world.row().await, after(&[(Kind::Created, 2), (Kind::Deactivated, 3), (kind, 9)]), "{kind:?}");
    }
}

#[tokio::test]
async fn a_redelivered_event_is_applied_once() {
    let world = world().await;
    for (version, kind) in (1..).zip(Kind::ALL) {
        let event = event(kind, 1, version);
        assert!(matches!(world.deliver_one(&event).await, Outcome::Applied), "{kind:?}");
        let written = "SELECT xmin::text FROM user_profiles";
        let before: String = sqlx::query_scalar(written).fetch_one(&world.database.pool).await.unwrap();
        assert!(matches!(world.deliver_one(&event).await, Outcome::Duplicate), "{kind:?}");
        let after: String = sqlx::query_scalar(written).fetch_one(&world.database.pool).await.unwrap();
        assert_eq!(before, after, "{kind:?}: the row was written again");
    }
}

#[tokio::test]
async fn an_older_event_is_stale_and_changes_nothing() {
    let world = world().await;
    for kind in Kind::ALL {
        world.forget_everything().await;
        // It says when the user registered, which an older one would say better.
        let first = event(Kind::Created, 1, 1);
        assert!(matches!(world.deliver_one(&first).await, Outcome::Applied));
        assert!(matches!(world.deliver_one(&event(kind, 1, 9)).await, Outcome::Applied));
        let before = world.row().await;
        assert!(matches!(world.deliver_one(&event(kind, 1, 5)).await, Outcome::Stale), "{kind:?}");
        assert_eq!(world.row().await, before, "{kind:?}");
    }
}

#[tokio::test]
async fn an_event_that_comes_before_the_registration_makes_the_row_and_stays() {
    let world = world().await;
    for kind in Kind::ALL {
        world.forget_everything().await;
        assert!(matches!(world.deliver_one(&event(kind, 1, 9)).await, Outcome::Applied), "{kind:?}");
        assert_eq!(world.row().await, after(&[(kind, 9)]), "{kind:?}");
        assert!(matches!(world.deliver_one(&event(Kind::Created, 1, 2)).await, Outcome::Applied), "{kind:?}");
        assert_eq!(world.row().await, after(&[(Kind::Created, 2), (kind, 9)]), "{kind:?}");
    }
}

#[tokio::test]
async fn a_user_without_roles_has_none() {
    let world = world().await;
    let mut none = event(Kind::RolesChanged, 1, 2);
    let mut data: Value = serde_json::from_str(none.data.get()).unwrap();
    data["roles"] = json!([]);
    none.data = serde_json::value::to_raw_value(&data).unwrap();
    world.deliver(&[event(Kind::Created, 1, 1), none]).await;
    assert_eq!(world.row().await["roles"], json!([]));
}

#[tokio::test]
async fn the_lowest_token_version_never_sinks() {
    let world = world().await;
    let raised = event(Kind::RolesChanged, 1, 7);
    // A newer event of a producer that was restored from a backup.
    let mut lower = event(Kind::RolesChanged, 1, 9);
    let mut data: Value = serde_json::from_str(lower.data.get()).unwrap();
    data["minTokenVersion"] = 3.into();
    lower.data = serde_json::value::to_raw_value(&data).unwrap();
    for event in [raised, lower] {
        assert!(matches!(world.deliver_one(&event).await, Outcome::Applied));
    }
    let row = world.row().await;
    assert_eq!((&row["roles_sequence"], &row["min_token_version"]), (&json!(9), &json!(7)));
}

#[tokio::test]
async fn a_name_that_the_user_wrote_or_took_away_is_not_seeded_again() {
    for (written, expected) in [("'Ada'", json!("Ada")), ("NULL", Value::Null)] {
        let world = world().await;
        world.deliver_one(&event(Kind::SessionsRevoked, 1, 5)).await;
        world.execute(&format!("UPDATE user_profiles SET display_name = {written}, display_name_edited = true")).await;
        assert!(matches!(world.deliver_one(&event(Kind::Created, 1, 2)).await, Outcome::Applied));
        assert_eq!(world.row().await["display_name"], expected);
    }
}

#[tokio::test]
async fn an_event_without_a_sequence_is_rejected_and_its_neighbour_is_applied() {
    let world = world().await;
    let mut unversioned = event(Kind::EmailChanged, 1, 1);
    unversioned.sequence = None;
    let outcomes = world.deliver(&[unversioned, event(Kind::EmailChanged, 2, 1)]).await;
    let [Outcome::DeadLettered(report), Outcome::Applied] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert!(serde_json::to_string(report).unwrap().contains("no `sequence`"), "{report:?}");
    assert_eq!(world.rows().await.len(), 1);
}
