use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use schemas::Locale;
use serde::Deserialize;
use service::{Problem, http::IfMatch, problem::Json};
use utoipa::ToSchema;

use crate::{
    Store,
    preferences::{self, NewPreferences, Preferences},
    profile::Caller,
    values::{CurrencyInUse, TimeZone},
};

/// All that one prefers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = NewPreferences)]
pub(super) struct ReplaceRequest {
    /// By BCP 47.
    #[schema(value_type = String, pattern = "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$", example = "de-AT")]
    locale: Locale,
    currency: CurrencyInUse,
    /// The name of one of the IANA's time zones.
    #[schema(value_type = String, pattern = "^[A-Z][A-Za-z0-9/_+-]*$", max_length = 64, example = "Europe/Vienna")]
    time_zone: TimeZone,
    /// Whether news may be mailed.
    #[schema(example = false)]
    marketing_emails: bool,
    /// Whether it may be mailed that something on the wishlist costs less.
    #[schema(example = true)]
    price_drop_emails: bool,
}

fn shown(preferences: Preferences) -> impl IntoResponse {
    (AppendHeaders([preferences.tag().header()]), Json(preferences))
}

/// One's preferences.
///
/// Whoever has said nothing has the defaults: `en`, `EUR`, `UTC`, and no mails. They are version `"0"`.
#[utoipa::path(
    get,
    path = "/v1/me/preferences",
    tag = "preferences",
    security(("accessToken" = [])),
    responses((status = OK, description = "The preferences", body = Preferences, headers(
        ("etag" = String, description = "Their version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn show(State(store): State<Store>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    Ok(shown(preferences::find(&store, caller.user_id).await?))
}

/// Replace one's preferences.
///
/// All of them. Only the version that the client saw is replaced, be it the defaults; `*` stands for any, the defaults
/// included.
#[utoipa::path(
    put,
    path = "/v1/me/preferences",
    tag = "preferences",
    security(("accessToken" = [])),
    params(("if-match" = String, Header, description = "The `etag` of what the client saw", example = "\"0\"")),
    request_body = ReplaceRequest,
    responses((status = OK, description = "The preferences as they are now", body = Preferences, headers(
        ("etag" = String, description = "Their version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!([
            "body", "unauthenticated", "account-deactivated", "account-erased", "outdated", "if-match-required"
        ])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn replace(
    State(store): State<Store>,
    caller: Caller,
    seen: IfMatch,
    Json(body): Json<ReplaceRequest>,
) -> Result<impl IntoResponse, Problem> {
    let seen = seen.required()?;
    let ReplaceRequest { locale, currency, time_zone, marketing_emails, price_drop_emails } = body;
    let new = NewPreferences { locale, currency, time_zone, marketing_emails, price_drop_emails };
    Ok(shown(preferences::replace(&store, caller, &seen, new).await?))
}
