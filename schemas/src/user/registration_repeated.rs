//! `user.registration.repeated`: an address that has an account was registered again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, ServiceName},
};

/// Somebody registered with an address that has an account; its owner is told by mail, and whoever asked is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.registration.repeated v1")]
pub struct UserRegistrationRepeatedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The address, normalised.
    pub email: Email,
    /// When the registration was tried.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that was asked to register.
    pub source: ServiceName,
}

event!("user.registration.repeated", 1, UserRegistrationRepeatedV1, user_id);
newest!(UserRegistrationRepeatedV1);
