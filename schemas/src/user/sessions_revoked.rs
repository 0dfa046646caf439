//! `user.sessions.revoked`: an account was logged out everywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, ServiceName, TokenVersion},
};

/// All of a user's sessions were ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.sessions.revoked v1")]
pub struct UserSessionsRevokedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The account's address, normalised.
    pub email: Email,
    /// When the sessions were ended.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that ended the sessions.
    pub source: ServiceName,
    /// Access tokens of a lower version are refused from now on.
    pub min_token_version: TokenVersion,
}

event!("user.sessions.revoked", 1, UserSessionsRevokedV1, user_id);
newest!(UserSessionsRevokedV1);
