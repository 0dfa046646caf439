//! `user.created`: somebody registered, and the account exists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{AccountStatus, AnyOffset, DisplayName, Email, Id, Instant, Optional, Roles, ServiceName},
};

/// A user registered an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.created v1")]
pub struct UserCreatedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    #[schemars(with = "Uuid", extend("x-classification" = "open"))]
    pub user_id: Uuid,
    /// The address that was registered, normalised.
    #[schemars(extend("pattern" = r"^[^@\s]+@[^@\s]+$"))]
    pub email: Email,
    /// When the account was created.
    #[serde(with = "AnyOffset")]
    #[schemars(with = "String", extend("format" = "date-time", "x-classification" = "open"))]
    pub timestamp: OffsetDateTime,
    /// The service that created the account.
    #[schemars(extend("x-classification" = "open"))]
    pub source: String,
}

/// A user registered an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.created v2")]
pub struct UserCreatedV2 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The address that was registered, normalised.
    pub email: Email,
    /// When the account was created.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that created the account.
    pub source: ServiceName,
    /// What the user is to be called, where they said so.
    #[serde(default, with = "Optional::<DisplayName>", skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// Whether the user has shown that the address is theirs.
    #[schemars(extend("x-classification" = "open"))]
    pub email_verified: bool,
    /// All roles that the account has.
    pub roles: Roles,
    /// The account's status.
    pub status: AccountStatus,
}

event!("user.created", 1, UserCreatedV1, user_id);
event!("user.created", 2, UserCreatedV2, user_id);
newest!(UserCreatedV2, UserCreatedV1);

/// What was true of every registration of version 1: no name was asked for, no address was verified yet, and the
/// account was made active with the one role that every account has. Only auth-service made accounts, so a `source`
/// that is no service's name stands for it.
impl From<UserCreatedV1> for UserCreatedV2 {
    fn from(v1: UserCreatedV1) -> Self {
        Self {
            user_id: v1.user_id,
            email: v1.email,
            timestamp: v1.timestamp,
            source: v1.source.try_into().unwrap_or(ServiceName::AUTH_SERVICE),
            display_name: None,
            email_verified: false,
            roles: Roles::of_a_new_account(),
            status: AccountStatus::Active,
        }
    }
}
