//! `user.email.verified`: somebody showed that the address is theirs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, ServiceName},
};

/// A user showed that the account's address is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.email.verified v1")]
pub struct UserEmailVerifiedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The address that was verified, normalised.
    pub email: Email,
    /// When the address was verified.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that verified the address.
    pub source: ServiceName,
    /// Whether the address is verified now.
    #[schemars(extend("x-classification" = "open"))]
    pub email_verified: bool,
}

event!("user.email.verified", 1, UserEmailVerifiedV1, user_id);
newest!(UserEmailVerifiedV1);
