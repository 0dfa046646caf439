//! The whole system as one AsyncAPI document.
//!
//! A topic is a channel with the SNS binding, a queue one with the SQS binding, a message one version of one event with
//! the whole CloudEvent as its payload. Bindings are of the versions that AsyncAPI's parser knows. Events that nobody
//! sends yet are messages of no channel.

use messaging::{QueueSettings, Subscriber};
use schemas::{EventType, SchemaEntry};
use serde_json::{Map, Value, json};

use super::{
    draft7::draft7,
    examples::Shown,
    payload::{attributes_of, cloud_event, envelope_of},
    problems::{Problem, ProblemKind},
    system::{Event, Service, System, paths},
};
use crate::Reader;

/// Where it is in the catalog.
pub const PATH: &str = "asyncapi.json";

const SNS: &str = "0.1.0";
const SQS: &str = "0.2.0";

/// How long a receive waits, which no consumer sets apart.
const RECEIVE_WAIT_SECONDS: u64 = 20;

pub fn document(system: &System<'_>, shown: &Shown) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut schemas = Map::new();
    let mut messages = Map::new();
    schemas.insert("cloudevent".to_owned(), cloud_event());
    for event in system.events.values() {
        for entry in &event.versions {
            match draft7(&entry.json_schema()) {
                Ok(schema) => drop(schemas.insert(key(entry), schema)),
                Err(error) => problems.push(Problem::new(ProblemKind::Schema, entry.title(), error.to_string())),
            }
            messages.insert(key(entry), message(event, entry, shown));
        }
    }
    let document = json!({
        "asyncapi": "3.1.0",
        "id": "urn:waypost:events",
        "info": {
            "title": "Waypost",
            "version": "1.0.0",
            "description": "Every event of the platform, who sends it and who reads it. Delivery is at least once and \
                in any order; a reader tells copies by `id` and the newest by `sequence`. \
                Written by `waypost catalog build`.",
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "sns": server("sns", "Topics. `EVENT_PUBLISHER_TYPE=postgres` has PostgreSQL play both."),
            "sqs": server("sqs", "Queues."),
        },
        "channels": channels(system),
        "operations": operations(system),
        "components": { "messages": messages, "schemas": schemas },
    });
    let text = serde_json::to_string_pretty(&document).expect("a JSON value can be written") + "\n";
    if problems.is_empty() { Ok(text) } else { Err(problems) }
}

/// `user.created.v2`: what a version is called among the components, and on its channels.
fn key(entry: &SchemaEntry) -> String {
    format!("{}.v{}", entry.event_type, entry.version)
}

fn server(protocol: &str, description: &str) -> Value {
    let region = json!({ "default": "us-east-1", "description": "`AWS_REGION`." });
    json!({
        "host": format!("{protocol}.{{region}}.amazonaws.com"),
        "protocol": protocol,
        "description": description,
        "variables": { "region": region },
    })
}

fn message(event: &Event<'_>, entry: &SchemaEntry, shown: &Shown) -> Value {
    let attributes = json!({
        "schemaversion": entry.version.to_string(),
        "source": entry.producer,
        "type": entry.event_type.as_str(),
    });
    let example = |name: &str, envelope: &Value| json!({ "name": name, "headers": attributes, "payload": envelope });
    let examples: Vec<_> = shown.of(entry).iter().map(|each| example(each.name, &each.envelope)).collect();
    let reference = json!({ "$ref": format!("#/components/schemas/{}", key(entry)) });
    json!({
        "name": entry.event_type.as_str(),
        "title": entry.title(),
        "summary": entry.description(),
        "description": description(event, entry),
        "contentType": "application/cloudevents+json",
        "tags": [{ "name": entry.event_type.family() }],
        "headers": attributes_of(entry),
        "payload": envelope_of(entry, &reference),
        "examples": examples,
    })
}

fn description(event: &Event<'_>, entry: &SchemaEntry) -> String {
    let about = event.newest().prose().unwrap_or_default().trim_end();
    let state = match (event.is_sent, event.newest().version) {
        (false, _) => "Its schema is there; no code sends it yet.".to_owned(),
        (true, newest) if entry.version < newest => format!("Readers raise it to version {newest}, the one to write."),
        (true, _) => return about.to_owned(),
    };
    format!("{state}\n\n{about}")
}

fn channels(system: &System<'_>) -> Map<String, Value> {
    let mut channels = Map::new();
    for event in system.topics() {
        let name = system.names.topic(event.as_str());
        let channel = json!({
            "address": name,
            "title": format!("Topic {name}"),
            "servers": [{ "$ref": "#/servers/sns" }],
            "messages": messages_of(system, [event]),
            "bindings": { "sns": { "name": name, "ordering": { "type": "standard" }, "bindingVersion": SNS } },
        });
        channels.insert(paths::topic_id(&name), channel);
    }
    for subscriber in &system.subscribers {
        let name = system.names.queue(&subscriber.consumer);
        let channel = json!({
            "address": name,
            "title": format!("Queue {name}"),
            "servers": [{ "$ref": "#/servers/sqs" }],
            "messages": messages_of(system, subscriber.events.iter().copied()),
            "bindings": { "sqs": queue_binding(system, subscriber) },
        });
        channels.insert(paths::queue_id(&name), channel);
    }
    channels
}

/// All versions: what was sent before a version came may still arrive.
fn messages_of(system: &System<'_>, events: impl IntoIterator<Item = EventType>) -> Map<String, Value> {
    let versions = events.into_iter().flat_map(|event| &system.events[event.as_str()].versions);
    let reference =
        |entry: &&'static SchemaEntry| (key(entry), json!({ "$ref": format!("#/components/messages/{}", key(entry)) }));
    versions.map(reference).collect()
}

fn queue_binding(system: &System<'_>, subscriber: &Subscriber) -> Value {
    let QueueSettings { visibility, retention, dead_letter_retention, max_receive_count } = subscriber.settings;
    let dead_letters = system.names.dead_letter_queue(&subscriber.consumer);
    json!({
        "queue": {
            "name": system.names.queue(&subscriber.consumer),
            "fifoQueue": false,
            "visibilityTimeout": visibility.as_secs(),
            "receiveMessageWaitTime": RECEIVE_WAIT_SECONDS,
            "messageRetentionPeriod": retention.as_secs(),
            "redrivePolicy": { "deadLetterQueue": { "name": dead_letters }, "maxReceiveCount": max_receive_count },
        },
        "deadLetterQueue": {
            "name": dead_letters,
            "fifoQueue": false,
            "messageRetentionPeriod": dead_letter_retention.as_secs(),
        },
        "bindingVersion": SQS,
    })
}

fn operations(system: &System<'_>) -> Map<String, Value> {
    let mut operations = Map::new();
    for service in system.services.values() {
        for event in &service.sends {
            operations.insert(format!("{}.send.{event}", service.name), send(system, service, *event));
        }
        for reader in &service.readers {
            operations.insert(format!("{}.{}", service.name, reader.handler), receive(system, reader));
        }
    }
    operations
}

fn send(system: &System<'_>, service: &Service<'_>, event_type: EventType) -> Value {
    let event = &system.events[event_type.as_str()];
    let topic = system.names.topic(event.name());
    let channel = format!("#/channels/{}", paths::topic_id(&topic));
    let consumer = |consumer: &str| {
        json!({
            "protocol": "sqs",
            "endpoint": { "name": system.names.queue(consumer) },
            "filterPolicy": { "type": [event.name()] },
            "filterPolicyScope": "MessageAttributes",
            "rawMessageDelivery": true,
            "redrivePolicy": { "deadLetterQueue": { "name": system.names.undelivered_queue(consumer) } },
        })
    };
    let consumers: Vec<_> = event.consumers().into_iter().map(consumer).collect();
    let mut operation = json!({
        "action": "send",
        "title": format!("{} sends {event_type}", service.name),
        "channel": { "$ref": channel },
        "messages": [{ "$ref": format!("{channel}/messages/{}", key(event.newest())) }],
    });
    // The binding can't say that nobody listens.
    if !consumers.is_empty() {
        let binding = json!({ "topic": { "name": topic }, "consumers": consumers, "bindingVersion": SNS });
        operation["bindings"] = json!({ "sns": binding });
    }
    operation
}

fn receive(system: &System<'_>, reader: &Reader) -> Value {
    let event = &system.events[reader.event_type.as_str()];
    let queue = system.names.queue(&reader.consumer);
    let channel = format!("#/channels/{}", paths::queue_id(&queue));
    let message = |entry: &&SchemaEntry| json!({ "$ref": format!("{channel}/messages/{}", key(entry)) });
    json!({
        "action": "receive",
        "title": format!("{} reads {}", reader.consumer, reader.event_type),
        "channel": { "$ref": channel },
        "messages": event.versions.iter().map(message).collect::<Vec<_>>(),
        "bindings": { "sqs": { "queues": [{ "name": queue }], "bindingVersion": SQS } },
        "x-handler": reader.handler,
        "x-reads": reader.fields,
    })
}
