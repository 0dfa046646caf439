use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    LEEWAY,
    claims::Claims,
    ed25519,
    keys::{KeySet, PublicKey},
    verified::Verified,
};

/// The `typ` of an access token (RFC 9068).
pub(super) const TYPE: &str = "at+jwt";
pub(super) const ALGORITHM: &str = "EdDSA";

/// A token of ours has some 700 bytes.
const LONGEST: usize = 4_096;

/// Checks tokens of one issuer for one audience. Clones share what they know already.
#[derive(Debug, Clone)]
pub struct Verifier {
    validation: Arc<Validation>,
    verified: Arc<Verified>,
}

/// Why a token is refused. For logs and metrics: a client is only told that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {LONGEST} bytes")]
    TooLong,
    #[error("the token's header should hold `alg`, `typ` and `kid`, and nothing else")]
    Header,
    #[error("the token should be signed with {ALGORITHM}")]
    Algorithm,
    #[error("the token should be of type {TYPE}")]
    Type,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token is not what was signed, or it is not for here, or it lacks a claim")]
    Invalid,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
}

/// All that a header may hold: nothing that has to be understood (`crit`), and no key of the token's own (`jwk`, `jku`,
/// `x5c`, `x5u`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
    kid: String,
}

impl Verifier {
    pub fn new(issuer: &str, audience: &str) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // By the caller's clock, below.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        Self { validation: Arc::new(validation), verified: Arc::new(Verified::new()) }
    }

    /// The claims of a token that was signed by one of `keys`, and is valid at `now`.
    pub fn verify(&self, token: &str, keys: &KeySet, now: OffsetDateTime) -> Result<Arc<Claims>, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        let digest = Verified::digest(token);
        let claims = if let Some(claims) = self.verified.claims(&digest, keys) {
            claims
        } else {
            let (key, claims) = self.signed(token, keys)?;
            self.verified.remember(digest, key, &claims);
            claims
        };
        let (now, leeway) = (now.unix_timestamp(), LEEWAY.whole_seconds());
        if claims.exp.saturating_add(leeway) <= now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.max(claims.iat) > now.saturating_add(leeway) {
            return Err(TokenError::NotYet);
        }
        Ok(claims)
    }

    /// What was signed, by whom, whenever.
    fn signed<'a>(&self, token: &str, keys: &'a KeySet) -> Result<(&'a PublicKey, Arc<Claims>), TokenError> {
        let header = token.split('.').next().unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Header)?;
        let header: StrictHeader = serde_json::from_slice(&header).map_err(|_| TokenError::Header)?;
        if header.alg != ALGORITHM {
            return Err(TokenError::Algorithm);
        }
        if !header.typ.eq_ignore_ascii_case(TYPE) {
            return Err(TokenError::Type);
        }
        let key = keys.get(&header.kid).ok_or(TokenError::UnknownKey)?;

        ed25519::provide();
        let token = jsonwebtoken::decode::<Claims>(token, &key.decoding(), &self.validation);
        Ok((key, Arc::new(token.map_err(|_| TokenError::Invalid)?.claims)))
    }
}
