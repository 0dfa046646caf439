//! Registration over HTTP → row in `auth_db` → SNS → SQS → profile in `user_db`.

use std::time::Duration;

use fixtures::{TestBus, eventually, on_both_buses};
use reqwest::StatusCode;

use crate::platform::{PASSWORD, Platform};

on_both_buses!(
    a_committed_registration_is_delivered,
    a_registration_that_is_rolled_back_is_not_delivered,
    registrations_made_while_nothing_else_runs_are_delivered_when_it_does,
    many_registrations_of_one_address_are_one_account_one_event_and_one_profile,
    a_password_is_nowhere_but_in_its_hash,
);

async fn a_committed_registration_is_delivered(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_relay();
    platform.start_worker();
    assert_eq!(platform.register("Ada@Example.com").await, StatusCode::ACCEPTED);
    platform.until_profiles_are_accounts().await;
    let profiles = platform.profiles().await;
    assert_eq!(profiles.len(), 1);
    assert_eq!(profiles[0].1.as_deref(), Some("ada@example.com"));
    platform.stop().await;
}

async fn a_registration_that_is_rolled_back_is_not_delivered(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    // The commit itself fails, after everything was written.
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.email = 'nobody@example.com') EXECUTE FUNCTION refuse();",
    )
    .execute(&platform.auth.pool)
    .await
    .unwrap();
    platform.start_relay();
    platform.start_worker();
    assert_eq!(platform.register("nobody@example.com").await, StatusCode::INTERNAL_SERVER_ERROR);
    // The event of a later registration comes after whatever the first might have left behind.
    assert_eq!(platform.register("somebody@example.com").await, StatusCode::ACCEPTED);
    platform.until_profiles_are_accounts().await;
    assert_eq!(platform.profiles().await.len(), 1);
    platform.stop().await;
}

async fn registrations_made_while_nothing_else_runs_are_delivered_when_it_does(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    for user in 0..5 {
        assert_eq!(platform.register(&format!("user{user}@example.com")).await, StatusCode::ACCEPTED);
    }
    platform.start_relay();
    platform.start_worker();
    platform.until_profiles_are_accounts().await;
    assert_eq!(platform.profiles().await.len(), 5);
    platform.stop().await;
}

async fn many_registrations_of_one_address_are_one_account_one_event_and_one_profile(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_relay();
    platform.start_worker();
    platform.start_worker();
    let spellings = ["ada@example.com", "ADA@example.com", " ada@EXAMPLE.com ", "Ada@Example.Com"];
    let answers = futures_util::future::join_all(spellings.iter().map(|email| platform.register(email))).await;
    assert!(answers.iter().all(|status| *status == StatusCode::ACCEPTED), "{answers:?}");
    platform.until_profiles_are_accounts().await;
    assert_eq!(platform.profiles().await.len(), 1);
    let events: Vec<String> =
        sqlx::query_scalar("SELECT event_type FROM outbox ORDER BY 1").fetch_all(&platform.auth.pool).await.unwrap();
    assert_eq!(events, ["user.created", "user.email.verification.requested"]);
    platform.stop().await;
}

async fn a_password_is_nowhere_but_in_its_hash(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_relay();
    assert_eq!(platform.register("ada@example.com").await, StatusCode::ACCEPTED);
    let message = eventually("the message", async || {
        let (wait, visibility) = (Duration::from_secs(1), Duration::from_secs(0));
        let request = messaging::ReceiveRequest { max: 1, wait, visibility };
        platform.queue.receive(request).await.unwrap().pop()
    })
    .await;
    let stored: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(u::text, '') FROM users u) || (SELECT string_agg(o::text, '') FROM outbox o)",
    )
    .fetch_one(&platform.auth.pool)
    .await
    .unwrap();
    for text in [stored, message.body, format!("{:?}", message.attributes)] {
        assert!(!text.contains(PASSWORD), "the password is in: {text}");
    }
    platform.start_worker();
    platform.until_profiles_are_accounts().await;
    platform.stop().await;
}
