//! `user.password.reset.requested`: somebody asked for a new password.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    event::{event, newest},
    value::{Email, Id, Instant, Locale, Optional, SealedToken, ServiceName},
};

/// A mail with a link that sets a new password is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "user.password.reset.requested v1")]
pub struct UserPasswordResetRequestedV1 {
    /// The account's id.
    #[serde(with = "Id")]
    pub user_id: Uuid,
    /// The account's address, normalised.
    pub email: Email,
    /// When it was requested.
    #[serde(with = "Instant")]
    pub timestamp: OffsetDateTime,
    /// The service that asks for the mail.
    pub source: ServiceName,
    /// The request's id: a mail is sent once for each.
    #[serde(with = "Id")]
    pub request_id: Uuid,
    /// The link's token, sealed for the mailer.
    pub token_sealed: SealedToken,
    /// When the token ends; a mail that has not gone by then need not go.
    #[serde(with = "Instant")]
    pub expires_at: OffsetDateTime,
    /// The language to write in, where the person was seen to prefer one.
    #[serde(default, with = "Optional::<Locale>", skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
}

event!("user.password.reset.requested", 1, UserPasswordResetRequestedV1, user_id);
newest!(UserPasswordResetRequestedV1);
