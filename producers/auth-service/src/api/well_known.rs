use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
};
use service::access_token::JwkSet;

use crate::{SigningKeys, Store};

/// As long as [`SET_MAX_AGE`](crate::SET_MAX_AGE), which a test looks after.
const HEADERS: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "public, max-age=600"), (header::CONTENT_TYPE, "application/json")];

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
pub(super) async fn keys(State(state): State<Arc<(SigningKeys, Store)>>) -> impl IntoResponse {
    let (keys, store) = &*state;
    (HEADERS, keys.published(store.now()).document.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SET_MAX_AGE;

    #[test]
    fn a_set_may_be_kept_for_as_long_as_keys_are_published_for() {
        assert_eq!(HEADERS[0].1, format!("public, max-age={}", SET_MAX_AGE.whole_seconds()));
    }
}
