//! `user.password.changed`: an account has another password.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, ServiceName, TokenVersion},
};

/// A user's password was changed or reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.password.changed v1")]
pub struct UserPasswordChangedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The account's address, normalised.
    pub email: Email,
    /// When the password was changed.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that changed the password.
    pub source: ServiceName,
    /// Access tokens of a lower version are refused from now on.
    pub min_token_version: TokenVersion,
}

event!("user.password.changed", 1, UserPasswordChangedV1, user_id);
newest!(UserPasswordChangedV1);
