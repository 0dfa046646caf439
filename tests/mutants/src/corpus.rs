use schemas::{SchemaEntry, all_schemas};
use serde_json::{Map, Value, json};

/// A payload that somebody wrote, read.
#[derive(Debug, Clone)]
pub struct Example {
    pub entry: &'static SchemaEntry,
    pub valid: bool,
    /// For an invalid one, the field and what is wrong with it.
    pub name: &'static str,
    pub data: Value,
}

/// The fields of any event that are personal or secret.
pub const GUARDED: [&str; 4] = ["email", "previousEmail", "displayName", "tokenSealed"];

impl Example {
    pub fn title(&self) -> String {
        format!("{}/{}/{}", self.entry.title(), if self.valid { "valid" } else { "invalid" }, self.name)
    }

    /// What the example holds in fields that are personal or secret.
    pub fn guarded(&self) -> Vec<String> {
        GUARDED.iter().filter_map(|field| self.data[field].as_str()).map(str::to_owned).collect()
    }
}

/// Every example of every version.
///
/// # Panics
///
/// Where one of them is no JSON.
pub fn examples() -> Vec<Example> {
    let of_version = |entry: &'static SchemaEntry| {
        entry.examples().map(move |example| Example {
            entry,
            valid: example.valid,
            name: example.name,
            data: serde_json::from_str(example.text)
                .unwrap_or_else(|error| panic!("{}/{}: {error}", entry.title(), example.name)),
        })
    };
    all_schemas().iter().flat_map(of_version).collect()
}

/// The payload in an envelope as a producer would write it.
pub fn envelope(example: &Example) -> Map<String, Value> {
    let envelope = json!({
        "specversion": "1.0", "id": "019ab6a1-3c00-7000-8000-000000000001", "source": example.entry.producer,
        "type": example.entry.event_type.as_str(), "subject": example.data.get("userId"),
        "time": "2026-01-02T03:04:05.678Z", "datacontenttype": "application/json",
        "schemaversion": example.entry.version, "sequence": "00001767323045678901", "data": example.data,
    });
    match envelope {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Examples, the valid ones and the others.
#[derive(Debug)]
pub struct Corpus {
    good: Vec<Example>,
    bad: Vec<Example>,
}

impl Corpus {
    pub fn of(examples: Vec<Example>) -> Self {
        let (good, bad) = examples.into_iter().partition(|example| example.valid);
        Self { good, bad }
    }

    /// Seven of eight are valid ones, or hardly any mutant would stay valid.
    pub fn pick(&self, round: usize) -> &Example {
        match round.is_multiple_of(8) {
            true => &self.bad[round / 8 % self.bad.len()],
            false => &self.good[round % self.good.len()],
        }
    }
}
