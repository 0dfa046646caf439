use axum::{extract::State, response::IntoResponse};
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    http::{PathId, page},
    problem::{FieldError, Json, Query},
};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problems::NO_SUCH_USER;
use crate::{
    Store,
    administration::{self, AppliedEvent, EventFilter, Kept},
    profile::Profile,
};

/// A user as a whole. Of one who was erased, nothing but that, and the versions that stand against what comes later.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    #[serde(rename = "userId")]
    id: Uuid,
    /// `active`, `deactivated` or, for ever, `deleted`.
    #[schema(example = "active")]
    status: String,
    #[schema(example = "admin-decision")]
    deactivation_reason: Option<String>,
    /// Whether the account's event has arrived.
    is_ready: bool,
    email: Option<String>,
    email_verified: Option<bool>,
    display_name: Option<String>,
    /// Whether the user said it, and not the registration.
    display_name_edited: bool,
    roles: Option<Vec<String>>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    registered_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: OffsetDateTime,
    versions: Versions,
    counts: Counts,
}

/// Of which event each group of a profile is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Versions {
    email: i64,
    roles: i64,
    status: i64,
    /// How often the user changed it.
    edits: i64,
    /// Access tokens of a lower version are refused.
    min_token: i64,
}

/// How much of what the user keeps.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    addresses: i64,
    payment_methods: i64,
    wishlist_items: i64,
    has_preferences: bool,
}

/// Some of the events that were applied.
#[derive(Serialize, ToSchema)]
pub(super) struct EventLogPage {
    items: Vec<EventLog>,
    /// For `cursor`, where there may be more.
    next: Option<Uuid>,
}

/// An event that was applied. Its payload is not kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventLog {
    /// What the inbox knows it by: its id, where that is a UUID v7.
    event_key: Uuid,
    event_id: String,
    #[schema(example = "user.created")]
    event_type: String,
    schema_version: i32,
    #[schema(example = "auth-service")]
    source: String,
    /// Whom or what it is about.
    subject: Option<String>,
    /// As of which version of its subject.
    sequence: Option<i64>,
    #[schema(example = "record_profile")]
    handler: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    event_time: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    applied_at: OffsetDateTime,
    /// Copies that were recognised and ignored.
    redeliveries: i32,
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct EventLogQuery {
    /// Whom or what they are about: the id of a user or of a product.
    subject: Option<Uuid>,
    #[param(max_length = 100, example = "user.created")]
    event_type: Option<String>,
    /// The `eventKey` of one: its id, where that is a UUID v7.
    event_key: Option<Uuid>,
    /// The `next` of the page before.
    cursor: Option<Uuid>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
}

const LONGEST_EVENT_TYPE: usize = 100;

impl User {
    fn of(profile: Profile, kept: Kept) -> Self {
        Self {
            is_ready: profile.is_ready(),
            id: profile.user_id,
            status: profile.status,
            deactivation_reason: profile.deactivation_reason,
            email: profile.email,
            email_verified: profile.email_verified,
            display_name: profile.display_name,
            display_name_edited: profile.display_name_edited,
            roles: profile.roles,
            registered_at: profile.registered_at,
            created_at: profile.created_at,
            updated_at: profile.updated_at,
            versions: Versions {
                email: profile.email_sequence,
                roles: profile.roles_sequence,
                status: profile.status_sequence,
                edits: profile.edit_version,
                min_token: profile.min_token_version,
            },
            counts: Counts {
                addresses: kept.addresses,
                payment_methods: kept.payment_methods,
                wishlist_items: kept.wishes,
                has_preferences: kept.has_preferences,
            },
        }
    }
}

impl From<AppliedEvent> for EventLog {
    fn from(event: AppliedEvent) -> Self {
        let AppliedEvent {
            event_key, event_id, event_type, schema_version, source, subject, sequence, handler, ..
        } = event;
        let AppliedEvent { event_time, applied_at, redeliveries, .. } = event;
        Self {
            event_key,
            event_id,
            event_type,
            schema_version,
            source,
            subject,
            sequence,
            handler,
            event_time,
            applied_at,
            redeliveries,
        }
    }
}

/// Show a user.
///
/// As they are now, erased or not.
#[utoipa::path(
    get,
    path = "/v1/admin/users/{id}",
    tag = "admin",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The user")),
    responses((status = OK, description = "The user", body = User,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "forbidden", "account-deactivated", "account-erased", "no-such-user"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn user(State(store): State<Store>, id: PathId) -> Result<impl IntoResponse, Problem> {
    let found = administration::user(&store, id.or(&NO_SUCH_USER)?).await?;
    let (profile, kept) = found.ok_or_else(|| Problem::new(&NO_SUCH_USER))?;
    Ok(Json(User::of(profile, kept)))
}

/// List the events that were applied.
///
/// The youngest first. All conditions hold at once. There are those of the last weeks.
#[utoipa::path(
    get,
    path = "/v1/admin/event-logs",
    tag = "admin",
    security(("accessToken" = [])),
    params(EventLogQuery),
    responses((status = OK, description = "Some of them", body = EventLogPage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["invalid-fields", "unauthenticated", "forbidden", "account-deactivated", "account-erased"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn event_logs(
    State(store): State<Store>,
    Query(query): Query<EventLogQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let EventLogQuery { subject, event_type, event_key, cursor, limit: _ } = query;
    let is_name = |name: &String| {
        let fits = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        (1..=LONGEST_EVENT_TYPE).contains(&name.len()) && name.bytes().all(fits)
    };
    if !event_type.as_ref().is_none_or(is_name) {
        let message = "should be the name of an event such as user.created";
        return Err(Problem::invalid_fields(vec![FieldError::new("eventType", message)]));
    }
    let filter = EventFilter { subject, event_type, event_key, before: cursor };
    let items: Vec<EventLog> =
        administration::applied(&store, &filter, limit).await?.into_iter().map(EventLog::from).collect();
    let next = page::next(&items, limit, |event| event.event_key);
    Ok(Json(EventLogPage { items, next }))
}
