//! `user.erasure.completed`: a service answers `user.deleted`. It holds no address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Id, Instant, ServiceName},
};

/// A service has erased what it held of a deleted user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.erasure.completed v1")]
pub struct UserErasureCompletedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// When the erasure was completed.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that sends this event.
    pub source: ServiceName,
    /// The erasure's id, from `user.deleted`.
    #[serde(with = "Id")]
    pub erasure_id: Uuid,
    /// The service that completed it.
    pub service: ServiceName,
}

event!("user.erasure.completed", 1, UserErasureCompletedV1, user_id);
newest!(UserErasureCompletedV1);
