//! What a replayed message carries, so that one that fails again is known.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

pub use worker::REPLAY_ATTRIBUTE;

/// The attribute's content, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayStamp {
    pub operation: Uuid,
    /// How often the event was replayed, this time included.
    pub count: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl ReplayStamp {
    pub fn of(attributes: &std::collections::BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(attributes.get(REPLAY_ATTRIBUTE)?).ok()
    }

    pub fn to_attribute(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
