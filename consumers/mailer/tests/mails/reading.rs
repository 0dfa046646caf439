//! What handlers declare that they read.

use contracts::{Sampler, payload_fields};
use schemas::{Clock, Email, SchemaEntry};
use sealing::{Context, purpose};
use serde_json::{Value, json};
use worker::Reading;

use crate::{
    keys::opened,
    world::{TOKEN, World, make_key, world},
};

const USER: &str = "019ab6a1-3c00-7000-8000-00000000a11c";
/// Stands for a token that is sealed for the event that carries it.
const OPENS: &str = "opens";

/// What comes of a payload: the mail without what differs from event to event, or what became of the event instead.
async fn outcome(world: &World, event_type: &str, payload: &Value) -> (String, Vec<String>, String) {
    let header = world.header();
    let (id, key) = (header.id, header.id.to_string());
    let mut payload = payload.clone();
    if payload["tokenSealed"] == OPENS {
        let purpose = if event_type.contains("reset") { purpose::PASSWORD_RESET } else { purpose::EMAIL_VERIFICATION };
        let context = Context { event_id: id, user_id: USER.parse().unwrap(), purpose };
        payload["tokenSealed"] = world.key.seal(&TOKEN.into(), &context).unwrap().as_str().into();
    }
    // The attributes are those of any event; its type and data are this one's.
    let mut envelope = serde_json::to_value(world.password_changed("any@example.com")).unwrap();
    envelope["id"] = key.clone().into();
    envelope["type"] = event_type.into();
    envelope["dataschema"] = format!("urn:waypost:{event_type}:1").into();
    envelope["data"] = payload;
    let before = world.server.delivered().len();
    let became = world.harness.deliver_bodies(vec![envelope.to_string()]).await.pop().unwrap();
    let became = format!("{became:?}").split(['(', ' ']).next().unwrap().to_owned();
    let mut sent = world.server.delivered().split_off(before);
    assert!(sent.len() < 2);
    let (to, text) = sent.pop().map(|mail| (mail.to, mail.text)).unwrap_or_default();
    let text = text.replace(&key, "KEY").replace(&id.simple().to_string(), "KEY");
    (became, to, text)
}

/// Something else that the schema allows, and that would show.
fn other(field: &str, base: &Value, samples: &mut Sampler) -> Value {
    match field {
        // Languages that we have no words in are all one.
        "/locale" => return json!("fr"),
        // Of any length in the future they are told apart to the minute.
        "/expiresAt" => return json!("2099-01-01T00:00:00Z"),
        _ => {}
    }
    loop {
        let sample = samples.sample().unwrap();
        let Some(value) = sample.pointer(field).filter(|value| Some(*value) != base.pointer(field)) else { continue };
        // The schema allows more addresses than mail can be sent to.
        if field.to_lowercase().ends_with("email") && Email::try_from(value.as_str().unwrap().to_owned()).is_err() {
            continue;
        }
        return value.clone();
    }
}

#[tokio::test]
async fn every_handler_reads_the_fields_that_it_declares_and_no_others() {
    let world = world().await;
    let mut readings: Vec<Reading> = mailer::declared().readings().collect();
    readings.sort_by_key(|reading| reading.handler);
    let handlers: Vec<_> = readings.iter().map(|reading| reading.handler).collect();
    assert_eq!(
        handlers,
        [
            "notify_of_changed_address",
            "notify_of_changed_password",
            "notify_of_deactivation",
            "notify_of_reactivation",
            "notify_of_repeated_registration",
            "send_password_reset_mail",
            "send_verification_mail",
        ]
    );
    for reading in readings {
        let event_type = reading.event_type.as_str();
        let entry = SchemaEntry::find(event_type, reading.version).unwrap();
        let mut samples = Sampler::new(entry, 3).unwrap();
        let mut base = samples.sample().unwrap();
        for (field, value) in [
            ("userId", USER),
            ("email", "ada@example.com"),
            ("previousEmail", "ada.before@example.com"),
            ("reason", "own-request"),
            ("tokenSealed", OPENS),
            ("expiresAt", "2098-01-01T00:00:00Z"),
            ("locale", "de"),
        ] {
            if payload_fields(&entry.json_schema()).iter().any(|known| known.pointer == format!("/{field}")) {
                base[field] = value.into();
            }
        }
        let before = outcome(&world, event_type, &base).await;
        assert_eq!(before.0, "Applied", "{event_type}");
        for field in payload_fields(&entry.json_schema()) {
            let mut changed = base.clone();
            changed[field.pointer.trim_start_matches('/')] = other(&field.pointer, &base, &mut samples);
            let is_declared = reading.fields.contains(&field.pointer.as_str());
            let after = outcome(&world, event_type, &changed).await;
            assert_eq!(after != before, is_declared, "{event_type}{}: {after:?}", field.pointer);
        }
    }
}

/// Declared or opened, it is the same consumer: so the topology and the catalog say what a worker does.
#[tokio::test]
async fn what_is_declared_is_what_is_consumed() {
    let place = tempfile::tempdir().unwrap();
    make_key(place.path(), Clock::system().now());
    let (declared, opened) = (mailer::declared(), mailer::consumer(&opened(place.path()).await.unwrap()));
    assert!(declared.readings().eq(opened.readings()));
    assert_eq!(declared.subscriber(), opened.subscriber());
    assert_eq!((declared.name(), declared.events().len()), ("mailer", 7));
}
