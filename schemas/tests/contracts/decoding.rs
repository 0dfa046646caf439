//! Ten thousand broken events: each is read, raised or refused with a reason that quotes nothing, and none panics.

use std::{collections::HashMap, error::Error};

use jsonschema::Validator;
use mutants::{Corpus, Dice, envelope, examples, mutate_value, mutated, quoted, told};
use schemas::{
    Envelope, Newest, PayloadError, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1, ProductUpdatedV1,
    UserCreatedV2, UserDeactivatedV1, UserDeletedV1, UserEmailChangedV1, UserEmailVerificationRequestedV1,
    UserEmailVerifiedV1, UserErasureCompletedV1, UserPasswordChangedV1, UserPasswordResetRequestedV1,
    UserReactivatedV1, UserRegistrationRepeatedV1, UserRolesChangedV1, UserSessionsRevokedV1, all_schemas, redact,
};
use serde_json::value::RawValue;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::{raw, validator};

const ROUNDS: usize = 10_000;

/// As a worker's registry has it.
struct Reader {
    event_type: &'static str,
    read: fn(u32, &RawValue) -> Result<(), PayloadError>,
    needs_upcast: fn(u32) -> bool,
}

const fn reader<E: Newest>() -> Reader {
    Reader {
        event_type: E::TYPE.as_str(),
        read: |version, data| E::read(version, data).map(drop),
        needs_upcast: E::needs_upcast,
    }
}

const READERS: [Reader; 17] = [
    reader::<UserCreatedV2>(),
    reader::<UserEmailVerificationRequestedV1>(),
    reader::<UserEmailVerifiedV1>(),
    reader::<UserEmailChangedV1>(),
    reader::<UserPasswordResetRequestedV1>(),
    reader::<UserPasswordChangedV1>(),
    reader::<UserRegistrationRepeatedV1>(),
    reader::<UserRolesChangedV1>(),
    reader::<UserSessionsRevokedV1>(),
    reader::<UserDeactivatedV1>(),
    reader::<UserReactivatedV1>(),
    reader::<UserDeletedV1>(),
    reader::<UserErasureCompletedV1>(),
    reader::<ProductCreatedV1>(),
    reader::<ProductUpdatedV1>(),
    reader::<ProductPriceChangedV1>(),
    reader::<ProductDiscontinuedV1>(),
];

fn reader_of(event_type: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.event_type == event_type)
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Read,
    Raised,
    NotForUs,
    Refused,
}

fn decode(body: &str) -> Result<Outcome, Box<dyn Error>> {
    let (envelope, _) = Envelope::read(body)?;
    if let Ok(data) = serde_json::from_str(envelope.data.get()) {
        let _ = redact(&envelope.event_type, envelope.schemaversion, &data);
    }
    let Some(reader) = reader_of(&envelope.event_type) else { return Ok(Outcome::NotForUs) };
    (reader.read)(envelope.schemaversion, &envelope.data)?;
    Ok(if (reader.needs_upcast)(envelope.schemaversion) { Outcome::Raised } else { Outcome::Read })
}

#[test]
fn broken_events_are_read_or_refused_and_never_quoted() {
    let corpus = Corpus::of(examples());
    let mut dice = Dice::seeded(4);
    let mut outcomes = HashMap::new();
    for round in 0..ROUNDS {
        let example = corpus.pick(round);
        let body = mutated(&mut dice, envelope(example));
        let outcome = decode(&body).unwrap_or_else(|error| {
            let told = told(&*error);
            assert_eq!(quoted(&example.guarded(), &told), None, "of {body} in `{told}`");
            Outcome::Refused
        });
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    for outcome in [Outcome::Read, Outcome::Raised, Outcome::NotForUs, Outcome::Refused] {
        assert!(outcomes.get(&outcome).is_some_and(|count| *count >= 100), "{outcome:?} in {outcomes:?}");
    }
}

/// Where an address is refused that its schema takes: a schema can't count bytes, and the first one was released before
/// control characters were thought of.
fn is_address_beyond_a_schema(address: &str) -> bool {
    address.len() > 254 && !address.is_ascii() || address.contains(char::is_control)
}

/// Where a time is refused that the first schema takes: in UTC it lies in a year that no text form can say.
fn is_time_beyond_a_schema(time: &str) -> bool {
    let utc = OffsetDateTime::parse(time, &Rfc3339).map(|time| time.checked_to_offset(UtcOffset::UTC));
    utc.is_ok_and(|utc| utc.is_none_or(|utc| utc.year() < 0))
}

#[test]
fn the_schema_and_the_struct_agree_on_broken_payloads() {
    let corpus = Corpus::of(examples());
    let validators: HashMap<_, Validator> = all_schemas().iter().map(|e| (e.title(), validator(e))).collect();
    let mut dice = Dice::seeded(5);
    let mut valid = 0;
    for round in 0..ROUNDS {
        let example = corpus.pick(round);
        let mut data = example.data.clone();
        mutate_value(&mut dice, &mut data);
        if ["email", "previousEmail"].iter().any(|field| data[field].as_str().is_some_and(is_address_beyond_a_schema))
            || data["timestamp"].as_str().is_some_and(is_time_beyond_a_schema)
        {
            continue;
        }
        let read = example.entry.check(&raw(&data));
        let validator = &validators[&example.entry.title()];
        assert_eq!(read.is_ok(), validator.is_valid(&data), "{} {data}: {read:?}", example.title());
        valid += usize::from(read.is_ok());
    }
    assert!((ROUNDS / 10..ROUNDS / 2).contains(&valid), "{valid} of {ROUNDS} are valid");
}

#[test]
fn every_type_has_a_reader_of_its_newest_version() {
    for entry in all_schemas() {
        let reader = reader_of(entry.event_type.as_str());
        let raises = reader.map(|reader| (reader.needs_upcast)(entry.version));
        let newest = schemas::SchemaEntry::newest(entry.event_type.as_str()).unwrap();
        assert_eq!(raises, Some(entry.version < newest.version), "{}", entry.title());
    }
}
