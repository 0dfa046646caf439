//! `waypost dlq`, as operators meet it: on both buses, with real letters in real queues.

mod acting;
mod ending;
mod golden;
mod looking;
mod undoing;

use messaging::OutgoingMessage;
use schemas::{Clock, Envelope, Header, Sequence, UserCreatedV1};
use serde_json::{Value, json};
use worker::FAILURE_ATTRIBUTE;

use crate::running::Installation;

/// What nobody may be shown.
const SECRET: &str = "planted-secret";

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

fn stamped(message: OutgoingMessage, event_id: &str) -> OutgoingMessage {
    stamped_with(message, event_id, "f1f1f1f1f1f1f1f1", "SQLSTATE 23514, constraint no_ada")
}

fn stamped_with(mut message: OutgoingMessage, event_id: &str, fingerprint: &str, words: &str) -> OutgoingMessage {
    let report = json!({ "event_id": event_id, "event_type": "user.created", "handler": "record_profile",
        "class": "reject", "reason": "rejected", "message": words, "fingerprint": fingerprint,
        "attempts": 1, "receive_count": 1, "queue": "q", "worker": "host:1", "version": "0.1.0",
        "failed_at": "2026-11-22T12:00:00Z" });
    message.attributes.insert(FAILURE_ATTRIBUTE.to_owned(), report.to_string());
    message
}

fn undecodable() -> OutgoingMessage {
    OutgoingMessage { body: format!("{{\"email\":\"{SECRET}@example.com\""), ..Default::default() }
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

    /// Runs `waypost dlq …` and reads the JSON that it prints.
    async fn dlq(&self, arguments: &[&str], expected: i32) -> Value {
        let (code, stdout, stderr) = self.run(&[&["dlq"], arguments, &["--json"]].concat()).await;
        assert_eq!(code, expected, "{arguments:?}: {stdout}{stderr}");
        assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET), "{stdout}{stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// As for people; answers stdout and stderr.
    async fn told(&self, arguments: &[&str], expected: i32) -> (String, String) {
        let (code, stdout, stderr) = self.run(&[&["dlq"], arguments].concat()).await;
        assert_eq!(code, expected, "{arguments:?}: {stdout}{stderr}");
        assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET), "{stdout}{stderr}");
        // A letter and a filter are JSON, and no table.
        for line in stdout.lines().filter(|line| arguments[0] != "show" && !line.starts_with("filter ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        (stdout, stderr)
    }

    async fn mark_applied(&self, message: &OutgoingMessage) {
        let (envelope, key) = Envelope::read(&message.body).unwrap();
        worker::maintain_inbox(&self.user.pool, Clock::system().now()).await.unwrap();
        sqlx::query(
            "INSERT INTO event_logs (event_key, event_id, event_type, schema_version, source, handler, event_time)
             VALUES ($1, $2, 'user.created', 1, 'auth-service', 'record_profile', now())",
        )
        .bind(key.as_uuid())
        .bind(envelope.id)
        .execute(&self.user.pool)
        .await
        .unwrap();
    }
}

const WHY: [&str; 3] = ["--execute", "--reason", "a test"];

/// Past the platform, as somebody does with a console.
async fn delete_sqs_queue(name: &str) {
    let endpoint = fixtures::required_variable("LOCALSTACK_ENDPOINT");
    let url = format!("{endpoint}/000000000000/{name}");
    let form = [("Action", "DeleteQueue"), ("QueueUrl", url.as_str())];
    let signature =
        "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=none";
    let request = reqwest::Client::new().post(&endpoint).header("authorization", signature).form(&form);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}
