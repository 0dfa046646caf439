//! Valid payloads at random: the same for the same seed, and as different from each other as the schema allows.
//!
//! Half of the texts are taken from hand-written examples of the same place, so that most of a sample reads like the
//! real thing; the rest is anything that the pattern allows, up to its longest. Ids and times are always new ones.

use std::collections::HashMap;

use jsonschema::Validator;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use schemas::SchemaEntry;
use serde_json::{Map, Value, value::RawValue};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};
use uuid::Builder;

use crate::{
    language::{Language, NotComparable},
    shape::{InvalidSchema, Kind, Shape},
    validity::validator,
};

/// How often a payload is begun anew that turned out not to be valid: a pattern and a format may have little in common.
const TRIES: usize = 100;
/// Lists, and texts but one of sixteen, are no longer than this, whatever the schema allows.
const USUAL: usize = 24;
/// No text is longer, whatever the schema allows, unless it has to be.
const LONGEST: usize = 10_000;

/// An endless supply.
#[derive(Debug)]
pub struct Sampler {
    title: String,
    /// Whose struct has the last word.
    entry: Option<&'static SchemaEntry>,
    shape: Shape,
    validator: Validator,
    examples: Vec<Value>,
    languages: HashMap<String, Language>,
    random: StdRng,
}

#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("the schema of {title} is not one that can be sampled")]
    Schema { title: String, source: InvalidSchema },
    #[error("`{pointer}` of {title} can't be sampled")]
    Pattern { title: String, pointer: String, source: NotComparable },
    #[error("no valid payload of {title} was found in {TRIES} tries")]
    NoneFound { title: String },
}

impl Sampler {
    pub fn new(entry: &'static SchemaEntry, seed: u64) -> Result<Self, SampleError> {
        let examples = entry.examples().filter(|example| example.valid);
        let examples = examples.filter_map(|example| serde_json::from_str(example.text).ok()).collect();
        let sampler = Self::of_schema(entry.title(), &entry.json_schema(), seed)?;
        Ok(Self { entry: Some(entry), examples, ..sampler })
    }

    /// Of a schema that no struct stands behind.
    pub fn of_schema(title: String, schema: &Value, seed: u64) -> Result<Self, SampleError> {
        let shape = Shape::read(schema).map_err(|source| SampleError::Schema { title: title.clone(), source })?;
        Ok(Self {
            title,
            entry: None,
            shape,
            validator: validator(schema),
            examples: Vec::new(),
            languages: HashMap::new(),
            random: StdRng::seed_from_u64(seed),
        })
    }

    /// Valid by its schema, and read by whoever reads the event.
    pub fn sample(&mut self) -> Result<Value, SampleError> {
        for _ in 0..TRIES {
            let shape = self.shape.clone();
            let Some(found) = self.value(&shape, "")? else { continue };
            let text = RawValue::from_string(found.to_string()).expect("a value's text is JSON");
            // A struct may refuse what its schema can't say: an address is counted in bytes.
            if self.validator.is_valid(&found) && self.entry.is_none_or(|entry| entry.check(&text).is_ok()) {
                return Ok(found);
            }
        }
        Err(SampleError::NoneFound { title: self.title.clone() })
    }

    /// `None` where luck was bad, or where nothing is allowed.
    fn value(&mut self, shape: &Shape, pointer: &str) -> Result<Option<Value>, SampleError> {
        if let Some(values) = &shape.values {
            return Ok(values.choose(&mut self.random).cloned());
        }
        let kinds: Vec<_> = shape.kinds.iter().copied().collect();
        let Some(kind) = kinds.choose(&mut self.random) else { return Ok(None) };
        Ok(match kind {
            Kind::Null => Some(Value::Null),
            Kind::Boolean => Some(self.random.random::<bool>().into()),
            Kind::Integer => Some(self.integer(shape).into()),
            Kind::Number => Some((self.integer(shape) as f64 / 4.0).into()),
            Kind::String => self.text(shape, pointer)?.map(Value::from),
            Kind::Array => self.array(shape, pointer)?,
            Kind::Object => self.object(shape, pointer)?,
        })
    }

    fn integer(&mut self, shape: &Shape) -> i64 {
        let (least, most) = (shape.minimum.unwrap_or(-1e6) as i64, shape.maximum.unwrap_or(1e6) as i64);
        match self.random.random_range(0..16) {
            0 => least,
            1 => most,
            // Small numbers are the usual ones.
            _ => self.random.random_range(least..=most.min(least.saturating_add(10_000)).max(least)),
        }
    }

    fn text(&mut self, shape: &Shape, pointer: &str) -> Result<Option<String>, SampleError> {
        match shape.format.as_deref() {
            Some("uuid") => return Ok(Some(self.uuid())),
            Some("date-time") => return Ok(Some(rfc3339(self.time()))),
            Some("email") => return Ok(Some(self.address())),
            _ => {}
        }
        let known: Vec<_> = self.examples.iter().filter_map(|example| example.pointer(pointer)?.as_str()).collect();
        if self.random.random::<bool>()
            && let Some(known) = known.choose(&mut self.random)
        {
            return Ok(Some((*known).to_owned()));
        }
        let key = shape.pattern.clone().unwrap_or_default();
        if !self.languages.contains_key(&key) {
            let language = Language::of([shape.pattern.as_deref(), None]).map_err(|source| SampleError::Pattern {
                title: self.title.clone(),
                pointer: pointer.to_owned(),
                source,
            })?;
            self.languages.insert(key.clone(), language);
        }
        let usual = shape.min_length.saturating_add(USUAL);
        let longest = shape.max_length.unwrap_or(usual).min(LONGEST.max(usual));
        let lengths = match self.random.random_range(0..16) {
            0 => longest..=longest,
            _ => shape.min_length..=longest.min(usual),
        };
        let random = &mut self.random;
        Ok(self.languages[&key].at_random(lengths, &mut |below| random.random_range(0..below)))
    }

    fn array(&mut self, shape: &Shape, pointer: &str) -> Result<Option<Value>, SampleError> {
        let most = shape.max_items.unwrap_or(USUAL).min(shape.min_items + 4);
        let count = self.random.random_range(shape.min_items..=most.max(shape.min_items));
        let item = shape.item();
        let mut items = Vec::new();
        for _ in 0..count {
            let Some(item) = self.value(&item, &format!("{pointer}/0"))? else { return Ok(None) };
            if !(shape.unique_items && items.contains(&item)) {
                items.push(item);
            }
        }
        Ok(Some(items.into()))
    }

    fn object(&mut self, shape: &Shape, pointer: &str) -> Result<Option<Value>, SampleError> {
        let mut fields = Map::new();
        for (name, property) in &shape.properties {
            if !shape.required.contains(name) && self.random.random::<bool>() {
                continue;
            }
            let Some(value) = self.value(property, &format!("{pointer}/{name}"))? else { return Ok(None) };
            fields.insert(name.clone(), value);
        }
        Ok(Some(fields.into()))
    }

    /// In the first half of 2026, to the millisecond.
    fn time(&mut self) -> OffsetDateTime {
        const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
        START + Duration::milliseconds(self.random.random_range(0..180 * 24 * 60 * 60 * 1_000))
    }

    fn uuid(&mut self) -> String {
        let milliseconds = (self.time().unix_timestamp_nanos() / 1_000_000) as u64;
        let random: [u8; 10] = self.random.random();
        Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid().to_string()
    }

    /// At a domain that nobody owns (RFC 2606).
    fn address(&mut self) -> String {
        let name = ["alice", "bob", "carol", "dave", "erin", "frank"].choose(&mut self.random).expect("there are six");
        let number = self.random.random_range(0..1_000_000);
        let domain = ["example.com", "example.org", "mail.example.net"].choose(&mut self.random).expect("three");
        format!("{name}.{number}@{domain}")
    }
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("a year of four digits can be written")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use schemas::all_schemas;

    use super::*;

    #[test]
    fn samples_are_valid_varied_and_the_same_for_a_seed() {
        for entry in all_schemas() {
            let samples = |seed| {
                let mut sampler = Sampler::new(entry, seed).unwrap();
                (0..40).map(|_| sampler.sample().unwrap()).collect::<Vec<_>>()
            };
            let first = samples(7);
            assert_eq!(first, samples(7), "{}", entry.title());
            assert_ne!(first, samples(8), "{}", entry.title());
            let different: HashSet<_> = first.iter().map(Value::to_string).collect();
            assert_eq!(different.len(), first.len(), "{}", entry.title());
            for (name, property) in &Shape::read(&entry.json_schema()).unwrap().properties {
                let given = first.iter().filter(|sample| sample.get(name).is_some()).count();
                let optional = !Shape::read(&entry.json_schema()).unwrap().required.contains(name);
                assert!(given > 0 && (given < first.len() || !optional), "{name} of {}: {given}", entry.title());
                let values: HashSet<_> =
                    first.iter().filter_map(|sample| sample.get(name)).map(Value::to_string).collect();
                let few = property.values.as_ref().map_or(2, Vec::len).min(2);
                assert!(values.len() >= few, "{name} of {}: {values:?}", entry.title());
            }
        }
    }
}
