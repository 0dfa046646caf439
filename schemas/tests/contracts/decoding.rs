//! Ten thousand broken events: each is read, raised or refused with a reason that quotes nothing, and none panics.

use std::{collections::HashMap, error::Error};

use jsonschema::Validator;
use schemas::{
    Envelope, Newest, PayloadError, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1, ProductUpdatedV1,
    UserCreatedV2, UserDeactivatedV1, UserDeletedV1, UserEmailChangedV1, UserEmailVerificationRequestedV1,
    UserEmailVerifiedV1, UserErasureCompletedV1, UserPasswordChangedV1, UserPasswordResetRequestedV1,
    UserReactivatedV1, UserRegistrationRepeatedV1, UserRolesChangedV1, UserSessionsRevokedV1, all_schemas, redact,
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    corpus::{Example, examples},
    raw, validator,
};

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

/// `SplitMix64`: the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }
}

fn envelope(example: &Example) -> Value {
    json!({
        "specversion": "1.0", "id": "019ab6a1-3c00-7000-8000-000000000001", "source": example.entry.producer,
        "type": example.entry.event_type.as_str(), "subject": example.data.get("userId"),
        "time": "2026-01-02T03:04:05.678Z", "datacontenttype": "application/json",
        "schemaversion": example.entry.version, "sequence": "00001767323045678901", "data": example.data,
    })
}

/// A value at random, at any depth, and the whole now and then.
fn part<'a>(dice: &mut Dice, value: &'a mut Value) -> &'a mut Value {
    let size = value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len);
    if size == 0 || dice.below(8) == 0 {
        return value;
    }
    let at = dice.below(size);
    match value {
        Value::Object(fields) => part(dice, fields.values_mut().nth(at).unwrap()),
        Value::Array(items) => part(dice, &mut items[at]),
        _ => value,
    }
}

fn mutate_value(dice: &mut Dice, value: &mut Value) {
    let foreign = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(2.0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("ada, expected bob at line 3"),
        json!([]),
        json!({}),
        json!(["user", ["user"]]),
    ];
    match dice.below(5) {
        0 => *part(dice, value) = foreign[dice.below(foreign.len())].clone(),
        1 | 2 => {
            let copied = part(dice, value).clone();
            *part(dice, value) = copied;
        }
        3 => {
            let place = part(dice, value);
            if let Some(text) = place.as_str() {
                *place = Value::from(mutated_text(dice, text));
            }
        }
        _ => {
            let at = dice.roll() as usize;
            if let Value::Object(fields) = &mut *value
                && let Some(name) = fields.keys().nth(at % fields.len().max(1)).cloned()
                && let Some(value) = fields.remove(&name)
                && at.is_multiple_of(3)
            {
                fields.insert(mutated_text(dice, &name), value);
            }
        }
    }
}

fn mutated_text(dice: &mut Dice, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let at = dice.below(letters.len() + 1);
    let new = ['\0', '\n', ' ', '@', '-', '.', 'Z', '0', '9', 'é', '\u{85}', '\u{1f600}', '"', '\\'][dice.below(14)];
    match dice.below(4) {
        0 => letters.insert(at, new),
        1 => letters.truncate(at),
        2 => letters = letters.repeat(dice.below(80)),
        _ => {
            if let Some(letter) = letters.get_mut(at) {
                *letter = new;
            }
        }
    }
    letters.into_iter().collect()
}

fn mutate_bytes(dice: &mut Dice, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, dice.roll() as u8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            _ => {
                let to = at + dice.below(bytes.len() - at);
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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

/// The error with its causes, as it reaches logs and `event_failures`.
fn told(error: &dyn Error) -> String {
    let mut told = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        told = format!("{told}: {error}");
        next = error.source();
    }
    told
}

/// No eight characters of what is personal or secret.
fn assert_quotes_nothing(example: &Example, text: &str, body: &str) {
    for guarded in example.guarded() {
        let letters: Vec<_> = guarded.chars().collect();
        for piece in letters.windows(8.min(letters.len().max(1))) {
            let piece: String = piece.iter().collect();
            assert!(!text.contains(&piece), "`{piece}` of {body} is in `{text}`");
        }
    }
}

/// The valid ones and the others.
fn corpus() -> (Vec<Example>, Vec<Example>) {
    examples().into_iter().partition(|example| example.valid)
}

/// Seven of eight mutants come of valid examples, or hardly any would stay valid.
fn pick<'a>(round: usize, good: &'a [Example], bad: &'a [Example]) -> &'a Example {
    if round.is_multiple_of(8) { &bad[round / 8 % bad.len()] } else { &good[round % good.len()] }
}

#[test]
fn broken_events_are_read_or_refused_and_never_quoted() {
    let (good, bad) = corpus();
    let mut dice = Dice(4);
    let mut outcomes = HashMap::new();
    for round in 0..ROUNDS {
        let example = pick(round, &good, &bad);
        let mut value = envelope(example);
        let body = if dice.below(3) == 0 {
            mutate_bytes(&mut dice, &value.to_string())
        } else {
            let place = if dice.below(3) == 0 { &mut value } else { &mut value["data"] };
            mutate_value(&mut dice, place);
            value.to_string()
        };
        let outcome = decode(&body).unwrap_or_else(|error| {
            assert_quotes_nothing(example, &told(&*error), &body);
            Outcome::Refused
        });
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    for outcome in [Outcome::Read, Outcome::Raised, Outcome::NotForUs, Outcome::Refused] {
        assert!(outcomes.get(&outcome).is_some_and(|count| *count >= 100), "{outcome:?} in {outcomes:?}");
    }
}

/// The one place where an address is refused that its schema takes: a schema can't count bytes, and the first one was
/// released before control characters were thought of.
fn is_beyond_a_schema(address: &str) -> bool {
    address.len() > 254 && !address.is_ascii() || address.contains(char::is_control)
}

#[test]
fn the_schema_and_the_struct_agree_on_broken_payloads() {
    let (good, bad) = corpus();
    let validators: HashMap<_, Validator> = all_schemas().iter().map(|e| (e.title(), validator(e))).collect();
    let mut dice = Dice(5);
    let mut valid = 0;
    for round in 0..ROUNDS {
        let example = pick(round, &good, &bad);
        let mut data = example.data.clone();
        mutate_value(&mut dice, &mut data);
        if ["email", "previousEmail"].iter().any(|field| data[field].as_str().is_some_and(is_beyond_a_schema)) {
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
