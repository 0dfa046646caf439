use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use service::{
    Problem,
    http::{PathId, page},
    problem::{FieldError, Json, Query},
};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problems::NO_SUCH_PRODUCT;
use crate::{
    Refusal, Store,
    profile::Caller,
    wishlist::{self, NoPlace, Place, Wish},
};

/// Some of one's wishlist.
#[derive(Serialize, ToSchema)]
pub(super) struct WishlistPage {
    items: Vec<WishlistItem>,
    /// For `cursor`, where there may be more.
    next: Option<String>,
}

/// A product that somebody would like to have.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WishlistItem {
    product_id: Uuid,
    product_state: ProductState,
    #[schema(example = "TEA-0042")]
    sku: Option<String>,
    #[schema(example = "Darjeeling First Flush")]
    name: Option<String>,
    /// What it costs now.
    price: Option<Amount>,
    /// What it cost when it was added; null where that was not known here.
    price_when_added: Option<Amount>,
    /// `discontinued`: it is sold no more, and stays listed.
    availability: Option<Availability>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    added_at: OffsetDateTime,
}

/// Whether anything was heard of the product yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProductState {
    Pending,
    Known,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Availability {
    Available,
    Unavailable,
    Discontinued,
}

/// An amount of money.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Amount {
    /// In the currency's smallest unit.
    #[schema(minimum = 0, example = 1999)]
    amount_minor: i64,
    /// By ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WishlistQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// From 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u16>,
}

impl TryFrom<Wish> for WishlistItem {
    type Error = Refusal;

    fn try_from(wish: Wish) -> Result<Self, Refusal> {
        let amount = |minor: Option<i64>, currency: Option<String>| {
            minor.zip(currency).map(|(amount_minor, currency)| Amount { amount_minor, currency })
        };
        let availability = match wish.status.as_deref() {
            None => None,
            Some("available") => Some(Availability::Available),
            Some("unavailable") => Some(Availability::Unavailable),
            Some("discontinued") => Some(Availability::Discontinued),
            Some(_) => return Err(Refusal::Stored("status of a product")),
        };
        Ok(Self {
            product_id: wish.product_id,
            product_state: if wish.name.is_some() { ProductState::Known } else { ProductState::Pending },
            sku: wish.sku,
            name: wish.name,
            price: amount(wish.price_minor, wish.currency),
            price_when_added: amount(wish.price_when_added_minor, wish.currency_when_added),
            availability,
            added_at: wish.added_at,
        })
    }
}

/// One's wishlist.
///
/// Newest first, with what is known of each product. Whoever goes from page to page sees each item that was there when they
/// began, once.
#[utoipa::path(
    get,
    path = "/v1/me/wishlist",
    tag = "wishlist",
    security(("accessToken" = [])),
    params(WishlistQuery),
    responses((status = OK, description = "Some of it", body = WishlistPage,
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["invalid-fields", "unauthenticated", "account-deactivated", "account-erased"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn list(
    State(store): State<Store>,
    caller: Caller,
    Query(query): Query<WishlistQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let after: Option<Place> = query.cursor.map(|cursor| cursor.parse()).transpose().map_err(|_: NoPlace| {
        Problem::invalid_fields(vec![FieldError::new("cursor", "should be the `next` of the page before")])
    })?;
    let wishes = wishlist::list(&store, caller.user_id, after, limit).await?;
    let next = wishes.last().filter(|_| wishes.len() >= usize::from(limit)).map(|wish| wish.place().to_string());
    let items = wishes.into_iter().map(WishlistItem::try_from).collect::<Result<_, _>>()?;
    Ok(Json(WishlistPage { items, next }))
}

/// Add a product to one's wishlist.
///
/// Idempotent: one that is there stays as it was. It need not be known here yet. 500 are kept at most.
#[utoipa::path(
    put,
    path = "/v1/me/wishlist/{productId}",
    tag = "wishlist",
    security(("accessToken" = [])),
    params(("productId" = Uuid, Path, description = "The product")),
    responses(
        (status = CREATED, description = "It is on the list now", body = WishlistItem,
            headers(("cache-control" = String, description = "`no-store`"))),
        (status = OK, description = "It was on the list already", body = WishlistItem,
            headers(("cache-control" = String, description = "`no-store`"))),
    ),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased", "no-such-product", "limit-reached"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn add(
    State(store): State<Store>,
    caller: Caller,
    product: PathId,
) -> Result<impl IntoResponse, Problem> {
    let (wish, is_new) = wishlist::add(&store, caller, product.or(&NO_SUCH_PRODUCT)?).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(WishlistItem::try_from(wish)?)))
}

/// Remove a product from one's wishlist.
///
/// Idempotent: one that is not there is gone already.
#[utoipa::path(
    delete,
    path = "/v1/me/wishlist/{productId}",
    tag = "wishlist",
    security(("accessToken" = [])),
    params(("productId" = Uuid, Path, description = "The product")),
    responses((status = NO_CONTENT, description = "It is not on the list",
        headers(("cache-control" = String, description = "`no-store`")))),
    extensions(
        ("x-problems" = json!(["unauthenticated", "account-deactivated", "account-erased", "no-such-product"])),
        ("x-limits" = json!(["profiles-user"])),
    )
)]
pub(super) async fn remove(State(store): State<Store>, caller: Caller, product: PathId) -> Result<StatusCode, Problem> {
    wishlist::remove(&store, caller, product.or(&NO_SUCH_PRODUCT)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
