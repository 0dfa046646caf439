//! `user.created`: somebody registered, and the account exists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Email;
use crate::{Event, EventType, Newest, PayloadError, read};

/// A user registered an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.created v1")]
pub struct UserCreatedV1 {
    /// The account's id.
    #[schemars(extend("x-classification" = "open"))]
    pub user_id: Uuid,
    /// The address that was registered, normalised.
    pub email: Email,
    /// When the account was created.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time", "x-classification" = "open"))]
    pub timestamp: OffsetDateTime,
    /// The service that created the account.
    #[schemars(extend("x-classification" = "open"))]
    pub source: String,
}

impl Event for UserCreatedV1 {
    const TYPE: EventType = EventType::new("user.created");
    const VERSION: u32 = 1;

    fn subject(&self) -> String {
        self.user_id.to_string()
    }
}

impl Newest for UserCreatedV1 {
    fn read(version: u32, data: &RawValue) -> Result<Self, PayloadError> {
        match version {
            1 => Ok(read::json(data.get(), Some("data"))?),
            _ => Err(PayloadError::UnknownVersion {
                event_type: Self::TYPE.as_str(),
                version,
                known: Self::VERSION.to_string(),
            }),
        }
    }
}
