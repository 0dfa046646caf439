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
    /// Gaps that it closes: what shows them is raised to something valid.
    pub closes: Vec<Gap>,
    /// Gaps between the schemas that no event falls into: what shows them, the older version's own struct refuses.
    pub never_sent: Vec<Gap>,
    /// Gaps that it doesn't close, or that no document shows.
    #[serde(skip)]
    pub left: Vec<Gap>,
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
        self.failed.is_none() && self.left.is_empty() && self.tried > 0
    }
}

enum Outcome {
    Valid,
    NeverSent,
    Failed(String),
}

/// Raises what shows the `gaps`, the examples of the older version, and samples of it; each has to be valid by `newer`.
pub fn try_upcaster(older: &'static SchemaEntry, to: u32, newer: &Shape, gaps: Vec<Gap>) -> Raised {
    let valid = validator_of(newer);
    let raise = |document: &Value| {
        let text = RawValue::from_string(document.to_string()).expect("a value's text is JSON");
        match older.raise(&text) {
            Ok(newest) if valid.is_valid(&newest) => Outcome::Valid,
            Ok(_) => Outcome::Failed("what it is raised to breaks the newer schema".to_owned()),
            Err(_) if older.check(&text).is_err() => Outcome::NeverSent,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    };
    let mut raised = Raised {
        event: older.event_type.to_string(),
        from: older.version,
        to,
        tried: 0,
        closes: Vec::new(),
        never_sent: Vec::new(),
        left: Vec::new(),
        failed: None,
    };
    for gap in gaps {
        match gap.witness.as_ref().map(&raise) {
            Some(Outcome::Valid) => raised.closes.push(gap),
            Some(Outcome::NeverSent) => raised.never_sent.push(gap),
            Some(Outcome::Failed(_)) | None => raised.left.push(gap),
        }
    }
    raised.tried = raised.closes.len();
    let examples = older.examples().filter(|example| example.valid);
    let examples = examples.filter_map(|example| serde_json::from_str(example.text).ok());
    let samples = Sampler::new(older, SEED)
        .into_iter()
        .flat_map(|mut sampler| std::iter::repeat_with(move || sampler.sample()).take(SAMPLES).filter_map(Result::ok));
    for document in examples.chain(samples) {
        raised.tried += 1;
        if let Outcome::Failed(why) = raise(&document) {
            raised.failed = Some(FailedUpcast { document, why });
            break;
        }
    }
    raised
}
