use axum::{
    extract::State,
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    http::{IfMatch, PathId, page},
    problem::{Json, JsonText, Query},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    idempotency_key::IdempotencyKey,
    problems::NO_SUCH_ADDRESS,
    requests::{PageQuery, said},
};
use crate::{
    Store,
    addresses::{self, Address, AddressEdit, NewAddress},
    profile::Caller,
    values::{Country, Line, Phone},
};

/// Some of one's addresses.
#[derive(Serialize, ToSchema)]
pub(super) struct AddressPage {
    items: Vec<Address>,
    /// For `cursor`, where there may be more.
    next: Option<Uuid>,
}

/// An address to be added. No text of it has control characters, or may be the number of a card.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = NewAddress)]
pub(super) struct CreateRequest {
    #[schema(
        value_type = String,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Ada Lovelace"
    )]
    recipient: Line<200>,
    #[schema(
        value_type = String,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Unter den Linden 77"
    )]
    line1: Line<200>,
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Hinterhaus"
    )]
    line2: Option<Line<200>>,
    #[schema(value_type = String, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$", max_length = 100, example = "Berlin")]
    city: Line<100>,
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 100,
        example = "Berlin"
    )]
    region: Option<Line<100>>,
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 20,
        example = "10117"
    )]
    postal_code: Option<Line<20>>,
    country: Country,
    /// By E.164.
    #[schema(value_type = Option<String>, pattern = r"^\+[1-9][0-9]{6,14}$", example = "+4930123456")]
    phone: Option<Phone>,
    #[serde(default)]
    #[schema(example = true)]
    is_default_shipping: bool,
    #[serde(default)]
    #[schema(example = false)]
    is_default_billing: bool,
}

/// What is to be another of an address; what is not there stays, and null takes away what an address can be without.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AddressChange)]
#[expect(clippy::option_option, reason = "it is not said, or to be taken away, or to be another")]
pub(super) struct ChangeRequest {
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = String,
        required = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Ada Lovelace"
    )]
    recipient: Option<Line<200>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = String,
        required = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Unter den Linden 77"
    )]
    line1: Option<Line<200>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 200,
        example = "Hinterhaus"
    )]
    line2: Option<Option<Line<200>>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = String,
        required = false,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 100,
        example = "Berlin"
    )]
    city: Option<Line<100>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 100,
        example = "Berlin"
    )]
    region: Option<Option<Line<100>>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(
        value_type = Option<String>,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
        max_length = 20,
        example = "10117"
    )]
    postal_code: Option<Option<Line<20>>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Country, required = false)]
    country: Option<Country>,
    /// By E.164.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, pattern = r"^\+[1-9][0-9]{6,14}$", example = "+4930123456")]
    phone: Option<Option<Phone>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = bool, required = false, example = true)]
    is_default_shipping: Option<bool>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = bool, required = false, example = true)]
    is_default_billing: Option<bool>,
}

/// One's addresses.
///
/// Newest first. Whoever goes from page to page sees each address that was there when they began, once.
#[utoipa::path(
    get,
    path = "/v1/me/addresses",
    tag = "addresses",
    security(("accessToken" = [])),
    params(PageQuery),
    responses((status = OK, description = "Some of them", body = AddressPage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["invalid-fields", "unauthenticated", "account-deactivated", "account-erased"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn list(
    State(store): State<Store>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let items = addresses::list(&store, caller.user_id, query.cursor, limit).await?;
    let next = page::next(&items, limit, |address| address.id);
    Ok(Json(AddressPage { items, next }))
}

/// Add an address.
///
/// As the default of a kind, it takes that from the one before. 50 are kept at most. Whoever sends the same request again with
/// the same key within 24 hours is answered as the first time.
#[utoipa::path(
    post,
    path = "/v1/me/addresses",
    tag = "addresses",
    security(("accessToken" = [])),
    params(("idempotency-key" = String, Header, description = "Made up by the client for this attempt",
        example = "8e03978e-40d5-43e8-bc93-6894a57f9324")),
    request_body = CreateRequest,
    responses((status = CREATED, description = "The address", body = Address, headers(
        ("location" = String, description = "Where it is"),
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!([
            "body", "unauthenticated", "account-deactivated", "account-erased", "idempotency-key-required",
            "idempotency-key-reused", "card-number", "limit-reached"
        ])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn create(
    State(store): State<Store>,
    caller: Caller,
    key: IdempotencyKey,
    text: JsonText,
) -> Result<Response, Problem> {
    let body: CreateRequest = text.read()?;
    let attempt = key.attempt("POST /v1/me/addresses", &text)?;
    Ok(addresses::add(&store, caller, &attempt, body.address()).await?.into_response())
}

/// One of one's addresses.
#[utoipa::path(
    get,
    path = "/v1/me/addresses/{id}",
    tag = "addresses",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The address")),
    responses((status = OK, description = "The address", body = Address, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased", "no-such-address"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn show(State(store): State<Store>, caller: Caller, id: PathId) -> Result<impl IntoResponse, Problem> {
    let address = addresses::find(&store, caller.user_id, id.or(&NO_SUCH_ADDRESS)?).await?;
    Ok(shown(address.ok_or_else(|| Problem::new(&NO_SUCH_ADDRESS))?))
}

/// Change an address.
///
/// What the body does not name stays. Only the version that the client saw is changed.
#[utoipa::path(
    patch,
    path = "/v1/me/addresses/{id}",
    tag = "addresses",
    security(("accessToken" = [])),
    params(
        ("id" = Uuid, Path, description = "The address"),
        ("if-match" = String, Header, description = "The `etag` of what the client saw", example = "\"1\""),
    ),
    request_body = ChangeRequest,
    responses((status = OK, description = "The address as it is now", body = Address, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!([
            "body", "unauthenticated", "account-deactivated", "account-erased", "no-such-address", "outdated",
            "if-match-required"
        ])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn change(
    State(store): State<Store>,
    caller: Caller,
    id: PathId,
    seen: IfMatch,
    Json(body): Json<ChangeRequest>,
) -> Result<impl IntoResponse, Problem> {
    let (id, seen) = (id.or(&NO_SUCH_ADDRESS)?, seen.required()?);
    Ok(shown(addresses::change(&store, caller, id, &seen, body.edit()).await?))
}

/// Remove an address.
///
/// Where it was a default, there is none then. With `if-match`, only the version that the client saw is removed.
#[utoipa::path(
    delete,
    path = "/v1/me/addresses/{id}",
    tag = "addresses",
    security(("accessToken" = [])),
    params(
        ("id" = Uuid, Path, description = "The address"),
        ("if-match" = Option<String>, Header, description = "The `etag` of what the client saw", example = "\"1\""),
    ),
    responses((status = NO_CONTENT, description = "It is removed",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased", "no-such-address", "outdated"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn remove(
    State(store): State<Store>,
    caller: Caller,
    id: PathId,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    addresses::remove(&store, caller, id.or(&NO_SUCH_ADDRESS)?, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(address: Address) -> impl IntoResponse {
    (AppendHeaders([address.tag().header()]), Json(address))
}

impl CreateRequest {
    fn address(self) -> NewAddress {
        let Self { recipient, line1, line2, city, region, postal_code, country, phone, .. } = self;
        let (is_default_shipping, is_default_billing) = (self.is_default_shipping, self.is_default_billing);
        NewAddress {
            recipient,
            line1,
            line2,
            city,
            region,
            postal_code,
            country,
            phone,
            is_default_shipping,
            is_default_billing,
        }
    }
}

impl ChangeRequest {
    fn edit(self) -> AddressEdit {
        let Self { recipient, line1, line2, city, region, postal_code, country, phone, .. } = self;
        let (is_default_shipping, is_default_billing) = (self.is_default_shipping, self.is_default_billing);
        AddressEdit {
            recipient,
            line1,
            line2,
            city,
            region,
            postal_code,
            country,
            phone,
            is_default_shipping,
            is_default_billing,
        }
    }
}
