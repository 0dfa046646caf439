//! What handlers declare that they read: it decides whom a check of schemas warns.

use contracts::{Sampler, payload_fields};
use schemas::SchemaEntry;
use serde_json::{Value, json};
use worker::{Outcome, Reading};

use crate::{
    events::{Kind, event},
    world::{World, world},
};

/// What comes of a payload, on its own: the profile or the product, and what was answered.
async fn outcome(world: &World, event_type: &str, version: u32, payload: &Value) -> Option<Value> {
    world.forget_everything().await;
    // The attributes are those of any event; its type and data are this one's.
    let mut envelope = serde_json::to_value(event(Kind::Created, 1, 1)).unwrap();
    envelope["type"] = event_type.into();
    envelope["schemaversion"] = version.into();
    envelope["dataschema"] = format!("urn:waypost:{event_type}:{version}").into();
    envelope["data"] = payload.clone();
    let became = world.deliver_bodies(vec![envelope.to_string()]).await.pop().unwrap();
    let answers: Vec<_> = world.answers().await.into_iter().map(|answer| answer["data"].clone()).collect();
    // A schema allows a few addresses that are refused.
    matches!(became, Outcome::Applied).then_some(json!([world.rows().await, world.products().await, answers]))
}

#[tokio::test]
async fn every_handler_reads_the_fields_that_it_declares_and_no_others() {
    let world = world().await;
    let mut readings: Vec<Reading> = user_service::declared().readings().collect();
    readings.sort_by_key(|reading| reading.handler);
    let handlers: Vec<_> = readings.iter().map(|reading| reading.handler).collect();
    assert_eq!(
        handlers,
        [
            "erase_user",
            "record_changed_address",
            "record_changed_password",
            "record_changed_price",
            "record_deactivation",
            "record_discontinued_product",
            "record_product",
            "record_profile",
            "record_reactivation",
            "record_revoked_sessions",
            "record_roles",
            "record_updated_product",
            "record_verified_address",
        ]
    );
    for reading in readings {
        let (event_type, version) = (reading.event_type.as_str(), reading.version);
        let entry = SchemaEntry::find(event_type, version).unwrap();
        let mut samples = Sampler::new(entry, 3).unwrap();
        let (base, before) = loop {
            let base = samples.sample().unwrap();
            if let Some(before) = outcome(&world, event_type, version, &base).await {
                break (base, before);
            }
        };
        for field in payload_fields(&entry.json_schema()) {
            let pointer = field.pointer.as_str();
            let after = loop {
                let mut changed = base.clone();
                let sample = samples.sample().unwrap();
                let other = sample.pointer(pointer);
                let Some(other) = other.filter(|value| Some(*value) != base.pointer(pointer)) else { continue };
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                changed.pointer_mut(parent).unwrap()[name] = other.clone();
                if let Some(after) = outcome(&world, event_type, version, &changed).await {
                    break after;
                }
            };
            // Whoever reads a field reads all that is in it.
            let covers = |declared: &&str| format!("{pointer}/").starts_with(&format!("{declared}/"));
            let is_declared = reading.fields.iter().any(covers);
            assert_eq!(after != before, is_declared, "{event_type}{pointer}: {after}");
        }
    }
}
