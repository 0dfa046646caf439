use mutants::examples;
use proptest::prelude::*;
use schemas::{Event, Newest, SchemaEntry, UserCreatedV1, UserCreatedV2};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::{raw, validator};

/// `event`, as it goes on the wire, is valid by its own schema and comes back as what it is.
fn assert_writes_what_is_valid<E: Event + PartialEq + std::fmt::Debug>(event: &E) {
    let written = serde_json::to_value(event).unwrap();
    let entry = SchemaEntry::find(E::TYPE.as_str(), E::VERSION).unwrap();
    let errors: Vec<_> = validator(entry).iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(&serde_json::from_value::<E>(written).unwrap(), event);
}

#[test]
fn every_example_of_version_1_is_read_as_a_valid_version_2() {
    let examples = examples();
    let of_v1 = examples.iter().filter(|example| example.valid && example.entry.title() == "user.created v1");
    for example in of_v1 {
        let raised = UserCreatedV2::read(1, &raw(&example.data)).unwrap();
        assert_writes_what_is_valid(&raised);
        let Value::Object(written) = serde_json::to_value(&raised).unwrap() else { panic!("no object") };
        for field in ["userId", "email", "source"] {
            assert_eq!(written[field], example.data[field], "{}", example.title());
        }
        let added = json!([written.get("displayName"), written["emailVerified"], written["roles"], written["status"]]);
        assert_eq!(added, json!([null, false, ["user"], "active"]));
    }
}

#[test]
fn a_reader_can_tell_that_it_raises_a_version() {
    assert!(UserCreatedV2::needs_upcast(1));
    assert!(!UserCreatedV2::needs_upcast(2));
}

#[test]
fn a_version_that_nobody_knows_is_refused_with_those_that_are_known() {
    let data = raw(&json!({}));
    for version in [0, 3, u32::MAX] {
        let error = UserCreatedV2::read(version, &data).unwrap_err();
        assert_eq!(error.to_string(), format!("version {version} of `user.created` is not known here; known: 1, 2"));
    }
}

/// What a producer of version 1 could have written.
fn any_v1() -> impl Strategy<Value = UserCreatedV1> {
    let email = "[a-zé例0-9.+_'-]{1,40}@[a-z0-9-]{1,20}(\\.[a-z]{2,5})?";
    let time = (-62_167_219_200i64..253_402_300_800, 0i64..1_000_000_000, -1439i32..1440);
    let source = prop_oneof!["[a-z][a-z0-9-]{0,70}", ".{0,80}"];
    (any::<u128>(), email, time, source).prop_map(|(id, email, (seconds, nanoseconds, minutes), source)| {
        let utc = OffsetDateTime::from_unix_timestamp(seconds).unwrap() + Duration::nanoseconds(nanoseconds);
        let offset = UtcOffset::from_whole_seconds(minutes * 60).unwrap();
        let timestamp = utc.checked_to_offset(offset).unwrap_or(utc);
        UserCreatedV1 { user_id: Uuid::from_u128(id), email: email.try_into().unwrap(), timestamp, source }
    })
}

proptest! {
    #[test]
    fn any_version_1_is_read_as_a_valid_version_2(v1 in any_v1()) {
        assert_writes_what_is_valid(&v1);
        let data = raw(&serde_json::to_value(&v1).unwrap());
        let raised = UserCreatedV2::read(UserCreatedV1::VERSION, &data).unwrap();
        prop_assert_eq!(&raised, &UserCreatedV2::from(v1));
        assert_writes_what_is_valid(&raised);
    }
}
