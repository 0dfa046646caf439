//! `user.deleted`: an account is gone, and everything about its user must go. It holds no address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Id, Instant, ServiceName},
};

/// A user was deleted: every service erases what it holds of them, and answers with `user.erasure.completed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.deleted v1")]
pub struct UserDeletedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// When the account was deleted.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that deleted the account.
    pub source: ServiceName,
    /// The erasure's id, under which the producer waits for every service to complete it.
    #[serde(with = "Id")]
    pub erasure_id: Uuid,
}

event!("user.deleted", 1, UserDeletedV1, user_id);
newest!(UserDeletedV1);
