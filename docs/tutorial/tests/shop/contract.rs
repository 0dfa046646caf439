//! What the platform makes of the event as a contract.

use contracts::{Older, Shape, gaps, try_upcaster};
use schemas::SchemaEntry;
use serde_json::json;
use tutorial::{OrderPlacedV1, OrderPlacedV2, SHOP};

static V1: SchemaEntry = SchemaEntry::of::<OrderPlacedV1, OrderPlacedV2>(SHOP);
static V2: SchemaEntry = SchemaEntry::of::<OrderPlacedV2, OrderPlacedV2>(SHOP);

#[test]
fn the_upcaster_closes_what_lies_between_the_versions() {
    let [v1, v2] = [&V1, &V2].map(|entry| Shape::read(&entry.json_schema()).unwrap());

    // Events of version 1 that lie in queues, as a reader of version 2 would find them without an upcaster.
    let backward = gaps(&v1, &v2, Older::Writer);
    let found: Vec<_> = backward.iter().map(|gap| (gap.pointer.as_str(), &*gap.rule)).collect();
    assert_eq!(found, [("/express", "required")]);

    // With it they are read: tried on the documents that show the gaps, and on a hundred random ones.
    let raised = try_upcaster(&V1, 2, &v2, backward);
    assert!(raised.is_complete() && raised.tried > 100, "{raised:?}");

    // A reader that still runs with version 1 takes events of version 2.
    assert_eq!(gaps(&v2, &v1, Older::Reader), []);
}

#[test]
fn a_change_that_breaks_a_reader_is_shown_by_a_document() {
    // Version 3 calls `deliveryName` just `name`.
    let renamed = V2.json_schema().to_string().replace("deliveryName", "name");
    let [v2, v3] = [V2.json_schema(), renamed.parse().unwrap()].map(|schema| Shape::read(&schema).unwrap());

    let found = gaps(&v3, &v2, Older::Reader);
    let gap = found.first().unwrap();
    assert_eq!((gap.pointer.as_str(), &*gap.rule), ("/deliveryName", "required"));
    let document = json!({
        "orderId": "019b76da-0000-7000-8000-000000000001",
        "article": "aaa",
        "name": "aaa",
        "placedAt": "2026-01-02T03:04:05Z",
        "express": false,
    });
    assert_eq!(gap.witness.as_ref(), Some(&document), "a reader of version 2 refuses it");
}

#[test]
fn every_field_says_how_it_may_be_shown() {
    for entry in [&V1, &V2] {
        for (name, field) in entry.json_schema()["properties"].as_object().unwrap() {
            let personal = ["deliveryName", "announceTo"].contains(&name.as_str());
            assert_eq!(field["x-classification"], if personal { "pii" } else { "open" }, "{name}");
        }
    }
}
