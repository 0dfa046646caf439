use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::IntoResponse,
};
use schemas::Role;
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    http::{PathId, page},
    problem::{FieldError, Json, Query},
};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    caller::Caller,
    problems::{NO_SUCH_ACCOUNT, NO_SUCH_ROLE, administered},
    requests::{NOT_STORED, email},
};
use crate::{
    AuditEntry, AuditFilter, Erasure, ErasureFilter, Origin, Profile, ProfileFilter, Store,
    account::{
        administration::{self, By},
        profile,
    },
    audit, erasure,
    session::revoke,
};

/// Some of the accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct ProfilePage {
    items: Vec<Profile>,
    /// For `after`, where there may be more.
    next: Option<Uuid>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// The whole address.
    #[param(example = "ada@example.com")]
    email: Option<String>,
    /// `active` or `deactivated`.
    #[param(example = "active")]
    status: Option<String>,
    /// Only those who have it.
    #[param(example = "admin")]
    role: Option<String>,
    /// The `next` of the page before.
    after: Option<Uuid>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
}

/// List accounts.
///
/// Oldest first. Erased accounts are not among them.
#[utoipa::path(
    get,
    path = "/v1/admin/users",
    tag = "admin",
    security(("accessToken" = [])),
    params(UsersQuery),
    responses((status = OK, description = "Some of them", body = ProfilePage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "invalid-fields"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn users(
    State(store): State<Arc<Store>>,
    Query(query): Query<UsersQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let email = query.email.map(|text| email("email", &text)).transpose();
    let filter = ProfileFilter {
        id: None,
        email: email.map_err(|error| Problem::invalid_fields(vec![error]))?,
        status: one_of("status", query.status, &["active", "deactivated"])?,
        role: query.role,
        after: query.after,
    };
    let items = match &filter {
        // One account by its address is what is asked for most.
        ProfileFilter { id: None, email: Some(email), status: None, role: None, after: None } => {
            store.profiles().of_address(email).await?.into_iter().collect()
        }
        _ => profile::list(&store.pool, &filter, limit).await?,
    };
    let next = page::next(&items, limit, |profile| profile.user_id);
    Ok((NOT_STORED, Json(ProfilePage { items, next })))
}

/// Take an account out of use.
///
/// Idempotent. All its sessions end; its data is kept.
#[utoipa::path(
    post,
    path = "/v1/admin/users/{id}/deactivate",
    tag = "admin",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = NO_CONTENT, description = "Out of use",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "no-such-account", "last-administrator"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn deactivate(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
    id: PathId,
) -> Result<impl IntoResponse, Problem> {
    let by = By::Administrator(caller.user_id);
    let account = id.or(&NO_SUCH_ACCOUNT)?;
    let outcome = administration::deactivate(&store, account, by, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}

/// Put an account into use again.
///
/// Idempotent.
#[utoipa::path(
    post,
    path = "/v1/admin/users/{id}/reactivate",
    tag = "admin",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = NO_CONTENT, description = "In use",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "no-such-account"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn reactivate(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
    id: PathId,
) -> Result<impl IntoResponse, Problem> {
    let by = By::Administrator(caller.user_id);
    let account = id.or(&NO_SUCH_ACCOUNT)?;
    let outcome = administration::reactivate(&store, account, by, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}

/// Sign an account out everywhere.
#[utoipa::path(
    post,
    path = "/v1/admin/users/{id}/logout",
    tag = "admin",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The account")),
    responses((status = NO_CONTENT, description = "Signed out",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "no-such-account"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn log_out(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
    id: PathId,
) -> Result<impl IntoResponse, Problem> {
    let account = id.or(&NO_SUCH_ACCOUNT)?;
    let by = By::Administrator(caller.user_id);
    let outcome = revoke::log_out_everywhere(&store, account, by, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}

/// Give an account a role.
///
/// Idempotent. Its access tokens from before are refused.
#[utoipa::path(
    put,
    path = "/v1/admin/users/{id}/roles/{role}",
    tag = "admin",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The account"), ("role" = String, Path, description = "The role", example = "admin")),
    responses((status = NO_CONTENT, description = "It has the role",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "no-such-account", "no-such-role", "own-roles"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn grant_role(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
    Path((account, role)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let (account, role) = account_and_role(&account, &role)?;
    let by = By::Administrator(caller.user_id);
    let outcome = administration::grant(&store, account, &role, by, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}

/// Take a role from an account.
///
/// Idempotent. Its access tokens from before are refused.
#[utoipa::path(
    delete,
    path = "/v1/admin/users/{id}/roles/{role}",
    tag = "admin",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The account"), ("role" = String, Path, description = "The role", example = "admin")),
    responses((status = NO_CONTENT, description = "It has not the role",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!([
        "unauthenticated", "forbidden", "no-such-account", "no-such-role", "last-administrator"
    ])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn revoke_role(
    State(store): State<Arc<Store>>,
    caller: Caller,
    origin: Origin,
    Path((account, role)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let (account, role) = account_and_role(&account, &role)?;
    let by = By::Administrator(caller.user_id);
    let outcome = administration::revoke(&store, account, &role, by, &origin).await?;
    Ok((administered(outcome)?, NOT_STORED))
}

fn account_and_role(account: &str, role: &str) -> Result<(Uuid, Role), Problem> {
    let account = Uuid::try_parse(account).map_err(|_| Problem::new(&NO_SUCH_ACCOUNT))?;
    let role = role.parse().map_err(|_| Problem::new(&NO_SUCH_ROLE))?;
    Ok((account, role))
}

/// Some of what was done and tried.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    items: Vec<AuditEntry>,
    /// For `after`, where there may be more.
    next: Option<Uuid>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// By or about this account.
    user: Option<Uuid>,
    #[param(example = "log-in")]
    action: Option<String>,
    /// `success` or `failure`.
    #[param(example = "failure")]
    outcome: Option<String>,
    /// At or after it.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<OffsetDateTime>,
    /// Before it.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<OffsetDateTime>,
    /// The `next` of the page before.
    after: Option<Uuid>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
}

/// Read the audit trail.
///
/// Newest first. No entry holds an address.
#[utoipa::path(
    get,
    path = "/v1/admin/audit",
    tag = "admin",
    security(("accessToken" = [])),
    params(AuditQuery),
    responses((status = OK, description = "Some of it", body = AuditPage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "invalid-fields"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn audit(
    State(store): State<Arc<Store>>,
    Query(query): Query<AuditQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let filter = AuditFilter {
        user: query.user,
        action: query.action,
        outcome: one_of("outcome", query.outcome, &["success", "failure"])?,
        since: query.since,
        until: query.until,
        after: query.after,
    };
    let items = audit::list(&store.pool, &filter, limit).await?;
    let next = page::next(&items, limit, |entry| entry.id);
    Ok((NOT_STORED, Json(AuditPage { items, next })))
}

/// Some of the erasures.
#[derive(Serialize, ToSchema)]
pub(super) struct ErasurePage {
    items: Vec<Erasure>,
    /// For `after`, where there may be more.
    next: Option<Uuid>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ErasuresQuery {
    user: Option<Uuid>,
    /// `open` or `completed`.
    #[param(example = "open")]
    state: Option<String>,
    /// The `next` of the page before.
    after: Option<Uuid>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
}

/// List erasures.
///
/// Newest first: which accounts were erased, and which services have not said yet that their part is gone as well.
#[utoipa::path(
    get,
    path = "/v1/admin/erasures",
    tag = "admin",
    security(("accessToken" = [])),
    params(ErasuresQuery),
    responses((status = OK, description = "Some of them", body = ErasurePage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(("x-problems" = json!(["unauthenticated", "forbidden", "invalid-fields"])), ("x-limits" = json!(["user"])))
)]
pub(super) async fn erasures(
    State(store): State<Arc<Store>>,
    Query(query): Query<ErasuresQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let state = one_of("state", query.state, &["open", "completed"])?;
    let filter =
        ErasureFilter { user: query.user, completed: state.map(|state| state == "completed"), after: query.after };
    let items = erasure::list(&store.pool, &filter, limit).await?;
    let next = page::next(&items, limit, |erasure| erasure.erasure_id);
    Ok((NOT_STORED, Json(ErasurePage { items, next })))
}

fn one_of(field: &str, value: Option<String>, allowed: &[&str]) -> Result<Option<String>, Problem> {
    match value {
        Some(value) if !allowed.contains(&value.as_str()) => {
            let message = format!("should be {}", allowed.join(" or "));
            Err(Problem::invalid_fields(vec![FieldError::new(field, message)]))
        }
        value => Ok(value),
    }
}
