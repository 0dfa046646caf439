use std::time::Duration;

use fixtures::{TestBus, eventually, on_both_buses};
use messaging::OutgoingMessage;
use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1};
use serde_json::{Value, json};
use worker::FAILURE_ATTRIBUTE;

use crate::running::Installation;

fn event(email: &str) -> (String, OutgoingMessage) {
    let now = Clock::system().now();
    let event = UserCreatedV1 {
        user_id: schemas::event_id(now),
        email: email.to_owned().try_into().unwrap(),
        timestamp: now,
        source: "auth-service".to_owned(),
    };
    let id = schemas::event_id(now);
    let header =
        Header { id, source: "auth-service", time: now, sequence: Sequence::after(None, now), traceparent: None };
    let body = serde_json::to_string(&Envelope::new(&event, header).unwrap()).unwrap();
    (id.to_string(), OutgoingMessage { body, ..OutgoingMessage::default() })
}

fn stamped(mut message: OutgoingMessage, event_id: &str) -> OutgoingMessage {
    let report = json!({ "event_id": event_id, "event_type": "user.created", "handler": "record_profile",
        "class": "reject", "reason": "rejected", "message": "SQLSTATE 23514, constraint no_ada", "fingerprint": "f",
        "attempts": 1, "receive_count": 1, "queue": "q", "worker": "host:1", "version": "0.1.0",
        "failed_at": "2026-11-22T12:00:00Z" });
    message.attributes.insert(FAILURE_ATTRIBUTE.to_owned(), report.to_string());
    message
}

impl Installation {
    async fn bury(&self, messages: &[OutgoingMessage]) {
        for result in self.queue("user-service-dlq").await.send(messages).await {
            result.unwrap();
        }
    }

    async fn queue(&self, name: &str) -> std::sync::Arc<dyn messaging::Queue> {
        self.bus.queue(name).await
    }

    async fn visible(&self, name: &str) -> u64 {
        self.queue(name).await.counts().await.unwrap().visible
    }
}

on_both_buses!(
    dead_letters_are_listed_with_their_reasons_and_left_as_they_were,
    showing_a_dead_letter_redacts_what_its_schema_does_not_class_as_open,
    a_replay_is_a_dry_run_unless_told_to_execute_and_leaves_what_would_die_again,
    one_event_is_replayed_by_its_id_and_an_unknown_id_is_a_failure,
);

async fn dead_letters_are_listed_with_their_reasons_and_left_as_they_were(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((first, stamped_one), (second, silent)) = (event("ada@example.com"), event("bob@example.com"));
    let broken = OutgoingMessage { body: "{\"email\":\"eve@example.com\"".to_owned(), ..Default::default() };
    // Two copies of one event are one dead letter.
    let copy = stamped(stamped_one.clone(), &first);
    installation.bury(&[copy.clone(), copy, silent, broken]).await;

    for _ in 0..2 {
        let (code, stdout, stderr) = installation.run(&["dlq", "list", "--json"]).await;
        assert_eq!(code, 0, "{stderr}");
        let listed: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
        let find = |id: &str| listed.as_array().unwrap().iter().find(|row| row["id"] == id).unwrap();
        assert_eq!(find(&first)["copies"], 2);
        assert_eq!(find(&first)["failure"]["reason"], "rejected");
        assert_eq!(find(&second)["failure"]["reason"], "worker-died");
        assert!(!stdout.contains("@example.com"), "{stdout}");
    }
    let (_, stdout, stderr) = installation.run(&["dlq", "list"]).await;
    assert!(stdout.contains(&first) && stdout.contains("constraint no_ada"), "{stdout}");
    assert!(stderr.contains("3 dead letters"), "{stderr}");
    assert_eq!(installation.visible("user-service-dlq").await, 4);
}

async fn showing_a_dead_letter_redacts_what_its_schema_does_not_class_as_open(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let (id, message) = event("ada@example.com");
    installation.bury(&[stamped(message, &id)]).await;

    let (code, stdout, _) = installation.run(&["dlq", "show", &id, "--json"]).await;
    assert_eq!(code, 0);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["body"]["data"]["email"], "[redacted: pii]");
    assert_eq!(shown["body"]["data"]["source"], "auth-service");
    assert_eq!(shown["report"]["handler"], "record_profile");
    assert!(!stdout.contains("ada@"), "{stdout}");

    let (_, stdout, _) = installation.run(&["dlq", "show", &id, "--reveal"]).await;
    assert!(stdout.contains("ada@example.com"), "{stdout}");
    let (code, _, stderr) = installation.run(&["dlq", "show", "no-such-id"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("no dead letter `no-such-id` among 1"), "{stderr}");
}

async fn a_replay_is_a_dry_run_unless_told_to_execute_and_leaves_what_would_die_again(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((first, good), (applied, done)) = (event("ada@example.com"), event("bob@example.com"));
    let broken = OutgoingMessage { body: "not an event".to_owned(), ..Default::default() };
    let mut unknown: Value = serde_json::from_str(&event("eve@example.com").1.body).unwrap();
    unknown["schemaversion"] = json!(99);
    let unknown = OutgoingMessage { body: unknown.to_string(), ..Default::default() };
    installation.bury(&[stamped(good.clone(), &first), done.clone(), broken, unknown]).await;
    mark_applied(&installation, &done).await;

    let (code, stdout, stderr) = installation.run(&["dlq", "replay", "--all"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(installation.visible("user-service").await, 0);
    for line in [
        format!("would replay: {first}"),
        format!("already applied, left alone: {applied}"),
        "would die again as undecodable, left alone".to_owned(),
        "would die again as unknown-version, left alone".to_owned(),
    ] {
        assert!(stdout.contains(&line), "{line:?} is not in:\n{stdout}");
    }

    let (code, stdout, _) = installation.run(&["dlq", "replay", "--all", "--execute", "--json"]).await;
    assert_eq!(code, 0);
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(outcome["replayed"], json!([first]));
    assert_eq!(installation.visible("user-service-dlq").await, 3);
    let request = messaging::ReceiveRequest { max: 10, wait: Duration::from_secs(1), visibility: Duration::ZERO };
    let replayed = eventually("the replayed event", async || {
        installation.queue("user-service").await.receive(request).await.unwrap().pop()
    })
    .await;
    // As it first was: without the report of a failure that is over.
    assert_eq!(replayed.to_outgoing(), good);
}

async fn one_event_is_replayed_by_its_id_and_an_unknown_id_is_a_failure(bus: TestBus) {
    let installation = Installation::make(bus).await;
    let ((first, one), (_, other)) = (event("ada@example.com"), event("bob@example.com"));
    installation.bury(&[one, other]).await;
    let (code, _, stderr) =
        installation.run(&["dlq", "replay", "--event-id", &first, "--event-id", "nobody", "--execute"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(installation.visible("user-service").await, 1);
    assert_eq!(installation.visible("user-service-dlq").await, 1);
}

async fn mark_applied(installation: &Installation, message: &OutgoingMessage) {
    let (envelope, key) = Envelope::read(&message.body).unwrap();
    worker::maintain_inbox(&installation.user.pool, Clock::system().now()).await.unwrap();
    sqlx::query(
        "INSERT INTO event_logs (event_key, event_id, event_type, schema_version, source, handler, event_time)
         VALUES ($1, $2, 'user.created', 1, 'auth-service', 'record_profile', now())",
    )
    .bind(key.as_uuid())
    .bind(envelope.id)
    .execute(&installation.user.pool)
    .await
    .unwrap();
}
