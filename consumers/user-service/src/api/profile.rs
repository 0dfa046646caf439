use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use schemas::DisplayName;
use serde::{Deserialize, Serialize};
use service::{
    Problem, card_number,
    http::IfMatch,
    problem::{FieldError, Json},
};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::requests::said;
use crate::{
    Store,
    profile::{self, Caller, Profile},
};

/// Whether what auth-service says of the account has arrived.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProfileState {
    Pending,
    Ready,
}

/// A profile, as its user sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Profile)]
pub(super) struct ProfileBody {
    user_id: Uuid,
    /// `pending`: the account's event is still on its way.
    profile_state: ProfileState,
    email: Option<String>,
    email_verified: bool,
    display_name: Option<String>,
    roles: Vec<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    registered_at: Option<OffsetDateTime>,
}

/// What is to be another of a profile.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = ProfileChange)]
pub(super) struct ChangeRequest {
    /// What to be called by: 1 to 100 characters, none of them a control character. Null: not by any name.
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 100,
        example = "Ada"
    )]
    #[expect(clippy::option_option, reason = "it is not said, or to be taken away, or to be another")]
    display_name: Option<Option<DisplayName>>,
}

impl From<Profile> for ProfileBody {
    fn from(profile: Profile) -> Self {
        Self {
            user_id: profile.user_id,
            profile_state: if profile.is_ready() { ProfileState::Ready } else { ProfileState::Pending },
            email: profile.email,
            email_verified: profile.email_verified.unwrap_or(false),
            display_name: profile.display_name,
            roles: profile.roles.unwrap_or_default(),
            registered_at: profile.registered_at,
        }
    }
}

fn shown(profile: Profile) -> impl IntoResponse {
    (AppendHeaders([profile.tag().header()]), Json(ProfileBody::from(profile)))
}

/// One's own profile.
///
/// As it is now. While it is `pending`, nothing but `userId` may be known of it.
#[utoipa::path(
    get,
    path = "/v1/me/profile",
    tag = "profile",
    security(("accessToken" = [])),
    responses((status = OK, description = "The profile", body = ProfileBody, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn show(profile: Profile) -> impl IntoResponse {
    shown(profile)
}

/// Change one's own profile.
///
/// What was said at registration counts no more then, also where that arrives later. Whatever changes a profile makes another
/// version of it, events included: whoever is told that it was changed reads it again.
#[utoipa::path(
    patch,
    path = "/v1/me/profile",
    tag = "profile",
    security(("accessToken" = [])),
    params(("if-match" = String, Header, description = "The `etag` of what the client saw", example = "\"1767323045678901\"")),
    request_body = ChangeRequest,
    responses((status = OK, description = "The profile as it is now", body = ProfileBody, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!([
            "body", "unauthenticated", "account-deactivated", "account-erased", "outdated", "if-match-required"
        ])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn change(
    State(store): State<Store>,
    caller: Caller,
    seen: IfMatch,
    Json(body): Json<ChangeRequest>,
) -> Result<impl IntoResponse, Problem> {
    let seen = seen.required()?;
    let name = body.display_name;
    if name.iter().flatten().any(|name| card_number::is_in(name.as_str())) {
        let message = "should be a text that holds no card's number";
        return Err(Problem::invalid_fields(vec![FieldError::new("displayName", message)]));
    }
    Ok(shown(profile::rename(&store, caller, &seen, name).await?))
}
