//! `user.roles.changed`: an account was given or lost a role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, Roles, ServiceName, TokenVersion},
};

/// A user's roles were changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.roles.changed v1")]
pub struct UserRolesChangedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The account's address, normalised.
    pub email: Email,
    /// When the roles were changed.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that changed the roles.
    pub source: ServiceName,
    /// All roles that the account has now.
    pub roles: Roles,
    /// Access tokens of a lower version are refused from now on.
    pub min_token_version: TokenVersion,
}

event!("user.roles.changed", 1, UserRolesChangedV1, user_id);
newest!(UserRolesChangedV1);
