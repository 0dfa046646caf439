//! `user.reactivated`: a deactivated account may be used again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{AccountStatus, Email, Id, Instant, ServiceName},
};

/// A user's account may be used again after it was deactivated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.reactivated v1")]
pub struct UserReactivatedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The account's address, normalised.
    pub email: Email,
    /// When the account was reactivated.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that reactivated the account.
    pub source: ServiceName,
    /// The account's status now.
    pub status: AccountStatus,
}

event!("user.reactivated", 1, UserReactivatedV1, user_id);
newest!(UserReactivatedV1);
