use std::sync::Arc;

use axum::{extract::State, http::header, response::IntoResponse};
use service::{access_token::JwkSet, problem::Json};

use crate::{SET_MAX_AGE, SigningKeys, Store};

/// The keys that access tokens are checked with.
///
/// To be kept for ten minutes, and asked for again when a token names a key that is not among them.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "description",
    responses((status = OK, description = "A JSON Web Key Set (RFC 7517)", body = JwkSet,
        headers(("cache-control" = String, description = "`public, max-age=600`"))))
)]
pub(super) async fn keys(State((keys, store)): State<(SigningKeys, Arc<Store>)>) -> impl IntoResponse {
    let cached = format!("public, max-age={}", SET_MAX_AGE.whole_seconds());
    ([(header::CACHE_CONTROL, cached)], Json(keys.published(store.now()).to_jwk_set()))
}
