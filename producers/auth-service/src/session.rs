//! Sessions: what a sign-in opened, and the tokens by which it goes on.

pub mod list;
pub mod login;
pub mod refresh;
pub mod revoke;

use secrecy::SecretString;
use service::access_token::Claims;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use schemas::{Roles, TokenVersion};

use crate::{Failure, SigningKeys, signing::ACCESS_TOKEN_LIFE};

/// How long a refresh token is good for when it is not used.
pub(crate) const IDLE_LIFE: Duration = Duration::days(14);
/// How long a session lasts, however it is used (NIST SP 800-63B-4, AAL1).
pub(crate) const SESSION_LIFE: Duration = Duration::days(30);

/// What a client gets to go on with.
#[derive(Debug)]
pub struct Tokens {
    pub access_token: SecretString,
    pub access_token_life: Duration,
    pub refresh_token: SecretString,
    /// Until when the refresh token can be used.
    pub refresh_token_expires_at: OffsetDateTime,
    pub session_id: Uuid,
}

/// What access tokens of this installation say of who made them and for whom.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    pub issuer: String,
    pub audience: String,
    pub keys: SigningKeys,
}

/// Whom a new access token is for.
pub(crate) struct Bearer {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub authenticated_at: OffsetDateTime,
    pub roles: Roles,
    pub version: TokenVersion,
}

impl TokenIssuer {
    pub(crate) fn access_token(&self, bearer: &Bearer, now: OffsetDateTime) -> Result<SecretString, Failure> {
        let issued = now.unix_timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: bearer.user_id,
            exp: issued + ACCESS_TOKEN_LIFE.whole_seconds(),
            nbf: issued,
            iat: issued,
            jti: schemas::event_id(now),
            client_id: self.audience.clone(),
            sid: bearer.session_id,
            roles: bearer.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            ver: bearer.version.get(),
            auth_time: bearer.authenticated_at.unix_timestamp(),
        };
        self.keys.active(now).sign(&claims).map_err(|error| Failure::Sign(error.into()))
    }
}
