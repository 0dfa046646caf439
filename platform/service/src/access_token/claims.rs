use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a token says. Times are in whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The account.
    pub sub: Uuid,
    pub exp: i64,
    pub nbf: i64,
    pub iat: i64,
    pub jti: Uuid,
    pub client_id: String,
    /// The session.
    pub sid: Uuid,
    /// What the account may do, as it was when the token was made.
    pub roles: Vec<String>,
    /// The account's token version when the token was made. Refused below the account's minimum.
    pub ver: i64,
    /// When the password was last proved in this session.
    pub auth_time: i64,
}
