//! `user.deactivated`: an account may not be used any more, and may come back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{AccountStatus, DeactivationReason, Email, Id, Instant, ServiceName, TokenVersion},
};

/// A user's account was deactivated. Its data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.deactivated v1")]
pub struct UserDeactivatedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The account's address, normalised.
    pub email: Email,
    /// When the account was deactivated.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that deactivated the account.
    pub source: ServiceName,
    /// The account's status now.
    pub status: AccountStatus,
    /// Why the account was deactivated: `own-request`, `admin-decision`, or a reason that was added since.
    pub reason: DeactivationReason,
    /// Access tokens of a lower version are refused from now on.
    pub min_token_version: TokenVersion,
}

event!("user.deactivated", 1, UserDeactivatedV1, user_id);
newest!(UserDeactivatedV1);
