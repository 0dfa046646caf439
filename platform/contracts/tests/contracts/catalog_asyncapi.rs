//! The AsyncAPI document. Its own tools check its structure; that it says of payloads what the schemas say, none does.

use jsonschema::Validator;
use messaging::{MAX_ATTRIBUTES, QueueSettings};
use schemas::{Clock, Envelope, Header, SchemaEntry, Sequence, UserCreatedV1, all_schemas, event_id};
use serde_json::{Value, json};

use crate::catalog::{built, landscape};

fn document() -> Value {
    serde_json::from_str(&built(&landscape()).unwrap()["asyncapi.json"]).unwrap()
}

/// Judges message bodies as a tool would that takes draft-07 at its word.
fn payload(document: &Value, entry: &SchemaEntry) -> Validator {
    let pointer = format!("#/components/messages/{}.v{}/payload", entry.event_type, entry.version);
    let schema = json!({ "$ref": pointer, "components": document["components"] });
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft7).should_validate_formats(true);
    options.with_format("email", |_: &str| true).build(&schema).unwrap()
}

fn message<'a>(document: &'a Value, entry: &SchemaEntry) -> &'a Value {
    &document["components"]["messages"][format!("{}.v{}", entry.event_type, entry.version)]
}

#[test]
fn what_the_schemas_accept_and_refuse_the_document_does_too() {
    let document = document();
    let mut judged = (0, 0);
    for entry in all_schemas() {
        let validator = payload(&document, entry);
        let mut envelope = message(&document, entry)["examples"][0]["payload"].clone();
        for example in entry.examples() {
            envelope["data"] = serde_json::from_str(example.text).unwrap();
            let errors: Vec<_> = validator.iter_errors(&envelope).map(|error| error.to_string()).collect();
            assert_eq!(errors.is_empty(), example.valid, "{} {}: {errors:?}", entry.title(), example.name);
            if example.valid { judged.0 += 1 } else { judged.1 += 1 }
        }
    }
    assert!(judged.0 >= 2 * all_schemas().len() && judged.1 >= 4 * all_schemas().len(), "{judged:?}");
}

#[test]
fn every_example_is_valid_under_its_own_message_and_under_no_other() {
    let document = document();
    for entry in all_schemas() {
        let validator = payload(&document, entry);
        for other in all_schemas() {
            for example in message(&document, other)["examples"].as_array().unwrap() {
                let valid = validator.is_valid(&example["payload"]);
                assert_eq!(valid, other.title() == entry.title(), "{} under {}", other.title(), entry.title());
            }
        }
    }
}

#[test]
fn what_a_producer_sends_is_valid_and_what_lacks_an_attribute_is_not() {
    let now = Clock::system().now();
    let event = UserCreatedV1 {
        user_id: event_id(now),
        email: "alice@example.com".to_owned().try_into().unwrap(),
        timestamp: now,
        source: "auth-service".to_owned(),
    };
    let header = Header {
        id: event_id(now),
        source: "auth-service",
        time: now,
        sequence: Sequence::after(None, now),
        traceparent: None,
    };
    let envelope = serde_json::to_value(Envelope::new(&event, header).unwrap()).unwrap();
    let validator = payload(&document(), SchemaEntry::find("user.created", 1).unwrap());
    let errors: Vec<_> = validator.iter_errors(&envelope).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for attribute in envelope.as_object().unwrap().keys() {
        let mut lacking = envelope.clone();
        lacking.as_object_mut().unwrap().remove(attribute);
        assert!(!validator.is_valid(&lacking), "valid without {attribute}");
    }
}

#[test]
fn examples_carry_the_attributes_that_they_are_filtered_by() {
    let document = document();
    for entry in all_schemas() {
        let message = message(&document, entry);
        let validator = jsonschema::draft7::new(&message["headers"]).unwrap();
        for example in message["examples"].as_array().unwrap() {
            assert!(validator.is_valid(&example["headers"]), "{}", entry.title());
            assert_eq!(example["headers"]["type"], entry.event_type.as_str());
            assert!(example["headers"].as_object().unwrap().len() <= MAX_ATTRIBUTES);
        }
    }
}

#[test]
fn topics_queues_and_operations_are_those_of_the_topology() {
    let document = document();
    let channels: Vec<_> = document["channels"].as_object().unwrap().keys().collect();
    assert_eq!(channels, ["queue.mailer", "queue.user-service", "topic.user-created", "topic.user-deleted"]);
    let queue = &document["channels"]["queue.mailer"]["bindings"]["sqs"];
    assert_eq!(queue["queue"]["redrivePolicy"]["deadLetterQueue"]["name"], "mailer-dlq");
    assert_eq!(queue["queue"]["redrivePolicy"]["maxReceiveCount"], QueueSettings::DEFAULT.max_receive_count);
    assert_eq!(queue["queue"]["visibilityTimeout"], QueueSettings::DEFAULT.visibility.as_secs());
    let operations: Vec<_> = document["operations"].as_object().unwrap().keys().collect();
    let sends = ["auth-service.send.user.created", "auth-service.send.user.deleted"];
    assert_eq!(operations, [sends[0], sends[1], "mailer.welcome", "user-service.record_profile"]);
    let consumers = document["operations"][sends[0]]["bindings"]["sns"]["consumers"].as_array().unwrap();
    let endpoints: Vec<_> = consumers.iter().map(|consumer| &consumer["endpoint"]["name"]).collect();
    assert_eq!(endpoints, ["mailer", "user-service"]);
    assert!(document["operations"][sends[1]].get("bindings").is_none(), "nobody listens, which the binding can't say");
}
