//! `user.email.changed`: an account has another address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, ServiceName},
};

/// A user's address was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.email.changed v1")]
pub struct UserEmailChangedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The new address, normalised.
    pub email: Email,
    /// When the address was changed.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that changed the address.
    pub source: ServiceName,
    /// Whether the new address is verified.
    #[schemars(extend("x-classification" = "open"))]
    pub email_verified: bool,
    /// The address until now, which is told of the change.
    pub previous_email: Email,
}

event!("user.email.changed", 1, UserEmailChangedV1, user_id);
newest!(UserEmailChangedV1);
