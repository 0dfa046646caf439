use axum::{
    extract::State,
    http::StatusCode,
    response::{AppendHeaders, IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use service::{
    Problem,
    http::{IfMatch, PathId, page},
    problem::{Json, JsonText, Query},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    idempotency_key::{IdempotencyKey, without_card_number},
    problems::NO_SUCH_PAYMENT_METHOD,
    requests::{PageQuery, said},
};
use crate::{
    Store,
    payment_methods::{self, NewPaymentMethod, PaymentMethod, PaymentMethodEdit},
    profile::Caller,
    values::{LastDigits, ProviderToken, ShortName, Unfit},
};

/// Some of what one pays with.
#[derive(Serialize, ToSchema)]
pub(super) struct PaymentMethodPage {
    items: Vec<PaymentMethod>,
    /// For `cursor`, where there may be more.
    next: Option<Uuid>,
}

/// A month of a year, 1 to 12.
#[derive(Clone, Copy)]
pub(super) struct Month(i16);

/// A year of four digits, from 2000 on.
#[derive(Clone, Copy)]
pub(super) struct Year(i16);

/// What stands for a card at its provider. The card's own number is never sent here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = NewPaymentMethod)]
pub(super) struct CreateRequest {
    /// Who charges it.
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9-]*$", max_length = 64, example = "stripe")]
    provider: ShortName,
    /// What the provider gave for the card. It is never shown.
    #[schema(
        value_type = String,
        pattern = "^[!-~]*[A-Za-z][!-~]*$",
        max_length = 255,
        example = "pm_1MqLiJLkdIwHu7ixUEgbFdYF"
    )]
    provider_token: ProviderToken,
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9-]*$", max_length = 64, example = "visa")]
    brand: ShortName,
    /// The last digits of the card's number.
    #[schema(value_type = String, pattern = "^[0-9]{4}$", example = "4242")]
    last4: LastDigits,
    #[schema(value_type = i16, minimum = 1, maximum = 12, example = 12)]
    exp_month: Month,
    /// A card that has expired is not taken. It is good to the end of its month.
    #[schema(value_type = i16, minimum = 2000, maximum = 9999, example = 2099)]
    exp_year: Year,
    #[serde(default)]
    #[schema(example = true)]
    is_default: bool,
}

/// What is to be another; what is not there stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = PaymentMethodChange)]
pub(super) struct ChangeRequest {
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = i16, required = false, minimum = 1, maximum = 12, example = 11)]
    exp_month: Option<Month>,
    /// A card that has expired is not taken.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = i16, required = false, minimum = 2000, maximum = 9999, example = 2098)]
    exp_year: Option<Year>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = bool, required = false, example = true)]
    is_default: Option<bool>,
}

/// What one pays with.
///
/// Newest first. Whoever goes from page to page sees each that was there when they began, once.
#[utoipa::path(
    get,
    path = "/v1/me/payment-methods",
    tag = "payment methods",
    security(("accessToken" = [])),
    params(PageQuery),
    responses((status = OK, description = "Some of them", body = PaymentMethodPage,
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
    let items = payment_methods::list(&store, caller.user_id, query.cursor, limit).await?;
    let next = page::next(&items, limit, |method| method.id);
    Ok(Json(PaymentMethodPage { items, next }))
}

/// Add what one pays with.
///
/// What the provider gave for the card, and what its owner knows it by. As the default, it takes that from the one before. 20
/// are kept at most. What may be the number of a card is refused wherever it stands. Whoever sends the same request again with
/// the same key within 24 hours is answered as the first time.
#[utoipa::path(
    post,
    path = "/v1/me/payment-methods",
    tag = "payment methods",
    security(("accessToken" = [])),
    params(("idempotency-key" = String, Header, description = "Made up by the client for this attempt",
        example = "8e03978e-40d5-43e8-bc93-6894a57f9324")),
    request_body = CreateRequest,
    responses((status = CREATED, description = "What is kept, and shown", body = PaymentMethod, headers(
        ("location" = String, description = "Where it is"),
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!([
            "body", "unauthenticated", "account-deactivated", "account-erased", "idempotency-key-required",
            "idempotency-key-reused", "card-number", "limit-reached", "payment-method-kept"
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
    let text = without_card_number(text)?;
    let body: CreateRequest = text.read()?;
    let attempt = key.attempt("POST /v1/me/payment-methods", &text)?;
    Ok(payment_methods::add(&store, caller, &attempt, body.method()).await?.into_response())
}

/// One of what one pays with.
#[utoipa::path(
    get,
    path = "/v1/me/payment-methods/{id}",
    tag = "payment methods",
    security(("accessToken" = [])),
    params(("id" = Uuid, Path, description = "The payment method")),
    responses((status = OK, description = "The payment method", body = PaymentMethod, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased", "no-such-payment-method"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn show(State(store): State<Store>, caller: Caller, id: PathId) -> Result<impl IntoResponse, Problem> {
    let method = payment_methods::find(&store, caller.user_id, id.or(&NO_SUCH_PAYMENT_METHOD)?).await?;
    Ok(shown(method.ok_or_else(|| Problem::new(&NO_SUCH_PAYMENT_METHOD))?))
}

/// Change what one pays with.
///
/// Its expiry, and whether it is the default. Only the version that the client saw is changed.
#[utoipa::path(
    patch,
    path = "/v1/me/payment-methods/{id}",
    tag = "payment methods",
    security(("accessToken" = [])),
    params(
        ("id" = Uuid, Path, description = "The payment method"),
        ("if-match" = String, Header, description = "The `etag` of what the client saw", example = "\"1\""),
    ),
    request_body = ChangeRequest,
    responses((status = OK, description = "The payment method as it is now", body = PaymentMethod, headers(
        ("etag" = String, description = "Its version"),
        ("cache-control" = String, description = "`no-store`"),
    ))),
    extensions(
        ("x-problems" = json!([
            "body", "unauthenticated", "account-deactivated", "account-erased", "card-number", "no-such-payment-method",
            "outdated", "if-match-required"
        ])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn change(
    State(store): State<Store>,
    caller: Caller,
    id: PathId,
    seen: IfMatch,
    text: JsonText,
) -> Result<impl IntoResponse, Problem> {
    let body: ChangeRequest = without_card_number(text)?.read()?;
    let (id, seen) = (id.or(&NO_SUCH_PAYMENT_METHOD)?, seen.required()?);
    Ok(shown(payment_methods::change(&store, caller, id, &seen, body.edit()).await?))
}

/// Remove what one pays with.
///
/// Where it was the default, there is none then. With `if-match`, only the version that the client saw is removed.
#[utoipa::path(
    delete,
    path = "/v1/me/payment-methods/{id}",
    tag = "payment methods",
    security(("accessToken" = [])),
    params(
        ("id" = Uuid, Path, description = "The payment method"),
        ("if-match" = Option<String>, Header, description = "The `etag` of what the client saw", example = "\"1\""),
    ),
    responses((status = NO_CONTENT, description = "It is removed",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!([
            "unauthenticated", "account-deactivated", "account-erased", "no-such-payment-method", "outdated"
        ])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn remove(
    State(store): State<Store>,
    caller: Caller,
    id: PathId,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    payment_methods::remove(&store, caller, id.or(&NO_SUCH_PAYMENT_METHOD)?, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(method: PaymentMethod) -> impl IntoResponse {
    (AppendHeaders([method.tag().header()]), Json(method))
}

impl CreateRequest {
    fn method(self) -> NewPaymentMethod {
        let Self { provider, provider_token, brand, last4, exp_month, exp_year, is_default } = self;
        let (exp_month, exp_year) = (exp_month.0, exp_year.0);
        NewPaymentMethod { provider, provider_token, brand, last4, exp_month, exp_year, is_default }
    }
}

impl ChangeRequest {
    fn edit(self) -> PaymentMethodEdit {
        PaymentMethodEdit {
            exp_month: self.exp_month.map(|month| month.0),
            exp_year: self.exp_year.map(|year| year.0),
            is_default: self.is_default,
        }
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let month = i16::deserialize(deserializer)?;
        let fits = (1..=12).contains(&month);
        if fits { Ok(Self(month)) } else { Err(D::Error::custom(Unfit("a month from 1 to 12"))) }
    }
}

impl<'de> Deserialize<'de> for Year {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let year = i16::deserialize(deserializer)?;
        let fits = (2_000..=9_999).contains(&year);
        if fits { Ok(Self(year)) } else { Err(D::Error::custom(Unfit("a year from 2000 to 9999"))) }
    }
}
