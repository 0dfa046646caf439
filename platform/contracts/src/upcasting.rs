//! Whether an upcaster closes what lies between two versions: tried, on every document at hand.

use schemas::SchemaEntry;
use serde_json::{Value, value::RawValue};

use crate::{inclusion::Gap, sample::Sampler, shape::Shape, validity::validator_of};

const SAMPLES: usize = 100;
/// Any will do; the same one makes the same verdict.
const SEED: u64 = 0;

/// What came of raising events of an older version.
#[derive(Debug, serde::Serialize)]
pub struct Raised {
    pub event: String,
    pub from: u32,
    pub to: u32,
    /// How many documents of the older version it was tried on.
    pub tried: usize,
    /// Gaps that the newer version would have for them without it.
    pub closes: Vec<Gap>,
    /// A document that it doesn't raise to a valid one, and why.
    pub failed: Option<FailedUpcast>,
}

#[derive(Debug, serde::Serialize)]
pub struct FailedUpcast {
    pub document: Value,
    pub why: String,
}

impl Raised {
    pub fn is_complete(&self) -> bool {
        self.failed.is_none() && self.tried > 0
    }
}

/// Raises what shows the `gaps`, the examples of the older version, and samples of it; each has to be valid by `newer`.
pub fn try_upcaster(older: &'static SchemaEntry, to: u32, newer: &Shape, gaps: &[Gap]) -> Raised {
    let valid = validator_of(newer);
    let shown = gaps.iter().filter_map(|gap| gap.witness.clone());
    let examples = older.examples().filter(|example| example.valid);
    let examples = examples.filter_map(|example| serde_json::from_str(example.text).ok());
    let samples = Sampler::new(older, SEED)
        .into_iter()
        .flat_map(|mut sampler| std::iter::repeat_with(move || sampler.sample()).take(SAMPLES).filter_map(Result::ok));
    let mut raised = Raised {
        event: older.event_type.to_string(),
        from: older.version,
        to,
        tried: 0,
        closes: gaps.to_vec(),
        failed: None,
    };
    for document in shown.chain(examples).chain(samples) {
        let text = RawValue::from_string(document.to_string()).expect("a value's text is JSON");
        let why = match older.raise(&text) {
            Ok(newest) if valid.is_valid(&newest) => None,
            Ok(_) => Some("what it is raised to breaks the newer schema".to_owned()),
            // Its schema can't say all that the struct asks for; nobody could have sent it.
            Err(_) if older.check(&text).is_err() => continue,
            Err(error) => Some(error.to_string()),
        };
        raised.tried += 1;
        if let Some(why) = why {
            raised.failed = Some(FailedUpcast { document, why });
            break;
        }
    }
    raised
}
