use std::sync::Arc;

use axum::{Extension, extract::State, http::StatusCode, response::IntoResponse};
use serde::Serialize;
use service::{Problem, http::PathId, problem::Json, rate_limit::Throttle};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Caller,
    problems::{LAST_ADMINISTRATOR, NO_SUCH_ACCOUNT, NO_SUCH_SESSION, administered},
    requests::{Accepted, EmailRequest, NOT_STORED, accepted},
};
use crate::{
    Erased, Origin, Profile, Pseudonyms, Session, Store, Verification,
    account::{
        administration::{self, By},
        profiles::FetchedProfile,
    },
    erasure,
    limits::MAIL_ADDRESS,
    session::{list, revoke},
};

/// One's account.
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "me",
    security(("accessToken" = [])),
    responses((status = OK, description = "The account", body = Profile,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "no-such-account"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn show(
    State(store): State<Arc<Store>>,
    caller: Caller,
    Extension(fetched): Extension<FetchedProfile>,
) -> Result<impl IntoResponse, Problem> {
    match store.profiles().of_active(fetched, caller.version).await? {
        Some(profile) => Ok((NOT_STORED, Json(profile))),
        None => Err(Problem::new(&NO_SUCH_ACCOUNT)),
    }
}

/// Erase one's account.
///
/// It is gone for good, here at once and elsewhere soon; the address may be registered anew. The password has to have been
/// proved in the last five minutes.
#[utoipa::path(
    delete,
    path = "/v1/me",
    tag = "me",
    security(("accessToken" = [])),
    responses((status = ACCEPTED, description = "Erased here; other services follow", body = ErasureStarted,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!([
        "unauthenticated", "reauthentication-required", "no-such-account", "last-administrator"
    ])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn erase(
    State((store, pseudonyms)): State<(Arc<Store>, Pseudonyms)>,
    caller: Caller,
    origin: Origin,
) -> Result<impl IntoResponse, Problem> {
    caller.fresh()?;
    match erasure::erase(&store, &pseudonyms, caller.user_id, &origin).await? {
        Erased::Done(erasure_id) => Ok((StatusCode::ACCEPTED, NOT_STORED, Json(ErasureStarted { erasure_id }))),
        Erased::NoSuchAccount => Err(Problem::new(&NO_SUCH_ACCOUNT)),
        Erased::LastAdministrator => Err(Problem::new(&LAST_ADMINISTRATOR)),
    }
}

/// By which an administrator can tell how far the erasure is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErasureStarted {
    erasure_id: Uuid,
}

/// Change one's address.
///
/// A mail goes to the new address; it becomes the account's when it is verified by that mail. The answer is the same whether or
/// not somebody else has the address. The password has to have been proved in the last five minutes.
#[utoipa::path(
    post,
    path = "/v1/me/email",
    tag = "me",
    security(("accessToken" = [])),
    request_body = EmailRequest,
    responses((status = ACCEPTED, description = "Taken", body = Accepted,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "reauthentication-required", "body"])), ("x-limits" = json!(["user", "mail-address"])))
)]
pub(super) async fn request_email_change(
    State(verification): State<Arc<Verification>>,
    caller: Caller,
    throttle: Throttle,
    origin: Origin,
    Json(request): Json<EmailRequest>,
) -> Result<impl IntoResponse, Problem> {
    caller.fresh()?;
    let email = request.validated()?;
    let _ = throttle.admit(&[(&MAIL_ADDRESS, email.as_str())]).await?;
    verification.request_change(caller.user_id, email, &origin).await?;
    Ok(accepted())
}

/// Take one's account out of use.
///
/// All sessions end. Its data is kept, and an administrator can put it into use again. The password has to have been proved in
/// the last five minutes.
#[utoipa::path(
    post,
    path = "/v1/me/deactivate",
    tag = "me",
    security(("accessToken" = [])),
    responses((status = NO_CONTENT, description = "Out of use",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!([
        "unauthenticated", "reauthentication-required", "no-such-account", "last-administrator"
    ])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn deactivate(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
) -> Result<impl IntoResponse, Problem> {
    caller.fresh()?;
    let outcome = administration::deactivate(&store, caller.user_id, By::Owner, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}

/// One's open sessions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    items: Vec<Session>,
}

/// One's open sessions.
#[utoipa::path(
    get,
    path = "/v1/me/sessions",
    tag = "me",
    security(("accessToken" = [])),
    responses((status = OK, description = "The newest hundred, newest first", body = Sessions,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn sessions(State(store): State<Arc<Store>>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    let items = list::list(&store.pool, caller.user_id, caller.session_id, store.now()).await?;
    Ok((NOT_STORED, Json(Sessions { items })))
}

/// Sign out one session.
#[utoipa::path(
    delete,
    path = "/v1/me/sessions/{id}",
    tag = "me",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The session")),
    responses((status = NO_CONTENT, description = "Signed out",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "no-such-session"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn revoke_session(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
    id: PathId,
) -> Result<impl IntoResponse, Problem> {
    let session = id.or(&NO_SUCH_SESSION)?;
    match revoke::revoke_one(&store, caller.user_id, session, &origin).await? {
        true => Ok((StatusCode::NO_CONTENT, NOT_STORED)),
        false => Err(Problem::new(&NO_SUCH_SESSION)),
    }
}
