//! The envelope against another implementation of it: the SDK for Python of the CloudEvents project.

use std::{process::Stdio, time::Duration};

use fixtures::{TestBus, eventually, on_both_buses, required_variable};
use messaging::{OutgoingMessage, QueueSettings, ReceiveRequest};
use reqwest::StatusCode;
use schemas::{Clock, Envelope, Event, Sequence, UserCreatedV2};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{io::AsyncWriteExt, process::Command};
use uuid::Uuid;
use worker::{FAILURE_ATTRIBUTE, FailureReport};

use crate::platform::Platform;

/// Runs `sdk.py`, which says what it does.
async fn sdk(what: &str, input: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spine/sdk.py");
    let python = required_variable("CLOUDEVENTS_PYTHON");
    let child = Command::new(&python)
        .args(["-I", script, what])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{python} does not start: {error}; `./dev test` makes it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An event that another producer might have its SDK write.
struct Foreign {
    attributes: Value,
    data: Value,
    as_bytes: bool,
}

fn foreign(now: OffsetDateTime, extra: &[(&str, Value)], data: Value) -> Foreign {
    let mut attributes = json!({
        "source": "https://shop.example.com/accounts", "type": UserCreatedV2::TYPE.as_str(),
        "time": now.format(&Rfc3339).unwrap(), "sequence": Sequence::after(None, now),
    });
    for (name, value) in extra {
        attributes[*name] = value.clone();
    }
    Foreign { attributes, data, as_bytes: false }
}

impl Foreign {
    async fn written(&self) -> OutgoingMessage {
        let parts = json!({"attributes": self.attributes, "data": self.data, "as_bytes": self.as_bytes});
        // Without the attribute the filter policy of the queue would pass it over.
        let attributes = [("type".to_owned(), UserCreatedV2::TYPE.to_string())].into();
        OutgoingMessage { body: sdk("write", &parts.to_string()).await, attributes }
    }
}

fn v1(name: &str, now: OffsetDateTime) -> Value {
    json!({
        "userId": schemas::event_id(now), "email": format!("{name}@example.com"),
        "timestamp": now.format(&Rfc3339).unwrap(), "source": "shop",
    })
}

fn v2(name: &str, now: OffsetDateTime) -> Value {
    let mut data = v1(name, now);
    data["displayName"] = json!("Zoë «Z» 例");
    data["emailVerified"] = json!(true);
    data["roles"] = json!(["user"]);
    data["status"] = json!("active");
    data
}

on_both_buses!(what_the_sdk_writes_is_applied, what_we_write_the_sdk_reads);

async fn what_the_sdk_writes_is_applied(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    platform.start_worker();
    let now = Clock::system().now();
    let id = schemas::event_id(now).to_string();
    let plain = foreign(now, &[("id", json!(id)), ("schemaversion", json!(2))], v2("plain", now));
    let mut all = vec![
        plain,
        foreign(now, &[("id", json!("order-17/3")), ("schemaversion", json!(1))], v1("old", now)),
        // As it passed through somebody who doesn't know the extension's type; the SDK mints an id, a UUID v4.
        foreign(now, &[("schemaversion", json!("2"))], v2("text", now)),
        foreign(now, &[("schemaversion", json!(2))], v2("bytes", now)),
        foreign(now, &[("schemaversion", json!(1))], v1("charset", now)),
    ];
    all[3].as_bytes = true;
    all[4].attributes["datacontenttype"] = json!("application/json; charset=utf-8");
    let mut messages = Vec::new();
    for event in &all {
        messages.push(event.written().await);
    }
    assert!(messages[3].body.contains("\"data_base64\""), "{}", messages[3].body);
    for result in platform.bus.bus.publisher().publish(UserCreatedV2::TYPE.as_str(), &messages).await {
        result.unwrap();
    }

    let mut expected: Vec<_> = all.iter().map(|event| expected_profile(&event.data)).collect();
    expected.sort();
    eventually("a profile for every event of the SDK", async || (platform.profiles().await == expected).then_some(()))
        .await;
    let registered: Vec<OffsetDateTime> =
        sqlx::query_scalar("SELECT registered_at FROM user_profiles").fetch_all(&platform.user.pool).await.unwrap();
    assert!(registered.iter().all(|at| at.unix_timestamp_nanos() / 1_000 == now.unix_timestamp_nanos() / 1_000));
    let logged: Vec<(String, i32, String, Option<i64>)> =
        sqlx::query_as("SELECT event_id, schema_version, source, sequence FROM event_logs")
            .fetch_all(&platform.user.pool)
            .await
            .unwrap();
    let source = "https://shop.example.com/accounts";
    assert!(logged.iter().all(|row| row.2 == source && row.3 == Some(Sequence::after(None, now).get())), "{logged:?}");
    for (id, version) in [(id.as_str(), 2), ("order-17/3", 1)] {
        assert_eq!(logged.iter().filter(|row| row.0 == id && row.1 == version).count(), 1, "{id} in {logged:?}");
    }

    // And again: what the SDK calls the same event is the same event.
    let again = platform.bus.bus.publisher().publish(UserCreatedV2::TYPE.as_str(), &messages).await;
    assert!(again.iter().all(Result::is_ok));
    eventually("every copy to be recognised", async || {
        let copies = sqlx::query_scalar::<_, i64>("SELECT sum(redeliveries) FROM event_logs");
        (copies.fetch_one(&platform.user.pool).await.unwrap() == all.len() as i64).then_some(())
    })
    .await;
    assert_eq!(platform.profiles().await, expected);

    // What every producer has to say beside what the specification asks for.
    let unversioned = foreign(now, &[], v2("unversioned", now)).written().await;
    platform.queue.send(&[unversioned]).await.remove(0).unwrap();
    let request = ReceiveRequest { max: 1, wait: Duration::from_secs(1), visibility: Duration::from_secs(60) };
    let dead = eventually("a dead letter", async || platform.dead_letters.receive(request).await.unwrap().pop()).await;
    let report: FailureReport = serde_json::from_str(&dead.attributes[FAILURE_ATTRIBUTE]).unwrap();
    assert!(report.causes[0].starts_with("missing field `schemaversion`"), "{report:?}");
    platform.dead_letters.delete(&[dead.receipt]).await.remove(0).unwrap();
    platform.stop().await;
}

fn expected_profile(data: &Value) -> (Uuid, Option<String>) {
    (data["userId"].as_str().unwrap().parse().unwrap(), data["email"].as_str().map(str::to_owned))
}

async fn what_we_write_the_sdk_reads(bus: TestBus) {
    let mut platform = Platform::start(bus).await;
    let (queue, _) = platform.bus.subscribe("sdk", &[UserCreatedV2::TYPE], QueueSettings::DEFAULT).await;
    platform.start_relay();
    platform.start_worker();
    assert_eq!(platform.register("alice@example.com").await, StatusCode::ACCEPTED);
    let request = ReceiveRequest { max: 1, wait: Duration::from_secs(1), visibility: Duration::from_secs(60) };
    let message = eventually("the event", async || queue.receive(request).await.unwrap().pop()).await;
    let read: Value = serde_json::from_str(&sdk("read", &message.body).await).unwrap();

    let mut ours: Value = serde_json::from_str(&message.body).unwrap();
    let data = ours.as_object_mut().unwrap().remove("data").unwrap();
    assert_eq!((&data["email"], &data["status"]), (&json!("alice@example.com"), &json!("active")));
    assert_eq!(read["data"], data);
    let (envelope, key) = Envelope::read(&message.body).unwrap();
    let time = ours.as_object_mut().unwrap().remove("time").unwrap();
    let [theirs, ours_at] = [&read["time"], &time]
        .map(|time| OffsetDateTime::parse(time.as_str().unwrap(), &Rfc3339).unwrap().unix_timestamp_nanos() / 1_000);
    assert_eq!(theirs, ours_at, "in microseconds, which is what Python's times hold");
    assert_eq!(read["attributes"], ours);
    for attribute in ["id", "source", "type", "subject", "schemaversion", "sequence", "datacontenttype", "dataschema"] {
        assert!(!ours[attribute].is_null(), "{attribute} in {ours}");
    }

    // There and back it is still the same event.
    let mut parts = json!({"attributes": ours, "data": data, "as_bytes": false});
    parts["attributes"]["time"] = time;
    let (back, same_key) = Envelope::read(&sdk("write", &parts.to_string()).await).unwrap();
    assert_eq!((same_key, back.sequence, back.schemaversion), (key, envelope.sequence, envelope.schemaversion));
    platform.until_profiles_are_accounts().await;
    platform.stop().await;
}
