use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{InvalidText, text};

text! {
    /// A reason's word on the wire.
    ReasonCode is "open", max 64, "^[a-z]+(-[a-z]+)*$",
    "a reason's code: lower-case words joined by hyphens, at most 64 characters",
    |text| text.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase())),
    known { OWN_REQUEST = "own-request", ADMIN_DECISION = "admin-decision" }
}

/// Why an account was deactivated. Open: it only tells, so a reason that is not known here is kept as its word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ReasonCode", into = "ReasonCode")]
pub enum DeactivationReason {
    /// The person asked for it.
    OwnRequest,
    /// An administrator decided it.
    AdminDecision,
    /// A reason that a newer producer knows.
    Other(ReasonCode),
}

impl DeactivationReason {
    pub fn as_str(&self) -> &str {
        match self {
            Self::OwnRequest => "own-request",
            Self::AdminDecision => "admin-decision",
            Self::Other(code) => code.as_str(),
        }
    }
}

impl From<ReasonCode> for DeactivationReason {
    fn from(code: ReasonCode) -> Self {
        match code.as_str() {
            "own-request" => Self::OwnRequest,
            "admin-decision" => Self::AdminDecision,
            _ => Self::Other(code),
        }
    }
}

impl From<DeactivationReason> for ReasonCode {
    fn from(reason: DeactivationReason) -> Self {
        match reason {
            DeactivationReason::OwnRequest => Self::OWN_REQUEST,
            DeactivationReason::AdminDecision => Self::ADMIN_DECISION,
            DeactivationReason::Other(code) => code,
        }
    }
}

impl std::str::FromStr for DeactivationReason {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        text.parse::<ReasonCode>().map(Self::from)
    }
}

impl JsonSchema for DeactivationReason {
    fn schema_name() -> Cow<'static, str> {
        "DeactivationReason".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ReasonCode::json_schema(generator);
        let known = [ReasonCode::OWN_REQUEST, ReasonCode::ADMIN_DECISION];
        schema.insert("examples".to_owned(), known.iter().map(ReasonCode::as_str).collect());
        schema
    }
}
