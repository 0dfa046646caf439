use schemas::{BackfillRun, Clock};
use serde_json::{Value, json};
use time::Duration;

use super::{World, with_products};
use crate::run;

async fn is_empty(world: &World, queue: &str) -> bool {
    let counts = world.installation.bus.queue(queue).await.counts().await.unwrap();
    (counts.visible, counts.in_flight) == (0, 0)
}

#[tokio::test]
async fn a_dry_run_counts_what_would_be_sent_and_sends_nothing() {
    let world = World::make(fixtures::embedded_bus().await).await;
    with_products(&world, 30).await;
    let report = world.backfilled("product", &["--dry-run"]).await;
    assert_eq!((&report["executed"], &report["subjects"]), (&json!(false), &json!(30)));
    assert_eq!(report["events"], json!({ "product.created": 20, "product.discontinued": 10 }));
    assert!(is_empty(&world, "user-service").await);
    let report = world.backfilled("product", &["--dry-run", "--after", "00000000-0000-7000-8000-000000000027"]).await;
    assert_eq!(report["subjects"], 3);
    let (code, stdout, stderr) =
        world.run(&["events", "backfill", "--service", "product", "--to", "user-service"]).await;
    assert_eq!((code, stdout.as_str()), (0, ""), "without --json, all is for people: {stderr}");
    assert!(stderr.contains("20 product.created, 10 product.discontinued of 30 products sent to "), "{stderr}");
}

#[tokio::test]
async fn a_queue_that_is_not_meant_for_it_gets_nothing() {
    let world = World::make(fixtures::embedded_bus().await).await;
    with_products(&world, 3).await;
    for (service, to, told) in [
        ("auth", "mailer", "mailer doesn't apply user.deactivated but acts on it"),
        ("product", "mailer", "which reads none of what product-service tells"),
        ("auth", "auth-service", "which reads none of what auth-service tells"),
        ("auth", "user-service-dlq", "it should be a consumer's queue, one of "),
        ("auth", "https://sqs.us-east-1.amazonaws.com/1/orders", "it should be a consumer's queue, one of "),
    ] {
        let (code, _, stderr) = world.run(&["events", "backfill", "--service", service, "--to", to]).await;
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(told), "{told} in {stderr}");
    }
    for queue in ["mailer", "auth-service", "user-service", "user-service-dlq"] {
        assert!(is_empty(&world, queue).await, "{queue}");
    }
}

/// What happens while it goes on would not come to anybody.
#[tokio::test]
async fn a_consumer_that_is_not_subscribed_is_told_nothing() {
    let world = World::make(fixtures::embedded_bus().await).await;
    with_products(&world, 3).await;
    let bus = &world.installation.bus;
    let gone = "DELETE FROM bus.subscriptions WHERE queue = $1 AND topic = $2";
    let url = bus.environment.iter().find(|(name, _)| *name == "BUS_DATABASE_URL").unwrap().1.clone();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let (queue, topic) = (format!("{}user-service", bus.prefix), bus.bus.names().topic("product.updated"));
    assert_eq!(sqlx::query(gone).bind(queue).bind(topic).execute(&pool).await.unwrap().rows_affected(), 1);
    let (code, _, stderr) = world.backfill("product", &[]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("is not there; `waypost topology apply` makes it"), "{stderr}");
    assert!(is_empty(&world, "user-service").await);
}

#[tokio::test]
async fn a_run_that_inboxes_would_refuse_is_refused_before() {
    let now = Clock::system().now();
    let [old, ahead] = [now - Duration::days(8), now + Duration::days(1)].map(|at| BackfillRun::begin(at).to_string());
    for (run_id, told) in [
        (old.as_str(), "it should have begun in the last 7 days"),
        (ahead.as_str(), "it should have begun in the last 7 days"),
        ("yesterday", "a run's id is a UUID of version 7"),
    ] {
        let arguments = ["events", "backfill", "--service", "auth", "--to", "user-service", "--run", run_id];
        let (code, _, stderr) = run(&arguments, &[]).await;
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
    let (code, _, stderr) = run(&["events", "backfill", "--service", "mailer", "--to", "user-service"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("auth, product"), "{stderr}");
    let unset: Value = json!("AUTH_DATABASE_URL");
    let (code, _, stderr) = run(&["events", "backfill", "--service", "auth", "--to", "user-service"], &[]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains(unset.as_str().unwrap()), "{stderr}");
}
